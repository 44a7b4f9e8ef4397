"""A TCP connection in memory, without any HTTP on it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock

from pode_signals.testing.sockets import ClientEnd


class Server(Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.lost: list[str] = []

    def dataReceived(self, data: bytes) -> None:
        self.read.append(data)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.lost.append(reason.type.__name__)


class Connection:
    """Both ends, and how often the client was told of something."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = Server()
        self.told = 0
        factory: Any = Factory.forProtocol(lambda: self.server)
        self.client = ClientEnd(self.clock, factory, 50_000, self._arrived)

    @property
    def transport(self) -> Any:
        return self.server.transport

    def _arrived(self) -> None:
        self.told += 1


@pytest.fixture
def connection() -> Connection:
    return Connection()


def test_both_directions(connection: Connection) -> None:
    """S0.2: what the client writes is there at once, in pieces; what the server writes, at the end of the turn."""
    connection.client.write(b"x" * 65_537)
    assert [len(each) for each in connection.server.read] == [65_536, 1]
    connection.transport.write(b"one")
    connection.transport.writeSequence([b"two", b"three"])
    assert connection.told == 0
    connection.clock.advance(0)
    assert (connection.told, connection.client.unread, connection.client.is_ended) == (1, b"onetwothree", False)
    assert (connection.transport.getPeer().port, connection.transport.getHost().port) == (50_000, 80)


def test_a_server_that_does_not_read(connection: Connection) -> None:
    """S0.2: a server that pauses reads nothing until it goes on, in a later turn."""
    connection.transport.pauseProducing()
    connection.client.write(b"one")
    connection.clock.advance(1)
    assert connection.server.read == []
    connection.transport.resumeProducing()
    assert connection.server.read == []
    connection.clock.advance(0)
    assert connection.server.read == [b"one"]


@pytest.mark.parametrize(
    ("end", "reason"), [("loseConnection", "ConnectionDone"), ("abortConnection", "ConnectionAborted")]
)
def test_the_server_ends(connection: Connection, end: str, reason: str) -> None:
    """S0.2: both ends are told in a later turn, once; what is written meanwhile goes nowhere."""
    connection.transport.write(b"last words")
    for _ in range(2):
        getattr(connection.transport, end)()
    connection.transport.write(b"too late")
    connection.client.write(b"too late")
    assert connection.server.lost == []
    transport = connection.transport
    connection.clock.advance(0)
    assert transport.disconnecting
    assert (connection.client.unread, connection.client.is_ended) == (b"last words", True)
    assert (connection.server.read, connection.server.lost) == ([], [reason])


def test_the_client_resets(connection: Connection) -> None:
    """S0.2: the server sees a reset at once; nothing arrives at the client any more, not even what was on its way."""
    connection.transport.write(b"on its way")
    connection.client.reset()
    connection.client.reset()
    assert connection.server.lost == ["ConnectionLost"]
    connection.clock.advance(0)
    assert (connection.told, connection.client.unread) == (0, b"")


def test_the_client_is_unplugged(connection: Connection) -> None:
    """S0.2: the server does not see that the client is gone, and nothing arrives any more."""
    connection.transport.write(b"on its way")
    connection.client.unplug()
    connection.transport.write(b"later")
    connection.transport.loseConnection()
    connection.clock.advance(0)
    assert (connection.told, connection.client.unread, connection.client.is_ended) == (0, b"", False)
    assert connection.server.lost == ["ConnectionDone"]
