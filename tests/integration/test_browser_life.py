"""What becomes of a page: frozen, hidden, left and come back to, offline, open twice. By Chromium's own means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import ARGUMENTS, stay_home
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright
from programs import Program, running

HERE = Path(__file__).parent
CLIENT = """async (path) => {
    const { SignalClient } = await import("/signals.js");
    window.client = new SignalClient(path, { baseSeconds: 0.2 });
    client.on("open", ({ recovered }) => show("open", recovered));
    client.on("signal", ({ data, replayed }) => show("signal", data, replayed));
    client.on("closed", ({ code }) => show("closed", code));
    await client.ready;
}"""


@contextmanager
def pages(chromium: str, tmp_path: Path) -> Iterator[tuple[Program, BrowserContext]]:
    """The server, and a browser with a back/forward cache, which Playwright turns off otherwise."""
    with (
        running("browser_page:service", tmp_path, cwd=HERE / "browser_page") as program,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=chromium, args=ARGUMENTS, ignore_default_args=["--disable-back-forward-cache"]
        )
        context = browser.new_context()
        stay_home(context)
        yield program, context
        browser.close()


def opened(page: Page, program: Program, path: str = "/rooms") -> Page:
    page.goto(f"http://localhost:{program.port}/")
    page.evaluate(CLIENT, path)
    return page


def alone(page: Page) -> None:
    """Wait until the page's connection is the only one."""
    for _ in range(100):
        if page.evaluate("client.request('count')") == 1:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the other page is still connected")


def say(page: Page, text: str) -> None:
    page.evaluate("text => client.request({ text })", text)


@pytest.mark.own_event_loop
def test_frozen(chromium: str, tmp_path: Path) -> None:
    """P67: a page that is frozen closes its connection, and has all that it missed when it goes on."""
    with pages(chromium, tmp_path) as (program, context):
        page, other = opened(context.new_page(), program), opened(context.new_page(), program)
        # Chromium freezes no page that is visible, as all are without a window: the events are made here.
        page.evaluate("document.dispatchEvent(new Event('freeze'))")
        alone(other)
        say(other, "missed")
        page.evaluate("document.dispatchEvent(new Event('resume'))")
        expect(page.locator("#log")).to_have_text('"open" false\n"open" true\n"signal" {"text":"missed"} true\n')


@pytest.mark.own_event_loop
def test_back_and_forward(chromium: str, tmp_path: Path) -> None:
    """P67: a page that comes out of the back/forward cache has all that it missed."""
    with pages(chromium, tmp_path) as (program, context):
        page, other = opened(context.new_page(), program), opened(context.new_page(), program)
        page.evaluate("window.before = true")
        page.goto(f"http://localhost:{program.port}/signals.js")
        alone(other)
        say(other, "missed")
        page.go_back(wait_until="commit")
        if page.evaluate("window.before") is not True:
            pytest.skip("this Chromium has not kept the page")
        expect(page.locator("#log")).to_have_text('"open" false\n"open" true\n"signal" {"text":"missed"} true\n')


@pytest.mark.own_event_loop
def test_offline(chromium: str, tmp_path: Path) -> None:
    """P68: a browser that says that it is offline, and is not, keeps its connection."""
    with pages(chromium, tmp_path) as (program, context):
        page = opened(context.new_page(), program)
        session = context.new_cdp_session(page)
        for offline in (True, False):
            conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
            session.send("Network.emulateNetworkConditions", conditions)
        say(page, "still here")
        expect(page.locator("#log")).to_have_text('"open" false\n"signal" {"text":"still here"} false\n')


@pytest.mark.own_event_loop
def test_two_tabs_with_one_id(chromium: str, tmp_path: Path) -> None:
    """P86: two tabs with one client id do not take each other's place for ever: one of them stays."""
    with pages(chromium, tmp_path) as (program, context):
        one = opened(context.new_page(), program, "/rooms?id=ada")
        other = opened(context.new_page(), program, "/rooms?id=ada")
        both = [one, other]
        for _ in range(300):
            states = [page.evaluate("client.state") for page in both]
            if "closed" in states:
                break
            one.wait_for_timeout(100)
        assert sorted(states) == ["closed", "open"]
        expect(both[states.index("closed")].locator("#log")).to_contain_text('"closed" 4409')
        say(both[states.index("open")], "mine")
