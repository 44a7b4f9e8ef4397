"""A second form and a second framing, as clients of a newer protocol and of an event stream have them."""

from __future__ import annotations

import json

from pode_signals.core.history import Position
from pode_signals.wire.message import Encoding, Message, plain_form, websocket_framing

__all__ = ["EVENTS", "MADE", "NEWER", "NEWER_EVENTS", "event", "newer_form"]

MADE: list[bytes] = []
"""The payloads that ``newer_form`` was called with, in order."""


def newer_form(message: Message) -> bytes:
    """The payload within a frame of JSON."""
    MADE.append(message.payload)
    return json.dumps({"data": message.payload.decode("utf-8")}).encode("utf-8")


def event(text: bytes, _position: Position | None) -> bytes:
    """A server-sent event (WHATWG HTML, section 9.2)."""
    return b"".join(b"data: " + line + b"\n" for line in text.split(b"\n")) + b"\n"


NEWER = Encoding(newer_form, websocket_framing, "newer")
EVENTS = Encoding(plain_form, event, "events")
NEWER_EVENTS = Encoding(newer_form, event, "newer events")
