"""Streams of server-sent events over real sockets: an HTTP client, Chromium, and nginx between."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from browser import browsing, stay_home
from certificate_files import issue
from programs import Program, free_port, running

SECONDS = 30
PROGRAM = """
import os
from klein import Klein
from pode_signals import Signals, SignalsService

app = Klein()
origins = os.environ.get("EVENTS_ORIGINS", "").split() or None
signals = Signals(allow_sse=True, send_queue_bytes=100_000, allowed_origins=origins)
signals.keep_history("Room")
sent = []

@app.route("/")
def page(request):
    request.setHeader("Content-Type", "text/html")
    return "<!doctype html><title>events</title>"

@app.route("/room")
def room(request):
    signals.convert(request, "Room")

@signals.route("/room")
def said(event):
    signals.send({"said": event.data.message}, name="Room")
    return event.data.message

@app.route("/account", methods=["GET", "POST", "DELETE"])
def account(request):
    if request.method != b"GET":
        sent.append(request.method.decode())
    return "the account"

@app.route("/sent")
def what_was_sent(request):
    return " ".join(sent)

@app.route("/send/<text>")
def send(request, text):
    signals.send(text, name="Room")
    return "sent"

@app.route("/break")
def break_all(request):
    for each in signals.connections("Room"):
        each.close(1001)
    return "broken"

def service():
    return SignalsService(signals, app.resource(), endpoints=[])
"""


@contextmanager
def serving(tmp_path: Path, origins: str = "") -> Iterator[Program]:
    """The program above."""
    (tmp_path / "events.py").write_text(PROGRAM)
    with running("events:service", tmp_path, cwd=tmp_path, environment={"EVENTS_ORIGINS": origins}) as started:
        yield started


async def frames_of(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The frames of a stream, as they come."""
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


async def talk(url: str) -> None:
    """A client of ``pode.signals.v1`` over HTTP alone: it says something, is cut off, and comes back."""
    accept = {"Accept": "text/event-stream;protocol=pode.signals.v1", "X-PODE-SIGNAL-RESUME": "-"}
    limit = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=limit) as session:
        async with session.get(url, headers=accept) as answer:
            assert answer.status == 200
            frames = frames_of(answer)
            hello = await anext(frames)
            assert hello["type"] == "hello"
            for number in range(1, 4):
                body = [{"type": "send", "id": f"{number}", "message": number}]
                headers = {"X-PODE-SIGNAL-TOKEN": hello["resumeToken"], "X-PODE-SIGNAL-POST": str(number)}
                # Each twice, as a browser does whose answer was lost.
                for _ in range(2):
                    async with session.post(url, json=body, headers=headers) as posted:
                        assert (posted.status, await posted.read()) == (202, b"")
            found = [await anext(frames) for _ in range(6)]
            assert [each["data"] for each in found if each["type"] == "reply"] == [1, 2, 3]
            signals = [each for each in found if each["type"] == "signal"]
            assert [each["data"] for each in signals] == [{"said": 1}, {"said": 2}, {"said": 3}]
        place = f"{hello['epoch']}.{signals[0]['offset']}.{hello['resumeToken']}"
        async with session.get(url, headers={**accept, "X-PODE-SIGNAL-RESUME": place}) as answer:
            frames = frames_of(answer)
            again = await anext(frames)
            assert (again["recovered"], again["clientId"]) == (True, hello["clientId"])
            assert [(await anext(frames))["data"] for _ in range(2)] == [{"said": 2}, {"said": 3}]
            async with session.delete(url, headers={"X-PODE-SIGNAL-TOKEN": again["resumeToken"]}) as left:
                assert left.status == 204
            rest = await answer.content.read()
            assert rest.endswith(b'event: close\ndata: {"code":1000,"reason":""}\n\n')


@pytest.mark.own_event_loop
def test_a_client_over_http(tmp_path: Path) -> None:
    """P90: a client of HTTP alone gets hello, replies and signals, comes back without loss, and leaves for good."""
    with serving(tmp_path) as program:
        asyncio.run(talk(f"http://localhost:{program.port}/room"))


def memory_bytes(program: Program) -> int:
    """The memory of the process that is its own."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1_024


def descriptors(program: Program) -> int:
    """How many file descriptors a program has open."""
    return len(list(Path(f"/proc/{program.process.pid}/fd").iterdir()))


STREAM = b"GET /room HTTP/1.1\r\nHost: localhost:%d\r\nAccept: text/event-stream;protocol=pode.signals.v1\r\n"
STREAM += b"X-PODE-SIGNAL-RESUME: -\r\n\r\n"
SOCKET = b"GET /room HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
SOCKET += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
SOCKET += b"Sec-WebSocket-Protocol: pode.signals.v1\r\n\r\n"


def crowd(program: Program, request: bytes, count: int) -> list[socket.socket]:
    """So many clients that have their hello."""
    found: list[socket.socket] = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", program.port), SECONDS)
        client.sendall(request % program.port)
        received = b""
        while b'"hello"' not in received:
            data = client.recv(65_536)
            assert data, received
            received += data
        found.append(client)
    return found


def test_memory_and_descriptors(tmp_path: Path) -> None:
    """P91: a stream takes no more memory than a WebSocket and a KiB, and no descriptor is left of streams that went."""
    took: dict[bytes, int] = {}
    for kind in (SOCKET, STREAM):
        folder = tmp_path / str(len(took))
        folder.mkdir()
        with serving(folder) as program:
            warm = crowd(program, kind, 50)
            before, open_before = memory_bytes(program), descriptors(program)
            clients = crowd(program, kind, 400)
            took[kind] = (memory_bytes(program) - before) // 400
            assert descriptors(program) == open_before + 400
            for each in clients:
                each.close()
            end = time.monotonic() + SECONDS
            while descriptors(program) > open_before:
                assert time.monotonic() < end
                time.sleep(0.05)
            for each in warm:
                each.close()
    assert took[STREAM] <= took[SOCKET] + 1_024, took


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_clients_that_never_read(secure: bool, tmp_path: Path) -> None:
    """P91: streams whose clients read nothing are gone soon, over TLS too, and others have every message."""
    options: list[str] = []
    if secure:
        issued = issue()
        (tmp_path / "cert.pem").write_bytes(issued.pem())
        (tmp_path / "key.pem").write_bytes(issued.key_pem())
        options = ["--certificate=cert.pem", "--certificate-key=key.pem"]
    (tmp_path / "events.py").write_text(PROGRAM)
    protocols = ("https", "wss") if secure else ("http", "ws")
    with running("events:service", tmp_path, *options, cwd=tmp_path, protocols=protocols) as program:
        context = ssl.create_default_context(cafile=issued.authority_file(tmp_path)) if secure else None

        def ask(path: bytes, *headers: bytes) -> socket.socket:
            client = socket.create_connection(("127.0.0.1", program.port), SECONDS)
            wrapped = client if context is None else context.wrap_socket(client, server_hostname="localhost")
            lines = [b"GET %b HTTP/1.1" % path, b"Host: localhost:%d" % program.port, *headers, b"", b""]
            wrapped.sendall(b"\r\n".join(lines))
            return wrapped

        before = descriptors(program)
        deaf = [ask(b"/room", b"Accept: text/event-stream") for _ in range(20)]
        end = time.monotonic() + SECONDS
        text = b"x" * 8_000
        # The system's buffers take some megabytes first.
        while descriptors(program) > before + 2:
            assert time.monotonic() < end
            with ask(b"/send/" + text, b"Connection: close") as asked:
                while asked.recv(65_536):
                    pass
        for each in deaf:
            each.close()


LISTEN = """
window.got = []; window.states = [];
window.source = new EventSource('/room');
source.onmessage = event => got.push([event.data, event.lastEventId]);
source.addEventListener('hello', event => states.push(JSON.parse(event.data).recovered));
"""


@pytest.mark.own_event_loop
def test_a_stock_event_source(chromium: str, tmp_path: Path) -> None:
    """P90: Chromium's own ``EventSource`` gets bare payloads with ids, and after a break what it missed, once each."""
    with serving(tmp_path) as program, browsing(chromium) as browser:
        home = f"http://localhost:{program.port}"
        context = browser.new_context()
        aborted = stay_home(context)
        page = context.new_page()
        page.goto(f"{home}/")
        page.evaluate(LISTEN)
        page.wait_for_function("states.length == 1")
        for path in ("send/one", "break", "send/two", "send/three"):
            page.evaluate("path => fetch('/' + path).then(answer => answer.text())", path)
        page.wait_for_function("got.length == 3 && states.length == 2", timeout=SECONDS * 1_000)
        page.evaluate("fetch('/send/four').then(answer => answer.text())")
        page.wait_for_function("got.length == 4")
        got, states = page.evaluate("[got, states]")
        assert [data for data, _ in got] == ["one", "two", "three", "four"]
        assert len({each for _, each in got}) == 4
        assert states == [False, True]
        assert not aborted


TALK = """
async home => {
    const url = home + '/room', own = {credentials: 'include'};
    const answer = await fetch(url, {...own, headers: {
        Accept: 'text/event-stream;protocol=pode.signals.v1', 'X-PODE-SIGNAL-RESUME': '-'}});
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('\\n\\n')) text += (await reader.read()).value;
    const token = JSON.parse(text.match(/^data: (.*)$/m)[1]).resumeToken;
    const headers = {'X-PODE-SIGNAL-TOKEN': token, 'Content-Type': 'application/json'};
    const posted = await fetch(url, {...own, method: 'POST', headers: {...headers, 'X-PODE-SIGNAL-POST': '1'},
        body: '[{"type":"send","id":"1","message":"across"}]'});
    while (!text.includes('"reply"')) text += (await reader.read()).value;
    const missing = await fetch(url, {...own, method: 'POST', headers: {...headers, 'X-PODE-SIGNAL-POST': '9'},
        body: '[1]'});
    const left = await fetch(url, {...own, method: 'DELETE', headers: {'X-PODE-SIGNAL-TOKEN': token}});
    return [answer.status, posted.status, missing.status, left.status];
}
"""
STEAL = """
async home => {
    const own = {credentials: 'include'}, url = home + '/account';
    const resume = {'X-PODE-SIGNAL-RESUME': '-'}, token = {'X-PODE-SIGNAL-TOKEN': 'a.b'};
    const json = {'Content-Type': 'application/json'};
    const found = [];
    for (const options of [
        {headers: {Accept: 'text/event-stream'}},
        {headers: {Accept: 'text/event-stream;protocol=pode.signals.v1', ...resume}},
        {method: 'POST', headers: {...json, ...resume}, body: '[1]'},
        {method: 'POST', headers: {...json, ...token}, body: '[1]'},
        {method: 'POST', headers: json, body: '[1]'},
        {method: 'DELETE', headers: token},
        {method: 'DELETE'},
    ]) {
        try { found.push(await (await fetch(url, {...own, ...options})).text()); }
        catch (error) { found.push('refused'); }
    }
    return found;
}
"""


@pytest.mark.own_event_loop
def test_a_page_of_another_origin(chromium: str, tmp_path: Path) -> None:
    """P91: a page of an origin that may connect has its stream and its POSTs in Chromium, and nothing else of the
    service: it reads no page of its user, and sends no JSON and no DELETE to one.
    """
    other = free_port()
    partner = ["python3", "-m", "http.server", str(other), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    (tmp_path / "index.html").write_text("<!doctype html><title>partner</title>")
    with (
        serving(tmp_path, origins=f"http://127.0.0.1:{other}") as program,
        subprocess.Popen(partner, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        browsing(chromium) as browser,
    ):
        try:
            _wait_for(other)
            home = f"http://localhost:{program.port}"
            # Without stay_home: where requests are intercepted, playwright itself answers what a browser asks before.
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{other}/")
            assert page.evaluate(TALK, home) == [200, 202, 409, 204]
            assert page.evaluate(STEAL, home) == ["refused"] * 7
            own = context.new_page()
            own.goto(f"{home}/sent")
            assert own.text_content("body") == ""
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), SECONDS).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("it did not start")


NGINX = """daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
access_log off;
{temporary}
server {{ listen 127.0.0.1:{plain}; location / {{ proxy_pass http://localhost:{back}; }} }}
server {{
    listen 127.0.0.1:{buffering};
    location / {{
        proxy_pass http://localhost:{back};
        proxy_http_version 1.1;
        proxy_buffering on;
        proxy_set_header Connection "";
        gzip on;
        gzip_types text/event-stream;
        gzip_min_length 0;
    }}
}}
}}
"""


@pytest.mark.own_event_loop
def test_nginx(nginx: str, tmp_path: Path) -> None:
    """P90: behind nginx with its defaults, HTTP/1.0 and buffers among them, and behind one that is told to buffer, each
    event comes at once, and POSTs go through.
    """
    with serving(tmp_path) as program:
        plain, buffering = free_port(), free_port()
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(f"{each}_temp_path {tmp_path / each};" for each in kinds)
        config = tmp_path / "nginx.conf"
        config.write_text(
            NGINX.format(folder=tmp_path, temporary=temporary, plain=plain, buffering=buffering, back=program.port)
        )
        command = [nginx, "-p", str(tmp_path), "-e", "stderr", "-c", str(config)]
        with (tmp_path / "nginx.log").open("wb") as log:
            proxy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            for port in (plain, buffering):
                _wait_for(port)
                asyncio.run(talk(f"http://127.0.0.1:{port}/room"))
        finally:
            proxy.terminate()
            proxy.wait(SECONDS)
