from __future__ import annotations

import json
import sys
from collections import ChainMap, OrderedDict, UserDict, UserList, deque, namedtuple
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.errors import DataTooDeep, MessageInvalid
from pode_signals.wire.json import decode, encode


def decoded(payload: str | bytes, *, max_depth: int = 32, max_keys: int = 1_000) -> Any:
    """A JSON text, read with the default limits."""
    return decode(payload if isinstance(payload, bytes) else payload.encode(), max_depth, max_keys)


def nested(depth: int) -> str:
    """A message of this depth: the outermost object is 1."""
    return '{"message":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def keyed(keys: int) -> str:
    """A message with so many keys in all."""
    return '{"message":{' + ",".join(f'"k{number}":{number}' for number in range(keys - 1)) + "}}"


BAD = {
    # not JSON
    "nothing": "",
    "a space": " ",
    "a word": "hello",
    "an open object": '{"message":1',
    "an open text": '{"message":"a',
    "two objects": '{"message":1}{"message":2}',
    "a comma at the end": '{"message":1,}',
    "single quotes": "{'message':1}",
    "no quotes": "{message:1}",
    "a comment": '{"message":1}//',
    "a control character": '{"message":"a\nb"}',
    "a form feed around": '\x0c{"message":1}',
    "a NUL": '{"message":1}\x00',
    "a byte order mark": '\ufeff{"message":1}',
    "UTF-16": '{"message":1}'.encode("utf-16"),
    "UTF-16 without mark": '{"message":1}'.encode("utf-16-le"),
    "UTF-32": '{"message":1}'.encode("utf-32"),
    "Latin-1": '{"message":"ä"}'.encode("latin-1"),
    "a surrogate in UTF-8": b'{"message":"\xed\xa0\x80"}',
    "an overlong form": b'{"message":"\xc0\xaf"}',
    "a bad escape": '{"message":"\\x"}',
    "an underscore in a number": '{"message":1_0}',
    "hexadecimal": '{"message":0x10}',
    # NaN, Infinity and numbers that overflow
    "NaN": '{"message":NaN}',
    "Infinity": '{"message":Infinity}',
    "-Infinity": '{"message":[-Infinity]}',
    "1e999": '{"message":1e999}',
    "-1E+999": '{"message":{"a":-1E+999}}',
    "a long fraction": '{"message":' + "9" * 400 + ".0}",
    "NaN that is overwritten": '{"message":NaN,"message":1}',
    "too many digits": '{"message":' + "1" * 5_000 + "}",
    # depth
    "depth 33": nested(33),
    "objects of depth 33": '{"message":' + '{"a":' * 32 + "1" + "}" * 33,
    "depth 33 in an unknown key": '{"message":1,"x":' + "[" * 32 + "]" * 32 + "}",
    "depth 33 that is overwritten": '{"message":' + "[" * 32 + "]" * 32 + ',"message":1}',
    "brackets without end": "[" * 60_000,
    "depth 30,000": "[" * 30_000 + "]" * 30_000,
    "depth 10,000 of objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    # lone surrogates
    "a high surrogate": '{"message":"\\ud800"}',
    "a low surrogate": '{"message":"\\uDFFF"}',
    "a pair the wrong way round": '{"message":"\\ude00\\ud83d"}',
    "a high surrogate before a letter": '{"message":"\\ud83da"}',
    "two high surrogates": '{"message":"\\ud83d\\ud83d\\ude00"}',
    "a surrogate after a backslash": '{"message":"\\\\\\ud800"}',
    "a pair that is interrupted": '{"message":"\\ud83d\\n\\ude00"}',
    "a surrogate over two texts": '{"message":["\\ud83d","\\ude00"]}',
    "a surrogate in a key": '{"message":{"\\ud800":1}}',
    "a surrogate in an unknown key": '{"message":1,"\\udc00":1}',
    "a surrogate in a group": '{"message":1,"group":["\\udc00"]}',
    "a surrogate that is overwritten": '{"message":"\\ud800","message":1}',
    # keys
    "1,001 keys": keyed(1_001),
    "1,001 keys over many objects": '{"message":[' + ",".join(['{"a":1}'] * 1_000) + "]}",
    "1,001 keys that overwrite": '{"message":1' + ',"a":1' * 1_000 + "}",
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD.keys())
def test_bad_documents(payload: str | bytes) -> None:
    """S5.8: what is no JSON within the limits is MessageInvalid."""
    with pytest.raises(MessageInvalid):
        decoded(payload)


GOOD = {
    "depth 32": nested(32),
    "objects of depth 32": '{"message":' + '{"a":' * 31 + "1" + "}" * 32,
    "shallow but wide": '{"message":[' + ",".join(["[]"] * 500) + "]}",
    "brackets in a text": json.dumps({"message": "[{" * 500}),
    "quoted brackets in a text": json.dumps({"message": '\\"[' * 500}),
    "brackets in a key": json.dumps({"message": {"[" * 500: 1}}),
    "1,000 keys": keyed(1_000),
    "colons in a text": json.dumps({"message": ":" * 2_000}),
    "colons in a key": json.dumps({"message": {'":' * 1_000: 1}}),
    "a pair of surrogates": '{"message":"\\ud83d\\ude00"}',
    "pairs in both cases": '{"message":"\\uD83D\\uDE00\\ud83d\\ude00"}',
    "no surrogate but its spelling": '{"message":"\\\\ud800"}',
    "a pair after a backslash": '{"message":"\\\\\\ud83d\\ude00"}',
    "a character just below": '{"message":"\\ud7ff\\ue000"}',
    "a NUL": '{"message":"\\u0000"}',
    "a huge number": '{"message":1e308}',
    "a tiny number": '{"message":1e-999}',
    "4,300 digits": '{"message":' + "1" * 4_300 + "}",
    "white space around": ' \t\r\n{ "message" : 1 }\n',
    "the words in a text": '{"message":"NaN Infinity 1e999"}',
}


@pytest.mark.parametrize("payload", GOOD.values(), ids=GOOD.keys())
def test_good_documents(payload: str) -> None:
    """S5.8: what only looks bad, or just keeps within a limit, is taken as it is."""
    assert decoded(payload) == json.loads(payload)


def test_limits_are_arguments() -> None:
    """S5.8: depth and number of keys are those of the settings."""
    decoded('{"message":1,"a":2}', max_depth=1, max_keys=2)
    with pytest.raises(MessageInvalid, match="deep"):
        decoded('{"message":[]}', max_depth=1)
    with pytest.raises(MessageInvalid, match="keys"):
        decoded('{"message":1,"a":2}', max_keys=1)
    with pytest.raises(MessageInvalid, match="deep"):
        decoded("[" * 200_000, max_depth=1_000_000)


@pytest.mark.parametrize("payload", ['{"message":"secret', b'{"message":"secret\xff"}', '{"message":[secret]}'])
def test_reasons_hold_nothing_of_the_payload(payload: str | bytes) -> None:
    """S5.8: the reason of a refusal repeats nothing of what the client sent, also where it is logged as a cause."""
    with pytest.raises(MessageInvalid) as caught:
        decoded(payload)
    assert "secret" not in caught.value.reason
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def depth_of(value: object) -> int:
    """How deep a value is nested."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def keys_of(value: object) -> int:
    """How many keys a value has in all."""
    if isinstance(value, dict):
        return len(value) + sum(map(keys_of, value.values()))
    return sum(map(keys_of, value)) if isinstance(value, list) else 0


@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_what_json_writes_is_read(value: Any, ascii_only: bool, indent: int | None) -> None:
    """S5.1: whatever a client writes as JSON arrives as the same value."""
    assert decoded(json.dumps(value, ensure_ascii=ascii_only, indent=indent)) == value


@given(values.filter(lambda value: value is not None), st.integers(1, 6), st.integers(1, 12))
def test_depth_and_keys_are_counted_exactly(message: Any, max_depth: int, max_keys: int) -> None:
    """S5.8: the limits hold exactly, whatever texts stand in between."""
    document = {"message": message}
    too_much = depth_of(document) > max_depth or keys_of(document) > max_keys
    try:
        decoded(json.dumps(document), max_depth=max_depth, max_keys=max_keys)
    except MessageInvalid:
        assert too_much
    else:
        assert not too_much


@given(st.text(st.sampled_from('\\ud83deDE0a0nr"')))
def test_lone_surrogates_are_found_exactly(escaped: str) -> None:
    """S5.8: of valid JSON texts, those with a lone surrogate are refused and no others."""
    payload = '{"message":"' + escaped + '"}'
    try:
        expected = json.loads(payload)["message"]
    except ValueError:
        expected = None
    lone = expected is None or any("\ud800" <= letter <= "\udfff" for letter in expected)
    try:
        found = decoded(payload)["message"]
    except MessageInvalid:
        assert lone
    else:
        assert not lone
        assert found == expected


@given(st.binary() | st.text(st.sampled_from('{}[]":,message0.e-+\\u d8"truefalsn')).map(str.encode))
def test_no_payload_makes_it_raise_anything_else(payload: bytes) -> None:
    """S5.8: whatever bytes come, there is a document or MessageInvalid."""
    with suppress(MessageInvalid):
        decoded(payload)


class Colour(Enum):
    """An enumeration whose values are texts."""

    RED = "red"


class Number(IntEnum):
    """One of integers."""

    SEVEN = 7


class Word(StrEnum):
    """One of texts that are texts themselves."""

    HELLO = "hello"


class Wrapped(Enum):
    """One whose value needs a form of its own."""

    DAY = date(2024, 2, 29)


class Bits(Flag):
    """Flags."""

    A = 1
    B = 2


@dataclass
class Point:
    """A dataclass with a field that is no argument, and a variable that is no field."""

    x: int
    y: Any
    total: int = field(init=False)
    origin: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self.total = self.x + 1


@attrs.frozen
class Place:
    """An attrs class."""

    name: str
    at: Any = None


Pair = namedtuple("Pair", ["a", "b"])

IDENTITY = UUID("5d12f974-7b1a-4524-ab93-6afbf42c4ffa")
ENCODED = {
    "text": ("hello", "hello"),
    "text that looks like JSON": ('{"a": 1}', '{"a": 1}'),
    "text beyond ASCII": ("ä😀\u2028", "ä😀\u2028"),
    "a subclass of text": (type("Text", (str,), {})("hello"), "hello"),
    "an enumerated text": (Word.HELLO, "hello"),
    "true": (True, "true"),
    "false": (False, "false"),
    "zero": (0, "0"),
    "a large integer": (10**30, "1" + "0" * 30),
    "a fraction": (0.5, "0.5"),
    "an object": ({"a": 1, "b": [1, 2, {"c": None}]}, '{"a":1,"b":[1,2,{"c":null}]}'),
    "an empty object": ({}, "{}"),
    "a list": ([1, "a", None], '[1,"a",null]'),
    "a list of nothing": ([None], "[null]"),
    "a list of an empty text": ([""], '[""]'),
    "a tuple": ((1, (2,)), "[1,[2]]"),
    "text inside": (['ä😀\u2028\n"\\\x7f'], '["ä😀\u2028\\n\\"\\\\\x7f"]'),
    "a named tuple": (Pair(1, 2), "[1,2]"),
    "a deque": (deque([1]), "[1]"),
    "a range": (range(3), "[0,1,2]"),
    "an empty range": (range(0), "[]"),
    "a user's list": (UserList([1]), "[1]"),
    "an ordered dict": (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
    "a mapping proxy": (MappingProxyType({"a": MappingProxyType({})}), '{"a":{}}'),
    "a user's dict": (UserDict({"a": 1}), '{"a":1}'),
    "a chain of dicts": (ChainMap({"a": 1}), '{"a":1}'),
    "a naive datetime": (datetime(2024, 2, 29, 12, 30, 0, 5), '"2024-02-29T12:30:00.000005"'),  # noqa: DTZ001
    "a datetime": (datetime(2024, 2, 29, tzinfo=timezone.utc), '"2024-02-29T00:00:00+00:00"'),  # noqa: UP017
    "a datetime elsewhere": (
        datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
        '"2024-02-29T00:00:00-03:30"',
    ),
    "a date": (date(2024, 2, 29), '"2024-02-29"'),
    "a time": (time(12, 30), '"12:30:00"'),
    "a UUID": (IDENTITY, f'"{IDENTITY}"'),
    "an enum": (Colour.RED, '"red"'),
    "an enum of integers": (Number.SEVEN, "7"),
    "an enum of dates": (Wrapped.DAY, '"2024-02-29"'),
    "flags": (Bits.A | Bits.B, "3"),
    "a dataclass": (Point(1, Colour.RED), '{"x":1,"y":"red","total":2}'),
    "dataclasses within": (Point(1, [Point(2, None)]), '{"x":1,"y":[{"x":2,"y":null,"total":3}],"total":2}'),
    "an attrs class": (Place("here", Place("there")), '{"name":"here","at":{"name":"there","at":null}}'),
    "all within": (
        {"when": date(2024, 2, 29), "who": [IDENTITY], "what": (Colour.RED, Number.SEVEN, Word.HELLO)},
        f'{{"when":"2024-02-29","who":["{IDENTITY}"],"what":["red",7,"hello"]}}',
    ),
    "keys as json has them": ({2: "a", 0.5: "b", None: "c", True: "d"}, None),
    "a UUID as key": ({IDENTITY: 1}, f'{{"{IDENTITY}":1}}'),
    "an enum as key": ({Colour.RED: {Number.SEVEN: 1}}, '{"red":{"7":1}}'),
    "an enumerated text as key": ({Word.HELLO: 1}, '{"hello":1}'),
    "such a key deep within": (
        {"a": [1, ({Colour.RED: date(2024, 2, 29)},), None, "b", 0.5], "p": Point(1, {IDENTITY: deque([True])})},
        f'{{"a":[1,[{{"red":"2024-02-29"}}],null,"b",0.5],"p":{{"x":1,"y":{{"{IDENTITY}":[true]}},"total":2}}}}',
    ),
    "such a key in a mapping": (MappingProxyType({Colour.RED: 1}), '{"red":1}'),
}


@pytest.mark.parametrize(("data", "expected"), ENCODED.values(), ids=ENCODED.keys())
def test_encoding(data: object, expected: str | None) -> None:
    """S6.3: text goes out as it is, and each type that has a JSON form as compact JSON."""
    encoded = encode(data)
    assert encoded is not None
    assert encoded.decode() == (expected if expected is not None else json.dumps(data, separators=(",", ":")))


@pytest.mark.parametrize("data", [None, "", [], ()])
def test_nothing_to_send(data: object) -> None:
    """S4.1: None, an empty text and an empty list send nothing."""
    assert encode(data) is None
    assert encode(data, depth=0) is None


@given(values)
def test_what_was_encoded_comes_back(data: Any) -> None:
    """S6.3: JSON that goes out is UTF-8 and reads as the same value."""
    if data in (None, "", []):
        assert encode(data) is None
        return
    encoded = encode([data])
    assert encoded is not None
    assert json.loads(encoded.decode()) == [data]


class Opaque:
    """A type without a JSON form."""


NO_FORM = {
    "an object": Opaque(),
    "bytes": b"a",
    "empty bytes": b"",
    "a bytearray": bytearray(b"a"),
    "a memoryview": memoryview(b"a"),
    "a set": {1},
    "a frozenset": frozenset({1}),
    "a Decimal": Decimal("1.5"),
    "a timedelta": timedelta(1),
    "a complex number": 1j,
    "an iterator": iter([1]),
    "a view": {"a": 1}.keys(),
    "a function": encode,
    "a class": Opaque,
    "a dataclass itself": Point,
    "an attrs class itself": Place,
    "an exception": ValueError("secret"),
    "a key that is a tuple": {(1, 2): 3},
    "a key that is a date": {date(2024, 2, 29): 1},
    "a key that is bytes": {b"a": 1},
    "an enum key whose value is no key": {Wrapped.DAY: 1},
}


@pytest.mark.parametrize("data", NO_FORM.values(), ids=NO_FORM.keys())
def test_what_has_no_form(data: object) -> None:
    """S6.3: a type without a JSON form is a TypeError, also deep within."""
    for value in (data, [data], {"a": {"b": data}}, Point(1, data)):
        with pytest.raises(TypeError) as caught:
            encode(value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_not_a_number(number: float) -> None:
    """S6.3: NaN and Infinity are a ValueError, also as keys and beside a key that needs a form of its own."""
    for value in (number, [number], {"a": number}, {number: 1}, Point(1, number), {IDENTITY: number}):
        with pytest.raises(ValueError, match=r"JSON|float"):
            encode(value)


@pytest.mark.parametrize("data", ["\ud800", ["a\udfff"], {"\ud800": 1}, Point(1, "\ud83d")], ids=ascii)
def test_lone_surrogates(data: object) -> None:
    """S6.3: a lone surrogate is a ValueError that says so."""
    with pytest.raises(ValueError, match="surrogate") as caught:
        encode(data)
    assert not isinstance(caught.value, UnicodeError)


def test_too_large_an_integer() -> None:
    """S6.3: an integer with more digits than Python writes is a ValueError."""
    with pytest.raises(ValueError, match="digits"):
        encode([10 ** (sys.get_int_max_str_digits() + 1)])


def circular() -> dict[str, object]:
    """Data that hold themselves, in several ways."""
    as_list: list[object] = []
    as_list.append(as_list)
    as_dict: dict[str, object] = {}
    as_dict["a"] = [as_dict]
    as_fields = Point(1, None)
    as_fields.y = [as_fields]
    beside_a_key: dict[object, object] = {IDENTITY: 1}
    beside_a_key["a"] = beside_a_key
    return {"list": as_list, "dict": as_dict, "dataclass": as_fields, "key": beside_a_key}


@pytest.mark.parametrize("kind", ["list", "dict", "dataclass", "key"])
def test_circular_data(kind: str) -> None:
    """S6.3: data that hold themselves are a ValueError."""
    with pytest.raises(ValueError, match=r"(?i)circular"):
        encode(circular()[kind])


@pytest.mark.parametrize("form", [lambda inner: [inner], lambda inner: {IDENTITY: inner}, lambda inner: deque([inner])])
def test_too_deep_for_python(form: Any) -> None:
    """S6.3: data too deep to be written are a ValueError, never a RecursionError, whether or not a depth is given."""
    data: object = 1
    for _ in range(200_000):
        data = form(data)
    for depth in (None, 10):
        with pytest.raises(ValueError, match="deep"):
            encode(data, depth=depth)
    while not isinstance(data, int):  # taken apart from outside, or freeing it would recurse
        data = data[IDENTITY] if isinstance(data, dict) else data[0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("data", "depth"),
    [
        (1, 0),
        ("[[[", 0),
        (Colour.RED, 0),
        ({}, 1),
        ([1, 2], 1),
        ({"a": "[{"}, 1),
        ({"[": '\\"['}, 1),
        ({"a": []}, 2),
        ([{}, [], {"a": 1}], 2),
        (Point(1, [2]), 2),
        ({"a": [{"b": ({},)}]}, 5),
    ],
)
def test_depth(data: object, depth: int) -> None:
    """S6.3: a depth refuses what is nested deeper, and changes nothing of the rest."""
    assert encode(data, depth=depth) == encode(data, depth=depth + 1) == encode(data)
    if depth:
        with pytest.raises(DataTooDeep) as caught:
            encode(data, depth=depth - 1)
        assert caught.value.depth == depth - 1
        assert isinstance(caught.value, ValueError)


@given(values, st.integers(0, 5))
def test_depth_is_counted_exactly(data: Any, depth: int) -> None:
    """S6.3: data are refused exactly where they are nested deeper."""
    try:
        encode(data, depth=depth)
    except DataTooDeep:
        assert depth_of(data) > depth
    else:
        assert data in (None, "", []) or depth_of(data) <= depth
