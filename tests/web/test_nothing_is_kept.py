"""What is left of a request and its channel when it was converted, and of a connection when it has ended: nothing."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from web_fakes import Client, World, close_frame, frame, message, route_world

pytestmark = pytest.mark.usefixtures("protocol")


def _release(world: World, client: Client) -> None:
    world.turn()
    client.wire.producer = None
    client.wire._unread.clear()
    world.converted.clear()
    world.turn(60)


ENDS: dict[str, Callable[[World, Client], object]] = {
    "the client leaves": lambda world, client: client.leave(),
    "the client resets": lambda world, client: client.reset(),
    "the client closes": lambda world, client: client.send(close_frame()),
    "the server closes": lambda world, client: (world.signals.close("Msg"), client.send(close_frame())),
    "the client never answers": lambda world, client: (world.signals.close("Msg"), world.turn(5)),
    "a bad frame": lambda world, client: (client.send(frame(b"\xff")), client.send(close_frame())),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_nothing_is_kept_after_the_end(end: Callable[[World, Client], object]) -> None:
    """S10.3: after the end nothing keeps the connection, its protocol, its channel or its request alive."""
    watched: list[weakref.ref[Any]] = []

    def route(world: World, request: Any) -> Deferred[None]:
        channel = request.channel
        connection = world.signals.convert(request, "Msg", group="Group")
        world.signals.send("hello", name="Msg")
        watched.extend(map(weakref.ref, (request, channel, connection)))
        return Deferred()

    world = route_world(route, max_connections_per_address=1)
    world.signals.on_connect("Msg")(lambda event: None)
    world.signals.on_disconnect("Msg")(lambda event: None)
    client = world.client().open()
    watched.append(weakref.ref(client.wire.protocol))
    client.send(message("hello"))
    end(world, client)
    _release(world, client)
    gc.collect()
    assert [each() for each in watched] == [None] * 4
    assert world.signals.names() == ()
    # It has no place of its address any more.
    world.client().open()


@pytest.mark.parametrize("leaves", ["while the route runs", "afterwards"])
def test_no_cycle_is_left_of_http(leaves: str) -> None:
    """S10.3: channel and request are gone with the route, without a collection, whenever the client leaves."""
    watched: list[weakref.ref[Any]] = []
    end: Deferred[None] = Deferred()

    def route(world: World, request: Any) -> Deferred[None]:
        watched.append(weakref.ref(request.channel))
        world.signals.convert(request, "Msg")
        return end

    world = route_world(route)
    gc.collect()
    gc.disable()
    try:
        client = world.client().open()
        if leaves == "while the route runs":
            client.leave()
        end.callback(None)
        world.turn()
        assert watched[0]() is None
    finally:
        gc.enable()


def test_an_open_connection_keeps_no_request() -> None:
    """S5.3: while the connection is open its Request is gone: it would be the largest part of it."""
    watched: list[weakref.ref[Any]] = []

    def route(world: World, request: Any) -> None:
        watched.append(weakref.ref(request))
        world.signals.convert(request, "Msg")

    client = route_world(route).client().open()
    gc.collect()
    assert watched[0]() is None
    assert client.wire.ended is None
