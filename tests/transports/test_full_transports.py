"""When a transport is full: what the system takes at once does not count."""

from __future__ import annotations

from typing import Any

import pytest
from transports.paced import Connection, Reader, opened
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from pode_signals.transports.event_stream import EventStream


@implementer(IWriteDescriptor)
class Descriptor:
    """A transport that holds some bytes, and the system, which takes so many at a time.

    Attributes:
        takes: how many it takes each time; an exception is its end.
    """

    def __init__(self, reader: Reader, held: int, takes: list[int | Exception]) -> None:
        self.reader, self.takes = reader, takes
        self.dataBuffer, self.offset = b"x" * held, 0

    def doWrite(self) -> Exception | None:
        """Write, as the reactor would."""
        took = self.takes.pop(0)
        if isinstance(took, Exception):
            return took
        self.offset += took
        if self.offset == len(self.dataBuffer):
            self.dataBuffer, self.offset = b"", 0
            self.reader.resumeProducing()
        return None


class Told:
    """A connection that remembers what its stream has told it."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.reader: Any = EventStream(self, b"", b"")  # type: ignore[arg-type]

    def congested(self) -> None:
        self.told.append("congested")

    def drained(self) -> None:
        self.told.append("drained")

    def lost(self) -> None:
        pass


@pytest.fixture(params=["websocket", "events"])
def connection(request: pytest.FixtureRequest) -> Any:
    """A connection over a WebSocket, or over server-sent events."""
    return opened()[0] if request.param == "websocket" else Told()


class TestWriting:
    @pytest.fixture(autouse=True)
    def _take_connection(self, connection: Any) -> None:
        self.connection = connection

    def full(self, held: int, *takes: int | Exception) -> tuple[Connection, Descriptor]:
        """A connection whose transport has just become full."""
        connection = self.connection
        transport = Descriptor(connection.reader, held, list(takes))
        connection.reader.transport = transport
        connection.reader.pauseProducing()
        return connection, transport

    def test_what_the_system_takes_at_once(self) -> None:
        """S4.7: a transport that can be emptied now is not full."""
        connection, transport = self.full(10, 4, 4, 2)
        assert (connection.told, transport.takes) == ([], [])

    def test_what_it_does_not_take(self) -> None:
        """S4.7: it is full where the system takes no more, which is asked no further; and told so once."""
        connection, transport = self.full(10, 4, 0, 4)
        assert (connection.told, transport.takes) == (["congested"], [4])
        transport.takes[:] = [0, 6]
        connection.reader.pauseProducing()
        assert connection.told == ["congested"]
        transport.doWrite()
        connection.reader.resumeProducing()
        assert connection.told == ["congested", "drained"]

    def test_a_transport_that_fails(self) -> None:
        """S4.7: an error of the system ends the writing; the reactor will find it as well."""
        connection, _transport = self.full(10, 4, ConnectionLost())
        assert connection.told == ["congested"]

    def test_a_transport_that_is_none_of_the_system(self) -> None:
        """S4.7: TLS has no buffer that the system could take: it is full when it says so."""
        connection = self.connection
        connection.reader.pauseProducing()
        connection.reader.resumeProducing()
        connection.reader.resumeProducing()
        assert connection.told == ["congested", "drained"]

    def test_its_end(self) -> None:
        """S9.3: a transport that ends tells its producer, too, which waits to hear it as a protocol."""
        connection = self.connection
        connection.reader.stopProducing()
        connection.reader.connectionLost(Failure(ConnectionLost()))
        assert connection.told == []
