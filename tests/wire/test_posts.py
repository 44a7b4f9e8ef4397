"""The bodies of POSTs, taken apart as JSON has it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.errors import MessageInvalid
from pode_signals.wire.posts import MOST_FRAMES, frames_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@given(st.lists(VALUES, min_size=1, max_size=8), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_any_array(values: list[Any], indent: Any, ascii_only: bool) -> None:
    """P91: each element of an array is a frame, as it stands there."""
    body = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    assert [json.loads(each) for each in frames_of(body.encode())] == values


@given(st.text('[]{},"\\x1 :', max_size=30))
def test_any_text(text: str) -> None:
    """P91: whatever comes is taken apart or refused; what is JSON and an array of something is never refused."""
    try:
        found = frames_of(text.encode())
    except MessageInvalid:
        found = []
    try:
        value = json.loads(text)
    except ValueError:
        return
    assert len(found) == (len(value) if isinstance(value, list) else 0)


def test_how_many() -> None:
    """P91: a body has 1 to 100 frames."""
    assert len(frames_of(b"[" + b",".join([b"1"] * MOST_FRAMES) + b"]")) == 100
    for body, why in ((b"[" + b",".join([b"1"] * 101) + b"]", "more than 100"), (b"[ ]", "empty place")):
        with pytest.raises(MessageInvalid, match=why):
            frames_of(body)


@pytest.mark.parametrize("unit", [b"[", b'"', b'\\"', b"{", b",", b'"\\', b"[]", b"],["])
def test_long_bodies(unit: bytes) -> None:
    """S16: a body of any make takes a time that grows with its size: the parser goes over it once."""
    with pytest.raises(MessageInvalid):
        frames_of(b"[" + unit * (60_000 // len(unit)) + b"x")
