"""HTTP/1.1 connections whose request heads are bounded: in size, in time, and in how many are incomplete at once.

What bounds bodies and answers is in ``bodies.py`` and ``answers.py``; here they meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from ..core.pending import PendingHandshakes
from .answers import WatchedChannel
from .bodies import BodyTooLarge

if TYPE_CHECKING:
    from ..hub import Hub

__all__ = ["MAX_HEADERS", "BoundedChannel", "RequestLimits"]

MAX_HEADERS = 100
"""How many headers a request may have."""

_LINGER_SECONDS = 5


class RequestLimits:
    """What all connections of one hub share: its limits on requests, and where those that act are counted and logged.

    Args:
        hub: the hub.
    """

    def __init__(self, hub: Hub) -> None:
        settings = hub.settings
        self.pending: PendingHandshakes[BoundedChannel] = PendingHandshakes(hub.max_pending_handshakes)
        self.head_bytes = settings.handshake_head_bytes
        self.body_bytes = settings.max_request_body_bytes
        self.response_timeout_seconds = settings.response_timeout_seconds
        self.counters = hub.counters
        self.reports = hub.reports


class BoundedChannel(WatchedChannel):
    """One connection. Twisted's own timeout starts anew with every byte; here it runs over the whole head.

    Attributes:
        limits: what it shares with others; set by the site.
    """

    maxHeaders = MAX_HEADERS
    limits: RequestLimits
    _in_head = False
    _lingers = False  # after a body that was refused
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
        if self.transport.disconnecting or self._lingers:
            return  # Twisted would collect it, and the end of a TLS connection can take a while
        self._is_unused = False
        if not self._in_head:
            self.resetTimeout()  # type: ignore[no-untyped-call]  # Twisted
        try:
            LineReceiver.dataReceived(self, data)
        except BodyTooLarge:
            self._refuse_body()
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
        if self.is_unread and not self.transport.disconnecting:
            self.setTimeout(self.timeOut)  # type: ignore[no-untyped-call]  # it is busy with the last answer
            return
        if self._lingers:
            self._lingers = False
        elif not self._is_unused:
            self._limit_acts("handshake_timeout_seconds", "{address} took too long over a request: closed")
        self._abortingCall = self.callLater(self.abortTimeout, self.forceAbortClient)  # type: ignore[no-untyped-call]
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close, though not before a client whose body was refused had time to read so."""
        if not self._lingers:
            super().loseConnection()

    def forceAbortClient(self) -> None:
        """The client does not let itself be closed."""
        self._abortingCall = None
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self._end_head()
        super().connectionLost(reason)

    def response_timeout_seconds(self) -> float:
        """How long a client may leave an answer unread."""
        return self.limits.response_timeout_seconds

    def answer_not_read(self) -> None:
        """The client takes too little of an answer: its connection is dropped."""
        self._limit_acts("response_timeout_seconds", "{address} did not read an answer: dropped")

    def _refuse_body(self) -> None:
        """Have the site answer 413 now, rather than when all has come.

        A connection that is closed while its client sends is reset, and a reset overtakes the answer (RFC 9112 section
        9.6). So what still comes is dropped for a while.
        """
        self._limit_acts("max_request_body_bytes", "the body of a request of {address} was too large")
        self._lingers = True
        self.clearLineBuffer()  # type: ignore[no-untyped-call]  # Twisted
        self.requests[-1].drop_body()
        self.allContentReceived()  # type: ignore[no-untyped-call]  # Twisted
        self.setTimeout(_LINGER_SECONDS)  # type: ignore[no-untyped-call]  # Twisted

    def _respondToBadRequestAndDisconnect(self) -> None:
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self._limit_acts("handshake_head_bytes", "the head of a request of {address} was too large")
        else:
            self.limits.counters.requests_malformed += 1
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
