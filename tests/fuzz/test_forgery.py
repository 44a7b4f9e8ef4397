"""Forged client ids: however a signed one is changed, it is not accepted.

``PODE_SIGNALS_FORGERIES=1000000`` makes so many.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from itertools import product
from random import Random

import pytest
from fuzz.mutator import Mutator
from fuzz.target import CLIENT_ID, SECRET
from fuzz.text_targets import SignedIds

from pode_signals.core.request_record import header_text
from pode_signals.core.signing import Caller, Signer

FORGERIES = int(os.environ.get("PODE_SIGNALS_FORGERIES", "100000"))
CALLER = Caller(user_agent="tests", address="192.0.2.1")
SIGNERS = {"plain": Signer((SECRET, SECRET[::-1])), "strict": Signer((SECRET,), strict=True)}
IDS = {kind: signer.sign(CLIENT_ID, CALLER) for kind, signer in SIGNERS.items()}


@pytest.fixture(params=SIGNERS, ids=str)
def kind(request: pytest.FixtureRequest) -> str:
    """Plain or strict signing."""
    return str(request.param)


def accepted(kind: str, forged: str) -> bool:
    """Whether an id passes, which only the signed one may."""
    return SIGNERS[kind].verify(forged, CALLER)


def test_mutations() -> None:
    """S8.5: of 100,000 ids that are nearly right none is accepted."""
    random = Random("forgery")
    mutators = {kind: Mutator(random, [IDS[kind].encode()], SignedIds.tokens) for kind in SIGNERS}
    passed, different = [], set()
    while len(different) < FORGERIES:
        kind = "strict" if len(different) % 4 == 0 else "plain"
        forged = header_text(mutators[kind].next())
        if forged != IDS[kind]:
            different.add(hash((kind, forged)))
            if accepted(kind, forged):
                passed.append((kind, forged))
    assert passed == []


def test_every_bit(kind: str) -> None:
    """S8.5: with any one of its bits turned over an id is not accepted, read as UTF-8 or as Latin-1."""
    signed = IDS[kind].encode("ascii")
    for at, bit in product(range(len(signed)), range(8)):
        forged = bytearray(signed)
        forged[at] ^= 1 << bit
        assert not accepted(kind, forged.decode("latin-1"))
        assert not accepted(kind, header_text(bytes(forged)))
        assert not accepted(kind, forged.decode("ascii", "surrogateescape"))


def test_every_case(kind: str) -> None:
    """S8.5: with any one of its letters in the other case, or all of them, an id is not accepted."""
    signed = IDS[kind]
    assert accepted(kind, signed)
    flips = [signed[:at] + signed[at].swapcase() + signed[at + 1 :] for at in range(len(signed))]
    others = {forged for forged in (*flips, signed.upper(), signed.lower(), signed.swapcase()) if forged != signed}
    assert len(others) > 40
    assert not any(accepted(kind, forged) for forged in others)


def test_every_other_text_of_the_same_signature(kind: str) -> None:
    """S8.5: other texts of base64 that decode to the very same signature are not accepted."""
    signed = IDS[kind]
    bare, _, signature = signed.rpartition(".")
    others = set(same_signature(signature)) - {signature}
    assert len(others) >= 6
    assert not any(accepted(kind, f"{bare}.{other}") for other in others)


def same_signature(text: str) -> Iterator[str]:
    """Texts that a lenient reader decodes to what this one decodes to."""
    digest = b64decode(text)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for last in alphabet:
        other = text[:-2] + last + "="
        if b64decode(other) == digest:
            yield other
    yield from (
        text.rstrip("="),
        text + "=",
        text + "==",
        text.replace("=", "%3D"),
        text + "\n",
        " " + text,
        text + "\0",
    )
    yield b64encode(digest, b"-_").decode() if b64encode(digest, b"-_").decode() != text else text[:4] + "\n" + text[4:]


def test_parts_of_different_ids(kind: str) -> None:
    """S8.5: an id with the signature of another one, in another place, or of another secret is not accepted."""
    signer, signed = SIGNERS[kind], IDS[kind]
    bare, _, signature = signed.rpartition(".")
    other = signer.sign(CLIENT_ID + "0", CALLER)
    for forged in (
        f"{bare}.{other.rpartition('.')[2]}",
        f"{other.rpartition('.')[0]}.{signature}",
        f"s:{CLIENT_ID}..{signature}",
        f"s:.{CLIENT_ID}.{signature}",
        f"s:s:{CLIENT_ID}.{signature}",
        f"{CLIENT_ID}.{signature}",
        f"s:{signature}.{CLIENT_ID}",
        f"{signed}.{signature}",
        f"{signed}.",
        f"s:.{signature}",
        signed[2:],
        signed * 2,
        Signer((SECRET + "0",)).sign(CLIENT_ID, None),
        Signer((SECRET[:-1],)).sign(CLIENT_ID, None),
        IDS["plain" if kind == "strict" else "strict"],
    ):
        assert not accepted(kind, forged), forged


def test_a_strict_id_of_another(kind: str) -> None:
    """S8.2: a strictly signed id is accepted from its own agent and address only."""
    others = [
        Caller(user_agent=agent, address=address)
        for agent, address in product(
            ("tests", "Tests", "tests ", "", "tests;"), ("192.0.2.1", "192.0.2.10", "::1", "")
        )
        if (agent, address) != ("tests", "192.0.2.1")
    ]
    passed = [other for other in others if SIGNERS[kind].verify(IDS[kind], other)]
    assert passed == ([] if kind == "strict" else others)
