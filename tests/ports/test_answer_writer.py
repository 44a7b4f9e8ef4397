from __future__ import annotations

from typing import Any

import pytest
from bounded import BoundedWorld
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from web_fakes import Client, head, plain

from pode_signals.ports.answer_writer import LEAST_READ_BYTES
from pode_signals.signals import hub_of

LARGE = 10 * LEAST_READ_BYTES


@pytest.fixture
def world() -> BoundedWorld:
    return BoundedWorld()


class Reader:
    """A client that asks for a large answer and takes as much as the test says.

    Args:
        world: the server.
        headers: of the request.
        size: of the answer.
    """

    def __init__(self, world: BoundedWorld, *headers: tuple[str, str], size: int = LARGE) -> None:
        self.world = world
        self.client: Client = world.client()
        self.wire: Any = self.client.wire
        self.channel = self.wire.protocol
        self.wire.loseConnection = self._close
        self.client.send(plain("/endless", *headers))
        self.wire.dataBuffer, self.wire.offset, self.wire._tempDataLen = b"", 0, 0
        world.endless[-1].callback(b"x" * size)
        self.holds = size

    def _close(self) -> None:
        """Twisted's transports write what they hold before they close."""
        self.wire.disconnecting = True

    @property
    def holds(self) -> int:
        """What the transport holds for it."""
        return len(self.wire.dataBuffer) - self.wire.offset + int(self.wire._tempDataLen)

    @holds.setter
    def holds(self, size: int) -> None:
        self.wire.dataBuffer = b"x" * (size // 2)
        self.wire._tempDataLen = size - size // 2
        if size > LEAST_READ_BYTES:
            self.channel.pauseProducing()

    def takes(self, size: int) -> None:
        """It reads; the transport says so only when it is empty."""
        left = self.holds - size
        self.wire.dataBuffer, self.wire.offset, self.wire._tempDataLen = b"x" * (left + 7), 7, 0
        if not left:
            self.channel.resumeProducing()


def test_one_that_never_reads(world: BoundedWorld) -> None:
    """S16.4: a client that reads nothing of an answer is dropped after 60 s, and that is counted."""
    reader = Reader(world)
    world.wait(59)
    assert reader.wire.ended is None
    world.wait(1)
    assert reader.wire.ended == "aborted"
    assert world.hit == {"response_timeout_seconds": 1}
    world.wait(1)
    assert world.clock.getDelayedCalls() == []


@pytest.mark.parametrize("size", [LARGE, 10], ids=["large", "small"])
def test_one_that_wants_no_other_answer(world: BoundedWorld, size: int) -> None:
    """S16.4: the same holds where the connection ends with the answer, and where that is too small to fill anything."""
    reader = Reader(world, ("Connection", "close"), size=size)
    assert reader.wire.disconnecting
    world.wait(59)
    assert reader.wire.ended is None
    world.wait(1)
    assert reader.wire.ended == "aborted"
    assert world.hit == {"response_timeout_seconds": 1}


def test_one_that_reads_slowly(world: BoundedWorld) -> None:
    """S16.4: a client that takes 64 KiB in each 60 s has all the time it needs; its next request is served."""
    reader = Reader(world)
    for _ in range(9):
        world.wait(59)
        reader.takes(LEAST_READ_BYTES)
        world.wait(1)
    assert reader.wire.ended is None
    reader.takes(LEAST_READ_BYTES)
    world.wait(9)
    assert reader.client.ask(plain("/ok")).body == b"fine"
    assert world.hit == {}


def test_one_that_reads_too_slowly(world: BoundedWorld) -> None:
    """S16.4: a client that takes less is dropped, also where it took enough before."""
    reader = Reader(world)
    reader.takes(LEAST_READ_BYTES)
    world.wait(60)
    assert reader.wire.ended is None
    reader.takes(LEAST_READ_BYTES - 1)
    world.wait(60)
    assert reader.wire.ended == "aborted"


def test_an_answer_that_goes_on(world: BoundedWorld) -> None:
    """S16.4: what the route writes meanwhile is no reading, and does not hide any."""
    for taken, ended in ((0, "aborted"), (LEAST_READ_BYTES, None)):
        client = world.client()
        client.send(plain("/endless"))
        wire: Any = client.wire
        (request,) = wire.protocol.requests
        request.write(b"x" * LARGE)
        wire.dataBuffer, wire.offset, wire._tempDataLen = b"x" * LARGE, 0, 0
        wire.producer.pauseProducing()
        for _ in range(59):
            world.wait(1)
            request.write(b"x" * 10_000)
            wire._tempDataLen += 10_000
            wire.producer.pauseProducing()  # as transports do with each write
        wire.offset = taken
        world.wait(1)
        assert wire.ended == ended


def test_the_next_request_has_its_time(world: BoundedWorld) -> None:
    """S16.4: the 10 s for the next request do not run out while the client is still reading."""
    reader = Reader(world)
    world.wait(30)
    assert reader.wire.ended is None
    reader.takes(LARGE)
    world.wait(9)
    assert not reader.wire.disconnecting
    world.wait(1)
    assert reader.wire.disconnecting
    assert world.hit == {}


def test_a_route_that_works(world: BoundedWorld) -> None:
    """S16.4: no time runs while nothing waits to be read."""
    reader = Reader(world)
    reader.takes(LARGE)
    reader.client.send(plain("/endless"))
    world.wait(200)
    assert reader.wire.ended is None


def test_an_upgrade_behind_it(world: BoundedWorld) -> None:
    """S2.1: an upgrade waits while an answer before it is unread; the connection has no such time to keep any more."""
    client = world.client()
    client.send(plain("/endless") + head())
    client.wire.producer.pauseProducing()
    world.endless[0].callback(b"x" * 100)
    world.turn()
    assert world.converted == []
    client.wire.producer.resumeProducing()
    world.turn()
    assert len(world.converted) == 1
    assert [answer.status for answer in client.answers] == [200, 101]
    hub_of(world.signals).heartbeat.end()
    world.wait(100)
    assert client.wire.ended is None


@pytest.mark.parametrize("ended", ["answered", "left"])
def test_what_is_left_of_a_request(world: BoundedWorld, ended: str) -> None:
    """S16.4: whoever keeps a request that is over, as Klein does, keeps no transport with an unread answer."""
    kept: list[Any] = []

    @world.app.route("/kept")
    def keep(request: Any) -> Deferred[bytes]:
        kept.append(request)
        world.endless.append(Deferred())
        return world.endless[-1]

    client = world.client().send(plain("/kept"))
    assert kept[0].transport is client.wire
    if ended == "answered":
        world.endless[0].callback(b"x")
        assert client.answers[0].body == b"x"
    else:
        client.leave()
    assert kept[0].transport is None


def test_a_client_that_is_gone(world: BoundedWorld) -> None:
    """S16.4: nothing runs for a client that has left."""
    reader = Reader(world)
    reader.client.reset()
    assert world.clock.getDelayedCalls() == []


def test_a_transport_that_does_not_tell(world: BoundedWorld) -> None:
    """S16.4: where the transport says nothing of what it holds, the time is for all of it."""
    client = world.client()
    client.send(plain("/endless"))
    client.wire.producer.pauseProducing()
    world.endless[0].callback(b"x")
    world.wait(60)
    assert client.wire.ended == "aborted"


def test_a_setting() -> None:
    """S16.4: the time is a setting; the line in the log has the address and nothing of the answer."""
    world = BoundedWorld(response_timeout_seconds=2)
    with capturedLogs() as logs:
        reader = Reader(world)
        world.wait(1)
        assert reader.wire.ended is None
        world.wait(1)
    assert reader.wire.ended == "aborted"
    lines = [formatEvent(event) for event in logs if event.get("kind") == "response_timeout_seconds"]
    assert lines == ["203.0.113.7 did not read an answer: dropped (response_timeout_seconds)"]
