"""Bytes right behind the handshake: they are the connection's, in order, whenever the route converts."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from web_fakes import PING, PONG, Frame, World, close_frame, frame, head, message, plain, route_world, waiting_world

from pode_signals.core.model import ClosedBy, Closure
from pode_signals.hub.connection import ConnectionState

pytestmark = pytest.mark.usefixtures("protocol")


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after an await"])
@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_pipelined_frames(waits: bool, leaves: bool) -> None:
    """S2.6: frames behind the handshake arrive in order, whenever the route converts, also of a client that leaves."""
    world = waiting_world() if waits else World().converting().listening()
    client = world.client().send(head() + b"".join(message(number) for number in range(10)))
    client.send(message(10))
    world.turn(0.5)
    client.send(message(11))
    if waits:
        assert world.messages == []
        world.clock.advance(0.5)
    if leaves:
        client.leave()
    world.turn()
    assert world.messages == list(range(12))


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_more_pipelined_frames_than_the_channel_reads(leaves: bool) -> None:
    """S2.6: above 16 KiB the channel pauses the transport; it reads on after the hand-over, in order."""
    world = waiting_world()
    text = "x" * 1_000
    client = world.client().send(head(), b"".join(message([number, text]) for number in range(200)))
    assert client.wire.producerState == "paused"
    channel = client.wire.protocol._channel
    world.turn(1)
    assert channel._dataBuffer == []  # or it would be kept as long as the connection
    if leaves:
        world.turn()
        client.leave()
    world.turn()
    assert world.messages == [[number, text] for number in range(200)]
    if not leaves:
        assert client.wire.producerState == "producing"
        client.send(message("and more"))
        assert world.messages[-1] == "and more"


def test_a_frame_that_is_cut_by_the_hand_over() -> None:
    """S2.6: part of a frame came with the handshake, the rest comes later; a ping among them gets its pong."""
    for world in (waiting_world(), World().converting().listening()):
        whole = message("whole")
        client = world.client().send(head() + frame(b"p", PING) + whole[:5])
        world.turn(1)
        client.send(whole[5:])
        assert world.messages == ["whole"]
        assert client.frames == [Frame(PONG, b"p")]


def told_world() -> tuple[World, Deferred[None]]:
    """A world whose ``/msg`` converts when it is told."""
    world = World().listening()
    go: Deferred[None] = Deferred()

    @world.app.route("/msg")
    async def convert(request: Any) -> None:
        await go
        connection = world.signals.convert(request, "Msg")
        if connection.state is ConnectionState.OPEN:
            world.converted.append(connection)

    return world, go


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_bytes_that_come_between_the_hand_over_and_the_next_turn(leaves: bool) -> None:
    """S2.6: what comes in the turn of the hand-over keeps its place behind what was pipelined, whoever leaves."""
    world, go = told_world()
    client = world.client().send(head() + message("first"))
    go.callback(None)
    client.send(message("second"))
    assert world.messages == []
    if leaves:
        client.leave()
    world.turn()
    assert world.messages == ["first", "second"]


def test_a_pipelined_close_frame() -> None:
    """S2.1: convert returns an open connection even to a client that closed right behind its handshake."""
    world, go = told_world()
    events: list[str] = []
    world.signals.on_connect("Msg")(lambda event: events.append("connect"))
    world.signals.on_disconnect("Msg")(lambda event: events.append("disconnect"))
    client = world.client().send(head() + message("last") + close_frame(1000, "bye"))
    go.callback(None)
    assert world.signals.count() == 1
    world.turn()
    assert client.closed == (1000, "bye")
    world.turn()
    assert world.messages == ["last"]
    assert events == ["connect", "disconnect"]
    assert world.converted[0].closure == Closure(1000, "bye", ClosedBy.CLIENT)


def test_requests_before_the_handshake_in_one_packet() -> None:
    """S2.6: pages, an upgrade and its frames may come in one packet."""
    for world in (waiting_world(), World().converting().listening()):
        client = world.client().send(plain("/ok") + plain("/ok") + head() + message("one") + message("two"))
        world.turn(1)
        assert [answer.status for answer in client.answers] == [200, 200, 101]
        assert world.messages == ["one", "two"]


def test_pipelined_frames_of_a_connection_that_the_route_closes() -> None:
    """S2.6: frames are handled as frames, also where there is nobody left for messages: the close frame is answered."""

    def route(world: World, request: Any) -> None:
        world.signals.convert(request, "Msg").close(4000)

    world = route_world(route)
    client = world.client().send(head() + message("late") + close_frame(4000))
    world.turn()
    assert world.messages == []
    assert client.closed == (4000, "")
    assert client.wire.ended == "closed"


def test_the_first_message_waits_for_the_connect_functions() -> None:
    """S9.3: Connect runs in the turn after convert returned, and pipelined messages wait until it has ended."""
    world = World().converting().listening()
    order: list[str] = []
    pending: Deferred[None] = Deferred()

    @world.signals.on_connect("Msg")
    def connected(event: Any) -> Deferred[None]:
        order.append(f"connect {world.signals.count()}")
        return pending

    @world.signals.on_disconnect("Msg")
    def disconnected(event: Any) -> None:
        order.append(f"disconnect {world.signals.count()} {event.connection.closure.code}")

    client = world.client().send(head() + message("one"))
    assert order == []
    world.turn()
    assert order == ["connect 1"]
    client.send(message("two"))
    client.leave()
    world.turn()
    assert (order, world.messages) == (["connect 1"], [])
    pending.callback(None)
    assert (order, world.messages) == (["connect 1", "disconnect 0 1006"], ["one", "two"])
