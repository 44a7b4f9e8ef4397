from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.model import ClientMessage
from pode_signals.errors import MessageInvalid
from pode_signals.wire.plain import MAX_ADDRESSED, decode_client_message


def decoded(payload: str | bytes, *, max_depth: int = 32, max_keys: int = 1_000) -> ClientMessage:
    """A text frame, read with the default limits."""
    raw = payload if isinstance(payload, bytes) else payload.encode()
    return decode_client_message(raw, max_depth=max_depth, max_keys=max_keys)


def test_the_whole_form() -> None:
    """S5.1: message, path, group, clientId and direct, each as it was given."""
    assert decoded('{"message":{"a":[1]},"path":"Msg","group":["g"],"clientId":"c","direct":true}') == ClientMessage(
        message={"a": [1]}, path="Msg", group=("g",), client_id=("c",), direct=True
    )


@pytest.mark.parametrize(
    "message", ["hello", "", 0, False, True, 1.5, [], {}, [None], {"message": None}, "ä😀\n\u2028"]
)
def test_any_message(message: Any) -> None:
    """S5.1: the message is any JSON value but null, empty ones too."""
    found = decoded(json.dumps({"message": message}))
    assert found == ClientMessage(message)
    assert type(found.message) is type(message)


@pytest.mark.parametrize("value", ["null", '""', "[]"])
@pytest.mark.parametrize("key", ["path", "group", "clientId", "direct"])
def test_nothing_given(key: str, value: str) -> None:
    """S5.1: null, an empty text and an empty list count as not given."""
    assert decoded(f'{{"message":1,"{key}":{value}}}') == ClientMessage(1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"Message":1,"PATH":"p","Group":"g","clientid":"c","Direct":true}',
            ClientMessage(1, "p", ("g",), ("c",), True),
        ),
        ('{"MESSAGE":1,"CLIENTID":["c"]}', ClientMessage(1, client_id=("c",))),
        ('{"Message":1,"message":2}', ClientMessage(2)),
        ('{"message":2,"Message":1}', ClientMessage(2)),
        ('{"message":1,"direct":false,"Direct":true}', ClientMessage(1)),
        ('{"message":1,"path":null,"Path":"p"}', ClientMessage(1)),
        ('{"MESSAGE":1,"Message":2}', ClientMessage(2)),
        ('{"message":1,"other":{"path":"p"},"clientID ":"x"}', ClientMessage(1)),
        ('{"message":1,"__proto__":{"direct":true}}', ClientMessage(1)),
    ],
)
def test_keys_without_case(text: str, expected: ClientMessage) -> None:
    """S5.1: a known key that is absent is looked for without case, and unknown keys are ignored."""
    assert decoded(text) == expected


@pytest.mark.parametrize("key", ["group", "clientId"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"a"', ("a",)),
        ('["a","b","a"]', ("a", "b", "a")),
        ("7", ("7",)),
        ("0", ("0",)),
        ("-0", ("0",)),
        ("-7", ("-7",)),
        ('[7,"7",0]', ("7", "7", "0")),
        ("123456789012345678901234567890", ("123456789012345678901234567890",)),
        ('" "', (" ",)),
    ],
)
def test_groups_and_client_ids(key: str, value: str, expected: tuple[str, ...]) -> None:
    """S5.1: group and clientId are one text or several; an integer is its decimal text."""
    found = decoded(f'{{"message":1,"{key}":{value}}}')
    assert (found.group or found.client_id) == expected
    assert (found.group == ()) is (key == "clientId")


@pytest.mark.parametrize("key", ["group", "clientId"])
def test_at_most_a_hundred(key: str) -> None:
    """S5.1: at most 100 groups and 100 client ids."""
    assert MAX_ADDRESSED == 100
    decoded(json.dumps({"message": 1, key: list(range(100))}))
    with pytest.raises(MessageInvalid, match=key):
        decoded(json.dumps({"message": 1, key: list(range(101))}))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Msg", "Msg"),
        ("/a%20b", "/a b"),
        ("Z%C3%BCrich", "Zürich"),
        ("Zürich", "Zürich"),
        ("100%", "100%"),
        ("a+b", "a+b"),
    ],
)
def test_paths_are_percent_decoded(path: str, expected: str) -> None:
    """S5.1: a path is percent-decoded as UTF-8."""
    assert decoded(json.dumps({"message": 1, "path": path})).path == expected


BAD = {
    # not an object
    "null": "null",
    "a number": "1",
    "a text": '"message"',
    "a list": '[{"message":1}]',
    "true": "true",
    # wrong types
    "direct as text": '{"message":1,"direct":"false"}',
    "direct as true text": '{"message":1,"direct":"true"}',
    "direct as 0": '{"message":1,"direct":0}',
    "direct as 1": '{"message":1,"direct":1}',
    "direct as 0.0": '{"message":1,"direct":0.0}',
    "direct as list": '{"message":1,"direct":[true]}',
    "direct as object": '{"message":1,"direct":{}}',
    "path as number": '{"message":1,"path":7}',
    "path as 0": '{"message":1,"path":0}',
    "path as false": '{"message":1,"path":false}',
    "path as list": '{"message":1,"path":["a"]}',
    "path as object": '{"message":1,"path":{}}',
    "path not UTF-8": '{"message":1,"path":"%FF"}',
    "path a surrogate": '{"message":1,"path":"%ED%A0%80"}',
    "group as true": '{"message":1,"group":true}',
    "group as false": '{"message":1,"group":false}',
    "group as fraction": '{"message":1,"group":1.0}',
    "group as exponent": '{"message":1,"group":1e2}',
    "group as object": '{"message":1,"group":{}}',
    "group with null": '{"message":1,"group":["a",null]}',
    "group with a list": '{"message":1,"group":[["a"]]}',
    "group with true": '{"message":1,"group":[true]}',
    "group with an empty text": '{"message":1,"group":[""]}',
    "clientId as true": '{"message":1,"clientId":true}',
    "clientId as fraction": '{"message":1,"clientId":0.5}',
    "clientId as object": '{"message":1,"clientId":{"a":1}}',
    "clientId with an object": '{"message":1,"clientId":[{}]}',
    "clientId with an empty text": '{"message":1,"clientId":["a",""]}',
    # no message
    "an empty object": "{}",
    "no message": '{"path":"Msg","direct":true}',
    "message null": '{"message":null}',
    "Message null": '{"Message":null}',
    "message null before Message": '{"message":null,"Message":1}',
    "message overwritten by null": '{"message":1,"message":null}',
    "a message within": '{"data":{"message":1}}',
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD.keys())
def test_bad_messages(payload: str | bytes) -> None:
    """S5.8: what is no JSON object with a message, of the right types, is MessageInvalid."""
    with pytest.raises(MessageInvalid):
        decoded(payload)


def test_the_last_of_duplicate_keys_wins() -> None:
    """S5.8: of duplicate keys the last wins, as in browsers."""
    assert decoded('{"message":1,"direct":true,"message":2,"direct":false}') == ClientMessage(2)
    assert decoded('{"message":null,"message":{"a":1,"a":2}}') == ClientMessage({"a": 2})


def test_limits_are_arguments() -> None:
    """S5.8: depth and number of keys are those of the settings."""
    decoded('{"message":1,"a":2}', max_depth=1, max_keys=2)
    with pytest.raises(MessageInvalid, match="deep"):
        decoded('{"message":[]}', max_depth=1)
    with pytest.raises(MessageInvalid, match="keys"):
        decoded('{"message":1,"a":2}', max_keys=1)


@pytest.mark.parametrize(
    "payload", ['{"message":"secret', '{"secret":1}', b'{"message":"secret\xff"}', '{"message":[secret]}']
)
def test_reasons_hold_nothing_of_the_payload(payload: str | bytes) -> None:
    """S5.8: the reason of a refusal repeats nothing of what the client sent, also where it is logged as a cause."""
    with pytest.raises(MessageInvalid) as caught:
        decoded(payload)
    assert "secret" not in caught.value.reason
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@given(st.binary() | st.text(st.sampled_from('{}[]":,message0.e-+\\u d8"truefalsn')).map(str.encode))
def test_no_payload_makes_it_raise_anything_else(payload: bytes) -> None:
    """S5.8: whatever bytes come, there is a message or MessageInvalid."""
    with suppress(MessageInvalid):
        assert isinstance(decoded(payload), ClientMessage)
