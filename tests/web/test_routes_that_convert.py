"""Every kind of route in Klein may convert: what it may do afterwards, and what its end and its failure mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from web.klein_routes import (
    each_program,
    end_route,
    in_a_branch,
    in_a_def,
    in_a_subroute,
    in_an_async_def,
    in_inline_callbacks,
    made,
    on_a_plating,
)
from web_fakes import Client, World, close_frame, failures_in, head, message, plain
from werkzeug.exceptions import Forbidden

from pode_signals.core.model import ClosedBy, Scope
from pode_signals.errors import UpgradeRefused
from pode_signals.hub.connection import SignalConnection


@each_program
def test_every_kind_of_route(kind: Callable[..., None], wrapped: bool) -> None:
    """S2.1: any kind of route converts; messages come and go while it runs and after it has ended."""
    world, client = made(kind, wrapped=wrapped)
    connection = world.converted[0]
    for text in ("while it runs", "after its end"):
        client.send(message(text))
        world.signals.send(text, name="Msg")
        connection.send(text)
        end_route(world)
    assert world.messages == ["while it runs", "after its end"]
    assert client.texts == ["while it runs"] * 2 + ["after its end"] * 2
    assert connection.is_global
    assert world.signals.count() == 1


@each_program
def test_connection_of(kind: Callable[..., None], wrapped: bool) -> None:
    """S2.5: after convert, connection_of(request) is that connection, also after a wait and after the route's end."""
    requests: list[Any] = []
    world = World(wrapped=wrapped)

    def convert(request: Any) -> SignalConnection:
        requests.append(request)
        assert world.signals.connection_of(request) is None
        connection = world.signals.convert(request, "Msg")
        assert world.signals.connection_of(request) is connection
        return connection

    def then(connection: SignalConnection) -> None:
        world.converted.append(connection)
        assert world.signals.connection_of(requests[0]) is connection

    kind(world, convert, then)
    with capturedLogs() as logged:
        client = world.client().send(head(world.path))
        world.turn(1)
        world.turn(1)
    assert failures_in(logged) == []
    assert client.answers[-1].status == 101
    assert world.signals.connection_of(requests[0]) is world.converted[0]


@each_program
def test_a_local_connection_closes_with_its_route(kind: Callable[..., None], wrapped: bool) -> None:
    """S3.2: it is closed with 1000 when the route ends, is in no registry, and its route sends to it."""
    world, client = made(kind, lambda connection: connection.send("end"), wrapped=wrapped, scope=Scope.LOCAL)
    connection = world.converted[0]
    assert connection.is_local
    assert world.signals.names() == ()
    assert world.signals.connection("Msg", "id-0") is None
    world.signals.send("for everybody", name="Msg")
    world.signals.close("Msg")
    end_route(world)
    world.turn()
    assert client.texts == ["end"]
    assert client.closed == (1000, "")
    client.send(close_frame())
    world.turn()
    assert client.wire.ended == "closed"
    assert connection.closure is not None
    assert (connection.closure.code, connection.closure.by) == (1000, ClosedBy.SERVER)


@each_program
@pytest.mark.parametrize("scope", Scope)
def test_a_route_that_raises(kind: Callable[..., None], scope: Scope, wrapped: bool) -> None:
    """S2.5: a route that raises after converting is logged; a global connection stays, a local one closes with 1011."""

    def then(connection: SignalConnection) -> None:
        raise RuntimeError("after the fact")

    with capturedLogs() as logged:
        world, client = made(kind, then, wrapped=wrapped, scope=scope)
        end_route(world)
        world.turn()
    assert [str(failure.value) for failure in failures_in(logged)] == ["after the fact"]
    assert b"fact" not in client.received
    if scope is Scope.LOCAL:
        assert client.closed == (1011, "")
    else:
        assert client.frames == []
        client.send(message("on"))
        assert world.messages == ["on"]


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])
@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("kind", [in_a_def, in_an_async_def])
def test_a_route_that_raises_an_http_exception(kind: Callable[..., None], scope: Scope, wrapped: bool) -> None:
    """S2.5: an HTTPException after converting is no answer any more: the same as any other exception."""

    def then(connection: SignalConnection) -> None:
        raise Forbidden("no")

    with capturedLogs() as logged:
        world, client = made(kind, then, wrapped=wrapped, scope=scope)
        end_route(world)
        world.turn()
    assert any("id-0" in str(event) for event in logged)
    assert client.closed == ((1011, "") if scope is Scope.LOCAL else None)


@pytest.mark.parametrize("kind", [in_an_async_def, in_inline_callbacks, in_a_subroute, in_a_branch, on_a_plating])
@pytest.mark.parametrize("leave", [Client.leave, Client.reset, lambda client: client.send(close_frame())])
def test_a_client_that_leaves_cancels_its_route(kind: Callable[..., None], leave: Callable[[Client], Any]) -> None:
    """S2.5: a client that goes away cancels a route that still runs, and nothing is logged about it."""
    went_on: list[SignalConnection] = []
    with capturedLogs() as logged:
        world, client = made(kind, went_on.append, scope=Scope.LOCAL)
        leave(client)
        world.turn(10)
    assert went_on == []
    assert failures_in(logged) == []


def test_a_route_that_does_not_let_itself_be_cancelled() -> None:
    """S2.5: a route may end what it has begun; its sends reach nobody then, least of all everybody."""
    world = World().converting("/other")
    other = world.client().open("/other")
    ended: list[Any] = []

    @world.app.route("/msg")
    async def route(request: Any) -> None:
        connection = world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        try:
            await Deferred()
        except CancelledError:
            await deferLater(world.clock, 1)
            ended.append(world.signals.send("private", name="Msg").recipients)
            ended.append(connection.send("private").recipients)

    client = world.client().open()
    client.leave()
    world.turn(1)
    assert ended == [0, 0]
    assert other.texts == []


def test_a_refusal_in_a_route_that_waited() -> None:
    """S2.2: a refusal after an await is rendered like any other, with keep-alive intact."""
    world = World()

    @world.app.route("/msg")
    async def route(request: Any) -> None:
        await deferLater(world.clock, 1)
        world.signals.convert(request, "Msg")

    client = world.client().send(head("/msg", ("Origin", "http://other.example")))
    world.turn(1)
    assert client.answers[-1].status == 403
    client.send(head())
    world.turn(1)
    assert client.answers[-1].status == 101


def test_a_route_that_goes_on_after_a_refusal() -> None:
    """S2.2: a route may catch the refusal and serve a page to browsers that only look."""
    world = World()

    @world.app.route("/msg")
    def route(request: Any) -> bytes:
        try:
            world.signals.convert(request, "Msg")
        except UpgradeRefused as refused:
            return f"{refused.code}: this is where the sockets are".encode()
        return b""

    client = world.client()
    assert client.ask(plain("/msg")).body == b"426: this is where the sockets are"
    client.open()
