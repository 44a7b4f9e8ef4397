"""The client for browsers in Debian's Firefox, against the real server: how it talks, and what becomes of its page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cable import cable_to
from firefox import Firefox, FirefoxPage, firefox_in
from programs import Program, free_port, running, start
from redis_server import redis_server

HERE = Path(__file__).parent
FOLDER = HERE / "browser_page"
CLIENT = """async (path, options) => {
    const { SignalClient } = await import("/signals.js");
    window.client = new SignalClient(path, { baseSeconds: 0.2, ...options });
    client.on("open", ({ recovered }) => show("open", recovered));
    client.on("lost", () => show("lost"));
    client.on("signal", ({ data, replayed }) => show("signal", data, replayed));
    client.on("closed", ({ code }) => show("closed", code));
    await client.ready;
}"""
# With these options a client that has lost its connection does not come back by itself while a test lasts.
AWAY = {"baseSeconds": 1_000_000, "capSeconds": 1_000_000}
# Fills a field, as somebody does who ends with Enter.
FILL = """(place, text) => {
    const field = document.querySelector(place);
    field.value = text;
    field.dispatchEvent(new Event("change"));
    field.form?.requestSubmit();
}"""
LOG = "() => document.querySelector('#log').textContent.trimEnd().split('\\n')"
OPENED, BACK = '"open" false', '"open" true'

both_ways = pytest.mark.parametrize("transport", ["websocket", "sse"])


@pytest.fixture(scope="module")
def shared_firefox(firefox: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with firefox_in(tmp_path_factory.mktemp("firefox"), firefox) as browser:
        yield browser


@pytest.fixture
def open_page(shared_firefox: Firefox) -> Iterator[Callable[..., FirefoxPage]]:
    """Opens pages of a URL, which are closed at the end."""
    pages: list[FirefoxPage] = []

    def opened(url: str) -> FirefoxPage:
        pages.append(shared_firefox.open())
        pages[-1].go_to(url)
        return pages[-1]

    yield opened
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running("browser_page:service", tmp_path_factory.mktemp("server"), cwd=FOLDER) as program:
        yield program


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


def say(page: FirefoxPage, text: str) -> None:
    page.evaluate("text => client.request({ text })", text)


def signal(text: str, *, replayed: bool = False) -> str:
    """What the page shows of a message."""
    return f'"signal" {{"text":"{text}"}} {str(replayed).lower()}'


@both_ways
def test_the_client_in_firefox(transport: str, program: Program, open_page: Callable[[str], FirefoxPage]) -> None:
    """P36, P90: over a WebSocket and over server-sent events a page connects, sends, asks, acknowledges and says which
    connection it has; cut off, it comes back as the same client, and gets what it missed.
    """
    page = open_page(url_of(program.port))
    page.evaluate(CLIENT, "/rooms", {"transport": transport})
    client_id = page.evaluate("() => client.hello.clientId")
    assert page.evaluate("() => client.request('transport')") == transport
    assert page.evaluate("() => client.request({ text: 'soup' })") == {"read": 1}
    refused = "() => client.request({ refuse: 'By invitation.' }).catch((error) => [String(error), error.code])"
    assert page.evaluate(refused) == ["SignalsError: By invitation.", "app.not_invited"]
    assert page.evaluate("async () => (await client.fetch('/report', { method: 'POST' })).status") == 200
    # The stream may end before the answer to the POST comes; then nobody knows whether it was taken.
    page.evaluate("() => void client.send({ cut: 1012 }).catch(() => {})")
    reported = '"signal" {"reported":"Rooms"} false'
    page.wait_for(LOG, [OPENED, signal("soup"), reported, BACK, signal("missed", replayed=True)])
    assert page.evaluate("() => client.hello.clientId") == client_id
    page.evaluate("() => client.close()")
    page.wait_for("() => client.state", "closed")


def test_the_server_is_restarted(tmp_path: Path, open_page: Callable[[str], FirefoxPage]) -> None:
    """S17.2, P36, P90: with the history in Redis, a page whose server is restarted has every message once, in order, by
    either way.
    """
    port = free_port()
    endpoints = [f"--endpoint={protocol}://localhost:{port}" for protocol in ("http", "ws")]
    command = ["pode-signals", "--app", "browser_page:service", *endpoints]
    with redis_server(tmp_path) as redis, cable_to(port) as cable:
        environment = {"BROWSER_PAGE_REDIS": redis.url}
        program = start(command, port, tmp_path / "twistd.log", cwd=FOLDER, environment=environment)
        try:
            pages = [open_page(url_of(cable.port)) for _ in range(2)]
            other = open_page(url_of(port))
            for page, transport in zip(pages, ("websocket", "sse"), strict=True):
                page.evaluate(CLIENT, "/rooms", {"transport": transport})
            other.evaluate(CLIENT, "/rooms", {})
            say(other, "one")
            for page in pages:
                page.wait_for(LOG, [OPENED, signal("one")])
            # Else the pages might be back before anything is said.
            cable.pull()
            program.stop()
            program = start(command, port, tmp_path / "twistd.log", cwd=FOLDER, environment=environment)
            for text in ("two", "three"):
                say(other, text)
            cable.plug_in()
            missed = [signal(text, replayed=True) for text in ("two", "three")]
            for page in pages:
                page.wait_for(LOG, [OPENED, signal("one"), BACK, *missed])
            say(other, "four")
            for page in pages:
                page.wait_for(LOG, [OPENED, signal("one"), BACK, *missed, signal("four")])
        finally:
            program.stop()


@both_ways
def test_back_to_a_page_that_was_open(
    transport: str, program: Program, shared_firefox: Firefox, open_page: Callable[[str], FirefoxPage]
) -> None:
    """P36: a page that Firefox has not kept, since it was connected, begins anew at the position that it has kept,
    and has every message once.
    """
    url = url_of(program.port)
    page, other = open_page(url), open_page(url)
    # The page keeps its first position: Firefox may load the HTML from its cache, or anew with a newer position.
    begins = "options => ({ since: (sessionStorage.since ??= document.documentElement.dataset.since), ...options })"
    page.evaluate(CLIENT, "/rooms", page.evaluate(begins, {"transport": transport}))
    other.evaluate(CLIENT, "/rooms", {})
    say(page, "before")
    page.evaluate("() => { window.before = true; }")
    page.go_to(f"{url}signals.js")
    # Nobody waits for the acknowledgement of a page that has just gone. As a rule Firefox ends its connection at once;
    # on a busy machine it was seen to hold one for longer than 20 seconds.
    other.evaluate("() => client.send({ text: 'missed' })")
    page.go_back()
    page.wait_for("() => [document.title, document.readyState]", ["A page", "complete"])
    if page.evaluate("() => window.before") is not None:
        pytest.skip(f"Firefox {shared_firefox.version} has kept the page")
    page.evaluate(CLIENT, "/rooms", page.evaluate(begins, {"transport": transport}))
    other.evaluate("() => client.send({ text: 'after' })")
    missed = [signal(text, replayed=True) for text in ("before", "missed")]
    page.wait_for(LOG, [BACK, *missed, signal("after")])


def test_back_to_a_page_that_waited(program: Program, open_page: Callable[[str], FirefoxPage]) -> None:
    """P36, P86: a page that has lost its connection, and comes out of the back/forward cache, connects at once and has
    all that it missed.
    """
    with cable_to(program.port) as cable:
        page, other = open_page(url_of(cable.port)), open_page(url_of(program.port))
        page.evaluate(CLIENT, "/rooms", AWAY)
        other.evaluate(CLIENT, "/rooms", {})
        cable.pull()
        page.wait_for("() => client.state", "waiting")
        page.evaluate("() => { window.before = true; }")
        cable.plug_in()
        page.go_to(f"{url_of(cable.port)}signals.js")
        say(other, "missed")
        page.go_back()
        page.wait_for("() => [document.title, window.before ?? false]", ["A page", True])
        page.wait_for(LOG, [OPENED, BACK, signal("missed", replayed=True)])


def test_two_tabs_with_one_id(program: Program, open_page: Callable[[str], FirefoxPage]) -> None:
    """P86: two tabs with one client id do not take each other's place for ever: one of them stays."""
    both = [open_page(url_of(program.port)) for _ in range(2)]
    for page in both:
        # The second to be replaced comes back at once.
        page.evaluate("() => { Math.random = () => 0; }")
        page.evaluate(CLIENT, "/rooms?id=ada", {})
    ends = "() => client.state !== 'connecting' && client.state"
    both[0].wait_for(ends, "closed")
    both[1].wait_for(ends, "open")
    assert '"closed" 4409' in both[0].evaluate(LOG)
    say(both[1], "mine")


def test_offline(program: Program, shared_firefox: Firefox, open_page: Callable[[str], FirefoxPage]) -> None:
    """P68, P36: a page whose browser says that it is offline, and is not, keeps its connection; a page that has lost
    its connection connects at once when its browser says that it is online.
    """
    with cable_to(program.port) as cable:
        page = open_page(url_of(cable.port))
        page.evaluate(CLIENT, "/rooms", AWAY)
        try:
            page.set_offline(True)
        except AssertionError as error:
            if "unknown command" not in str(error):
                raise
            pytest.skip(f"Firefox {shared_firefox.version} has no such command")
        page.wait_for("() => navigator.onLine", False)
        say(page, "still here")
        cable.pull()
        page.wait_for("() => client.state", "waiting")
        cable.plug_in()
        page.set_offline(False)
        page.wait_for(LOG, [OPENED, signal("still here"), BACK])


def test_a_proxy_that_swallows(program: Program, open_page: Callable[[str], FirefoxPage]) -> None:
    """P92: where an upgrade gets no answer a page talks over server-sent events, and later by a WebSocket."""
    with cable_to(program.port, swallows_upgrades=True) as cable:
        page = open_page(url_of(cable.port))
        page.evaluate(CLIENT, "/rooms", {})
        assert page.evaluate("() => client.request('transport')") == "sse"
        cable.swallows_upgrades = False
        cable.pull()
        cable.plug_in()
        page.wait_for(LOG, [OPENED, BACK])
        assert page.evaluate("() => client.request('transport')") == "websocket"


def test_chat(tmp_path: Path, open_page: Callable[[str], FirefoxPage]) -> None:
    """S12.1: two chat pages of the default program say who is here and what was said, and their consoles no error."""
    with running(None, tmp_path) as program:
        pages = [open_page(url_of(program.port)) for _ in range(2)]
        for page, name in zip(pages, ("Ada", "Grace"), strict=True):
            page.wait_for("() => document.querySelector('#state').textContent", "connected")
            page.evaluate(FILL, "#name", name)
            page.wait_for(f"() => document.querySelector('#people').textContent.includes('{name} (you)')")
        texts = ["Hello from Firefox", "<b>Hello</b> again"]
        for text in texts:
            pages[0].evaluate(FILL, "#bc-form [name=message]", text)
        for page in pages:
            page.wait_for("() => document.querySelectorAll('#messages p').length", 2)
            said = page.evaluate("() => document.querySelector('#messages').textContent")
            assert [said.count(text) for text in texts] == [1, 1]
            page.wait_for("() => document.querySelectorAll('#people li').length", 2)
            assert page.errors() == []


def test_presence_board(tmp_path: Path, open_page: Callable[[str], FirefoxPage]) -> None:
    """P82: the pages of presence_board.py show who is in their room, and who goes; their consoles say no error."""
    people = "() => [...document.querySelectorAll('#board li')].map((each) => each.textContent)"
    with running("presence_board:service", tmp_path) as program:
        ada, grace = (open_page(f"{url_of(program.port)}?user={name}") for name in ("ada", "grace"))
        for page in (ada, grace):
            page.wait_for(people, ["ada", "grace"])
        grace.evaluate(FILL, "#room", "garden")
        ada.wait_for(people, ["ada"])
        grace.wait_for(people, ["grace"])
        assert ada.errors() + grace.errors() == []
