"""Pages in a real browser: our own chat page, and a page as users of Pode have it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from browser import browsing, stay_home
from playwright.sync_api import expect
from programs import running
from xstatic.pkg import jquery

HERE = Path(__file__).parent
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@pytest.mark.own_event_loop
def test_chat_between_two_pages(chromium: str, tmp_path: Path) -> None:
    """S12.1: the default program's chat page: what one page says both show, and [date] is answered with a date; the
    page is dark where the browser wants dark pages.

    With PODE_SIGNALS_PICTURES=docs/pictures it leaves the picture that README.md shows.
    """
    with running(None, tmp_path) as program, browsing(chromium) as browser:
        context = browser.new_context(viewport={"width": 720, "height": 480})
        aborted = stay_home(context)
        one, other = context.new_page(), context.new_page()
        errors: list[str] = []
        for page in (one, other):
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"http://localhost:{program.port}/")
            expect(page.locator("#state")).to_have_text("connected")
        one.get_by_role("textbox").fill("Hello from the first browser")
        one.get_by_role("button").click()
        other.get_by_role("textbox").fill("<b>Hello</b> from the second")
        other.get_by_role("textbox").press("Enter")
        other.get_by_role("textbox").fill("[date]")
        other.get_by_role("button").click()
        for page in (one, other):
            messages = page.locator("#messages")
            expect(messages).to_contain_text("Hello from the first browser")
            expect(messages).to_contain_text("<b>Hello</b> from the second")
            expect(messages).to_contain_text(ISO_DATE)
        if folder := os.environ.get("PODE_SIGNALS_PICTURES"):
            one.screenshot(path=Path(folder) / "chat.png")
        one.emulate_media(color_scheme="dark")
        expect(one.locator("body")).to_have_css("background-color", "rgb(22, 24, 29)")
        expect(other.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
        assert not aborted
        assert not errors


@pytest.mark.own_event_loop
def test_page_written_for_pode(chromium: str, tmp_path: Path) -> None:
    """S5.1: a jQuery page with a bare WebSocket, as Pode's users have it, works unchanged against our server."""
    library = (Path(jquery.BASE_DIR) / "jquery.min.js").read_text(encoding="utf-8")
    page_folder = HERE / "pode_page"
    with running("pode_page:service", tmp_path, cwd=page_folder) as program, browsing(chromium) as browser:
        context = browser.new_context()
        aborted = stay_home(context, lambda url: library if "jquery" in url else None)
        one, other = context.new_page(), context.new_page()
        for page in (one, other):
            with page.expect_websocket():
                page.goto(f"http://localhost:{program.port}/")
        one.locator("input[name=message]").fill("from one page to another")
        one.locator("input[type=submit]").click()
        for page in (one, other):
            expect(page.locator("#messages")).to_contain_text('{"message":"from one page to another"}')
        other.locator("input[name=message]").fill("[date]")
        other.locator("input[type=submit]").click()
        for page in (one, other):
            expect(page.locator("#messages")).to_contain_text(ISO_DATE)
        assert not aborted
