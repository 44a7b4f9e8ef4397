from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.signing import Caller, Signer, bare_client_id, is_signed

CLIENT_ID = "5d12f974-7b1a-4524-ab93-6afbf42c4ffa"
SIGNATURE = "8qHWZA7dMwgbAO0uW3pncXp8U6YpaOJBiaXpPFqdVlg="
SIGNED = f"s:{CLIENT_ID}.{SIGNATURE}"
CALLER = Caller("Mozilla/5.0", "192.0.2.7")


def test_the_known_signature() -> None:
    """S8.1: the secret super-secret gives the signature that Pode gives."""
    signer = Signer(["super-secret"])
    assert signer.sign(CLIENT_ID, None) == SIGNED
    assert signer.verify(SIGNED, None)


@pytest.mark.parametrize(
    ("client_id", "signed", "bare"),
    [
        (SIGNED, True, CLIENT_ID),
        ("s:a.b", True, "a"),
        ("s:a.b.c", True, "a.b"),
        ("s:..x", True, "."),
        ("s:s:a.b.c", True, "s:a.b"),
        (CLIENT_ID, False, CLIENT_ID),
        ("", False, ""),
        ("s:", False, "s:"),
        ("s:a", False, "s:a"),
        ("s:.x", False, "s:.x"),
        ("s:a.", False, "s:a."),
        ("a.b", False, "a.b"),
        ("S:a.b", False, "S:a.b"),
        (" s:a.b", False, " s:a.b"),
    ],
)
def test_the_shape_of_a_signed_id(client_id: str, signed: bool, bare: str) -> None:
    """S8.1: a signed id is s:<clientId>.<signature>, and the id ends at the last dot."""
    assert is_signed(client_id) is signed
    assert bare_client_id(client_id) == bare


@given(st.text(min_size=1), st.binary(min_size=1), st.booleans())
def test_what_was_signed_verifies(client_id: str, secret: bytes, strict: bool) -> None:
    """S8.1: whatever the id holds, dots and prefixes too, it verifies and comes back bare."""
    signer = Signer([secret], strict=strict)
    signed = signer.sign(client_id, CALLER)
    assert is_signed(signed)
    assert bare_client_id(signed) == client_id
    assert signer.verify(signed, CALLER)


@pytest.mark.parametrize(
    "forged",
    [
        CLIENT_ID,
        f"s:{CLIENT_ID}",
        f"s:{CLIENT_ID}.",
        f"{CLIENT_ID}.{SIGNATURE}",
        f"S:{CLIENT_ID}.{SIGNATURE}",
        f"s:{CLIENT_ID.upper()}.{SIGNATURE}",
        f"s:{CLIENT_ID}.{SIGNATURE.swapcase()}",
        f"s:{CLIENT_ID}.{SIGNATURE.rstrip('=')}",
        f"s:{CLIENT_ID}.{SIGNATURE}=",
        f"s:{CLIENT_ID}.{SIGNATURE} ",
        f"s:{CLIENT_ID}.x.{SIGNATURE}",
        f"s:x{CLIENT_ID}.{SIGNATURE}",
        f"s:{CLIENT_ID}.{SIGNATURE.replace('A', 'Ä')}",
        f"s:{CLIENT_ID}.\ud800",
        f"s:\ud800.{SIGNATURE}",
        f"s:.{SIGNATURE}",
        "",
        ".",
        "s:",
    ],
    ids=ascii,
)
def test_forged_ids_do_not_verify(forged: str) -> None:
    """S8.5: an id that was changed anywhere does not verify, and none raises."""
    assert not Signer(["super-secret"]).verify(forged, None)


def test_a_flipped_case_or_bit_does_not_verify() -> None:
    """S8.5: no letter in another case and no other bit verifies, at any place of the signed id."""
    signer = Signer(["super-secret"])
    for place, letter in enumerate(SIGNED):
        others = {letter.swapcase(), *(chr(ord(letter) ^ (1 << bit)) for bit in range(8))} - {letter}
        for other in others:
            assert not signer.verify(SIGNED[:place] + other + SIGNED[place + 1 :], None), (place, other)


def test_the_text_of_the_signature_is_compared() -> None:
    """S8.5: another text of base64 that decodes to the same bytes does not verify."""
    others = [
        SIGNATURE[:-2] + letter + "="
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        if letter != SIGNATURE[-2] and b64decode(SIGNATURE[:-2] + letter + "=") == b64decode(SIGNATURE)
    ]
    assert len(others) == 3
    for other in others:
        assert not Signer(["super-secret"]).verify(f"s:{CLIENT_ID}.{other}", None)


@given(st.text())
def test_no_id_makes_it_raise(text: str) -> None:
    """S8.5: checking an id never raises over what it holds."""
    signer = Signer(["super-secret"])
    assert not signer.verify(text, None)
    assert not signer.verify(f"s:{text}.{text}", None)


def test_rotation() -> None:
    """S8.3: of several secrets the first one signs and each one verifies; a dropped one does no more."""
    old, both, new = Signer(["old"]), Signer(["new", "old"]), Signer(["new"])
    assert both.sign(CLIENT_ID, None) == new.sign(CLIENT_ID, None)
    assert both.verify(old.sign(CLIENT_ID, None), None)
    assert both.verify(new.sign(CLIENT_ID, None), None)
    assert not new.verify(old.sign(CLIENT_ID, None), None)


@pytest.mark.parametrize("secrets", [[], [""], [b""], ["good", ""], "", b""])
def test_an_empty_secret_is_refused(secrets: Any) -> None:
    """S8.3: no secret at all and an empty one are refused."""
    with pytest.raises(ValueError, match="secret"):
        Signer(secrets)


@pytest.mark.parametrize("secret", [None, 32, bytearray(b"secret"), ["secret"]])
def test_a_secret_is_text_or_bytes(secret: Any) -> None:
    """S8.3: a secret of another type is a TypeError; a number would be as many zero bytes."""
    with pytest.raises(TypeError, match="secret"):
        Signer([secret])


@pytest.mark.parametrize("secret", ["super-secret", b"super-secret"])
def test_one_secret_is_not_taken_for_its_letters(secret: str | bytes) -> None:
    """S8.3: a single secret given without a list is that secret, not several of one letter."""
    assert Signer(secret).sign(CLIENT_ID, None) == SIGNED


@pytest.mark.parametrize(
    ("secrets", "weak"),
    [
        (["x" * 31], True),
        (["x" * 32], False),
        (["x" * 33], False),
        (["ä" * 16], False),
        (["x" * 32, b"y"], True),
        ([bytes(32)], False),
    ],
)
def test_weak_secrets(secrets: list[str | bytes], weak: bool) -> None:
    """S8.3: a secret under 32 bytes is weak, whichever of several it is."""
    assert Signer(secrets).weak is weak


def test_strict_is_the_secret_with_agent_and_address() -> None:
    """S8.2: the strict secret is <secret>;<User-Agent>;<IP address>."""
    strict = Signer(secrets=["super-secret"], strict=True)
    by_hand = Signer(["super-secret;Mozilla/5.0;192.0.2.7"])
    assert strict.strict
    assert not by_hand.strict
    assert strict.sign(CLIENT_ID, CALLER) == by_hand.sign(CLIENT_ID, None)
    assert Signer([b"\xff"], strict=True).sign("a", Caller("ä", "")) == Signer([b"\xff;\xc3\xa4;"]).sign("a", None)


@pytest.mark.parametrize(
    "other",
    [Caller("Mozilla/5.1", "192.0.2.7"), Caller("Mozilla/5.0", "192.0.2.8"), Caller("", ""), Caller("\ud800", "x")],
    ids=ascii,
)
def test_strict_ids_are_of_one_client(other: Caller) -> None:
    """S8.2: another agent or address does not verify; without an agent it is empty."""
    signer = Signer(["new", "old"], strict=True)
    assert signer.verify(Signer(["old"], strict=True).sign(CLIENT_ID, CALLER), CALLER)
    assert not signer.verify(signer.sign(CLIENT_ID, CALLER), other)
    assert not Signer(["new"]).verify(signer.sign(CLIENT_ID, CALLER), CALLER)


@pytest.mark.parametrize("signed", [SIGNED, CLIENT_ID, ""])
def test_strict_needs_a_caller(signed: str) -> None:
    """S8.2: signing and checking in strict mode without a client is a ValueError, whatever the id."""
    signer = Signer(["super-secret"], strict=True)
    with pytest.raises(ValueError, match="strict"):
        signer.sign(CLIENT_ID, None)
    with pytest.raises(ValueError, match="strict"):
        signer.verify(signed, None)


@pytest.mark.parametrize(("strict", "said"), [(False, "not strict"), (True, "strict")])
def test_secrets_are_not_shown(strict: bool, said: str) -> None:
    """S8.3: the repr of a signer says how many secrets it has, and none of them."""
    assert repr(Signer(["super-secret", b"hidden"], strict=strict)) == f"<Signer with 2 secret(s), {said}>"
