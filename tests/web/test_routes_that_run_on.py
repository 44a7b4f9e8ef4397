"""What a route, or its framework, still does to a request that was converted, and what it hears of the client."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from web_fakes import Client, World, close_frame, failures_in, message, route_world

from pode_signals.core.model import Scope
from pode_signals.hub.connection import ConnectionState

pytestmark = pytest.mark.usefixtures("protocol")


def test_the_channel_of_a_converted_request() -> None:
    """S2.5: nothing is written of an answer, a producer is told to stop, and an end that comes again is none."""
    stopped: list[str] = []

    class Producer:
        def stopProducing(self) -> None:
            stopped.append("stopped")

    discarded: list[int] = []
    states: list[ConnectionState] = []

    def route(world: World, request: Any) -> None:
        connection = world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        channel = request.channel  # the request forgets it at its end
        with capturedLogs() as logs:
            channel.write(b"")
            channel.writeSequence([b"", b""])
            channel.writeSequence([b"a", b"bc"])
        discarded.extend(event["size_bytes"] for event in logs)
        states.append(connection.state)
        channel.registerProducer(Producer(), True)
        states.append(connection.state)
        channel.registerProducer(Producer(), True)
        channel.requestDone(request)
        states.append(connection.state)

    with capturedLogs() as logs:
        client = route_world(route).client().open()
    assert failures_in(logs) == []
    assert (discarded, stopped) == ([3], ["stopped", "stopped"])
    assert states == [ConnectionState.OPEN, ConnectionState.CLOSING, ConnectionState.CLOSING]
    assert client.closed == (1000, "")


def test_no_idle_timeout_while_the_route_runs_on() -> None:
    """S2.5: neither while the route runs, nor when it ends after a long time."""
    end: Deferred[None] = Deferred()

    def route(world: World, request: Any) -> Deferred[None]:
        world.signals.convert(request, "Msg")
        return end

    world = route_world(route)
    client = world.client().open()
    world.turn(1_000)
    end.callback(None)
    world.turn(1_000)
    assert client.wire.ended is None


class Pull:
    """A producer of an endless response."""

    def __init__(self) -> None:
        self.stopped = 0

    def resumeProducing(self) -> None:
        raise AssertionError("nobody wants this")

    pauseProducing = resumeProducing

    def stopProducing(self) -> None:
        self.stopped += 1


@pytest.mark.parametrize("streaming", [False, True])
def test_what_the_route_writes_is_swallowed(streaming: bool) -> None:
    """S2.5: whatever the route still does to the request, nothing of it reaches the wire or harms the connection."""
    producer = Pull()

    def route(world: World, request: Any) -> str:
        world.converted.append(world.signals.convert(request, "Msg"))
        assert request.startedWriting
        request.setHeader("X-Late", "1")
        request.addCookie("late", "1")
        request.setResponseCode(200)
        request.write(b"body")
        request.channel.write(b"body")
        request.channel.writeSequence([b"body", b"body"])
        request.channel.writeHeaders(b"HTTP/1.1", b"200", b"OK", [])
        request.channel.loseConnection()
        request.channel.abortConnection()
        request.loseConnection()
        assert request.getClientAddress().host == "203.0.113.7"
        assert request.channel.getPeer().host == "203.0.113.7"
        assert request.channel.getHost().port == 8091
        assert not request.isSecure()
        request.registerProducer(producer, streaming)
        return "body"

    world = route_world(route)
    with capturedLogs() as logged:
        client = world.client().open()
    assert client.frames == []
    assert failures_in(logged) == []
    assert producer.stopped == 1
    assert client.wire.ended is None
    world.converted[0].send("intact")
    client.send(message("intact"))
    assert client.texts == ["intact"]
    assert world.messages == ["intact"]


def test_a_producer_means_the_end_of_the_route() -> None:
    """S3.2: a route that leaves the end of its response to a producer has ended, for that would never end it."""

    def route(world: World, request: Any) -> Deferred[None]:
        world.signals.convert(request, "Msg", scope=Scope.LOCAL)
        request.registerProducer(Pull(), True)
        return Deferred()

    assert route_world(route).client().open().closed == (1000, "")


def test_notify_finish_cancels_the_route() -> None:
    """S2.5: a client that goes away, by a close frame or without one, cancels a route that still runs."""
    for leave in (Client.leave, Client.reset, lambda client: client.send(close_frame())):
        cancelled: list[Deferred[None]] = []

        def route(world: World, request: Any, into: list[Deferred[None]] = cancelled) -> Deferred[None]:
            world.signals.convert(request, "Msg")
            return Deferred(into.append)

        world = route_world(route)
        client = world.client().open()
        assert cancelled == []
        with capturedLogs() as logged:
            leave(client)
            world.turn()
        assert len(cancelled) == 1
        assert failures_in(logged) == []


def test_notify_finish_of_a_route_that_ended() -> None:
    """S2.5: notifyFinish fires without an error when the route ends before its client."""
    finished: list[Any] = []

    def route(world: World, request: Any) -> None:
        world.signals.convert(request, "Msg")
        request.notifyFinish().addBoth(finished.append)

    client = route_world(route).client().open()
    assert finished == [None]
    client.leave()
    assert finished == [None]
