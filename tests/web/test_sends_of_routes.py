"""Whom the sends of a route reach, and that its connection is nobody else's."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from web.klein_routes import each_kind, end_route, in_a_def, made, on_a_class
from web_fakes import World, close_frame, failures_in, message, plain

from pode_signals.core.model import Scope, SendMode
from pode_signals.errors import NameRequired, NoCurrentConnection
from pode_signals.hub.connection import SignalConnection
from pode_signals.hub.context import current_route


@each_kind
def test_sends_of_a_local_route(kind: Callable[..., None]) -> None:
    """S3.2: signals.send within the converting route reaches its local connection alone, whatever name it gives."""

    def then(connection: SignalConnection) -> None:
        world = connection.hub
        deliveries = [
            world.send("one", name="Msg"),
            world.send("two", name="Other", group="none", client_id="nobody"),
            world.send("three", mode=SendMode.DIRECT),
            world.send("four"),
        ]
        assert [each.recipients for each in deliveries] == [1, 1, 1, 1]
        assert world.send("all", name="Msg", mode=SendMode.BROADCAST).recipients == bystanders
        assert world.send("all", name="Msg", ignore_event=True).recipients == bystanders
        with pytest.raises(NameRequired):
            world.send("nobody", ignore_event=True)

    bystanders = 0
    with capturedLogs() as logged:
        world, client = made(kind, then, scope=Scope.LOCAL)
        world.converting("/bystander")
        other = None
        if kind is not in_a_def and kind is not on_a_class:
            other, bystanders = world.client().open("/bystander"), 1
        end_route(world)
        world.turn()
    assert failures_in(logged) == []
    assert client.texts == ["one", "two", "three", "four"]
    if other is not None:
        assert other.texts == ["all", "all"]


@each_kind
def test_sends_of_a_global_route(kind: Callable[..., None]) -> None:
    """S4.3: a global connection's route broadcasts, and SendMode.DIRECT reaches the connection that it converted."""

    def then(connection: SignalConnection) -> None:
        connection.hub.send("all", name="Msg")
        connection.hub.send("direct", mode=SendMode.DIRECT)
        with pytest.raises(NameRequired):
            connection.hub.send("nobody")

    with capturedLogs() as logged:
        world, client = made(kind, then)
        end_route(world)
        world.turn()
    assert failures_in(logged) == []
    assert client.texts == ["all", "direct"]


@each_kind
def test_nothing_leaks_out_of_a_route(kind: Callable[..., None]) -> None:
    """S3.2: the route's connection is nobody else's: not the reactor's, nor that of requests meanwhile or after."""
    seen: list[Any] = []

    def look() -> None:
        seen.append(current_route.get())
        with pytest.raises(NoCurrentConnection):
            world.signals.send("x", mode=SendMode.DIRECT)
        with pytest.raises(NameRequired):
            world.signals.send("x")

    world, client = made(kind, scope=Scope.LOCAL)

    @world.app.route("/page", endpoint="page")
    def page(request: Any) -> bytes:
        slot = current_route.get()
        assert slot is not None
        assert slot.link is None
        with pytest.raises(NoCurrentConnection):
            world.signals.send("x", mode=SendMode.DIRECT)
        seen.append("page")
        return b""

    look()
    world.clock.callLater(0, look)
    world.turn()
    if kind not in (in_a_def, on_a_class):
        world.client().ask(plain("/page"))
    end_route(world)
    look()
    world.client().ask(plain("/page")) if kind is not on_a_class else None
    assert [each for each in seen if each != "page"] == [None] * 3
    assert client.texts == []


@each_kind
def test_the_end_of_the_route_clears_the_slot(kind: Callable[..., None]) -> None:
    """S3.2: what a route leaves running after its end sends as anybody would, not to the connection that closed."""
    results: list[Any] = []

    def then(connection: SignalConnection) -> None:
        context = contextvars.copy_context()

        def later() -> None:
            results.append(world.signals.send("late", name="Msg").recipients)
            with pytest.raises(NoCurrentConnection):
                world.signals.send("late", mode=SendMode.DIRECT)
            results.append("checked")

        connection.hub.clock.callLater(5, context.run, later)

    world, client = made(kind, then, scope=Scope.LOCAL)
    end_route(world)
    if kind is not on_a_class:
        world.converting("/bystander", client_id="bystander")
        world.client().open("/bystander")
    world.turn(5)
    assert results == [0 if kind is on_a_class else 1, "checked"]
    assert client.texts == []


def test_a_signal_event_comes_before_the_route() -> None:
    """S4.3: functions for a local connection's messages have the event as current, and never the route."""
    world = World()
    seen: list[Any] = []

    @world.app.route("/msg")
    async def route(request: Any) -> None:
        world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        await Deferred()

    @world.signals.route("/msg")
    def on_message(event: Any) -> None:
        seen.append(current_route.get())
        world.signals.send("direct", mode=SendMode.DIRECT)
        seen.append(world.signals.send("by name", name="Msg").recipients)

    @world.signals.on_connect("Msg")
    def connected(event: Any) -> None:
        seen.append(current_route.get())

    client = world.client().open()
    client.send(message("x"))
    assert seen == [None, None, 0]
    assert client.texts == ["direct"]


def test_without_the_wrapper() -> None:
    """S3.2: without signals.resource a local route sends by its connection; signals.send is a broadcast there."""
    world = World(wrapped=False).converting("/global")
    other = world.client().open("/global")

    @world.app.route("/msg")
    def route(request: Any) -> None:
        connection = world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        connection.send("local")
        world.signals.send("global", name="Msg")
        with pytest.raises(NameRequired):
            world.signals.send("nobody")

    client = world.client().open()
    world.turn()
    assert client.texts == ["local"]
    assert other.texts == ["global"]
    with pytest.raises(NameRequired):
        world.signals.send("nobody")


def test_the_default_scope() -> None:
    """S3.1: default_scope is what a conversion that names no scope gets; it can be read and changed."""
    world = World().converting().converting("/global", scope=Scope.GLOBAL)
    assert world.signals.default_scope is Scope.GLOBAL
    world.signals.default_scope = Scope.LOCAL
    assert world.client().open().closed == (1000, "")
    assert world.client().open("/global").frames == []
    assert world.signals.default_scope is Scope.LOCAL
    assert [each.scope for each in world.converted] == [Scope.LOCAL, Scope.GLOBAL]


def test_events_and_messages_of_local_connections() -> None:
    """S3.2: Connect and Disconnect fire for local connections too, and their messages reach signal routes."""
    world = World().listening()
    events: list[Any] = []
    world.signals.on_connect("Msg")(lambda event: events.append(event.type.value))
    world.signals.on_disconnect("Msg")(lambda event: events.append((event.type.value, event.connection.closure.code)))

    @world.app.route("/msg")
    async def route(request: Any) -> None:
        world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        await deferLater(world.clock, 1)

    client = world.client().open()
    client.send(message("x"))
    world.turn(1)
    client.send(close_frame(1000))
    world.turn()
    assert world.messages == ["x"]
    assert events == ["connect", ("disconnect", 1000)]
