"""Messages on the wire: whole ones of all lengths, in pieces and in fragments, with pings between them."""

from __future__ import annotations

from typing import Any

import pytest
from transports.open_worlds import finish, opened
from twisted.internet.defer import Deferred
from web_fakes import CONTINUATION, PING, PONG, TEXT, Frame, World, close_frame, frame, head, message

pytestmark = pytest.mark.usefixtures("protocol")


@pytest.mark.parametrize("size", [1, 125, 126, 65_000, 65_535])
def test_messages_of_all_lengths(size: int) -> None:
    """S5.1: a message arrives whole, whichever way its length is written, and goes out so."""
    world, client = opened()
    text = "x" * (size - len('{"message": ""}')) if size > 20 else "x"
    client.send(message(text))
    assert world.messages == [text]
    world.converted[0].send("y" * size)
    assert client.frames == [Frame(TEXT, b"y" * size)]


def test_a_message_that_comes_byte_by_byte() -> None:
    """S5.1: packets of the network have no meaning."""
    world, client = opened()
    client.send(*(bytes((each,)) for each in message("slow") + message("and steady")))
    assert world.messages == ["slow", "and steady"]


def test_many_messages_in_one_packet() -> None:
    """S5.6: messages of one packet are handled in their order."""
    world, client = opened()
    client.send(b"".join(message(number) for number in range(200)))
    assert world.messages == list(range(200))


def test_a_fragmented_message() -> None:
    """S5.1: a message in several frames is one message, also with a ping between them and a character cut in two."""
    world, client = opened()
    payload = '{"message": "caf\u00e9"}'.encode()
    at = payload.index(b"\xc3") + 1
    client.send(
        frame(payload[:5], fin=False),
        frame(payload[5:at], CONTINUATION, fin=False),
        frame(b"ping", PING),
        frame(b"", CONTINUATION, fin=False),
        frame(payload[at:], CONTINUATION),
    )
    assert world.messages == ["caf\u00e9"]
    assert client.frames == [Frame(PONG, b"ping")]


def test_ping_gets_a_pong_while_a_function_is_pending() -> None:
    """S5.6: a pong never waits behind functions, and the messages behind the pending one do."""
    world = World().converting()
    waiting: list[Deferred[None]] = []

    @world.signals.route("/msg")
    def pending(event: Any) -> Deferred[None]:
        waiting.append(Deferred())
        return waiting[-1]

    client = world.client().open()
    client.send(message("one"), message("two"), frame(b"are you there", PING), frame(b"", PING))
    assert client.frames == [Frame(PONG, b"are you there"), Frame(PONG, b"")]
    assert len(waiting) == 1
    client.send(close_frame(1000))
    assert client.closed == (1000, "")
    finish(world, client)


def test_an_unasked_pong_means_nothing() -> None:
    """S5.6: a pong that answers nothing is allowed (RFC 6455 section 5.5.3)."""
    world, client = opened()
    client.send(frame(b"hello", PONG), message("on"))
    assert world.messages == ["on"]
    assert client.frames == []


def test_subprotocols() -> None:
    """S2.1: of the server's subprotocols the first that the client offers is agreed on, or none."""
    world = World().converting(subprotocols=("b", "a")).converting("/none", "None")
    client = world.client()
    assert client.ask(head("/msg", ("Sec-WebSocket-Protocol", "a, c, b"))).value("Sec-WebSocket-Protocol") == "b"
    assert world.converted[0].subprotocol == "b"
    for offered in ("c", "B", None):
        more = () if offered is None else (("Sec-WebSocket-Protocol", offered),)
        assert world.client().ask(head("/msg", *more)).value("Sec-WebSocket-Protocol") is None
    several = head("/msg", ("Sec-WebSocket-Protocol", "x"), ("Sec-WebSocket-Protocol", "a"))
    assert world.client().ask(several).value("Sec-WebSocket-Protocol") == "a"
    assert world.client().ask(head("/none", ("Sec-WebSocket-Protocol", "a"))).value("Sec-WebSocket-Protocol") is None


def test_a_text_on_its_way_while_the_route_ends() -> None:
    """S2.6: what was pipelined comes in front of what the client sends when the route has ended."""
    world = World().converting().listening()
    client = world.client()
    client.send(head() + message(1), message(2))
    world.turn()
    client.send(message(3))
    assert world.messages == [1, 2, 3]
    assert client.frames == []
