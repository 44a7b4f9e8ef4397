"""Reading together where the system gives no descriptor or no room: transports read themselves."""

from __future__ import annotations

import errno
import select
from collections.abc import Iterator
from typing import Any

import pytest
from fast.reading_room import EPOLL, Recorder, Room, descriptors, logged_in
from twisted.internet import epollreactor
from twisted.logger import capturedLogs

from pode_signals.fast.probes import SHARED_READS

pytestmark = pytest.mark.skipif(not SHARED_READS, reason="sockets are not read together here")


@pytest.fixture
def room() -> Iterator[Room]:
    """A room of Twisted's epoll reactor."""
    made = Room(epollreactor.EPollReactor())
    yield made
    made.clean()


class Refusing:
    """An epoll that has room for a few."""

    room = 0

    def __init__(self) -> None:
        self._epoll = EPOLL()
        self.fileno, self.poll = self._epoll.fileno, self._epoll.poll
        self.unregister, self.close = self._epoll.unregister, self._epoll.close

    def register(self, number: int, events: int) -> None:
        if Refusing.room < 1:
            raise OSError(errno.ENOSPC, "no room")
        Refusing.room -= 1
        self._epoll.register(number, events)


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
