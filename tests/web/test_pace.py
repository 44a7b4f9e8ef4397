from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IWriteDescriptor
from twisted.internet.testing import StringTransport
from web_fakes import CONTINUATION, Client, World, frame
from zope.interface import implementer

# Fragments, for whole small messages are read before there is any parsing.
TWENTY = b"".join(frame(b'{"message": ', fin=False) + frame(b"%d}" % number, CONTINUATION) for number in range(20))


def busy_world(ends: list[Deferred[None]], messages: list[object]) -> tuple[World, Client]:
    """A world with a client whose function goes on until its Deferred in ``ends`` is fired; four messages may wait."""
    world = World(max_pending_messages=4).converting()

    def route(event: Any) -> Deferred[None]:
        messages.append(event.data.message)
        ends.append(Deferred())
        return ends[-1]

    world.signals.add_route("/msg", route)
    return world, world.client().open()


def finish(world: World, ends: list[Deferred[None]]) -> None:
    """Let the functions end, one after another, until nothing waits."""
    while ends:
        ends.pop().callback(None)
        world.turn()


def test_what_waits_unparsed_is_parsed_in_order() -> None:
    """S5.6: what came in one read with the message that stops the reading is not lost, and comes in its order."""
    ends: list[Deferred[None]] = []
    messages: list[object] = []
    world, client = busy_world(ends, messages)
    client.send(TWENTY)
    assert (messages, client.wire.producerState) == ([0], "paused")
    assert world.signals.counters.messages_received == 5
    finish(world, ends)
    assert (messages, client.wire.producerState) == (list(range(20)), "producing")


def test_a_client_that_leaves_behind_what_waits_unparsed() -> None:
    """S5.6: a client that ends TCP in good order is heard to the end."""
    ends: list[Deferred[None]] = []
    messages: list[object] = []
    world, client = busy_world(ends, messages)
    client.send(TWENTY)
    client.leave()  # as TLS may while nothing is read from it
    assert world.signals.counters.messages_received == 20
    finish(world, ends)
    assert messages == list(range(20))


def test_a_client_that_vanishes_behind_what_waits_unparsed() -> None:
    """S5.6: of a client whose connection is reset, what was not parsed yet is dropped."""
    ends: list[Deferred[None]] = []
    messages: list[object] = []
    world, client = busy_world(ends, messages)
    client.send(TWENTY)
    client.reset()
    finish(world, ends)
    assert messages == list(range(5))
    assert world.signals.open_connections() == ()


def test_reading_on_and_stopping_again_within_a_turn() -> None:
    """S5.6: a connection that is told to read on, and to stop again before its turn comes, parses nothing."""
    ends: list[Deferred[None]] = []
    messages: list[object] = []
    world, client = busy_world(ends, messages)
    client.send(TWENTY)
    connection = world.converted[0]
    timers = len(world.clock.getDelayedCalls())
    connection.resume_reading()
    connection.resume_reading()
    assert len(world.clock.getDelayedCalls()) == timers + 1
    connection.pause_reading()
    world.turn()
    assert world.signals.counters.messages_received == 5
    assert client.wire.producerState == "paused"
    finish(world, ends)
    assert messages == list(range(20))


@implementer(IWriteDescriptor)
class Socket(StringTransport):
    """A transport of the reactor whose system takes so much at once; it says with which error writing ends."""

    def __init__(self, error: Exception | None, taken_at_once: int) -> None:
        super().__init__()
        self.offset, self.dataBuffer = 0, b"x" * 100
        self.protocol: Any = None
        self.writes = 0
        self._error, self._taken_at_once = error, taken_at_once

    def doWrite(self) -> Exception | None:
        self.writes += 1
        if self._error is not None:
            self.offset = min(self.offset + 1, 10)  # a part may go before the error comes
            return self._error
        self.offset = min(self.offset + self._taken_at_once, len(self.dataBuffer))
        if self.offset == len(self.dataBuffer):
            self.protocol.resumeProducing()
        return None


@pytest.mark.parametrize(
    ("error", "taken_at_once", "writes", "congested"),
    [(None, 50, 2, False), (None, 0, 1, True), (OSError("broken pipe"), 50, 1, True)],
)
def test_a_full_transport_is_written_at_once(
    error: Exception | None, taken_at_once: int, writes: int, congested: bool
) -> None:
    """S16.2: what the system takes is written in this turn; who is congested is a client that does not read."""
    world = World().converting()
    client = world.client().open()
    protocol = world.converted[0]._transport
    socket = Socket(error, taken_at_once)
    socket.protocol = protocol
    protocol.transport = socket
    protocol.pauseProducing()
    assert (socket.writes, world.converted[0] in world.signals._fan_out.congested) == (writes, congested)
    protocol.transport = client.wire
    protocol.resumeProducing()
    assert world.signals._fan_out.congested == set()
