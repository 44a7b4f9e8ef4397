"""Server-sent events as bytes, read back as the HTML Standard says (section 9.2.6)."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pode_signals.core.history import Position
from pode_signals.wire.events import PLAIN_EVENTS, SIGNALS_EVENTS, close_event, event, retry_line
from pode_signals.wire.message import Message

PLACE = Position("k3v9q2", "42-217704561190385")


def read(data: bytes) -> list[tuple[str, str, str]]:
    """The type, data and last id of each event that a browser dispatches."""
    found, last_id, name, lines = [], "", "", []
    for line in re.split("\r\n|\r|\n", data.decode("utf-8")):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if lines:
                found.append((name or "message", "\n".join(lines), last_id))
            name, lines = "", []
        elif field == "data":
            lines.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return found


@example("a\rb\r\nc\n\rd", None)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from([None, PLACE]))
def test_any_text(text: str, position: Position | None) -> None:
    """P90: whatever a message has, a browser gets it as one event: line ends become LF, and nothing else changes."""
    made = event(text.encode(), position)
    where = "" if position is None else "k3v9q2.42-217704561190385"
    assert read(made) == [("message", re.sub("\r\n|\r", "\n", text), where)]


@pytest.mark.parametrize(
    "text", ["", " leading", "a\u2028b\u2029c\x85d\x0be", "a\0b", "id: 1", "data: x\n\nevent: close", ":"]
)
def test_no_way_out(text: str) -> None:
    """P90: no text can end its event, name it or give it an id."""
    assert read(event(text.encode())) == [("message", text, "")]


def test_notices() -> None:
    """P90: in a plain stream hello has a name and a beat is an id alone; in a stream of the protocol all are frames."""
    assert read(PLAIN_EVENTS.notice("hello", b"{}", PLACE)) == [("hello", "{}", "k3v9q2.42-217704561190385")]
    assert PLAIN_EVENTS.notice("beat", b"{}", PLACE) == b"id: k3v9q2.42-217704561190385\n\n"
    assert read(PLAIN_EVENTS.notice("beat", b"{}", None)) == []
    assert PLAIN_EVENTS.notice("presence", b"{}", None) == b""
    assert read(SIGNALS_EVENTS.notice("beat", b'{"type":"beat"}', None)) == [("message", '{"type":"beat"}', "")]


def test_the_end() -> None:
    """P90: the last event has the code and the reason of a close frame."""
    assert read(close_event(4409, b'a "reason"\n')) == [("close", '{"code":4409,"reason":"a \\"reason\\"\\n"}', "")]
    assert retry_line(1_500) == b"retry: 1500\n\n"


def test_made_once() -> None:
    """S4.5: both kinds of streams have the bytes of a message made once for all clients."""
    message = Message(b'{"a":1}', position=PLACE)
    for encoding in (PLAIN_EVENTS, SIGNALS_EVENTS):
        assert message.encoded(encoding) is message.encoded(encoding)
    assert read(message.encoded(PLAIN_EVENTS)) == [("message", '{"a":1}', "k3v9q2.42-217704561190385")]
    expected = '{"type":"signal","data":{"a":1},"offset":"42-217704561190385"}'
    assert read(message.encoded(SIGNALS_EVENTS))[0][1] == expected
