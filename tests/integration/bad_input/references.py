"""Requests that refer to a connection they must not, and some that may. All refusals are the same."""

from __future__ import annotations

from collections.abc import Iterator

from integration.bad_input.cases import SECRET, Reference

from pode_signals.core.signing import Caller, Signer

__all__ = ["AGENT", "CASES", "RESIDENTS"]

AGENT = "tests"
ID, NAME, GROUP = "X-PODE-SIGNAL-CLIENT-ID", "X-PODE-SIGNAL-NAME", "X-PODE-SIGNAL-GROUP"
SIGNED = Signer((SECRET,)).sign("known", None)
STRICT = Signer((SECRET,), strict=True).sign("known", Caller(user_agent=AGENT, address="127.0.0.1"))

RESIDENTS = {
    "main": (
        "name=Shop&client_id=known&group=red",
        "name=Shop&client_id=twice",
        "name=Other&client_id=twice",
        "name=a%2cb&client_id=%c3%bc%25",
        "name=Caf%c3%a9&client_id=cafe",
    ),
    "signed": ("name=Shop&client_id=known",),
    "strict": ("name=Shop&client_id=known",),
}
"""The connections that have to be there, as queries of ``/named``."""


def _bad() -> Iterator[Reference]:
    for name, value in {
        "an unknown id": "unknown",
        "an empty id": "",
        "an id of spaces": "   ",
        "an id in capitals": "KNOWN",
        "an id and a byte": "known\x0b",
        "an id with 0x85": b"known\x85",
        "two ids in one line": "known, known",
        "an id of 129 characters": "k" * 129,
        "an id of 15,000 characters": "k" * 15_000,
        "an id that looks signed": "s:known.8qHWZA7dMwgbAO0uW3pncXp8U6YpaOJBiaXpPFqdVlg=",
        "an id that is ambiguous": "twice",
        "an id encoded as no UTF-8": "%ff",
        "an id encoded as a surrogate": "%ed%a0%80",
        "an id encoded badly": "known%",
        "an id with NUL, encoded": "known%00",
        "an id with a line end, encoded": "known%0d%0aX-Smuggled: yes",
        "an id that is encoded twice": "%256bnown",
        "an id of a path": "../known",
        "an id of SQL": "' OR 1=1 --",
        "an id of an IPv6 address": "::1",
        "an id with 0xff": b"\xff",
    }.items():
        yield Reference(name, ((ID, value),))
    yield Reference("an id twice", ((ID, "known"), (ID, "known")))
    yield Reference("an id twice, not alike", ((ID, "known"), (ID, "unknown")))
    yield Reference("an id twice, one of them empty", ((ID, "known"), (ID, "")))
    for name, headers in {
        "of another name": ((NAME, "Other"),),
        "of an unknown name": ((NAME, "Nothing"),),
        "of a name in capitals": ((NAME, "SHOP"),),
        "of another group": ((GROUP, "blue"),),
        "of the right name and another group": ((NAME, "Shop"), (GROUP, "blue")),
        "of a name that is no UTF-8": ((NAME, "Shop, %ff"),),
        "of a group that is no UTF-8": ((GROUP, "%c3"),),
        "of a name behind 0x0b": ((NAME, "\x0bShop"),),
        "of 3,000 names": ((NAME, "x," * 3_000),),
    }.items():
        yield Reference(f"an id {name}", ((ID, "known"), *headers))
    yield Reference("an ambiguous id of both names", ((ID, "twice"), (NAME, "Shop, Other")))


def _signed() -> Iterator[Reference]:
    flipped = SIGNED[:-3] + ("A" if SIGNED[-3] != "A" else "B") + SIGNED[-2:]
    for name, value in {
        "that is bare": "known",
        "with another signature": flipped,
        "with an empty signature": "s:known.",
        "without padding": SIGNED.rstrip("="),
        "with more padding": SIGNED + "=",
        "in capitals": SIGNED.upper(),
        "with another prefix": SIGNED.replace("s:", "S:", 1),
        "with a longer id": SIGNED.replace("known", "known2"),
        "with the signature of URLs": SIGNED.replace("+", "-").replace("/", "_").rstrip("="),
        "that nobody has": Signer((SECRET,)).sign("nobody", None),
        "of another secret": Signer(("x" * 32,)).sign("known", None),
        "of the strict form": STRICT,
    }.items():
        yield Reference(f"a signed id {name}", ((ID, value),), server="signed")
    yield Reference("a strictly signed id of another agent", ((ID, STRICT), ("User-Agent", "other")), server="strict")
    yield Reference("a strictly signed id of no agent", ((ID, STRICT),), server="strict")
    forwarded = (ID, STRICT), ("User-Agent", AGENT), ("X-Forwarded-For", "192.0.2.1")
    yield Reference("for comparison: a forwarded address of no proxy", forwarded, "Shop", "strict")


def _good() -> Iterator[Reference]:
    for name, headers, found in (
        ("no id", (), "nobody"),
        ("a name without an id", ((NAME, "%ff"), (GROUP, "\x0b")), "nobody"),
        ("an id", ((ID, "known"),), "Shop"),
        ("an id, encoded", ((ID, "%6b%6Eown"),), "Shop"),
        ("an id in spaces", ((ID, " known \t"),), "Shop"),
        ("an id with its name and group", ((ID, "known"), (NAME, "Other, Shop"), (GROUP, "red")), "Shop"),
        ("an id with an empty name", ((ID, "known"), (NAME, " , ")), "Shop"),
        ("an ambiguous id with its name", ((ID, "twice"), (NAME, "Other")), "Other"),
        ("an id and a name with a comma", ((ID, "%C3%BC%25"), (NAME, "a%2Cb")), "a,b"),
        ("a name in UTF-8", ((ID, "cafe"), (NAME, "Caf\u00e9")), "Caf\u00e9"),
    ):
        yield Reference(f"for comparison: {name}", headers, found)
    yield Reference("for comparison: a signed id", ((ID, SIGNED),), "Shop", "signed")
    yield Reference("for comparison: a strictly signed id", ((ID, STRICT), ("User-Agent", AGENT)), "Shop", "strict")


CASES = (*_bad(), *_signed(), *_good())
