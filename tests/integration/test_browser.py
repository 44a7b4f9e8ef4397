"""Pages in a real browser: our own chat page, and a page as users of Pode have it."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import pytest
from browser import browsing, stay_home
from cable import cable_to
from playwright.sync_api import Browser, Page, expect
from programs import running
from xstatic.pkg import jquery

HERE = Path(__file__).parent
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@pytest.mark.own_event_loop
def test_chat_between_two_pages(chromium: str, tmp_path: Path) -> None:
    """S12.1: the default program's chat page: what one page says both show, with who said so, and [date] is answered
    with a date; both see who is here; the page is dark where the browser wants dark pages.

    With PODE_SIGNALS_PICTURES=docs/pictures it leaves the pictures that README.md's is made of.
    """
    with running(None, tmp_path) as program, browsing(chromium) as browser:
        context = browser.new_context(viewport={"width": 720, "height": 480})
        aborted = stay_home(context)
        one, other = context.new_page(), context.new_page()
        errors: list[str] = []
        for page, name in ((one, "Ada"), (other, "Grace")):
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"http://localhost:{program.port}/")
            expect(page.locator("#state")).to_have_text("connected")
            page.get_by_label("Your name").fill(name)
            page.get_by_label("Your name").press("Enter")
            expect(page.locator("#people")).to_contain_text(f"{name} (you)")
        expect(one.locator("#people li")).to_have_text(["Ada (you)", "Grace"])
        expect(other.locator("#people li")).to_have_text(["Ada", "Grace (you)"])
        say(one, "Hello from the first browser")
        say(other, "<b>Hello</b> from the second")
        say(other, "   ")
        say(one, "[date]")
        for page in (one, other):
            lines = page.locator("#messages p")
            expect(lines).to_have_count(3)
            expect(lines.nth(0)).to_contain_text("Hello from the first browser")
            expect(lines.nth(0).locator("span")).to_contain_text("Ada · ")
            expect(lines.nth(1)).to_contain_text("<b>Hello</b> from the second")
            expect(lines.nth(2)).to_contain_text(ISO_DATE)
        if folder := os.environ.get("PODE_SIGNALS_PICTURES"):
            picture(browser, [one, other], Path(folder) / "chat.png")
        # Under another name the page goes on where it was.
        one.get_by_label("Your name").fill("Countess")
        one.get_by_label("Your name").press("Enter")
        expect(other.locator("#people li").first).to_have_text("Countess", timeout=20_000)
        say(one, "the same page")
        expect(one.locator("#messages p")).to_have_count(4)
        one.emulate_media(color_scheme="dark")
        expect(one.locator("body")).to_have_css("background-color", "rgb(22, 24, 29)")
        expect(other.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
        assert not aborted
        assert not errors


@pytest.mark.own_event_loop
def test_chat_that_is_cut_off(chromium: str, tmp_path: Path) -> None:
    """P36: a chat page whose connection breaks says so, comes back, and has all that was said meanwhile, in order."""
    with running(None, tmp_path) as program, cable_to(program.port) as cable, browsing(chromium) as browser:
        phone, desktop = browser.new_context(viewport={"width": 390, "height": 640}), browser.new_context()
        one, other = phone.new_page(), desktop.new_page()
        for page, port in ((one, cable.port), (other, program.port)):
            page.goto(f"http://localhost:{port}/")
            expect(page.locator("#state")).to_have_text("connected")
        for number in range(30):
            say(other, f"message {number}")
        lines = one.locator("#messages p")
        expect(lines).to_have_count(30)
        # The newest message is in sight, and the page is not wider than a phone.
        expect(lines.last).to_be_in_viewport()
        assert one.evaluate("document.documentElement.scrollWidth <= innerWidth")
        cable.pull()
        expect(one.locator("#state")).to_have_text("not connected, trying again…")
        for number in range(30, 33):
            say(other, f"message {number}")
        cable.plug_in()
        expect(lines).to_have_count(33, timeout=20_000)
        assert [int(text.split()[-1]) for text in lines.all_inner_texts()] == list(range(33))
        expect(one.locator("#state")).to_have_text("connected")


def picture(browser: Browser, pages: list[Page], path: Path) -> None:
    """A picture of pages side by side."""
    shots = [base64.b64encode(page.screenshot()).decode() for page in pages]
    frames = "".join(f'<img src="data:image/png;base64,{shot}">' for shot in shots)
    style = "body{margin:0;padding:16px;display:flex;gap:16px;background:#e6e8ec} img{border-radius:8px}"
    sheet = browser.new_page(viewport={"width": 1_488, "height": 512})
    sheet.set_content(f"<style>{style}</style>{frames}")
    sheet.screenshot(path=path)


def say(page: Page, text: str) -> None:
    """Send a message from a chat page."""
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_label("Message", exact=True).press("Enter")


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
