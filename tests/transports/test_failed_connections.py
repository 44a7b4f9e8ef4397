"""Connections that are failed: what breaks the protocol or a limit is closed with its code, and nothing is kept."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from transports.open_worlds import check_failed, finish, opened
from twisted.logger import capturedLogs
from web_fakes import BINARY, CONTINUATION, PING, close_frame, failures_in, frame, message

pytestmark = pytest.mark.usefixtures("protocol")


def test_binary_messages() -> None:
    """S5.8: a binary message closes with 1003."""
    world, client = opened()
    client.send(frame(b'{"message": 1}', BINARY), message("later"))
    check_failed(world, client, 1003)
    assert world.messages == []


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b'{"message": "\xe9"}', b"caf\xc3"],
)
def test_text_that_is_not_utf_8(payload: bytes) -> None:
    """S6.1: text that is not UTF-8 closes with 1007."""
    world, client = opened()
    client.send(frame(payload), message("later"))
    check_failed(world, client, 1007)
    assert world.messages == []


def test_the_rest_of_a_message_that_is_not_utf_8() -> None:
    """S6.1: the close frame is not lost to a reset because the bad message goes on for some packets."""
    world, client = opened()
    bad = frame(b"\xff" + b"x" * 5_000)
    client.send(bad[:1_000], bad[1_000:2_000], bad[2_000:], message("later"))
    check_failed(world, client, 1007)
    world, client = opened()
    client.send(frame(b"\xff", fin=False), frame(b"\xff", CONTINUATION, fin=False), frame(b"\xff", CONTINUATION))
    check_failed(world, client, 1007)


@pytest.mark.parametrize("limit", [20, 65_536])
def test_the_largest_message(limit: int) -> None:
    """S6.2: a message of exactly max_message_bytes is taken, one byte more closes with 1009."""
    world, client = opened(max_message_bytes=limit)
    text = "x" * (limit - len('{"message": ""}'))
    client.send(message(text))
    assert world.messages == [text]
    client.send(message(text + "x"))
    check_failed(world, client, 1009)
    assert world.messages == [text]


def test_the_largest_message_in_fragments() -> None:
    """S6.2: the limit is the message's, not the frame's."""
    world, client = opened(max_message_bytes=100)
    client.send(frame(b"x" * 60, fin=False), frame(b"x" * 40, CONTINUATION, fin=False))
    assert client.frames == []
    client.send(frame(b"x", CONTINUATION))
    check_failed(world, client, 1009)


def test_a_message_that_says_it_will_be_too_large() -> None:
    """S6.2: it is refused by its head, before its bytes come; they are discarded."""
    world, client = opened()
    client.send(b"\x81\xff" + struct.pack("!Q", 10_000_000) + b"\x00\x00\x00\x00")
    assert client.closed is not None
    assert client.closed[0] == 1009
    tracemalloc.start()
    try:
        client.send(*[b"x" * 100_000] * 100)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    check_failed(world, client, 1009)
    assert world.messages == []


BAD_FRAMES = {
    "an unmasked frame": frame(b'{"message": 1}', masked=False),
    "reserved bits": frame(b'{"message": 1}', rsv=1),
    "the bit of compression without compression": frame(b'{"message": 1}', rsv=4),
    "a reserved opcode": frame(b"x", 3),
    "a reserved control opcode": frame(b"x", 11),
    "a long ping": frame(b"x" * 126, PING),
    "a fragmented ping": frame(b"x", PING, fin=False),
    "a continuation of nothing": frame(b"x", CONTINUATION),
    "a text within a message": frame(b"x", fin=False) + frame(b"y"),
    "a length written too long": b"\x81\xfe\x00\x05\x00\x00\x00\x00hello",
}


@pytest.mark.parametrize("bad", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_bad_frames(bad: bytes) -> None:
    """S5.8: what is no WebSocket frame closes with 1002, and what follows is not dispatched."""
    world, client = opened()
    client.send(bad, message("later"))
    check_failed(world, client, 1002)
    assert world.messages == []


@pytest.mark.parametrize("first", [b"\x88", b"\x89", b"\x8a", b"\x8f"])
def test_an_endless_control_frame_is_not_kept(first: bytes) -> None:
    """S5.8: after the failure nothing is collected while the client goes on sending."""
    world, client = opened()
    client.send(first + b"\xff" + struct.pack("!Q", 1 << 40) + b"\x00\x00\x00\x00")
    assert client.closed is not None
    assert client.closed[0] == 1002
    tracemalloc.start()
    try:
        client.send(*[b"x" * 100_000] * 100)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    world.turn(5)
    assert client.wire.ended == "aborted"


def test_bytes_after_the_end_are_not_kept() -> None:
    """S5.8: between our closing and the transport's end incoming bytes are dropped (with TLS that can take a while)."""
    world, client = opened()
    protocol = client.wire.protocol
    client.send(close_frame())
    tracemalloc.start()
    try:
        for _ in range(100):
            protocol.dataReceived(b"x" * 100_000)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    finish(world, client)


def test_a_callback_that_raises() -> None:
    """S5.7: a defect of our own closes this connection with 1011, logged and counted; the client learns nothing."""
    world, client = opened()

    def broken(*_args: object) -> None:
        raise RuntimeError("secret")

    neighbour = world.client().open()
    client.wire.protocol.deliver = broken
    with capturedLogs() as logged:
        client.send(message("boom"))
    assert [str(failure.value) for failure in failures_in(logged)] == ["secret"]
    assert world.signals.counters.callbacks_failed == 1
    assert client.closed == (1011, "")
    neighbour.send(message("fine"))
    assert world.messages == ["fine"]


def test_what_the_client_sends_shows_in_no_log() -> None:
    """S5.8: a failed connection is one line in the log, without what the client sent, and with no traceback."""
    _world, client = opened()
    with capturedLogs() as logged:
        client.send(frame(b"secret \xff"), frame(b"secret", BINARY))
    assert failures_in(logged) == []
    assert "secret" not in repr(logged)
