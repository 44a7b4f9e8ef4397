from __future__ import annotations

import hmac
import re
import tracemalloc
import zlib
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core import resume_tokens
from pode_signals.core.model import Scope
from pode_signals.core.resume import MAX_TOKEN_CHARACTERS, read_resume
from pode_signals.core.resume_tokens import (
    NO_TOKEN,
    Conversion,
    PassedOver,
    ResumeIdentity,
    ResumeTokens,
    Resumption,
    resumption,
)
from pode_signals.core.signing import Caller, Signer

IDENTITY = ResumeIdentity(
    1_790_003_600, "Rooms", "5d12f974", "ada", ("kitchen", "garden"), "generation", 7, "connection", "node"
)
CONVERSION = Conversion("Rooms", "ada", None, Scope.GLOBAL)
TOKENS = ResumeTokens(["secret"], "hub")
NOW = IDENTITY.expires_at - 1

# As check_name lets them pass.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20)
identities = st.builds(
    ResumeIdentity,
    st.integers(0, 2**53),
    texts,
    texts,
    st.none() | texts,
    st.lists(texts, max_size=5).map(tuple),
    texts,
    st.integers(0, 2**53),
    texts,
    texts,
)


def made(identity: ResumeIdentity = IDENTITY, tokens: ResumeTokens = TOKENS) -> str:
    """A token, which must not be too long."""
    token = tokens.make(identity)
    assert token is not None
    return token


def signed(content: bytes, tokens: ResumeTokens = TOKENS) -> str:
    """A token with any content, by somebody who knows the secret."""
    whole = b"  "[: -(32 + len(content)) % 3] + content
    return urlsafe_b64encode(hmac.digest(tokens._keys[0], whole, "sha256") + whole).decode("ascii")


def content_of(token: str) -> bytes:
    """What is signed of a token."""
    return urlsafe_b64decode(token)[32:].lstrip(b" ")


def judged(identity: ResumeIdentity | None = IDENTITY, conversion: Conversion = CONVERSION, **more: Any) -> Resumption:
    """What an identity comes to, where all else is good."""
    given: dict[str, Any] = {"is_valid": lambda _: True, "groups_hold": True, "now": NOW, **more}
    return resumption(identity, conversion, **given)


@given(identities)
def test_what_was_made_is_read(identity: ResumeIdentity) -> None:
    """P50: a token gives back all that it was made of, and is a part of a resume text as it stands."""
    token = made(identity)
    assert TOKENS.read(token) == identity
    found = read_resume(f"-.-.{token}")
    assert found is not None
    assert found.token == token


def test_a_long_one_is_compressed() -> None:
    """P50: a token that is compressed comes whole through the resume text."""
    groups = tuple(f"a long name of a group, number {number}" for number in range(50))
    token = made(IDENTITY._replace(joined_groups=groups))
    assert len(token) < len("".join(groups))
    found = read_resume(f"k3v9q2.41-7.{token}")
    assert found is not None
    assert found.token is not None
    assert TOKENS.read(found.token) == IDENTITY._replace(joined_groups=groups)


def test_the_fields() -> None:
    """P50: a token has its form first, then when it expires, and then who the client was and where."""
    assert content_of(made()).decode().split("\n") == [
        *("3", "1790003600", "Rooms", "5d12f974", "=ada", "generation", "7", "connection", "node", "kitchen", "garden")
    ]


def test_twice() -> None:
    """P51: the same token counts as often as it is offered, until it expires."""
    token = made()
    assert (
        judged(TOKENS.read(token))
        == judged(TOKENS.read(token))
        == Resumption(IDENTITY, ("kitchen", "garden"), is_whole=True, passed_over=None)
    )


def test_too_long() -> None:
    """P22: a token of more than 2,048 characters is not made, and none is read."""
    random = Random("groups")
    groups = tuple(f"{random.getrandbits(128):032x}" for _ in range(100))
    made = [TOKENS.make(IDENTITY._replace(joined_groups=groups[:number])) for number in range(100)]
    lengths = [len(token) for token in made if token is not None]
    assert 1_900 < max(lengths) <= MAX_TOKEN_CHARACTERS
    assert made[len(lengths) :] == [None] * (100 - len(lengths))
    assert len(lengths) < 100
    for number, is_read in ((100, False), (50, True)):
        content = resume_tokens._content(IDENTITY._replace(joined_groups=groups[:number]))
        assert (TOKENS.read(signed(content.lstrip(b" "))) is not None) is is_read


def test_sixty_groups() -> None:
    """P22: the groups of 60 UUIDs fit into a token."""
    random = Random("groups")
    groups = tuple(f"{random.getrandbits(128):032x}" for _ in range(60))
    assert TOKENS.make(IDENTITY._replace(joined_groups=groups)) is not None


@pytest.mark.parametrize(
    "tokens",
    [ResumeTokens(["other"], "hub"), ResumeTokens(["secret"], "other"), ResumeTokens(["secret", "other"][1:], "hub")],
)
def test_foreign(tokens: ResumeTokens) -> None:
    """P49: a token that was signed with another secret, or for another hub, is none."""
    assert TOKENS.read(made(tokens=tokens)) is None
    assert tokens.read(made()) is None


def test_rotation() -> None:
    """P49: of several secrets the first one signs and each one verifies; a dropped one does no more."""
    old, both, new = (ResumeTokens(each, "hub") for each in (["old"], ["new", "old"], ["new"]))
    assert made(tokens=both) == made(tokens=new) != made(tokens=old)
    assert both.read(made(tokens=old)) == both.read(made(tokens=new)) == IDENTITY
    assert new.read(made(tokens=old)) is None


@pytest.mark.parametrize("secrets", [[], [""], [b""], ["good", ""], "", b""])
def test_an_empty_secret_is_refused(secrets: Any) -> None:
    """P49: no secret at all and an empty one are refused."""
    with pytest.raises(ValueError, match="secret"):
        ResumeTokens(secrets, "hub")


def test_texts_and_bytes() -> None:
    """P49: a secret is the same as text and as bytes, and a single one is not taken for its letters."""
    assert made(tokens=ResumeTokens([b"secret"], "hub")) == made(tokens=ResumeTokens("secret", "hub")) == made()


def test_it_is_not_the_signature_of_a_client_id() -> None:
    """P49: with one secret for both, no signature of a client id is one of a token."""
    data = urlsafe_b64decode(made())
    client_id = Signer(["secret"]).sign(data[32:].decode(), None).rpartition(".")[2]
    assert b64decode(client_id + "=" * (-len(client_id) % 4)) != data[:32]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["3"],
        ["1", "1", "n", "c", "", "g", "1", "c", "n"],
        ["4", "1", "n", "c", "", "g", "1", "c", "n"],
        ["", "1", "n", "c", "", "g", "1", "c", "n"],
        ["3", "1", "n", "c", "", "g", "1", "c"],
        ["3", "one", "n", "c", "", "g", "1", "c", "n"],
        ["3", "1.5", "n", "c", "", "g", "1", "c", "n"],
        ["3", "", "n", "c", "", "g", "1", "c", "n"],
        ["3", "1", "n", "c", "", "g", "one", "c", "n"],
        ["3", "1", "n", "c", "", "g", "", "c", "n"],
    ],
)
def test_other_contents(fields: list[str]) -> None:
    """P49: what is signed and is not what a token has is no token."""
    assert TOKENS.read(signed("\n".join(fields).encode())) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"!",
        b"\xff\xfe",
        b"[" * 1_400,
        b"9" * 1_400,
        b"x",
        b"x is no zlib",
        zlib.compress(b"[" * 1_000_000),
        zlib.compress(b"9" * 5_000),
        zlib.compress(b"\xff"),
    ],
    ids=range(10),
)
def test_signed_nonsense(content: bytes) -> None:
    """P49: not even what somebody has signed who knows the secret makes reading raise."""
    assert TOKENS.read(signed(content)) is None


@given(st.text() | st.from_regex(r"\A(?:[A-Za-z0-9_-]{4})+\Z"))
def test_any_text(text: str) -> None:
    """P49: no text makes reading raise."""
    assert TOKENS.read(text) is None


BOMB = zlib.compress(b'["' + b" " * 1_450_000 + b'"]', 9)


def test_a_bomb_is_not_even_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    """P49: nothing is inflated, decoded or parsed before a signature holds, be it of no secret or of a dropped one."""
    work: list[str] = []
    monkeypatch.setattr(resume_tokens.zlib, "decompress", lambda data: work.append("inflates") or b"")
    old, new = ResumeTokens(["old"], "hub"), ResumeTokens(["new"], "hub")
    both = ResumeTokens(["new", "old"], "hub")
    bomb = signed(BOMB, old)
    assert new.read(bomb) is None
    assert new.read(bomb[:-1] + ("A" if bomb[-1] != "A" else "E")) is None
    assert work == []
    # A secret that still verifies can sign anything.
    assert both.read(bomb) is None
    assert work == ["inflates"]


def test_a_bomb_of_somebody_who_knows_a_secret() -> None:
    """P49: the bound on the length of a token keeps small what it inflates to, whoever has signed it."""
    bomb = signed(BOMB)
    assert 1_900 < len(bomb) <= MAX_TOKEN_CHARACTERS
    tracemalloc.start()
    try:
        assert TOKENS.read(bomb) is None
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < 8_000_000


def test_one_text_for_each_token() -> None:
    """P49: other texts of base64 that decode to the very same signature are no tokens."""
    token = made()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(token[-1])
    others = [token[:-1] + alphabet[at + more] for more in (1, 2, 3)]
    for other in (*others, token + "=", token + "\n", " " + token, token[:-5] + " " + token[-5:]):
        assert TOKENS.read(other) is None


@pytest.mark.parametrize(
    ("identity", "conversion", "more", "why"),
    [
        (None, {}, {}, PassedOver.FORGED),
        (IDENTITY, {}, {"now": IDENTITY.expires_at}, PassedOver.EXPIRED),
        (IDENTITY, {"name": "rooms"}, {}, PassedOver.OTHER_NAME),
        (IDENTITY, {"user": "eve"}, {}, PassedOver.OTHER_USER),
        (IDENTITY, {"user": None}, {}, PassedOver.OTHER_USER),
        (IDENTITY._replace(user=None), {}, {}, PassedOver.OTHER_USER),
        (IDENTITY._replace(user=""), {"user": None}, {}, PassedOver.OTHER_USER),
        (IDENTITY, {"scope": Scope.LOCAL}, {}, PassedOver.LOCAL),
        (IDENTITY, {"client_id": "5d12f975"}, {}, PassedOver.OTHER_CLIENT_ID),
        (IDENTITY, {"client_id": ""}, {}, PassedOver.OTHER_CLIENT_ID),
        (IDENTITY, {}, {"is_valid": lambda _: False}, PassedOver.CLIENT_ID_INVALID),
    ],
)
def test_passed_over(
    identity: ResumeIdentity | None, conversion: dict[str, Any], more: dict[str, Any], why: PassedOver
) -> None:
    """P49: a token that is not for this connection gives neither a client id nor groups, and says why."""
    found = judged(identity, CONVERSION._replace(**conversion), **more)
    assert found == Resumption(None, (), is_whole=False, passed_over=why)


@pytest.mark.parametrize("client_id", [None, "5d12f974", "s:5d12f974.signature"])
def test_the_same_client_id(client_id: str | None) -> None:
    """P50: a token counts where convert gives no client id, or the same one, signed or not."""
    assert judged(conversion=CONVERSION._replace(client_id=client_id)).identity == IDENTITY


def test_strictly_signed_ids() -> None:
    """P49: with strict signing a token counts for the address alone that its client id was signed for."""
    signer, caller = Signer(["secret"], strict=True), Caller("agent", "192.0.2.7")
    identity = IDENTITY._replace(client_id=signer.sign("5d12f974", caller))
    for address, why in (("192.0.2.7", None), ("192.0.2.8", PassedOver.CLIENT_ID_INVALID)):
        found = judged(identity, is_valid=lambda it, at=address: signer.verify(it, Caller("agent", at)))
        assert found.passed_over is why


@pytest.mark.parametrize(
    ("groups", "hold", "back", "whole"),
    [
        (("kitchen", "garden"), True, ("kitchen", "garden"), True),
        (("kitchen", "garden"), False, (), False),
        ((), False, (), True),
        ((), True, (), True),
    ],
)
def test_groups(groups: tuple[str, ...], hold: bool, back: tuple[str, ...], whole: bool) -> None:
    """P47: the joined groups come back all or not at all, and only who has all of them is whole."""
    found = judged(IDENTITY._replace(joined_groups=groups), groups_hold=hold)
    assert (found.groups, found.is_whole, found.passed_over) == (back, whole, None)
    assert found.identity is not None


def test_without_a_token() -> None:
    """P54: an offer without a token gives nobody's identity, and lacks nothing."""
    assert Resumption(None, (), is_whole=True, passed_over=None) == NO_TOKEN


def test_nothing_secret_is_in_a_repr() -> None:
    """P53: no repr shows a secret, a token, or the signature of a client id."""
    identity = IDENTITY._replace(client_id="s:5d12f974.signature")
    tokens = ResumeTokens(["the secret"], "hub")
    shown = repr([identity, tokens, judged(identity), CONVERSION._replace(client_id="s:5d12f974.signature")])
    assert not re.search(r"signature|the secret", shown)
    assert "5d12f974" in repr(identity)
