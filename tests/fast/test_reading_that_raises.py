"""What data or an end raises of a connection that is read with others ends that one alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from fast.reading_room import BOTH_WAYS, Recorder, Room, logged_in
from twisted.internet import epollreactor
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from pode_signals.fast.probes import SHARED_READS

pytestmark = pytest.mark.skipif(not SHARED_READS, reason="sockets are not read together here")


@pytest.fixture
def room() -> Iterator[Room]:
    """A room of Twisted's epoll reactor."""
    made = Room(epollreactor.EPollReactor())
    yield made
    made.clean()


ERRORS = [LookupError, BlockingIOError, OSError, KeyboardInterrupt, SystemExit, asyncio.CancelledError]


@BOTH_WAYS
@pytest.mark.parametrize("error", ERRORS)
def test_data_that_raises(room: Room, shared: bool, error: type[BaseException]) -> None:
    """S4.5: whatever one protocol's data raises is logged, and ends that connection alone."""
    raised = error()

    def fails(_data: bytes) -> None:
        raise raised

    protocols = [Recorder(), Recorder(fails), Recorder()]
    clients = [room.connect(each, shared=shared) for each in protocols]
    # It does not stop reading by itself.
    protocols[1].reading = None
    for client in clients:
        client.send(b"x")
    with capturedLogs() as logged:
        room.turn(2)
    assert [each.got for each in protocols] == [b"x", b"", b"x"]
    assert [each.ends for each in protocols] == [[], [raised], []]
    assert logged_in(logged) == [raised]
    assert clients[1].recv(1) == b""
    for client in clients:
        client.close()
    room.turn(2)
    assert room.readers == []


@BOTH_WAYS
def test_an_end_that_raises(room: Room, shared: bool) -> None:
    """S4.5: what data raises, and then the end, is logged both times; the others go on."""

    def fails(_data: bytes) -> None:
        raise LookupError

    protocols = [Recorder(fails, lost_raises=ZeroDivisionError()), Recorder()]
    clients = [room.connect(each, shared=shared) for each in protocols]
    for client in clients:
        client.send(b"x")
    with capturedLogs() as logged:
        room.turn(2)
    assert [type(each) for each in logged_in(logged)] == [LookupError, ZeroDivisionError]
    assert (protocols[1].got, protocols[1].ends, len(protocols[0].ends)) == (b"x", [], 1)


def test_data_that_ends_its_connection_and_raises(room: Room) -> None:
    """S9.3: a connection that has ended when its data raises does not end twice."""
    protocol = Recorder()

    def ends(_data: bytes) -> None:
        protocol.transport.connectionLost(Failure(ConnectionDone()))
        raise LookupError

    protocol.on_data = ends
    room.connect(protocol).send(b"x")
    with capturedLogs() as logged:
        room.turn(2)
    assert ([type(end) for end in protocol.ends], len(logged_in(logged))) == ([ConnectionDone], 1)
