"""Server-sent events: the framing of what the server sends, each made once for all (HTML Standard, section 9.2).

A stream of ``pode.signals.v1`` has each frame as one unnamed event, whose id is the client's place in the log::

    id: k3v9q2.42-217704561190385
    data: {"type":"signal","data":{"message":"soup"},"offset":"42-217704561190385"}

A plain stream, for the ``EventSource`` of a browser, has bare payloads. Its hello is an event named ``hello``, and its
beat an id alone, which moves ``Last-Event-ID`` and dispatches nothing::

    id: k3v9q2.42-217704561190385
    data: {"message":"soup"}

It knows no connection, and never keeps a byte.
"""

from __future__ import annotations

import re
from typing import Any

from ..core.history import Position
from .json import encode_value
from .message import Encoding, plain_form
from .v1 import signals_form

__all__ = ["PLAIN_EVENTS", "SIGNALS_EVENTS", "close_event", "event", "retry_line"]

# What ends a line of an event stream. Nothing else does: not U+2028, which some parsers of other formats take for one.
_LINE_END = re.compile(rb"\r\n|\r|\n")
_NOTHING = b":\n\n"
"""A comment, which clients pass over. It keeps proxies from ending a stream on which nothing comes."""


def event(text: bytes, position: Position | None = None, name: bytes | None = None) -> bytes:
    """One event.

    Args:
        text: its data, UTF-8. Line ends become LF, as the standard has it.
        position: the client's place in the log once it has this event; None leaves the place as it is.
        name: the type of the event; None is ``message``.
    """
    parts: list[bytes] = []
    if name is not None:
        parts += (b"event: ", name, b"\n")
    if position is not None:
        parts.append(_id_line(position))
    if b"\n" in text or b"\r" in text:
        for line in _LINE_END.split(text):
            parts += (b"data: ", line, b"\n")
    else:
        parts += (b"data: ", text, b"\n")
    parts.append(b"\n")
    return b"".join(parts)


def close_event(code: int, reason: bytes) -> bytes:
    """The last event of a stream: what a close frame says on a WebSocket.

    Args:
        code: the close code.
        reason: UTF-8, for the client.
    """
    return event(encode_value({"code": code, "reason": reason.decode("utf-8", "replace")}), name=b"close")


def retry_line(milliseconds: int) -> bytes:
    """How long an ``EventSource`` waits before it connects again."""
    return b"retry: %d\n\n" % milliseconds


def _plain_notice(type: str, text: bytes, position: Position | None) -> bytes:
    """What a stock ``EventSource`` gets of a frame that is no message."""
    if type == "hello":
        return event(text, position, b"hello")
    if type == "beat":
        return _NOTHING if position is None else _id_line(position) + b"\n"
    return b""


def _signals_notice(_type: str, text: bytes, position: Position | None) -> bytes:
    return event(text, position)


def _id_line(position: Position) -> bytes:
    return b"id: %b.%b\n" % (position.epoch.encode(), position.offset.encode())


_EVENTS: dict[str, Any] = {"transport": "sse", "answers_pings": False}

PLAIN_EVENTS = Encoding(plain_form, event, "plain", notice=_plain_notice, **_EVENTS)
"""The encoding for the ``EventSource`` of a browser."""

SIGNALS_EVENTS = Encoding(signals_form, event, "signals", notice=_signals_notice, **_EVENTS)
"""The encoding for clients of ``pode.signals.v1`` over server-sent events."""
