"""The log of one name: the messages that were sent, within limits. It never reads a clock, delivers or waits.

A log is *all or nothing*: either it has every message after a position, or it says that it does not have all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from attrs import frozen

from .model import Target

__all__ = ["History", "HistoryLimits", "LoggedSignal", "Missed", "Position"]

_MAX_SEQUENCE_DIGITS = 16
"""A sequence of this package is never longer. The bound keeps clients from having huge numbers converted."""


class Position(NamedTuple):
    """A place in the log of one name. Equal positions have equal logs before them.

    Attributes:
        epoch: a random text, ``[a-z0-9]{6,16}``, which is another one in each log that the name has had.
        offset: ``<sequence>-<salt>``, both decimal. The sequence counts the messages of the name. The salt is random,
            so that nobody can guess a position. A new epoch begins at ``0-0``. Clients only compare offsets for
            equality.
    """

    # A tuple, since positions are compared and hashed for each client that comes back.
    epoch: str
    offset: str


@frozen
class LoggedSignal:
    """One entry of a log.

    Attributes:
        position: the entry's position.
        target: the connections that the entry was sent to; the target has one name.
        data: the payload as plain clients get it, UTF-8: a text unchanged, any other data as JSON.
        acknowledgement: the id that clients answer with, where the sender wants to know who got the message; None where
            the sender does not.
        is_text: whether the payload is a text. The bytes do not tell: they may look like JSON.
    """

    position: Position
    target: Target
    data: bytes
    acknowledgement: str | None = None
    is_text: bool = False


@frozen
class Missed:
    """The entries after a position.

    Attributes:
        complete: whether ``signals`` has all entries after the position.
        signals: the entries in log order, or the first of them where a limit was given; empty where the log does not
            have all of them any more.
    """

    complete: bool
    signals: tuple[LoggedSignal, ...]


@frozen
class HistoryLimits:
    """How much of a log is kept. The oldest entries are dropped first; the newest entry is dropped only for its age.

    Attributes:
        messages: how many entries are kept.
        max_bytes: how many bytes of payloads are kept.
        seconds: how long an entry is kept.

    Raises:
        ValueError: a number is not above 0, or not finite, or a count is no whole number.
    """

    messages: int = 100
    max_bytes: int = 1_048_576
    seconds: float = 300.0

    def __attrs_post_init__(self) -> None:
        for name, value in (("messages", self.messages), ("max_bytes", self.max_bytes)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} has to be a whole number of 1 or more, not {value!r}")
        good = isinstance(self.seconds, (int, float)) and not isinstance(self.seconds, bool)
        if not good or not math.isfinite(self.seconds) or self.seconds <= 0:
            raise ValueError(f"seconds has to be a number above 0, not {self.seconds!r}")


_INCOMPLETE = Missed(complete=False, signals=())


class History:
    """The entries of one name in one epoch. Each entry has the next sequence, also after older entries were dropped.

    Args:
        epoch: a text that no log of the name had before.
        limits: how much is kept.

    Attributes:
        limits: how much is kept. New limits count from the next :meth:`append` or :meth:`trim` on.
        position: the position of the last entry, also after that entry was dropped.
        size_bytes: the size of the payloads that are kept.
    """

    __slots__ = ("_answered", "_entries", "_floor", "_top", "limits", "position", "size_bytes")

    def __init__(self, epoch: str, limits: HistoryLimits) -> None:
        self.limits = limits
        self.position = Position(epoch, "0-0")
        self.size_bytes = 0
        # The position of the entry that was dropped last. A client that has seen exactly this entry has missed none
        # that was dropped.
        self._floor = self.position
        self._top = 0
        # By sequence, with the time of the append. Sequences have no gaps, so any range is found without a search.
        self._entries: dict[int, tuple[float, LoggedSignal]] = {}
        # The last question, and its answer: after a cut all clients have missed the same entries, mostly.
        self._answered: tuple[tuple[Position, Position, int | None], Missed] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def append(
        self,
        target: Target,
        data: bytes,
        acknowledgement: str | None = None,
        *,
        is_text: bool = False,
        salt: int,
        now: float,
    ) -> LoggedSignal:
        """Add an entry, and drop older entries for which there is no room any more.

        Args:
            target: the connections that the entry is for.
            data, acknowledgement, is_text: as in :class:`LoggedSignal`.
            salt: 50 random bits.
            now: the time in seconds, of a clock that does not run backwards.

        Returns:
            The entry with its position.
        """
        self._top += 1
        self.position = Position(self.position.epoch, f"{self._top}-{salt}")
        signal = LoggedSignal(self.position, target, data, acknowledgement, is_text)
        self._entries[self._top] = (now, signal)
        self._answered = None
        self.size_bytes += len(data)
        self.trim(now)
        return signal

    def trim(self, now: float) -> None:
        """Drop entries that are beyond the limits.

        Args:
            now: the time in seconds, as for :meth:`append`.
        """
        limits = self.limits
        while self._entries:
            logged_at, _ = self._entries[self._floor_sequence + 1]
            fits = len(self._entries) <= limits.messages and self.size_bytes <= limits.max_bytes
            # The newest entry stays, even where its payload alone is larger than the limit. Without that entry no
            # client could resume at all.
            if (fits or len(self._entries) == 1) and logged_at + limits.seconds >= now:
                return
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Drop the oldest entry, whatever the limits say. The log must have an entry."""
        _, signal = self._entries.pop(self._floor_sequence + 1)
        self.size_bytes -= len(signal.data)
        self._floor = signal.position
        self._answered = None

    @property
    def empty_after(self) -> float:
        """The time in seconds after which every entry is too old. The log must have an entry."""
        logged_at, _ = self._entries[self._top]
        return logged_at + self.limits.seconds

    def missed(self, since: Position, until: Position, limit: int | None = None) -> Missed:
        """The entries after a position.

        Args:
            since: the position that a client has seen last. It comes from the client, so it may be any text.
            until: the position of the last entry that is asked for.
            limit: how many entries are returned at most; None is all of them.

        Returns:
            The entries after ``since`` up to ``until``. There are none, and the answer is complete, where ``since`` is
            not before ``until``. The answer is incomplete where one of the two positions is of another epoch or was
            never a position of this log, or where an entry after ``since`` was dropped.
        """
        asked = since, until, limit
        if self._answered is not None and self._answered[0] == asked:
            return self._answered[1]
        answer = self._missed(since, until, limit)
        self._answered = asked, answer
        return answer

    def read(self, since: Position | None, limit: int) -> tuple[LoggedSignal, ...] | None:
        """The oldest entries after a position.

        Args:
            since: a position; None begins with the oldest entry that is kept.
            limit: how many entries are returned at most.

        Returns:
            The entries in log order; None where an entry after ``since`` was dropped, or where ``since`` is no position
            of this log.
        """
        first = self._floor_sequence if since is None else self._known(since)
        return None if first is None else self._range(first, min(first + limit, self._top))

    @property
    def _floor_sequence(self) -> int:
        return self._top - len(self._entries)

    def _missed(self, since: Position, until: Position, limit: int | None) -> Missed:
        first, last = self._known(since), self._sequence(until)
        if first is None or last is None:
            return _INCOMPLETE
        # ``until`` may be older than all entries that are kept. Its salt can't be checked then, and need not be: the
        # client has seen a later entry.
        if last < first:
            return Missed(complete=True, signals=())
        if self._known(until) is None:
            return _INCOMPLETE
        return Missed(complete=True, signals=self._range(first, last if limit is None else min(last, first + limit)))

    def _range(self, after: int, last: int) -> tuple[LoggedSignal, ...]:
        return tuple(self._entries[number][1] for number in range(after + 1, last + 1))

    def _sequence(self, position: Position) -> int | None:
        """The sequence in a position, without a check that such an entry exists; None for another epoch or bad text."""
        digits = position.offset.partition("-")[0]
        if position.epoch != self.position.epoch or len(digits) > _MAX_SEQUENCE_DIGITS:
            return None
        # For isdigit "²" and "٣" are digits, too, and int() takes some of these.
        return int(digits) if digits.isascii() and digits.isdigit() else None

    def _known(self, position: Position) -> int | None:
        """The sequence of a position after which no entry was dropped; None where the position is not of that kind."""
        number = self._sequence(position)
        if number == self._floor_sequence:
            known = self._floor
        elif number in self._entries:
            known = self._entries[number][1].position
        else:
            return None
        # The salt is compared, too: a log may be restored from an older copy, and then an equal sequence is another
        # message.
        return number if position == known else None
