"""The schema of ``pode.signals.v1``: the server writes what is valid by it, and refuses what is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from v1_schema import CLIENT_FRAME, SCHEMA, SERVER_FRAME, validator

from pode_signals.core.history import Position
from pode_signals.errors import ReplyRefused
from pode_signals.wire.client_frames import ClientFrame, FrameInvalid, read_frame
from pode_signals.wire.json import encode, encode_value
from pode_signals.wire.message import Message
from pode_signals.wire.v1 import (
    ErrorCode,
    Hello,
    PresentMember,
    beat,
    error,
    presence_changes,
    presence_count,
    presence_members,
    refusal,
    reply,
    signals_form,
)

# What the server writes


IDS = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)
# As names, groups and client ids may be: without control characters, line separators and surrogates.
NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\u2028\u2029"), min_size=1, max_size=128
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 10**16 - 1)
OFFSETS = st.builds("{}-{}".format, NUMBERS, NUMBERS)
POSITIONS = st.builds(Position, st.from_regex(r"[a-z0-9]{6,16}", fullmatch=True), OFFSETS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.builds(
    PresentMember, NAMES, st.none() | TEXTS, st.lists(NAMES, max_size=3, unique=True).map(tuple), VALUES
)
HELLOS = st.builds(
    Hello,
    client_id=NAMES,
    name=NAMES,
    groups=st.lists(NAMES, max_size=3, unique=True).map(tuple),
    recovered=st.booleans(),
    heartbeat_seconds=st.floats(0.001, 86_400),
    max_message_bytes=st.integers(1, 2**40),
    user=st.none() | TEXTS,
    position=st.none() | POSITIONS,
    resume_token=st.none() | st.from_regex(r"[A-Za-z0-9._-]{1,30}", fullmatch=True) | st.just("x" * 3_000),
    expires_in_seconds=st.none() | st.floats(-100, 1e9) | st.integers(-100, 10**9),
    presence=st.sampled_from([None, "name", "group"]),
)


def signal(data: Any, groups: list[str], offset: str | None, acknowledgement: str | None) -> bytes:
    """A signal as ``signals.send`` makes it."""
    payload = encode(data)
    if payload is None:
        payload = b"null"
    is_text = isinstance(data, str)
    position = None if offset is None else Position("k3v9q2", offset)
    return signals_form(
        Message(payload, is_text=is_text, groups=tuple(groups), position=position, acknowledgement=acknowledgement)
    )


CHANGES = st.tuples(st.lists(MEMBERS, max_size=3).map(tuple), st.lists(NAMES, min_size=1, max_size=3).map(tuple))
FRAMES = {
    "hello": HELLOS.map(Hello.encoded),
    "signal": st.builds(
        signal, VALUES, st.lists(NAMES | st.text(max_size=200), max_size=3), st.none() | OFFSETS, st.none() | IDS
    ),
    "reply": st.builds(reply, IDS, VALUES.map(encode_value)),
    "error": st.builds(error, st.sampled_from(ErrorCode), st.none() | IDS),
    "refusal": st.builds(
        refusal,
        st.builds(ReplyRefused, st.from_regex(r"[a-z][a-z0-9_]{0,59}", fullmatch=True), TEXTS | st.just("x" * 1_024)),
        IDS,
    ),
    "beat": st.builds(beat, st.none() | OFFSETS),
    "members": st.builds(presence_members, NUMBERS, st.lists(MEMBERS, max_size=3).map(tuple), st.none() | NAMES),
    "changes": st.builds(
        lambda seq, change, group: presence_changes(seq, *change, group),
        NUMBERS,
        CHANGES | st.tuples(MEMBERS.map(lambda member: (member,)), st.just(())),
        st.none() | NAMES,
    ),
    "count": st.builds(presence_count, NUMBERS, NUMBERS, st.none() | NAMES),
}


# Each example is one frame of each kind.
@settings(max_examples=40)
@given(st.fixed_dictionaries(FRAMES))
def test_what_the_server_writes_is_valid(frames: dict[str, bytes]) -> None:
    """P13: each frame of the server is valid by the schema, which allows it no unknown field; its type comes first."""
    for frame in frames.values():
        document = json.loads(frame)
        SERVER_FRAME.validate(document)
        assert frame.startswith(b'{"type":"' + document["type"].encode() + b'"')


@pytest.mark.parametrize(
    "document",
    [
        {"type": "beat", "newer": 1},
        {"type": "hello"},
        {"type": "signal"},
        {"type": "signal", "data": 1, "group": []},
        {"type": "error", "code": "lost", "text": ""},
        {"type": "presence", "seq": 1},
        {"type": "presence", "seq": 1, "left": []},
        {"type": "presence", "seq": 1, "members": [{"id": "a", "newer": 1}]},
        {"type": "send", "message": 1},
    ],
)
def test_the_validator_can_fail(document: dict[str, Any]) -> None:
    """P13: what the server must not write is not valid."""
    assert not SERVER_FRAME.is_valid(document)


def test_the_schema_is_one() -> None:
    """P13: the schema is a schema of its draft, and clients are allowed unknown fields."""
    Draft202012Validator.check_schema(SCHEMA)
    assert validator("server").is_valid({"type": "beat", "newer": 1})
    assert CLIENT_FRAME.is_valid({"type": "beat", "newer": 1})


def test_every_error_code_is_in_the_schema() -> None:
    """P13: the schema knows each error code of the server, and the texts have room."""
    for code in ErrorCode:
        SERVER_FRAME.validate(json.loads(error(code)))


# What clients say

GOOD: dict[str, dict[str, Any]] = {
    "send": {
        "type": "send",
        "id": "7",
        "message": {"a": [1]},
        "path": "Msg",
        "group": ["g", 7],
        "clientId": "c",
        "direct": False,
        "traceparent": "00-1-2-03",
        "tracestate": "a=1",
    },
    "ack": {"type": "ack", "id": "n7.12"},
    "clientBeat": {"type": "beat"},
    "refresh": {"type": "refresh", "id": "r1", "token": "t"},
    "watch": {"type": "presence", "watch": True},
}
PROPERTIES = [(name, key) for name in GOOD for key in SCHEMA["$defs"][name]["properties"]]

ID = Draft202012Validator(SCHEMA["$defs"]["id"])

# One value of each type and form that JSON has, with the edges of each length in the schema.
POOL: list[Any] = [
    *(None, True, False, 0, 1, -1, 7, 1.5, 1e300, 2**70, "", " ", "a", "ä", "7", "a b", "a/b", "%41", "a\u2028b"),
    *("x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 8_192, "x" * 8_193, "send", "beat"),
    *([], [1], ["a"], [""], [None], [True], [1.5], [[]], [{}], ["a", None], ["a"] * 100, ["a"] * 101, {}, {"a": 1}),
]


def as_read(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what counts as absent."""
    return {key: value for key, value in document.items() if value is not None}


def outcome(document: Any) -> ClientFrame | tuple[str, str | None]:
    """The frame that a document is, or the code and the id of the error."""
    try:
        return read_frame(json.dumps(document).encode(), max_depth=32, max_keys=1_000)
    except FrameInvalid as invalid:
        return invalid.code.value, invalid.id


def expected_id(document: dict[str, Any]) -> str | None:
    """The id that an error about a document has."""
    found = document.get("id")
    return found if ID.is_valid(found) and document.get("type") != "ack" else None


def is_stricter(document: dict[str, Any]) -> bool:
    """Whether the server may refuse what the schema allows.

    For a schema 1.0 is an integer, and it can't tell which paths are percent-encoded UTF-8.
    """
    groups = [document.get("group"), document.get("clientId")]
    flat = [item for each in groups for item in (each if isinstance(each, list) else [each])]
    return any(isinstance(item, float) for item in flat) or "%" in str(document.get("path"))


def variants(name: str, key: str) -> Iterator[dict[str, Any]]:
    """A good frame with one field left out, or with each other value."""
    good = GOOD[name]
    yield {other: value for other, value in good.items() if other != key}
    for value in POOL:
        yield {**good, key: value}


@pytest.mark.parametrize("name", GOOD)
def test_good_frames(name: str) -> None:
    """P7, P9: a frame that is valid by the schema is taken, with its optional fields and without each of them."""
    properties, required = SCHEMA["$defs"][name]["properties"], SCHEMA["$defs"][name]["required"]
    assert GOOD[name].keys() == properties.keys()
    for left_out in (None, *(key for key in properties if key not in required)):
        document = {key: value for key, value in GOOD[name].items() if key != left_out}
        CLIENT_FRAME.validate(document)
        assert not isinstance(outcome(document), tuple)


@pytest.mark.parametrize(("name", "key"), PROPERTIES)
def test_each_violation(name: str, key: str) -> None:
    """P9: a field of another type, too long, of another form, or left out where it is required, is a bad frame."""
    wrong = [each for each in variants(name, key) if not CLIENT_FRAME.is_valid(as_read(each))]
    assert wrong
    for document in wrong:
        is_known = document.get("type") in ("ack", "beat", "presence", "refresh", "send")
        code = "unknown_type" if isinstance(document.get("type"), str) and not is_known else "bad_frame"
        assert outcome(document) == (code, expected_id(document)), document


@pytest.mark.parametrize(("name", "key"), PROPERTIES)
def test_everything_else_is_taken(name: str, key: str) -> None:
    """P9: a field with any value that the schema allows is taken."""
    good = [each for each in variants(name, key) if CLIENT_FRAME.is_valid(as_read(each)) and not is_stricter(each)]
    assert [document for document in good if isinstance(outcome(document), tuple)] == []


KEYS = sorted({key for _, key in PROPERTIES})
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(POOL) | VALUES, max_size=6).flatmap(
    lambda document: st.sampled_from([document, *({**good, **document} for good in GOOD.values())])
)


@given(DOCUMENTS)
def test_any_document(document: dict[str, Any]) -> None:
    """P9: the schema and the server agree about any document."""
    found = outcome(document)
    if CLIENT_FRAME.is_valid(as_read(document)):
        assert not isinstance(found, tuple) or is_stricter(document)
    else:
        assert found in {(code, expected_id(document)) for code in ("bad_frame", "unknown_type")}
