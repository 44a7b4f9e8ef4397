"""Reading for many sockets at once: what they have sent comes in few turns, a little of each, and pauses hold."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fast.reading_room import EPOLL, TURNS, Recorder, Room
from twisted.internet import epollreactor, pollreactor, selectreactor
from twisted.internet.error import ConnectionDone

from pode_signals.fast.probes import SHARED_READS

pytestmark = pytest.mark.skipif(not SHARED_READS, reason="sockets are not read together here")


@pytest.fixture
def room() -> Iterator[Room]:
    """A room of Twisted's epoll reactor."""
    made = Room(epollreactor.EPollReactor())
    yield made
    made.clean()


REACTORS = [epollreactor.EPollReactor, pollreactor.PollReactor, selectreactor.SelectReactor]


@pytest.mark.parametrize("kind", REACTORS)
def test_many_at_once(kind: type[Any]) -> None:
    """S16.8: what many clients have sent is read for one event, whatever watches descriptors; the reactor knows one."""
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
    asked_for: list[int] = []

    class Few:
        """The system, which tells of two descriptors at a time, of those that are ready longest."""

        def __init__(self) -> None:
            self._real = EPOLL()
            self.register, self.unregister = self._real.register, self._real.unregister
            self.fileno, self.close = self._real.fileno, self._real.close

        def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
            asked_for.append(most)
            return self._real.poll(timeout, 2)

    monkeypatch.setattr(select, "epoll", Few)
    protocols = [Recorder() for _ in range(5)]
    clients = [room.connect(each) for each in protocols]
    for client in clients:
        client.send(b"x")
    room.turn()
    assert sorted(each.got for each in protocols) == [b"", b"", b"", b"x", b"x"]
    room.turn(2)
    assert [each.got for each in protocols] == [b"x"] * 5
    assert all(1 < most <= 1_000 for most in asked_for)


def test_a_turn_is_short(room: Room) -> None:
    """S16.8: reading ends a turn after 20 ms, and who is left is read first in the next one; nobody is left out."""
    order: list[int] = []

    def takes_long(number: int) -> Callable[[bytes], None]:
        def on_data(_data: bytes) -> None:
            order.append(number)
            room.now_seconds += 0.006

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

    def takes_long(_data: bytes) -> None:
        room.now_seconds += 1

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
