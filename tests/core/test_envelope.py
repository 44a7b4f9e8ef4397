from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core import envelope as module
from pode_signals.core.envelope import Envelope, Envelopes, Unopened
from pode_signals.core.model import Target

KEY = "the key of the application, which is long"
ENVELOPES = Envelopes([KEY], "pode")
ENVELOPE = Envelope("live", "f3a0", 17, 1_790_003_600_000, Target(("Room",)), b'{"a":1}')

texts = st.text(max_size=10)
several = st.lists(texts, max_size=3).map(tuple)
targets = st.builds(Target, st.none() | several, several, several, several)
numbers = st.integers(0, 2**53)
json_values = st.recursive(st.none() | st.booleans() | numbers | texts, lambda each: st.lists(each, max_size=3))
envelopes = st.builds(
    Envelope, texts, texts, numbers, numbers, targets, st.binary(), st.booleans(), st.none() | texts,
    st.none() | texts, json_values,
)  # fmt: skip


def sealed(header: Any, *, version: bytes = b"1", rest: bytes = b"\npayload", keys: Envelopes = ENVELOPES) -> bytes:
    """Bytes as somebody makes them who knows the key."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = version + text + rest
    return content + hmac.digest(keys._keys[0], content, "sha256")


@given(envelopes)
def test_what_was_sealed_is_opened(envelope: Envelope) -> None:
    """S17.1: an envelope comes out as it was, whatever is in it."""
    assert ENVELOPES.opened(ENVELOPES.sealed(envelope)) == envelope


def test_the_bytes() -> None:
    """S17.1: an envelope is a version, a header in JSON, the payload and the proof over all of it."""
    data = ENVELOPES.sealed(ENVELOPE)
    header = b'{"kind":"live","from":"f3a0","id":17,"at":1790003600000,"names":["Room"]}'
    assert data[:-32] == b"1" + header + b'\n{"a":1}'
    key = hmac.digest(KEY.encode(), b"pode.signals nodes pode", "sha256")
    assert data[-32:] == hmac.digest(key, data[:-32], "sha256")


def test_the_id() -> None:
    """S17.2: an envelope is called after its sender and its number."""
    assert ENVELOPE.id == "f3a0.17"


@pytest.mark.parametrize("other", [Envelopes(["other"], "pode"), Envelopes([KEY], "other")], ids=["key", "application"])
def test_foreign(other: Envelopes) -> None:
    """S17.1: an envelope of another key, or of another application with the same key, is not opened."""
    assert ENVELOPES.opened(other.sealed(ENVELOPE)) is Unopened.FORGED


def test_each_byte_counts() -> None:
    """S17.1: an envelope in which any one byte was changed is not opened."""
    data = ENVELOPES.sealed(ENVELOPE)
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        assert isinstance(ENVELOPES.opened(changed), Unopened)
        assert isinstance(ENVELOPES.opened(data[:place]), Unopened)


def test_a_key_is_changed() -> None:
    """S17.1: while a key is changed, nodes with the old one and nodes with both understand each other."""
    old, both, new = Envelopes(["old"], "pode"), Envelopes(["old", "new"], "pode"), Envelopes(["new", "old"], "pode")
    assert both.opened(old.sealed(ENVELOPE)) == old.opened(both.sealed(ENVELOPE)) == ENVELOPE
    assert both.opened(new.sealed(ENVELOPE)) == new.opened(both.sealed(ENVELOPE)) == ENVELOPE
    assert old.opened(new.sealed(ENVELOPE)) is Unopened.FORGED


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", Unopened.MALFORMED),
        (b"1" * 33, Unopened.MALFORMED),
        (b"1" * 40, Unopened.FORGED),
        (sealed({}, version=b"2"), Unopened.VERSION),
        (bytes(40), Unopened.VERSION),
        (sealed(b"[" * 100_000), Unopened.MALFORMED),
        (sealed(b"\xff{}"), Unopened.MALFORMED),
        (sealed(b"{}", rest=b""), Unopened.MALFORMED),
        (sealed([]), Unopened.MALFORMED),
        (sealed({}), Unopened.MALFORMED),
    ],
    ids=range(10),
)
def test_malformed(data: bytes, why: Unopened) -> None:
    """S17.1: bytes that are no envelope are told apart by why they are none, and never raise."""
    assert ENVELOPES.opened(data) is why


GOOD = {"kind": "live", "from": "f3a0", "id": 17, "at": 5, "names": ["Room"]}


@pytest.mark.parametrize(
    "field",
    [
        {"kind": 1},
        {"from": None},
        {"id": "17"},
        {"id": True},
        {"at": 1.5},
        {"names": "Room"},
        {"names": [1]},
        {"groups": {}},
        {"clientIds": [None]},
        {"exclude": 5},
        {"text": 1},
        {"key": 1},
        {"ack": []},
    ],
    ids=str,
)
def test_wrong_types(field: dict[str, Any]) -> None:
    """S17.1: a field of another type makes the envelope malformed, even where the proof holds."""
    assert isinstance(ENVELOPES.opened(sealed(GOOD)), Envelope)
    assert ENVELOPES.opened(sealed({**GOOD, **field})) is Unopened.MALFORMED


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """S17.1: no bytes make opening raise."""
    assert isinstance(ENVELOPES.opened(data), Unopened)
    assert isinstance(ENVELOPES.opened(sealed(data, rest=b"")), Unopened)


def test_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.1: huge envelopes are not read."""
    data = ENVELOPES.sealed(evolve(ENVELOPE, payload=bytes(1_000)))
    monkeypatch.setattr(module, "MOST_ENVELOPE_BYTES", len(data))
    assert isinstance(ENVELOPES.opened(data), Envelope)
    assert ENVELOPES.opened(data + b"1") is Unopened.MALFORMED


@pytest.mark.parametrize("keys", [[], [""], ["good", b""]])
def test_keys(keys: list[str | bytes]) -> None:
    """S17.1: there is a key, and none is empty."""
    with pytest.raises(ValueError, match="secret"):
        Envelopes(keys, "pode")


def test_nothing_secret_is_in_a_repr() -> None:
    """S17.1: no repr shows a key or a payload."""
    assert "long" not in repr([ENVELOPES, ENVELOPE])
    assert '"a"' not in repr(ENVELOPE)
