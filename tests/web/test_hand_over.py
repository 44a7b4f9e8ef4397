"""The hand-over of a request's transport, point by point: bytes in flight, the channel it leaves, the 101, the end."""

from __future__ import annotations

import base64
import gc
import hashlib
import re
import weakref
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.web.http import HTTPChannel
from web_fakes import (
    ACCEPT,
    PING,
    PONG,
    Client,
    Frame,
    World,
    close_frame,
    failures_in,
    frame,
    head,
    message,
    plain,
)

from pode_signals.core.model import ClosedBy, Closure, Scope
from pode_signals.errors import PodeSignalsError
from pode_signals.hub.connection import ConnectionState
from pode_signals.signals import hub_of
from pode_signals.transports.websocket import SignalProtocol

pytestmark = pytest.mark.usefixtures("protocol")


def waiting_world(**arguments: Any) -> World:
    """A world whose ``/msg`` converts after a second."""
    world = World(message_burst=1_000).listening()

    @world.app.route("/msg")
    async def convert(request: Any) -> None:
        await deferLater(world.clock, 1)
        world.converted.append(world.signals.convert(request, "Msg", **arguments))

    @world.app.route("/ok")
    def ok(request: Any) -> bytes:
        return b"fine"

    return world


def route_world(route: Callable[[World, Any], Any], **settings: Any) -> World:
    """A world whose ``/msg`` does this."""
    world = World(**settings).listening()

    @world.app.route("/msg")
    def convert(request: Any) -> Any:
        return route(world, request)

    return world


# What a framework may still do to a converted request.


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


# Frames right behind the handshake.


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


# The channel that is left behind.


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


# Headers of the request.


@pytest.mark.parametrize("byte", [b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8"])
def test_no_header_is_made_of_a_value(byte: bytes) -> None:
    """S2.2: bytes that some parsers take for line ends are part of a value, and never make another header."""
    world = World().converting(subprotocols=("evil",))
    forged = b"a" + byte + b"Sec-WebSocket-Protocol: evil" + byte + b"Origin: http://other.example" + byte + b"X-B: c"
    answer = world.client().ask(head("/msg", ("X-A", forged)))
    assert answer.status == 101
    assert answer.value("Sec-WebSocket-Protocol") is None
    record = world.converted[0].request
    assert record.header("origin") is None
    assert sorted(record.headers) == ["host", "x-a"]
    assert world.converted[0].subprotocol is None


@pytest.mark.parametrize("key", [b"x3JJHMbDL1EzLkh9GBhXDw==", b"AAAAAAAAAAAAAAAAAAAAAA==", b"/////////////////////w=="])
def test_the_accept_header(key: bytes) -> None:
    """S2.3: the handshake is the client's own, whatever head Autobahn is shown."""
    answer = World().converting().client().ask(head("/msg", ("Sec-WebSocket-Key", key)))
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    assert answer.value("Sec-WebSocket-Accept") == base64.b64encode(digest).decode()


# The 101.


def test_the_101() -> None:
    """S2.3: it carries client id, name and group, and what the route had set, byte for byte."""

    def route(world: World, request: Any) -> None:
        request.setHeader(b"X-Latin", b"caf\xe9 \x80\xff")
        request.responseHeaders.setRawHeaders("X-Twice", ["one", "two, three"])
        request.setHeader("Server", "ours")
        request.addCookie("session", "a=b", httpOnly=True)
        request.addCookie(b"latin", b"\xe9")
        request.setHeader("Vary", "Origin")
        request.setHeader("Upgrade-Insecure", "kept")
        world.signals.convert(request, "Msg", group="Group", client_id="one")

    client = route_world(route).client().open()
    first, *lines = client.received.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert first == b"HTTP/1.1 101 Switching Protocols"
    assert len(lines) == len(set(lines))
    date = [line for line in lines if line.startswith(b"Date: ")]
    assert set(lines) - set(date) == {
        b"Upgrade: WebSocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + ACCEPT,
        b"X-PODE-SIGNAL-CLIENT-ID: one",
        b"X-PODE-SIGNAL-NAME: Msg",
        b"X-PODE-SIGNAL-GROUP: Group",
        b"X-Latin: caf\xe9 \x80\xff",
        b"X-Twice: one",
        b"X-Twice: two, three",
        b"Server: ours",
        b"Set-Cookie: session=a=b; HttpOnly",
        b"Set-Cookie: latin=\xe9",
        b"Vary: Origin",
        b"Upgrade-Insecure: kept",
    }


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "keep-alive",
        "Proxy-Authenticate",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Content-Type",
        "Content-Length",
        "content-encoding",
        "Content-Security-Policy",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "sec-websocket-foo",
        "X-Pode-Signal-Client-Id",
        "X-Pode-Signal-Name",
        "X-Pode-Signal-Group",
    ],
)
def test_headers_that_are_dropped(name: str) -> None:
    """S2.3: of the route's headers those of the hop, of the body, of the handshake and of ours are dropped."""

    def route(world: World, request: Any) -> None:
        request.setHeader(name, "from-the-route")
        world.signals.convert(request, "Msg")

    assert b"from-the-route" not in route_world(route).client().open().received


def test_no_group_no_header() -> None:
    """S2.3: without a group there is no header of one."""
    answer = World().converting().client().ask(head())
    assert answer.value("X-PODE-SIGNAL-GROUP") is None
    assert answer.value("X-PODE-SIGNAL-NAME") == "Msg"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda request: request.cookies.append(b"a=b\r\nX-Forged: 1"),
        lambda request: request.cookies.append(b"a=b\nX-Forged: 1"),
        lambda request: request.cookies.append(b"a=b\rX-Forged: 1"),
        lambda request: request.cookies.append(b"a=b\x00"),
        lambda request: request.setHeader(b"X-Bad", b"a\x00b"),
        lambda request: request.responseHeaders._rawHeaders.update({b"X-Bad": [b"a\r\nX-Forged: 1"]}),
        lambda request: request.responseHeaders._rawHeaders.update({b"X-Bad: 1\r\nX-Forged": [b"1"]}),
        lambda request: request.responseHeaders._rawHeaders.update({b"": [b"1"]}),
    ],
)
def test_a_header_that_cant_be_sent(spoil: Callable[[Any], None]) -> None:
    """S2.3: CR, LF or NUL in a header raise before anything is sent, and the socket goes on."""
    raised: list[str] = []

    def route(world: World, request: Any) -> bytes:
        spoil(request)
        with pytest.raises(ValueError, match="can't be sent") as caught:
            world.signals.convert(request, "Msg")
        raised.append(str(caught.value))
        request.cookies.clear()
        request.responseHeaders._rawHeaders.clear()
        world.signals.convert(request, "Msg")
        return b""

    world = route_world(route)
    client = world.client().open()
    assert len(raised) == 1
    assert b"Forged" not in client.received
    assert client.frames == []
    assert world.signals.counters.connections_opened == 1


@pytest.mark.parametrize(
    "text", ["Z\u00fcge", "100 %", "a, b", "%41", "\u65e5\u672c", " edge ", "\U0001f600", "a;b=c\"d'"]
)
def test_names_are_percent_encoded(text: str) -> None:
    """S2.3: what is not ASCII, % and , are percent-encoded in X-PODE-SIGNAL-*, so that it can be decoded again."""
    world = World().converting(name=text, group=text, client_id=text)
    answer = world.client().ask(head())
    for header in ("X-PODE-SIGNAL-NAME", "X-PODE-SIGNAL-GROUP", "X-PODE-SIGNAL-CLIENT-ID"):
        value = answer.value(header)
        assert value is not None
        assert re.fullmatch("[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", value)
        assert "," not in value
        assert unquote(value, errors="strict") == text
    assert world.signals.client_ids(text, text) == (text,)


def test_several_groups() -> None:
    """S2.3: several groups are one header with commas, each percent-encoded, in their order and each once."""
    groups = ["red", "a, b", "Z\u00fcge", "red", "100 %"]
    world = World().converting(group=groups)
    value = world.client().ask(head()).value("X-PODE-SIGNAL-GROUP")
    assert value == "red,a%2C b,Z%C3%BCge,100 %25"
    assert (
        [unquote(each) for each in value.split(",")] == list(world.converted[0].groups) == list(dict.fromkeys(groups))
    )
    assert world.converted[0].group == "red"
    assert set(world.signals.groups("Msg")) == set(groups)


@pytest.mark.parametrize("group", [[], (), set(), None])
def test_no_groups_no_header(group: Any) -> None:
    """S2.3: an empty list of groups is no group."""
    world = World().converting(group=group)
    assert world.client().ask(head()).value("X-PODE-SIGNAL-GROUP") is None
    assert (world.converted[0].group, world.converted[0].groups) == (None, ())


# Who the connection is.


def test_random_client_ids() -> None:
    """S2.4: a client id is a random version-4 UUID unless it is given."""
    world = World().converting()
    ids = {world.client().ask(head()).value("X-PODE-SIGNAL-CLIENT-ID") for _ in range(20)}
    assert len(ids) == 20
    assert all(str(UUID(each)) == each and UUID(each).version == 4 for each in ids)


@pytest.mark.parametrize("given", [None, "one", 4711])
def test_signed_client_ids(given: str | int | None) -> None:
    """S2.4: with signing on the id is signed either way, and the registry knows it as it was issued."""
    world = World().converting(client_id=given)
    world.signals.enable_signing("x" * 32)
    issued = unquote(world.client().ask(head()).value("X-PODE-SIGNAL-CLIENT-ID") or "")
    assert issued.startswith("s:" if given is None else f"s:{given}.")
    assert world.signals.is_client_id_valid(issued)
    assert world.signals.client_ids("Msg") == (issued,)
    assert world.converted[0].client_id == issued


def test_a_newcomer_replaces() -> None:
    """S2.4: a second connection with the same id replaces the first, which is closed with 4409, and leaves first."""
    world = World().converting(client_id="one").listening()
    order: list[tuple[str, bool]] = []
    world.signals.on_connect("Msg")(lambda event: order.append(("connect", event.connection is world.converted[0])))
    world.signals.on_disconnect("Msg")(
        lambda event: order.append(("disconnect", event.connection is world.converted[0]))
    )
    first, second = world.client().open(), world.client().open()
    assert first.closed is not None
    assert first.closed[0] == 4409
    assert second.frames == []
    first.send(message("late"), close_frame(4409))
    world.turn()
    assert world.messages == []
    assert first.wire.ended == "closed"
    assert world.signals.connections("Msg") == (world.converted[1],)
    assert order == [("connect", True), ("connect", False), ("disconnect", True)]
    world.signals.send("for the second", name="Msg", client_id="one")
    assert second.texts == ["for the second"]


@pytest.mark.parametrize("how", ["leave", "reset"])
def test_a_late_end_evicts_nobody(how: str) -> None:
    """S2.4: removal is by identity."""
    world = World().converting(client_id="one")
    first = world.client().open()
    world.client().open()
    getattr(first, how)()
    assert world.signals.connections("Msg") == (world.converted[1],)
    world.turn(10)
    assert world.signals.connections("Msg") == (world.converted[1],)


def test_one_id_in_two_names() -> None:
    """S2.4: an id belongs to its name, and local connections are in nobody's way."""
    world = World(duplicate_client_id="refuse")
    world.converting(client_id="one").converting("/other", "Other", client_id="one")
    world.converting("/local", "Msg", client_id="one", scope=Scope.LOCAL)
    for path in ("/msg", "/other", "/local"):
        world.client().open(path)
    assert world.client().ask(head()).status == 409


def test_a_refused_duplicate() -> None:
    """S2.4: with duplicate_client_id="refuse" the newcomer gets 409, and the first does not notice."""
    world = World(duplicate_client_id="refuse").converting(client_id="one")
    first = world.client().open()
    assert world.client().ask(head()).status == 409
    assert first.frames == []
    assert world.signals.count() == 1


# The access log.


@pytest.mark.parametrize("scope", Scope)
def test_the_access_log(scope: Scope) -> None:
    """S2.6: one line, with 101 and without the query, whatever the route returns and however the connection ends."""

    def route(world: World, request: Any) -> str:
        world.signals.convert(request, "Msg", scope=scope)
        assert request.uri == b"/msg?token=secret&a=/b"
        return "discarded"

    world = route_world(route)
    client = world.client().open("/msg?token=secret&a=/b", ("Referer", "http://example.com/"), ("User-Agent", "agent"))
    client.reset()
    world.turn(10)
    (line,) = world.access_lines
    assert '"GET /msg HTTP/1.1" 101 - "http://example.com/" "agent"' in line
    assert "secret" not in line


def test_the_access_log_of_a_failing_route() -> None:
    """S2.6: a route that raises after the 101 adds no line."""

    def route(world: World, request: Any) -> None:
        world.signals.convert(request, "Msg")
        raise RuntimeError("after the fact")

    world = route_world(route)
    world.client().open()
    assert [line.split('"')[4].strip()[:3] for line in world.access_lines] == ["101"]


def test_an_access_log_that_raises() -> None:
    """S2.6: a log formatter that raises does so before the transport is touched, and the socket goes on."""
    world = World().converting()
    client = world.client()

    def broken(timestamp: str, request: Any) -> str:
        world.site._logFormatter = formatter
        raise ZeroDivisionError

    formatter, world.site._logFormatter = world.site._logFormatter, broken
    with capturedLogs() as logged:
        answer = client.ask(head())
    assert answer.status == 500
    assert [type(failure.value) for failure in failures_in(logged)] == [ZeroDivisionError]
    assert world.signals.counters.connections_opened == 0
    assert client.ask(plain("/ok")).body == b"fine"
    client.open()
    assert world.signals.counters.connections_opened == 1


# The end.


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
        watched.extend(map(weakref.ref, (request, channel, connection, connection._link._transport)))
        return Deferred()

    world = route_world(route)
    world.signals.on_connect("Msg")(lambda event: None)
    world.signals.on_disconnect("Msg")(lambda event: None)
    client = world.client().open()
    client.send(message("hello"))
    end(world, client)
    _release(world, client)
    gc.collect()
    assert [each() for each in watched] == [None] * 4
    assert world.signals.names() == ()
    assert not hub_of(world.signals).capacity._by_address


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


# What should not happen.


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

    world = route_world(route, compression=True)
    world.signals.on_connect("Msg")(events.append)
    world.signals.on_disconnect("Msg")(events.append)
    with monkeypatch.context() as patched:
        patched.setattr(SignalProtocol, "onConnect", refuse)
        client = world.client().send(head("/msg", ("Sec-WebSocket-Extensions", "permessage-deflate")))
        world.turn(10)
    assert client.wire.ended == "aborted"
    assert len(raised) == 1
    assert events == []
    assert world.signals.open_connections() == ()
    assert not hub_of(world.signals).capacity._by_address
    assert world.signals.counters.connections_closed == {}


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
