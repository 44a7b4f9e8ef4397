"""Reading for many sockets at once: whatever a client or a protocol does, it comes to what it comes to in Twisted."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import epollreactor, pollreactor, selectreactor
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.unix import Server as UnixServer
from twisted.logger import capturedLogs
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from pode_signals.core.counters import Counters
from pode_signals.fast import reading as reading_module
from pode_signals.fast.reading import Reading, SharedReader, can_read_together
from pode_signals.fast.websocket import FastProtocol
from pode_signals.hub.reports import Reports

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll on this system")

BOTH_WAYS = pytest.mark.parametrize("shared", [True, False], ids=["shared", "twisted"])
TURNS = 50


class Recorder(Protocol):
    """A protocol that keeps what it gets and how it ended, as ours stops reading when it ends.

    Attributes:
        on_data: called with what came, before it is kept.
        reading: what reads in its transport's place.
    """

    transport: Any

    def __init__(
        self, on_data: Callable[[bytes], None] | None = None, lost_raises: BaseException | None = None
    ) -> None:
        self.on_data, self._lost_raises = on_data, lost_raises
        self.got = b""
        self.ends: list[BaseException] = []
        self.reading: Reading | None = None

    def dataReceived(self, data: bytes) -> None:
        if self.on_data is not None:
            self.on_data(data)
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.reading is not None:
            self.reading.stopProducing()
        self.ends.append(reason.value)
        if self._lost_raises is not None:
            raise self._lost_raises


class Counted(SharedReader):
    """Counts how often the reactor calls it."""

    reads = 0

    def doRead(self) -> None:
        self.reads += 1
        super().doRead()


class Room:
    """A reactor that nobody runs, a shared reader, and both ends of connections.

    Attributes:
        reader: the shared reader.
    """

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        # Its clock stands still: no turn ends early because the machine was slow.
        self.reader = Counted(Reports(Clock, Counters()), Clock().seconds)
        self._sockets: list[socket.socket] = []

    def transport(self, protocol: Any, kind: type[Connection] = Connection) -> tuple[Any, socket.socket]:
        """A connection that reads itself, and the client's end."""
        server, client = socket.socketpair()
        client.settimeout(5)
        self._sockets += [server, client]
        made: Any = kind(server, protocol, self.reactor)
        made.connected = 1
        protocol.makeConnection(made)
        made.startReading()
        return made, client

    def connect(self, protocol: Recorder, *, shared: bool = True) -> socket.socket:
        """A connection that the shared reader reads for, and the client's end."""
        transport, client = self.transport(protocol)
        if shared:
            protocol.reading = self.reader.adopt(transport, protocol.dataReceived)
            assert protocol.reading is not None
        return client

    def turn(self, times: int = 1) -> None:
        """Let turns of the reactor pass."""
        for _ in range(times):
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0)

    @property
    def readers(self) -> list[Any]:
        """Whom the reactor knows, but for its own."""
        return [each for each in self.reactor.getReaders() if each not in self.reactor._internalReaders]

    def clean(self) -> None:
        """Leave no descriptor behind."""
        self.reactor.disconnectAll()
        for each in tuple(self.reactor._internalReaders):
            self.reactor.removeReader(each)
            each.connectionLost(None)
        if isinstance(self.reactor, epollreactor.EPollReactor):
            self.reactor._poller.close()
        for each in self._sockets:
            each.close()


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """A room of Twisted's epoll reactor."""
    monkeypatch.setattr(reading_module, "SHARED_READS", True)
    made = Room(epollreactor.EPollReactor())
    yield made
    made.clean()


REACTORS = [epollreactor.EPollReactor, pollreactor.PollReactor, selectreactor.SelectReactor]


def descriptors() -> int:
    """How many this process has; what tests before have left to the collector has gone."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def logged_in(events: list[Any]) -> list[BaseException]:
    """The errors that were logged, by Twisted's older logger or by ours."""
    failures = (each.get("failure") or each.get("log_failure") for each in events)
    return [each.value for each in failures if each is not None]


# Data.


@pytest.mark.parametrize("kind", REACTORS)
def test_many_at_once(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: what many clients have sent is read for one event, whatever watches descriptors; the reactor knows one."""
    monkeypatch.setattr(reading_module, "SHARED_READS", True)
    room = Room(kind())
    try:
        protocols = [Recorder() for _ in range(20)]
        clients = [room.connect(each) for each in protocols]
        assert room.readers == [room.reader]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        room.turn()
        assert [each.got for each in protocols] == [b"%d" % number for number in range(20)]
        assert room.reader.reads == 1
        for client in clients:
            client.close()
        room.turn(TURNS)
        assert [[type(end) for end in each.ends] for each in protocols] == [[ConnectionDone]] * 20
        assert room.readers == []
    finally:
        room.clean()


def test_more_than_fit_in_a_turn(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: who is ready and not reached in one turn is read in the next."""
    monkeypatch.setattr(reading_module, "_MOST_AT_ONCE", 2)
    protocols = [Recorder() for _ in range(5)]
    clients = [room.connect(each) for each in protocols]
    for client in clients:
        client.send(b"x")
    room.turn()
    assert sorted(each.got for each in protocols) == [b"", b"", b"", b"x", b"x"]
    room.turn(2)
    assert [each.got for each in protocols] == [b"x"] * 5


def test_a_turn_is_short(room: Room) -> None:
    """S16.8: reading ends a turn after 20 ms, and who is left is read first in the next one; nobody is left out."""
    now, order = [0.0], []
    room.reader._seconds = lambda: now[0]

    def takes_long(number: int) -> Callable[[bytes], None]:
        def on_data(_data: bytes) -> None:
            order.append(number)
            now[0] += 0.006

        return on_data

    clients = [room.connect(Recorder(takes_long(number))) for number in range(10)]
    for client in clients:
        client.send(b"x")
    room.turn()
    assert len(order) == 4
    for client in clients:
        client.send(b"y")
    room.turn(2)
    assert sorted(order) == list(range(10))
    room.turn(3)
    assert sorted(order[10:]) == sorted(order[:4])


def test_who_is_left_and_goes(room: Room) -> None:
    """S16.8: who was left for the next turn, and has ended or stopped reading meanwhile, is not read."""
    now = [0.0]
    room.reader._seconds = lambda: now[0]

    def takes_long(_data: bytes) -> None:
        now[0] += 1

    protocols = [Recorder(takes_long) for _ in range(4)]
    clients = [room.connect(protocol) for protocol in protocols]
    for client in clients:
        client.send(b"x")
    room.turn()
    (first,) = (each for each in protocols if each.got)
    others = [each for each in protocols if each is not first]
    others[0].reading.pauseProducing()
    others[1].transport.abortConnection()
    room.turn(6)
    assert [each.got for each in others] == [b"", b"", b"x"]
    others[0].reading.resumeProducing()
    room.turn(2)
    assert others[0].got == b"x"


def test_no_read_is_larger_than_twisteds(room: Room) -> None:
    """S16.8: a client that sends much does not keep the others waiting: one read each, as large as Twisted's."""
    much, little = Recorder(), Recorder()
    first, second = room.connect(much), room.connect(little)
    much.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    first.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    first.send(b"x" * 100_000)
    second.send(b"y")
    room.turn()
    assert (len(much.got), little.got) == (much.transport.bufferSize, b"y")
    room.turn()
    assert len(much.got) == 100_000


def test_a_pause(room: Room) -> None:
    """S5.6: what is paused is not read, also when the pause comes within a batch, and then reads on in order."""
    first, second = Recorder(), Recorder()
    clients = [room.connect(first), room.connect(second)]
    assert second.reading is not None
    first.on_data = lambda _: second.reading.pauseProducing()  # type: ignore[union-attr]
    for client in clients:
        client.send(b"1")
    room.turn()
    clients[1].send(b"2")
    room.turn(3)
    assert (first.got, second.got) == (b"1", b"")
    for _ in range(2):
        second.reading.resumeProducing()
    clients[1].send(b"3")
    room.turn(3)
    assert second.got == b"123"
    assert room.readers == [room.reader]


def test_all_are_paused(room: Room) -> None:
    """S5.6: where everybody is paused the reactor waits for nobody; who reads on is read again."""
    protocol = Recorder()
    client = room.connect(protocol)
    assert protocol.reading is not None
    protocol.reading.pauseProducing()
    assert room.readers == []
    client.send(b"x")
    room.turn(2)
    assert protocol.got == b""
    protocol.reading.resumeProducing()
    room.turn()
    assert protocol.got == b"x"


def test_nothing_to_read_after_all(room: Room) -> None:
    """S16.8: a socket that turns out to have nothing is waited for again."""
    protocol = Recorder()
    client = room.connect(protocol)
    assert protocol.reading is not None
    receive_into = protocol.reading.receive_into

    def nothing(_buffer: memoryview) -> int:
        raise BlockingIOError

    protocol.reading.receive_into = nothing
    client.send(b"x")
    room.turn()
    protocol.reading.receive_into = receive_into
    room.turn()
    assert (protocol.got, protocol.ends) == (b"x", [])


# The end.


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


def test_what_is_no_data(room: Room) -> None:
    """S16.8: an event without data, as the system tells of what it keeps in a queue of errors, is left to Twisted."""
    protocols = [Recorder(), Recorder()]
    room.connect(protocols[0])
    client = room.connect(protocols[1])
    real = room.reader._epoll

    class Error:
        fileno, unregister, close = real.fileno, real.unregister, real.close

        def poll(self, *_args: float) -> list[tuple[int, int]]:
            return [(protocols[1].transport.fileno(), select.EPOLLERR)]

    room.reader._epoll = Error()
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


# What raises.

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
    protocols[1].reading = None  # it does not stop reading by itself
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


# Descriptors and memory that the system does not give.


class Refusing:
    """An epoll that has room for a few."""

    room = 0

    def __init__(self) -> None:
        self._epoll = epoll()
        self.fileno, self.poll = self._epoll.fileno, self._epoll.poll
        self.unregister, self.close = self._epoll.unregister, self._epoll.close

    def register(self, number: int, events: int) -> None:
        if Refusing.room < 1:
            raise OSError(errno.ENOSPC, "no room")
        Refusing.room -= 1
        self._epoll.register(number, events)


epoll = getattr(select, "epoll", None)


def no_epoll() -> None:
    """There is no descriptor left."""
    raise OSError(errno.EMFILE, "too many")


@pytest.mark.parametrize("refused", ["epoll", "registration", "reactor"])
def test_nothing_is_left_for_it(room: Room, refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.4: without a descriptor or room for it a transport reads itself, and nothing of the attempt stays."""
    monkeypatch.setattr(Refusing, "room", 0)
    protocol = Recorder()
    transport, client = room.transport(protocol)
    before = descriptors()
    if refused == "reactor":

        def full(_reader: Any) -> None:
            raise OSError(errno.ENOSPC, "no room")

        monkeypatch.setattr(room.reactor, "addReader", lambda each: None if each is transport else full(each))
    else:
        monkeypatch.setattr(select, "epoll", no_epoll if refused == "epoll" else Refusing)
    assert room.reader.adopt(transport, protocol) is None
    assert (room.readers, room.reader.fileno(), descriptors()) == ([transport], -1, before)
    client.send(b"x")
    room.turn()
    assert protocol.got == b"x"
    monkeypatch.undo()
    monkeypatch.setattr(reading_module, "SHARED_READS", True)
    assert room.reader.adopt(transport, protocol) is not None
    assert room.readers == [room.reader]


def test_no_room_for_another(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.4: who finds no room, first or after a pause, reads itself, can be paused, and is back when there is room."""
    monkeypatch.setattr(select, "epoll", Refusing)
    monkeypatch.setattr(Refusing, "room", 2)
    first, second, third = Recorder(), Recorder(), Recorder()
    clients = [room.connect(first), room.connect(second)]
    transport, client = room.transport(third)
    assert room.reader.adopt(transport, third) is None
    assert second.reading is not None
    second.reading.pauseProducing()
    second.reading.resumeProducing()
    assert {*room.readers} == {room.reader, second.transport, transport}
    for each in (*clients, client):
        each.send(b"1")
    room.turn()
    second.reading.pauseProducing()
    clients[1].send(b"2")
    room.turn(2)
    assert (first.got, second.got, third.got) == (b"1", b"1", b"1")
    Refusing.room = 1
    second.reading.resumeProducing()
    room.turn()
    assert second.got == b"12"
    assert {*room.readers} == {room.reader, transport}


def test_one_that_cannot_be_given_back(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """S4.5: a transport that the reactor has no room for, when its client leaves, ends alone."""
    protocols = [Recorder(), Recorder()]
    clients = [room.connect(each) for each in protocols]
    no_room = OSError(errno.ENOSPC, "no room")

    def full(_reader: Any) -> None:
        raise no_room

    monkeypatch.setattr(room.reactor, "addReader", full)
    clients[0].close()
    clients[1].send(b"x")
    with capturedLogs() as logged:
        room.turn(2)
    assert [each.ends for each in protocols] == [[no_room], []]
    assert protocols[1].got == b"x"
    assert logged_in(logged) == [no_room]


# Who is read for.


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
    monkeypatch.setattr(reading_module, "SHARED_READS", False)
    assert not can_read_together(plain())


def test_a_client_that_says_no_more(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """S4.5: a clean end is told in the turn that reads it; the reactor does not have to watch the transport again."""
    protocol, staying = Recorder(), Recorder()
    client, _ = room.connect(protocol), room.connect(staying)
    protocol.reading = None  # it does not stop reading by itself
    watched: list[Any] = []
    monkeypatch.setattr(room.reactor, "addReader", watched.append)
    client.shutdown(socket.SHUT_WR)
    room.turn()
    assert [type(each) for each in protocol.ends] == [ConnectionDone]
    assert watched == []
    assert [each.transport for each in room.reader._readings.values()] == [staying.transport]


def test_not_before_there_is_something_to_read(room: Room) -> None:
    """S16.8: a connection takes no place among those that are read together before its client sends something."""
    protocol, got = FastProtocol(), []
    protocol.factory = SimpleNamespace(reader=room.reader)
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


def test_who_cannot_is_asked_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: a transport that has to read itself goes on doing so, and is not looked at with each of its reads."""
    protocol, got, asked = FastProtocol(), [], []
    protocol.factory = SimpleNamespace(reader=room.reader)
    protocol.take = got.append  # type: ignore[method-assign]
    monkeypatch.setattr(room.reader, "adopt", lambda *who: asked.append(who))
    transport, client = room.transport(Recorder())
    transport.protocol, protocol.transport = protocol, transport
    for number in range(3):
        client.send(b"%d" % number)
        room.turn()
    assert (got, room.readers) == ([b"0", b"1", b"2"], [transport])
    assert asked == [(transport, protocol.take)]
