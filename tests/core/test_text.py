from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.signing import Signer
from pode_signals.core.text import FORBIDDEN, TOKEN, VISIBLE, printable, printable_bytes

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
NAMED = [0x061C, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x206A), 0xFEFF, 0xAD, 0x180E, 0xE0041]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\nb", r"a\u000ab"),
        ("a\r\nb", r"a\u000d\u000ab"),
        ("\x00\x1b[2J\x7f", r"\u0000\u001b[2J\u007f"),
        ("\x85\x9b2J", r"\u0085\u009b2J"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800 \udfff", r"\ud800 \udfff"),
        ("admin\u200b", r"admin\u200b"),
        ("\ufeffadmin", r"\ufeffadmin"),
        ("\u202eexe.txt", r"\u202eexe.txt"),
        ("\U000e0041", r"\U000e0041"),
        ("plain, \u00fcn\u00efcode, \u6f22\u5b57\u3000\xa0, \U0001f600 {braces} %s", None),
    ],
)
def test_what_is_escaped(text: str, escaped: str | None) -> None:
    """S16.7: control and format characters, separators of lines, surrogates are escaped; other text is as it was."""
    assert printable(text) == (text if escaped is None else escaped)


@pytest.mark.parametrize("number", NAMED, ids=hex)
def test_what_has_no_width_or_turns_the_direction(number: int) -> None:
    """S16.7: no name looks like another in the log by a character that does not show."""
    escape = f"\\u{number:04x}" if number < 0x1_0000 else f"\\U{number:08x}"
    assert printable(f"a{chr(number)}b") == f"a{escape}b"


@given(st.text(st.characters(), max_size=40))
def test_any_text(text: str) -> None:
    """S16.7: whatever comes is one line that UTF-8 can hold, nothing of which is hidden."""
    line = printable(text)
    assert len(line.splitlines()) <= 1
    assert not any(category(character) in HIDDEN for character in line)
    line.encode("utf-8")
    assert printable(line) == line


@given(st.binary(max_size=40))
def test_any_bytes(raw: bytes) -> None:
    """S16.7: bytes are visible ASCII without quotes, whatever they were."""
    line = printable_bytes(raw)
    assert line.isascii()
    assert not line or line.isprintable()
    assert '"' not in line


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_signatures(client_id: str) -> None:
    """S8.1: a signed client id goes without its signature, whatever the id is."""
    signed = Signer(["a secret of the test"]).sign(client_id, None)
    signature = signed.rpartition(".")[2]
    assert printable(f"to {signed}, please") == printable(f"to s:{client_id}, please")
    assert signature not in printable_bytes(f"/{signed}".encode())


OCTETS = [bytes([number]) for number in range(256)]


def test_the_characters_of_headers() -> None:
    """S16.8: what a token, a strict value and any value of a header may have is what RFC 9110 says, octet by octet."""
    digits_and_letters = {octet for octet in OCTETS if octet.isalnum()}
    marks = {bytes([number]) for number in b"!#$%&'*+-.^_`|~"}
    assert {octet for octet in OCTETS if TOKEN.fullmatch(octet)} == digits_and_letters | marks
    assert {octet for octet in OCTETS if VISIBLE.fullmatch(octet)} == {b"\t", *OCTETS[0x20:0x7F]}
    assert {octet for octet in OCTETS if FORBIDDEN.search(octet)} == {b"\r", b"\n", b"\0"}
    assert (TOKEN.fullmatch(b""), VISIBLE.fullmatch(b"token\n")) == (None, None)
