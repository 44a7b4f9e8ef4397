"""``pode.signals.v1``: the frames that the server sends, as bytes. It keeps no state of any connection.

A frame is one JSON object, as the text of one message. ``<-`` is what the server sends, ``->`` what a client sends::

    <- {"type":"hello","version":1,"clientId":"5d12f974","name":"Rooms","groups":["kitchen"],"recovered":false,…}
    <- {"type":"signal","data":{"message":"soup"},"group":"kitchen","offset":"42-217704561190385"}
    -> {"type":"send","id":"7","message":{"seat":"4A"}}
    <- {"type":"reply","id":"7","data":{"booked":"4A"}}
    <- {"type":"error","id":"8","code":"app.seat_taken","text":"This seat is taken."}
    -> {"type":"ack","id":"n7.12"}
    -> {"type":"beat"}
    <- {"type":"beat","offset":"44-700318255496027"}
    -> {"type":"refresh","id":"r1","token":"eyJhbGciOi…"}
    -> {"type":"presence","watch":true}
    <- {"type":"presence","seq":8,"joined":[{"id":"9c0e","user":"bob"}],"left":["5d12f974"]}

Frames of the server have ``type`` first and no white space. ``client_frames.py`` reads the frames of clients, and
``v1.schema.json`` beside both describes each frame.
"""

from __future__ import annotations

import math
from enum import StrEnum, unique
from typing import Any, Final, Literal, NamedTuple, Self

from attrs import field, frozen

from ..core.history import Position
from ..core.names import check_name
from ..errors import NameInvalid, ReplyRefused
from .json import encode_value
from .message import Encoding, Message, websocket_framing

__all__ = [
    "EXPECTED_FRAME",
    "MAX_RESUME_TOKEN_CHARACTERS",
    "SIGNALS_WEBSOCKET",
    "ErrorCode",
    "Hello",
    "PresentMember",
    "beat",
    "error",
    "presence_changes",
    "presence_count",
    "presence_members",
    "refusal",
    "reply",
    "signals_form",
]

_VERSION: Final = 1

EXPECTED_FRAME = '{"type": "send", "message": …} or another frame of pode.signals.v1'
"""What a client should have sent, for the log."""

MAX_RESUME_TOKEN_CHARACTERS = 2_048
"""A hello has no longer resume token. A browser sends the token in a header, as the name of a subprotocol."""


@unique
class ErrorCode(StrEnum):
    """Why the server did not do what a frame asked for.

    Applications add codes of their own, which begin with ``app.``, see :func:`refusal`.

    Attributes:
        text: the sentence that the client gets. It is the same each time, and never an exception's.
        meaning: when a client gets the code.
        is_bad_message: whether the frame counts as a bad message, of which too many close the connection.
    """

    text: str
    meaning: str
    is_bad_message: bool

    BAD_FRAME = (
        "bad_frame",
        "The frame is not valid.",
        "The text is not JSON, is no object, or has no ``type``; a field that is known has a wrong type, or passes a"
        " limit.",
        True,
    )
    UNKNOWN_TYPE = (
        "unknown_type",
        "The server does not know this type of frame.",
        "The server does not know the ``type``, such as one of a later version.",
    )
    NO_ROUTE = (
        "no_route",
        "Nothing takes messages on this path.",
        "There is no signal route, and ``unrouted`` does not have the message sent on.",
    )
    REFUSED = (
        "refused",
        "The server does not allow this.",
        "A broadcast level, or a client id that is not valid, stops the message; ``refresh_check`` refuses the"
        " credentials; or another refresh is under way.",
    )
    FAILED = (
        "failed",
        "The server could not do this.",
        "The function raised an exception, or what it returned can't be sent.",
    )
    TIMED_OUT = (
        "timed_out",
        "The server took too long.",
        "The function took longer than ``handler_timeout_seconds``, and was cancelled.",
    )
    NOT_AVAILABLE = (
        "not_available",
        "The server does not offer this here.",
        "A refresh where there is no ``refresh_check``, or the question who is there.",
    )

    def __new__(cls, code: str, text: str, meaning: str, is_bad_message: bool = False) -> Self:
        """A member, which is the code, and has the texts beside the code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.text = text
        member.meaning = meaning
        member.is_bad_message = is_bad_message
        return member


class Hello(NamedTuple):
    """The first frame of a connection, which comes again when something in it changes.

    Attributes:
        client_id: the client id as it was issued.
        name: the name of the connection.
        groups: its groups, in the order of joining, each once.
        recovered: whether nothing was lost: every logged message for this client has come, or is coming.
        heartbeat_seconds: a frame of the server comes at least this often.
        max_message_bytes: how large a frame of the client may be.
        user: the label of the login; None is none.
        position: where in the log the client is; None where the name keeps no history, and for local connections.
        resume_token: the identity for the next connection. It is a credential, so no ``repr`` shows it. A token of over
            :data:`MAX_RESUME_TOKEN_CHARACTERS` is left out, since a part of it would be worth nothing. None is none.
        expires_in_seconds: in how many seconds the connection expires; None is never.
        presence: whether the members of the name or of each group can be watched; None where nothing can be.
    """

    client_id: str
    name: str
    groups: tuple[str, ...]
    recovered: bool
    heartbeat_seconds: float
    max_message_bytes: int
    user: str | None = None
    position: Position | None = None
    resume_token: str | None = None
    expires_in_seconds: float | None = None
    presence: Literal["name", "group"] | None = None

    def __repr__(self) -> str:
        shown = {**self._asdict(), "resume_token": None if self.resume_token is None else "…"}
        return f"Hello({', '.join(f'{key}={value!r}' for key, value in shown.items())})"

    def encoded(self) -> bytes:
        """The frame as UTF-8."""
        token, position = self.resume_token, self.position
        if token is not None and len(token) > MAX_RESUME_TOKEN_CHARACTERS:
            token = None
        # Not by _frame, which takes longer: in a storm of clients that come back, hello is the most of the work.
        fields: dict[str, Any] = {
            "type": "hello",
            "version": _VERSION,
            "clientId": self.client_id,
            "name": self.name,
            "groups": self.groups,
        }
        if self.user is not None:
            fields["user"] = self.user
        if position is not None:
            fields["epoch"], fields["offset"] = position
        fields["recovered"] = self.recovered
        if token is not None:
            fields["resumeToken"] = token
        # Rounded up: a client that waited for less than the interval would give up good connections.
        fields["heartbeatSeconds"] = max(1, math.ceil(self.heartbeat_seconds))
        if self.expires_in_seconds is not None:
            fields["expiresInSeconds"] = self.expires_in_seconds
        fields["maxMessageBytes"] = self.max_message_bytes
        if self.presence is not None:
            fields["presence"] = self.presence
        return encode_value(fields)


@frozen
class PresentMember:
    """A connected client, as other clients see it.

    Attributes:
        id: the client id.
        user: the label of the login; None is none.
        groups: the groups, where presence is shared for the whole name.
        info: a JSON value; None is none.
    """

    id: str
    user: str | None = None
    groups: tuple[str, ...] = ()
    # Compared by its text: 1 and True are equal in Python and different in JSON.
    info: Any = field(default=None, eq=repr)


def signals_form(message: Message) -> bytes:
    """The text that clients of ``pode.signals.v1`` get for a message: the same for all of them."""
    payload = message.payload
    parts = [b'{"type":"signal","data":', encode_value(payload.decode()) if message.is_text else payload]
    # A client may name groups that no connection can be in, beside others. Recipients are not told of them.
    groups = [group for group in message.groups if _is_name(group)]
    if groups:
        parts += (b',"group":', encode_value(groups[0] if len(groups) == 1 else groups))
    if message.position is not None:
        parts += (b',"offset":"', message.position.offset.encode(), b'"')
    if message.acknowledgement is not None:
        parts += (b',"ack":"', message.acknowledgement.encode(), b'"')
    parts.append(b"}")
    return b"".join(parts)


SIGNALS_WEBSOCKET = Encoding(signals_form, websocket_framing, "signals")
"""The encoding for clients of ``pode.signals.v1`` over a WebSocket."""


def reply(id: str, data: bytes) -> bytes:
    """The answer to a frame with an id.

    Args:
        id: that id.
        data: the JSON of the answer, by :func:`~pode_signals.wire.json.encode_value`.
    """
    return b'{"type":"reply","id":"' + id.encode() + b'","data":' + data + b"}"


def error(code: ErrorCode, id: str | None = None) -> bytes:
    """The answer to a frame that was not done.

    Args:
        code: why it was not done.
        id: the id of the frame; None where it has none.
    """
    return _frame("error", id=id, code=code.value, text=code.text)


def refusal(refused: ReplyRefused, id: str) -> bytes:
    """The answer to a frame that the application refused.

    Args:
        refused: the application's own code and sentence. The client gets ``app.`` before the code.
        id: the id of the frame.
    """
    return _frame("error", id=id, code=f"app.{refused.code}", text=refused.text)


def beat(offset: str | None = None) -> bytes:
    """The server lives.

    Args:
        offset: the client has everything of its own up to this place in the log; None says nothing about the log.
    """
    return _frame("beat", offset=offset)


def presence_members(seq: int, members: tuple[PresentMember, ...], group: str | None = None) -> bytes:
    """All members, in place of those that the client knows.

    Args:
        seq: the number of the last change that the members contain.
        members: the members.
        group: the group that they are in; None where presence is shared for the whole name.
    """
    return _frame("presence", seq=seq, group=group, members=[_member(each) for each in members])


def presence_changes(
    seq: int, joined: tuple[PresentMember, ...], left: tuple[str, ...], group: str | None = None
) -> bytes:
    """The members that came or went: at least one.

    Args:
        seq: the number of this change.
        joined: the members that came, or have replaced another one with their client id.
        left: the client ids of those that went.
        group: the group; None where presence is shared for the whole name.
    """
    assert joined or left
    came = [_member(each) for each in joined]
    return _frame("presence", seq=seq, group=group, joined=came or None, left=left or None)


def presence_count(seq: int, count: int, group: str | None = None) -> bytes:
    """How many members there are, where they are too many to be listed.

    Args:
        seq: the number of this change.
        count: how many there are.
        group: the group; None where presence is shared for the whole name.
    """
    return _frame("presence", seq=seq, group=group, count=count)


def _frame(type: str, **fields: Any) -> bytes:
    """The bytes of a frame. A field that is None is left out."""
    return encode_value({"type": type, **{key: value for key, value in fields.items() if value is not None}})


def _member(member: PresentMember) -> dict[str, Any]:
    shown = {"id": member.id, "user": member.user, "groups": member.groups or None, "info": member.info}
    return {key: value for key, value in shown.items() if value is not None}


def _is_name(text: str) -> bool:
    try:
        check_name("group", text)
    except NameInvalid:
        return False
    return True
