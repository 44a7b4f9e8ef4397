"""HTTP/1.1 connections that keep no turn of the reactor to themselves. What the bytes mean, this module does not know.

One read may hold thousands of requests or of chunks. They are parsed for a few milliseconds; what is left waits for the
next turn, and the client's socket is read no further until then.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from .answers import WatchedChannel

__all__ = ["TURN_SECONDS", "PacedChannel"]

TURN_SECONDS = 0.005
"""How long one client's bytes are parsed, and its requests are run, in one turn."""

# So much is parsed between two looks at the clock. It also bounds what Twisted copies for each line of a head.
_PIECE_BYTES = 4_096


class PacedChannel(WatchedChannel):
    """One connection, which parses what has come a piece at a time."""

    _unparsed = b""
    _is_parsing = False
    _is_http = True  # no other protocol has taken the transport over
    _turn_ends = 0.0
    _next_turn: IDelayedCall | None = None

    def seconds(self) -> float:
        """The time, in seconds."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Have Twisted parse a piece."""
        LineReceiver.dataReceived(self, data)

    def parse(self, data: bytes) -> None:
        """Parse what has come, for a short time."""
        self._unparsed += data
        if self._next_turn is None:
            self._parse()
        else:
            # The end of a request had it read on.
            self._networkProducer.pauseProducing()

    def drop_unparsed(self) -> None:
        """Forget what has come and is not parsed."""
        self.clearLineBuffer()  # type: ignore[no-untyped-call]  # Twisted
        self._unparsed = b""

    def take_unparsed(self) -> bytes:
        """Give up what has come and is not parsed, and parse no more: HTTP is over on this connection."""
        self._cancel_next_turn()
        self._is_http = False
        waiting, self._buffer, self._unparsed, self.paused = self._buffer + self._unparsed, b"", b"", False
        return waiting

    def setLineMode(self, extra: bytes = b"") -> None:
        """A request was answered, and the next one may be parsed: it begins with what came behind the last one."""
        self.line_mode = 1
        self._unparsed = extra + self._unparsed
        if self._is_parsing:
            self.paused = self.seconds() >= self._turn_ends
        elif self._next_turn is None and self._unparsed:
            self._parse()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self._cancel_next_turn()
        super().connectionLost(reason)

    def _parse(self) -> None:
        self._is_parsing = True
        self._turn_ends = self.seconds() + TURN_SECONDS
        try:
            if self.paused:
                self.paused = False
                self.feed(b"")
            while self._unparsed and not self.paused and not self.transport.disconnecting:
                piece, self._unparsed = self._unparsed[:_PIECE_BYTES], self._unparsed[_PIECE_BYTES:]
                self.feed(piece)
                if self._unparsed and self.seconds() >= self._turn_ends:
                    self.paused = True
        finally:
            self._is_parsing = False
        if self.transport.disconnecting:
            self.drop_unparsed()
        elif self._unparsed or (self.paused and self._buffer):
            self._networkProducer.pauseProducing()
            self._next_turn = self.callLater(0, self._go_on)  # type: ignore[no-untyped-call]  # Twisted

    def _go_on(self) -> None:
        self._next_turn = None
        self._parse()
        # Twisted reads on while a request is handled, and not while the transport is full.
        if self._next_turn is None and self._is_http and (self._handlingRequest or not self._waitingForTransport):
            self._networkProducer.resumeProducing()

    def _cancel_next_turn(self) -> None:
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
