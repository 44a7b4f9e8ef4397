"""Presence where the backplane answers later, not at all, or with a failure, as one over a network does."""

from __future__ import annotations

from typing import Any

import pytest
from presence_rooms import Rooms, frames_of, seen, shared
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs, formatEvent
from web_fakes import failures_in

from pode_signals.backplane.contract import Member
from pode_signals.signals import hub_of


class Later:
    """A backplane whose members are known when a test says so."""

    def __init__(self, rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Deferred[tuple[Member, ...]]] = []
        presence = hub_of(rooms.signals).backplane.presence
        self._watch = presence.watch
        self._changed: Any = None
        monkeypatch.setattr(presence, "watch", self.watch)

    def watch(self, name: str, changed: Any) -> Deferred[tuple[Member, ...]]:
        self._changed = name, changed
        self.asked.append(Deferred())
        return self.asked[-1]

    def answer(self) -> None:
        """What the backplane in memory knows now."""
        self._watch(*self._changed).chainDeferred(self.asked[-1])


def test_an_answer_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """P79: who watches gets all members once these are known, and every change after that; and is asked for once."""
    rooms = shared()
    later = Later(rooms, monkeypatch)
    one, other = rooms.watcher("id=one"), rooms.watcher("id=other")
    rooms.advance(5)
    assert (frames_of(one), len(later.asked)) == ([], 1)
    later.answer()
    assert seen(one) == seen(other) == {"one", "other"}
    rooms.advance(2)
    rooms.connect("id=ada")
    assert seen(one) == seen(other) == {"one", "other", "ada"}


def test_watchers_that_leave_before_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """P79: an answer that nobody waits for any more is passed over, and the next watcher asks again."""
    rooms = shared()
    later = Later(rooms, monkeypatch)
    rooms.watcher("id=one").close()
    rooms.advance(1)
    later.answer()
    other = rooms.watcher("id=other")
    assert (len(later.asked), frames_of(other)) == (2, [])
    later.answer()
    assert seen(other) == {"other"}


def test_a_backplane_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """S17: members that can't be read are told in the log; the next client that watches has them asked for again."""
    rooms = shared()
    later = Later(rooms, monkeypatch)
    with capturedLogs() as logs:
        one = rooms.watcher("id=one")
        later.asked[-1].errback(OSError("the store is away"))
        rooms.advance(1)
    assert [str(each.value) for each in failures_in(logs)] == ["the store is away"]
    assert frames_of(one) == []
    other = rooms.watcher("id=other")
    later.answer()
    assert seen(one) == seen(other) == {"one", "other"}


def test_a_join_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """S17: a client that can't be shown to others is connected all the same, and the log says so."""
    rooms = shared()
    monkeypatch.setattr(hub_of(rooms.signals).backplane.presence, "join", lambda *_, **__: fail(OSError("away")))
    with capturedLogs() as logs:
        ada = rooms.connect("id=ada")
    assert [str(each.value) for each in failures_in(logs)] == ["away"]
    assert any("not shown to others" in (formatEvent(each) or "") for each in logs)
    assert ada.closed is None
