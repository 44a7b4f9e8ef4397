"""Reading that is paused while data waits for its turn: nothing behind the pause is handled until it ends."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import link_of
from transports.paced import behind, numbered, opened, slow_world
from twisted.internet.defer import Deferred
from web_fakes import CONTINUATION, PING, frame, message


class TestPausing:
    def test_in_the_middle_of_a_read(self) -> None:
        """S5.6: nothing is parsed behind the message upon which reading is paused, until it is resumed."""
        data, payloads = numbered(20)
        connection, clock = opened()
        connection.reader.upon = lambda payload: connection.pause() if payload == b"4" else None
        connection.wire.deliver(data)
        assert (connection.reader.got, connection.reads, clock.calls) == (payloads[:5], False, [])
        connection.resume()
        assert (connection.reader.got, connection.reads) == (payloads[:5], False)
        clock.turns()
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_upon_every_message(self) -> None:
        """S5.6: a connection that pauses upon each message, and resumes, gets each of them once, in order."""
        data, payloads = numbered(20)
        connection, clock = opened()
        connection.reader.upon = lambda _payload: connection.pause()
        connection.wire.deliver(data)
        for number in range(20):
            assert (connection.reader.got, connection.reads) == (payloads[: number + 1], False)
            connection.resume()
            clock.turns()
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_while_behind(self) -> None:
        """S5.6: the turn that was planned does nothing where reading was paused meanwhile, nor plans another."""
        connection, clock = behind(frame("a"), frame("b"))
        connection.pause()
        clock.turn()
        assert (connection.reader.got, connection.reads, clock.calls) == ([], False, [])
        connection.reader.dataReceived(frame("c"))
        assert (connection.reader.got, connection.reads, clock.calls) == ([], False, [])
        connection.resume()
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"a", b"b", b"c"], True)

    def test_and_resuming_within_a_turn(self) -> None:
        """S5.6: however often reading is paused and resumed, one turn is planned, and the socket waits for it."""
        connection, clock = behind(frame("a"), frame("b"))
        for _ in range(5):
            connection.pause()
            connection.resume()
            assert (connection.reads, len(clock.calls)) == (False, 1)
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"a", b"b"], True)

    def test_and_resuming_upon_a_message(self) -> None:
        """S5.6: who resumes upon the message upon which it paused is not held up."""
        connection, clock = opened()
        connection.reader.upon = lambda _payload: (connection.pause(), connection.resume())
        connection.wire.deliver(frame("a") + frame("b"))
        assert (connection.reader.got, connection.reads, clock.calls) == ([b"a", b"b"], True, [])

    def test_upon_the_last_message(self) -> None:
        """S5.6: where nothing waits, the socket is paused and resumed, and no turn is needed."""
        connection, clock = opened()
        connection.reader.upon = lambda _payload: connection.pause()
        connection.wire.deliver(frame("a"))
        assert (connection.reads, clock.calls) == (False, [])
        connection.resume()
        assert (connection.reads, clock.calls) == (True, [])

    def test_upon_the_last_message_of_a_later_turn(self) -> None:
        """S5.6: the turn that ends all that waited does not read on where its last message paused reading."""
        connection, clock = behind(frame("a"), frame("b"))
        connection.reader.upon = lambda payload: connection.pause() if payload == b"b" else None
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"a", b"b"], False)
        connection.resume()
        assert (connection.reads, clock.calls) == (True, [])


BOTH_PROTOCOLS = pytest.mark.usefixtures("protocol")


@BOTH_PROTOCOLS
def test_a_stalled_function() -> None:
    """S5.6: a function that stalls, then ends for one message after the other, gets all of them in order, once each."""
    world, client = slow_world(max_pending_messages=4)
    handled: list[object] = []
    waiting: list[Deferred[None]] = []

    @world.signals.route("/msg")
    def stall(event: Any) -> Deferred[None]:
        handled.append(event.data.message)
        waiting.append(Deferred())
        return waiting[-1]

    client.send(*(b"".join(message(number) for number in range(start, start + 400)) for start in range(0, 1_200, 400)))
    world.turn()
    assert (handled, client.wire.producerState) == ([0], "paused")
    while waiting:
        waiting.pop().callback(None)
        world.turn()
    assert handled == list(range(1_200))
    assert client.wire.producerState == "producing"
    assert client.frames == []


@BOTH_PROTOCOLS
def test_empty_frames_at_the_end_of_each_turn() -> None:
    """S5.6: a text that comes in while the end of an empty frame waits does not overtake it."""
    world, client = slow_world()
    world.listening()
    protocol = client.wire.protocol
    protocol.dataReceived(frame('{"message":', fin=False))
    world.turn()
    protocol.dataReceived(frame("1}", CONTINUATION, fin=False) + frame("", CONTINUATION))
    while protocol.data:
        world.clock.turn()
    assert protocol.current_frame is not None
    protocol.dataReceived(message(2))
    world.turn()
    assert world.messages == [1, 2]


@BOTH_PROTOCOLS
def test_pausing_while_behind() -> None:
    """S5.6: of texts that wait none is handled while reading is paused, in whatever turn that was."""
    world, client = slow_world()
    world.listening()
    client.send(frame("", PING) + message(1) + message(2))
    world.clock.turn()
    assert client.wire.protocol.data == message(1) + message(2)
    link_of(world.converted[0]).pause_reading()
    world.turn()
    assert (world.messages, client.wire.producerState) == ([], "paused")
    link_of(world.converted[0]).resume_reading()
    world.turn()
    assert (world.messages, client.wire.producerState) == ([1, 2], "producing")
