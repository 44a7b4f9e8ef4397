"""The documentation: its snippets run, and the options and files that it speaks of are good.

Nothing here opens a socket. Links are checked where the documentation is built, with warnings as errors.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import json
import re
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest
from click import Context
from pages import DOCS, ROOT, Fence, by_page, fences, spans
from twisted.application.service import Application, IServiceCollection
from twisted.internet.task import Clock
from twisted.scripts.twistd import ServerOptions
from web_fakes import Client, World, frame, message, plain

import pode_signals
from pode_signals.command.config import Configuration
from pode_signals.command.config_file import read_file
from pode_signals.command.main import commands
from pode_signals.command.options import Options
from pode_signals.testing import SignalTester

# Snippets.


def run_snippets(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the Python of a page in order, in one namespace, in a folder that has what pages read: a file ``secret``."""
    (folder / "secret").write_text("a secret of thirty-two characters\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    module = ModuleType(f"snippets_of_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look for their module
    for snippet in fences(page, "python"):
        code = compile(snippet.text, str(page), "exec")
        if snippet.not_run is None:
            exec(code, vars(module))
    return vars(module)


@by_page
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0.1: the Python of every page runs as it is written; what can't be run says why, and compiles."""
    monkeypatch.setenv("CHAT_KEY", "a key that is long enough for all of it")
    run_snippets(page, tmp_path, monkeypatch)


def test_the_program_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0.1: README.md and the tutorial show one and the same program, and it makes a service with two endpoints."""
    service = run_snippets(ROOT / "README.md", tmp_path, monkeypatch)["service"]
    assert [str(each) for each in service.endpoints] == ["http localhost:8091", "ws localhost:8091"]
    programs = [fences(page, "python")[0].text.strip() for page in (ROOT / "README.md", DOCS / "tutorial.md")]
    assert programs[0] == programs[1]


Worlds = Callable[..., World]


@pytest.fixture
def world_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worlds:
    """Gives a World that serves the ``app`` and ``signals`` of a page's snippets."""

    def make(name: str, *, wrapped: bool = True) -> World:
        world = World(wrapped=wrapped)
        monkeypatch.setattr(pode_signals, "Signals", functools.partial(pode_signals.Signals, clock=world.clock))
        namespace = run_snippets(DOCS / f"{name}.md", tmp_path, monkeypatch)
        world.signals, world.app = namespace["signals"], namespace["app"]
        return world

    return make


def test_the_tutorial(world_of: Worlds) -> None:
    """S0.1: the tutorial's program serves its page, chats, keeps rooms apart and whispers to a client id."""
    world = world_of("tutorial")
    assert b"new WebSocket" in world.client().ask(plain("/")).body
    one, other = world.client().open("/msg"), world.client().open("/msg")
    kitchen, attic = world.client().open("/rooms/kitchen"), world.client().open("/rooms/attic")
    one.send(message("hello"))
    kitchen.send(message("tea?"))
    world.turn()
    own_id = other.answers[-1].value("X-PODE-SIGNAL-CLIENT-ID") or ""
    told = [json.loads(text)["message"] for text in other.texts]
    assert told == [f"Your id is {unquote(own_id)}", "hello"]
    assert (kitchen.texts, attic.texts) == (['{"message":"tea?"}'], [])
    body = b"to=%b&text=psst" % (one.answers[-1].value("X-PODE-SIGNAL-CLIENT-ID") or "").encode()
    form = ("Content-Type", "application/x-www-form-urlencoded")
    assert world.client().ask(plain("/whisper", form, method=b"POST", body=body)).body == b"recipients: 1\n"
    assert world.client().ask(plain("/whisper", form, method=b"POST", body=b"to=s:ada.X")).status == 400
    assert one.texts[-1] == '{"message":"psst"}'
    world.signals.invoke_schedule("Clock")
    world.turn()
    assert "It is" in attic.texts[0]


def test_the_tests_of_the_page_on_testing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0.2: the tests that the page on testing shows pass, and leave nothing behind."""
    shown = run_snippets(DOCS / "testing.md", tmp_path, monkeypatch)
    tests = {name: test for name, test in shown.items() if name.startswith("test_")}
    assert len(tests) >= 7
    for test in tests.values():
        tester = SignalTester(*shown["make_rooms"](clock=Clock()))
        test(tester)
        tester.end()
    result = unittest.TestResult()
    shown["RoomTests"]("test_a_room").run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_a_request_that_refers_to_a_connection(world_of: Worlds) -> None:
    """S15.1: the page on requests: the answer comes over the connection, and only its own user may ask for it."""
    world = world_of("requests")
    ada = ("Authorization", "Basic YWRhOnNlY3JldA==")
    client = world.client().open("/inbox", ada)
    (client_id,) = (json.loads(text)["clientId"] for text in client.texts)
    refers = ("X-PODE-SIGNAL-CLIENT-ID", client_id)
    assert world.client().ask(plain("/report", refers, ada, method=b"POST")).body == b"on its way\n"
    assert json.loads(client.texts[-1]) == {"report": "42 pages"}
    assert world.client().ask(plain("/report", refers, method=b"POST")).status == 400
    assert world.signals.counters.references_refused == 1


def test_a_local_connection_and_a_plain_resource(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_of: Worlds
) -> None:
    """S3.2: the page on connections: a local connection gets its messages and is closed; a plain resource converts."""
    world = world_of("connections")
    client = world.client().open("/progress")
    for _ in range(4):
        world.turn(0.5)
    assert [json.loads(text)["percent"] for text in client.texts] == [0, 50, 100]
    assert client.closed == (1000, "")
    news = run_snippets(DOCS / "connections.md", tmp_path, monkeypatch)
    plain_world = World(news["News"](), wrapped=False)
    plain_world.signals = news["signals"]
    assert plain_world.client().ask(plain("/")).status == 426
    plain_world.client().open("/")
    plain_world.turn()
    assert news["signals"].count("News") == 1


def test_embedding(world_of: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S12.3: the three ways of embedding are ten lines or less each, and they work."""
    snippets = [each.text.split("\n") for each in fences(DOCS / "running.md", "python")]
    marks = ("service.setServiceParent(application)", '@app.route("/news")', '@app.route("/alerts")')
    embedded = [list(filter(None, lines)) for lines in snippets if any(mark in lines for mark in marks)]
    assert len(embedded) == 3
    assert max(map(len, embedded)) <= 10
    namespace = run_snippets(DOCS / "running.md", tmp_path, monkeypatch)
    assert isinstance(namespace["application"], type(Application("other")))
    assert namespace["service"] in list(IServiceCollection(namespace["application"]))
    world = world_of("running", wrapped=False)
    world.client().open("/alerts")
    assert world.signals.count("Alerts") == 1


def test_a_document_for_clients(world_of: Worlds) -> None:
    """S18.1: the page on AsyncAPI: a route of Klein serves the document of the program that is shown there."""
    answer = world_of("asyncapi").client().ask(plain("/asyncapi.json"))
    assert answer.value("Content-Type") == "application/json"
    document = json.loads(answer.body)
    assert document["servers"]["ws-localhost-8091"] == {"host": "localhost:8091", "protocol": "ws"}
    assert document["channels"]["rooms._room"]["description"] == "What is said in a room goes to everybody in the room."


def signals_client(world: World, path: str, *resume: str) -> Client:
    """A client of ``pode.signals.v1``; with a resume text it comes back."""
    offers = ", ".join(["pode.signals.v1", *(f"pode.resume.{each}" for each in resume)])
    return world.client().open(path, ("Sec-WebSocket-Protocol", offers))


def said(client: Client, world: World, **members: Any) -> list[dict[str, Any]]:
    """Send a frame; the frames that come in this turn."""
    before = len(client.texts)
    client.send(frame(json.dumps(members)))
    world.turn()
    return [json.loads(text) for text in client.texts[before:]]


def test_replies(world_of: Worlds) -> None:
    """P25, P26: the page on replies: a seat is booked once, and the second one to ask is refused."""
    world = world_of("replies")
    one, other = signals_client(world, "/seats"), signals_client(world, "/seats")
    assert said(one, world, type="send", id="7", message={"seat": "4A"}) == [
        {"type": "reply", "id": "7", "data": {"booked": "4A"}}
    ]
    assert said(other, world, type="send", id="8", message={"seat": "4A"}) == [
        {"type": "error", "id": "8", "code": "app.seat_taken", "text": "This seat is taken."}
    ]
    assert json.loads(other.texts[1])["data"] == {"taken": ["4A"]}


def test_users_and_expiry(world_of: Worlds) -> None:
    """P85: the page on replies: all tabs of a user get a message; a connection is refreshed by a good token alone."""
    world = world_of("replies")
    one, other = signals_client(world, "/inbox"), signals_client(world, "/inbox")
    hellos = [json.loads(client.texts[0]) for client in (one, other)]
    assert [each["user"] for each in hellos] == ["ada", "ada"]
    assert hellos[0]["clientId"] != hellos[1]["clientId"]
    assert said(one, world, type="refresh", id="r1", token="bad")[-1]["code"] == "refused"
    hello, reply = said(one, world, type="refresh", id="r2", token="good")
    assert hello["expiresInSeconds"] == reply["data"]["expiresInSeconds"] > 1_000_000_000
    world.signals.send("You have mail.", name="Inbox", group="user ada")
    world.turn()
    assert [json.loads(client.texts[-1])["data"] for client in (one, other)] == ["You have mail."] * 2


def test_resume(world_of: Worlds) -> None:
    """P36, P54: the page on resume: who comes back has what was missed, who begins gets the state, and a page goes on
    from the position that it was rendered with.
    """
    world = world_of("resume")
    client, other = signals_client(world, "/rooms/kitchen"), world.client().open("/rooms/kitchen")
    world.turn()
    hello, state = (json.loads(text) for text in client.texts)
    assert state["data"] == json.loads(other.texts[0]) == {"state": "what there is to know of the kitchen"}
    place = re.search(rb"data-since='([^']+)'", world.client().ask(plain("/page/kitchen")).body)
    client.reset()
    world.turn()
    other.send(message("soup"))
    world.turn()
    back = signals_client(world, "/rooms/kitchen", f"{hello['epoch']}.{hello['offset']}.{hello['resumeToken']}")
    assert place is not None
    page = signals_client(world, "/rooms/kitchen", place[1].decode())
    world.turn()
    for client in (back, page):
        frames = [json.loads(text) for text in client.texts]
        assert [each.get("data") for each in frames] == [None, {"text": "soup"}, None]
        assert frames[0]["recovered"] is True
    assert json.loads(back.texts[0])["clientId"] == hello["clientId"]


# Settings, options, files.


@functools.cache
def tables() -> ModuleType:
    """docs/tables.py."""
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@by_page
def test_tables_are_up_to_date(page: Path) -> None:
    """S6.2: each setting is documented with its default and its unit, each counter too, as they are in the code; and so
    are the numbers, the close codes and the frames of ``pode.signals.v1``.
    """
    text = page.read_text(encoding="utf-8")
    assert tables().rendered(text) == text, "run: python docs/tables.py"


def test_every_table_is_in_a_page() -> None:
    """S6.2: no table that can be made from the code is missing, the one of each frame among them."""
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    empty = "| field | value | there | meaning |\n| --- | --- | --- | --- |"
    assert [name for name, make in tables().TABLES.items() if f"<!-- table: {name} -->" not in text] == [
        name for name, make in tables().TABLES.items() if make() == empty
    ]


@by_page
def test_options_exist(page: Path) -> None:
    """S12.1: the options of commands and in the text exist, in ``pode-signals`` or twistd's own."""
    ours = set(re.findall(r"--([a-z][a-z-]*)", str(Options())))
    subcommands = [commands.get_command(Context(commands), name) for name in commands.list_commands(Context(commands))]
    of_subcommands = {
        option.removeprefix("--")
        for each in subcommands
        if each is not None
        for parameter in each.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    twistd = {each.removesuffix("=") for each in ServerOptions().longOpt}
    shown = " ".join(each.text for each in fences(page, "sh", "ini"))
    for line in re.findall(r"^.*\btwistd\b.*$", shown, re.MULTILINE):
        before, command, after = line.partition(" pode-signals ")
        assert set(re.findall(r"\s--([a-z][a-z-]*)", before)) <= twistd, line
        assert not command or set(re.findall(r"\s--([a-z][a-z-]*)", f" {after}")) <= ours, line
    written = {option for span in spans(page) for option in re.findall(r"(?:^|\s)--([a-z][a-z-]*)", span)}
    assert written <= ours | twistd | of_subcommands


def test_commands_leave_no_pid_file() -> None:
    """S12.1: no command that is shown writes ``twistd.pid``: where a container that was killed left one, twistd takes
    another process for itself and does not start.
    """
    shown = [ROOT / "README.md", *DOCS.glob("*.md"), *(ROOT / "examples").glob("*.py")]
    foreground = re.compile(r"twistd (?:[^\n`]* )?-n[^\n`]*")
    commands = [command for path in shown for command in foreground.findall(path.read_text(encoding="utf-8"))]
    assert len(commands) > 15
    assert [command for command in commands if "--pidfile= " not in command] == []


@pytest.mark.parametrize("fence", fences(DOCS / "running.md", "toml"))
def test_configuration_files(fence: Fence, tmp_path: Path) -> None:
    """S12.1: the configuration files in the documentation can be read."""
    (tmp_path / "chat.toml").write_text(fence.text, encoding="utf-8")
    (tmp_path / "secret").write_text("a secret of thirty-two characters\n", encoding="utf-8")
    configuration = Configuration.of(read_file(tmp_path / "chat.toml"))
    assert configuration.app == "chat:service"
    assert len(configuration.endpoints) == 2


def test_systemd_units() -> None:
    """S12.1: the systemd units take twistd's status after SIGTERM for a success, and wait for longer than it drains."""
    units = [fences(DOCS / name, "ini")[0].text for name in ("tutorial.md", "running.md")]
    for unit in units:
        assert "\nSuccessExitStatus=143\n" in unit
        stop_seconds = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
        assert stop_seconds is not None
        assert int(stop_seconds[1]) > inspect.signature(pode_signals.SignalsService).parameters["drain_seconds"].default
