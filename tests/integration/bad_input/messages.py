"""Text messages that are no messages, and some that just are."""

from __future__ import annotations

from collections.abc import Iterator

from integration.bad_input.cases import CANARY, SECRET, Message

from pode_signals.core.signing import Signer

__all__ = ["CASES"]

MAX_DEPTH, MAX_KEYS, MAX_ADDRESSED = 32, 1_000, 100
SIGNED = Signer((SECRET,)).sign("neighbour", None)


def _not_json() -> Iterator[Message]:
    for name, text in {
        "nothing": "",
        "spaces": "   ",
        "one brace": "{",
        "a text without quotes": CANARY,
        "single quotes": f"{{'message': '{CANARY}'}}",
        "a comma at the end": '{"message": 1,}',
        "a comment": '{"message": 1} // ' + CANARY,
        "two objects": '{"message": 1}{"message": 2}',
        "an object and a brace": '{"message": 1}}',
        "a key without quotes": "{message: 1}",
        "a control character in a text": '{"message": "a\x01b"}',
        "a line break in a text": '{"message": "a\nb"}',
        "a bad escape": '{"message": "\\x41"}',
        "a short escape": '{"message": "\\u12"}',
        "a leading zero": '{"message": 01}',
        "a leading plus": '{"message": +1}',
        "a number in hexadecimal": '{"message": 0x10}',
        "a number without digits": '{"message": 1.}',
        "Python's True": '{"message": True}',
        "a byte order mark": '\ufeff{"message": 1}',
        "NUL at the end": '{"message": 1}\0',
        "UTF-16": '{"message": 1}'.encode("utf-16-le"),
        "5,000 digits": '{"message": ' + "1" * 5_000 + "}",
        "60,000 brackets": "[" * 60_000,
        "30,000 braces with keys": '{"":' * 15_000,
        "60,000 backslashes": '{"message": "' + "\\" * 60_000,
    }.items():
        yield Message(f"no JSON: {name}", text)


def _no_message() -> Iterator[Message]:
    for name, text in {
        "a text": f'"{CANARY}"',
        "a number": "1",
        "null": "null",
        "true": "true",
        "a list": '[{"message": 1}]',
        "an empty object": "{}",
        "other keys": f'{{"path": "Msg", "other": "{CANARY}"}}',
        "a message that is null": '{"message": null}',
        "a message that is null in the end": '{"message": 1, "message": null}',
    }.items():
        yield Message(f"no message: {name}", text)


def _types() -> Iterator[Message]:
    for key, values in {
        "direct": ('"false"', '"true"', "0", "1", "{}", "[true]"),
        "path": ("1", "true", '["Msg"]', "{}", '"%ff"', '"%ed%a0%80"', "[null]"),
        "group": ("1.5", "true", "{}", "[[]]", "[null]", '[""]', "[{}]", '["a", 1.0]'),
        "clientId": ("1.5", "false", "{}", "[[]]", "[null]", '["a", ""]', "[true]", "1e3"),
    }.items():
        for value in values:
            yield Message(f"{key} as {value}", f'{{"message": "{CANARY}", "{key}": {value}}}')
            yield Message(f"{key.upper()} as {value}", f'{{"message": "{CANARY}", "{key.upper()}": {value}}}')
    for key in ("group", "clientId"):
        many = ",".join(f'"{number}"' for number in range(MAX_ADDRESSED + 1))
        yield Message(f"{key} with one too many", f'{{"message": 1, "{key}": [{many}]}}')


def _values() -> Iterator[Message]:
    for value in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "[1e400]", '{"a": NaN}', "1" + "0" * 400 + ".0"):
        yield Message(f"the number {value[:20]}", f'{{"message": {value}}}')
    yield Message("a number too large that nobody looks at", '{"message": 1, "other": 1e999}')
    for name, text in {
        "high": '"\\ud800"',
        "low": '"\\udc00"',
        "in capitals": '"\\uD83D"',
        "twice the high one": '"\\ud83d\\ud83d"',
        "the wrong way round": '"\\ude00\\ud83d"',
        "with a character between": '"\\ud83d-\\ude00"',
        "in a key": '{"\\udfff": 1}',
        "behind a backslash": '"\\\\\\ud800"',
        "before a pair": '"\\ud83d\\ud83d\\ude00"',
    }.items():
        yield Message(f"a lone surrogate: {name}", f'{{"message": {text}}}')
    yield Message("a lone surrogate in a key that nobody looks at", '{"message": 1, "\\ud800": 1}')
    yield Message("a lone surrogate in what a later key hides", '{"message": "\\ud800", "message": 1}')


def _sizes() -> Iterator[Message]:
    deep = MAX_DEPTH  # the object around it is the first
    for name, begin, end in (("lists", "[", "]"), ("objects", '{"":', "}")):
        inner = "1" if name == "objects" else ""
        yield Message(f"{name} a level too deep", '{"message": ' + begin * deep + inner + end * deep + "}")
        yield Message(f"{name} far too deep", '{"message": ' + begin * 5_000 + inner + end * 5_000 + "}")
    yield Message("too deep where nobody looks", '{"message": 1, "other": ' + "[" * deep + "]" * deep + "}")
    yield Message("too deep in what a later key hides", '{"message": ' + "[" * deep + "]" * deep + ', "message": 1}')
    keys = ",".join(f'"{number}":1' for number in range(MAX_KEYS))
    yield Message("a key too many", f'{{"message": {{{keys}}}}}')
    yield Message("a key too many, over many objects", '{"message": [' + ",".join(['{"a":1}'] * MAX_KEYS) + "]}")
    yield Message("a key too many, all the same", '{"message": {' + ",".join(['"a":1'] * MAX_KEYS) + "}}")


def _good() -> Iterator[Message]:
    keys = {str(number): 1 for number in range(MAX_KEYS - 1)}
    written = ",".join(f'"{number}":1' for number in keys)
    for name, text, got in (
        ("a key twice", '{"message": "a", "message": "b"}', "b"),
        ("a bad value that a later key hides", '{"message": 1, "direct": "no", "direct": true}', 1),
        ("a key in capitals", '{"MESSAGE": 1}', 1),
        ("a key in both cases", '{"MESSAGE": 1, "message": 2}', 2),
        ("unknown keys", '{"message": 1, "type": "send", "__proto__": {"a": 1}}', 1),
        ("empty addresses", '{"message": 1, "path": "", "group": [], "clientId": null, "direct": null}', 1),
        ("numbers for names", '{"message": 1, "group": 7, "clientId": [8, "a"]}', 1),
        ("a pair of surrogates", '{"message": "\\ud83d\\ude00"}', "\U0001f600"),
        ("brackets in a text", '{"message": "' + "[{" * 500 + '"}', "[{" * 500),
        ("as deep as may be", '{"message": ' + "[" * 31 + "]" * 31 + "}", None),
        ("as many keys as may be", f'{{"message": {{{written}}}}}', keys),
        ("false", '{"message": false}', False),
        ("an empty text", '{"message": ""}', ""),
        ("the smallest number", '{"message": 5e-324}', 5e-324),
    ):
        yield Message(f"for comparison: {name}", text, (got,), "")


def _client_ids() -> Iterator[Message]:
    for name, client_id in {
        "bare": "neighbour",
        "with another signature": "s:neighbour." + "A" * 43 + "=",
        "of another id": SIGNED.replace("neighbour", "neighbours"),
        "in capitals": SIGNED.upper(),
        "without padding": SIGNED.rstrip("="),
        "with a space": SIGNED + " ",
        "with a lone surrogate's replacement": SIGNED + "\\ufffd",
        "without an id": "s:.",
    }.items():
        text = f'{{"message": "{CANARY}", "clientId": "{client_id}"}}'
        yield Message(f"a client id {name}", text, counted="refused", server="signed")
    mixed = f'{{"message": 1, "clientId": ["{SIGNED}", "s:a.b"]}}'
    yield Message("a good client id and a bad one", mixed, counted="refused", server="signed")
    good = f'{{"message": 1, "clientId": "{SIGNED}"}}'
    yield Message("for comparison: a signed client id", good, (1,), "", server="signed")
    yield Message("a client id of another agent", good, counted="refused", server="strict")


CASES = (*_not_json(), *_no_message(), *_types(), *_values(), *_sizes(), *_good(), *_client_ids())
