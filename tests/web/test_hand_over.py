"""The hand-over of a request's transport: the connection is open at once, and no timer or producer of HTTP is left."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.http import HTTPChannel
from web_fakes import World, head, message, plain, route_world, waiting_world

from pode_signals.core.model import ClosedBy, Closure
from pode_signals.errors import PodeSignalsError
from pode_signals.hub.connection import ConnectionState
from pode_signals.transports.websocket import SignalProtocol

pytestmark = pytest.mark.usefixtures("protocol")


def test_convert_returns_an_open_connection() -> None:
    """S2.1: when convert returns the 101 has been written and the connection is open and registered."""
    seen: list[Any] = []

    def route(world: World, request: Any) -> None:
        connection = world.signals.convert(request, "Msg", client_id="one")
        seen.extend((client.answers[-1].status, connection.state, world.signals.client_ids("Msg"), world.messages[:]))
        connection.send("from the route")

    world = route_world(route)
    client = world.client()
    client.send(head() + message("pipelined"))
    assert seen == [101, ConnectionState.OPEN, ("one",), []]
    assert client.texts == ["from the route"]


def test_the_transport_has_the_connection_as_its_producer() -> None:
    """S4.7: the channel is the transport's producer no more; the connection is, so that it knows of a slow client."""
    world = World().converting()
    client = world.client().open()
    producer = client.wire.producer
    assert not isinstance(producer, HTTPChannel)
    assert client.wire.streaming is True
    assert (world.signals.send("a", name="Msg").sent, world.signals.send("b", name="Msg").queued) == (1, 0)
    producer.pauseProducing()
    assert world.signals.send("c", name="Msg").queued == 1
    producer.resumeProducing()
    assert world.signals.send("d", name="Msg").queued == 0
    world.turn()
    assert client.texts == ["a", "b", "c", "d"]


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after an await"])
def test_no_idle_timeout_after_the_hand_over(waits: bool) -> None:
    """S2.1: HTTP's idle timeout ends with the hand-over; an idle socket without one is closed after ten seconds."""
    world = waiting_world() if waits else World().converting().listening()
    idle = world.client()
    client = world.client().send(plain("/ok"), head())
    for _ in range(100):
        world.turn(11)
    assert idle.wire.ended == "closed"
    assert client.wire.ended is None
    client.send(message("still here"))
    assert world.messages == ["still here"]
    world.turn(1_000)
    assert client.wire.ended is None


def test_no_timeout_of_the_routes_own_after_the_hand_over() -> None:
    """S2.1: nor a timeout that the route had set for its answer."""

    def route(world: World, request: Any) -> None:
        request.channel.setTimeout(5)
        world.signals.convert(request, "Msg")

    world = route_world(route)
    client = world.client().open()
    world.turn(1_000)
    assert client.wire.ended is None


def test_a_handshake_that_autobahn_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """S2.1: should Autobahn ever refuse what was checked, convert raises, and the hub never knew of a connection."""

    def refuse(self: Any, request: Any) -> None:
        raise RuntimeError("no")

    events: list[Any] = []
    raised: list[BaseException] = []

    def route(world: World, request: Any) -> None:
        with pytest.raises(PodeSignalsError) as caught:
            world.signals.convert(request, "Msg")
        raised.append(caught.value)

    world = route_world(route, compression=True, max_connections_per_address=1).converting("/again", "Again")
    world.signals.on_connect("Msg")(events.append)
    world.signals.on_disconnect("Msg")(events.append)
    with monkeypatch.context() as patched:
        # As an Autobahn would that checks more than we do.
        patched.setattr(SignalProtocol, "onConnect", refuse)
        client = world.client().send(head("/msg", ("Sec-WebSocket-Extensions", "permessage-deflate")))
        world.turn(10)
    assert client.wire.ended == "aborted"
    assert len(raised) == 1
    assert events == []
    assert world.signals.open_connections() == ()
    assert world.signals.counters.connections_closed == {}
    # It has taken no place of its address.
    world.client().open("/again")


def test_the_closure_of_a_client_that_leaves_in_the_turn_of_its_conversion() -> None:
    """S9.3: Connect and Disconnect fire once each, in this order, for a client that leaves before Connect ran."""
    world = World().converting()
    order: list[Any] = []
    world.signals.on_connect("Msg")(lambda event: order.append(event.type.value))
    world.signals.on_disconnect("Msg")(lambda event: order.append((event.type.value, event.connection.closure)))
    world.client().send(head()).leave()
    assert world.signals.count() == 0
    world.turn()
    assert order == ["connect", ("disconnect", Closure(1006, "", ClosedBy.CLIENT))]
