"""The examples that have more than chat to show, with their pages in a real browser."""

from __future__ import annotations

import json
import re
import ssl
import urllib.request
from pathlib import Path

import pytest
import websocket
from browser import browsing, stay_home
from playwright.sync_api import Page, expect
from programs import Program, running

SECONDS = 15


def connect(program: Program, path: str) -> websocket.WebSocket:
    """A plain client."""
    return websocket.create_connection(f"ws://localhost:{program.port}{path}", timeout=SECONDS)


def post(program: Program, path: str) -> str:
    """The text that a POST without a body gets."""
    with urllib.request.urlopen(f"http://localhost:{program.port}{path}", b"", timeout=SECONDS) as answer:
        text: str = answer.read().decode("utf-8")
        return text


def test_schedule(tmp_path: Path) -> None:
    """S13.1: schedule.py broadcasts what its schedule says, and tells the next minute."""
    with running("schedule:service", tmp_path) as program:
        client = connect(program, "/response-times")
        assert re.fullmatch(r"The next one comes at \d\d:\d\d\.\n", post(program, "/now"))
        assert json.loads(client.recv()) == {"Durations": [123, 101, 104]}
        client.close()


def test_auto_upgrade(tmp_path: Path) -> None:
    """S11.1: auto_upgrade.py names connections after their paths, without a route of the application."""
    with running("auto_upgrade:service", tmp_path, own_endpoints="?auto_upgrade=yes") as program:
        one, other, elsewhere = (connect(program, path) for path in ("/messages", "/messages", "/elsewhere"))
        one.send('{"message": "hello"}')
        assert [json.loads(client.recv()) for client in (one, other)] == [{"message": "hello"}] * 2
        elsewhere.send('{"message": "to my own path", "path": "/elsewhere"}')
        assert elsewhere.recv() == "to my own path"
        post(program, "/close")
        opcode, payload = one.recv_data()
        assert (opcode, payload) == (websocket.ABNF.OPCODE_CLOSE, (4000).to_bytes(2, "big") + b"closed by the example")
        for client in (one, other, elsewhere):
            client.shutdown()
    assert "deprecated" in program.text()


@pytest.mark.own_event_loop
def test_wss(chromium: str, tmp_path: Path) -> None:
    """S1.2, S1.5: wss.py serves its page and its socket over TLS on one port."""
    with running("wss:service", tmp_path, protocols=("https", "wss"), own_endpoints="?self_signed=yes") as program:
        unverified = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
        url = f"wss://localhost:{program.port}/echo"
        client = websocket.create_connection(url, timeout=SECONDS, sslopt=unverified)
        client.send('{"message": "hello", "direct": true}')
        assert client.recv() == "wss: hello"
        client.close()
        with browsing(chromium) as browser:
            context = browser.new_context(ignore_https_errors=True)
            aborted = stay_home(context)
            page = context.new_page()
            page.goto(f"https://localhost:{program.port}/")
            expect(page.locator("#answer")).to_have_text("wss: over TLS")
            assert not aborted


@pytest.mark.own_event_loop
def test_ajax_reply(chromium: str, tmp_path: Path) -> None:
    """S15.1: ajax_reply.py answers a request over the socket that its header names, and refuses an unknown one."""
    with running("ajax_reply:service", tmp_path) as program, browsing(chromium) as browser:
        context = browser.new_context()
        aborted = stay_home(context)
        page = context.new_page()
        page.goto(f"http://localhost:{program.port}/")
        expect(page.locator("#status")).to_have_text("ready")
        page.locator("#number").fill("50")
        page.locator("input[type=submit]").click()
        expect(page.locator("#answer")).to_have_text("100")
        expect(page.locator("#status")).to_have_text("accepted")
        forged = {"method": "POST", "body": "1", "headers": {"X-PODE-SIGNAL-CLIENT-ID": "s:made-up.c2lnbmF0dXJl"}}
        assert page.evaluate("options => fetch('/double', options).then(answer => answer.status)", forged) == 400
        assert not aborted


@pytest.mark.own_event_loop
def test_rpc(chromium: str, tmp_path: Path) -> None:
    """P23, P26: the page of rpc.py shows the reply to its question or the refusal, and each page what is taken."""
    with running("rpc:service", tmp_path) as program, browsing(chromium) as browser:
        context = browser.new_context()
        aborted = stay_home(context)
        one, other = context.new_page(), context.new_page()
        for page in (one, other):
            page.goto(f"http://localhost:{program.port}/")
            expect(page.locator("#answer")).to_have_text("ready")
        for page, answer in ((one, "You have 1A; seats left: 8"), (other, "This seat is taken. (app.seat_taken)")):
            page.locator("#seat").fill("1A")
            page.locator("input[type=submit]").click()
            expect(page.locator("#answer")).to_have_text(answer)
            expect(page.locator("#taken")).to_have_text("1A")
        assert not aborted


@pytest.mark.own_event_loop
def test_rooms(chromium: str, tmp_path: Path) -> None:
    """P36, P47: a page of rooms.py that was cut off and connects again is in its rooms, and has what was said."""
    with running("rooms:service", tmp_path) as program, browsing(chromium) as browser:
        context = browser.new_context()
        aborted = stay_home(context)
        one, other = context.new_page(), context.new_page()
        for page in (one, other):
            page.goto(f"http://localhost:{program.port}/")
            expect(page.locator("#status")).to_have_text("open")
            page.get_by_label("kitchen").check()
            expect(page.locator("#room option")).to_have_text(["kitchen"])
        one.get_by_label("attic").click()
        expect(one.locator("#messages")).to_have_text("This room is by invitation. (app.not_invited)")
        expect(one.get_by_label("attic")).not_to_be_checked()
        one.locator("#cut").click()
        expect(one.locator("#status")).to_have_text("closed")
        other.locator("#text").fill("soup")
        other.get_by_role("button", name="Say").click()
        expect(other.locator("#messages")).to_have_text("kitchen: soup")
        one.locator("#connect").click()
        expect(one.locator("#messages p")).to_have_text(
            ["This room is by invitation. (app.not_invited)", "kitchen: soup"]
        )
        expect(one.locator("#room option")).to_have_text(["kitchen"])
        expect(one.get_by_label("kitchen")).to_be_checked()
        assert not aborted


@pytest.mark.own_event_loop
def test_presence_board(chromium: str, tmp_path: Path) -> None:
    """P82: the pages of presence_board.py show who is in their room, in what colour, and who comes and goes."""
    with running("presence_board:service", tmp_path) as program, browsing(chromium) as browser:
        context = browser.new_context()
        aborted = stay_home(context)
        ada, grace = context.new_page(), context.new_page()
        for page, name in ((ada, "ada"), (grace, "grace")):
            page.goto(f"http://localhost:{program.port}/?user={name}")
            expect(page.locator("#status")).to_have_text("open")
        for page in (ada, grace):
            expect(page.locator("#board li")).to_have_text(["ada", "grace"])
        grace.get_by_label("Your colour").fill("#ff0000")
        expect(ada.locator("#board li").last).to_have_css("border-left-color", "rgb(255, 0, 0)")
        grace.get_by_label("Room").select_option("garden")
        expect(ada.locator("#board li")).to_have_text(["ada"])
        expect(grace.locator("#board li")).to_have_text(["grace"])
        ada.get_by_label("Room").select_option("garden")
        expect(grace.locator("#board li")).to_have_text(["ada", "grace"])
        ada.close()
        expect(grace.locator("#board li")).to_have_text(["grace"], timeout=20_000)
        assert not aborted


@pytest.mark.own_event_loop
def test_resume(chromium: str, tmp_path: Path) -> None:
    """P36: the page of resume.py misses no number after its plug was out, and shows which came afterwards."""
    with running("resume:service", tmp_path) as program, browsing(chromium) as browser:
        context = browser.new_context()
        aborted = stay_home(context)
        page = context.new_page()
        page.goto(f"http://localhost:{program.port}/")
        expect(page.locator("#numbers span").nth(2)).to_be_visible()
        page.get_by_role("button").click()
        expect(page.locator("#status")).to_have_text("the plug is out")
        expect(page.locator("#status")).to_have_text("open again", timeout=15_000)
        expect(page.locator("#numbers b").nth(3)).to_be_visible()
        after = page.locator("#numbers b").count() + page.locator("#numbers span").count() + 2
        expect(page.locator("#numbers > *").nth(after)).to_be_visible()
        numbers = [int(text) for text in page.locator("#numbers > *").all_inner_texts()]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        expect(page.locator("#missing")).to_have_text("0")
        assert not aborted


def log_in(page: Page, program: Program, user: str, password: str) -> None:
    """Fill the form in."""
    page.goto(f"http://localhost:{program.port}/")
    page.get_by_placeholder("user").fill(user)
    page.get_by_placeholder("password").fill(password)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.own_event_loop
def test_auth_form(chromium: str, tmp_path: Path) -> None:
    """S2.2, S10.2: auth_form.py lets members in alone, announces them, and closes with 4000 who logs out."""
    with running("auth_form:service", tmp_path) as program, browsing(chromium) as browser:
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            connect(program, "/members")
        assert refused.value.status_code == 401
        pages = []
        for user, password in (("ada", "lovelace"), ("alan", "turing")):
            context = browser.new_context()
            aborted = stay_home(context)
            page = context.new_page()
            log_in(page, program, user, "wrong")
            expect(page.locator("#said")).to_contain_text("not a user")
            log_in(page, program, user, password)
            expect(page.locator("#user")).to_have_text(user)
            expect(page.locator("body")).to_have_attribute("data-state", "open")
            (cookie,) = context.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
            assert page.evaluate("document.cookie") == ""
            pages.append(page)
            assert not aborted
        ada, alan = pages
        expect(ada.locator("#messages")).to_contain_text("alan logged in")
        alan.locator("#text").fill("good morning")
        alan.get_by_role("button", name="Say").click()
        expect(ada.locator("#messages")).to_contain_text("alan: good morning")
        ada.locator("#count").click()
        expect(ada.locator("#number")).to_have_text("go")
        second = ada.context.new_page()  # another connection of the same user
        second.goto(f"http://localhost:{program.port}/")
        expect(second.locator("body")).to_have_attribute("data-state", "open")
        ada.get_by_role("button", name="Log out").click()
        expect(second.locator("#messages")).to_contain_text("closed: 4000 logged out")
        expect(alan.locator("#messages")).to_contain_text("ada logged out")
        forged = "fetch('/logout', {method: 'POST', body: new URLSearchParams({token: 'x'})}).then(a => a.status)"
        assert alan.evaluate(forged) == 403
        expect(alan.locator("#user")).to_have_text("alan")
