"""The types of frames of ``pode.signals.v1`` and their schemas as JSON Schema draft 7."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator
from v1_schema import SCHEMA, validator

from pode_signals.errors import MessageInvalid
from pode_signals.wire.frame_types import FRAME_TYPES, frame_schemas, plain_message_schema
from pode_signals.wire.plain import decode_client_message

DEFINITIONS = dict(frame_schemas(lambda name: {"$ref": f"#/definitions/{name}"}))


def newer_and_draft_7(name: str) -> tuple[Any, Draft7Validator]:
    """The validators of one definition: of the schema that is shipped, and of its form in draft 7."""
    newer = validator(SCHEMA["$defs"][name].get("$anchor", name))
    return newer, Draft7Validator({"definitions": DEFINITIONS, "$ref": f"#/definitions/{name}"})


@pytest.mark.parametrize("side", ["server", "client"])
def test_the_types_are_those_of_the_schema(side: str) -> None:
    """S18.1: the types of frames of each side are those of the schema, in its order, with the type that each has."""
    listed = [each["$ref"].removeprefix("#") for each in SCHEMA["$defs"][side]["oneOf"]]
    assert [each.name for each in FRAME_TYPES if each.by == side] == listed
    for each in FRAME_TYPES:
        definition = SCHEMA["$defs"][each.name]["properties"]
        assert definition["type"]["const"] == each.type
        assert each.answer_field is None or each.answer_field in definition


def test_answers_come_from_the_other_side() -> None:
    """S18.1: a frame is answered by frames of the other side, and one that is an answer alone answers something."""
    by = {each.name: each.by for each in FRAME_TYPES}
    for each in FRAME_TYPES:
        assert {by[name] for name in each.answers} <= {"client", "server"} - {each.by}
    answers = {name for each in FRAME_TYPES for name in each.answers}
    assert {each.name for each in FRAME_TYPES if each.is_answer} <= answers


FRAMES: dict[str, list[Any]] = {
    "hello": [
        {"type": "hello", "version": 1, "clientId": "ada", "name": "Rooms", "groups": ["kitchen"], "recovered": False,
         "heartbeatSeconds": 25, "maxMessageBytes": 65_536},
        {"type": "hello", "version": 1, "clientId": "ada", "name": "Rooms", "groups": [], "recovered": False,
         "heartbeatSeconds": 25, "maxMessageBytes": 65_536, "epoch": "k3v9q2"},
        {"type": "hello"},
    ],
    "signal": [
        {"type": "signal", "data": None},
        {"type": "signal", "data": 1, "group": ["a", "b"], "offset": "1-2"},
        {"type": "signal", "data": 1, "group": ["a"]},
        {"type": "signal"},
    ],
    "error": [
        {"type": "error", "code": "app.seat_taken", "text": "This seat is taken."},
        {"type": "error", "code": "none", "text": ""},
    ],
    "presence": [{"type": "presence", "seq": 1, "left": ["a"]}, {"type": "presence", "seq": 1}],
    "send": [
        {"type": "send", "message": 1, "group": ["a", 2], "direct": ""},
        {"type": "send", "message": None},
        {"type": "send", "message": 1, "group": [[]]},
        {"type": "send", "message": 1, "id": "two words"},
    ],
    "client": [{"type": "beat"}, {"type": "presence", "watch": True}, {"type": "presence"}, {"type": "bits"}],
    "server": [{"type": "beat", "offset": "1-2"}, {"type": "beat", "offset": "1"}, {"type": "reply", "id": "7"}],
}  # fmt: skip


@pytest.mark.parametrize(("name", "frame"), [(name, frame) for name, frames in FRAMES.items() for frame in frames])
def test_draft_7_says_the_same(name: str, frame: Any) -> None:
    """S18.1: a frame is valid by the schema in draft 7 where it is valid by the schema that the package ships."""
    newer, older = newer_and_draft_7(name)
    assert older.is_valid(frame) == newer.is_valid(frame)


def test_draft_7_has_its_own_words_alone() -> None:
    """S18.1: the schemas are good by draft 7, and have no word that draft 7 does not know."""
    Draft7Validator.check_schema({"definitions": DEFINITIONS})
    text = json.dumps([DEFINITIONS, plain_message_schema()])
    for word in ("$anchor", "$defs", "dependentRequired", "dependentSchemas", "unevaluated", "prefixItems"):
        assert word not in text


@pytest.mark.parametrize(
    "message",
    [
        {"message": "hello"},
        {"message": {"a": 1}, "path": "Rooms", "group": ["kitchen", 7], "clientId": 5, "direct": True},
        {"message": 1, "path": None, "group": [], "clientId": "", "direct": []},
        {"message": None},
        {"path": "Rooms"},
        {"message": 1, "path": 5},
        {"message": 1, "group": [""]},
        {"message": 1, "group": {}},
        {"message": 1, "direct": 1},
        {"message": 1, "clientId": list(range(101))},
        ["message"],
    ],
)
def test_plain_messages(message: Any) -> None:
    """S18.1: a plain message is valid by its schema where the server takes it."""
    try:
        decode_client_message(json.dumps(message).encode(), max_depth=10, max_keys=100)
        is_taken = True
    except MessageInvalid:
        is_taken = False
    assert Draft7Validator(plain_message_schema()).is_valid(message) == is_taken
