"""What clients of ``pode.signals.v1`` read, whatever a server sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.history import Position
from pode_signals.errors import ReplyRefused
from pode_signals.wire.json import encode_value
from pode_signals.wire.message import Message
from pode_signals.wire.server_frames import (
    ErrorFrame,
    PresenceFrame,
    Reply,
    ServerBeat,
    ServerFrameInvalid,
    Signal,
    read_server_frame,
)
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

ADA = PresentMember("ada", "Ada", ("kitchen",), {"color": "red"})
BOB = PresentMember("bob")
SHORT_HELLO = Hello("ada", "Room", (), False, 25, 65_536)
LONG_HELLO = Hello(
    "ada", "Room", ("kitchen", "attic"), True, 25, 65_536, "Ada", Position("k3v9q2", "41-7"), "t.o-k_n", 3.5, "group"
)


def read(**document: Any) -> Any:
    """What a text of this document is read as."""
    return read_server_frame(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (SHORT_HELLO.encoded(), SHORT_HELLO),
        (LONG_HELLO.encoded(), LONG_HELLO),
        (signals_form(Message(b'{"a":1}', groups=("kitchen",))), Signal({"a": 1}, ("kitchen",))),
        (reply("7", encode_value(None)), Reply("7", None)),
        (reply("7", encode_value([1])), Reply("7", [1])),
        (error(ErrorCode.FAILED, "8"), ErrorFrame("failed", ErrorCode.FAILED.text, "8")),
        (error(ErrorCode.BAD_FRAME), ErrorFrame("bad_frame", ErrorCode.BAD_FRAME.text)),
        (refusal(ReplyRefused("taken", "Taken."), "8"), ErrorFrame("app.taken", "Taken.", "8")),
        (beat(), ServerBeat()),
        (beat("44-7"), ServerBeat("44-7")),
        (presence_members(7, (ADA, BOB)), PresenceFrame(7, members=(ADA, BOB))),
        (presence_members(7, ()), PresenceFrame(7, members=())),
        (presence_changes(8, (BOB,), ("ada",), "kitchen"), PresenceFrame(8, "kitchen", None, (BOB,), ("ada",))),
        (presence_count(9, 251), PresenceFrame(9, count=251)),
    ],
)
def test_what_the_server_writes_is_read(written: bytes, expected: object) -> None:
    """P13: each frame that the server writes is read as the value that it was written from."""
    assert read_server_frame(written) == expected


def test_a_signal_with_all_fields() -> None:
    """P13: a signal may name several groups, its place in the log, the answer that is waited for, and a trace."""
    document = {
        "data": "x",
        "group": ["a", "b"],
        "offset": "42-7",
        "ack": "n7.12",
        "traceparent": "00-",
        "tracestate": "s",
    }
    assert read(type="signal", **document) == Signal("x", ("a", "b"), "42-7", "n7.12", "00-", "s")


def test_unknown_fields() -> None:
    """P7: a client ignores fields that it does not know, and takes null for an absent field."""
    assert read(type="beat", offset=None, color="red") == ServerBeat()
    assert read(type="signal", data=None, group=None, newer=[1]) == Signal(None)
    document = json.loads(SHORT_HELLO.encoded())
    assert read(**document, user=None, epoch=None, offset=None, resumeToken=None, shape={}) == SHORT_HELLO


def test_unknown_types() -> None:
    """P8: a frame of an unknown type is passed over, whatever it has besides."""
    assert read(type="history", data=[1]) is None
    assert read(type="Signal", data=[1]) is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"type": 7},
        {"type": None},
        {"type": "signal"},
        {"type": "signal", "data": 1, "offset": "42"},
        {"type": "signal", "data": 1, "offset": 42},
        {"type": "signal", "data": 1, "ack": "a b"},
        {"type": "signal", "data": 1, "group": [7]},
        {"type": "signal", "data": 1, "group": 7},
        {"type": "reply", "data": 1},
        {"type": "reply", "id": 7, "data": 1},
        {"type": "error", "code": "failed"},
        {"type": "error", "code": 7, "text": "t"},
        {"type": "beat", "offset": "01-7"},
        {"type": "presence", "seq": 1},
        {"type": "presence", "members": []},
        {"type": "presence", "seq": -1, "members": []},
        {"type": "presence", "seq": True, "members": []},
        {"type": "presence", "seq": 1, "members": [7]},
        {"type": "presence", "seq": 1, "members": [{"user": "ada"}]},
        {"type": "presence", "seq": 1, "count": 1.5},
        *(
            {**json.loads(LONG_HELLO.encoded()), **wrong}
            for wrong in (
                {"version": 2},
                {"clientId": None},
                {"groups": None},
                {"recovered": 1},
                {"epoch": None},
                {"offset": None},
                {"epoch": "K3V9Q2"},
                {"resumeToken": "a\r\nX-Other: 1"},
                {"resumeToken": "a" * 2_049},
                {"heartbeatSeconds": 0},
                {"maxMessageBytes": "many"},
                {"expiresInSeconds": "soon"},
                {"expiresInSeconds": True},
                {"presence": 7},
            )
        ),
    ],
)
def test_bad_frames(document: dict[str, Any]) -> None:
    """P20: a known field with a wrong type, or one that is missing, makes the frame bad."""
    with pytest.raises(ServerFrameInvalid):
        read(**document)


@pytest.mark.parametrize(
    "payload", [b"", b"7", b"[]", b'{"type":"beat"', b"\xff", b"[" * 100_000, b'{"a":' * 600 + b"1"]
)
def test_what_is_no_frame(payload: bytes) -> None:
    """P20: a text that is no JSON object, or is nested too deep, is a bad frame."""
    with pytest.raises(ServerFrameInvalid):
        read_server_frame(payload)


def test_the_error_has_nothing_of_the_frame() -> None:
    """P53: the error about a bad frame does not repeat it, since the frame may have a token."""
    document = {**json.loads(LONG_HELLO.encoded()), "resumeToken": "secret\n"}
    with pytest.raises(ServerFrameInvalid) as raised:
        read(**document)
    assert "secret" not in f"{raised.value!r} {raised.value}"


def test_a_later_way_to_share_presence() -> None:
    """P7: presence that is shared in a way which the client does not know can't be watched."""
    assert read(**{**json.loads(LONG_HELLO.encoded()), "presence": "continent"}).presence is None


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
KEYS = sorted(
    {"type", "data", "id", "code", "text", "seq", "members", "joined", "left", "count", "group", "offset", "ack"}
    | json.loads(LONG_HELLO.encoded()).keys()
)


@given(
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8),
    st.sampled_from(["hello", "signal", "reply", "error", "beat", "presence", "newer"]),
    st.booleans(),
)
def test_whatever_a_server_sends(document: dict[str, Any], kind: str, is_nearly_good: bool) -> None:
    """P20: each text is a frame, is passed over, or raises the one error."""
    good = json.loads(LONG_HELLO.encoded()) if is_nearly_good else {}
    try:
        found = read(**{**good, **document, "type": kind})
    except ServerFrameInvalid:
        return
    assert (found is None) is (kind == "newer")


@given(st.binary(max_size=60))
def test_whatever_bytes_come(payload: bytes) -> None:
    """P20: bytes that are no frame raise the one error."""
    with pytest.raises(ServerFrameInvalid):
        read_server_frame(payload)
