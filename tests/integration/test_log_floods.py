"""Whatever clients do again and again: the command's log has ten lines of it in a minute, and says that more came."""

from __future__ import annotations

import json
import re
import resource
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from programs import Program, free_port, start
from web_fakes import PING, TEXT, frame, head, plain

TIMES = 60
WAITING = 5
ACCESS = "pode_signals.ports.site.SignalSite"
APP = """
from klein import Klein
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater
from twisted.web.static import File
from pode_signals import EventType, Signals, SignalsService

def service(**settings):
    app, signals = Klein(), Signals(**settings)

    @app.route("/msg")
    def msg(request):
        signals.convert(request, name="Msg")
        return b"bytes that nobody reads"

    @app.route("/unheard")
    def unheard(request):
        signals.convert(request, name="Unheard")

    @app.route("/raises")
    def raises(request):
        raise LookupError(request.uri.decode())

    @app.route("/later")
    async def later(request):
        await deferLater(signals.clock, 0)
        raise LookupError(request.uri.decode())

    @app.route("/nobody")
    def nobody(request):
        fail(LookupError(request.uri.decode()))
        return b""

    @app.route("/files/", branch=True)
    def files(request):
        return File(".")

    @signals.route("/msg")
    async def said(event):
        await deferLater(signals.clock, 0)
        raise ValueError(event.data.message)

    @signals.on_connect("Unheard")
    def comes(event):
        raise ValueError(event.connection.client_id)

    @signals.on_disconnect("Unheard")
    def goes(event):
        raise ValueError(event.connection.client_id)

    return SignalsService(signals, app.resource(), [])
"""


@pytest.fixture
def server(tmp_path: Path, log_format: str) -> Iterator[Program]:
    """The application above, on a port for pages and WebSockets of any Host."""
    (tmp_path / "floods.py").write_text(APP, encoding="utf-8")
    port = free_port()
    endpoints = [f"--endpoint={protocol}://127.0.0.1:{port}?hostname=*" for protocol in ("http", "ws")]
    options = ["--app", "floods:service", "--log-format", log_format, "--messages-per-second", "1000"]
    program = start(["pode-signals", *endpoints, *options], port, tmp_path / "log", cwd=tmp_path)
    try:
        yield program
    finally:
        program.stop()


def lines(program: Program, log_format: str) -> list[tuple[str, str]]:
    """Namespace and text of all lines, tracebacks included, but those of the access log."""
    found: list[tuple[str, str]] = []
    for line in program.text().splitlines():
        if log_format == "json" and line.startswith("{"):
            record = json.loads(line)
            found.append((record["namespace"], record["text"] + record.get("traceback", "")))
        elif begins := re.match(r"[0-9T:+-]{24} \[([^\]#]*)[^\]]*\] (.*)", line):
            found.append((begins[1], begins[2]))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line}")
    return [each for each in found if each[0] != ACCESS]


def kinds(program: Program, log_format: str) -> Counter[str]:
    """How many lines there are of each kind: without what differs from client to client."""
    varying = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|\d+|n=x*|zz.*")
    return Counter(f"{namespace} {varying.sub('#', text)}" for namespace, text in lines(program, log_format))


def asked(program: Program, *requests: bytes) -> bytes:
    """What the server answers to requests of one connection, until it closes or says nothing more."""
    with closing(socket.create_connection(("127.0.0.1", program.port), 5)) as wire, suppress(OSError):
        answer = b""
        for request in requests:
            wire.sendall(request)
            answer += wire.recv(65_536)
        return answer
    return b""


def upgrade(path: str, number: int) -> bytes:
    return head(f"{path}?n={number}", ("Host", "127.0.0.1"))


def to(path: str, number: int, *more: tuple[str, str]) -> bytes:
    return plain(f"{path}?n={number}", ("Host", "127.0.0.1"), ("Connection", "close"), *more)


HEARD = frame(b"", PING)  # whose answer shows that what came before it was heard
FLOODS: dict[str, Callable[[int], tuple[bytes, ...]]] = {
    "a route that raises": lambda n: (to("/raises", n),),
    "a route that raises later": lambda n: (to("/later", n),),
    "an error that nobody handles": lambda n: (to("/nobody", n),),
    "a Range that is none": lambda n: (to("/files/floods.py", n, ("Range", f"bytes=zz{n}")),),
    "a file that is not UTF-8": lambda n: (to("/files/%ff%fe", n),),
    "a message whose route raises": lambda n: (upgrade("/msg", n), frame(json.dumps({"message": f"zz{n}"})) + HEARD),
    "Connect and Disconnect that raise": lambda n: (upgrade("/unheard", n),),
    "no message": lambda n: (upgrade("/msg", n), frame(f"no {n}") + HEARD),
    "a frame that is none": lambda n: (upgrade("/msg", n), frame("x", TEXT, rsv=7)),
    "a foreign page": lambda n: (head("/msg", ("Host", "127.0.0.1"), ("Origin", f"http://zz{n}.example")),),
    "a long Host": lambda n: (plain(f"/x?n={n}", ("Host", "a" * 64), ("Connection", "close")),),
    "no HTTP": lambda n: (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",),
    "a long head": lambda n: (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000,),
}


@pytest.mark.parametrize(
    ("flood", "log_format"),
    [*((each, "text") for each in FLOODS), ("a route that raises", "json"), ("a message whose route raises", "json")],
)
def test_ten_lines_of_a_kind(server: Program, log_format: str, flood: str) -> None:
    """S20.4: whatever a client does, the log has at most ten lines a minute of each kind, tracebacks included."""
    for number in range(TIMES):
        assert asked(server, *FLOODS[flood](number)) is not None
    text = server.text()
    assert text.count("GET /") >= TIMES or flood in {"no HTTP", "a long head"}
    most = kinds(server, log_format).most_common(3)
    assert all(count <= 10 for _, count in most), most
    tracebacks = text.count("Traceback")
    assert tracebacks <= 2 * 10, tracebacks
    server.stop()
    if tracebacks:
        assert any("more lines of this kind were left out" in line for _, line in lines(server, log_format))


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """S20.4: while clients hold every descriptor, others wait; the log has ten lines of it, and a place is given on."""
    port = free_port()
    options = [f"--endpoint={protocol}://127.0.0.1:{port}" for protocol in ("http", "ws")]
    options.append("--max-connections=1000")  # more than there are descriptors
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        program = start(["pode-signals", *options], port, tmp_path / "log", cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    answered = head("/msg", ("Host", "127.0.0.1"))
    try:
        with ExitStack() as clients:
            held, in_vain = [], 0
            # Each keeps its connection, as far as there are any; then some wait.
            while in_vain < WAITING:
                wire = clients.enter_context(closing(socket.create_connection(("127.0.0.1", port), 0.3)))
                wire.sendall(answered)
                held.append(wire)
                try:
                    wire.recv(65_536)
                    in_vain = 0
                except TimeoutError:
                    in_vain += 1
            assert len(held) < 130
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 0.1)) as wire:
                    wire.settimeout(0.05)
                    wire.recv(1)
            found = [text for _, text in lines(program, "text") if "is accepted" in text or "EMFILE" in text]
            assert 1 <= len(found) <= 10
            assert "Traceback" not in program.text()
            for wire in held[:100]:
                # Not to be waited for: a connection that was never accepted is gone with a reset.
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                wire.close()
            assert asked(program, answered).startswith(b"HTTP/1.1 101 ")
    finally:
        program.stop()
