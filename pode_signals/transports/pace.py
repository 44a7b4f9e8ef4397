"""How much of one client's data is parsed in a turn, and how much is written. It does not know what the data says.

Data that does not fit into the client's share of a turn (:mod:`~pode_signals.hub.turns`) waits as bytes, and the
client's socket is not read meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from ..hub.stalls import STALL_SECONDS
from .full import Producer

if TYPE_CHECKING:
    from ..hub.link import Link

__all__ = ["PacedServerProtocol"]

# A read brings up to 64 KiB, in which there may be thousands of frames. For each frame Autobahn copies all bytes behind
# that frame, so a piece of this size keeps the copies small.
_PIECE_BYTES = 4_096


class PacedServerProtocol(Producer, WebSocketServerProtocol):  # type: ignore[misc]  # Autobahn
    """Autobahn's protocol, which stops parsing when the client's share of a turn is over or its connection is paused.

    Attributes:
        connection: the link whose wire this protocol is; set before the handshake.
    """

    connection: Link
    # An ITCPTransport, or TLS around one.
    transport: Any
    # A SignalFactory.
    factory: Any
    # The client has had its share of this turn, or its connection is paused: data waits in ``data``, and the socket is
    # not read.
    _behind = False
    # A call of _catch_up_now waits in the line of the turns.
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
        """Read on, after the data that waits is parsed."""
        if self._behind or self._end is not None:
            self._catch_up_later()
        else:
            self._reading.resumeProducing()

    # What the transport calls.

    def connectionMade(self) -> None:
        """The transport is ours: have it report when its buffer is full, and when it is empty again."""
        super().connectionMade()
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Data that the transport has read itself."""
        seconds = self.connection.runtime.turns.seconds
        began = seconds()
        # A plain socket is read once in a turn, and consumeData measures the share of that one read.
        if isinstance(self.transport, ProtocolWrapper):
            self._take_record(data)
        else:
            self.take(data)
        if seconds() - began >= STALL_SECONDS:
            self.connection.took_long(began)

    def _take_record(self, data: bytes) -> None:
        """Data of one TLS record. One read may hold thousands of records."""
        # The time of all records in one turn is added up, and ``began`` lies as far back as the earlier records have
        # taken.
        turns = self.connection.runtime.turns
        if self._turn != turns.number:
            self._turn, self._used_seconds = turns.number, 0.0
        began = turns.seconds() - self._used_seconds
        # TLS goes on with the records of a read when its transport is paused meanwhile.
        if self.connection.reading_paused and not self._behind:
            self._fall_behind()
        self.take(data)
        self._used_seconds = turns.seconds() - began
        if turns.is_over(began):
            self._rest()

    def take(self, data: bytes) -> None:
        """Data of the client, read by the transport or by a shared reader."""
        self.parse(data)

    def parse(self, data: bytes) -> None:
        """Have Autobahn parse data, a piece at a time."""
        if len(data) <= _PIECE_BYTES:
            self.feed(data)
            return
        for start in range(0, len(data), _PIECE_BYTES):
            # Autobahn's own buffer takes the rest, behind the bytes that wait there already.
            if self._behind or self.state == self.STATE_CLOSED:
                self.data += data[start:]
                return
            self.feed(data[start : start + _PIECE_BYTES])

    def feed(self, data: bytes) -> None:
        """Give Autobahn a piece."""
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone. Data that came before an orderly end and still waits here is parsed before the end.

        TLS reports its end in the same read that brought the data.
        """
        if self._behind and self._end is None and reason.check(ConnectionDone):
            self._end = reason
            if not self.connection.reading_paused:
                self._catch_up_later()
        else:
            self.ended(reason)

    def ended(self, reason: Failure) -> None:
        """The transport is gone, and all its data has been parsed or dropped."""
        self._end = None
        super().connectionLost(reason)

    # What Autobahn calls.

    def consumeData(self) -> None:
        """Parse frames until the client's share of the turn is over, or the connection pauses reading.

        This stands in place of Autobahn's loop, which parses all frames of a read.
        """
        # The handshake is one piece, and its bytes are the server's own.
        if self.state == self.STATE_CONNECTING:
            super().consumeData()
            return
        if self._behind:
            return
        turns = self.connection.runtime.turns
        seconds, end = turns.seconds, turns.share_ends()
        while not self.connection.reading_paused:
            # False where the next frame is not complete.
            if not self.processData() or self.state == self.STATE_CLOSED:
                return
            if seconds() >= end:
                break
        self._fall_behind()

    def _rest(self) -> None:
        """The client has had its share: data that comes later in this turn waits for another turn."""
        if not (self._behind or self.connection.reading_paused or self.state == self.STATE_CLOSED):
            self._fall_behind()

    def _fall_behind(self) -> None:
        """Leave the bytes in ``data`` for another turn, or until the connection reads on, and pause the socket."""
        self._behind = True
        if self._end is None:
            self._reading.pauseProducing()
        if not self.connection.reading_paused:
            self._catch_up_later()

    @property
    def _reading(self) -> Any:
        """The object that pauses and resumes reading; a subclass may read by another object than the transport."""
        return self.transport

    def _catch_up_later(self) -> None:
        if not self._catching_up:
            self._catching_up = True
            self.connection.runtime.turns.later(self._catch_up_now)

    def _catch_up_now(self) -> None:
        self._catching_up = False
        # resume_reading plans this again.
        if self.connection.reading_paused:
            return
        if self.state == self.STATE_CLOSED:
            self._nothing_waits()
            return
        turns = self.connection.runtime.turns
        began = turns.seconds()
        self._behind = False
        # The bytes go in as if they had just come: take has the fence, and what is not parsed gets back into ``data``.
        waiting, self.data = self.data, b""
        try:
            self.take(waiting)
        except BaseException:
            # What no fence keeps ends the connection whose bytes were read, and is logged. The reactor does so where it
            # reads, and ends none for a call of a later turn.
            self.transport.abortConnection()
            raise
        if turns.seconds() - began >= STALL_SECONDS:
            self.connection.took_long(began)
        # Where nothing was parsed, a frame is not complete. Then only the socket can bring the rest, so the protocol
        # must not fall behind again.
        if len(self.data) < len(waiting) and turns.is_over(began):
            self._rest()
        if not self._behind and not self.connection.reading_paused:
            self._nothing_waits()

    def _nothing_waits(self) -> None:
        """All data that came is parsed: read on, or report the end that has waited for this."""
        if self._end is not None:
            self.ended(self._end)
        else:
            self._reading.resumeProducing()
