"""Whether Twisted and Autobahn are as each shorter way expects them to be. Nothing here touches a network.

The shorter ways use attributes that neither library promises. So each way is tried out once on the libraries' own
classes, when this package is imported. A way is off where anything differs, or where its probe raises.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection

from ..core.environment import FAST

__all__ = ["DIRECT_WRITES", "KEY", "SHARED_READS", "SMALL_FRAMES", "Wire", "can_write_directly", "probe"]

P = ParamSpec("P")
T = TypeVar("T")


def can_write_directly(transport: Any) -> bool:
    """Whether frames may go straight to a transport's socket: plain TCP or a UNIX socket, with nothing in between."""
    return DIRECT_WRITES and isinstance(transport, Connection) and not getattr(transport, "TLS", False)


def probe(function: Callable[P, T]) -> Callable[P, T | None]:
    """A decorator for probes: one that raises counts as no, so that importing works with any version of a library."""

    @wraps(function)
    def probed(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except Exception:
            return None

    return probed


@probe
def _direct_writes_work() -> bool:
    """Whether Twisted's buffers are where they were, and tell that nothing is unsent."""
    reactor: Any = _NoReactor()
    descriptor: Any = FileDescriptor(reactor=reactor)
    empty = not descriptor._tempDataLen and not descriptor.dataBuffer
    descriptor.connected = 1
    descriptor.write(b"unsent")
    return empty and bool(descriptor._tempDataLen or descriptor.dataBuffer) and not descriptor.disconnecting


@probe
def _shared_reads_work() -> bool:
    """Whether Twisted's connections do no more than to read from where they did, when they are told to."""
    reactor, socket, protocol = _Watching(), _NoSocket(), _Collecting()
    connection: Any = Connection(socket, protocol, reactor)  # type: ignore[arg-type]  # stand-ins
    connection.connected = 1
    connection.startReading()
    ended = connection.doRead(), connection.doRead()
    connection.stopReading()
    is_known = connection.socket is socket and not connection.disconnecting
    sizes = [connection.bufferSize] * 2
    return (
        is_known
        and (socket.sizes, protocol.got) == (sizes, [b"read"])
        and (ended[0], type(ended[1])) == (None, ConnectionDone)
        and reactor.calls == [("add", connection), ("remove", connection)]
    )


@probe
def _small_frames_work() -> bool:
    """Whether Autobahn keeps its place between frames where it did."""
    factory: Any = WebSocketServerFactory(reactor=Clock())
    factory.setProtocolOptions(openHandshakeTimeout=0)
    protocol: Any = WebSocketServerProtocol()
    protocol.factory = factory
    protocol.makeConnection(Wire())
    protocol.dataReceived(_HANDSHAKE)
    between = (protocol.state, protocol.data, protocol.current_frame, protocol.inside_message)
    protocol.dataReceived(b"\x01\x85")
    in_header = protocol.data
    protocol.dataReceived(b"\0\0\0\0a")
    in_frame = protocol.current_frame is not None and protocol.inside_message
    protocol.dataReceived(b"bcde")
    return (
        between == (protocol.STATE_OPEN, b"", None, False)
        and in_header == b"\x01\x85"
        and in_frame
        and protocol.current_frame is None
        and protocol.inside_message is True
    )


KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)


class _NoReactor:
    def _nothing(self, *_args: Any) -> None:
        """No descriptor is ever watched."""

    addWriter = removeWriter = addReader = removeReader = _nothing


class _Watching:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def addReader(self, reader: Any) -> None:
        self.calls.append(("add", reader))

    def removeReader(self, reader: Any) -> None:
        self.calls.append(("remove", reader))


class _Collecting:
    def __init__(self) -> None:
        self.got: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self.got.append(data)


class _NoSocket:
    def __init__(self) -> None:
        self.sizes: list[int] = []

    def recv(self, size_bytes: int) -> bytes:
        """Something once, then the end."""
        self.sizes.append(size_bytes)
        return b"read" if len(self.sizes) == 1 else b""

    def setblocking(self, _flag: bool) -> None:
        """It is never waited for."""

    def fileno(self) -> int:
        """No descriptor."""
        return -1


class Wire:
    """A transport that keeps what is written, and has no other end."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written += data

    def _nothing(self, *_args: Any) -> None:
        """Nothing happens."""

    registerProducer = unregisterProducer = loseConnection = abortConnection = getPeer = getHost = _nothing
    pauseProducing = resumeProducing = _nothing


DIRECT_WRITES = FAST and bool(_direct_writes_work())
"""Whether frames go straight to the socket where nothing is unsent."""

SHARED_READS = FAST and hasattr(select, "epoll") and bool(_shared_reads_work())
"""Whether many sockets are read for one event of the reactor."""

SMALL_FRAMES = FAST and bool(_small_frames_work())
"""Whether small whole text frames are read without Autobahn."""
