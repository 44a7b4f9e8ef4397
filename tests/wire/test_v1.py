"""Frames of ``pode.signals.v1``: what the server writes, and what it reads of clients."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.history import Position
from pode_signals.core.model import ClientMessage
from pode_signals.core.names import check_name
from pode_signals.errors import NameInvalid, ReplyRefused
from pode_signals.wire.client_frames import Ack, Beat, ClientFrame, FrameInvalid, Refresh, Send, Watch, read_frame
from pode_signals.wire.json import encode, encode_value
from pode_signals.wire.message import PLAIN_WEBSOCKET, Message, encoded_once
from pode_signals.wire.v1 import (
    MAX_RESUME_TOKEN_CHARACTERS,
    SIGNALS_WEBSOCKET,
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

POSITION = Position("k3v9q2", "41-834417733082114")
HELLO = Hello("5d12f974", "Rooms", ("kitchen",), False, 25.0, 65_536)


def read(text: str | bytes, *, max_depth: int = 32, max_keys: int = 1_000) -> ClientFrame:
    """A frame of a client, read with the default limits."""
    return read_frame(text if isinstance(text, bytes) else text.encode(), max_depth=max_depth, max_keys=max_keys)


def refused(text: str | bytes, **limits: int) -> tuple[str, str | None]:
    """The code and the id of the error that a text of a client gets."""
    with pytest.raises(FrameInvalid) as caught:
        read(text, **limits)
    return caught.value.code.value, caught.value.id


# What the server writes


class TestHello:
    def test_the_least(self) -> None:
        """P13, P16: a hello has no field for what there is none of: no user, position, token, expiry and presence."""
        assert HELLO.encoded() == (
            b'{"type":"hello","version":1,"clientId":"5d12f974","name":"Rooms","groups":["kitchen"],"recovered":false,'
            b'"heartbeatSeconds":25,"maxMessageBytes":65536}'
        )

    def test_the_most(self) -> None:
        """P13: a hello with all its fields, ``type`` first and without white space."""
        hello = Hello(
            client_id="5d12f974",
            name="Rooms",
            groups=(),
            recovered=True,
            heartbeat_seconds=25.0,
            max_message_bytes=65_536,
            user="ada",
            position=POSITION,
            resume_token="WzEsMTc5XQ.c2ln",
            expires_in_seconds=3_599.5,
            presence="group",
        )
        assert hello.encoded() == (
            b'{"type":"hello","version":1,"clientId":"5d12f974","name":"Rooms","groups":[],"user":"ada",'
            b'"epoch":"k3v9q2","offset":"41-834417733082114","recovered":true,"resumeToken":"WzEsMTc5XQ.c2ln",'
            b'"heartbeatSeconds":25,"expiresInSeconds":3599.5,"maxMessageBytes":65536,"presence":"group"}'
        )

    @pytest.mark.parametrize(("seconds", "told"), [(25.0, 25), (24.2, 25), (1.0, 1), (0.01, 1)])
    def test_heartbeats_are_rounded_up(self, seconds: float, told: int) -> None:
        """P13: the heartbeat is told in whole seconds, never as less than it is."""
        hello = Hello("5d12f974", "Rooms", (), False, seconds, 65_536)
        assert json.loads(hello.encoded())["heartbeatSeconds"] == told

    @pytest.mark.parametrize(("characters", "is_told"), [(MAX_RESUME_TOKEN_CHARACTERS, True), (2_049, False)])
    def test_a_long_token(self, characters: int, is_told: bool) -> None:
        """P22: a token over 2,048 characters is left out, and never cut."""
        hello = Hello("5d12f974", "Rooms", (), False, 25.0, 65_536, resume_token="x" * characters)
        assert json.loads(hello.encoded()).get("resumeToken") == ("x" * characters if is_told else None)

    def test_no_repr_has_a_token(self) -> None:
        """P53: the resume token and the credentials of a refresh are in no ``repr``."""
        assert "secret" not in repr(Hello("5d12f974", "Rooms", (), False, 25.0, 65_536, resume_token="secret"))
        assert "secret" not in repr(Refresh("r1", "secret"))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (reply("7", encode_value({"booked": "4A"})), b'{"type":"reply","id":"7","data":{"booked":"4A"}}'),
        (reply("7", encode_value(None)), b'{"type":"reply","id":"7","data":null}'),
        (reply("7", encode_value("")), b'{"type":"reply","id":"7","data":""}'),
        (reply("7", encode_value([])), b'{"type":"reply","id":"7","data":[]}'),
        (reply("7", encode_value('a "text"')), b'{"type":"reply","id":"7","data":"a \\"text\\""}'),
        (
            error(ErrorCode.NO_ROUTE, "7"),
            b'{"type":"error","id":"7","code":"no_route","text":"Nothing takes messages on this path."}',
        ),
        (error(ErrorCode.BAD_FRAME), b'{"type":"error","code":"bad_frame","text":"The frame is not valid."}'),
        (
            refusal(ReplyRefused("seat_taken", "This seat is taken."), "8"),
            b'{"type":"error","id":"8","code":"app.seat_taken","text":"This seat is taken."}',
        ),
        (beat(), b'{"type":"beat"}'),
        (beat("44-700318255496027"), b'{"type":"beat","offset":"44-700318255496027"}'),
        (
            presence_members(
                7, (PresentMember("5d12f974", "ada", ("a", "b"), {"color": "red"}), PresentMember("9c0e"))
            ),
            b'{"type":"presence","seq":7,"members":[{"id":"5d12f974","user":"ada","groups":["a","b"],'
            b'"info":{"color":"red"}},{"id":"9c0e"}]}',
        ),
        (presence_members(0, (), "kitchen"), b'{"type":"presence","seq":0,"group":"kitchen","members":[]}'),
        (
            presence_changes(8, (PresentMember("9c0e", "bob"),), ("5d12f974",)),
            b'{"type":"presence","seq":8,"joined":[{"id":"9c0e","user":"bob"}],"left":["5d12f974"]}',
        ),
        (presence_changes(9, (), ("9c0e",), "g"), b'{"type":"presence","seq":9,"group":"g","left":["9c0e"]}'),
        (presence_count(9, 251), b'{"type":"presence","seq":9,"count":251}'),
    ],
)
def test_frames_of_the_server(frame: bytes, expected: bytes) -> None:
    """P13, P25: each frame of the server has its type first, no white space, and no field for what there is none of."""
    assert frame == expected


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("", "no"),
        ("Seat", "no"),
        ("4a", "no"),
        ("_a", "no"),
        ("a-b", "no"),
        ("a\n", "no"),
        ("a" * 61, "no"),
        ("seat", "x" * 1_025),
        ("seat", "\ud800"),
    ],
)
def test_codes_of_applications(code: str, text: str) -> None:
    """P26: another code of an application, or a longer text, is an error before anything is written."""
    with pytest.raises(ValueError, match=r"is no code for ReplyRefused|at most 1024 characters|a lone surrogate"):
        ReplyRefused(code, text)
    refusal(ReplyRefused("a" * 60, "x" * 1_024), "8")


def test_error_codes() -> None:
    """P8: a frame that is not valid is a bad message, and a frame of an unknown type is none."""
    assert [code.value for code in ErrorCode if code.is_bad_message] == ["bad_frame"]
    assert [str(code) for code in ErrorCode] == [
        "bad_frame",
        "unknown_type",
        "no_route",
        "refused",
        "failed",
        "timed_out",
        "not_available",
    ]
    assert len({code.text for code in ErrorCode}) == len(ErrorCode)
    assert all(code.text.endswith(".") for code in ErrorCode)


# Signals


class TestSignals:
    @pytest.mark.parametrize(
        ("message", "expected"),
        [
            (Message(b'{"message":"soup"}'), b'{"type":"signal","data":{"message":"soup"}}'),
            (Message(b"plain text", is_text=True), b'{"type":"signal","data":"plain text"}'),
            (Message(b'{"a":1}', is_text=True), b'{"type":"signal","data":"{\\"a\\":1}"}'),
            (Message(b"null", is_text=True), b'{"type":"signal","data":"null"}'),
            (Message(b"1", groups=("kitchen",)), b'{"type":"signal","data":1,"group":"kitchen"}'),
            (Message(b"1", groups=("kitchen", "bar")), b'{"type":"signal","data":1,"group":["kitchen","bar"]}'),
            (
                Message(
                    b"1", groups=('"',), position=Position("k3v9q2", "42-217704561190385"), acknowledgement="n7.12"
                ),
                b'{"type":"signal","data":1,"group":"\\"","offset":"42-217704561190385","ack":"n7.12"}',
            ),
        ],
    )
    def test_the_form(self, message: Message, expected: bytes) -> None:
        """P6: a text is a JSON string in the signals form, and JSON is what plain clients get."""
        plain = message.payload
        assert signals_form(message) == expected
        assert message.encoded(PLAIN_WEBSOCKET)[2:] == plain

    @pytest.mark.parametrize(
        "data", ["hi", '"', "\x00\x1f\x7f\u2028\U0001f600", "null", '{"a":1}', {"a": ["\n"]}, 7, [""]]
    )
    def test_for_one_client(self, data: Any) -> None:
        """P6: what is sent to one client alone has the same form, whatever the data look like."""
        payload = encode(data)
        assert payload is not None
        frame = encoded_once(payload, SIGNALS_WEBSOCKET, data)
        assert json.loads(frame[2:]) == {"type": "signal", "data": data}
        assert frame == Message(payload, is_text=isinstance(data, str)).encoded(SIGNALS_WEBSOCKET)

    def test_made_once(self) -> None:
        """S4.5: the bytes of a signal are the same object for all of its recipients."""
        message = Message(b"hi", is_text=True)
        assert message.encoded(SIGNALS_WEBSOCKET) is message.encoded(SIGNALS_WEBSOCKET)

    @pytest.mark.parametrize("group", ["", "x" * 129, "a\nb", "\ud800", "\u2028"])
    def test_groups_that_cannot_be(self, group: str) -> None:
        """P13: a group that no connection can be in is not told, and spoils no frame."""
        assert signals_form(Message(b"1", groups=(group, "bar"))) == b'{"type":"signal","data":1,"group":"bar"}'
        assert signals_form(Message(b"1", groups=(group,))) == b'{"type":"signal","data":1}'

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.lists(st.text(), max_size=3))
    def test_any_text(self, text: str, groups: list[str]) -> None:
        """P6: any text, sent to any groups, is the same text in both forms."""
        message = Message(text.encode(), is_text=True, groups=tuple(groups))
        frame = json.loads(signals_form(message))
        assert frame["data"] == message.payload.decode() == text
        told = frame.get("group", [])
        assert (told if isinstance(told, list) else [told]) == [group for group in groups if is_name(group)]


def is_name(text: str) -> bool:
    """Whether a group may have this name."""
    try:
        return bool(check_name("group", text))
    except NameInvalid:
        return False


# What clients say


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type":"send","message":{"seat":"4A"}}', Send(ClientMessage({"seat": "4A"}))),
        ('{"type":"send","id":"7","message":0}', Send(ClientMessage(0), "7")),
        (
            '{"type":"send","id":"a.B_c:d-9","message":1,"path":"a%20b","group":["g",7],"clientId":"c","direct":true}',
            Send(ClientMessage(1, "a b", ("g", "7"), ("c",), True), "a.B_c:d-9"),
        ),
        (
            '{"type":"send","message":1,"traceparent":"00-1-2-03","tracestate":"a=1"}',
            Send(ClientMessage(1), None, "00-1-2-03", "a=1"),
        ),
        ('{"type":"ack","id":"n7.12"}', Ack("n7.12")),
        ('{"type":"beat"}', Beat()),
        ('{"type":"refresh","id":"r1","token":"eyJ"}', Refresh("r1", "eyJ")),
        ('{"type":"presence","watch":true}', Watch(True)),
        ('{"type":"presence","watch":false}', Watch(False)),
        (' {"message" : 1 , "type" : "send"}\n', Send(ClientMessage(1))),
    ],
)
def test_frames_of_clients(text: str, expected: ClientFrame) -> None:
    """P7, P12: each frame of a client is read as its value, wherever its type stands."""
    assert read(text) == expected


@pytest.mark.parametrize("key", ["path", "group", "clientId", "direct"])
@pytest.mark.parametrize("value", ["null", '""', "[]"])
def test_nothing_given(key: str, value: str) -> None:
    """S5.1: null, an empty text and an empty list count as not given, as in a plain message."""
    assert read(f'{{"type":"send","message":1,"{key}":{value}}}') == Send(ClientMessage(1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"type":"send","message":1,"id":null,"path":null,"direct":null,"traceparent":null,"tracestate":null}',
            Send(ClientMessage(1)),
        ),
        ('{"type":"beat","id":5,"offset":[],"Type":"send"}', Beat()),
        ('{"type":"ack","id":"a","token":7,"message":null}', Ack("a")),
        ('{"type":"presence","watch":true,"id":{},"group":7}', Watch(True)),
        ('{"type":"refresh","id":"a","token":"t","watch":1}', Refresh("a", "t")),
        ('{"type":"send","message":1,"newer":{"a":[1]}}', Send(ClientMessage(1))),
    ],
)
def test_both_sides_grow(text: str, expected: ClientFrame) -> None:
    """P7: unknown fields are ignored, and null is the same as an absent field."""
    assert read(text) == expected


@pytest.mark.parametrize("key", ["message", "path", "group", "clientId", "direct", "id"])
def test_keys_match_exactly(key: str) -> None:
    """P10: a key in another case is unknown, unlike in a plain message."""
    for spelled in {key.upper(), key.capitalize(), f"{key} "}:
        fields = {"type": "send", "message": 1, spelled: 7 if key == "direct" else "x"}
        assert read(json.dumps(fields)) == Send(ClientMessage(1))
    assert refused('{"Type":"send","message":1}') == ("bad_frame", None)
    assert refused('{"type":"send","id":"1","Message":1}') == ("bad_frame", "1")
    assert refused('{"type":"SEND","message":1}') == ("unknown_type", None)


@pytest.mark.parametrize(
    "kind", ["", "Send", "hello", "signal", "reply", "error", "subscribe", "__class__", "send ", "\u0000"]
)
def test_unknown_types(kind: str) -> None:
    """P8: a type that clients do not send is unknown, with the id of the frame."""
    assert refused(json.dumps({"type": kind, "message": 1})) == ("unknown_type", None)
    assert refused(json.dumps({"type": kind, "id": "7"})) == ("unknown_type", "7")
    assert refused(json.dumps({"type": kind, "id": 7})) == ("unknown_type", None)


BAD = {
    "nothing": "",
    "white space": " ",
    "no JSON": "{",
    "not UTF-8": b'{"type":"beat\xff"}',
    "a byte order mark": '\ufeff{"type":"beat"}',
    "two frames": '{"type":"beat"}{"type":"beat"}',
    "null": "null",
    "a text": '"beat"',
    "a list": '[{"type":"beat"}]',
    "no type": "{}",
    "a plain message": '{"message":1}',
    "type null": '{"type":null,"message":1}',
    "type a number": '{"type":1}',
    "type a list": '{"type":["beat"]}',
    "type overwritten": '{"type":"beat","type":null}',
    "NaN": '{"type":"send","message":NaN}',
    "a number too large": '{"type":"send","message":1e999}',
    "a lone surrogate": '{"type":"send","message":"\\ud800"}',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_texts_that_are_no_frames(text: str | bytes) -> None:
    """P9, P12: what is no JSON object with a type is a bad frame, a plain message among them."""
    assert refused(text) == ("bad_frame", None)


class TestIds:
    @pytest.mark.parametrize("id", ["", " ", "a b", "ä", "a\n", "\u0661", "a" * 65, "%41", 7, True, [], {}, ["7"], 1.0])
    @pytest.mark.parametrize("kind", ["send", "ack", "refresh"])
    def test_bad_ids(self, kind: str, id: Any) -> None:
        """P9: an id of another form is a bad frame, and the error does not repeat the id."""
        assert refused(json.dumps({"type": kind, "message": 1, "token": "t", "id": id})) == ("bad_frame", None)

    def test_the_longest(self) -> None:
        """P9: an id has up to 64 characters."""
        assert read(json.dumps({"type": "ack", "id": "a" * 64})) == Ack("a" * 64)

    @pytest.mark.parametrize(
        "text",
        [
            '{"id":"7"}',
            '{"type":7,"id":"7"}',
            '{"type":"send","id":"7"}',
            '{"type":"send","id":"7","message":1,"direct":1}',
            '{"type":"send","id":"7","message":1,"path":"%FF"}',
            '{"type":"refresh","id":"7"}',
            '{"type":"presence","id":"7"}',
        ],
    )
    def test_the_error_has_the_id(self, text: str) -> None:
        """P9, P23: a bad frame whose id can be read is answered with the id, so that the client waits no longer."""
        assert refused(text) == ("bad_frame", "7")

    def test_the_error_has_the_id_over_a_limit(self) -> None:
        """P9, P23: the id is read of a frame that is nested too deep or has too many keys, too."""
        deep = '{"type":"send","id":"7","message":[[]]}'
        assert read(deep, max_depth=3) == Send(ClientMessage([[]]), "7")
        assert refused(deep, max_depth=2) == ("bad_frame", "7")
        assert read(deep, max_keys=3) == Send(ClientMessage([[]]), "7")
        assert refused(deep, max_keys=2) == ("bad_frame", "7")
        assert refused("[" * 9, max_depth=2) == refused('["' + "[" * 9 + '"]', max_depth=0) == ("bad_frame", None)
        far = '{"type":"send","id":"7","message":' + "[" * 100_000 + "]" * 100_000 + "}"
        assert refused(far)[0] == "bad_frame"

    def test_the_id_of_an_ack_is_none_of_a_request(self) -> None:
        """P23: an error about an ack has no id, since the client may wait for the reply to a frame with that id."""
        assert refused('{"type":"ack","id":"7","x":[[]]}', max_depth=2) == ("bad_frame", None)


def test_tokens() -> None:
    """P9: the token of a refresh has 1 to 8,192 characters."""
    assert read(json.dumps({"type": "refresh", "id": "1", "token": "é" * 8_192})) == Refresh("1", "é" * 8_192)
    for token in ("", "x" * 8_193, 7, None, ["x"]):
        assert refused(json.dumps({"type": "refresh", "id": "1", "token": token})) == ("bad_frame", "1")


@pytest.mark.parametrize(
    "text", ['{"type":"secret"}', '{"type":"send","secret":1}', '{"type":"ack","id":"secret!"}', "secret"]
)
def test_reasons_hold_nothing_of_the_frame(text: str) -> None:
    """P9: the reason of an error repeats nothing of what the client sent, also where it is logged as a cause."""
    with pytest.raises(FrameInvalid) as caught:
        read(text)
    assert "secret" not in caught.value.reason
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_limits_are_told() -> None:
    """P9: an error about a limit names its setting."""
    for limits, setting in (({"max_depth": 1}, "max_json_depth"), ({"max_keys": 1}, "max_json_keys")):
        with pytest.raises(FrameInvalid) as caught:
            read('{"type":"send","message":[]}', **limits)
        assert caught.value.limit == setting
