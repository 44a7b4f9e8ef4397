"""Frames that go straight to the socket: the order holds, whatever it takes, and so does what Twisted says of it."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certificate_files import issue
from hypothesis import given, settings
from hypothesis import strategies as st
from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.ssl import CertificateOptions
from twisted.internet.tcp import Connection
from twisted.internet.threads import deferToThread
from twisted.web.server import Site
from web_fakes import (
    CLOSE,
    TEXT,
    World,
    close_frame,
    frame,
    frames_in,
    head,
    message,
)

from pode_signals import SignalConnection, Signals
from pode_signals.core.environment import FAST
from pode_signals.fast import probes
from pode_signals.fast.probes import can_write_directly
from pode_signals.fast.websocket import FastProtocol

pytestmark = pytest.mark.skipif(not FAST, reason="PODE_SIGNALS_FAST is off: nothing is written directly")

# Writing: a socket that takes what it likes.


class Scripted:
    """A socket that takes as much as the test says: a number of bytes, or an error that it raises."""

    def __init__(self) -> None:
        self.taken = b""
        self.script: list[int | OSError] = []

    def send(self, data: bytes) -> int:
        answer = self.script.pop(0) if self.script else len(data)
        if isinstance(answer, OSError):
            raise answer
        taken = bytes(data[:answer])
        self.taken += taken
        return len(taken)

    def setblocking(self, _blocking: bool) -> None:
        """Nothing."""

    def fileno(self) -> int:
        return -1


class Watching:
    """A reactor that remembers who wants to write."""

    def __init__(self) -> None:
        self.writers: set[Any] = set()
        self.readers: set[Any] = set()
        self.addWriter, self.removeWriter = self.writers.add, self.writers.discard
        self.addReader, self.removeReader = self.readers.add, self.readers.discard


class Producer:
    """The protocol as the producer of its transport."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")


def direct() -> tuple[Callable[[bytes], bool], Any, Scripted, Watching]:
    """What writes frames, its transport, the socket and the reactor."""
    skt, watching = Scripted(), Watching()
    transport: Any = Connection(skt, None, watching)  # type: ignore[arg-type]
    transport.connected = 1
    wire = FastProtocol()
    wire.transport = transport
    wire._direct = transport if can_write_directly(transport) else None
    return wire.write, transport, skt, watching


def drain(transport: Any, watching: Watching) -> object:
    """Let the reactor write until nothing is unsent, or the socket fails."""
    while transport in watching.writers:
        if (end := transport.doWrite()) is not None:
            return end
    return None


FULL = BlockingIOError(errno.EAGAIN, "full")
SENDS = st.sampled_from([0, 1, 2, 5, 1_000, FULL])


@settings(deadline=None)  # a slow machine is no failure
@given(
    st.lists(st.tuples(st.sampled_from(["frames", "control", "turn"]), st.integers(1, 20)), max_size=20),
    st.lists(SENDS, max_size=30),
)
def test_order_holds(steps: list[tuple[str, int]], script: list[int | OSError]) -> None:
    """S4.6: frames, control frames and the reactor's writing, however little the socket takes: all of it, in order."""
    write, transport, skt, watching = direct()
    skt.script = list(script)
    expected = b""
    for number, (step, size) in enumerate(steps):
        data = bytes((number,)) * size
        if step == "frames":
            assert write(data)
            expected += data
        elif step == "control":
            transport.write(data)
            expected += data
        elif transport in watching.writers:
            transport.doWrite()
    assert drain(transport, watching) is None
    assert skt.taken == expected


@pytest.mark.parametrize(
    ("answer", "at_once"),
    [(3, b"abc"), (0, b""), (FULL, b""), (OSError(errno.ENOBUFS, "no buffers"), b""), (InterruptedError(), b"")],
)
def test_what_the_socket_does_not_take(answer: int | OSError, at_once: bytes) -> None:
    """S4.6: the rest goes out by the transport, before whatever is written afterwards."""
    write, transport, skt, watching = direct()
    skt.script = [answer]
    assert write(b"abcdef")
    assert skt.taken == at_once
    assert write(b"ghi")
    assert skt.taken == at_once
    drain(transport, watching)
    assert write(b"jkl")
    assert skt.taken == b"abcdefghijkl"
    assert transport not in watching.writers


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET, errno.EBADF])
def test_a_socket_that_is_gone(number: int) -> None:
    """S4.5: writing to a client that is gone raises nothing; the reactor finds out."""
    write, transport, skt, watching = direct()
    skt.script = [OSError(number, "gone"), OSError(number, "gone")]
    assert write(b"abc")
    end = drain(transport, watching)
    assert isinstance(end, ConnectionLost)


def test_a_full_transport_asks_for_a_pause() -> None:
    """S16.2: what does not go out at once fills the transport as ever: it asks for a pause, and then for more."""
    write, transport, skt, watching = direct()
    producer = Producer()
    transport.registerProducer(producer, True)
    skt.script = [10, FULL]
    write(b"x" * 100_000)
    assert producer.told == ["pause"]
    drain(transport, watching)
    assert producer.told == ["pause", "resume"]
    assert skt.taken == b"x" * 100_000


def test_a_transport_that_is_closing_or_gone() -> None:
    """S4.6: behind loseConnection nothing goes past the transport; behind its end nothing goes out."""
    write, transport, skt, watching = direct()
    skt.script = [0]
    write(b"abc")
    transport.disconnecting = 1
    write(b"def")
    assert skt.taken == b""
    transport.disconnecting = 0
    drain(transport, watching)
    transport.connected = 0
    del transport.socket  # as after connectionLost
    assert write(b"ghi")
    assert skt.taken == b"abcdef"


def test_which_transports() -> None:
    """S4.6: TCP and UNIX sockets are written to directly; TLS and whatever else is around them is not."""
    _, transport, _, _ = direct()
    assert can_write_directly(transport) is True
    transport.TLS = True
    assert not can_write_directly(transport)
    assert not can_write_directly(World().client().wire)


def test_without_direct_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4.6: with direct writes off all goes by the transport's own write."""
    # As where Twisted is not as the probe takes it to be.
    monkeypatch.setattr(probes, "DIRECT_WRITES", False)
    write, transport, skt, watching = direct()
    assert write(b"abc")
    assert skt.taken == b""
    drain(transport, watching)
    assert skt.taken == b"abc"


# Real sockets: a client that stalls, and then reads.

BROADCASTS = 400
REPLIES = 10


class Server:
    """A hub on a socket of one kind, and what each connection was sent, in order."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self._path = kind, str(folder / "socket")
        self.signals = Signals(send_queue_bytes=64 << 20, total_queue_bytes=128 << 20, close_timeout_seconds=60)
        self.sent: dict[SignalConnection, list[str]] = {}
        self.signals.add_route("/msg", lambda event: self.send(event.connection, f"reply {event.data.message}"))
        app = Klein()
        app.route("/msg")(self._convert)
        site: Any = Site(self.signals.resource(app.resource()))
        real: Any = reactor
        if kind == "unix":
            self.port = real.listenUNIX(self._path, site)
        elif kind == "tls":
            issued = issue()
            options = CertificateOptions(privateKey=issued.key, certificate=issued.certificate)
            self.port = real.listenSSL(0, site, options, interface="127.0.0.1")
        else:
            self.port = real.listenTCP(0, site, interface="127.0.0.1")

    def _convert(self, request: Any) -> None:
        self.sent[self.signals.convert(request, "Msg")] = []

    def connect(self) -> socket.socket:
        """A client that has upgraded, and has asked for replies; its socket holds little."""
        connected = socket.socket(socket.AF_UNIX if self.kind == "unix" else socket.AF_INET)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connected.settimeout(20)
        connected.connect(self._path if self.kind == "unix" else ("127.0.0.1", self.port.getHost().port))
        if self.kind == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connected = context.wrap_socket(connected, server_hostname="localhost")
        upgraded(connected).sendall(b"".join(message(number) for number in range(REPLIES)))
        return connected

    def send(self, connection: SignalConnection, text: str) -> None:
        """Send to one."""
        connection.send(text)
        self.sent[connection].append(text)

    def broadcast(self, text: str) -> None:
        """Send to all."""
        self.signals.send(text, name="Msg")
        for each in self.sent.values():
            each.append(text)

    async def end(self) -> None:
        """Wait until all is over."""
        await self.port.stopListening()
        for each in self.sent:
            await each.when_disconnected()


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls", "tcp, the long way"])
async def test_a_client_that_stalls(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S4.6: broadcasts, single sends, replies and a close in one order, to clients that stall, and then read all."""
    # The long way is the one where Twisted is not as the probe takes it to be.
    monkeypatch.setattr(probes, "DIRECT_WRITES", kind != "tcp, the long way")
    server = Server(kind, tmp_path)
    clients = [await deferToThread(server.connect) for _ in range(2)]
    for number in range(BROADCASTS):
        server.broadcast(f"{number} " + "x" * (number * 37 % 9_000))
        if number % 7 == 0:
            for each in server.sent:
                server.send(each, f"single {number}")
        if number % 20 == 0:
            await turn()
    assert len(server.signals.connections("Msg")) == 2
    assert server.signals.counters.messages_received == 2 * REPLIES
    for each in server.sent:
        each.close(4001, "done")
    found = [await deferToThread(read_to_close, each) for each in clients]
    # By TLS the server waits for the end of the client, too.
    for connected in clients:
        connected.close()
    await server.end()
    assert sorted(found, key=len) == sorted(([*texts, (4001, "done")] for texts in server.sent.values()), key=len)


async def turn() -> None:
    """Let the reactor have a turn."""
    waiting: Deferred[None] = Deferred()
    real: Any = reactor
    real.callLater(0, waiting.callback, None)
    await waiting


def upgraded(connected: socket.socket) -> socket.socket:
    """Upgrade it, reading no byte behind the answer."""
    connected.sendall(head())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connected.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return connected


def read_to_close(connected: socket.socket) -> list[Any]:
    """The texts and the close frame that come, once the client answers that."""
    data = bytearray()
    while not data.endswith(frame_of_close()):
        got = connected.recv(1_000 if len(data) < 100_000 else 65_536)
        assert got, "the server closed before its close frame"
        data += got
    connected.sendall(close_frame(4001))
    found: list[Any] = [
        each.payload.decode() if each.opcode == TEXT else (each.code, each.reason) for each in frames_in(bytes(data))
    ]
    assert connected.recv(1) == b""
    return found


def frame_of_close() -> bytes:
    """The close frame that the server sends."""
    return frame(b"\x0f\xa1done", CLOSE, masked=False)
