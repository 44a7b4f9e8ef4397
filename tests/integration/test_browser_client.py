"""The client for browsers in Debian's Chromium, against the real server; and what the guide shows without a library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import browsing, stay_home
from pages import DOCS, fences
from playwright.sync_api import Page
from programs import running

HERE = Path(__file__).parent


@contextmanager
def page_of_server(chromium: str, tmp_path: Path) -> Iterator[Page]:
    """A page of the server, which must not raise."""
    with running("browser_page:service", tmp_path, cwd=HERE / "browser_page") as program, browsing(chromium) as browser:
        context = browser.new_context()
        aborted = stay_home(context)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://localhost:{program.port}/")
        yield page
        assert not aborted
        assert not errors


def shown(page: Page, *lines: str) -> None:
    """Wait until the page has shown exactly these lines, and wait no longer than usual."""
    expected = "".join(f"{line}\n" for line in lines)
    try:
        page.wait_for_function("expected => document.querySelector('#log').textContent === expected", arg=expected)
    except Exception as error:
        found = page.locator("#log").text_content()
        raise AssertionError(f"the page shows\n{found}\nand not\n{expected}") from error


def run(page: Page, script: str) -> Any:
    """Run a module's text in the page, with the client that it has made before as ``client``."""
    return page.evaluate(f"async () => {{ {script} }}")


CLIENT = """
const { SignalClient } = await import("/signals.js");
window.client = new SignalClient("/rooms", { baseSeconds: 0.2 });
client.on("open", ({ name, recovered }) => show("open", name, recovered));
client.on("lost", () => show("lost"));
client.on("signal", ({ data, replayed }) => show("signal", data, replayed));
client.on("waiting", () => show("waiting"));
client.on("closed", ({ code, status }) => show("closed", code, status));
"""


@pytest.mark.own_event_loop
def test_the_client_in_chromium(chromium: str, tmp_path: Path) -> None:
    """P36: over a WebSocket a page connects, sends, asks, acknowledges and says which connection it has; cut off, it
    comes back as the same client, and gets what it missed.
    """
    with page_of_server(chromium, tmp_path) as page:
        run(page, CLIENT + "await client.ready;")
        shown(page, '"open" "Rooms" false')
        client_id = run(page, "return client.hello.clientId;")
        assert run(page, 'return client.request({ text: "soup" });') == {"read": 1}
        shown(page, '"open" "Rooms" false', '"signal" {"text":"soup"} false')
        refused = 'return client.request({ refuse: "By invitation." }).catch((error) => [String(error), error.code]);'
        assert run(page, refused) == ["SignalsError: By invitation.", "app.not_invited"]
        assert run(page, 'return (await client.fetch("/report", { method: "POST" })).status;') == 200
        run(page, "await client.send({ cut: 1012 });")
        shown(
            page,
            '"open" "Rooms" false',
            '"signal" {"text":"soup"} false',
            '"signal" {"reported":"Rooms"} false',
            '"waiting"',
            '"open" "Rooms" true',
            '"signal" {"text":"missed"} true',
        )
        assert run(page, "return client.hello.clientId;") == client_id
        run(page, "client.close();")
        page.wait_for_function("client.state === 'closed'")
        assert run(page, "return document.querySelector('#log').textContent.endsWith('\"closed\" 1000 \\n');")


@pytest.mark.own_event_loop
def test_the_plug_of_the_guide(chromium: str, tmp_path: Path) -> None:
    """P36: the lines of the guide that pull the plug keep a client away until it is in again; then nothing is lost."""
    plug = fences(DOCS / "browser-client.md", "js")[0].text
    opened = 'client.on("open", ({ recovered }) => show("open", recovered)); await client.ready;'
    with page_of_server(chromium, tmp_path) as page:
        run(
            page,
            f'const {{ SignalClient }} = await import("/signals.js"); {plug} {opened} Object.assign(window, {{ client,'
            " unplug, plugIn: () => plugIn(), other: new SignalClient('/rooms') });",
        )
        shown(page, '"open" false')
        run(page, "unplug();")
        page.wait_for_function("client.state === 'waiting'")
        run(page, "client.on('signal', ({ data, replayed }) => show('signal', data, replayed));")
        page.wait_for_function("client.state === 'connecting'")
        assert run(page, "return other.request({ text: 'soup' });") == {"read": 1}
        run(page, "plugIn();")
        shown(page, '"open" false', '"open" true', '"signal" {"text":"soup"} true')


@pytest.mark.own_event_loop
def test_a_refused_page(chromium: str, tmp_path: Path) -> None:
    """P88: where a path does not exist, a page learns the status, which a browser tells of no WebSocket."""
    with page_of_server(chromium, tmp_path) as page:
        run(page, CLIENT.replace('"/rooms"', '"/nowhere"'))
        shown(page, '"closed" 1006 404')


@pytest.mark.own_event_loop
def test_the_page_is_frozen(chromium: str, tmp_path: Path) -> None:
    """P86: a page that goes into the back/forward cache closes its connection, and is back when it is restored."""
    with page_of_server(chromium, tmp_path) as page:
        run(page, CLIENT + "await client.ready;")
        run(page, "dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));")
        shown(page, '"open" "Rooms" false', '"waiting"')
        run(page, "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));")
        shown(page, '"open" "Rooms" false', '"waiting"', '"open" "Rooms" true')


def without_a_library() -> str:
    """The snippet of the guide."""
    text = fences(DOCS / "browser-client.md", "js")[-1].text.strip()
    assert len(text.splitlines()) < 25
    return text


@pytest.mark.own_event_loop
def test_without_a_library(chromium: str, tmp_path: Path) -> None:
    """P1: the lines of the guide connect and send with a bare WebSocket, come back after a cut, and end with 4409."""
    said = '{ text, room: "kitchen" }'
    script = without_a_library().replace("/rooms`", "/rooms?id=ada`")
    assert said in script
    with page_of_server(chromium, tmp_path) as page:
        # Shorter waits, for the test.
        run(page, "Math.random = () => 0.1;")
        # The page says what it is told to.
        page.add_script_tag(content=script.replace(said, "text"))
        page.wait_for_function("!!window.say")
        run(page, "const { say } = window; window.say = null; say({ cut: 1012 });")
        page.wait_for_function("!!window.say")
        run(page, "say({ text: 'soup' });")
        shown(page, '"soup"')
        run(page, "new WebSocket(`ws://${location.host}/rooms?id=ada`);")
        shown(page, '"soup"', '"closed 4409"')
