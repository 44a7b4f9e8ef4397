"""The documentation: its snippets run, and the names, options and files that it speaks of exist.

Nothing here opens a socket. Links are checked where the documentation is built, with warnings as errors.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.util
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from twisted.application.service import Application, IServiceCollection
from twisted.internet.task import Clock
from twisted.scripts.twistd import ServerOptions
from twisted.web.resource import Resource
from web_fakes import World, message, plain

import pode_signals
from pode_signals import errors
from pode_signals.config import Configuration, read_file
from pode_signals.core.handshake import HandshakeRecord
from pode_signals.core.model import ClientMessage, Closure
from pode_signals.core.settings import SettingsArguments
from pode_signals.options import Options
from pode_signals.scheduling.schedules import ScheduleOptions

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


class Fence(NamedTuple):
    """A fenced block of a page.

    Attributes:
        language: what stands behind the fence.
        text: what is in it, at its own line of the page: tracebacks tell where.
        not_run: the reason in ``<!-- not run: … -->`` before it; None where there is none.
    """

    language: str
    text: str
    not_run: str | None


_FENCE = re.compile(r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\S*)\n(?P<text>.*?)^```$", re.M | re.S)
_SPAN = re.compile(r"`([^`\n]+)`")


def fences(page: Path, *languages: str) -> list[Fence]:
    """The fenced blocks of a page in some languages."""
    source = page.read_text(encoding="utf-8")
    found = (
        Fence(each["language"], "\n" * source.count("\n", 0, each.start("text")) + each["text"], each["reason"])
        for each in _FENCE.finditer(source)
    )
    return [each for each in found if each.language in languages]


def spans(page: Path) -> list[str]:
    """The inline code of a page."""
    return _SPAN.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


# Snippets.


def run_snippets(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the Python of a page in order, in one namespace, in a folder that has what pages read: a file ``secret``."""
    (folder / "secret").write_text("a secret of thirty-two characters\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    namespace: dict[str, Any] = {"__name__": page.stem}
    for snippet in fences(page, "python"):
        code = compile(snippet.text, str(page), "exec")
        if snippet.not_run is None:
            exec(code, namespace)
    return namespace


@by_page
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0.1: the Python of every page runs as it is written; what can't be run says why, and compiles."""
    run_snippets(page, tmp_path, monkeypatch)


def test_the_program_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S0.1: README.md and the tutorial show one and the same program, and it makes a service with two endpoints."""
    service = run_snippets(ROOT / "README.md", tmp_path, monkeypatch)["service"]
    assert [str(each) for each in service.endpoints] == ["http localhost:8091", "ws localhost:8091"]
    programs = [fences(page, "python")[0].text.strip() for page in (ROOT / "README.md", DOCS / "tutorial.md")]
    assert programs[0] == programs[1]


@pytest.fixture
def world_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Gives a World that serves the ``app`` and ``signals`` of a page's snippets."""

    def make(name: str) -> World:
        world = World()
        monkeypatch.setattr(pode_signals, "Signals", functools.partial(pode_signals.Signals, clock=world.clock))
        namespace = run_snippets(DOCS / f"{name}.md", tmp_path, monkeypatch)
        world.signals, world.app = namespace["signals"], namespace["app"]
        return world

    return make


def test_the_tutorial(world_of: Any) -> None:
    """S0.1: the tutorial's program serves its page, chats, keeps rooms apart and whispers to a client id."""
    world = world_of("tutorial")
    assert b"new WebSocket" in world.client().ask(plain("/")).body
    one, other = world.client().open("/msg"), world.client().open("/msg")
    kitchen, attic = world.client().open("/rooms/kitchen"), world.client().open("/rooms/attic")
    one.send(message("hello"))
    kitchen.send(message("tea?"))
    world.turn()
    assert [json.loads(text) for text in other.texts] == [{"message": "hello"}]
    assert (kitchen.texts, attic.texts) == (['{"message":"tea?"}'], [])
    body = b"to=%b&text=psst" % (one.answers[-1].value("X-PODE-SIGNAL-CLIENT-ID") or "").encode()
    form = ("Content-Type", "application/x-www-form-urlencoded")
    assert world.client().ask(plain("/whisper", form, method=b"POST", body=body)).body == b"recipients: 1\n"
    assert world.client().ask(plain("/whisper", form, method=b"POST", body=b"to=s:ada.X")).status == 400
    assert one.texts[-1] == '{"message":"psst"}'
    world.signals.invoke_schedule("Clock")
    world.turn()
    assert "It is" in attic.texts[0]


def test_a_request_that_refers_to_a_connection(world_of: Any) -> None:
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


def test_a_local_connection_and_a_plain_resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world_of: Any) -> None:
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


def test_embedding(world_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S12.3: the three ways of embedding are ten lines or less each, and they work."""
    embedded = [each for each in fences(DOCS / "running.md", "python") if "setServiceParent" in each.text]
    embedded += [each for each in fences(DOCS / "running.md", "python") if '"/news"' in each.text or '"/alerts"' in each.text]
    assert len(embedded) == 3
    assert all(len([line for line in each.text.splitlines() if line.strip()]) <= 10 for each in embedded)
    namespace = run_snippets(DOCS / "running.md", tmp_path, monkeypatch)
    assert isinstance(namespace["application"], type(Application("other")))
    assert namespace["service"] in list(IServiceCollection(namespace["application"]))
    world = world_of("running")
    world.client().open("/alerts")
    assert world.signals.count("Alerts") == 1


# Names.


def roots() -> dict[str, list[Any]]:
    """What the first word of a name in the text stands for; for some words there are several."""
    signals = pode_signals.Signals(clock=Clock())
    record = HandshakeRecord(b"GET", b"/msg", [], "192.0.2.7", False)
    connection = pode_signals.SignalConnection(
        signals, name="Msg", group=None, client_id="ada", scope=pode_signals.Scope.GLOBAL, request=record
    )
    connection.closure = closure = Closure(1000)
    signal_event = pode_signals.SignalEvent(connection, ClientMessage("hello"), None, 0)
    triggered = pode_signals.TriggeredEvent(
        "Msg", pode_signals.EventType.CONNECT, connection, signal_event.timestamp, signals.lockable
    )
    return {
        "signals": [signals],
        "counters": [signals.counters],
        "connection": [connection],
        "closure": [closure],
        "by": [closure.by],
        "event": [signal_event, triggered],
        "delivery": [signals.send("", name="Msg")],
        "service": [pode_signals.SignalsService(signals, Resource(), [])],
        "refused": [errors.OriginRefused()],
        **{name: [getattr(pode_signals, name)] for name in pode_signals.__all__},
    }


ROOTS = roots()


def problem_with(text: str) -> str | None:
    """What is wrong with a name or a call of ours in the text; None where it is good, or none of ours."""
    try:
        expression = ast.parse(text.replace("…", "..."), mode="eval").body
    except SyntaxError:
        return None
    call = expression if isinstance(expression, ast.Call) else None
    path = ast.unparse(expression if call is None else call.func).split(".")
    if path[0] not in ROOTS:
        return None
    found = [each for root in ROOTS[path[0]] for each in walk(root, path[1:])]
    if not found:
        return f"{text}: there is no such thing"
    return None if call is None else problem_with_call(found[0], call)


def walk(value: Any, path: list[str]) -> list[Any]:
    """What is there at the end of a path of attributes, in a list; an empty list where it leads nowhere."""
    for name in path:
        if not hasattr(value, name):
            return []
        value = getattr(value, name)
    return [value]


def problem_with_call(function: Any, call: ast.Call) -> str | None:
    """Whether a function takes these arguments; a lone ``…`` stands for any."""
    if len(call.args) == 1 and not call.keywords and ast.unparse(call.args[0]) == "...":
        return None
    names = parameters(function)
    keywords = [each.arg for each in call.keywords]
    unknown = [each for each in keywords if each not in names]
    if unknown or len(call.args) > len(names):
        return f"{ast.unparse(call)}: it has the parameters {', '.join(names)}"
    return None


def parameters(function: Any) -> list[str]:
    """The names of the parameters of a function or class, those in a TypedDict too."""
    names = list(inspect.signature(function).parameters)
    for kind, options in (("settings", SettingsArguments), ("options", ScheduleOptions)):
        if kind in names:
            names += list(options.__annotations__)
    return names


@by_page
def test_names_exist(page: Path) -> None:
    """S0.1: what the text calls ``signals.something(…)``, ``event.something`` and so on exists and takes that."""
    assert list(filter(None, map(problem_with, spans(page)))) == []


# Names of Python, Twisted and others that begin with a capital and go on with small letters and capitals.
FOREIGN = {"Application", "Counter", "Decimal", "MultiService", "TimerService", "WebSocket"}


@by_page
def test_classes_exist(page: Path) -> None:
    """S0.1: the classes and errors in the text exist."""
    known = {*pode_signals.__all__, *errors.__all__, *dir(builtins), *FOREIGN, *PARTS}
    written = {each for each in spans(page) if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", each)}
    assert written - known == set()


PARTS = {base.__name__ for base in pode_signals.Signals.__mro__} | {"FanOut", "Dispatch"}


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("signals.send(data, name=…)", True),
        ("signals.send(data, nme=…)", False),
        ("signals.snd(…)", False),
        ("event.data.client_id", True),
        ("event.data.clientid", False),
        ("event.type", True),
        ("Scope.LOCAL", True),
        ("Scope.Local", False),
        ("signals.schedule(name, cron, limit=3)", True),
        ("Signals(max_names=3, max_nams=3)", False),
        ("something.else", True),
    ],
)
def test_the_check_of_names_can_fail(text: str, good: bool) -> None:
    """A name or an argument that does not exist is found."""
    assert (problem_with(text) is None) is good


def test_reference_is_complete() -> None:
    """S0.1: the reference has every public name, and every attribute of Signals that is not for the package itself."""
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert [name for name in pode_signals.__all__ if f"pode_signals.{name}\n" not in reference] == []
    public = {name for name in dir(pode_signals.Signals) if not name.startswith("_")}
    documented = set(re.findall(r"auto(?:method|property):: Signals\.(\w+)", reference))
    assert documented <= public
    assert public - documented == INTERNAL


# What the parts of Signals, the web side and the service call. An application has no use for it.
INTERNAL = {
    "admit",
    "check_room",
    "check_thread",
    "checked_reference",
    "client_ids_hold",
    "clock",
    "close_timeout_seconds",
    "congestion_changed",
    "connection_gone",
    "connection_leaves",
    "connections_with_client_id",
    "fire_connect",
    "fire_disconnect",
    "fresh_context",
    "identify",
    "is_trusted_proxy",
    "message_received",
    "route_ended",
    "send_to",
    "send_within",
    "shut_down",
}


def test_architecture_lists_every_module() -> None:
    """S0.1: the list of modules in the architecture is the list of files."""
    listed = set(re.findall(r"`((?:core/|web/)?\w+\.py)`", (DOCS / "architecture.md").read_text(encoding="utf-8")))
    package = ROOT / "pode_signals"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert listed == files - {"core/__init__.py", "web/__init__.py"}


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


def test_tables_are_up_to_date() -> None:
    """S16.1: the page on settings has every setting and every counter as they are in the code."""
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert tables().rendered(page) == page, "run: python docs/tables.py"


@by_page
def test_options_exist(page: Path) -> None:
    """S12.1: the options of commands and in the text exist, in ``pode-signals --help`` or twistd's own."""
    ours = set(re.findall(r"--([a-z][a-z-]*)", str(Options())))
    twistd = {each.removesuffix("=") for each in ServerOptions().longOpt}
    commands = " ".join(each.text for each in fences(page, "sh", "ini"))
    for line in re.findall(r"^.*\btwistd\b.*$", commands, re.M):
        before, command, after = line.partition(" pode-signals ")
        assert set(re.findall(r"\s--([a-z][a-z-]*)", before)) <= twistd, line
        assert not command or set(re.findall(r"\s--([a-z][a-z-]*)", f" {after}")) <= ours, line
    written = {option for span in spans(page) for option in re.findall(r"(?:^|\s)--([a-z][a-z-]*)", span)}
    assert written <= ours | twistd


@pytest.mark.parametrize("fence", fences(DOCS / "running.md", "toml"), ids=lambda fence: fence.text.split()[-1])
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
        stop_seconds = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M)
        assert stop_seconds is not None
        assert int(stop_seconds[1]) > inspect.signature(pode_signals.SignalsService).parameters["drain_seconds"].default


# Coming from Pode.

PODE = {
    "ConvertTo-PodeSignalConnection": "Name Group Scope ClientId",
    "Set-PodeSignalDefaultScope": "Scope",
    "Get-PodeSignalDefaultScope": "",
    "$WebEvent.Signal": ".Name .Group .ClientId .IsLocal .IsGlobal .Scope .Timestamp .LastActivity .IsClosed .IsDisposed",
    "Send-PodeSignal": "Data Name Group ClientId Depth Mode IgnoreEvent",
    "Close-PodeSignalConnection": "Name Group ClientId",
    "Test-PodeSignalClientIdSigned": "ClientId",
    "Test-PodeSignalClientIdValid": "ClientId",
    "Test-PodeSignalName": "Name",
    "Test-PodeSignalClientId": "Name Group ClientId",
    "New-PodeSignalClientId": "ClientId",
    "Enable-PodeSignalSigning": "Secret Strict",
    "Disable-PodeSignalSigning": "",
    "Set-PodeSignalBroadcastLevel": "Name Type",
    "Get-PodeSignalBroadcastLevel": "Name",
    "Test-PodeSignalBroadcastLevel": "Name Group ClientId",
    "Get-PodeSignalNameList": "",
    "Get-PodeSignalGroupList": "Name",
    "Get-PodeSignalClientIdList": "Name Group",
    "Register-PodeSignalEvent": "Name Type EventName ScriptBlock ArgumentList",
    "Unregister-PodeSignalEvent": "Name Type EventName",
    "Test-PodeSignalEvent": "Name Type EventName",
    "Get-PodeSignalEvent": "Name Type EventName",
    "$TriggeredEvent": ".Lockable .Metadata .Name .Type .Timestamp .Connection",
    "Add-PodeSignalRoute": "Path ScriptBlock EndpointName FilePath ArgumentList IfExists",
    "Add-PodeSignalRouteGroup": "Path Routes EndpointName IfExists",
    "Remove-PodeSignalRoute": "Path EndpointName",
    "Clear-PodeSignalRoutes": "",
    "Get-PodeSignalRoute": "Path EndpointName",
    "Test-PodeSignalRoute": "Path EndpointName",
    "$SignalEvent": ".Data.Message .Data.Path .Data.Group .Data.ClientId .Data.Direct .Endpoint.Protocol .Endpoint.Address"
    " .Endpoint.Name .Lockable .Path .Request .Response .Route .Streamed .Timestamp .ClientId .Metadata .ContextId",
    "Get-PodeServerDefaultSecret": "",
    "Get-PodeServerSignalMetric": "",
    "Get-PodeServerActiveSignalMetric": "Type CountType",
    "Get-PodeServerActiveSignalClientMetric": "Name",
    "Add-PodeEndpoint": "Address Port Hostname Protocol Certificate CertificatePassword CertificateKey"
    " CertificateThumbprint CertificateName CertificateStoreName CertificateStoreLocation X509Certificate TlsMode Name"
    " RedirectTo Description Acknowledge SslProtocol CRLFMessageEnd Force SelfSigned AllowClientCertificate PassThru"
    " LookupHostname DualMode Default NoAutoUpgradeWebSockets",
    "Add-PodeSchedule": "Name Cron ScriptBlock Limit StartTime EndTime FilePath ArgumentList Timeout TimeoutFrom OnStart",
    "Set-PodeScheduleConcurrency": "Maximum",
    "Invoke-PodeSchedule": "Name ArgumentList",
    "Remove-PodeSchedule": "Name",
    "Clear-PodeSchedules": "",
    "Edit-PodeSchedule": "Name Cron ScriptBlock ArgumentList",
    "Get-PodeSchedule": "Name StartTime EndTime",
    "Test-PodeSchedule": "Name",
    "Get-PodeScheduleNextTrigger": "Name DateTime",
    "Use-PodeSchedules": "Path",
    "Get-PodeScheduleProcess": "Name Id State",
    "New-PodeCron": "Minute Hour Date Month Day Every Interval",
    "Add-PodeTimer": "Name Interval ScriptBlock Limit Skip FilePath ArgumentList OnStart",
    "Invoke-PodeTimer": "Name ArgumentList",
    "Remove-PodeTimer": "Name",
    "Clear-PodeTimers": "",
    "Edit-PodeTimer": "Name Interval ScriptBlock ArgumentList",
    "Get-PodeTimer": "Name",
    "Test-PodeTimer": "Name",
    "Use-PodeTimers": "Path",
}
"""Pode's functions with their parameters, and its objects with their properties."""


class Row(NamedTuple):
    """A row of a table that has Pode on the left and this package beside it."""

    pode: list[str]
    here: list[str]


def pode_rows() -> list[Row]:
    """The rows of the tables, without their heads."""
    page = (DOCS / "pode.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (`.+?) \| (.+?) \| .*\|$", page, re.M)
    return [Row(_SPAN.findall(pode), _SPAN.findall(here)) for pode, here in lines]


def test_pode_page_is_complete() -> None:
    """S0.1: "Coming from Pode" has each function, parameter and property of Pode's Signals, Schedules and Timers."""
    found: dict[str, set[str]] = {}
    current: set[str] = set()
    for row in pode_rows():
        for name in row.pode:
            if name.startswith(("-", ".")):
                current.add(name)
            else:
                current = found.setdefault(name, set())
    for subject, members in PODE.items():
        wanted = {each if each.startswith(".") else f"-{each}" for each in members.split()}
        assert wanted <= found.get(subject, {"nothing"}), subject


def test_names_on_the_pode_page_exist() -> None:
    """S0.1: each name of ours beside one of Pode's exists; a parameter is one of the function above it."""
    functions: list[Any] = []
    for row in pode_rows():
        is_parameter = row.pode[0].startswith("-")
        for name in row.here:
            if is_parameter and name not in ROOTS:
                assert any(name in parameters(function) for function in functions), row
            else:
                assert name.split(".")[0].split("(")[0] in ROOTS, row
                assert problem_with(name) is None, row
        if not is_parameter:
            called = [name.partition("(")[0].split(".") for name in row.here if "(" in name]
            functions = [each for path in called for each in walk(ROOTS[path[0]][0], path[1:])]
