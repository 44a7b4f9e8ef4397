"""The fast protocol beside the plain one: whatever a client sends, cut anywhere, nobody can tell them apart."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from client_frames import any_frame
from fakes import link_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from web_fakes import CLOSE, CONTINUATION, PING, PONG, World, close_frame, failures_in, frame, head, message

from pode_signals.core.environment import FAST
from pode_signals.fast.websocket import FastProtocol
from pode_signals.transports.websocket import SignalProtocol

pytestmark = pytest.mark.skipif(not FAST, reason="PODE_SIGNALS_FAST is off: there is one protocol")


def outcome(chunks: list[bytes], *, fast: bool, extension: str = "", **options: Any) -> tuple[Any, ...]:
    """What a server makes of a client's chunks, and what the client gets."""
    with capturedLogs() as logged:
        world = World(
            **{"max_message_bytes": 150, "compression": bool(extension), "random": Random(7), "fast": fast, **options}
        ).converting()

        def route(event: Any) -> None:
            world.messages.append(event.data.message)
            if event.data.message == "close":
                event.connection.close(4000, "asked")
            elif event.data.message == "abort":
                link_of(event.connection).abort()
            elif event.data.message == "raise":
                raise ValueError
            elif event.data.message == "send":
                event.connection.send("an answer")

        world.signals.add_route("/msg", route)
        more = [("Sec-WebSocket-Extensions", extension)] if extension else []
        client = world.client().open("/msg", *more)
        connection = world.converted[0]
        for chunk in chunks:
            if client.wire.protocol is not None:
                client.send(chunk)
        state = connection.state.value, link_of(connection).pulse.message_due is None
        world.turn()
        world.turn(60)
        counters = world.signals.counters
        counted = (
            counters.messages_received,
            counters.messages_bad,
            dict(counters.limits_hit),
            counters.callbacks_failed,
        )
        raised = [type(each.value) for each in failures_in(logged)]
        got = client.received.partition(b"\r\n\r\n")[2]
    return world.messages, got, client.wire.ended, connection.closure, state, counted, raised


SPECIAL = st.sampled_from(
    [
        *(message(text) for text in ("close", "abort", "raise", "send", "ä😀")),
        close_frame(1000, "bye"),
        close_frame(None),
        frame(b"\x03", CLOSE),
        frame(b"ping", PING),
        frame(b"pong", PONG),
        frame('{"message":', fin=False) + frame('"fragments"}', CONTINUATION),
        frame('{"message":', fin=False) + frame(b"in between", PING) + frame("1}", CONTINUATION),
        frame("{", fin=False),
        frame("not json"),
        frame(""),
        frame("x" * 151),
        frame(b'{"message":"\xff"}'),
    ]
)
MESSAGES = st.integers(0, 99).map(message)


@st.composite
def chunked(draw: st.DrawFn) -> list[bytes]:
    """A client's frames, cut anywhere."""
    parts = draw(st.lists(MESSAGES | MESSAGES | SPECIAL | any_frame(), min_size=1, max_size=8))
    stream = b"".join(parts)
    borders = [len(b"".join(parts[:number])) for number in range(len(parts))]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)) | st.sampled_from(borders), max_size=5)))
    return [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True) if start < stop]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(chunked(), st.sampled_from(["", "permessage-deflate"]))
def test_both_protocols_agree(chunks: list[bytes], extension: str) -> None:
    """S5.8: any stream in any chunks gives the same messages, bytes, close code, counts and logs with both."""
    assert outcome(chunks, fast=True, extension=extension) == outcome(chunks, fast=False, extension=extension)


def test_two_protocols_are_compared() -> None:
    """S16.8: the setting ``fast`` decides which protocol serves, so that the tests here compare two."""
    served = [World(fast=fast).converting().client().open().wire.producer for fast in (True, False)]
    assert isinstance(served[0], FastProtocol)
    assert type(served[1]) is SignalProtocol


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from([None, "graph", "none, chat", "none"]),
    st.lists(st.tuples(st.sampled_from(["X-A", "Set-Cookie", "Vary"]), st.binary(max_size=6)), max_size=3),
)
def test_both_handshakes_agree(offered: str | None, headers: list[tuple[str, bytes]]) -> None:
    """S2.3: a client gets the same 101, byte for byte, whatever the route sets and the client offers."""
    headers = [(name, value.translate(None, b"\r\n\0")) for name, value in headers]
    answers = []
    for fast in (True, False):
        world = World(fast=fast)

        @world.app.route("/msg")
        def convert(request: Any, world: World = world) -> None:
            for name, value in headers:
                request.responseHeaders.addRawHeader(name.encode(), value)
            request.setHeader("Date", "Mon, 23 Nov 2026 00:00:00 GMT")
            subprotocols = ("chat", "graph")
            connection = world.signals.convert(request, "M", group="G", client_id="me", subprotocols=subprotocols)
            world.converted.append(connection)

        more = () if offered is None else (("Sec-WebSocket-Protocol", offered),)
        client = world.client()
        client.send(head("/msg", *more) + frame(b"well?", PING))
        world.turn()
        world.converted[0].send("text")
        answers.append((client.received, world.converted[0].subprotocol))
    assert answers[0] == answers[1]
    assert answers[0][0].startswith(b"HTTP/1.1 101 ")
    assert answers[0][0].endswith(b"\x8a\x05well?\x81\x04text")
