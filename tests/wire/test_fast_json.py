"""JSON the quick ways and the careful way: whatever goes in, all ways have the same outcome."""

from __future__ import annotations

import enum
import json
import subprocess
import sys
from collections import Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque, namedtuple
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType, SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.wire import fast_json as quick_json
from pode_signals.wire import json as codec
from pode_signals.wire.client_frames import FrameInvalid, read_frame
from pode_signals.wire.json import encode, encode_value
from pode_signals.wire.message import Message
from pode_signals.wire.plain import decode_client_message
from pode_signals.wire.v1 import signals_form

WAYS = ("orjson", "json", "careful")


@contextmanager
def way(name: str) -> Iterator[None]:
    """Have the codec take one way, whatever is installed or asked for."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(quick_json, "_LIBRARY", orjson if name == "orjson" else None))
        patches.enter_context(patch.object(quick_json, "_loads", orjson.loads if name == "orjson" else None))
        loads, encoder = {
            "orjson": (quick_json._orjson_loads, quick_json._orjson_encoder),
            "json": (quick_json._stdlib_loads, quick_json._stdlib_encoder),
            "careful": (quick_json._never_sure, lambda _default: quick_json._nothing),
        }[name]
        patches.enter_context(patch.object(codec, "quick_loads", loads))
        patches.enter_context(patch.object(codec, "_quick_encode", encoder(codec._plain)))
        yield


def outcome_of(function: Any, *args: Any, **kwargs: Any) -> tuple[str, Any]:
    """What a call gives, or what it raises."""
    try:
        return ("gives", function(*args, **kwargs))
    except Exception as error:  # noqa: BLE001  # whatever it is, it has to be the same
        return ("raises", type(error))


def spelled(value: Any) -> Any:
    """A value that compares types too, the order of keys, and the sign of zero."""
    if isinstance(value, dict):
        return ["dict", *((spelled(key), spelled(item)) for key, item in value.items())]
    if isinstance(value, list):
        return ["list", *map(spelled, value)]
    return (type(value).__name__, repr(value))


def read(payload: bytes) -> tuple[str, Any]:
    """What the codec makes of a payload."""
    kind, found = outcome_of(decode_client_message, payload, max_depth=32, max_keys=1_000)
    if kind == "raises":
        return kind, found
    return kind, (spelled(found.message), found.path, found.group, found.client_id, found.direct)


def written(data: object, depth: int | None = None) -> tuple[str, Any]:
    """What the codec makes of data; numbers are read again where they may be spelled in two ways."""
    kind, found = outcome_of(encode, data, depth=depth)
    if kind == "gives" and isinstance(found, bytes) and not isinstance(data, str):
        return kind, (spelled(json.loads(found)), len(json.dumps(json.loads(found))))
    return kind, found


def outcomes(function: Any, *args: Any) -> list[Any]:
    """What each way gives."""
    found = []
    for name in WAYS:
        with way(name):
            found.append(function(*args))
    return found


def agree(function: Any, *args: Any) -> Any:
    """What all ways give; the test fails where one differs."""
    found = outcomes(function, *args)
    assert found[0] == found[1] == found[2], dict(zip(WAYS, found, strict=True))
    return found[0]


# Texts in.


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """A message with a value of this depth."""
    return '{"message":' + opening * depth + "1" * (opening != "[") + closing * depth + "}"


GOOD_TEXTS = [
    '{"message":1}',
    '{"message":-0}',
    '{"message":-0.0}',
    '{"message":0.1}',
    '{"message":1e5}',
    '{"message":1E-5}',
    '{"message":1e-999}',
    '{"message":-1e-999}',
    '{"message":1.7976931348623157e308}',
    '{"message":5e-324}',
    '{"message":0.10000000000000000555}',
    '{"message":9007199254740993}',
    '{"message":999999999999999999}',
    '{"message":9223372036854775807}',
    '{"message":9223372036854775808}',
    '{"message":-9223372036854775809}',
    '{"message":18446744073709551615}',
    '{"message":18446744073709551616}',
    '{"message":[1,-100000000000000000000000000000000000000]}',
    '{"message":' + "9" * 4_300 + "}",
    '{"message":"' + "9" * 5_000 + '"}',
    '{"message":"NaN Infinity -Infinity 1e999 null"}',
    '{"message":"\\ud83d\\ude00"}',
    '{"message":"\\uD83D\\uDE00 \\\\ud800"}',
    '{"message":"\\u0000\\b\\f\\n\\r\\t\\/\\"\\\\"}',
    '{"message":"\x7f\u2028\ufeff\U0010ffff"}',
    '{"message":"a","message":"b"}',
    '{"message":1,"message":{"k":1,"l":2,"k":3}}',
    '{"message":{"a":1,"b":2,"a":3}}',
    '{"message":{"":{"":[]}}}',
    '{"message":{"__proto__":null}}',
    '{"message":false,"direct":true}',
    '{"message":"m","path":"a%20b","group":["g",1],"clientId":"c","direct":false}',
    '{"message":"m","group":99999999999999999999}',
    '{"Message":"m","GROUP":"g"}',
    '{"message":"m","other":1e5}',
    '{"message":"m"} \r\n\t',
    ' \r\n\t{ "message" : [ 1 , 2 ] }',
    nested(31),
    nested(31, '{"k":', "}"),
]

BAD_TEXTS = [
    "",
    " ",
    "{",
    "[]",
    "null",
    "1",
    '"message"',
    "{}",
    '{"message":null}',
    '{"message":1}}',
    '{"message":1}{"message":2}',
    '{"message":1,}',
    "{'message':1}",
    "{message:1}",
    '{"message":01}',
    '{"message":1.}',
    '{"message":.5}',
    '{"message":+1}',
    '{"message":-}',
    '{"message":0x1}',
    '{"message":1_000}',
    '{"message":True}',
    '{"message":undefined}',
    '{"message":[1 2]}',
    '{"message":"a\nb"}',
    '{"message":"a\tb"}',
    '{"message":"\0"}',
    '{"message":"\\x41"}',
    '{"message":"\\u12"}',
    '{"message":"\\u00zz"}',
    '{"message":"',
    '{"message":NaN}',
    '{"message":Infinity}',
    '{"message":-Infinity}',
    '{"message":nan}',
    '{"message":[{"a":[NaN]}]}',
    '{"message":{"a":-Infinity},"path":"p"}',
    '{"message":1,"other":NaN}',
    '{"message":1e999}',
    '{"message":-1e999}',
    '{"message":[1E+400]}',
    '{"message":1,"other":{"a":1e309}}',
    '{"message":' + "9" * 400 + ".0}",
    '{"message":' + "9" * 4_301 + "}",
    '{"message":-' + "9" * 4_301 + "}",
    '{"message":"\\ud800"}',
    '{"message":"\\uDFFF"}',
    '{"message":"\\udc00\\ud800"}',
    '{"message":{"\\ud800":1}}',
    '{"message":1,"other":"\\ud800"}',
    '{"message":1,"message":2,"direct":"false"}',
    '{"message":1,"direct":1}',
    '{"message":1,"direct":0.0}',
    '{"message":1,"path":1}',
    '{"message":1,"path":"%ff"}',
    '{"message":1,"group":[""]}',
    '{"message":1,"group":1.0}',
    '{"message":1,"clientId":[null]}',
    '{"message":1,"clientId":{}}',
    "\ufeff" + '{"message":1}',
    "\u00a0" + '{"message":1}',
    '\x0c{"message":1}',
    '{"message":1}\x00',
    nested(32),
    nested(1_100),
    nested(100_000),
    nested(100_000, '{"k":', "}"),
    "[" * 100_000,
    '{"message":{' + ",".join(f'"k{number}":1' for number in range(1_000)) + "}}",
    '{"message":{' + ",".join('"k":1' for _ in range(1_000)) + "}}",
]

BAD_BYTES = [
    b"\xff",
    b'{"message":"\xff"}',
    b'{"message":"\xed\xa0\x80"}',
    b'{"message":"\xc0\xaf"}',
    b'{"message":"\xf4\x90\x80\x80"}',
]
BAD_BYTES += ['{"message":1}'.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig")]


@pytest.mark.parametrize("text", GOOD_TEXTS, ids=lambda text: text[:40])
def test_good_texts(text: str) -> None:
    """S5.8: what is a message is the same one each way, by type, order of keys and sign of zero."""
    assert agree(read, text.encode("utf-8"))[0] == "gives"


@pytest.mark.parametrize(
    "payload", [*(text.encode("utf-8") for text in BAD_TEXTS), *BAD_BYTES], ids=lambda payload: repr(payload[:40])
)
def test_bad_texts(payload: bytes) -> None:
    """S5.8: what is no message is refused each way, with the same error."""
    assert agree(read, payload) == ("raises", codec.MessageInvalid)


def test_the_last_of_duplicate_keys_wins() -> None:
    """S5.8: a key twice: the last one wins, in the place of the first."""
    assert agree(read, b'{"message":{"a":1,"b":2,"a":3}}')[1][0] == spelled({"a": 3, "b": 2})


def test_each_way_is_taken() -> None:
    """S5.8: most messages are read without the careful way, so that the table above compares something."""
    for name in ("orjson", "json"):
        with way(name), patch.object(codec, "_DECODER", None), patch.object(codec, "_ENCODER", None):
            assert read(b'{"message":{"a":[1,2.5,"b",true,null]}}')[0] == "gives"
            assert encode({"a": [1, 2.5, "b", True, datetime(2026, 1, 2, tzinfo=UTC)]})


# Data out.


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Keyed(dict[Any, Any]):
    pass


class Listed(list[Any]):
    pass


class Plain(enum.Enum):
    A = "a"
    N = None
    L = [1, {"b": 2}]  # noqa: RUF012  # the value of a member


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


class Mixed(str, enum.Enum):  # noqa: UP042  # as people wrote before StrEnum
    A = "a"


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Odd(enum.Flag):
    A = 1


@dataclass
class Point:
    x: int
    more: Any = None
    hidden: int = field(default=3, repr=False)


@dataclass(slots=True, frozen=True)
class Slotted:
    x: int


@dataclass
class KeyedPoint(dict[Any, Any]):
    x: int = 1


@attrs.define
class Shape:
    name: str
    _inner: Any = None


@attrs.define
class ListedShape(list[Any]):
    name: str = "n"


@attrs.define
class Unset:
    name: str = attrs.field(init=False)


class Raising(UserDict[Any, Any]):
    def __getitem__(self, key: object) -> Any:
        raise LookupError


Pair = namedtuple("Pair", "a b")
ID = UUID("00000000-0000-4000-8000-000000000000")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


def deep(depth: int, wrap: Any = lambda inner: [inner]) -> Any:
    """Data of this depth."""
    data: Any = 1
    for _ in range(depth):
        data = wrap(data)
    return data


def circular_list() -> Any:
    data: list[Any] = []
    data.append(data)
    return data


def circular_dict() -> Any:
    data: dict[str, Any] = {}
    data["a"] = [data, data]
    return data


def circular_dataclass() -> Any:
    data = Point(1)
    data.more = data
    return data


GOOD_DATA: list[Any] = [
    1,
    True,
    False,
    0.1,
    -0.0,
    1e16,
    1e-7,
    5e-324,
    1.7976931348623157e308,
    {},
    [0],
    (1, (2,)),
    [None],
    {"a": None},
    {"a": {"b": [None, [None]]}},
    ["null", "NaN", '\0\x1f\x7f\u2028\U0010ffff"\\/'],
    [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**4_000],
    {1: "int", 1.5: "float", False: "bool", None: "none", "s": "str"},
    {2**70: 1},
    {ID: 1, Plain.A: 2},
    {Number.ONE: 1, Word.A: 2, Mixed.A: 3},
    {"1": "text", 1: "int"},
    {Text("k"): Text("v")},
    [{"a": {ID: {1: [Point(1)]}}}],
    [Text("ab"), Text("")],
    [Whole(3), Real(1.5), Real(-0.0), Keyed(a=1), Listed([1]), Listed()],
    [Plain.A, Plain.N, Plain.L],
    Plain.L,
    [Number.ONE, Word.A, Mixed.A, Bits.A | Bits.B, Odd.A],
    Number.ONE,
    [Point(1, Point(2, [Shape("s")])), Slotted(1), Shape("s", Point(1))],
    Point(1),
    Slotted(1),
    Shape("s"),
    [KeyedPoint(), ListedShape()],
    Pair(1, Pair(2, None)),
    [OrderedDict(b=1, a=2), defaultdict(list, a=[1]), Counter("aab")],
    [MappingProxyType({"a": 1}), UserDict(a=1), UserList([1]), deque([1])],
    range(3),
    [
        MOMENT,
        MOMENT.replace(tzinfo=None),
        MOMENT.replace(microsecond=0),
        date(2026, 1, 2),
        time(3, 4),
        time(3, 4, tzinfo=UTC),
    ],
    MOMENT,
    ID,
    [ID],
    deep(100),
    deep(240, lambda inner: {"k": inner}),
    deep(60, lambda inner: Point(1, inner)),
    Text("sent as it is"),
    Word.A,
    "text",
]

BAD_DATA: list[tuple[Any, type[Exception]]] = [
    (float("nan"), ValueError),
    ([float("inf")], ValueError),
    ({"a": [{"b": float("-inf")}]}, ValueError),
    ([Real("nan")], ValueError),
    ([None, float("nan")], ValueError),
    ({float("nan"): 1}, ValueError),
    (Point(1, float("nan")), ValueError),
    ([Shape("s", float("inf"))], ValueError),
    ("\ud800", ValueError),
    (["\ud800"], ValueError),
    ({"\udfff": 1}, ValueError),
    ([Text("\ud800")], ValueError),
    (Point(1, "\ud800"), ValueError),
    (b"bytes", TypeError),
    ([b"bytes"], TypeError),
    ([bytearray(b"b")], TypeError),
    ([memoryview(b"b")], TypeError),
    ({1, 2}, TypeError),
    ([frozenset()], TypeError),
    ([Decimal("1.5")], TypeError),
    ([Fraction(1, 2)], TypeError),
    ([1j], TypeError),
    ([timedelta(1)], TypeError),
    ([object()], TypeError),
    ([Point], TypeError),
    ([int], TypeError),
    ([Plain], TypeError),
    ([len], TypeError),
    ([iter([])], TypeError),
    ([SimpleNamespace(a=1)], TypeError),
    ([...], TypeError),
    ({(1, 2): 1}, TypeError),
    ({b"k": 1}, TypeError),
    ({MOMENT: 1}, TypeError),
    ({Pair(1, 2): 1}, TypeError),
    ([{"a": {object(): 1}}], TypeError),
    (Point(1, {1, 2}), TypeError),
    ([Unset()], AttributeError),
    ([Raising(a=1)], LookupError),
    ([UserString("ab")], TypeError),
    (UserString("ab"), TypeError),
    ({UUID(int=7): {"k": UserString("")}}, TypeError),
    (circular_list(), ValueError),
    (circular_dict(), ValueError),
    (circular_dataclass(), ValueError),
    (deep(100_000), ValueError),
    (deep(100_000, lambda inner: {"k": inner}), ValueError),
    ([10**5_000], ValueError),
]


@pytest.mark.parametrize("data", GOOD_DATA, ids=lambda data: repr(data)[:40])
def test_good_data(data: object) -> None:
    """S6.3: what has a JSON form has the same one each way; how a float is spelled may differ."""
    assert agree(written, data)[0] == "gives"


@pytest.mark.parametrize(("data", "error"), BAD_DATA, ids=[str(number) for number in range(len(BAD_DATA))])
def test_bad_data(data: object, error: type[Exception]) -> None:
    """S6.3: what has none raises the same each way."""
    assert agree(written, data) == ("raises", error)


@pytest.mark.parametrize("data", [None, "", [], ()])
def test_nothing_to_send(data: object) -> None:
    """S4.1: None, an empty text and an empty list are nothing to send."""
    assert agree(written, data) == ("gives", None)


@pytest.mark.parametrize(
    "data", [data for data in GOOD_DATA if "e" not in repr(data)], ids=lambda data: repr(data)[:40]
)
def test_bytes(data: object) -> None:
    """S6.3: where no float has an exponent, each way writes the same bytes."""
    assert agree(encode, data)


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_depth(depth: int) -> None:
    """S4.1: a depth refuses the same data each way."""
    for data in (1, [1], [[1]], {"a": {"b": {"c": "[[[["}}}, Point(1, Point(2))):
        agree(written, data, depth)


def test_a_member_with_a_text_and_another_value() -> None:
    """S6.3: the one difference: of a member that is a text and has another value, orjson takes the value."""

    class Labelled(str, enum.Enum):  # noqa: UP042  # a StrEnum can do this too
        A = "a", "the label"

        def __new__(cls, text: str, label: str) -> Labelled:
            member = str.__new__(cls, text)
            member._value_ = label
            return member

    assert outcomes(encode, [Labelled.A]) == [b'["the label"]', b'["a"]', b'["a"]']


# Whatever Hypothesis finds.

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text()
    | st.sampled_from(["null", "NaN", "\ud800", "[", '{"', "\\ud83d"])
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)
DATA = st.recursive(
    LEAVES
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.uuids()
    | st.binary(max_size=3)
    | st.decimals()
    | st.sampled_from([*Plain, *Number, *Word, *Mixed, *Bits, Odd.A, Text("t"), Whole(7), Real(1.5), {1}]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.text(max_size=5)
            | st.integers()
            | st.floats()
            | st.none()
            | st.uuids()
            | st.sampled_from([Plain.A, Text("k"), b"k"]),
            inner,
            max_size=4,
        )
        | st.builds(Point, st.integers(), inner)
        | st.builds(Shape, st.text(max_size=3), inner)
        | st.builds(Pair, inner, inner)
        | st.builds(Listed, st.lists(inner, max_size=3))
        | st.builds(OrderedDict, st.dictionaries(st.text(max_size=3), inner, max_size=3))
    ),
    max_leaves=15,
)


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]))
def test_any_document(document: object, ascii_only: bool, indent: int | None) -> None:
    """S5.8: any JSON document, and many that are none, are the same message each way."""
    text = json.dumps({"message": document}, ensure_ascii=ascii_only, indent=indent)
    agree(read, text.encode("utf-8", "surrogatepass"))


@given(DOCUMENTS, st.data())
def test_any_document_with_a_mistake(document: object, data: st.DataObject) -> None:
    """S5.8: a document with a byte changed, left out or put in is the same each way, good or bad."""
    payload = json.dumps({"message": document}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    at = data.draw(st.integers(0, len(payload)))
    put_in = data.draw(
        st.binary(max_size=1) | st.sampled_from([b"1e9", b'"', b"[", b"}", b"\\", b"-", b".", b"0", b"e"])
    )
    left_out = data.draw(st.integers(0, 2))
    agree(read, payload[:at] + put_in + payload[at + left_out :])


@given(st.text(alphabet="0123456789+-.eE", min_size=1, max_size=30))
def test_any_number(digits: str) -> None:
    """S5.8: whatever looks like a number is the same one each way, or none."""
    agree(read, b'{"message":' + digits.encode() + b"}")


@given(DATA)
def test_any_data(data: object) -> None:
    """S6.3: any data has the same JSON each way, or raises the same."""
    agree(written, data)


@given(DATA, st.integers(0, 4))
def test_any_data_and_depth(data: object, depth: int) -> None:
    """S4.1: a depth holds for any data, each way."""
    agree(written, data, depth)


# Frames of ``pode.signals.v1``.


def read_v1(payload: bytes) -> tuple[str, Any]:
    """What a frame of a client is read as, or the error."""
    try:
        return "gives", spelled(attrs.asdict(read_frame(payload, max_depth=8, max_keys=20)))
    except FrameInvalid as invalid:
        return "raises", (invalid.code, invalid.reason, invalid.id, invalid.limit)


@given(
    DOCUMENTS,
    st.fixed_dictionaries(
        {}, optional={"id": st.sampled_from(["7", "", 7, "\ud800"]), "group": DOCUMENTS, "token": DOCUMENTS}
    ),
    st.sampled_from(["send", "ack", "refresh", "presence", "newer", 7]),
    st.data(),
)
def test_any_frame(message: object, rest: dict[str, Any], kind: object, data: st.DataObject) -> None:
    """S5.8, P9: any frame, whole or with a byte changed, is read alike each way, or is the same error."""
    text = json.dumps({"type": kind, "message": message, **rest}, ensure_ascii=False)
    payload = text.encode("utf-8", "surrogatepass")
    agree(read_v1, payload)
    at = data.draw(st.integers(0, len(payload)))
    put_in = data.draw(st.binary(max_size=1) | st.sampled_from([b"1e999", b'"', b"[", b"}", b"\\", b"NaN", b"e"]))
    agree(read_v1, payload[:at] + put_in + payload[at + data.draw(st.integers(0, 2)) :])


def value_written(data: object) -> tuple[str, Any]:
    """What data are as a value in a frame; numbers are read again where they may be spelled in two ways."""
    kind, found = outcome_of(encode_value, data)
    return (kind, spelled(json.loads(found))) if kind == "gives" else (kind, found)


@given(DATA)
def test_any_value_in_a_frame(data: object) -> None:
    """S6.3, P25: any data is the same value in a frame each way, or raises the same."""
    agree(value_written, data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, b"null"),
        ("", b'""'),
        ([], b"[]"),
        ((), b"[]"),
        ("a\n", b'"a\\n"'),
        (Text("t"), b'"t"'),
        (Word.A, b'"a"'),
        (ID, None),
    ],
)
def test_values_in_frames(data: object, expected: bytes | None) -> None:
    """P25: None is null, a text is a JSON string, and nothing is left out."""
    assert agree(encode_value, data) == (expected or f'"{ID}"'.encode())


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.lists(st.text(), max_size=2).map(tuple))
def test_any_text_in_a_signal(text: str, groups: tuple[str, ...]) -> None:
    """P6: a text, and the groups beside it, are the same bytes each way."""
    agree(lambda: signals_form(Message(text.encode(), is_text=True, groups=groups)))


# Which way is taken.


@pytest.mark.parametrize(("before", "expected"), [("", "orjson"), ("sys.modules['orjson'] = None", "json")])
@pytest.mark.parametrize("wanted", ["on", "off"])
def test_what_is_used(before: str, expected: str, wanted: str) -> None:
    """S6.3: orjson where it is installed; neither it nor json's quick way where PODE_SIGNALS_FAST is off."""
    program = f"""
import os, sys
os.environ["PODE_SIGNALS_FAST"] = {wanted!r}
{before}
from pode_signals.wire import fast_json as quick_json
from pode_signals.wire.json import encode
print(quick_json.LIBRARY, quick_json.quick_loads.__name__, encode({{"a": [1]}}).decode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    used = {"orjson": "_orjson_loads", "json": "_stdlib_loads"}[expected]
    assert done.stdout.split() == (
        ["json", "_never_sure", '{"a":[1]}'] if wanted == "off" else [expected, used, '{"a":[1]}']
    )


def test_without_the_encoder_in_c() -> None:
    """S6.3: a Python without json's encoder in C takes the careful way."""
    with patch.object(quick_json.json_encoder, "c_make_encoder", None):
        assert quick_json._stdlib_encoder(codec._plain) is quick_json._nothing
