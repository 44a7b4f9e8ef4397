"""Streams of server-sent events through the routes of an application: who may open one, how it goes on, and its end."""

from __future__ import annotations

import json

import pytest
from event_clients import Listener, asked, events_world
from twisted.logger import capturedLogs, formatEvent
from web_fakes import Answer, World, plain

from pode_signals.testing.handshake import read_answer

ACCEPT = ("Accept", "text/event-stream")
SIGNALS = ("Accept", "text/event-stream;protocol=pode.signals.v1")


def logged(**settings: object) -> World:
    """A world with ``/room``, which keeps a history."""
    world = events_world(**{"ping_interval_seconds": 10_000, **settings})
    world.signals.keep_history("Room")
    return world


def wait(world: World, seconds: int) -> None:
    """Let time pass, a second at a time."""
    for _ in range(seconds):
        world.clock.advance(1)


def refused(world: World, *headers: tuple[str, str], method: bytes = b"GET") -> Answer:
    """The answer to a request that becomes no connection."""
    before = len(world.converted)
    found = asked(world, plain("/room", *headers, method=method))
    assert len(world.converted) == before
    return found


class TestOpening:
    """Which requests become a stream."""

    def test_signals_form(self) -> None:
        """P90: a stream of the protocol begins with hello, and each frame is one unnamed event with its id."""
        world = logged()
        listener = Listener(world)
        answer = listener.answer
        assert answer.value("Content-Type") == "text/event-stream; charset=utf-8"
        assert answer.value("Cache-Control") == "no-store, no-transform"
        assert answer.value("X-Accel-Buffering") == "no"
        assert answer.value("X-PODE-SIGNAL-CLIENT-ID") == listener.hello["clientId"]
        world.signals.send({"a": 1}, name="Room")
        world.turn()
        hello, signal = listener.events
        assert hello.type == signal.type == "message"
        assert listener.frames[1]["data"] == {"a": 1}
        assert signal.id == f"{listener.hello['epoch']}.{listener.frames[1]['offset']}"
        assert (listener.connection.transport, listener.connection.is_signals) == ("sse", True)

    def test_plain_form(self) -> None:
        """P90: an EventSource gets bare payloads with ids, a hello by name and without a token, and what it missed."""
        world = logged()
        listener = Listener(world, stock=True)
        world.signals.send("one\ntwo", name="Room")
        world.turn()
        retry, hello, signal = listener.stream.split(b"\n\n")[:3]
        assert 1_000 <= int(retry.removeprefix(b"retry: ")) <= 10_000
        assert hello.startswith(b"event: hello\n")
        assert "resumeToken" not in listener.hello
        assert signal.endswith(b"data: one\ndata: two")
        assert listener.texts == ["one\ntwo"]
        assert listener.connection.is_signals is False
        listener.client.leave()
        world.signals.send("three", name="Room")
        again = listener.again()
        world.turn()
        assert again.hello["recovered"] is True
        assert again.texts == ["three"]
        # The beat behind is an id alone.
        assert again.events[-1].data is None
        assert again.events[-1].id == again.events[-2].id

    @pytest.mark.parametrize(
        ("method", "headers", "status"),
        [
            (b"GET", [SIGNALS], 400),
            (b"GET", [("Accept", "text/event-stream;protocol=pode.signals.v2"), ("X-PODE-SIGNAL-RESUME", "-")], 406),
            (b"HEAD", [ACCEPT], 405),
            (b"GET", [("Accept", "text/html")], 426),
            (b"GET", [ACCEPT, ("Origin", "https://elsewhere.example")], 403),
            (b"GET", [ACCEPT, ("Origin", "nonsense")], 400),
            (b"GET", [ACCEPT, ("Sec-Fetch-Site", "cross-site")], 403),
            (b"GET", [ACCEPT, ("Sec-Fetch-Site", "same-site")], 403),
        ],
    )
    def test_refused(self, method: bytes, headers: list[tuple[str, str]], status: int) -> None:
        """P91: other requests are refused, with the status that says why, and become no connection."""
        assert refused(logged(), *headers, method=method).status == status

    @pytest.mark.parametrize("site", ["same-origin", "none", None])
    def test_own_pages(self, site: str | None) -> None:
        """P91: without an Origin a page of the same origin may open a stream, and a client that is no browser."""
        world = logged()
        own = [] if site is None else [("Sec-Fetch-Site", site)]
        answer = asked(world, plain("/room", SIGNALS, ("X-PODE-SIGNAL-RESUME", "-"), *own))
        assert answer.status == 200
        assert len(world.converted) == 1

    def test_through_a_proxy(self) -> None:
        """P91: through a trusted proxy a page of plain HTTP, which says nothing of its origin, needs the own header."""
        own = (SIGNALS, ("X-PODE-SIGNAL-RESUME", "-"))
        world = logged(trusted_proxies=["203.0.113.7"])
        assert asked(world, plain("/room", *own)).status == 200
        assert refused(world, ACCEPT).status == 403
        strict = logged(trusted_proxies=["203.0.113.7"], allow_missing_origin=False)
        assert refused(strict, *own).status == 403

    @pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
    def test_not_allowed(self, version: bytes) -> None:
        """S16: without ``allow_sse`` a request for a stream gets 426, and answer and log name that setting."""
        world = logged(allow_sse=False)
        with capturedLogs() as lines:
            answer = asked(world, plain("/room", ACCEPT).replace(b"HTTP/1.1", version))
        said = "This route takes WebSockets alone, since allow_sse is False."
        assert (answer.status, answer.body.decode()) == (426, f"{said}\n")
        assert answer.value("Upgrade") == "websocket"
        (line,) = [formatEvent(each) for each in lines if "with 426" in formatEvent(each)]
        hint = "the client asks for server-sent events, which allow_sse=True allows"
        assert line == f"refused a request for /room with 426: {said} ({hint})"

    @pytest.mark.parametrize(
        ("method", "headers", "status"),
        [(b"HEAD", [ACCEPT], 405), (b"GET", [ACCEPT, ("Upgrade", "websocket")], 426), (b"GET", [], 426)],
    )
    def test_nothing_about_streams(self, method: bytes, headers: list[tuple[str, str]], status: int) -> None:
        """S16: what is no request for a stream is refused without a word about streams."""
        answer = refused(logged(allow_sse=False), *headers, method=method)
        assert answer.status == status
        assert b"allow_sse" not in answer.body

    def test_a_second_connection_takes_the_place(self) -> None:
        """P50: a client that comes back replaces its half-open stream, which ends with 4409."""
        old = Listener(logged())
        new = old.again()
        assert new.hello["recovered"] is True
        assert new.hello["clientId"] == old.hello["clientId"]
        assert old.closed == (4409, "replaced by a newer connection")


class TestLife:
    """How a stream goes on, and ends."""

    def test_rotation(self) -> None:
        """S16: a stream is ended after 600 seconds, a tenth more or less, with a code that brings its client back."""
        world = logged(ping_interval_seconds=25)
        listener = Listener(world)
        wait(world, 535)
        assert listener.is_open
        wait(world, 130)
        assert listener.closed == (1001, "the stream was rotated")
        assert listener.client.wire.ended == "closed"

    def test_beats(self) -> None:
        """P63: something comes each ``ping_interval_seconds``, and nobody waits for a pong."""
        world = logged(ping_interval_seconds=25, pong_timeout_seconds=5)
        listener, stock = Listener(world), Listener(world, stock=True)
        wait(world, 60)
        assert [each["type"] for each in listener.frames] == ["hello", "beat", "beat"]
        assert [each.data for each in stock.events[2:]] == [None, None]
        assert listener.is_open
        assert stock.is_open

    def test_slow(self) -> None:
        """P55: a stream that is not read ends with 4008 once its queue is full; other streams get everything."""
        world = logged(send_queue_bytes=5_000)
        slow, good = Listener(world), Listener(world)
        slow.client.wire.producer.pauseProducing()
        for number in range(100):
            world.signals.send("x" * 100 + str(number), name="Room")
            world.turn()
        assert slow.connection.closure is not None
        assert slow.connection.closure.code == 4008
        assert len(good.frames) == 101

    def test_gone(self) -> None:
        """S16: a client that goes away without a word has ended with 1006."""
        world = logged()
        listener = Listener(world)
        listener.client.leave()
        world.turn()
        assert listener.connection.closure is not None
        assert listener.connection.closure.code == 1006

    def test_the_end(self) -> None:
        """S16: DELETE with the token ends the stream, and tells the program that the client meant it."""
        listener = Listener(logged())
        assert listener.leaves().status == 204
        closure = listener.connection.closure
        assert closure is not None
        assert (closure.code, closure.by.value) == (1000, "client")
        assert listener.closed == (1000, "")
        assert listener.leaves().status == 410


def test_the_kit() -> None:
    """P90: the kit reads an answer whose body goes on as an open stream."""
    found = read_answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: 1\n\n")
    assert found is not None
    assert (found.is_open, found.rest) == (True, b"data: 1\n\n")
    page = read_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + json.dumps(1).encode())
    assert page is not None
    assert page.is_open is False
