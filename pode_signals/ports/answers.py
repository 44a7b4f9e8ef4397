"""HTTP/1.1 connections whose clients have to read their answers in time. Nothing here reads a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

__all__ = ["LEAST_READ_BYTES", "WatchedChannel"]

LEAST_READ_BYTES = 65_536
"""So much of an answer that waits a client has to take within ``response_timeout_seconds``."""


class WatchedChannel(HTTPChannel):
    """One connection. Twisted's own timeouts stand still while a request is answered, and know nothing of progress.

    While the transport holds more than the client takes, and while the connection is being closed, a clock runs.

    Attributes:
        is_unread: whether the transport holds more of an answer than it likes.
    """

    transport: Any  # an ITCPTransport, or TLS around one
    is_unread = False
    _written_bytes = 0
    _taken_bytes = 0  # at the last look
    _look_call: IDelayedCall | None = None

    def response_timeout_seconds(self) -> float:
        """How long a client has for :data:`LEAST_READ_BYTES`."""
        raise NotImplementedError

    def answer_not_read(self) -> None:
        """The client took less, and is dropped: told to whoever counts."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """A part of an answer goes out."""
        self._written_bytes += len(data)
        super().write(data)  # type: ignore[no-untyped-call]  # Twisted
        self._has_written()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """The same, in pieces."""
        pieces = list(iovec)
        self._written_bytes += sum(map(len, pieces))
        super().writeSequence(pieces)  # type: ignore[no-untyped-call]  # Twisted
        self._has_written()

    def pauseProducing(self) -> None:
        """IPushProducer: the transport is full. It says so with each write until it is empty."""
        self.is_unread = True
        self._watch()
        super().pauseProducing()  # type: ignore[no-untyped-call]  # Twisted

    def resumeProducing(self) -> None:
        """IPushProducer: the transport is empty, or is not ours any more."""
        self.is_unread = False
        self._unwatch()
        super().resumeProducing()  # type: ignore[no-untyped-call]  # Twisted

    def loseConnection(self) -> None:
        """Close once all is written, which a client that does not read could put off for ever."""
        self._watch()
        super().loseConnection()  # type: ignore[no-untyped-call]  # Twisted

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self._unwatch()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted

    def _watch(self) -> None:
        if self._look_call is None:
            self._look_later()

    def _unwatch(self) -> None:
        if self._look_call is not None:
            self._look_call.cancel()
            self._look_call = None

    def _has_written(self) -> None:
        if self._look_call is not None:  # TLS says that it is full while it still encrypts, and does not hold all yet
            self._taken_bytes = min(self._taken_bytes, self._written_bytes - self._unsent_bytes())

    def _look_later(self) -> None:
        self._taken_bytes = self._written_bytes - self._unsent_bytes()
        call: IDelayedCall = self.callLater(self.response_timeout_seconds(), self._look)  # type: ignore[no-untyped-call]
        self._look_call = call

    def _look(self) -> None:
        self._look_call = None
        if self._written_bytes - self._unsent_bytes() - self._taken_bytes >= LEAST_READ_BYTES:
            self._look_later()
        else:
            self.answer_not_read()
            self.transport.abortConnection()

    def _unsent_bytes(self) -> int:
        """What Twisted's transport holds, TLS passing the question on; 0 for a transport that does not tell."""
        transport = self.transport
        held = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
        return held + int(getattr(transport, "_tempDataLen", 0))
