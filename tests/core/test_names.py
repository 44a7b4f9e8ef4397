from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException

from pode_signals.core.names import check_name, client_id_text, from_header_value, header_value
from pode_signals.errors import NameInvalid, NameRefused, UpgradeRefused

FORBIDDEN = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029", "\ud800", "\udbff", "\udfff"]

names = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\u2028\u2029"), min_size=1, max_size=128
)


@given(names)
def test_good_names_pass_unchanged(text: str) -> None:
    """S2.2: a name of 1 to 128 characters without control characters is taken as it is."""
    assert check_name("name", text) == text


@pytest.mark.parametrize("text", FORBIDDEN, ids=lambda text: f"U+{ord(text):04X}")
def test_control_characters_are_refused(text: str) -> None:
    """S2.2: a name with a control character, a line separator or a lone surrogate is NameInvalid."""
    for name in (text, f"a{text}b", f"a{text}", f"{text}b"):
        with pytest.raises(NameInvalid):
            check_name("name", name)


@pytest.mark.parametrize("length", [1, 128])
def test_the_longest_and_the_shortest(length: int) -> None:
    """S2.2: 1 and 128 characters are allowed, however many bytes these are."""
    assert check_name("group", "ä" * length) == "ä" * length


@pytest.mark.parametrize("length", [0, 129, 10_000])
def test_the_length_is_1_to_128_characters(length: int) -> None:
    """S2.2: a name that is empty or over 128 characters is NameInvalid."""
    with pytest.raises(NameInvalid):
        check_name("group", "ä" * length)


def test_a_bad_name_is_a_plain_value_error() -> None:
    """S2.2: NameInvalid is a ValueError that says which name and what is wrong without repeating it; no HTTP answer."""
    with pytest.raises(ValueError, match="the client id has characters") as caught:
        check_name("client id", "forged\r\nSet-Cookie: a=b")
    assert isinstance(caught.value, NameInvalid)
    assert not isinstance(caught.value, HTTPException)
    assert "forged" not in str(caught.value)


def test_the_refusal_of_a_bad_name() -> None:
    """S2.2: what convert makes of it is a 400 whose sentence says which name, and still a NameInvalid."""
    refused = NameRefused(NameInvalid("group", "is empty"))
    assert isinstance(refused, NameInvalid)
    assert isinstance(refused, UpgradeRefused)
    assert (refused.code, refused.kind, refused.why) == (400, "group", "is empty")
    assert refused.get_body() == "The group is empty.\n"


@pytest.mark.parametrize("value", [None, 7, b"Msg", ["Msg"]])
def test_only_text_is_a_name(value: Any) -> None:
    """S2.2: what is no text is a TypeError, a mistake of the program and not of the client."""
    with pytest.raises(TypeError, match="name"):
        check_name("name", value)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("Msg", "Msg"),
        ("/rooms/7?x=1", "/rooms/7?x=1"),
        ("s:abc.8qHW/+=", "s:abc.8qHW/+="),
        ("two words", "two words"),
        ("100%", "100%25"),
        ("a,b", "a%2Cb"),
        ("Zürich", "Z%C3%BCrich"),
        ("😀", "%F0%9F%98%80"),
        ("%41", "%2541"),
        (" edges  ", "%20edges%20%20"),
        (" ", "%20"),
        ("\r\n", "%0D%0A"),
    ],
)
def test_header_values_are_percent_encoded(text: str, header: str) -> None:
    """S2.3: what is not ASCII, "%" and "," are percent-encoded in a header, both ways."""
    assert header_value(text) == header
    assert from_header_value(header) == text


@given(names)
def test_header_values_come_back(text: str) -> None:
    """S2.3: each name comes back from its header, which is ASCII without a comma and survives being stripped."""
    header = header_value(text)
    assert header.isascii()
    assert header.isprintable()
    assert "," not in header
    assert header == header.strip()
    assert from_header_value(header) == text


@given(st.text())
def test_header_values_never_raise_anything_else(text: str) -> None:
    """S2.3: a header that is not UTF-8 when decoded is NameInvalid; nothing else is raised over one."""
    with suppress(NameInvalid):
        assert isinstance(from_header_value(text), str)


@pytest.mark.parametrize("header", ["%FF", "a%C3", "%C3%28", "%ED%A0%80"])
def test_header_values_have_to_be_utf8(header: str) -> None:
    """S2.3: what is percent-encoded in a header is UTF-8."""
    with pytest.raises(NameInvalid):
        from_header_value(header)


@pytest.mark.parametrize("header", ["100%", "%zz", "%4"])
def test_a_bare_percent_sign_is_itself(header: str) -> None:
    """S2.3: a percent sign that encodes nothing is taken as it is."""
    assert from_header_value(header) == header


def test_client_ids_of_applications() -> None:
    """S2.2: a client id is text, or an integer for its decimal text; anything else is a TypeError."""
    assert [client_id_text(each) for each in ("me", "", 7, -1, 10**30)] == ["me", "", "7", "-1", "1" + "0" * 30]
    for wrong in (None, b"me", 7.0, ["me"]):
        with pytest.raises(TypeError, match="has to be a str or an int"):
            client_id_text(wrong)  # type: ignore[arg-type]
