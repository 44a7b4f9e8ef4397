"""Worlds with an open connection, and how its end is checked. Nothing in here is a test."""

from __future__ import annotations

from typing import Any

from web_fakes import Client, World, close_frame

from pode_signals.core.model import ClosedBy, Closure
from pode_signals.hub.link import Link

GOOD_EXTENSION = ("Sec-WebSocket-Extensions", "permessage-deflate")


def opened(*more: tuple[str, str], **settings: Any) -> tuple[World, Client]:
    """A world with one open connection, whose messages are kept."""
    world = World(**settings).converting().listening()
    return world, world.client().open("/msg", *more)


def has_no_timer(world: World) -> bool:
    """Whether no timer of a connection is left."""
    return not any(isinstance(getattr(call.func, "__self__", None), Link) for call in world.clock.calls)


def finish(world: World, client: Client) -> Closure:
    """Let a closing handshake that the server has ended come to its end, and check that it was a clean one."""
    assert client.wire.ended == "closed"
    assert not client.wire.produced_at_end
    world.turn()
    connection = world.converted[0]
    assert connection.closure is not None
    assert world.signals.open_connections() == ()
    assert has_no_timer(world)
    return connection.closure


def check_failed(world: World, client: Client, code: int) -> None:
    """The connection was failed with a close frame, which the client answers; it ends cleanly, nothing got through."""
    assert client.closed is not None
    assert client.closed[0] == code
    assert client.wire.ended is None
    assert world.signals.count() == 0
    client.send(close_frame(code))
    closure = finish(world, client)
    assert (closure.code, closure.by) == (code, ClosedBy.ERROR)
