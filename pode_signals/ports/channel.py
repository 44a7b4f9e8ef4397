"""One HTTP/1.1 connection of a service's port, whose requests are bounded in size, time and number.

The methods are in the order of time: a client comes; bytes come and are parsed a share of a turn at a time; a head
comes; a body comes; the answer goes out; the next request comes, or the end. It decides nothing about the answer.
"""

# The methods of Twisted that are called here have no annotations: hence the ignores.
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from ..core.addresses import limit_key, plain_address
from .answer_writer import AnswerWriter
from .body_time import BodyTime
from .head_rules import MAX_HEADERS, continues_header, why_header_is_bad
from .last_answers import REQUEST_MALFORMED, REQUEST_TOO_SLOW
from .request import BodyTooLarge
from .request_limits import RequestLimits

__all__ = ["LAST_SECONDS", "SignalChannel"]

LAST_SECONDS = 1
"""How long a client that took too long may take to close its end."""

# The clock is looked at after each piece of this size. The size also bounds what Twisted copies for each line of a
# head: all bytes behind the line.
_PIECE_BYTES = 4_096
# After a body was refused, data of the client is dropped for this long, so that the client can read the answer.
_LINGER_SECONDS = 5
_NO_ADDRESS = "-"


class SignalChannel(HTTPChannel):
    """One connection.

    Twisted's own timeout starts anew with every byte. Here a timeout runs over each head and each body as a whole. And
    Twisted parses a whole read at once, in which there may be thousands of requests or of chunks. Here a client gets
    its share of a turn. The rest waits for another turn, and the client's socket is not read until then.

    The private attributes of Twisted that are used here were seen with Twisted 26.10; ``tests/web/test_canary.py`` and
    ``tests/ports`` fail with a Twisted that has others.

    Attributes:
        limits: the bounds that all connections of a hub share; the site sets them.
        address: the client's address for log lines; ``-`` where the client has none.
    """

    # An ITCPTransport, or TLS around one.
    transport: Any
    maxHeaders = MAX_HEADERS
    abortTimeout = LAST_SECONDS
    limits: RequestLimits
    address = _NO_ADDRESS
    _answers: AnswerWriter
    _crowd = ""
    _idle_seconds: float | None = None
    # False once the connection is lost, or another protocol has the transport.
    _is_http = True
    # There was an answer, and no byte has come since then.
    _is_unused = False
    # Some bytes of the next request have come, and the request is not complete yet.
    _has_begun = False
    # None while no body comes.
    _body_time: BodyTime | None = None
    # A body was refused, and all data that still comes is dropped.
    _lingers = False
    # Bytes that have come and were not given to Twisted yet.
    _unparsed = b""
    _is_parsing = False
    _waits_for_turn = False
    _share_ends = 0.0
    # When the client was accepted, or when the first byte of its latest request came.
    _began_seconds = 0.0

    # A client comes.

    def connectionMade(self) -> None:
        """A client is there, and its first request is not."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        self._idle_seconds = self.timeOut
        self.totalHeadersSize = self.MAX_LENGTH = self.limits.head_bytes
        host = getattr(self.getPeer(), "host", None) or ""  # type: ignore[no-untyped-call]
        # The group of clients among which this one counts where too many requests are incomplete. All clients without
        # an address are one group: mostly they come through a proxy on a UNIX socket.
        self._crowd = limit_key(plain_address(host))
        self.address = host or _NO_ADDRESS
        self._began_seconds = self.limits.turns.seconds()
        self._answers = AnswerWriter(self.transport, self.callLater, self.limits, self.address)
        self._await_request()

    def _await_request(self) -> None:
        """Count the connection as an incomplete request. Where there are too many of these, one of them is dropped."""
        crowded_out = self.limits.pending.add(self, self._crowd)
        if crowded_out is not None:
            crowded_out._limit_acts("pending_handshakes", "too many requests are incomplete: {address} was dropped")
            crowded_out.transport.abortConnection()

    def waited_seconds(self) -> float:
        """How long the client has waited since it came, or since the first byte of a request that is not its first."""
        return self.limits.turns.seconds() - self._began_seconds

    # Bytes come, and are parsed a share of a turn at a time.

    def dataReceived(self, data: bytes) -> None:
        """Bytes of a request came. Bytes of a body give the request a little more time; bytes of a head give none."""
        # Twisted would keep bytes that come while the connection ends, and the end of TLS can take a while.
        if self.transport.disconnecting or self._lingers:
            return
        if self._is_unused:
            self._is_unused = False
            self._began_seconds = self.limits.turns.seconds()
        self._has_begun = True
        if self._body_time is not None:
            self._body_time.received_bytes += len(data)
        self._unparsed += data
        if self._waits_for_turn or self._is_full:
            # Twisted has the transport read on at the end of each request.
            self._stop_reading()
        elif self.limits.turns.is_used_up:
            self._wait_for_turn()
        else:
            self._parse_share()

    @property
    def _is_full(self) -> bool:
        """Whether the client has to read its answers before its next request is parsed."""
        # _handlingRequest means that a request is complete and its answer is not. Bytes behind such a request are kept,
        # see rawDataReceived.
        return self._answers.is_unread and not self._handlingRequest

    def _parse_share(self) -> None:
        self._is_parsing = True
        turns = self.limits.turns
        seconds, began, self._share_ends = turns.seconds, turns.seconds(), turns.share_ends()
        try:
            if self.paused:
                self.paused = False
                self._parse_piece(b"")
            while self._unparsed and not self.paused and not self.transport.disconnecting:
                piece, self._unparsed = self._unparsed[:_PIECE_BYTES], self._unparsed[_PIECE_BYTES:]
                self._parse_piece(piece)
                if self._unparsed and seconds() >= self._share_ends:
                    self.paused = True
        finally:
            self._is_parsing = False
            turns.spend(began)
        if self.transport.disconnecting:
            self._drop_unparsed()
        # LineReceiver's _buffer has bytes that were given and are not parsed: a line without its end, or the rest of a
        # piece during which the channel was paused.
        elif self._unparsed or (self.paused and self._buffer):
            if self._is_full:
                self._stop_reading()
            else:
                self._wait_for_turn()

    def _parse_piece(self, data: bytes) -> None:
        """Have Twisted parse a piece, and answer where Twisted can't."""
        try:
            # Not HTTPChannel's own, which starts the timeout anew.
            LineReceiver.dataReceived(self, data)
        except BodyTooLarge as too_large:
            self._refuse_body(too_large.setting)
        # A fence: Twisted's parsers of lengths raise for some requests. Exceptions of a resource do not come here, as
        # Request.process catches them.
        except Exception:
            self._refuse_head("it can't be read")

    def _wait_for_turn(self) -> None:
        self._stop_reading()
        self._waits_for_turn = True
        self.limits.turns.later(self._go_on)

    def _go_on(self) -> None:
        self._waits_for_turn = False
        if not self._is_http or self._is_full:
            return
        self._parse_share()
        # As Twisted does: read on while a request is handled, and otherwise only while the transport is not full.
        if self._is_http and not self._waits_for_turn and (self._handlingRequest or not self._waitingForTransport):
            self._networkProducer.resumeProducing()

    def _stop_reading(self) -> None:
        # The transport, or Twisted's stand-in for a transport that can't be paused.
        self._networkProducer.pauseProducing()

    def _drop_unparsed(self) -> None:
        self.clearLineBuffer()  # type: ignore[no-untyped-call]
        self._unparsed = b""

    # A head comes.

    def lineReceived(self, line: bytes) -> None:
        """A line of a head. A line that continues the header before it counts as a header of its own."""
        if continues_header(line):
            # Twisted does not count such lines in _receivedHeaderCount, and joins the lines of a header in a time that
            # grows with the square of their number.
            self._receivedHeaderCount += 1
            if self._receivedHeaderCount > self.maxHeaders:
                self._respondToBadRequestAndDisconnect()
                return
        super().lineReceived(line)  # type: ignore[no-untyped-call]

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is larger than a head may be."""
        self._receivedHeaderSize += len(line)
        self._respondToBadRequestAndDisconnect()

    def headerReceived(self, line: bytes) -> bool:
        """A header is complete.

        Returns:
            Whether it is a good one.
        """
        why = why_header_is_bad(line)
        if why is not None:
            return self._refuse_head(why)
        return bool(super().headerReceived(line))  # type: ignore[no-untyped-call]

    def allHeadersReceived(self) -> None:
        """The head is complete."""
        super().allHeadersReceived()  # type: ignore[no-untyped-call]
        if self.length == 0:
            return
        # The part of the body that came in one read with the head counts, too.
        came_with_head = len(self._buffer) + len(self._unparsed)
        self._body_time = BodyTime(self.limits.seconds(), came_with_head, self.limits.request_timeout_seconds)
        self.setTimeout(self._body_time.first_look_seconds)  # type: ignore[no-untyped-call]

    def _refuse_head(self, why: str) -> bool:
        """Answer 400 to a head that can't be read, or that is not allowed.

        Args:
            why: a part of a sentence for the log.

        Returns:
            False, which tells Twisted that a header is bad.
        """
        self.limits.say_malformed("refused a request of {address} with 400: {why}", self.address, why)
        self._respondToBadRequestAndDisconnect()
        return False

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted calls this for each malformed head, and for each head that is too large."""
        # Twisted's own answer has no body and does not say that the connection ends, and Twisted counts nothing.
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self._limit_acts("handshake_head_bytes", "the head of a request of {address} was too large")
        else:
            self.limits.counters.requests_malformed += 1
        self.limits.counters.requests_answered["4xx"] += 1
        self.transport.write(REQUEST_MALFORMED)
        self.loseConnection()

    # A body comes.

    def rawDataReceived(self, data: bytes) -> None:
        """A part of a body; or requests behind the request that is being answered, of which only a few may wait.

        Reading must not pause until the answer is complete. Otherwise nobody would notice that the client has left.
        """
        if not self._handlingRequest:
            super().rawDataReceived(data)
            return
        # Twisted parses _dataBuffer once the answer is complete. Here it is one piece: Twisted adds up the sizes of all
        # pieces for each new piece, and a piece may hold a single byte.
        waiting = b"".join((*self._dataBuffer, data))
        self._dataBuffer = [waiting]
        if len(waiting) > self.limits.head_bytes:
            self._limit_acts("handshake_head_bytes", "{address} sent too much behind a request: dropped")
            # The rest of the same read would be too much once more, and would be logged again.
            self._dataBuffer = []
            self._drop_unparsed()
            self.transport.abortConnection()

    def allContentReceived(self) -> None:
        """The request is complete: it does not count as incomplete any more, and its answer begins."""
        self.limits.pending.discard(self, self._crowd)
        self._has_begun = False
        if self._body_time is not None:
            self._body_time = None
            # Twisted takes the timeout that is set now for the next head, too.
            self.setTimeout(self._idle_seconds)  # type: ignore[no-untyped-call]
        super().allContentReceived()  # type: ignore[no-untyped-call]

    def _refuse_body(self, setting: str) -> None:
        """Have the site answer 413 now, rather than when the whole body has come.

        TCP resets a connection that is closed while its client sends, and the client may see the reset in place of the
        answer (RFC 9112 section 9.6). So the connection stays open for a while, and data that comes is dropped.
        """
        self._limit_acts(setting, "the body of a request of {address} was too large")
        self._lingers = True
        self._drop_unparsed()
        self.requests[-1].drop_body()
        self.allContentReceived()
        self.setTimeout(_LINGER_SECONDS)  # type: ignore[no-untyped-call]

    # The answer goes out.

    def write(self, data: bytes) -> None:
        """A part of an answer goes out."""
        self._answers.write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """A part of an answer goes out, in pieces."""
        self._answers.write_sequence(iovec)

    def pauseProducing(self) -> None:
        """IPushProducer: the transport is full."""
        self._answers.transport_is_full()
        super().pauseProducing()  # type: ignore[no-untyped-call]

    def resumeProducing(self) -> None:
        """IPushProducer: the transport is empty. Bytes that have come meanwhile are parsed in a turn to come."""
        self._answers.transport_is_empty()
        super().resumeProducing()  # type: ignore[no-untyped-call]
        if (self._unparsed or self._buffer) and not self._waits_for_turn and not self._is_parsing and self._is_http:
            self._wait_for_turn()

    # The next request comes.

    def requestDone(self, request: Any) -> None:
        """The answer is complete. Another request may come on this connection, or none."""
        if self.persistent:
            # The next request may have come already, or a part of it.
            self._has_begun = bool(self._dataBuffer or self._buffer or self._unparsed)
            self._is_unused = not self._has_begun
            self._began_seconds = self.limits.turns.seconds()
            self._await_request()
        super().requestDone(request)  # type: ignore[no-untyped-call]

    def setLineMode(self, extra: bytes = b"") -> None:
        """A request was answered, and the next one may be parsed. ``extra`` has the bytes behind the last one."""
        self.line_mode = 1
        self._unparsed = extra + self._unparsed
        if self._is_parsing:
            # A client that does not read its answers gets no further ones, which would only wait in memory.
            self.paused = self._answers.is_unread or self.limits.turns.seconds() >= self._share_ends
        elif self._unparsed and not self._waits_for_turn and not self._answers.is_unread:
            self._parse_share()

    def timeoutConnection(self) -> None:
        """The client took too long over a request, or did not use the connection for another one."""
        if self._answers.is_unread and not self.transport.disconnecting:
            # The client still reads the last answer, for which AnswerWriter has a time of its own.
            self.setTimeout(self.timeOut)  # type: ignore[no-untyped-call]
            return
        if self._body_time is not None:
            left_seconds = self._body_time.left_seconds(self.limits.seconds())
            if left_seconds > 0:
                self.setTimeout(left_seconds)  # type: ignore[no-untyped-call]
                return
            self._limit_acts("request_timeout_seconds", "{address} took too long over the body of a request: closed")
        elif self._lingers:
            self._lingers = False
        elif not self._is_unused:
            self._limit_acts("handshake_timeout_seconds", "{address} took too long over a request: closed")
        if self._has_begun:
            self.limits.counters.requests_answered["4xx"] += 1
            self.transport.write(REQUEST_TOO_SLOW)
        # Twisted cancels this timer when the connection is lost, and forceAbortClient ends it.
        self._abortingCall = self.callLater(self.abortTimeout, self.forceAbortClient)  # type: ignore[no-untyped-call]
        self.loseConnection()

    # The end: another protocol takes the transport over, or the connection ends.

    def take_unparsed(self) -> bytes:
        """End HTTP on this connection: nothing is parsed any more, and another protocol may have the transport.

        Returns:
            The bytes that have come and are not parsed.
        """
        self._is_http = False
        waiting, self._buffer, self._unparsed, self.paused = self._buffer + self._unparsed, b"", b"", False
        return waiting

    def loseConnection(self) -> None:
        """Close the connection; after a refused body only when the client has had time to read the answer."""
        if not self._lingers:
            self._answers.connection_closes()
            super().loseConnection()  # type: ignore[no-untyped-call]

    def forceAbortClient(self) -> None:
        """The client does not close its end: abort. Twisted's own method would write two lines into the log."""
        self._abortingCall = None
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self._is_http = False
        self.limits.pending.discard(self, self._crowd)
        self._answers.connection_is_gone()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def _limit_acts(self, setting: str, text: str) -> None:
        self.limits.limit_acted(setting, text, self.address)
