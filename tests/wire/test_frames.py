from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.wire.frames import CloseCode, check_close_code, close_reason, text_frame


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "81 00"),
        (1, "81 01"),
        (125, "81 7d"),
        (126, "81 7e 00 7e"),
        (65_535, "81 7e ff ff"),
        (65_536, "81 7f 00 00 00 00 00 01 00 00"),
    ],
)
def test_the_head_of_a_frame(size: int, head: str) -> None:
    """S16.8: a frame of text is final and unmasked, and its size is in the shortest of the three forms."""
    payload = b"x" * size
    assert text_frame(payload) == bytes.fromhex(head) + payload


@pytest.mark.parametrize("code", [1000, 1001, 1004, 1007, 1014, 1016, 2999, 3000, 4008, 4999])
def test_codes_that_may_be_sent(code: int) -> None:
    """S10.2: a close code that may be sent is given back."""
    assert check_close_code(code) == code


@pytest.mark.parametrize("code", [-1, 0, 999, 1005, 1006, 1015, 5000, 65_536, True, 1000.0, "1000", None])
def test_codes_that_may_not_be_sent(code: Any) -> None:
    """S10.2: the codes that stand for no code, those outside the range and what is no integer are errors."""
    with pytest.raises(ValueError, match=r"is no close code that may be sent") as caught:
        check_close_code(code)
    assert str(caught.value).startswith(repr(code))


def test_close_codes() -> None:
    """S10.2: each close code is its number, and tells who defined the number and what it means here."""
    assert [each.value for each in CloseCode] == sorted(set(map(int, CloseCode)))
    assert CloseCode(4008) is CloseCode.SLOW_CLIENT
    assert (CloseCode.SLOW_CLIENT, f"{CloseCode.SLOW_CLIENT}") == (4008, "4008")
    for each in CloseCode:
        source = "RFC 6455 section 7.4.1" if each < 1012 or each == 1015 else "IANA registry"
        assert each.source == ("pode_signals" if each >= 3000 else source)
        assert re.fullmatch(r"[`A-Z].*\.", each.meaning)


@pytest.mark.parametrize("code", CloseCode)
def test_close_codes_are_sent_or_never(code: CloseCode) -> None:
    """S10.2: a close code is taken as well as its number; those that say so are never sent."""
    if code.meaning.startswith("Never sent: "):
        with pytest.raises(ValueError, match=r"is no close code that may be sent"):
            check_close_code(code)
    else:
        assert check_close_code(code) == code.value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", b""),
        ("full", b"full"),
        ("x" * 123, b"x" * 123),
        ("x" * 124, b"x" * 123),
        ("x" * 122 + "é", b"x" * 122),
        ("x" * 121 + "é", b"x" * 121 + "é".encode()),
        ("x" * 120 + "\U0001f600", b"x" * 120),
        ("\ud800", b"?"),
    ],
    ids=ascii,
)
def test_reasons(text: str, reason: bytes) -> None:
    """S10.2: a long reason is cut between characters, and half a character is a question mark."""
    assert close_reason(text) == reason


@given(st.text(alphabet=st.sampled_from("aé€\U0001f600\udc00"), max_size=140))
def test_any_reason_fits(text: str) -> None:
    """S10.2: whatever the text, its reason is UTF-8, at most 123 bytes, and as long as it can be."""
    whole, reason = text.encode("utf-8", "replace"), close_reason(text)
    assert whole.startswith(reason)
    assert len(reason) <= 123
    assert reason == whole or len(reason) > 123 - 4
    reason.decode("utf-8")
