"""Operations of a real process: by real sockets, from other users, while it stands still, starts and stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import websockets
from programs import Program, free_port, running

from pode_signals import Operations

SECONDS = 30
CLIENTS = 500
SCRAPER = Operations.new_token(label="prometheus", scopes=["metrics"])
PROGRAM = """
import time
from twisted.web.resource import Resource
from pode_signals import Signals, SignalsService

signals = Signals()
signals.enable_signing("MARK-secret-of-signing-of-thirty-two-bytes")

class Root(Resource):
    isLeaf = True

    def render_GET(self, request):
        if request.path == b"/msg":
            signals.convert(request, name="Msg")
        if request.path == b"/stall":
            time.sleep(1.5)
        return b"hello"

@signals.route("/msg")
def said(event):
    pass

service = SignalsService(signals, Root(), [])
"""
NODE = """
import os
from twisted.web.resource import Resource
from pode_signals import RedisBackplane, Signals, SignalsService

backplane = RedisBackplane(os.environ["URL"], key="a secret of thirty-two characters")
service = SignalsService(Signals(backplane=backplane), Resource(), [])
"""


@pytest.fixture
def operated(tmp_path: Path) -> Iterator[tuple[Program, Path, int]]:
    """A program with operations on a UNIX socket that every user may open, and on a port of loopback."""
    (tmp_path / "operated_program.py").write_text(PROGRAM)
    (tmp_path / "tokens.toml").write_text(SCRAPER.block)
    (tmp_path / "tokens.toml").chmod(0o600)
    # The folders of pytest are closed to other users.
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        path, port = Path(folder, "operations.socket"), free_port()
        yield from _operated(tmp_path, path, port)


def _operated(tmp_path: Path, path: Path, port: int) -> Iterator[tuple[Program, Path, int]]:
    options = [
        *(f"--operations-endpoint=http+unix:{path}:mode=666", f"--operations-endpoint=http://127.0.0.1:{port}"),
        *(f"--operations-tokens={tmp_path / 'tokens.toml'}", "--log-level=debug", "--log-format=json"),
        "--drain-seconds=20",
    ]
    with running("operated_program:service", tmp_path, *options, cwd=tmp_path) as program:
        yield program, path, port


def ask(where: Path | int, path: str, *headers: str, host: str = "localhost", method: str = "GET") -> tuple[int, bytes]:
    """The status and the body that a UNIX socket or a port of loopback answers with; 0 where nobody answers."""
    family = socket.AF_INET if isinstance(where, int) else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(SECONDS)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
        data = b""
        with suppress(OSError):
            client.connect(("127.0.0.1", where) if isinstance(where, int) else str(where))
            client.sendall("\r\n".join(lines).encode())
            while more := client.recv(65_536):
                data += more
    if not data:
        return 0, b""
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


AS_NOBODY = """
import os, socket, sys
os.setuid(65_534)
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b"GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
print(client.recv(65_536).split(b" ")[1].decode())
"""


def test_who_may_what(operated: tuple[Program, Path, int]) -> None:
    """O3.1: by real sockets, each row of who may what: the same user, another user, loopback, a page that rebinds, a
    proxy, a foreign page, a token.
    """
    _program, path, port = operated
    assert ask(path, "/metrics")[0] == 200
    assert ask(port, "/metrics")[0] == 200
    assert ask(port, "/metrics", host="evil.example")[0] == 401
    assert ask(port, "/metrics", "X-Forwarded-For: 127.0.0.1")[0] == 401
    assert ask(path, "/metrics", "X-Forwarded-For: 127.0.0.1")[0] == 401
    assert ask(port, "/metrics", "Origin: https://evil.example")[0] == 401
    assert ask(port, "/metrics", "Sec-Fetch-Site: cross-site")[0] == 401
    assert ask(port, "/metrics", f"Authorization: Bearer {SCRAPER.text}", host="evil.example")[0] == 200
    assert ask(port, "/metrics", method="POST")[0] == 401
    if os.geteuid() == 0:
        command = [sys.executable, "-c", AS_NOBODY, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.stdout.strip(), done.stderr) == ("401", "")


@pytest.mark.own_event_loop
def test_secrets(operated: tuple[Program, Path, int]) -> None:
    """O7.4: what clients show, say and ask for is in no line of the log, in no metric and in no answer of a refusal."""
    program, path, port = operated
    mark = "MARK4kzq2m7ahd3x"
    headers = (f"Authorization: Bearer pst_{mark}", f"Cookie: session={mark}", f"X-PODE-SIGNAL-CLIENT-ID: s:ada.{mark}")
    answers = [
        ask(port, f"/metrics?secret={mark}", *headers)[1],
        ask(port, f"/metrics?token={mark}")[1],
        ask(port, f"/metrics?x={SCRAPER.text}")[1],
        ask(program.port, f"/page?secret={mark}", *headers)[1],
        ask(program.port, f"/msg?secret={mark}", "Upgrade: websocket", "Connection: Upgrade", *headers[:2])[1],
    ]

    async def talk() -> None:
        uri = f"ws://127.0.0.1:{program.port}/msg?secret={mark}"
        async with websockets.connect(uri, proxy=None, additional_headers={"Cookie": mark}) as client:
            await client.send(json.dumps({"message": mark}))
            await client.send(mark)
            await client.send(json.dumps({"message": mark, "clientId": f"s:ada.{mark}"}))

    asyncio.run(talk())
    answers.append(ask(path, "/metrics")[1])
    answers.append(Path(f"/proc/{program.process.pid}/cmdline").read_bytes())
    program.stop()
    seen = program.text().encode() + b"".join(answers)
    assert b"request.served" in seen
    for secret in ("MARK", SCRAPER.text[17:], SCRAPER.text[:20]):
        assert secret.encode() not in seen


def test_a_reactor_that_stands_still(operated: tuple[Program, Path, int]) -> None:
    """O2.6: while the process stands still there is no answer; afterwards it is live, and degraded for its lag."""
    program, path, _port = operated
    with socket.create_connection(("127.0.0.1", program.port), SECONDS) as stalling:
        stalling.sendall(b"GET /stall HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
        began = time.monotonic()
        assert ask(path, "/livez")[0] == 200
        assert time.monotonic() - began > 0.8
    end = time.monotonic() + SECONDS
    while (answer := json.loads(ask(path, "/readyz")[1]))["status"] != "degraded":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert [each["code"] for each in answer["causes"]] == ["reactor_lag"]
    buckets = [line for line in ask(path, "/metrics")[1].splitlines() if b'lag_seconds_bucket{le="1.0"}' in line]
    count = [line for line in ask(path, "/metrics")[1].splitlines() if b"lag_seconds_count" in line]
    assert float(count[0].split()[1]) > float(buckets[0].split()[1])


@pytest.mark.own_event_loop
def test_a_stop_is_seen(operated: tuple[Program, Path, int]) -> None:
    """O2.4: at SIGTERM with 500 clients ``/readyz`` says so at once, and until the last of them is gone."""
    program, path, _port = operated
    seen: list[tuple[float, int]] = []

    async def stop() -> None:
        gate = asyncio.Semaphore(50)

        async def connect() -> websockets.ClientConnection:
            async with gate:
                return await websockets.connect(f"ws://127.0.0.1:{program.port}/msg", proxy=None, open_timeout=SECONDS)

        clients = await asyncio.gather(*(connect() for _ in range(CLIENTS)))
        assert ask(path, "/readyz")[0] == 200
        program.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        closed = asyncio.gather(*(each.wait_closed() for each in clients))
        while not closed.done():
            seen.append((time.monotonic() - began, await asyncio.to_thread(lambda: ask(path, "/readyz")[0])))
            await asyncio.sleep(0.02)
        await closed

    asyncio.run(stop())
    first = next(seconds for seconds, status in seen if status == 503)
    assert first < 1
    # Once it stops it never says anything else, until the last client is gone and so is it.
    assert {status for seconds, status in seen[:-1] if seconds >= first} == {503}
    assert seen[-1][1] in (503, 0)
    assert len(seen) > 2
    program.process.wait(SECONDS)
    assert ask(path, "/readyz")[0] == 0


def test_nodes_that_are_not_reached(tmp_path: Path) -> None:
    """O2.6: with a backplane that does not answer a start is live and not ready."""
    (tmp_path / "node_program.py").write_text(NODE)
    path = tmp_path / "operations.socket"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        options = [f"--operations-endpoint=http+unix:{path}", "--operations-ready-needs-backplane=yes"]
        # A stop before the other nodes were reached is a traceback of the backplane's start.
        environment = {"URL": url}
        with running(
            "node_program:service", tmp_path, *options, cwd=tmp_path, environment=environment, tracebacks=True
        ):
            assert ask(path, "/livez")[0] == 200
            status, body = ask(path, "/readyz")
            answer = json.loads(body)
            assert (status, answer["status"]) == (503, "backplane")
            assert [each["code"] for each in answer["causes"]] == ["backplane_away"]
