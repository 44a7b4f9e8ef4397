"""The client for browsers where no WebSocket gets through: proxies that strip upgrades, buffer, or swallow them."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import browsing, stay_home
from cable import Cable, cable_to
from conftest import require
from playwright.sync_api import BrowserContext, Page, expect
from programs import free_port, running

HERE = Path(__file__).parent
# What a site has that was set up for pages: no line about upgrades, and answers are buffered.
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr; {user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{front};
        location / {{
            proxy_pass http://127.0.0.1:{back};
            proxy_set_header Host $http_host;
            proxy_buffering on;
        }}
    }}
}}
"""
CLIENT = """async () => {
    const { SignalClient } = await import("/signals.js");
    window.client = new SignalClient("/rooms", { baseSeconds: 0.2 });
    client.on("open", ({ recovered }) => show("open", recovered));
    client.on("signal", ({ data, replayed }) => show("signal", data, replayed));
    await client.ready;
}"""


@contextmanager
def nginx_to(back: int, folder: Path) -> Iterator[int]:
    """Nginx in front of a port; gives its own."""
    front = free_port()
    configuration = folder / "nginx.conf"
    user = "user root;" if folder.stat().st_uid == 0 else ""
    configuration.write_text(NGINX.format(folder=folder, front=front, back=back, user=user))
    nginx = subprocess.Popen(
        [require("nginx"), "-p", folder, "-e", "stderr", "-c", configuration], stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", front)) == 0:
                    break
            time.sleep(0.1)
        yield front
    finally:
        nginx.terminate()
        nginx.wait(10)


@contextmanager
def behind_a_cable(chromium: str, tmp_path: Path) -> Iterator[tuple[Cable, BrowserContext]]:
    """The server behind a cable that swallows upgrades, and a browser."""
    with (
        running("browser_page:service", tmp_path, cwd=HERE / "browser_page") as program,
        browsing(chromium) as browser,
        cable_to(program.port, swallows_upgrades=True) as cable,
    ):
        context = browser.new_context()
        stay_home(context)
        yield cable, context


def opened(page: Page, port: int) -> Page:
    """The page, with a client that is open."""
    page.goto(f"http://127.0.0.1:{port}/")
    page.evaluate(CLIENT)
    return page


def ask(page: Page, message: object) -> object:
    return page.evaluate("message => client.request(message)", message)


@pytest.mark.own_event_loop
def test_a_proxy_that_strips_and_buffers(chromium: str, tmp_path: Path) -> None:
    """P92: behind an nginx that knows nothing of upgrades a page talks over server-sent events, and loses nothing."""
    with (
        running("browser_page:service", tmp_path, cwd=HERE / "browser_page") as program,
        browsing(chromium) as browser,
        nginx_to(program.port, tmp_path) as port,
    ):
        context = browser.new_context()
        stay_home(context)
        page = opened(context.new_page(), port)
        assert ask(page, "transport") == "sse"
        assert ask(page, {"text": "hello"}) == {"read": 1}
        # The stream may end before the answer to the POST comes; then nobody knows whether it was taken.
        page.evaluate("client.send({ cut: 1001 }).catch(() => {})")
        log = page.locator("#log")
        expect(log).to_contain_text('"open" true')
        expect(log).to_contain_text('"signal" {"text":"missed"} true')
        assert ask(page, "transport") == "sse"


@pytest.mark.own_event_loop
def test_a_proxy_that_swallows(chromium: str, tmp_path: Path) -> None:
    """P92: where an upgrade gets no answer a page talks over server-sent events, and later by a WebSocket."""
    with behind_a_cable(chromium, tmp_path) as (cable, context):
        page = opened(context.new_page(), cable.port)
        assert ask(page, "transport") == "sse"
        cable.swallows_upgrades = False
        again = "times => document.querySelector('#log').textContent.split('\"open\" true').length > times"
        for times in range(1, 4):
            cable.pull()
            cable.plug_in()
            page.wait_for_function(again, arg=times, timeout=15_000)
            # On a busy machine the answer to an upgrade may take longer than the page waits.
            if ask(page, "transport") == "websocket":
                return
        raise AssertionError("the page stays with server-sent events")


@pytest.mark.own_event_loop
def test_five_tabs(chromium: str, tmp_path: Path) -> None:
    """P92: five tabs with a stream each load and send, by the last of the six connections that a browser opens."""
    with behind_a_cable(chromium, tmp_path) as (cable, context):
        pages = [opened(context.new_page(), cable.port) for _ in range(5)]
        assert [ask(page, "transport") for page in pages] == ["sse"] * 5
