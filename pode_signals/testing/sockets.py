"""A TCP connection in memory, both ends of it. It opens no socket, waits for nobody, and knows no protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

__all__ = ["ClientEnd"]

_SERVER = IPv4Address("TCP", "127.0.0.1", 80)
# What one call of recv gives at most on a real reactor.
_READ_BYTES = 65_536


class ClientEnd:
    """The client's end of a connection.

    What a client writes is with the server at once. What the server writes is with the client in a later turn.

    Args:
        clock: the clock of both ends.
        factory: makes the server's protocol.
        port: the port of the client.
        arrived: is told that something has arrived: more bytes, or the end.

    Attributes:
        unread: the bytes that have arrived, in a buffer that the client empties.
        is_ended: whether the server has ended the connection, and everything before that has arrived.
    """

    def __init__(self, clock: Clock, factory: IProtocolFactory, port: int, arrived: Callable[[], None]) -> None:
        self._clock = clock
        self._arrived = arrived
        self._is_planned = False
        self._is_unplugged = False
        self.unread = bytearray()
        self.is_ended = False
        peer = IPv4Address("TCP", "127.0.0.1", port)
        self._server = _ServerEnd(clock, peer, self._comes)
        protocol: Any = factory.buildProtocol(peer)
        self._server.protocol = protocol
        protocol.makeConnection(self._server)

    def write(self, data: bytes) -> None:
        """Send bytes; they are dropped where the server has ended the connection."""
        self._server.deliver(data)

    def reset(self) -> None:
        """End the connection without a word: the server sees that at once, and nothing arrives any more."""
        self.unplug()
        self._server.lost(ConnectionLost())

    def unplug(self) -> None:
        """Let nothing arrive any more, without an end that the server could see."""
        self._is_unplugged = True
        self.unread.clear()

    def _comes(self, data: bytes) -> None:
        if self._is_unplugged:
            return
        self.unread += data
        if not self._is_planned:
            self._is_planned = True
            self._clock.callLater(0, self._tell)

    def _tell(self) -> None:
        self._is_planned = False
        if not self._is_unplugged:
            self.is_ended = self._server.is_ended
            self._arrived()


class _ServerEnd(StringTransport):
    """The server's end: it reads nothing while paused, and tells its protocol of the end once, in a later turn."""

    def __init__(self, clock: Clock, peer: IPv4Address, written: Callable[[bytes], None]) -> None:
        super().__init__(_SERVER, peer, lenient=True)  # type: ignore[no-untyped-call]  # Twisted
        self._clock = clock
        self._written = written
        self._unread: list[bytes] = []
        self.protocol: Any = None
        self.is_ended = False

    def write(self, data: bytes) -> None:
        if not self.is_ended:
            self._written(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing to do: what is written is there."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing to do either."""

    def loseConnection(self) -> None:
        self._end(ConnectionDone())

    def abortConnection(self) -> None:
        self._end(ConnectionAborted())

    def resumeProducing(self) -> None:
        super().resumeProducing()  # type: ignore[no-untyped-call]  # Twisted
        if self._unread:
            self._clock.callLater(0, self.deliver, b"")

    def deliver(self, data: bytes) -> None:
        """Bytes of the client arrive."""
        self._unread.extend(data[at : at + _READ_BYTES] for at in range(0, len(data), _READ_BYTES))
        while self._unread and self.producerState == "producing" and not self.is_ended:
            self.protocol.dataReceived(self._unread.pop(0))

    def lost(self, reason: Exception) -> None:
        """The connection is gone."""
        self.is_ended = True
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            self.connected = False
            protocol.connectionLost(Failure(reason))

    def _end(self, reason: Exception) -> None:
        if not self.is_ended:
            self.is_ended = True
            # Transports say so, and Twisted's protocols go by that.
            self.disconnecting = True
            self._written(b"")
            self._clock.callLater(0, self.lost, reason)
