"""Kinds of routes in Klein. Nothing in here is a test.

Each converts, waits a second where it can, then calls ``then`` with its connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from klein import Klein, Plating
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.web.template import slot, tags
from web_fakes import Client, World, head

from pode_signals.core.model import Scope
from pode_signals.hub.connection import SignalConnection

Converted = Callable[[SignalConnection], Any]


def in_a_def(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    @world.app.route("/msg")
    def route(request: Any) -> Any:
        return then(convert(request))


def in_an_async_def(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    @world.app.route("/msg")
    async def route(request: Any) -> Any:
        connection = convert(request)
        await deferLater(world.clock, 1)
        return then(connection)


def in_an_async_def_that_waits_before(
    world: World, convert: Callable[[Any], SignalConnection], then: Converted
) -> None:
    @world.app.route("/msg")
    async def route(request: Any) -> Any:
        await deferLater(world.clock, 1)
        connection = convert(request)
        await deferLater(world.clock, 1)
        return then(connection)


def in_inline_callbacks(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    @world.app.route("/msg")
    @inlineCallbacks
    def route(request: Any) -> Iterator[Deferred[None]]:
        connection = convert(request)
        yield deferLater(world.clock, 1)
        return then(connection)


def in_a_subroute(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    with world.app.subroute("/msg") as app:

        @app.route("/")
        async def route(request: Any) -> Any:
            connection = convert(request)
            await deferLater(world.clock, 1)
            return then(connection)

    world.path = "/msg/"


def in_a_branch(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    inner = Klein()

    @world.app.route("/msg", branch=True)
    def branch(request: Any) -> Any:
        return inner.resource()

    @inner.route("/socket")
    async def route(request: Any) -> Any:
        connection = convert(request)
        await deferLater(world.clock, 1)
        return then(connection)

    world.path = "/msg/socket"


def on_a_class(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    class Application:
        app = Klein()

        @app.route("/msg")
        async def route(self, request: Any) -> Any:
            connection = convert(request)
            await deferLater(world.clock, 1)
            return then(connection)

    world.app = Application().app


def on_a_plating(world: World, convert: Callable[[Any], SignalConnection], then: Converted) -> None:
    page = Plating(tags=tags.html(tags.body(tags.div(slot(Plating.CONTENT)))))

    @page.routed(world.app.route("/msg"), tags.p(slot("text")))
    async def route(request: Any) -> Any:
        connection = convert(request)
        await deferLater(world.clock, 1)
        then(connection)
        return {"text": "discarded"}


KINDS = (
    in_a_def,
    in_an_async_def,
    in_an_async_def_that_waits_before,
    in_inline_callbacks,
    in_a_subroute,
    in_a_branch,
    on_a_class,
    on_a_plating,
)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.replace("_", " "))
each_program = pytest.mark.parametrize(
    ("kind", "wrapped"),
    [(kind, True) for kind in KINDS] + [(kind, False) for kind in (in_a_def, in_an_async_def, in_inline_callbacks)],
    ids=lambda it: it.__name__.replace("_", " ") if callable(it) else "wrapped" if it else "bare",
)


def made(
    kind: Callable[..., None],
    then: Converted = lambda connection: None,
    *,
    wrapped: bool = True,
    scope: Scope = Scope.GLOBAL,
) -> tuple[World, Client]:
    """A world with such a route, and a client whose connection is open; the route waits, unless it is plain."""
    world = World(wrapped=wrapped).listening().listening("/msg/").listening("/msg/socket")

    def convert(request: Any) -> SignalConnection:
        connection = world.signals.convert(request, "Msg", scope=scope, client_id=f"id-{len(world.converted)}")
        world.converted.append(connection)
        return connection

    kind(world, convert, then)
    client = world.client()
    client.send(head(world.path))
    if kind is in_an_async_def_that_waits_before:
        world.turn(1)
    world.turn()
    assert client.answers[-1].status == 101
    return world, client


def end_route(world: World) -> None:
    """Let the route end."""
    world.turn(1)
