from __future__ import annotations

from collections import Counter
from typing import Any

from backplane.node import ADA, BOB, EVE
from fakes import result_of
from twisted.internet.defer import Deferred, succeed

from pode_signals.backplane.contract import Member
from pode_signals.backplane.redis.keys import Keys
from pode_signals.backplane.redis.members import Change, Seen, written
from pode_signals.backplane.redis.reading import Picture, Reading


class FakeNode:
    """A node whose Redis answers what a test says, one call after the other."""

    def __init__(self) -> None:
        self.client = self
        self.keys = Keys("pode")
        self.counters: Counter[str] = Counter()
        self.asked: list[tuple[str, Deferred[Any]]] = []

    def run(self, script: object, keys: tuple[str, ...], *words: object) -> Deferred[Any]:
        self.asked.append(("all", Deferred()))
        return self.asked[-1][1]

    def call(self, *words: object) -> Deferred[Any]:
        self.asked.append((f"from {words[2]!r}", Deferred()))
        return self.asked[-1][1]

    def count(self, what: str, number: int = 1) -> None:
        self.counters[what] += number

    def answer(self, what: str, answer: list[Any]) -> None:
        """Answer the call that waits."""
        asked, waiting = self.asked.pop(0)
        assert (asked, self.asked) == (what, [])
        waiting.callback(answer)


def flat(*members: Member) -> list[bytes]:
    return [word.encode() for each in members for word in (each.client_id, f"a-1 h{written(each)}")]


def came(version: int, member: Member) -> Change:
    return Change(version, {member.client_id: Seen("b", member)}, 0)


def went(version: int, client_id: str) -> Change:
    return Change(version, {client_id: None}, 0)


def read(node: FakeNode, listens: list[str]) -> tuple[Reading, Deferred[Picture]]:
    def listen() -> Deferred[None]:
        listens.append("listens")
        return succeed(None)

    reading = Reading(node, "Room", listen)  # type: ignore[arg-type]
    return reading, reading.picture()


def members_of(picture: Picture) -> tuple[int, list[tuple[str, str]]]:
    return picture.version, sorted((client_id, seen.node) for client_id, seen in picture.members.items())


def test_a_small_name() -> None:
    """S17.1: a small name is read with one call; differences that were heard before the answer are not made twice."""
    node = FakeNode()
    listens: list[str] = []
    reading, reads = read(node, listens)
    reading.heard(went(6, "bob"))
    reading.heard(came(7, EVE))
    reading.heard(went(8, "ada"))
    reading.heard(came(9, ADA))
    node.answer("all", [b"7", 3, flat(ADA, BOB, EVE)])
    assert members_of(result_of(reads)) == (9, [("ada", "b"), ("bob", "a"), ("eve", "a")])
    assert listens == []


def test_a_missing_difference() -> None:
    """S17.1: where a difference is missing that came during a reading, all members are read again."""
    node = FakeNode()
    reading, reads = read(node, [])
    reading.heard(came(9, EVE))
    node.answer("all", [b"7", 1, flat(ADA)])
    assert not reads.called
    node.answer("all", [b"9", 3, flat(ADA, BOB, EVE)])
    assert members_of(result_of(reads)) == (9, [("ada", "a"), ("bob", "a"), ("eve", "a")])


def test_a_large_name() -> None:
    """S17.1: a large name is listened to first, and read in pages; what changes meanwhile is in the picture."""
    node = FakeNode()
    listens: list[str] = []
    reading, reads = read(node, listens)
    node.answer("all", [b"7", 1_001, []])
    assert listens == ["listens"]
    reading.heard(came(8, EVE))
    node.answer("all", [b"8", 1_002, []])
    node.answer("from b'0'", [b"17", flat(ADA, EVE)])
    # One that the second page does not have any more, and one that went and came between the pages.
    reading.heard(went(9, "ada"))
    reading.heard(came(10, BOB))
    node.answer("from b'17'", [b"0", flat(EVE)])
    assert members_of(result_of(reads)) == (10, [("bob", "b"), ("eve", "a")])
    assert listens == ["listens"]


def test_malformed_answers() -> None:
    """S17.3: a version that is none counts as the first of all, and members that are none are left out, counted."""
    node = FakeNode()
    _, reads = read(node, [])
    node.answer("all", [b"x", 3, [*flat(ADA), b"bob", b"x", b"\xff", b"a-1 h{}"]])
    assert members_of(result_of(reads)) == (0, [("ada", "a")])
    assert node.counters == {"members_malformed": 2}
