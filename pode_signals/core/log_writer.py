"""Appends to a log that is elsewhere: each entry once and in order, however often the connection is lost.

A writer has *incarnations*. Within one, entries are numbered 1, 2, 3, … and the log refuses a number twice. Where it is
not known any more what the log has taken, the incarnation is ended there: the log then says which number it took last,
takes nothing more of it, and the rest is sent as a new incarnation. It sends nothing itself and reads no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Literal, NamedTuple, Protocol

from .history import Position

__all__ = ["Appended", "LogWriter", "Outcome", "Pending", "Writes"]

_MOST_UNDER_WAY = 512
_IDLE_SECONDS = 600.0
"""After how long an incarnation is not used any more. The log forgets those that are old."""

Outcome = Literal["refused", "unknown", "no log"]


class Appended(Enum):
    """What the log says to an entry."""

    IN = 1
    """It is in the log."""
    SEEN = 0
    """It was in the log already."""
    WENT_BACK = -1
    """The log lacks what it had, or an entry before this one."""
    CLOSED = -3
    """The incarnation was ended."""
    NO_LOG = -5
    """There is no log, and this writer must not begin one."""


class Pending:
    """An entry that is not known to be in the log.

    Args:
        id: what the sender calls it.
        data: the entry.
        size_bytes: how many bytes it counts in the log.
        due: when it is given up.
        settled: called once: with its place, or with what became of it.

    Attributes:
        number: its number in the current incarnation; 0 where it has none yet.
        was_sent: whether it was sent, so that it may be in the log.
    """

    __slots__ = ("data", "due", "id", "number", "settled", "size_bytes", "was_sent")

    def __init__(
        self, id: str, data: bytes, size_bytes: int, due: float, settled: Callable[[Position | Outcome], None]
    ) -> None:
        self.id = id
        self.data = data
        self.size_bytes = size_bytes
        self.due = due
        self.settled = settled
        self.number = 0
        self.was_sent = False


class Taken(NamedTuple):
    """What the log took of an incarnation that was ended.

    Attributes:
        number: the last number; 0 for none.
        position: where that entry is; None for none.
    """

    number: int
    position: Position | None


class Writes(Protocol):
    """What a writer wants to have done."""

    def append(self, incarnation: str, number: int, data: bytes, size_bytes: int) -> None:
        """Send an entry. The answer comes by :meth:`LogWriter.appended` or :meth:`LogWriter.refused`."""

    def end(self, incarnation: str) -> None:
        """End an incarnation. The answer comes by :meth:`LogWriter.ended`."""

    def catch_up(self, then: Callable[[bool], None]) -> None:
        """Have this node find out where the log is, and call back with whether that is known now."""


class _State(Enum):
    READY = "ready"
    AWAY = "away"
    """Nothing can be sent."""
    LOOKING = "looking"
    """The node finds out where the log is."""
    ENDING = "ending"
    """The answer to the end of the incarnation is awaited."""


class LogWriter:
    """One node's way into the log of one name.

    Args:
        writes: does what is wanted.
        new_incarnation: gives a text that no writer had before.
        now: the time.
        is_up: whether entries can be sent.

    Attributes:
        size_bytes: the size of the entries that are not known to be in the log.
    """

    __slots__ = (
        "_incarnation",
        "_last_number",
        "_must_end",
        "_new_incarnation",
        "_state",
        "_under_way",
        "_unsent",
        "_used_at",
        "_writes",
        "size_bytes",
    )

    def __init__(self, writes: Writes, new_incarnation: Callable[[], str], now: float, *, is_up: bool) -> None:
        self._writes = writes
        self._new_incarnation = new_incarnation
        self._incarnation = new_incarnation()
        self._last_number = 0
        self._used_at = now
        self._state = _State.READY if is_up else _State.AWAY
        # Whether the incarnation has to be ended before anything else is sent.
        self._must_end = False
        self._under_way: deque[Pending] = deque()
        self._unsent: deque[Pending] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._under_way) + len(self._unsent)

    @property
    def is_away(self) -> bool:
        """Whether nothing can be sent until :meth:`back` is called."""
        return self._state is _State.AWAY

    def add(self, pending: Pending, now: float) -> None:
        """Append an entry, behind those before it."""
        self.size_bytes += len(pending.data)
        self._unsent.append(pending)
        if not self._under_way and self._last_number and now - self._used_at > _IDLE_SECONDS:
            self._must_end = True
        self._used_at = now
        self._send()

    def appended(self, incarnation: str, number: int, answer: Appended, position: Position) -> None:
        """The log has answered to an entry."""
        if incarnation != self._incarnation:
            return
        if answer in (Appended.IN, Appended.SEEN):
            while self._under_way and self._under_way[0].number <= number:
                self._settle(self._under_way.popleft(), position)
            self._send()
        elif answer is Appended.NO_LOG:
            self.refused(incarnation, number, "no log")
        elif self._state is _State.READY:
            self._doubt()

    def refused(self, incarnation: str, number: int, outcome: Outcome = "refused") -> None:
        """The log does not take an entry, and has not taken it."""
        if incarnation != self._incarnation:
            return
        for pending in tuple(self._under_way):
            if pending.number == number:
                self._under_way.remove(pending)
                self._settle(pending, outcome)
        # Those behind it were sent with numbers that the log does not take now.
        self._must_end = True
        if self._under_way and self._state is _State.READY:
            self._doubt()
        elif self._unsent:
            self._send()

    def seen(self, id: str, position: Position) -> None:
        """An entry of this node was read in the log: its place is certain, whatever the answer was."""
        for pending in self._under_way:
            if pending.id == id:
                self._under_way.remove(pending)
                self._settle(pending, position)
                return

    def lost(self) -> None:
        """Nothing can be sent, and answers that are awaited do not come."""
        if self._under_way or self._state is not _State.READY:
            self._must_end = True
        self._state = _State.AWAY

    def back(self) -> None:
        """Entries can be sent again, and this node knows where the log is."""
        if self._state is _State.AWAY:
            self._state = _State.READY
            self._send()

    def give_up(self, now: float) -> None:
        """Tell of the entries that have waited for too long."""
        for waiting in (self._under_way, self._unsent):
            while waiting and waiting[0].due <= now:
                pending = waiting.popleft()
                self._settle(pending, "unknown" if pending.was_sent else "refused")

    def ended(self, incarnation: str, taken: Taken) -> None:
        """The incarnation is ended."""
        if incarnation != self._incarnation or self._state is not _State.ENDING:
            return
        while self._under_way:
            pending = self._under_way.popleft()
            if pending.number <= taken.number and taken.position is not None:
                self._settle(pending, taken.position)
            else:
                # In order, before those that were never sent.
                self._under_way.appendleft(pending)
                break
        while self._under_way:
            self._unsent.appendleft(self._under_way.pop())
        self._incarnation = self._new_incarnation()
        self._last_number = 0
        self._must_end = False
        self._state = _State.READY
        self._send()

    def not_ended(self, incarnation: str) -> None:
        """The log refuses to end an incarnation now. It has to be asked again, after :meth:`back`."""
        if incarnation == self._incarnation and self._state is _State.ENDING:
            self._must_end = True
            self._state = _State.AWAY

    def _send(self) -> None:
        if self._state is not _State.READY:
            return
        if self._must_end:
            self._end()
            return
        while self._unsent and len(self._under_way) < _MOST_UNDER_WAY and self._state is _State.READY:
            pending = self._unsent.popleft()
            self._last_number += 1
            pending.number, pending.was_sent = self._last_number, True
            self._under_way.append(pending)
            self._writes.append(self._incarnation, pending.number, pending.data, pending.size_bytes)

    def _doubt(self) -> None:
        """The log lacks something: first this node has to know where it is."""
        self._state = _State.LOOKING
        self._writes.catch_up(self._looked)

    def _looked(self, is_known: bool) -> None:
        if self._state is _State.LOOKING:
            if is_known:
                self._end()
            else:
                # The connection is lost, or about to be told lost.
                self._must_end = True
                self._state = _State.AWAY

    def _end(self) -> None:
        self._state = _State.ENDING
        self._writes.end(self._incarnation)

    def _settle(self, pending: Pending, outcome: Position | Outcome) -> None:
        self.size_bytes -= len(pending.data)
        pending.settled(outcome)
