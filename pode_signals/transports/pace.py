"""How much of one client's data is read on in a turn, and how much is written. What the data is, it does not know.

What does not fit into the client's share of a turn (:mod:`~pode_signals.hub.turns`) waits as bytes, and nothing more
is read meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IWriteDescriptor
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from ..hub.stalls import STALL_SECONDS

if TYPE_CHECKING:
    from ..hub.link import Link

__all__ = ["PacedServerProtocol"]

# A read brings up to 64 KiB, in which there may be thousands of frames.
_PIECE_BYTES = 4_096


class PacedServerProtocol(WebSocketServerProtocol):
    """Autobahn's protocol that keeps no turn to itself, nor reads on while its connection does not.

    Attributes:
        connection: what it is the wire of; set before the handshake.
    """

    connection: Link
    # An ITCPTransport, or TLS around one.
    transport: Any
    # A SignalFactory.
    factory: Any
    # The transport holds more than it likes, as it says itself; and as the connection was told.
    _full = False
    _congested = False
    # The client has had its share of this turn: its data waits in ``data``, and nothing more is read.
    _behind = False
    _catching_up = False
    # How the transport ended, while data that came before its end still waits.
    _end: Failure | None = None
    # The last turn in which the transport brought data, and how long that data has taken.
    _turn = -1
    _used_seconds = 0.0

    def pause_reading(self) -> None:
        """Read no further from the socket."""
        if self._end is None:
            self._reading.pauseProducing()

    def resume_reading(self) -> None:
        """Read on, once what waits is parsed."""
        if self._behind or self._end is not None:
            self._catch_up_later()
        else:
            self._reading.resumeProducing()

    # What the transport calls.

    def connectionMade(self) -> None:
        """The transport is ours: be told when it holds more than it likes."""
        super().connectionMade()
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Data that the transport has read itself."""
        seconds = self.connection.runtime.turns.seconds
        began = seconds()
        # A plain socket is read once in a turn.
        if isinstance(self.transport, ProtocolWrapper):
            self._take_record(data)
        else:
            self.take(data)
        if seconds() - began >= STALL_SECONDS:
            self.connection.took_long(began)

    def _take_record(self, data: bytes) -> None:
        """TLS brings each record by itself, and there may be thousands in what was read in one turn."""
        turns = self.connection.runtime.turns
        if self._turn != turns.number:
            self._turn, self._used_seconds = turns.number, 0.0
        began = turns.seconds() - self._used_seconds
        if self.connection.reading_paused and not self._behind:
            self._fall_behind()
        self.take(data)
        self._used_seconds = turns.seconds() - began
        if turns.is_over(began):
            self._rest()

    def take(self, data: bytes) -> None:
        """Data of the client, whoever has read it."""
        self.parse(data)

    def parse(self, data: bytes) -> None:
        """Have Autobahn parse what has come, a piece at a time: it copies all that is left for each frame."""
        if len(data) <= _PIECE_BYTES:
            self.feed(data)
            return
        for start in range(0, len(data), _PIECE_BYTES):
            if self._behind or self.state == self.STATE_CLOSED:
                self.data += data[start:]
                return
            self.feed(data[start : start + _PIECE_BYTES])

    def feed(self, data: bytes) -> None:
        """Give Autobahn a piece."""
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone. TLS may end in order right behind data that still waits here, and that comes first."""
        if self._behind and self._end is None and reason.check(ConnectionDone):
            self._end = reason
            if not self.connection.reading_paused:
                self._catch_up_later()
        else:
            self.ended(reason)

    def ended(self, reason: Failure) -> None:
        """The transport is gone, and so is all that came by it."""
        self._end = None
        super().connectionLost(reason)

    def pauseProducing(self) -> None:
        """IPushProducer: the transport is full. The client reads slower than we write where the system is full too."""
        self._full = True
        if IWriteDescriptor.providedBy(self.transport):
            self._write_now()
        if self._full and not self._congested:
            self._congested = True
            self.connection.congested()

    def resumeProducing(self) -> None:
        """IPushProducer: the transport is empty."""
        self._full = False
        if self._congested:
            self._congested = False
            self.connection.drained()

    def stopProducing(self) -> None:
        """IPushProducer: the transport ends, which connectionLost reports. Its socket is still open."""

    # What Autobahn calls.

    def consumeData(self) -> None:
        """Parse what has come, for a short time. The rest waits for another turn, or until the connection reads on."""
        if self.state == self.STATE_CONNECTING:
            super().consumeData()
            return
        if self._behind:
            return
        turns = self.connection.runtime.turns
        seconds, end = turns.seconds, turns.share_ends()
        while not self.connection.reading_paused:
            if not self.processData() or self.state == self.STATE_CLOSED:
                return
            if seconds() >= end:
                break
        self._fall_behind()

    def _rest(self) -> None:
        """The client has had its share: whatever else comes in this turn waits, too."""
        if not (self._behind or self.connection.reading_paused or self.state == self.STATE_CLOSED):
            self._fall_behind()

    def _fall_behind(self) -> None:
        """What waits in ``data`` comes in another turn, or when the connection reads on."""
        self._behind = True
        if self._end is None:
            self._reading.pauseProducing()
        if not self.connection.reading_paused:
            self._catch_up_later()

    @property
    def _reading(self) -> Any:
        """What pauses and resumes reading."""
        return self.transport

    def _catch_up_later(self) -> None:
        if not self._catching_up:
            self._catching_up = True
            self.connection.runtime.turns.later(self._catch_up_now)

    def _catch_up_now(self) -> None:
        self._catching_up = False
        if self.connection.reading_paused:
            return
        if self.state == self.STATE_CLOSED:
            self._nothing_waits()
            return
        turns = self.connection.runtime.turns
        began = turns.seconds()
        self._behind = False
        waiting, self.data = self.data, b""
        self.take(waiting)
        if turns.seconds() - began >= STALL_SECONDS:
            self.connection.took_long(began)
        if len(self.data) < len(waiting) and turns.is_over(began):
            self._rest()
        if not self._behind and not self.connection.reading_paused:
            self._nothing_waits()

    def _nothing_waits(self) -> None:
        if self._end is not None:
            self.ended(self._end)
        else:
            self._reading.resumeProducing()

    def _write_now(self) -> None:
        """Have the system take what it can of what the transport holds, rather than in turns to come."""
        transport, before = self.transport, None
        while self._full and before != (held := (transport.offset, len(transport.dataBuffer))):
            before = held
            # An error of the system is met by the reactor again, which sees to it.
            if transport.doWrite() is not None:
                return
