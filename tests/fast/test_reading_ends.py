"""The ends of connections that are read together: they come to what they come to in Twisted."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from fast.reading_room import BOTH_WAYS, EPOLL, Recorder, Room, descriptors, logged_in
from twisted.internet import epollreactor
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
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


@BOTH_WAYS
@pytest.mark.parametrize("data", [b"", b"last words"])
def test_a_client_that_leaves(room: Room, shared: bool, data: bytes) -> None:
    """S9.3: the end of a client is a clean one, and comes behind its last words."""
    protocol = Recorder()
    client = room.connect(protocol, shared=shared)
    client.send(data)
    client.close()
    room.turn(3)
    assert (protocol.got, [type(end) for end in protocol.ends]) == (data, [ConnectionDone])
    assert room.readers == []


@BOTH_WAYS
def test_a_client_that_half_closes(room: Room, shared: bool) -> None:
    """S9.3: a client that sends no more gets no more, as with Twisted's own transports."""
    protocol = Recorder()
    client = room.connect(protocol, shared=shared)
    client.send(b"x")
    client.shutdown(socket.SHUT_WR)
    room.turn(3)
    assert (protocol.got, [type(end) for end in protocol.ends]) == (b"x", [ConnectionDone])
    assert client.recv(1) == b""


@BOTH_WAYS
def test_a_reset(room: Room, shared: bool) -> None:
    """S9.3: a connection that is reset ends as lost."""
    protocol = Recorder()
    client = room.connect(protocol, shared=shared)
    protocol.transport.socket.send(b"never read")  # so that closing resets
    client.close()
    room.turn(3)
    assert [type(end) for end in protocol.ends] == [ConnectionLost]


def test_what_is_no_data(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: an event without data, as the system tells of what it keeps in a queue of errors, is left to Twisted."""
    protocols = [Recorder(), Recorder()]

    class Error:
        """The system, which tells of an error of the second socket, and of nothing else."""

        def __init__(self) -> None:
            real = EPOLL()
            self.register, self.unregister = real.register, real.unregister
            self.fileno, self.close = real.fileno, real.close

        def poll(self, *_args: float) -> list[tuple[int, int]]:
            return [(protocols[1].transport.fileno(), select.EPOLLERR)]

    monkeypatch.setattr(select, "epoll", Error)
    room.connect(protocols[0])
    client = room.connect(protocols[1])
    room.reader.doRead()
    assert {*room.readers} == {room.reader, protocols[1].transport}
    client.send(b"x")
    room.reactor.removeReader(room.reader)
    room.turn()
    assert protocols[1].got == b"x"


def test_an_error_that_comes_once(room: Room) -> None:
    """S9.3: an error that reading meets, and a socket tells once, ends the connection as lost."""
    protocol = Recorder()
    client = room.connect(protocol)
    assert protocol.reading is not None

    def reset(_buffer: memoryview) -> int:
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    protocol.reading.receive_into = reset
    client.send(b"x")
    room.turn(2)
    assert [type(end) for end in protocol.ends] == [ConnectionLost]


@BOTH_WAYS
def test_closing_with_something_unsent(room: Room, shared: bool) -> None:
    """S4.6: what was sent before closing arrives, also at a client that has sent FIN; what it sends is not read."""
    protocol = Recorder()
    client = room.connect(protocol, shared=shared)
    sent = b"x" * 3_000_000
    protocol.transport.write(sent)
    room.turn()
    protocol.transport.loseConnection()
    client.send(b"too late")
    room.turn()
    client.shutdown(socket.SHUT_WR)
    room.turn(3)
    assert (protocol.got, protocol.ends) == (b"", [])
    assert room.readers == []
    client.setblocking(False)
    received = 0
    for _ in range(1_000):
        with suppress(OSError):  # nothing yet; or reset, since the server has left something unread
            received += len(client.recv(1 << 20))
        room.turn()
    assert received == len(sent)
    assert [type(end) for end in protocol.ends] == [ConnectionDone]


@BOTH_WAYS
def test_an_abort(room: Room, shared: bool) -> None:
    """S9.3: nothing is read after an abort, not even of the same batch."""
    protocol = Recorder()
    aborting = Recorder(lambda _: end(protocol))
    clients = [room.connect(aborting, shared=shared), room.connect(protocol, shared=shared)]

    def end(other: Recorder) -> None:
        if other.reading is not None:
            other.reading.stopProducing()
        other.transport.abortConnection()

    for client in clients:
        client.send(b"x")
    room.turn(3)
    assert (aborting.got, protocol.got) == (b"x", b"")
    assert [type(end) for end in protocol.ends] == [ConnectionAborted]
    assert aborting.ends == []


@BOTH_WAYS
def test_one_that_ends_another(room: Room, shared: bool) -> None:
    """S4.5: a connection that ends while one before it in the batch is handled gets nothing; the others go on."""
    protocols = [Recorder() for _ in range(3)]
    clients = [room.connect(each, shared=shared) for each in protocols]
    protocols[0].on_data = lambda _: protocols[1].transport.connectionLost(Failure(ConnectionDone()))
    for client in clients:
        client.send(b"x")
    room.turn(2)
    assert [each.got for each in protocols] == [b"x", b"", b"x"]
    assert [len(each.ends) for each in protocols] == [0, 1, 0]


def test_a_number_that_is_used_again_in_the_batch(room: Room) -> None:
    """S4.5: an event for a connection that has ended is no event for another that got its descriptor's number."""
    first, second, third = Recorder(), Recorder(), Recorder()
    clients = [room.connect(first), room.connect(second)]
    number = second.transport.fileno()
    later: list[socket.socket] = []

    def replace(_data: bytes) -> None:
        second.transport.connectionLost(Failure(ConnectionDone()))
        later.append(room.connect(third))
        assert third.transport.fileno() == number

    first.on_data = replace
    for client in clients:
        client.send(b"x")
    room.turn()
    assert (second.got, third.got, third.ends) == (b"", b"", [])
    later[0].send(b"y")
    room.turn()
    assert (third.got, third.ends) == (b"y", [])


def test_who_left_takes_no_other_along(room: Room) -> None:
    """S2.4: the late end of a connection does not touch the one that has its descriptor's number now."""
    old, new, other = Recorder(), Recorder(), Recorder()
    room.connect(other)
    room.connect(old).close()
    number, left = old.transport.fileno(), old.reading
    room.turn(2)
    assert left is not None
    client = room.connect(new)
    assert new.transport.fileno() == number
    left.stopProducing()
    left.resumeProducing()  # its transport is not connected any more
    client.send(b"x")
    room.turn()
    assert new.got == b"x"


def test_nobody_is_left(room: Room) -> None:
    """S10.3: with the last connection the reader is gone from the reactor and its epoll is closed; the next is read."""
    before = descriptors()
    for _ in range(3):
        protocols = [Recorder(), Recorder()]
        clients = [room.connect(each) for each in protocols]
        assert room.reader.fileno() >= 0
        clients.pop().close()
        room.turn(2)
        assert room.readers == [room.reader]
        clients[0].send(b"x")
        room.turn()
        clients[0].close()
        room.turn(2)
        assert (protocols[0].got, room.readers, room.reader.fileno()) == (b"x", [], -1)
        assert descriptors() == before


def test_the_last_of_a_batch_leaves_and_another_comes(room: Room) -> None:
    """S16.8: a batch goes on where all have left meanwhile, and another has come."""
    first, second, third = Recorder(), Recorder(), Recorder()
    clients = [room.connect(first), room.connect(second)]
    new: list[socket.socket] = []

    def all_change(_data: bytes) -> None:
        for each in (first, second):
            each.transport.connectionLost(Failure(ConnectionDone()))
        new.append(room.connect(third))

    first.on_data = all_change
    for client in clients:
        client.send(b"x")
    room.turn(2)
    assert (second.got, third.got) == (b"", b"")
    new[0].send(b"y")
    room.turn()
    assert third.got == b"y"


@pytest.mark.parametrize("raises", [False, True])
def test_the_reactor_disconnects_all(room: Room, raises: bool) -> None:
    """S12.2: a reactor that stops ends all that are read together, whatever the end of one of them raises."""
    protocols = [Recorder(lost_raises=LookupError() if raises else None), Recorder(), Recorder()]
    for each in protocols:
        room.connect(each)
    protocols[1].transport.write(b"x" * 3_000_000)  # the reactor knows it as a writer too
    with capturedLogs() as logged:
        room.reactor.disconnectAll()
    assert [[type(end) for end in each.ends] for each in protocols] == [[ConnectionLost]] * 3
    assert [type(each) for each in logged_in(logged)] == [LookupError] * raises
    assert (room.readers, room.reader.fileno()) == ([], -1)


def test_a_client_that_says_no_more(room: Room) -> None:
    """S4.5: a clean end is told in the turn that reads it; the reactor does not have to watch the transport again."""
    protocol, staying = Recorder(), Recorder()
    client, other = room.connect(protocol), room.connect(staying)
    # It does not stop reading by itself.
    protocol.reading = None
    client.shutdown(socket.SHUT_WR)
    # What the reactor watches for the first time in a turn it sees in the next one.
    room.turn()
    assert [type(each) for each in protocol.ends] == [ConnectionDone]
    assert room.readers == [room.reader]
    other.close()
    room.turn(2)
    assert [type(each) for each in staying.ends] == [ConnectionDone]
    assert room.readers == []
