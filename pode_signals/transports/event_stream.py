"""A stream of server-sent events as the wire of one connection. What its client sends comes by POST, and not this way.

The answer has no length and ends with its connection: the bytes of an event are the same for every client, behind a
proxy that speaks HTTP/1.0 too, as nginx does unless it is told otherwise.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ..core.model import ClosedBy
from ..hub.link import Link
from ..wire.events import close_event
from ..wire.frames import CloseCode
from .full import Producer

__all__ = ["EventStream"]

_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-store, no-transform\r\n"
    b"X-Accel-Buffering: no\r\n"
    b"Connection: close\r\n"
)
_UNREAD_MILLISECONDS = 35_000
"""How long the system waits for a client to confirm bytes, in place of the many minutes that are usual."""

# A request that a client has pipelined, which nobody answers. The socket is read on, since that tells of the end.
_MOST_DROPPED_BYTES = 16_384


class EventStream(Producer, Protocol):
    """One client's stream.

    Args:
        connection: the link whose wire this is.
        response_headers: header lines of the answer, each with its line end.
        retry: the first bytes behind the head.
    """

    # An ITCPTransport, or TLS around one.
    transport: Any

    def __init__(self, connection: Link, response_headers: bytes, retry: bytes) -> None:
        self.connection = connection
        self._opening = _HEAD + response_headers + b"\r\n" + retry
        self._is_over = False
        self._dropped_bytes = 0

    def open(self) -> None:
        """Have the head of the answer go out: before hello, in one write, since each write is a call of the system."""
        dialogue = self.connection.dialogue
        assert dialogue is not None
        dialogue.opening, self._opening = self._opening, b""
        self.transport.registerProducer(self, True)
        _give_up_sooner(self.transport)

    # What the connection calls.

    def write(self, data: bytes) -> bool:
        """Send whole events."""
        self.transport.write(data)
        return True

    def write_close(self, code: int, reason: bytes) -> None:
        """Send the last event, and end the answer."""
        self._end_after(close_event(code, reason))

    def write_ping(self, payload: bytes) -> None:
        """Nothing: clients of streams answer no pings, and the beats beside the pings keep the stream alive."""

    def abort(self) -> None:
        """Drop the transport now."""
        if not self._is_over:
            self._unregister()
        self.transport.abortConnection()

    def pause_reading(self) -> None:
        """Nothing: what the client sends comes by POST. The socket is read on, and tells of the client's end."""

    resume_reading = pause_reading

    # What the transport calls.

    def take(self, data: bytes) -> None:
        """Bytes behind the request: they are dropped, and a client that sends many is closed."""
        self._dropped_bytes += len(data)
        if self._dropped_bytes > _MOST_DROPPED_BYTES:
            self.connection.shut(CloseCode.POLICY_VIOLATION, "too much data behind the request", ClosedBy.ERROR)

    dataReceived = take

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self.connection.lost()

    def _end_after(self, data: bytes) -> None:
        if self._is_over:
            return
        self.transport.write(data)
        # A transport that has a producer does not close.
        self._unregister()
        self.transport.loseConnection()

    def _unregister(self) -> None:
        self._is_over = True
        self.transport.unregisterProducer()


def _give_up_sooner(transport: Any) -> None:
    """Have the system end a connection whose client confirms nothing: no pongs tell that the client has vanished."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    inner = transport
    while hasattr(inner, "wrappedProtocol"):
        inner = inner.transport
    handle: Callable[[], Any] | None = getattr(inner, "getHandle", None)
    if option is None or handle is None:
        return
    try:
        handle().setsockopt(socket.IPPROTO_TCP, option, _UNREAD_MILLISECONDS)
    # A UNIX socket has no such option.
    except OSError:
        return
