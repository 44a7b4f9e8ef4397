"""HTTP/1.1 connections whose requests are bounded: in size, in time, and in how many are incomplete at once.

What bounds the size of bodies, the time of answers and the length of a turn is in ``bodies.py``, ``answers.py`` and
``paced_channel.py``; here they meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import connectionDone
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from ..core.addresses import limit_key, plain_address
from ..core.pending import PendingHandshakes
from ..hub.turns import Turns
from .bodies import BodyTooLarge
from .paced_channel import PacedChannel

if TYPE_CHECKING:
    from ..hub.hub import Hub

__all__ = ["MAX_CONTENT_TYPE_BYTES", "MAX_HEADERS", "MAX_HEADER_NAME_BYTES", "BoundedChannel", "RequestLimits"]

MAX_HEADERS = 100
"""How many headers a request may have, each line that continues one counted."""
MAX_HEADER_NAME_BYTES = 256
"""How long the name of a header may be."""
MAX_CONTENT_TYPE_BYTES = 256
"""How long a Content-Type may be."""
LEAST_BODY_BYTES_PER_SECOND = 1_024
"""How fast a body has to come, after its first seconds."""
LAST_SECONDS = 1
"""How long a client that took too long may take to close its end."""

_BODY_GRACE_SECONDS = 10
_LINGER_SECONDS = 5
_FOLDED = (b" ", b"\t")
_NO_ADDRESS = "-"


class RequestLimits:
    """What all connections of one hub share: its limits on requests, and where those that act are counted and logged.

    Args:
        hub: the hub.
    """

    def __init__(self, hub: Hub) -> None:
        settings = hub.settings
        self._hub = hub
        self.pending: PendingHandshakes[BoundedChannel] = PendingHandshakes(hub.max_pending_handshakes)
        self.head_bytes = settings.handshake_head_bytes
        self.body_bytes = settings.max_request_body_bytes
        self.form_bytes = settings.max_form_bytes
        self.request_timeout_seconds = settings.request_timeout_seconds
        self.response_timeout_seconds = settings.response_timeout_seconds
        self.counters = hub.counters
        self.reports = hub.reports
        self.turns = hub.turns

    def seconds(self) -> float:
        """The time of the hub's clock, which it has only once there is a reactor."""
        return self._hub.clock.seconds()


class BoundedChannel(PacedChannel):
    """One connection. Twisted's own timeout starts anew with every byte; here one runs over each head and each body.

    Attributes:
        limits: what it shares with others; set by the site.
        address: the client's, as log lines have it; ``-`` where it has none.
    """

    maxHeaders = MAX_HEADERS
    abortTimeout = LAST_SECONDS
    limits: RequestLimits
    address = _NO_ADDRESS
    _crowd = ""  # whom it counts among where too many requests are incomplete
    _idle_seconds: float | None = None
    _body_began: float | None = None
    _body_bytes = 0
    _lingers = False  # after a body that was refused
    _is_unused = False  # since its last request
    _has_begun = False  # the request that is not complete yet

    def connectionMade(self) -> None:
        """A client is there, and its first request is not."""
        super().connectionMade()  # type: ignore[no-untyped-call]  # Twisted
        self._idle_seconds = self.timeOut
        self.totalHeadersSize = self.MAX_LENGTH = self.limits.head_bytes
        host = getattr(self.getPeer(), "host", None) or ""  # type: ignore[no-untyped-call]  # Twisted
        # Clients without an address are one crowd: a proxy's, mostly.
        self._crowd = limit_key(plain_address(host))
        self.address = host or _NO_ADDRESS
        self._begin_head()

    @property
    def turns(self) -> Turns:
        """The turns of the hub's clock."""
        return self.limits.turns

    def dataReceived(self, data: bytes) -> None:
        """Bytes of a request. They win it no time, but for those of a body, which win it a little."""
        if self.transport.disconnecting or self._lingers:
            return  # Twisted would collect it, and the end of a TLS connection can take a while
        self._is_unused = False
        self._has_begun = True
        if self._body_began is not None:
            self._body_bytes += len(data)
        self.parse(data)

    def feed(self, data: bytes) -> None:
        """Have Twisted parse a piece, and answer where it can't."""
        try:
            super().feed(data)
        except BodyTooLarge as too_large:
            self._refuse_body(too_large.setting)
        except Exception:  # of Twisted's parsers of lengths; what a resource raises does not get here
            self._refuse_head("it can't be read")

    def lineReceived(self, line: bytes) -> None:
        """A line of a head. One that continues the header before it counts as a header (RFC 9112 section 5.2)."""
        if line[:1] in _FOLDED:
            self._receivedHeaderCount += 1
            if self._receivedHeaderCount > self.maxHeaders:
                self._respondToBadRequestAndDisconnect()
                return
        super().lineReceived(line)  # type: ignore[no-untyped-call]  # Twisted

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is larger than a head may be."""
        self._receivedHeaderSize += len(line)
        self._respondToBadRequestAndDisconnect()

    def headerReceived(self, line: bytes) -> bool:
        """A header is complete.

        Returns:
            Whether it is a good one.
        """
        end = line.find(b":", 0, MAX_HEADER_NAME_BYTES + 1)
        if end < 0 and len(line) > MAX_HEADER_NAME_BYTES:
            # Twisted keeps each new name for good.
            return self._refuse_head("the name of a header is too long")
        why = _BAD_VALUES.get(line[:end].lower(), _nothing)(line[end + 1 :].strip(b" \t"))
        if why is not None:
            return self._refuse_head(why)
        return bool(super().headerReceived(line))  # type: ignore[no-untyped-call]  # Twisted

    def allHeadersReceived(self) -> None:
        """The head is complete."""
        super().allHeadersReceived()  # type: ignore[no-untyped-call]  # Twisted
        if self.length != 0:
            self._begin_body()

    def allContentReceived(self) -> None:
        """The request is complete: it is pending no more, and its answer begins."""
        self.limits.pending.discard(self, self._crowd)
        self._has_begun = False
        if self._body_began is not None:
            self._body_began = None
            # Twisted keeps the time that runs now for the next head.
            self.setTimeout(self._idle_seconds)  # type: ignore[no-untyped-call]  # Twisted
        super().allContentReceived()  # type: ignore[no-untyped-call]  # Twisted

    def rawDataReceived(self, data: bytes) -> None:
        """A part of a body; or requests behind the one that is being answered, of which only a few may wait.

        Reading must not pause until the answer is complete: nobody would notice that the client has left.
        """
        if not self._handlingRequest:
            super().rawDataReceived(data)
            return
        # In one piece: Twisted counts all pieces anew for each that comes, and one may hold a single byte.
        waiting = b"".join((*self._dataBuffer, data))
        self._dataBuffer = [waiting]
        if len(waiting) > self.limits.head_bytes:
            self._limit_acts("handshake_head_bytes", "{address} sent too much behind a request: dropped")
            # The rest of what was read with it would be too much once more.
            self._dataBuffer = []
            self.drop_unparsed()
            self.transport.abortConnection()

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
        if self._body_began is not None:
            left_seconds = self._body_ends(self._body_began) - self.limits.seconds()
            if left_seconds > 0:
                self.setTimeout(left_seconds)  # type: ignore[no-untyped-call]  # Twisted
                return
            self._limit_acts("request_timeout_seconds", "{address} took too long over the body of a request: closed")
        elif self._lingers:
            self._lingers = False
        elif not self._is_unused:
            self._limit_acts("handshake_timeout_seconds", "{address} took too long over a request: closed")
        if self._has_begun:
            self.transport.write(_answer(b"408 Request Timeout", "The request took too long."))
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
        self.limits.pending.discard(self, self._crowd)
        super().connectionLost(reason)

    def response_timeout_seconds(self) -> float:
        """How long a client may leave an answer unread."""
        return self.limits.response_timeout_seconds

    def answer_not_read(self) -> None:
        """The client takes too little of an answer: its connection is dropped."""
        self._limit_acts("response_timeout_seconds", "{address} did not read an answer: dropped")

    def _refuse_head(self, why: str) -> bool:
        """Answer 400 to a head that can't be read, or must not.

        Args:
            why: for the log.

        Returns:
            False.
        """
        self.limits.reports.write(
            "requests_malformed",
            "refused a request of {address} with 400: {why}",
            level=LogLevel.info,
            address=self.address,
            why=why,
        )
        self._respondToBadRequestAndDisconnect()
        return False

    def _refuse_body(self, setting: str) -> None:
        """Have the site answer 413 now, rather than when all has come.

        A connection that is closed while its client sends is reset, and a reset overtakes the answer (RFC 9112 section
        9.6). So what still comes is dropped for a while.
        """
        self._limit_acts(setting, "the body of a request of {address} was too large")
        self._lingers = True
        self.drop_unparsed()
        self.requests[-1].drop_body()
        self.allContentReceived()
        self.setTimeout(_LINGER_SECONDS)  # type: ignore[no-untyped-call]  # Twisted

    def _respondToBadRequestAndDisconnect(self) -> None:
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self._limit_acts("handshake_head_bytes", "the head of a request of {address} was too large")
        else:
            self.limits.counters.requests_malformed += 1
        self.transport.write(_answer(b"400 Bad Request", "The request is malformed or too large."))
        self.loseConnection()

    def _begin_head(self) -> None:
        crowded_out = self.limits.pending.add(self, self._crowd)
        if crowded_out is not None:
            crowded_out._limit_acts("pending_handshakes", "too many requests are incomplete: {address} was dropped")
            crowded_out.transport.abortConnection()

    def _begin_body(self) -> None:
        self._body_began = self.limits.seconds()
        # What came in one packet with the head counts too.
        self._body_bytes = len(self._buffer) + len(self._unparsed)
        first_look_seconds = min(_BODY_GRACE_SECONDS, self.limits.request_timeout_seconds)
        self.setTimeout(first_look_seconds)  # type: ignore[no-untyped-call]  # Twisted

    def _body_ends(self, began: float) -> float:
        """When a body has to be complete: a slow one wins a second by each KiB."""
        at_least_speed = _BODY_GRACE_SECONDS + self._body_bytes / LEAST_BODY_BYTES_PER_SECOND
        return began + min(at_least_speed, self.limits.request_timeout_seconds)

    def _limit_acts(self, setting: str, text: str) -> None:
        self.limits.reports.limit(setting, text, address=self.address)


def _answer(status: bytes, why: str) -> bytes:
    """A whole answer, after which the connection ends."""
    body = why.encode("ascii") + b"\n"
    head = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _nothing(_value: bytes) -> str | None:
    return None


def _bad_content_type(value: bytes) -> str | None:
    # Those who read media types and their parameters need a time that grows with the square of the length.
    return "the Content-Type is too long" if len(value) > MAX_CONTENT_TYPE_BYTES else None


def _bad_transfer_encoding(value: bytes) -> str | None:
    # RFC 9112 section 7 has no "identity" any more; a proxy that takes it otherwise finds another request in the body.
    return None if value.lower() == b"chunked" else "the Transfer-Encoding is not chunked"


_BAD_VALUES: Mapping[bytes, Callable[[bytes], str | None]] = {
    b"content-type": _bad_content_type,
    b"transfer-encoding": _bad_transfer_encoding,
}
"""What is wrong with the value of a header, by the header's name in lower case; None is nothing."""
