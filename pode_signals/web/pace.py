"""How much of one client's data is parsed in a turn, and how much is written. What the data is, it does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IWriteDescriptor
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from .lean import LeanServerProtocol

if TYPE_CHECKING:
    from ..connection import SignalConnection
    from .reading import Reading

__all__ = ["PacedServerProtocol"]

_PARSE_SECONDS = 0.001  # a read may hold thousands of frames, and other clients are waiting


class PacedServerProtocol(LeanServerProtocol):
    """Autobahn's protocol that keeps no turn to itself, nor reads on while its connection does not.

    Attributes:
        connection: what it is the wire of; set before the handshake.
    """

    connection: SignalConnection
    transport: Any  # an ITCPTransport, or TLS around one
    factory: Any  # a SignalFactory
    _may_share = True  # a reader has not been asked to read in the transport's place
    _shared: Reading | None = None  # what reads there
    _full = False  # as the transport says
    _congested = False  # as the connection was told
    _behind = False  # data waits to be parsed, and nothing is read
    _catching_up = False
    _ending = False

    def pause_reading(self) -> None:
        """Read no further from the socket."""
        self._reading.pauseProducing()

    def resume_reading(self) -> None:
        """Read on, once what waits is parsed."""
        if self._behind:
            self._catch_up_later()
        else:
            self._reading.resumeProducing()

    # What the transport calls.

    def connectionMade(self) -> None:
        """The transport is ours: be told when it holds more than it likes."""
        super().connectionMade()
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Data that the transport has read itself: the first, after which the shared reader reads where it can."""
        if self._may_share:
            self._may_share = False
            self._shared = self.factory.reader.adopt(self.transport, self.take)
        self.take(data)

    def take(self, data: bytes) -> None:
        """Data of the client, whoever has read it."""
        self.parse(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone. TLS may end in order right behind data that still waits here."""
        self._stop_shared_reading()
        if self._behind and reason.check(ConnectionDone):
            self._ending = True
            self._catch_up()
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
        self._stop_shared_reading()

    # What Autobahn calls.

    def consumeData(self) -> None:
        """Parse what has come, for a short time. The rest waits for another turn, or until the connection reads on."""
        if self._ending or self.state == self.STATE_CONNECTING:
            super().consumeData()
            return
        if self._behind:
            return
        clock = self.connection.hub.clock
        end = clock.seconds() + _PARSE_SECONDS
        while not self.connection.reading_paused:
            if not self.processData() or self.state == self.STATE_CLOSED:
                return
            if clock.seconds() >= end:
                break
        self._behind = True
        self._reading.pauseProducing()
        if not self.connection.reading_paused:
            self._catch_up_later()

    @property
    def _reading(self) -> Any:
        """What pauses and resumes reading."""
        return self._shared or self.transport

    def _stop_shared_reading(self) -> None:
        """For good, and before the socket is closed: an epoll forgets it only when no child process holds it either."""
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.stopProducing()

    def _catch_up_later(self) -> None:
        if not self._catching_up:
            self._catching_up = True
            self.connection.hub.clock.callLater(0, self._catch_up_now)

    def _catch_up_now(self) -> None:
        self._catching_up = False
        if self.connection.reading_paused or self.state == self.STATE_CLOSED:
            return
        self._catch_up()
        if not self._behind and not self.connection.reading_paused:
            self._reading.resumeProducing()

    def _catch_up(self) -> None:
        self._behind = False
        waiting, self.data = self.data, b""
        self.take(waiting)

    def _write_now(self) -> None:
        """Have the system take what it can of what the transport holds, rather than in turns to come."""
        transport, before = self.transport, None
        while self._full and before != (held := (transport.offset, len(transport.dataBuffer))):
            before = held
            if transport.doWrite() is not None:
                return  # the reactor will meet the same error, and see to it
