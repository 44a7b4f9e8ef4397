"""HTTP/1.1 connections whose request heads are bounded: in size, in time, and in how many are incomplete at once."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from ..core.pending import PendingHandshakes
from ..reports import Reports

__all__ = ["MAX_HEADERS", "BoundedChannel", "HeadLimits"]

MAX_HEADERS = 100
"""How many headers a request may have."""


class HeadLimits:
    """What all connections of one hub share.

    Args:
        max_pending: how many connections may have an incomplete request.
        head_bytes: the largest head of a request.
        reports: where the limits that act are counted and logged.
    """

    def __init__(self, max_pending: int, head_bytes: int, reports: Reports) -> None:
        self.pending: PendingHandshakes[BoundedChannel] = PendingHandshakes(max_pending)
        self.head_bytes = head_bytes
        self.reports = reports


class BoundedChannel(HTTPChannel):
    """One connection. Twisted's own timeout starts anew with every byte; here it runs over the whole head.

    Attributes:
        limits: what it shares with others; set by the site.
    """

    maxHeaders = MAX_HEADERS
    limits: HeadLimits
    transport: Any  # an ITCPTransport, or TLS around one
    _in_head = False
    _is_unused = False  # since its last request
    _address = ""

    def connectionMade(self) -> None:
        """A client is there, and its first request is not."""
        super().connectionMade()  # type: ignore[no-untyped-call]  # Twisted
        self.totalHeadersSize = self.MAX_LENGTH = self.limits.head_bytes
        self._address = getattr(self.getPeer(), "host", "") or ""  # type: ignore[no-untyped-call]  # Twisted
        self._begin_head()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of a request. Those of a head win it no time, those of a body do."""
        if self.transport.disconnecting:
            return  # Twisted would collect it, and the end of a TLS connection can take a while
        self._is_unused = False
        if not self._in_head:
            self.resetTimeout()  # type: ignore[no-untyped-call]  # Twisted
        try:
            LineReceiver.dataReceived(self, data)
        except Exception:  # of Twisted's parsers of lengths and forms; what a resource raises does not get here
            self.limits.reports.write(
                "requests_malformed", "a request of {address} could not be read", address=self._address
            )
            self._respondToBadRequestAndDisconnect()

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is larger than a head may be."""
        self._receivedHeaderSize += len(line)
        self._respondToBadRequestAndDisconnect()

    def allHeadersReceived(self) -> None:
        """The head is complete."""
        self._end_head()
        super().allHeadersReceived()  # type: ignore[no-untyped-call]  # Twisted

    def requestDone(self, request: Any) -> None:
        """The answer is complete: another request may come, or never."""
        if self.persistent:
            self._is_unused = True
            self._begin_head()
        super().requestDone(request)  # type: ignore[no-untyped-call]  # Twisted

    def timeoutConnection(self) -> None:
        """The client took too long over a request, or did not use the connection for another one."""
        if not self._is_unused:
            self._limit_acts("handshake_timeout_seconds", "{address} took too long over a request: closed")
        self._abortingCall = self.callLater(self.abortTimeout, self.forceAbortClient)  # type: ignore[no-untyped-call]
        self.loseConnection()  # type: ignore[no-untyped-call]  # Twisted

    def forceAbortClient(self) -> None:
        """The client does not let itself be closed."""
        self._abortingCall = None
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self._end_head()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted

    def _respondToBadRequestAndDisconnect(self) -> None:
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self._limit_acts("handshake_head_bytes", "the head of a request of {address} was too large")
        super()._respondToBadRequestAndDisconnect()  # type: ignore[no-untyped-call]  # Twisted

    def _begin_head(self) -> None:
        self._in_head = True
        crowded_out = self.limits.pending.add(self, self._address)
        if crowded_out is not None:
            crowded_out._limit_acts("pending_handshakes", "too many requests are incomplete: {address} was dropped")
            crowded_out.transport.abortConnection()

    def _end_head(self) -> None:
        self._in_head = False
        self.limits.pending.discard(self, self._address)

    def _limit_acts(self, setting: str, text: str) -> None:
        self.limits.reports.limit(setting, text, address=self._address)
