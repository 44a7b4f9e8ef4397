"""Shorter ways past Twisted's and Autobahn's own, with the tests that tell whether they can be taken.

They use attributes that neither library promises. Each is tried once at import, on objects that touch no network; where
one behaves otherwise than known, or where the environment variable PODE_SIGNALS_SHORTCUTS is ``off``, the libraries'
own ways are used, which do the same.
"""

from __future__ import annotations

import os
import select
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection

__all__ = [
    "DIRECT_WRITES",
    "QUICK_FRAMES",
    "SHARED_READS",
    "WANTED",
    "can_write_directly",
    "unmasked_text",
    "unmasked_texts",
]

_TEXT_FINAL = 0x81
_MASKED = 0x80
_MOST_AT_ONCE = 256  # frames; where more have come the client is fast, and its rate has to be looked at in between
_from_bytes = int.from_bytes


def can_write_directly(transport: Any) -> bool:
    """Whether frames may go straight to a transport's socket: plain TCP or a UNIX socket, with nothing in between."""
    return DIRECT_WRITES and isinstance(transport, Connection) and not getattr(transport, "TLS", False)


def unmasked_text(data: bytes, max_bytes: int) -> bytes | None:
    """The payload where data is one whole text frame of under 126 bytes, as nearly every read is; else None.

    Args:
        data: what a client sent, from the beginning of a frame on.
        max_bytes: larger frames are left to Autobahn.
    """
    size = len(data) - 6
    if not 0 <= size < 126 or data[0] != _TEXT_FINAL or data[1] != _MASKED + size or size > max_bytes:
        return None
    mask = (data[2:6] * 32)[:size]
    payload = (_from_bytes(data[6:], "little") ^ _from_bytes(mask, "little")).to_bytes(size, "little")
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return None
    return payload


def unmasked_texts(data: bytes, max_bytes: int) -> tuple[list[bytes], int]:
    """The payloads of some whole, final, masked, minimally framed text frames at the start (RFC 6455 section 5).

    Args:
        data: what a client sent, from the beginning of a frame on.
        max_bytes: larger frames are left to Autobahn.

    Returns:
        The payloads, valid UTF-8; and how many bytes of data they took. Whatever follows is for Autobahn to judge.
    """
    payloads: list[bytes] = []
    start, end = 0, len(data)
    while end - start >= 6 and data[start] == _TEXT_FINAL and len(payloads) < _MOST_AT_ONCE:
        size, head = data[start + 1] - _MASKED, start + 6
        if size >= 126:
            if size == 127 or end - start < 8:
                break
            size, head = data[start + 2] << 8 | data[start + 3], start + 8
            if size < 126:
                break
        stop = head + size
        if size < 0 or stop > end or size > max_bytes:
            break
        mask = (data[head - 4 : head] * ((size + 3) >> 2))[:size]
        payload = (_from_bytes(data[head:stop], "little") ^ _from_bytes(mask, "little")).to_bytes(size, "little")
        try:
            payload.decode()
        except UnicodeDecodeError:
            break
        payloads.append(payload)
        start = stop
    return payloads, start


def _direct_writes_work() -> bool:
    """Whether Twisted's buffers are where they were, and tell that nothing is unsent."""
    reactor: Any = _NoReactor()
    descriptor: Any = FileDescriptor(reactor=reactor)
    try:
        empty = not descriptor._tempDataLen and not descriptor.dataBuffer
        descriptor.connected = 1
        descriptor.write(b"unsent")
        return empty and bool(descriptor._tempDataLen or descriptor.dataBuffer) and not descriptor.disconnecting
    except AttributeError:
        return False


def _shared_reads_work() -> bool:
    """Whether Twisted's connections do no more than to read from where they did, when they are told to."""
    reactor, socket, protocol = _Watching(), _NoSocket(), _Collecting()
    try:
        connection: Any = Connection(socket, protocol, reactor)  # type: ignore[arg-type]  # stand-ins
        connection.connected = 1
        connection.startReading()
        ended = connection.doRead(), connection.doRead()
        connection.stopReading()
        is_known = connection.socket is socket and not connection.disconnecting
        sizes = [connection.bufferSize] * 2
    except (AttributeError, TypeError):
        return False
    return (
        is_known
        and (socket.sizes, protocol.got) == (sizes, [b"read"])
        and (ended[0], type(ended[1])) == (None, ConnectionDone)
        and reactor.calls == [("add", connection), ("remove", connection)]
    )


def _quick_frames_work() -> bool:
    """Whether Autobahn keeps its place between frames where it did."""
    factory: Any = WebSocketServerFactory(reactor=Clock())
    factory.setProtocolOptions(openHandshakeTimeout=0)
    protocol: Any = WebSocketServerProtocol()
    protocol.factory = factory
    try:
        protocol.makeConnection(_NoTransport())
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
    except AttributeError:
        return False


_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
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


class _NoTransport:
    def _nothing(self, *_args: Any) -> None:
        """Nothing is ever written."""

    write = loseConnection = abortConnection = unregisterProducer = getPeer = getHost = _nothing


WANTED = os.environ.get("PODE_SIGNALS_SHORTCUTS", "on") != "off"
"""Whether shortcuts may be taken at all."""

DIRECT_WRITES = WANTED and _direct_writes_work()
"""Whether frames go straight to the socket where nothing is unsent."""

SHARED_READS = WANTED and hasattr(select, "epoll") and _shared_reads_work()
"""Whether many sockets are read for one event of the reactor."""

QUICK_FRAMES = WANTED and _quick_frames_work()
"""Whether small whole text frames are read without Autobahn."""
