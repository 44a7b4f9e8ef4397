from __future__ import annotations

import hmac
import random
import re
import tomllib
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core import tokens
from pode_signals.core.tokens import (
    RANDOM_BYTES,
    SCOPES,
    NewToken,
    TokenExpired,
    Tokens,
    TokenUnknown,
    looks_like_token,
    new_token,
)
from pode_signals.errors import ConfigurationInvalid

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
RANDOM = bytes(range(RANDOM_BYTES))
ID = "pst_4kzq2m7ahd3x"
HASH = "sha256:" + "0" * 64


def made(**more: Any) -> NewToken:
    """A token with ``send``, unless told otherwise."""
    return new_token(RANDOM, **{"label": "billing job", "scopes": ["send"], **more})


def read(new: NewToken) -> Tokens:
    """The tokens of a file that has the block of a new one."""
    return Tokens.read(tomllib.loads(new.block))


def test_the_text() -> None:
    """O3.6: a token is ``pst_``, an id of 12 characters, and 43 characters that stand for 32 random bytes."""
    assert re.fullmatch(r"pst_[a-z2-7]{12}_[A-Za-z0-9_-]{43}", made().text)
    rng = random.Random(1)
    texts = {new_token(rng.randbytes(RANDOM_BYTES), label="a", scopes=["read"]).text for _ in range(200)}
    assert len({text[:16] for text in texts}) == 200
    assert all(re.fullmatch(r"pst_[a-z2-7]{12}_[A-Za-z0-9_-]{43}", text) for text in texts)


def test_no_token_without_chance() -> None:
    """O3.6: who makes a token gives all of its random bytes."""
    with pytest.raises(ValueError, match="40 random bytes, not 16"):
        new_token(bytes(16), label="a", scopes=["read"])


def test_only_the_hash_is_kept() -> None:
    """O3.7: the block for the file has the SHA-256 of the text, and no part of the secret."""
    new = made()
    assert f'hash = "sha256:{sha256(new.text.encode()).hexdigest()}"' in new.block
    assert new.text[17:] not in new.block
    assert new.text not in repr(new)


def test_a_block_is_read_again() -> None:
    """O3.7: what was made is what the file says: label, scopes, names and time."""
    expires = datetime(2027, 6, 30, tzinfo=UTC)
    new = made(scopes=["send", "read"], names=["Invoices", "user-*"], expires=expires)
    found = read(new).find(new.text, NOW)
    assert (found.label, found.scopes, found.names) == ("billing job", {"send", "read"}, ("Invoices", "user-*"))
    assert (found.id, found.expires) == (new.text[:16], expires)
    assert found.digest.hex() not in repr(found)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_any_name_in_a_block(name: str) -> None:
    """O3.7: whatever characters a name has, its block is TOML that says the name."""
    if "*" not in name:
        new = made(names=[name])
        assert read(new).find(new.text, NOW).names == (name,)


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text + "A", str.upper, lambda text: text[4:]])
def test_a_wrong_text(change: Any) -> None:
    """O3.8: a text that is not the token's own, whole, is unknown."""
    new = made()
    with pytest.raises(TokenUnknown):
        read(new).find(change(new.text), NOW)


def test_a_right_id_with_a_wrong_secret() -> None:
    """O3.8: the id alone opens nothing."""
    new = made()
    wrong = new.text[:-1] + ("A" if new.text[-1] != "A" else "B")
    with pytest.raises(TokenUnknown):
        read(new).find(wrong, NOW)


@pytest.mark.parametrize("text", ["", "pst_", "Bearer", "pst_4kzq2m7ahd3x_", "\ud800", "ä" * 60])
def test_no_token_at_all(text: str) -> None:
    """O3.8: any other text is unknown."""
    with pytest.raises(TokenUnknown):
        read(made()).find(text, NOW)


def test_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """O3.8: each text is hashed and compared once in constant time: a known id and an unknown one, right and wrong."""
    calls: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counting(first: bytes, second: bytes) -> bool:
        calls.append((len(first), len(second)))
        return compare(first, second)

    new, kept = made(), read(made())
    # It only looks on: that a comparison takes the same time for each shows nowhere else.
    monkeypatch.setattr(tokens.hmac, "compare_digest", counting)
    kept.find(new.text, NOW)
    for wrong in (new.text[:-1] + "_", ID + new.text[16:], "x"):
        with pytest.raises(TokenUnknown):
            kept.find(wrong, NOW)
    assert calls == [(32, 32)] * 4


def test_expiry() -> None:
    """O3.7: a token is good until its time, and expired at that time."""
    expires = NOW + timedelta(hours=1)
    new = made(expires=expires)
    assert read(new).find(new.text, expires - timedelta(microseconds=1)).expires == expires
    with pytest.raises(TokenExpired):
        read(new).find(new.text, expires)
    # Who does not know the secret does not learn that a token with this id has expired.
    with pytest.raises(TokenUnknown):
        read(new).find(new.text[:-1] + "_", expires)


def test_scopes() -> None:
    """O3.9: a token allows the scopes that it has, and ``all`` stands for each of them."""
    new = made(scopes=["metrics"])
    token = read(new).find(new.text, NOW)
    assert [scope for scope in SCOPES if token.allows(scope)] == ["metrics"]
    new = made(scopes=["all"])
    token = read(new).find(new.text, NOW)
    assert all(token.allows(scope) for scope in SCOPES)


@pytest.mark.parametrize(
    ("names", "name", "is_allowed"),
    [
        (None, "anything", True),
        (["Invoices"], "Invoices", True),
        (["Invoices"], "Invoices2", False),
        (["Invoices"], "invoices", False),
        (["user-*"], "user-", True),
        (["user-*"], "user-17", True),
        (["user-*"], "users-17", False),
        (["user-*"], "a user-17", False),
        (["a", "b*"], "bc", True),
        (["*"], "anything", True),
    ],
)
def test_names(names: list[str] | None, name: str, is_allowed: bool) -> None:
    """O3.7: names are exact, or a beginning with ``*`` behind; a token without names is for every name."""
    new = made(names=names)
    assert read(new).find(new.text, NOW).allows_name(name) is is_allowed


GOOD = {"label": "a", "hash": HASH, "scopes": ["read"]}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"label": "a"}, "the section [label] is not called by the id of a token"),
        ({"pst_4kzq2m7ahd3x_" + "a" * 43: GOOD}, "a section is not called by the id of a token"),
        ({ID: 1}, f"{ID} has to be a section"),
        ({ID: {**GOOD, "scope": ["read"]}}, "there is no key scope; did you mean scopes?"),
        ({ID: {**GOOD, "label": ""}}, "label has to be"),
        ({ID: {**GOOD, "label": "a\nb"}}, "label has to be"),
        ({ID: {**GOOD, "label": "a" * 101}}, "label has to be"),
        ({ID: {**GOOD, "label": 1}}, "label has to be"),
        ({ID: {**GOOD, "hash": "a secret"}}, "hash has to be"),
        ({ID: {**GOOD, "hash": HASH.upper()}}, "hash has to be"),
        ({ID: {**GOOD, "hash": 1}}, "hash has to be"),
        ({ID: {**GOOD, "scopes": "read"}}, "scopes has to be"),
        ({ID: {**GOOD, "scopes": []}}, "scopes has to be"),
        ({ID: {**GOOD, "scopes": ["reed"]}}, "there is no scope reed; did you mean read?"),
        ({ID: {"label": "a", "hash": HASH}}, "scopes has to be"),
        ({ID: {**GOOD, "names": "Msg"}}, "names has to be"),
        ({ID: {**GOOD, "names": []}}, "names has to be"),
        ({ID: {**GOOD, "names": [""]}}, "names has to be"),
        ({ID: {**GOOD, "names": ["a*b"]}}, "names has to be"),
        ({ID: {**GOOD, "expires": "2027"}}, "expires has to be"),
        ({ID: {**GOOD, "expires": datetime(2027, 1, 1)}}, "expires has to be"),  # noqa: DTZ001
    ],
)
def test_mistakes_in_the_file(values: dict[str, Any], sentence: str) -> None:
    """O3.7: a mistake in the file is a sentence that names the token by its id, and holds no hash and no token."""
    with pytest.raises(ConfigurationInvalid) as caught:
        Tokens.read(values)
    assert sentence in str(caught.value)
    assert "0" * 64 not in str(caught.value)
    assert "a" * 43 not in str(caught.value)


def test_mistakes_of_a_new_token() -> None:
    """O3.7: no token is made that the file could not have."""
    with pytest.raises(ConfigurationInvalid, match="there is no scope sned; did you mean send"):
        made(scopes=["sned"])
    with pytest.raises(ConfigurationInvalid, match="expires has to be"):
        made(expires=datetime(2027, 1, 1))  # noqa: DTZ001


def test_what_looks_like_a_token() -> None:
    """O3.4: a token, and most of one, is known wherever it stands in a text."""
    assert looks_like_token(f"/metrics?x={made().text}")
    assert looks_like_token(made().text[:20])
    assert not looks_like_token("/names/pst_office")


def test_how_many() -> None:
    """O3.10: the tokens of a file are counted."""
    assert len(Tokens()) == 0
    assert len(read(made())) == 1
