"""Which transports are read together with others, and from when on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes import new_runtime
from fast.reading_room import Recorder, Room
from twisted.internet import epollreactor
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.unix import Server as UnixServer
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import implementer

from pode_signals.fast import reading as reading_module
from pode_signals.fast.probes import SHARED_READS
from pode_signals.fast.reading import can_read_together
from pode_signals.fast.websocket import FastProtocol

pytestmark = pytest.mark.skipif(not SHARED_READS, reason="sockets are not read together here")


@pytest.fixture
def room() -> Iterator[Room]:
    """A room of Twisted's epoll reactor."""
    made = Room(epollreactor.EPollReactor())
    yield made
    made.clean()


class OwnWay(Connection):
    """A transport that reads in a way of its own."""

    def doRead(self) -> Any:
        return super().doRead()


class OwnData(Connection):
    """A transport that does something with its data."""

    def _dataReceived(self, data: bytes | None) -> Any:
        return super()._dataReceived(data)


class OfUnix(UnixServer):
    """A server's end of a UNIX socket, without a port."""

    def __init__(self, skt: socket.socket, protocol: Any, reactor: Any) -> None:
        Connection.__init__(self, skt, protocol, reactor)


@pytest.mark.parametrize("kind", [OwnWay, OwnData, OfUnix])
def test_transports_with_a_way_of_their_own(room: Room, kind: type[Connection]) -> None:
    """S16.8: UNIX sockets, which pass descriptors, and whatever else reads otherwise go on reading themselves."""
    protocol = Recorder()
    transport, client = room.transport(protocol, kind)
    assert room.reader.adopt(transport, protocol) is None
    client.send(b"x")
    room.turn()
    assert (protocol.got, room.readers, room.reader.fileno()) == (b"x", [transport], -1)


@implementer(IReactorFDSet)
class Watches:
    """A reactor that watches descriptors; how it does is nobody's affair here."""

    def _nothing(self, *_args: Any) -> None:
        """It is never run."""

    addReader = removeReader = addWriter = removeWriter = callLater = _nothing


def test_which_transports(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: plain TCP that reads, on a reactor that watches descriptors, and nothing else."""

    def plain(reactor: Any = None) -> Any:
        transport, _ = room.transport(Recorder())
        transport.reactor = reactor or Watches()
        return transport

    assert can_read_together(plain())
    assert not can_read_together(plain(object()))
    assert not can_read_together(ProtocolWrapper(WrappingFactory(None), Recorder()))  # type: ignore[arg-type]
    assert not can_read_together(object())
    encrypted, closing, gone, aborted = plain(), plain(), plain(), plain()
    encrypted.TLS = True
    closing.loseConnection()
    gone.connected = 0
    aborted.abortConnection()
    assert [can_read_together(each) for each in (encrypted, closing, gone, aborted)] == [False] * 4
    # As where the libraries that are installed read otherwise than the probe expects.
    monkeypatch.setattr(reading_module, "SHARED_READS", False)
    assert not can_read_together(plain())


def test_not_before_there_is_something_to_read(room: Room) -> None:
    """S16.8: a connection takes no place among those that are read together before its client sends something."""
    protocol, got = FastProtocol(), []
    protocol.factory = SimpleNamespace(reader=room.reader)
    protocol.connection = cast(Any, SimpleNamespace(runtime=new_runtime(Clock()), took_long=print))
    protocol.take = got.append  # type: ignore[method-assign]
    transport, client = room.transport(Recorder())
    transport.protocol, protocol.transport = protocol, transport
    room.turn()
    assert room.readers == [transport]
    for number in range(3):
        client.send(b"%d" % number)
        room.turn()
        assert room.readers == [room.reader]
    assert got == [b"0", b"1", b"2"]


def test_who_cannot_is_asked_once(room: Room) -> None:
    """S16.8: a transport that has to read itself goes on doing so, and is not looked at with each of its reads."""
    protocol, got = FastProtocol(), []
    protocol.factory = SimpleNamespace(reader=room.reader)
    protocol.connection = cast(Any, SimpleNamespace(runtime=new_runtime(Clock()), took_long=print))
    protocol.take = got.append  # type: ignore[method-assign]
    transport, client = room.transport(Recorder(), OwnWay)
    transport.protocol, protocol.transport = protocol, transport
    for number in range(3):
        client.send(b"%d" % number)
        room.turn()
    assert (got, room.readers) == ([b"0", b"1", b"2"], [transport])
    assert room.reader.asked == [transport]
