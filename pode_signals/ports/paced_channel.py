"""HTTP/1.1 connections that keep no turn of the reactor to themselves. What the bytes mean, this module does not know.

One read may hold thousands of requests or of chunks. They are parsed for the share of a turn that each client gets;
what is left waits for another turn, and the client's socket is read no further until then.
"""

from __future__ import annotations

from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from ..hub.turns import Turns
from .answers import WatchedChannel

__all__ = ["PacedChannel"]

# So much is parsed between two looks at the clock. It also bounds what Twisted copies for each line of a head.
_PIECE_BYTES = 4_096


class PacedChannel(WatchedChannel):
    """One connection, which parses what has come a piece at a time."""

    _unparsed = b""
    _is_parsing = False
    _is_http = True  # no other protocol has taken the transport over
    _waits = False  # for a turn
    _share_ends = 0.0

    @property
    def turns(self) -> Turns:
        """The turns of the hub's clock."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Have Twisted parse a piece."""
        LineReceiver.dataReceived(self, data)

    def parse(self, data: bytes) -> None:
        """Parse what has come, for a short time."""
        self._unparsed += data
        if self._waits or self._is_full:
            # The end of a request had it read on.
            self._networkProducer.pauseProducing()
        elif self.turns.is_used_up:
            self._wait_for_a_turn()
        else:
            self._parse()

    def drop_unparsed(self) -> None:
        """Forget what has come and is not parsed."""
        self.clearLineBuffer()  # type: ignore[no-untyped-call]  # Twisted
        self._unparsed = b""

    def take_unparsed(self) -> bytes:
        """Give up what has come and is not parsed, and parse no more: HTTP is over on this connection."""
        self._is_http = False
        waiting, self._buffer, self._unparsed, self.paused = self._buffer + self._unparsed, b"", b"", False
        return waiting

    def setLineMode(self, extra: bytes = b"") -> None:
        """A request was answered, and the next one may be parsed: it begins with what came behind the last one."""
        self.line_mode = 1
        self._unparsed = extra + self._unparsed
        if self._is_parsing:
            # A client that does not read its answers gets no more of them: they would wait in memory.
            self.paused = self.is_unread or self.turns.seconds() >= self._share_ends
        elif self._unparsed and not self._waits and not self.is_unread:
            self._parse()

    def resumeProducing(self) -> None:
        """IPushProducer: the transport is empty. What has come meanwhile is parsed."""
        super().resumeProducing()
        if (self._unparsed or self._buffer) and not self._waits and not self._is_parsing and self._is_http:
            self._wait_for_a_turn()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self._is_http = False
        super().connectionLost(reason)

    @property
    def _is_full(self) -> bool:
        """Whether the client has to read before anything else is done for it; what comes behind a request is kept."""
        return self.is_unread and not self._handlingRequest

    def _parse(self) -> None:
        self._is_parsing = True
        turns = self.turns
        seconds, began, self._share_ends = turns.seconds, turns.seconds(), turns.share_ends()
        try:
            if self.paused:
                self.paused = False
                self.feed(b"")
            while self._unparsed and not self.paused and not self.transport.disconnecting:
                piece, self._unparsed = self._unparsed[:_PIECE_BYTES], self._unparsed[_PIECE_BYTES:]
                self.feed(piece)
                if self._unparsed and seconds() >= self._share_ends:
                    self.paused = True
        finally:
            self._is_parsing = False
            turns.spend(began)
        if self.transport.disconnecting:
            self.drop_unparsed()
        elif self._unparsed or (self.paused and self._buffer):
            if self._is_full:
                self._networkProducer.pauseProducing()
            else:
                self._wait_for_a_turn()

    def _wait_for_a_turn(self) -> None:
        self._networkProducer.pauseProducing()
        self._waits = True
        self.turns.later(self._go_on)

    def _go_on(self) -> None:
        self._waits = False
        if not self._is_http or self._is_full:
            return
        self._parse()
        # Twisted reads on while a request is handled, and not while the transport is full.
        if self._is_http and not self._waits and (self._handlingRequest or not self._waitingForTransport):
            self._networkProducer.resumeProducing()
