from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

import pytest

from pode_signals.core.history import Position
from pode_signals.core.log_writer import Appended, LogWriter, Outcome, Pending, Taken


class Writes:
    """Keeps what a writer wants."""

    def __init__(self, *, is_up: bool = True) -> None:
        self.sent: list[tuple[str, int, str]] = []
        self.ends: list[str] = []
        self.looks: list[Callable[[bool], None]] = []
        self.settled: dict[str, Position | Outcome] = {}
        incarnations = count(1)
        self.writer = LogWriter(self, lambda: f"i{next(incarnations)}", 0.0, is_up=is_up)

    def append(self, incarnation: str, number: int, data: bytes, size_bytes: int) -> None:
        self.sent.append((incarnation, number, data.decode()))

    def end(self, incarnation: str) -> None:
        self.ends.append(incarnation)

    def catch_up(self, then: Callable[[bool], None]) -> None:
        self.looks.append(then)

    def add(self, *ids: str, now: float = 0.0, due: float = 30.0) -> None:
        """Append entries, whose data are their ids."""
        for each in ids:
            self.writer.add(Pending(each, each.encode(), len(each), due, partial(self._settle, each)), now)

    def _settle(self, entry: str, outcome: Position | Outcome) -> None:
        assert entry not in self.settled
        self.settled[entry] = outcome

    def said(self, number: int, answer: Appended = Appended.IN, incarnation: str = "i1") -> None:
        """The log has answered."""
        self.writer.appended(incarnation, number, answer, place(number))


def place(number: int) -> Position:
    """The place of an entry, which has its number."""
    return Position("first", f"{number}-{number}")


@pytest.fixture
def writes() -> Writes:
    """A writer that can send."""
    return Writes()


def test_in_order(writes: Writes) -> None:
    """S17.2: entries are numbered, sent at once and settled with their places."""
    writes.add("a", "b")
    assert writes.sent == [("i1", 1, "a"), ("i1", 2, "b")]
    assert (len(writes.writer), writes.writer.size_bytes) == (2, 2)
    writes.said(1)
    writes.said(2, Appended.SEEN)
    assert writes.settled == {"a": place(1), "b": place(2)}
    assert (len(writes.writer), writes.writer.size_bytes) == (0, 0)


def test_so_many_at_a_time(writes: Writes, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.2: only so many entries are under way at a time."""
    monkeypatch.setattr("pode_signals.core.log_writer._MOST_UNDER_WAY", 2)
    writes.add("a", "b", "c")
    assert len(writes.sent) == 2
    writes.said(1)
    assert writes.sent[2:] == [("i1", 3, "c")]


def test_what_is_lost_is_sent_once_more_at_most(writes: Writes) -> None:
    """S17.2: after a lost connection the incarnation ends first; what the log took is not sent again, the rest is."""
    writes.add("a", "b", "c")
    writes.writer.lost()
    writes.add("d")
    writes.writer.back()
    assert (writes.ends, len(writes.sent)) == (["i1"], 3)
    writes.writer.ended("i1", Taken(1, place(1)))
    assert writes.settled == {"a": place(1)}
    assert writes.sent[3:] == [("i2", 1, "b"), ("i2", 2, "c"), ("i2", 3, "d")]
    # What the log said to the old incarnation comes late.
    writes.said(2, incarnation="i1")
    writes.writer.refused("i1", 2)
    writes.writer.ended("i1", Taken(0, None))
    assert writes.settled == {"a": place(1)}


def test_nothing_was_under_way(writes: Writes) -> None:
    """S17.2: where nothing was under way when the connection was lost, the incarnation goes on."""
    writes.add("a")
    writes.said(1)
    writes.writer.lost()
    writes.writer.back()
    writes.add("b")
    assert (writes.ends, writes.sent[1:]) == ([], [("i1", 2, "b")])


def test_before_the_first_connection() -> None:
    """S17.2: what is appended before there is a connection waits for it."""
    writes = Writes(is_up=False)
    writes.add("a")
    assert writes.sent == []
    writes.writer.back()
    writes.writer.back()
    assert writes.sent == [("i1", 1, "a")]


@pytest.mark.parametrize("answer", [Appended.WENT_BACK, Appended.CLOSED])
def test_a_log_that_went_back(writes: Writes, answer: Appended) -> None:
    """S17.2: the node finds out where the log is, ends the incarnation, and sends what is not in, in order."""
    writes.add("a", "b")
    writes.said(1, answer)
    writes.said(2, answer)
    writes.add("c")
    assert (len(writes.looks), len(writes.sent)) == (1, 2)
    writes.looks[0](True)
    assert writes.ends == ["i1"]
    writes.writer.ended("i1", Taken(0, None))
    assert writes.sent[2:] == [("i2", 1, "a"), ("i2", 2, "b"), ("i2", 3, "c")]


def test_it_can_not_find_out(writes: Writes) -> None:
    """S17.2: where the log can't be asked, the next connection brings the answer."""
    writes.add("a")
    writes.said(1, Appended.WENT_BACK)
    writes.looks[0](False)
    assert writes.ends == []
    writes.writer.back()
    assert writes.ends == ["i1"]
    # Whoever asked before is told late.
    writes.looks[0](True)
    assert writes.ends == ["i1"]


def test_refused(writes: Writes) -> None:
    """S17.2: an entry that the log does not take fails alone; those behind it are sent anew."""
    writes.add("a", "b", "c")
    writes.writer.refused("i1", 1)
    writes.writer.refused("i1", 7)
    assert writes.settled == {"a": "refused"}
    writes.said(2, Appended.WENT_BACK)
    assert len(writes.looks) == 1
    writes.looks[0](True)
    writes.writer.ended("i1", Taken(0, None))
    assert writes.sent[3:] == [("i2", 1, "b"), ("i2", 2, "c")]


def test_an_end_that_is_refused(writes: Writes) -> None:
    """S17.2: where the log refuses to end an incarnation, it is asked again when entries can be sent again."""
    writes.add("a")
    writes.writer.lost()
    writes.writer.back()
    writes.writer.not_ended("other")
    assert not writes.writer.is_away
    writes.writer.not_ended("i1")
    assert writes.writer.is_away
    writes.writer.back()
    assert writes.ends == ["i1", "i1"]
    writes.writer.ended("i1", Taken(0, None))
    assert writes.sent[1:] == [("i2", 1, "a")]


@pytest.mark.parametrize("is_last", [True, False])
def test_no_log(writes: Writes, is_last: bool) -> None:
    """S17.2: an entry for which there is no log fails as such; before the next one the incarnation ends."""
    writes.add("a")
    writes.said(1, Appended.NO_LOG)
    assert (writes.settled, writes.looks, writes.ends) == ({"a": "no log"}, [], [])
    if not is_last:
        writes.add("b")
        assert (writes.ends, len(writes.sent)) == (["i1"], 1)
        writes.writer.ended("i1", Taken(0, None))
        assert writes.sent[1:] == [("i2", 1, "b")]


def test_read_in_the_log(writes: Writes) -> None:
    """S17.2: an entry that this node reads in the log is settled with that place, whatever the answer to it is."""
    writes.add("a", "b")
    writes.writer.seen("b", place(9))
    writes.writer.seen("z", place(9))
    assert writes.settled == {"b": place(9)}
    writes.said(1)
    writes.said(2)
    assert writes.settled == {"b": place(9), "a": place(1)}


def test_given_up(writes: Writes) -> None:
    """S17.2: what has waited too long fails: with "unknown" where it was sent, and with "refused" where it was not."""
    writes.add("a", due=10)
    writes.writer.lost()
    writes.add("b", "c", due=10)
    writes.add("d", due=20)
    writes.writer.give_up(9.9)
    assert writes.settled == {}
    writes.writer.give_up(10)
    assert writes.settled == {"a": "unknown", "b": "refused", "c": "refused"}
    writes.writer.back()
    writes.writer.ended("i1", Taken(1, place(1)))
    assert writes.sent[1:] == [("i2", 1, "d")]


def test_idle(writes: Writes) -> None:
    """S17.2: an incarnation that was idle for ten minutes, which the log may have forgotten, is ended first."""
    writes.add("a")
    writes.said(1)
    writes.add("b", now=601)
    assert (writes.ends, len(writes.sent)) == (["i1"], 1)
    writes.writer.ended("i1", Taken(1, place(1)))
    assert writes.sent[1:] == [("i2", 1, "b")]


def test_taken_without_a_place(writes: Writes) -> None:
    """S17.2: a log that took nothing of an incarnation has everything sent again."""
    writes.add("a")
    writes.writer.lost()
    writes.writer.back()
    writes.writer.ended("i1", Taken(1, None))
    assert writes.sent[1:] == [("i2", 1, "a")]
