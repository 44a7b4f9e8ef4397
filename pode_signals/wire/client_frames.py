"""``pode.signals.v1``: reads the frames that clients send. It knows no connection; its errors never repeat a frame.

    -> {"type":"send","id":"7","message":{"seat":"4A"},"group":"kitchen"}
    -> {"type":"ack","id":"n7.12"}
    -> {"type":"beat"}
    -> {"type":"refresh","id":"r1","token":"eyJhbGciOi…"}
    -> {"type":"presence","watch":true}

Keys match exactly. ``null`` is the same as an absent key, and unknown keys are ignored, so that both sides can grow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import field, frozen

from ..core.model import ClientMessage
from ..errors import MessageInvalid
from .json import decode, decode_unbounded
from .plain import message_of
from .v1 import ErrorCode

__all__ = ["Ack", "Beat", "ClientFrame", "FrameInvalid", "Refresh", "Send", "Watch", "read_frame"]

_MAX_TOKEN_CHARACTERS = 8_192
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class FrameInvalid(MessageInvalid):
    """A client sent a text that is no frame of ``pode.signals.v1``.

    Attributes:
        code: the code of the error that the client gets.
        id: the id of the frame, with which the client recognises the answer; None where no id could be read.
    """

    def __init__(self, code: ErrorCode, reason: str, id: str | None = None, limit: str | None = None) -> None:
        super().__init__(reason, limit)
        self.code = code
        self.id = id


@frozen
class Send:
    """A message to the path of the connection.

    Attributes:
        said: the message, with whom it is for.
        id: the client wants one reply or error with this id; None where the client wants none.
        traceparent: the trace that the message belongs to (W3C Trace Context), not checked; None is none.
        tracestate: the rest of the trace.
    """

    said: ClientMessage
    id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


@frozen
class Ack:
    """The application of the client has taken a signal.

    Attributes:
        id: the ``ack`` of that signal.
    """

    id: str


@frozen
class Beat:
    """The client lives, and asks whether the server does."""


@frozen
class Refresh:
    """New credentials for a connection that expires.

    Attributes:
        id: the answer has this id.
        token: the credentials. No ``repr`` shows them.
    """

    id: str
    token: str = field(repr=False)


@frozen
class Watch:
    """Whether the client wants to be told who is connected.

    Attributes:
        watch: True asks for all members now, and for each change from now on. False ends that.
    """

    watch: bool


ClientFrame = Send | Ack | Beat | Refresh | Watch


def read_frame(payload: bytes, *, max_depth: int, max_keys: int) -> ClientFrame:
    """Read a text of a client.

    Args:
        payload: the text as bytes; its size has been checked before.
        max_depth: how deep the text may be nested; the frame's own object is level 1.
        max_keys: how many keys all objects in the text may have together, the frame's own among them.

    Raises:
        FrameInvalid: the text is no frame. The reason has nothing of the text.
    """
    try:
        document = decode(payload, max_depth, max_keys)
    except MessageInvalid as invalid:
        raise FrameInvalid(ErrorCode.BAD_FRAME, invalid.reason, _id_within(payload), invalid.limit) from None
    if not isinstance(document, dict):
        raise FrameInvalid(ErrorCode.BAD_FRAME, "the frame is not a JSON object")
    kind = document.get("type")
    if not isinstance(kind, str):
        raise FrameInvalid(ErrorCode.BAD_FRAME, "the frame has no type", _id_to_answer(document))
    read = _READERS.get(kind)
    if read is None:
        raise FrameInvalid(ErrorCode.UNKNOWN_TYPE, "the type of the frame is unknown", _id_to_answer(document))
    try:
        return read(document)
    except MessageInvalid as invalid:
        raise FrameInvalid(ErrorCode.BAD_FRAME, invalid.reason, _id_to_answer(document), invalid.limit) from None


def _id_to_answer(document: dict[str, Any]) -> str | None:
    """The id that an error about the frame has; None where the frame has no good one."""
    # The id of an ack is one that the server chose. The client may wait for the reply to another frame with this id.
    if document.get("type") == "ack":
        return None
    found = document.get("id")
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def _id_within(payload: bytes) -> str | None:
    """The id of a text that passes a limit. Without it the client would wait in vain for the answer."""
    try:
        document = decode_unbounded(payload)
    except MessageInvalid:
        return None
    return _id_to_answer(document) if isinstance(document, dict) else None


def _text(document: dict[str, Any], key: str) -> str | None:
    found = document.get(key)
    if found is None or isinstance(found, str):
        return found
    raise MessageInvalid(f"{key} has to be a text")


def _id(document: dict[str, Any]) -> str | None:
    found = _text(document, "id")
    if found is not None and not _ID.fullmatch(found):
        raise MessageInvalid("id has to have 1 to 64 characters of A-Z, a-z, 0-9 and . _ : -")
    return found


def _required_id(document: dict[str, Any]) -> str:
    found = _id(document)
    if found is None:
        raise MessageInvalid("there is no id")
    return found


def _send(document: dict[str, Any]) -> Send:
    # Most frames have no trace.
    if "traceparent" not in document and "tracestate" not in document:
        return Send(message_of(document), _id(document))
    return Send(message_of(document), _id(document), _text(document, "traceparent"), _text(document, "tracestate"))


def _ack(document: dict[str, Any]) -> Ack:
    return Ack(_required_id(document))


def _beat(_document: dict[str, Any]) -> Beat:
    return Beat()


def _refresh(document: dict[str, Any]) -> Refresh:
    token = _text(document, "token")
    if not token or len(token) > _MAX_TOKEN_CHARACTERS:
        raise MessageInvalid("token has to be a text of 1 to 8,192 characters")
    return Refresh(_required_id(document), token)


def _watch(document: dict[str, Any]) -> Watch:
    watch = document.get("watch")
    if not isinstance(watch, bool):
        raise MessageInvalid("watch has to be true or false")
    return Watch(watch)


_READERS: dict[str, Callable[[dict[str, Any]], ClientFrame]] = {
    "send": _send,
    "ack": _ack,
    "beat": _beat,
    "refresh": _refresh,
    "presence": _watch,
}
