"""Forged and stolen resume tokens: however one is changed, and wherever it is offered, it gives nothing.

``PODE_SIGNALS_TOKEN_FORGERIES=100000`` makes so many.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import product
from random import Random

import pytest
from fuzz.mutator import Mutator

from pode_signals.core.model import Scope
from pode_signals.core.request_record import header_text
from pode_signals.core.resume import read_resume
from pode_signals.core.resume_tokens import Conversion, PassedOver, ResumeIdentity, ResumeTokens, Resumption, resumption

FORGERIES = int(os.environ.get("PODE_SIGNALS_TOKEN_FORGERIES", "1000"))
NOW = 1_790_000_000
TOKENS = ResumeTokens(["a secret", "the one before"], "hub")
IDENTITY = ResumeIdentity(NOW + 3_600, "Rooms", "5d12f974", "ada", ("kitchen",), "g", 7, "c", "n")
LONG = IDENTITY._replace(joined_groups=tuple(f"the group {number}" for number in range(30)))
CONVERSION = Conversion("Rooms", "ada", None, Scope.GLOBAL)
PARTS = [b".", b"-", b"_", b"A", b"=", b"pode.resume.", b"-.-.", b"k3v9q2.41-7.", b"\0", b"\xff", b" ", b","]


def token(identity: ResumeIdentity, tokens: ResumeTokens = TOKENS) -> str:
    made = tokens.make(identity)
    assert made is not None
    return made


def offered(text: str, conversion: Conversion = CONVERSION) -> Resumption:
    """What a token comes to that is offered in a resume text, by a thief who knows all but the secret."""
    request = read_resume(f"-.-.{text}")
    identity = None if request is None or request.token is None else TOKENS.read(request.token)
    return resumption(identity, conversion, is_valid=lambda _: True, groups_hold=True, now=NOW)


GENUINE = {"plain": token(IDENTITY), "compressed": token(LONG)}


def gives_nothing(found: Resumption) -> bool:
    return (found.identity, found.groups, found.is_whole) == (None, (), False) and found.passed_over is not None


@pytest.mark.parametrize("kind", GENUINE)
def test_the_genuine_one(kind: str) -> None:
    """P50: the token itself counts, so that the tests below test something."""
    assert offered(GENUINE[kind]).is_whole
    assert urlsafe_b64decode(GENUINE[kind])[32:].lstrip().startswith(b"x") is (kind == "compressed")


@pytest.mark.parametrize("kind", GENUINE)
def test_every_bit(kind: str) -> None:
    """P49: with any one of its bits turned over a token gives nothing, at each position."""
    genuine = GENUINE[kind].encode("ascii")
    for at, bit in product(range(len(genuine)), range(8)):
        forged = bytearray(genuine)
        forged[at] ^= 1 << bit
        for text in (forged.decode("latin-1"), header_text(bytes(forged)), forged.decode("ascii", "surrogateescape")):
            assert gives_nothing(offered(text)), (at, bit)
            assert TOKENS.read(text) is None


@pytest.mark.parametrize("kind", GENUINE)
def test_every_cut(kind: str) -> None:
    """P49: a token that lacks its begin or its end, or any one character, gives nothing."""
    genuine = GENUINE[kind]
    for at in range(len(genuine)):
        for text in (genuine[:at], genuine[at + 1 :], genuine[:at] + genuine[at + 1 :]):
            assert gives_nothing(offered(text))


def test_mutations() -> None:
    """P49: of a thousand tokens that are nearly right none gives anything."""
    mutator = Mutator(Random("token forgery"), [each.encode() for each in GENUINE.values()], PARTS)
    different: set[int] = set()
    while len(different) < FORGERIES:
        text = header_text(mutator.next())
        if text not in GENUINE.values():
            different.add(hash(text))
            assert gives_nothing(offered(text)), text


def test_stolen_and_offered_elsewhere() -> None:
    """P49: a genuine token gives nothing to a connection of another name, user, client id or scope, or in its time."""
    random = Random("theft")
    words = ["Rooms", "rooms", "Room", "Rooms ", "", "ada", "Ada", "eve", "5d12f974", "5d12f975", "s:5d12f974.x", None]
    for _ in range(FORGERIES):
        theirs = CONVERSION._replace(
            name=random.choice(words) or "Rooms",
            user=random.choice(words),
            client_id=random.choice(words),
            scope=random.choice(list(Scope)),
        )
        found = offered(GENUINE["plain"], theirs)
        is_owner = (
            (theirs.name, theirs.user, theirs.scope) == ("Rooms", "ada", Scope.GLOBAL)
            and theirs.client_id in (None, "5d12f974", "s:5d12f974.x")
        )  # fmt: skip
        assert gives_nothing(found) is not is_owner


def test_foreign_and_expired() -> None:
    """P49: tokens of other hubs, other secrets, dropped ones too, and tokens that have expired give nothing."""
    random = Random("foreign")
    for number in range(FORGERIES):
        identity = IDENTITY._replace(expires_at=NOW + random.randrange(1, 10_000), version=random.randrange(100))
        secret = random.choice([f"a secret{number}", "A secret", "a secret ", "the one before that"])
        assert offered(token(identity, ResumeTokens([secret], "hub"))).passed_over is PassedOver.FORGED
        hub = random.choice(["Hub", "hub ", "hu", "", f"hub{number}"])
        assert offered(token(identity, ResumeTokens(["a secret"], hub))).passed_over is PassedOver.FORGED
        expired = identity._replace(expires_at=NOW - random.randrange(10_000))
        assert offered(token(expired)).passed_over is PassedOver.EXPIRED
        assert offered(token(identity)).is_whole


def test_parts_of_two_tokens() -> None:
    """P49: the content of one token with the signature of another gives nothing."""
    random = Random("parts")
    made = [urlsafe_b64decode(token(IDENTITY._replace(version=number))) for number in range(100)]
    for _ in range(FORGERIES):
        one, other = random.sample(made, 2)
        mixed = urlsafe_b64encode(one[:32] + other[32:]).decode()
        assert gives_nothing(offered(mixed))
