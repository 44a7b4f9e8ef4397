"""Writes the answers of one connection, and drops a client that does not read them in time. It reads no request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from .request_limits import RequestLimits

__all__ = ["LEAST_READ_BYTES", "AnswerWriter"]

LEAST_READ_BYTES = 65_536
"""How many bytes of a waiting answer a client has to take within ``response_timeout_seconds``."""


class AnswerWriter:
    """Writes answers, and measures whether the client reads them.

    Twisted's own timeouts stand still while a request is answered, and do not ask how much the client has read. Here a
    timer runs while the transport's buffer is full, and while the connection is being closed.

    This object refers to the transport and not to the channel. With the channel it would be a cycle, which would keep
    the unread answer of a client that has left until the next full round of the garbage collector.

    Args:
        transport: an ``ITCPTransport``, or TLS around one.
        call_later: sets a timer.
        limits: has the time that clients get; counts and logs clients that are dropped.
        address: the address of the client, for the log.

    Attributes:
        is_unread: whether the transport's buffer has been full of answers, and is not empty yet.
    """

    __slots__ = (
        "_address",
        "_call_later",
        "_limits",
        "_look_call",
        "_taken_bytes",
        "_transport",
        "_written_bytes",
        "is_unread",
    )

    def __init__(self, transport: Any, call_later: Callable[..., Any], limits: RequestLimits, address: str) -> None:
        self._transport = transport
        self._call_later = call_later
        self._limits = limits
        self._address = address
        self.is_unread = False
        self._written_bytes = 0
        # How many bytes the client had taken when the timer was started last.
        self._taken_bytes = 0
        self._look_call: IDelayedCall | None = None

    def write(self, data: bytes) -> None:
        """A part of an answer goes out."""
        # Counted before the write: the transport may say within the write that its buffer is full.
        self._written_bytes += len(data)
        self._transport.write(data)
        if self._look_call is not None:
            self._correct_taken()

    def write_sequence(self, pieces: Iterable[bytes]) -> None:
        """A part of an answer goes out, in pieces."""
        listed = list(pieces)
        self._written_bytes += sum(map(len, listed))
        self._transport.writeSequence(listed)
        if self._look_call is not None:
            self._correct_taken()

    def transport_is_full(self) -> None:
        """The transport's buffer is full. The transport says so at each write until its buffer is empty."""
        self.is_unread = True
        self._watch()

    def transport_is_empty(self) -> None:
        """The transport's buffer is empty, or another protocol has the transport now."""
        self.is_unread = False
        self._unwatch()

    def connection_closes(self) -> None:
        """The transport will close when all is written. A client that does not read could put that off for ever."""
        self._watch()

    def connection_is_gone(self) -> None:
        """The client is gone."""
        self._unwatch()

    def _watch(self) -> None:
        if self._look_call is None:
            self._look_later()

    def _unwatch(self) -> None:
        if self._look_call is not None:
            self._look_call.cancel()
            self._look_call = None

    def _look_later(self) -> None:
        self._taken_bytes = self._written_bytes - self._unsent_bytes()
        self._look_call = self._call_later(self._limits.response_timeout_seconds, self._look)

    def _look(self) -> None:
        self._look_call = None
        if self._written_bytes - self._unsent_bytes() - self._taken_bytes >= LEAST_READ_BYTES:
            self._look_later()
            return
        self._limits.limit_acted("response_timeout_seconds", "{address} did not read an answer: dropped", self._address)
        self._transport.abortConnection()

    def _correct_taken(self) -> None:
        # TLS says that its buffer is full while it still encrypts. Then the transport does not hold all bytes yet that
        # were written, and the missing ones would look as if the client had taken them.
        self._taken_bytes = min(self._taken_bytes, self._written_bytes - self._unsent_bytes())

    def _unsent_bytes(self) -> int:
        """How many bytes the transport holds; 0 for a transport that does not tell. TLS passes the question on."""
        transport = self._transport
        # Twisted 26.10 has no public name for what a TCP transport holds: dataBuffer from offset on, and what
        # _tempDataLen counts, which is joined to dataBuffer at the next send.
        held = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
        return held + int(getattr(transport, "_tempDataLen", 0))
