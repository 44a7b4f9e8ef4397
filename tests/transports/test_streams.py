"""Several frames in one read, and one frame in several: each message once, in order, whatever happens in between."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import link_of
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from web_fakes import CONTINUATION, PING, PONG, Client, World, close_frame, failures_in, frame, head, message

pytestmark = pytest.mark.usefixtures("protocol")


def opened(**options: Any) -> tuple[World, Client]:
    """A world with one open connection."""
    world = World(**options).converting().listening()
    return world, world.client().open()


def test_a_close_frame_behind_texts() -> None:
    """S5.6: texts in front of a close frame are handled, and what follows it is not."""
    world, client = opened()
    client.send(message(1) + message(2) + close_frame(1000, "bye") + message(3))
    assert world.messages == [1, 2]
    assert client.closed == (1000, "bye")
    assert client.wire.ended == "closed"


def test_closing_between_two_texts_of_one_read() -> None:
    """S5.6: what a client sent behind the message upon which it is closed is not handled; its close frame is seen."""
    world, client = opened()
    world.signals.clear_routes()
    world.signals.add_route(
        "/msg", lambda event: (world.messages.append(event.data.message), event.connection.close(4000))
    )
    client.send(message(1) + message(2) + frame(b"ping", PING) + message(3) + close_frame(4000))
    assert world.messages == [1]
    assert client.closed == (4000, "")
    world.turn()
    assert client.wire.ended == "closed"
    assert world.converted[0].state.value == "closed"


def test_aborting_between_two_texts_of_one_read() -> None:
    """S5.6: nothing is handled behind the message upon which the connection is aborted."""
    world, client = opened()
    world.signals.clear_routes()
    world.signals.add_route(
        "/msg", lambda event: (world.messages.append(event.data.message), link_of(event.connection).abort())
    )
    client.send(message(1) + message(2) + close_frame())
    assert (world.messages, client.wire.ended) == ([1], "aborted")


def test_a_defect_between_two_texts_of_one_read() -> None:
    """S16.8: a callback that raises closes with 1011, and the client's close frame behind it is still understood."""
    world, client = opened()

    def broken(*_args: object) -> None:
        raise LookupError

    client.wire.protocol.deliver = broken
    answer = close_frame(1011)
    with capturedLogs() as logged:
        client.send(message(1) + message(2) + answer[:3])
    assert [type(each.value) for each in failures_in(logged)] == [LookupError]
    assert client.closed == (1011, "")
    client.send(answer[3:])
    assert client.wire.ended == "closed"
    assert world.signals.counters.callbacks_failed == 1


def test_pausing_in_the_middle_of_a_read() -> None:
    """S5.6: a read that holds more than may wait pauses the socket; all of it is handled, in order, and it reads on."""
    world, client = opened(max_pending_messages=4)
    pending: list[Deferred[None]] = []

    def slow(event: Any) -> Deferred[None]:
        world.messages.append(event.data.message)
        pending.append(Deferred())
        return pending[-1]

    world.signals.clear_routes()
    world.signals.add_route("/msg", slow)
    client.send(b"".join(message(number) for number in range(10)))
    assert world.messages == [0]
    assert client.wire.producerState == "paused"
    client.send(message(10))
    while pending:
        pending.pop(0).callback(None)
        world.turn()
    assert world.messages == list(range(11))
    assert client.wire.producerState == "producing"


def test_when_a_message_began() -> None:
    """S16.3: the time of a message runs from its first frame to its last, and not between messages."""
    world, client = opened()
    connection = world.converted[0]
    client.send(message(1))
    assert link_of(connection).pulse.message_due is None
    world.turn(1)
    slow = frame('{"message":', fin=False), frame("2}", CONTINUATION)
    client.send(message(0) + slow[0])
    due = world.clock.seconds() + world.signals.settings.message_timeout_seconds
    assert link_of(connection).pulse.message_due == due
    world.turn(1)
    client.send(slow[1][:-1])
    assert link_of(connection).pulse.message_due == due
    client.send(slow[1][-1:] + message(3))
    assert link_of(connection).pulse.message_due is None
    assert world.messages == [1, 0, 2, 3]


def test_a_text_within_a_message() -> None:
    """S16.8: a whole text in a read of its own, where a message has not ended, breaks the protocol."""
    world, client = opened()
    client.send(frame("{", fin=False), message(1))
    assert world.messages == []
    assert client.closed is not None
    assert client.closed[0] == 1002


@pytest.mark.parametrize("first", [1, 2, 5, 6, 7])
def test_a_ping_that_holds_a_text(first: int) -> None:
    """S16.8: what looks like a text within a ping, in a read of its own, belongs to the ping."""
    world, client = opened()
    held = b"x" + message(1)
    ping = bytes((0x80 | PING, 0x80 | len(held))) + bytes(4) + held
    client.send(ping[:first], ping[first:])
    assert [(each.opcode, each.payload) for each in client.frames] == [(PONG, held)]
    assert world.messages == []


def test_a_head_whose_rest_looks_like_a_text() -> None:
    """S16.8: where the head of a frame is cut, what follows is the rest of it, whatever it looks like."""
    world, client = opened()
    rest = b"\x81" + b"\x80\0\0\0" + bytes((0x80 ^ ord("x"),))
    client.send(bytes((0x80 | PING,)), rest)
    assert [(each.opcode, each.payload) for each in client.frames] == [(PONG, b"x")]
    assert world.signals.counters.messages_bad == 0


def test_the_rate_of_messages() -> None:
    """S16.3: messages of one read past the rate wait for their time, and none is lost."""
    world, client = opened(messages_per_second=10, message_burst=3)
    client.send(b"".join(message(number) for number in range(6)))
    assert world.messages == [0, 1, 2]
    assert world.signals.counters.limits_hit["messages_per_second"] == 1
    for _ in range(30):
        world.turn(0.05)
    assert world.messages == list(range(6))


def test_bad_messages_of_one_read() -> None:
    """S5.8: too many bad messages close with 1008, also where they come in one read."""
    world, client = opened(bad_messages_limit=3)
    client.send(frame("{") * 10 + message(1))
    assert client.closed == (1008, "too many bad messages")
    assert world.messages == []


def test_frames_behind_the_handshake() -> None:
    """S2.6: whole and cut frames that come with the handshake are handled in order."""
    world = World().converting().listening()
    client = world.client()
    client.send(head() + message(1) + message(2) + message(3)[:5])
    client.send(message(3)[5:] + message(4))
    world.turn()
    assert world.messages == [1, 2, 3, 4]


def test_utf_8() -> None:
    """S6.1: a text that is no UTF-8 closes with 1007; those before it are handled."""
    world, client = opened()
    client.send(message("ä") + frame(b'{"message":"\xc3("}') + message(2))
    assert world.messages == ["ä"]
    assert client.closed is not None
    assert client.closed[0] == 1007


def test_fragments_of_text_with_a_character_between() -> None:
    """S6.1: the validator that is made when used goes on over fragments, and begins anew with each message."""
    world, client = opened()
    text = '{"message":"ä"}'.encode()
    at = text.index(b"\xa4")
    for _ in range(2):
        client.send(frame(text[:at], fin=False) + frame(text[at:], CONTINUATION))
    assert world.messages == ["ä", "ä"]
    client.send(frame(text[:at], fin=False) + frame(b'"}', CONTINUATION))
    assert client.closed is not None
    assert client.closed[0] == 1007


def test_two_clients_and_their_fragments() -> None:
    """S6.1: fragments of two clients at a time don't meet."""
    world = World().converting().listening()
    clients = [world.client().open() for _ in range(2)]
    text = '{"message":"ä"}'.encode()
    at = text.index(b"\xa4")
    for client in clients:
        client.send(frame(text[:at], fin=False))
    for client in clients:
        client.send(frame(text[at:], CONTINUATION))
    assert world.messages == ["ä", "ä"]
    assert [client.closed for client in clients] == [None, None]
