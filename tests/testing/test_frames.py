"""What a test's client makes of the bytes of a server."""

from __future__ import annotations

import pytest

from pode_signals.testing.frames import Frame, Opcode, client_frame, close_payload, take_frame
from pode_signals.testing.handshake import read_answer, upgrade_request
from pode_signals.wire.frames import text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_of_each_size(size: int) -> None:
    """S16.8: a frame is taken when the whole of it is there, and what follows stays (RFC 6455 section 5.2)."""
    payload = bytes(each % 251 for each in range(size))
    whole = text_frame(payload)
    assert take_frame(bytearray(whole[:-1])) is None
    unread = bytearray(whole + b"\x8a")
    assert take_frame(unread) == Frame(Opcode.TEXT, payload)
    assert unread == b"\x8a"
    masked = client_frame(Opcode.TEXT, payload)
    assert masked[: -size or None][-4:] == b"\x11\x22\x33\x44"
    assert bytes(each ^ masked[-size - 4 + at % 4] for at, each in enumerate(masked[len(masked) - size :])) == payload


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x81\x80\x00\x00\x00\x00", "masked"),
        (b"\xc1\x00", "reserved bit"),
        (b"\x01\x00", "fragment"),
    ],
)
def test_frames_that_no_server_may_send(data: bytes, sentence: str) -> None:
    """S16.8: a frame that breaks the rules of WebSocket fails the test."""
    with pytest.raises(AssertionError, match=sentence):
        take_frame(bytearray(data))


def test_close_frames() -> None:
    """S16.8: a close frame has a code and a reason, or stands for 1005 (RFC 6455 section 7.1.5)."""
    full, empty = Frame(Opcode.CLOSE, close_payload(4000, "ö")), Frame(Opcode.CLOSE, close_payload(1005, ""))
    assert (full.close_code, full.close_reason) == (4000, "ö")
    assert (empty.close_code, empty.close_reason, empty.payload) == (1005, "", b"")


def test_answers_that_are_not_complete() -> None:
    """S0.2: an answer counts when the whole of it has come."""
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\n"
    assert read_answer(head[:-1]) is None
    assert read_answer(head + b"no") is None
    answer = read_answer(head + b"nono")
    assert answer is not None
    assert (answer.status, answer.body, len(answer.headers), list(answer.headers)) == (
        403,
        "nono",
        1,
        ["Content-Length"],
    )
    assert "Content-Length" in repr(answer.headers)


def test_a_server_that_answers_another_key() -> None:
    """S2.6: a 101 without the proof of having read the key fails the test (RFC 6455 section 4.1)."""
    with pytest.raises(AssertionError, match=r"^the server has answered another key$"):
        read_answer(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n")


def test_the_request() -> None:
    """P2: what a client offers comes behind what the headers of a test offer."""
    request = upgrade_request("/rooms", {"sec-websocket-protocol": "chat"}, ("pode.signals.v1",)).decode()
    assert request.startswith("GET /rooms HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n")
    assert "\r\nSec-WebSocket-Protocol: chat, pode.signals.v1\r\n" in request
    assert request.count("rotocol: ") == 1
