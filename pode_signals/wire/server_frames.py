"""``pode.signals.v1``: reads the frames that servers send. It knows no connection; its error never repeats a frame.

    <- {"type":"hello","version":1,"clientId":"5d12f974","name":"Rooms","groups":["kitchen"],"recovered":false,…}
    <- {"type":"signal","data":{"message":"soup"},"group":"kitchen","offset":"42-217704561190385"}
    <- {"type":"reply","id":"7","data":{"booked":"4A"}}
    <- {"type":"error","id":"8","code":"app.seat_taken","text":"This seat is taken."}
    <- {"type":"beat","offset":"44-700318255496027"}
    <- {"type":"presence","seq":8,"joined":[{"id":"9c0e","user":"bob"}],"left":["5d12f974"]}

Keys match exactly. ``null`` is the same as an absent key, and unknown keys and types are ignored, so that both sides
can grow. Clients and the kit for tests read frames here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar, cast

from attrs import frozen

from ..core.history import Position
from ..errors import MessageInvalid, PodeSignalsError
from .json import decode
from .v1 import MAX_RESUME_TOKEN_CHARACTERS, Hello, PresentMember

__all__ = [
    "ErrorFrame",
    "PresenceFrame",
    "Reply",
    "ServerBeat",
    "ServerFrame",
    "ServerFrameInvalid",
    "Signal",
    "read_server_frame",
]

# A server may send data of any depth, as far as Python's json can write them.
_MAX_DEPTH: Final = 512
_MAX_KEYS: Final = 1_000_000

# A client sends back the four of these: in a header, where a line end would begin another header, and in frames.
_EPOCH = re.compile(r"[a-z0-9]{6,16}")
_OFFSET = re.compile(r"(?:0|[1-9][0-9]{0,15})-(?:0|[1-9][0-9]{0,15})")
_TOKEN = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_RESUME_TOKEN_CHARACTERS}}}")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

_T = TypeVar("_T")


class ServerFrameInvalid(PodeSignalsError):
    """A server sent a text that is no frame of ``pode.signals.v1``.

    Attributes:
        reason: a fixed sentence; it has nothing of the text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@frozen
class Signal:
    """A message.

    Attributes:
        data: the payload.
        groups: the groups that the send named; empty for none.
        offset: the place of the message in the log; None where it is not logged, or went to this connection alone.
        ack: the id of the answer that the sender waits for; None where no sender waits.
        traceparent: the trace that the message belongs to (W3C Trace Context), not checked; None is none.
        tracestate: the rest of the trace.
    """

    data: Any
    groups: tuple[str, ...] = ()
    offset: str | None = None
    ack: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


@frozen
class Reply:
    """The answer to a frame with an id.

    Attributes:
        id: that id.
        data: what the signal route returned.
    """

    id: str
    data: Any


@frozen
class ErrorFrame:
    """The answer to a frame that was not done.

    Attributes:
        code: why, see :class:`~pode_signals.wire.v1.ErrorCode`; ``app.<code>`` is the application's own. A code that
            the reader does not know means ``failed``.
        text: a sentence for people.
        id: the id of the frame; None where it had none.
    """

    code: str
    text: str
    id: str | None = None


@frozen
class ServerBeat:
    """The server lives.

    Attributes:
        offset: the client has everything of its own up to this place in the log; None says nothing about the log.
    """

    offset: str | None = None


@frozen
class PresenceFrame:
    """Who is connected, or what has changed.

    Attributes:
        seq: the number of the change. It counts up by 1 for each group, or for the name.
        group: the group; None where presence is shared for the whole name.
        members: all members, in place of those known before; None where the frame does not list them.
        joined: the members that came, or replace another one with their client id.
        left: the client ids of the members that went.
        count: how many members there are, where they are too many to be listed; None otherwise.
    """

    seq: int
    group: str | None = None
    members: tuple[PresentMember, ...] | None = None
    joined: tuple[PresentMember, ...] = ()
    left: tuple[str, ...] = ()
    count: int | None = None


ServerFrame = Hello | Signal | Reply | ErrorFrame | ServerBeat | PresenceFrame


def read_server_frame(payload: bytes) -> ServerFrame | None:
    """Read a text of a server.

    Args:
        payload: the text as bytes. Whoever reads the connection bounds its size.

    Returns:
        The frame; None where its type is unknown, and the client passes it over.

    Raises:
        ServerFrameInvalid: the text is no frame: no JSON, no object, without a type, or with a field of a wrong type.
    """
    try:
        document = decode(payload, _MAX_DEPTH, _MAX_KEYS)
        if not isinstance(document, dict):
            raise MessageInvalid("the frame is not a JSON object")
        read = _READERS.get(_required(document, "type", str))
        return None if read is None else read(document)
    except MessageInvalid as invalid:
        raise ServerFrameInvalid(invalid.reason) from None


def _optional(document: dict[str, Any], key: str, kind: type[_T]) -> _T | None:
    found = document.get(key)
    # True is an int for isinstance, and no number in JSON.
    if found is None or (isinstance(found, kind) and (kind is bool or not isinstance(found, bool))):
        return found
    raise MessageInvalid(f"{key} has a wrong type")


def _required(document: dict[str, Any], key: str, kind: type[_T]) -> _T:
    found = _optional(document, key, kind)
    if found is None:
        raise MessageInvalid(f"there is no {key}")
    return found


def _matching(document: dict[str, Any], key: str, form: re.Pattern[str]) -> str | None:
    found = _optional(document, key, str)
    if found is not None and not form.fullmatch(found):
        raise MessageInvalid(f"{key} has another form")
    return found


def _number(document: dict[str, Any], key: str, least: int) -> int | None:
    found = document.get(key)
    # 25.0 is an integer in JSON.
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if found is not None and (not isinstance(found, int) or isinstance(found, bool) or found < least):
        raise MessageInvalid(f"{key} has to be a number of at least {least}")
    return found


def _count(document: dict[str, Any], key: str, least: int) -> int:
    found = _number(document, key, least)
    if found is None:
        raise MessageInvalid(f"there is no {key}")
    return found


def _texts(document: dict[str, Any], key: str) -> tuple[str, ...] | None:
    found = _optional(document, key, list)
    if found is None:
        return None
    if not all(isinstance(each, str) for each in found):
        raise MessageInvalid(f"{key} has something that is no text")
    return tuple(found)


def _hello(document: dict[str, Any]) -> Hello:
    if _count(document, "version", 1) != 1:
        raise MessageInvalid("the version is unknown")
    epoch, offset = _matching(document, "epoch", _EPOCH), _matching(document, "offset", _OFFSET)
    if (epoch is None) is not (offset is None):
        raise MessageInvalid("epoch and offset come together")
    groups = _texts(document, "groups")
    if groups is None:
        raise MessageInvalid("there are no groups")
    presence = _optional(document, "presence", str)
    return Hello(
        client_id=_required(document, "clientId", str),
        name=_required(document, "name", str),
        groups=groups,
        recovered=_required(document, "recovered", bool),
        heartbeat_seconds=_count(document, "heartbeatSeconds", 1),
        max_message_bytes=_count(document, "maxMessageBytes", 1),
        user=_optional(document, "user", str),
        position=None if epoch is None or offset is None else Position(epoch, offset),
        resume_token=_matching(document, "resumeToken", _TOKEN),
        expires_in_seconds=_seconds(document, "expiresInSeconds"),
        # A later server may share presence in another way, which this reader can't watch.
        presence=cast('Literal["name", "group"]', presence) if presence in ("name", "group") else None,
    )


def _seconds(document: dict[str, Any], key: str) -> float | None:
    found = document.get(key)
    if found is not None and (not isinstance(found, int | float) or isinstance(found, bool)):
        raise MessageInvalid(f"{key} has to be a number")
    return found


def _signal(document: dict[str, Any]) -> Signal:
    if "data" not in document:
        raise MessageInvalid("there are no data")
    group = document.get("group")
    groups = (group,) if isinstance(group, str) else _texts(document, "group") or ()
    return Signal(
        document["data"],
        groups,
        _matching(document, "offset", _OFFSET),
        _matching(document, "ack", _ID),
        _optional(document, "traceparent", str),
        _optional(document, "tracestate", str),
    )


def _reply(document: dict[str, Any]) -> Reply:
    # The data of a reply may well be null.
    return Reply(_required(document, "id", str), document.get("data"))


def _error(document: dict[str, Any]) -> ErrorFrame:
    return ErrorFrame(
        _required(document, "code", str), _required(document, "text", str), _optional(document, "id", str)
    )


def _beat(document: dict[str, Any]) -> ServerBeat:
    return ServerBeat(_matching(document, "offset", _OFFSET))


def _presence(document: dict[str, Any]) -> PresenceFrame:
    frame = PresenceFrame(
        seq=_count(document, "seq", 0),
        group=_optional(document, "group", str),
        members=_members(document, "members"),
        joined=_members(document, "joined") or (),
        left=_texts(document, "left") or (),
        count=_number(document, "count", 0),
    )
    if frame.members is None and not frame.joined and not frame.left and frame.count is None:
        raise MessageInvalid("the frame has neither members nor a change nor a count")
    return frame


def _members(document: dict[str, Any], key: str) -> tuple[PresentMember, ...] | None:
    found = _optional(document, key, list)
    return None if found is None else tuple(_member(each) for each in found)


def _member(document: Any) -> PresentMember:
    if not isinstance(document, dict):
        raise MessageInvalid("a member is no JSON object")
    return PresentMember(
        _required(document, "id", str),
        _optional(document, "user", str),
        _texts(document, "groups") or (),
        document.get("info"),
    )


_READERS: dict[str, Callable[[dict[str, Any]], ServerFrame]] = {
    "hello": _hello,
    "signal": _signal,
    "reply": _reply,
    "error": _error,
    "beat": _beat,
    "presence": _presence,
}
