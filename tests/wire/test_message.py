from __future__ import annotations

import pytest
from encodings_of_tests import EVENTS, MADE, NEWER, NEWER_EVENTS

from pode_signals.wire.message import PLAIN_WEBSOCKET, Message, encoded_once


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    """Nothing was made yet."""
    MADE.clear()


def test_each_encoding() -> None:
    """S4.5: a message has its bytes in each encoding: a form in a framing."""
    message = Message(b'"hi"')
    assert message.encoded(PLAIN_WEBSOCKET) == b'\x81\x04"hi"'
    assert message.encoded(NEWER) == b'\x81\x12{"data": "\\"hi\\""}'
    assert message.encoded(EVENTS) == b'data: "hi"\n\n'
    assert message.encoded(NEWER_EVENTS) == b'data: {"data": "\\"hi\\""}\n\n'


def test_each_is_made_once() -> None:
    """S4.5: bytes are made once for each encoding, and a form once for all framings."""
    message = Message(b"hi")
    for encoding in (PLAIN_WEBSOCKET, NEWER, EVENTS, NEWER_EVENTS) * 2:
        assert message.encoded(encoding) is message.encoded(encoding)
    assert MADE == [b"hi"]


def test_nothing_is_made_before_it_is_asked_for() -> None:
    """S4.5: a message that only plain clients get is made in no other form."""
    Message(b"hi").encoded(PLAIN_WEBSOCKET)
    assert MADE == []


@pytest.mark.parametrize("encoding", [PLAIN_WEBSOCKET, NEWER, EVENTS])
def test_for_one_client(encoding: object) -> None:
    """S4.5: a message for one client alone has the same bytes."""
    assert encoded_once(b"hi", encoding, "hi") == Message(b"hi").encoded(encoding)  # type: ignore[arg-type]
