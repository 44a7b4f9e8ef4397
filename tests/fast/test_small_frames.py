"""Small frames, read without Autobahn: whatever a client sends, nobody can tell which way was taken."""

from __future__ import annotations

from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from web_fakes import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    Client,
    World,
    close_frame,
    failures_in,
    frame,
    head,
    message,
)

from pode_signals.fast.shortcuts import unmasked_text, unmasked_texts
from pode_signals.hub.dispatch import Dispatch
from pode_signals.transports import websocket as protocol_module
from pode_signals.transports.websocket import SignalProtocol

BOTH_WAYS = pytest.mark.parametrize("quick", [True, False], ids=["quick", "autobahn"])


# A reader that knows nothing but the RFC.


def reference(data: bytes, max_bytes: int) -> tuple[list[bytes], int]:
    """The texts at the start of data, byte by byte, as long as there is nothing that Autobahn should see."""
    found, at = [], 0
    while (one := one_text(data[at:], max_bytes)) is not None:
        payload, size = one
        found.append(payload)
        at += size
    return found, at


def one_text(data: bytes, max_bytes: int) -> tuple[bytes, int] | None:
    """One text and the size of its frame; None where there is none."""
    if len(data) < 2 or data[0] != 0b1000_0001 or not data[1] & 0b1000_0000:
        return None
    size, at = data[1] & 0b0111_1111, 2
    if size == 127:
        return None
    if size == 126:
        size, at = int.from_bytes(data[2:4], "big"), 4
        if size < 126:
            return None
    mask, masked = data[at : at + 4], data[at + 4 : at + 4 + size]
    if len(mask) < 4 or len(masked) < size or size > max_bytes:
        return None
    payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
    try:
        payload.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return None
    return payload, at + 4 + size


@st.composite
def any_frame(draw: st.DrawFn) -> bytes:
    """A frame, mostly a good text; each of its parts may be odd."""
    odd = draw(st.sampled_from(["", "", "", "", "", "", "fin", "rsv", "opcode", "mask", "length", "bytes"]))
    first = 0x81
    if odd == "fin":
        first = draw(st.sampled_from([0x01, 0x80, 0x00]))
    elif odd == "rsv":
        first |= draw(st.sampled_from([0x40, 0x20, 0x10, 0x70]))
    elif odd == "opcode":
        first = 0x80 | draw(st.integers(0, 15))
    text = draw(st.text(max_size=8)).encode() * draw(st.sampled_from([1, 1, 1, 20, 40]))
    payload = draw(st.binary(max_size=130)) if odd == "bytes" else text
    mask = draw(
        st.sampled_from([b"\0\0\0\0", b"\x11\x22\x33\x44", b"\xff\xfe\xfd\xfc"]) | st.binary(min_size=4, max_size=4)
    )
    size = len(payload)
    form = 0 if size < 126 else 2
    if odd == "length":
        form = draw(st.sampled_from([2, 8]))
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    mask_bit = 0x80
    if odd == "mask":
        mask_bit, mask, masked = 0, b"", payload
    length = bytes((mask_bit | {0: size, 2: 126, 8: 127}[form],)) + (size.to_bytes(form, "big") if form else b"")
    return bytes((first,)) + length + mask + masked


STREAMS = st.lists(any_frame(), max_size=6).map(b"".join)


@settings(deadline=None)  # a slow machine is no failure
@given(STREAMS, st.integers(0, 40), st.sampled_from([0, 5, 125, 126, 200, 65_536]))
def test_what_is_read_is_what_the_rfc_says(stream: bytes, cut: int, max_bytes: int) -> None:
    """S5.1: the texts at the start of any stream, cut anywhere, are those that a plain reader finds; no byte more."""
    data = stream[: max(0, len(stream) - cut)]
    assert unmasked_texts(data, max_bytes) == reference(data, max_bytes)


@settings(deadline=None)  # a slow machine is no failure
@given(st.binary(max_size=40), st.integers(0, 200))
def test_any_bytes(data: bytes, max_bytes: int) -> None:
    """S16.8: no bytes of a client raise."""
    for stream in (data, b"\x81" + data, b"\x81\xfe" + data, b"\x81\x85" + data):
        assert unmasked_texts(stream, max_bytes) == reference(stream, max_bytes)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535])
def test_sizes(size: int) -> None:
    """S5.1: each way in which a length up to 65,535 is written is read; one byte less than a frame is none."""
    whole = frame(b"x" * size)
    assert unmasked_texts(whole, 65_535) == ([b"x" * size], len(whole))
    assert unmasked_texts(whole[:-1], 65_535) == ([], 0)
    assert unmasked_texts(whole + b"\x81", 65_535) == ([b"x" * size], len(whole))


NO_WHOLE_TEXT = [
    frame(b"x", masked=False),
    frame(b"x", rsv=4),
    frame(b"x", fin=False),
    frame(b"x", BINARY),
    frame(b"x", CONTINUATION),
    frame(b"x", PING),
    frame(b"x", PONG),
    close_frame(),
    frame(b"\xff"),
    frame(b"\xed\xa0\x80"),
    frame(b"\xf4\x90\x80\x80"),
    frame(b"\xe2\x82"),
    b"\x81\xfe\x00\x01\0\0\0\0x",
    b"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x01\0\0\0\0x",
]


@pytest.mark.parametrize(
    "left",
    [*NO_WHOLE_TEXT, frame(b"x" * 65_536), frame(b"x" * 101), b"\x81\xfe\x00\x7d\0\0\0\0" + b"x" * 125],
)
def test_what_is_left_to_autobahn(left: bytes) -> None:
    """S5.8: whatever is no small whole text is left where it is, and so is what follows."""
    before, behind = frame(b"before"), frame(b"behind")
    assert unmasked_texts(before + left + behind, 100) == ([b"before"], len(before))


# One small frame, which is what most reads are.


def whole(data: bytes, max_bytes: int) -> bytes | None:
    """What the other two readers say of one whole small text, both the same."""
    found, size = reference(data, max_bytes)
    assert unmasked_texts(data, max_bytes) == (found, size)
    return found[0] if len(found) == 1 and size == len(data) and len(found[0]) < 126 else None


@settings(deadline=None)  # a slow machine is no failure
@given(STREAMS, st.integers(0, 40), st.sampled_from([0, 5, 125, 126, 200, 65_536]))
def test_one_text_of_any_stream(stream: bytes, cut: int, max_bytes: int) -> None:
    """S5.1: one whole small text is found where, and only where, the plain reader finds just that."""
    data = stream[: max(0, len(stream) - cut)]
    assert unmasked_text(data, max_bytes) == whole(data, max_bytes)


@settings(deadline=None)  # a slow machine is no failure
@given(any_frame(), st.binary(max_size=2), st.integers(0, 130))
def test_one_frame_and_what_follows(one: bytes, behind: bytes, max_bytes: int) -> None:
    """S5.1: each part of a frame may be odd, and a byte may follow: whoever reads it comes to the same."""
    for data in (one, one + behind, one[:-1]):
        assert unmasked_text(data, max_bytes) == whole(data, max_bytes)


@settings(deadline=None)  # a slow machine is no failure
@given(st.binary(max_size=140), st.integers(0, 200))
def test_any_bytes_as_one_text(data: bytes, max_bytes: int) -> None:
    """S16.8: no bytes of a client raise."""
    length = bytes((0x80 | min(127, max(0, len(data) - 4)),))
    for stream in (data, b"\x81" + data, b"\x81" + length + data):
        assert unmasked_text(stream, max_bytes) == whole(stream, max_bytes)


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\x11\x22\x33\x44", b"\xff\xff\xff\xff"])
def test_each_size_of_one_text(mask: bytes) -> None:
    """S5.1: each size up to 125 bytes is read, whatever its mask; a byte more or less, or a larger one, is not."""
    for size in range(131):
        payload = bytes(97 + place % 26 for place in range(size))
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        one = b"\x81" + length + mask + masked
        assert unmasked_text(one, 1_000) == (payload if size < 126 else None)
        assert unmasked_text(one, size) == (payload if size < 126 else None)
        assert [unmasked_text(each, 1_000) for each in (one[:-1], one + b"\x81", one + one)] == [None] * 3
        if size:
            assert unmasked_text(one, size - 1) is None


@pytest.mark.parametrize(
    "left",
    [
        *NO_WHOLE_TEXT,
        b"",
        b"\x81",
        b"\x81\x80\0\0\0",
        b"\x81\x05hello",
        b"\x81\x05" + b"\0\0\0\0" + b"hello",
        frame(b"x", rsv=1),
        frame(b"\xc0\x80"),
        b"\x81\xfe\x00\x7e\0\0\0\0" + b"x" * 124,
    ],
)
def test_what_is_no_small_text(left: bytes) -> None:
    """S5.8: whatever is no whole small text in UTF-8 is left to those who judge it."""
    assert unmasked_text(left, 1_000) is None
    assert whole(left, 1_000) is None


# Both ways, in memory.


def outcome(chunks: list[bytes], *, quick: bool, extension: str = "", **options: Any) -> tuple[Any, ...]:
    """What a server makes of a client's chunks, and what the client gets."""
    with patch.object(protocol_module, "QUICK_FRAMES", quick), capturedLogs() as logged:
        world = World(
            **{"max_message_bytes": 150, "compression": bool(extension), "random": Random(7), **options}
        ).converting()

        def route(event: Any) -> None:
            world.messages.append(event.data.message)
            if event.data.message == "close":
                event.connection.close(4000, "asked")
            elif event.data.message == "abort":
                event.connection._link.abort()
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
        state = connection.state.value, connection._link.pulse.message_due is None
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
        return world.messages, client.frames, client.wire.ended, connection.closure, state, counted, raised


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
def test_both_ways_agree(chunks: list[bytes], extension: str) -> None:
    """S5.8: any stream in any chunks gives the same messages, frames, close code, counts and logs both ways."""
    assert outcome(chunks, quick=True, extension=extension) == outcome(chunks, quick=False, extension=extension)


def opened(quick: bool, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[World, Client]:
    """A world with one open connection."""
    monkeypatch.setattr(protocol_module, "QUICK_FRAMES", quick)
    world = World(**options).converting().listening()
    return world, world.client().open()


def test_the_shorter_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.1: texts behind each other in one read come past Autobahn, up to what is none: so the test above compares."""
    world, client = opened(True, monkeypatch)
    autobahn: list[bytes] = []
    monkeypatch.setattr(SignalProtocol, "_dataReceived", lambda _self, data: autobahn.append(data))
    client.send(message(1) + message(2), message(3) + frame(b"", PING) + message(4))
    assert world.messages == [1, 2, 3]
    assert autobahn == [frame(b"", PING) + message(4)]


@BOTH_WAYS
def test_a_close_frame_behind_texts(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: texts in front of a close frame are handled, and what follows it is not."""
    world, client = opened(quick, monkeypatch)
    client.send(message(1) + message(2) + close_frame(1000, "bye") + message(3))
    assert world.messages == [1, 2]
    assert client.closed == (1000, "bye")
    assert client.wire.ended == "closed"


@BOTH_WAYS
def test_closing_between_two_texts_of_one_read(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: what a client sent behind the message upon which it is closed is not handled; its close frame is seen."""
    world, client = opened(quick, monkeypatch)
    world.signals.clear_routes()
    world.signals.add_route(
        "/msg", lambda event: (world.messages.append(event.data.message), event.connection.close(4000))
    )
    client.send(message(1) + message(2) + frame(b"ping", PING) + message(3) + close_frame(4000))
    assert world.messages == [1]
    assert client.closed == (4000, "")
    world.turn()
    assert client.wire.ended == "closed"
    assert world.converted[0].state.value == "closed"


@BOTH_WAYS
def test_aborting_between_two_texts_of_one_read(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: nothing is handled behind the message upon which the connection is aborted."""
    world, client = opened(quick, monkeypatch)
    world.signals.clear_routes()
    world.signals.add_route(
        "/msg", lambda event: (world.messages.append(event.data.message), event.connection._link.abort())
    )
    client.send(message(1) + message(2) + close_frame())
    assert (world.messages, client.wire.ended) == ([1], "aborted")


def test_a_defect_between_two_texts_of_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: a callback that raises closes with 1011, and the client's close frame behind it is still understood."""
    world, client = opened(True, monkeypatch)

    def broken(*_args: object) -> None:
        raise LookupError

    monkeypatch.setattr(Dispatch, "_handle", broken)
    answer = close_frame(1011)
    with capturedLogs() as logged:
        client.send(message(1) + message(2) + answer[:3])
    assert [type(each.value) for each in failures_in(logged)] == [LookupError]
    monkeypatch.undo()
    assert client.closed == (1011, "")
    client.send(answer[3:])
    assert client.wire.ended == "closed"
    assert world.signals.counters.callbacks_failed == 1


@BOTH_WAYS
def test_pausing_in_the_middle_of_a_read(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: a read that holds more than may wait pauses the socket; all of it is handled, in order, and it reads on."""
    world, client = opened(quick, monkeypatch, max_pending_messages=4)
    pending: list[Deferred[None]] = []

    def slow(event: Any) -> Deferred[None]:
        world.messages.append(event.data.message)
        pending.append(Deferred())
        return pending[-1]

    world.signals.clear_routes()
    world.signals.add_route("/msg", slow)
    client.send(b"".join(message(number) for number in range(10)))
    assert world.messages == [0]
    assert client.wire.producerState == "paused"
    client.send(message(10))
    while pending:
        pending.pop(0).callback(None)
        world.turn()
    assert world.messages == list(range(11))
    assert client.wire.producerState == "producing"


@BOTH_WAYS
def test_when_a_message_began(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.3: the time of a message runs from its first frame to its last, and not between messages."""
    world, client = opened(quick, monkeypatch)
    connection = world.converted[0]
    client.send(message(1))
    assert connection._link.pulse.message_due is None
    world.turn(1)
    slow = frame('{"message":', fin=False), frame("2}", CONTINUATION)
    client.send(message(0) + slow[0])
    due = world.clock.seconds() + world.signals.settings.message_timeout_seconds
    assert connection._link.pulse.message_due == due
    world.turn(1)
    client.send(slow[1][:-1])
    assert connection._link.pulse.message_due == due
    client.send(slow[1][-1:] + message(3))
    assert connection._link.pulse.message_due is None
    assert world.messages == [1, 0, 2, 3]


@BOTH_WAYS
def test_a_text_within_a_message(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: a whole text in a read of its own, where a message has not ended, breaks the protocol."""
    world, client = opened(quick, monkeypatch)
    client.send(frame("{", fin=False), message(1))
    assert world.messages == []
    assert client.closed is not None
    assert client.closed[0] == 1002


@BOTH_WAYS
@pytest.mark.parametrize("first", [1, 2, 5, 6, 7])
def test_a_ping_that_holds_a_text(quick: bool, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: what looks like a text within a ping, in a read of its own, belongs to the ping."""
    world, client = opened(quick, monkeypatch)
    held = b"x" + message(1)
    ping = bytes((0x80 | PING, 0x80 | len(held))) + bytes(4) + held
    client.send(ping[:first], ping[first:])
    assert [(each.opcode, each.payload) for each in client.frames] == [(PONG, held)]
    assert world.messages == []


@BOTH_WAYS
def test_a_head_whose_rest_looks_like_a_text(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: where the head of a frame is cut, what follows is the rest of it, whatever it looks like."""
    world, client = opened(quick, monkeypatch)
    rest = b"\x81" + b"\x80\0\0\0" + bytes((0x80 ^ ord("x"),))
    assert unmasked_texts(rest, 100) == ([b""], 6)
    client.send(bytes((0x80 | PING,)), rest)
    assert [(each.opcode, each.payload) for each in client.frames] == [(PONG, b"x")]
    assert world.signals.counters.messages_bad == 0


@BOTH_WAYS
def test_the_rate_of_messages(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.3: messages of one read past the rate wait for their time, and none is lost."""
    world, client = opened(quick, monkeypatch, messages_per_second=10, message_burst=3)
    client.send(b"".join(message(number) for number in range(6)))
    assert world.messages == [0, 1, 2]
    assert world.signals.counters.limits_hit["messages_per_second"] == 1
    for _ in range(30):
        world.turn(0.05)
    assert world.messages == list(range(6))


@BOTH_WAYS
def test_bad_messages_of_one_read(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.8: too many bad messages close with 1008, also where they come in one read."""
    world, client = opened(quick, monkeypatch, bad_messages_limit=3)
    client.send(frame("{") * 10 + message(1))
    assert client.closed == (1008, "too many bad messages")
    assert world.messages == []


@BOTH_WAYS
def test_frames_behind_the_handshake(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S2.6: whole and cut frames that come with the handshake are handled in order."""
    monkeypatch.setattr(protocol_module, "QUICK_FRAMES", quick)
    world = World().converting().listening()
    client = world.client()
    client.send(head() + message(1) + message(2) + message(3)[:5])
    client.send(message(3)[5:] + message(4))
    world.turn()
    assert world.messages == [1, 2, 3, 4]


@BOTH_WAYS
def test_utf_8(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S6.1: a text that is no UTF-8 closes with 1007; those before it are handled."""
    world, client = opened(quick, monkeypatch)
    client.send(message("ä") + frame(b'{"message":"\xc3("}') + message(2))
    assert world.messages == ["ä"]
    assert client.closed is not None
    assert client.closed[0] == 1007
