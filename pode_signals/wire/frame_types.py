"""The types of frames of ``pode.signals.v1``: what each says, and its schema. It reads no frame and makes none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

from attrs import frozen

__all__ = ["FRAME_TYPES", "FrameType", "frame_schemas", "plain_message_schema"]


@frozen
class FrameType:
    """A type of frame: what one side sends.

    Attributes:
        name: its name among the schemas of the frames.
        type: its ``type``.
        by: who sends it: ``client`` or ``server``.
        summary: what it says.
        answer_field: the field that a frame and its answer have in common; None where there is none.
        answers: the names of the frames that answer it.
        is_answer: whether it comes as an answer alone.
    """

    name: str
    type: str
    by: str
    summary: str
    answer_field: str | None = None
    answers: tuple[str, ...] = ()
    is_answer: bool = False


FRAME_TYPES: Final = (
    FrameType(
        "hello",
        "hello",
        "server",
        "Who the client is, and whether it missed anything. The first frame; it comes again when something in it"
        " changes.",
    ),
    FrameType(
        "signal",
        "signal",
        "server",
        "A message. Where it has an ack, the client answers once its application has taken the message.",
        answer_field="ack",
        answers=("ack",),
    ),
    FrameType(
        "reply",
        "reply",
        "server",
        "The answer to the send or refresh with this id.",
        answer_field="id",
        is_answer=True,
    ),
    FrameType(
        "error",
        "error",
        "server",
        "The server did not do what the frame with this id asks for; without an id, a frame was not valid.",
        answer_field="id",
    ),
    FrameType(
        "serverBeat",
        "beat",
        "server",
        "The server lives. With an offset: the client has got all that is for it up to there.",
    ),
    FrameType("presence", "presence", "server", "Who is there, or what has changed since the frame before."),
    FrameType(
        "send",
        "send",
        "client",
        "A message for the signal route. Where it has an id, a reply or an error with that id follows.",
        answer_field="id",
        answers=("reply", "error"),
    ),
    FrameType(
        "ack",
        "ack",
        "client",
        "The application has taken the signal with this ack.",
        answer_field="id",
        is_answer=True,
    ),
    FrameType(
        "clientBeat",
        "beat",
        "client",
        "The client lives, and asks whether the server does.",
        answers=("serverBeat",),
    ),
    FrameType(
        "refresh",
        "refresh",
        "client",
        "New credentials, for a connection that expires.",
        answer_field="id",
        answers=("reply", "error"),
    ),
    FrameType(
        "watch",
        "presence",
        "client",
        "Whether the client wants to be told who is there.",
        answers=("presence", "error"),
    ),
)


def frame_schemas(named: Callable[[str], Any]) -> Iterator[tuple[str, Any]]:
    """Each definition of ``v1.schema.json``, with its name, as JSON Schema draft 7 writes it.

    Args:
        named: what takes the place of a reference to a definition, by the name of the definition.
    """
    for name, schema in _definitions().items():
        yield name, _as_draft_7(schema, named)


def plain_message_schema() -> dict[str, Any]:
    """The schema of a plain client's message, which has the same keys as a ``send``; without references."""

    def inlined(name: str) -> Any:
        return _as_draft_7(_definitions()[name], inlined)

    properties = _definitions()["send"]["properties"]
    keys = ("message", "path", "group", "clientId", "direct")
    return {
        "type": "object",
        "required": ["message"],
        "properties": {key: _as_draft_7(properties[key], inlined) for key in keys},
    }


@cache
def _definitions() -> dict[str, Any]:
    text = (files(__package__) / "v1.schema.json").read_text(encoding="utf-8")
    definitions: dict[str, Any] = json.loads(text)["$defs"]
    return definitions


def _as_draft_7(schema: Any, named: Callable[[str], Any]) -> Any:
    """A copy of a schema of JSON Schema 2020-12, or of a part of it, as draft 7 writes it.

    Draft 7 has no anchors, and another word for fields that need each other. A reference stands alone there: what is
    beside it would be ignored.
    """
    if isinstance(schema, list):
        return [_as_draft_7(each, named) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return named(schema["$ref"].removeprefix("#/$defs/").removeprefix("#"))
    renamed = {"dependentRequired": "dependencies"}
    return {renamed.get(key, key): _as_draft_7(value, named) for key, value in schema.items() if key != "$anchor"}
