"""The log of one name: what was sent, for as long as its limits say. Never reads a clock, delivers or waits.

A log is *all or nothing*: either it has every message after a position, or it says that it does not.
"""

from __future__ import annotations

import math

from attrs import frozen

from .model import Target

__all__ = ["History", "HistoryLimits", "LoggedSignal", "Missed", "Position"]

_MAX_SEQUENCE_DIGITS = 16
"""A longer number is none of ours; the bound keeps clients from having huge ones converted."""


@frozen
class Position:
    """A place in the log of one name. Equal positions have equal logs before them.

    Attributes:
        epoch: tells this log from those that the name had before; ``[a-z0-9]{6,16}``, random.
        offset: ``<sequence>-<salt>``, both decimal: the sequence counts the messages of the name up by 1, the salt is
            random, so that nobody can guess a place. ``0-0`` is where a new epoch begins. Clients compare offsets for
            equality alone.
    """

    epoch: str
    offset: str


@frozen
class LoggedSignal:
    """One entry of a log.

    Attributes:
        position: where it stands.
        target: which connections it was sent to; names one name.
        data: the payload as JSON, UTF-8. A JSON string is, for plain clients, its text.
        acknowledgement: what clients answer with where the sender wants to know who got it; None where not.
    """

    position: Position
    target: Target
    data: bytes
    acknowledgement: str | None


@frozen
class Missed:
    """What came after a position.

    Attributes:
        complete: whether ``signals`` is all of it.
        signals: the entries in log order; empty where not all of them are there any more.
    """

    complete: bool
    signals: tuple[LoggedSignal, ...]


@frozen
class HistoryLimits:
    """How much of a log is kept. The oldest entries go first; the newest one goes for its age alone.

    Attributes:
        messages: the most entries.
        max_bytes: the most bytes of payloads.
        seconds: an entry that is older goes.

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
    """The entries of one name in one epoch. The sequence of the next one is always 1 higher, whatever has gone.

    Args:
        epoch: a text that no log of the name had before.
        limits: how much is kept.

    Attributes:
        limits: how much is kept; others hold from the next :meth:`append` or :meth:`trim`.
        position: that of the last entry, also after the entry itself has gone.
        size_bytes: the payloads that are kept.
    """

    __slots__ = ("_entries", "_floor", "_top", "limits", "position", "size_bytes")

    def __init__(self, epoch: str, limits: HistoryLimits) -> None:
        self.limits = limits
        self.position = Position(epoch, "0-0")
        self.size_bytes = 0
        # The last entry that went: a client that has seen exactly this one has missed nothing that is gone.
        self._floor = self.position
        self._top = 0
        # By sequence, with the time of the append. Sequences have no gaps, so any range is found without a search.
        self._entries: dict[int, tuple[float, LoggedSignal]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def append(
        self, target: Target, data: bytes, acknowledgement: str | None, *, salt: int, now: float
    ) -> LoggedSignal:
        """Add an entry; older ones go where there is no room for them.

        Args:
            target: which connections it is for.
            data: the payload as JSON.
            acknowledgement: as in :class:`LoggedSignal`.
            salt: 50 random bits.
            now: the time in seconds, of a clock that does not run backwards.

        Returns:
            The entry with its position.
        """
        self._top += 1
        self.position = Position(self.position.epoch, f"{self._top}-{salt}")
        signal = LoggedSignal(self.position, target, data, acknowledgement)
        self._entries[self._top] = (now, signal)
        self.size_bytes += len(data)
        self.trim(now)
        return signal

    def trim(self, now: float) -> None:
        """Let go what is beyond the limits.

        Args:
            now: the time in seconds, as for :meth:`append`.
        """
        limits = self.limits
        while self._entries:
            logged_at, _ = self._entries[self._floor_sequence + 1]
            fits = len(self._entries) <= limits.messages and self.size_bytes <= limits.max_bytes
            # One payload may be larger than the limit; without the newest entry nobody could resume at all.
            if (fits or len(self._entries) == 1) and logged_at + limits.seconds >= now:
                return
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Let the oldest entry go, whatever the limits say. There has to be one."""
        _, signal = self._entries.pop(self._floor_sequence + 1)
        self.size_bytes -= len(signal.data)
        self._floor = signal.position

    @property
    def empty_after(self) -> float:
        """The time in seconds after which every entry is too old. There has to be one."""
        logged_at, _ = self._entries[self._top]
        return logged_at + self.limits.seconds

    def missed(self, since: Position, until: Position) -> Missed:
        """What came after a position.

        Args:
            since: what a client has seen last; may be anything that a client can write.
            until: the last entry that is asked for.

        Returns:
            All entries after ``since`` up to ``until``; none, and complete, where ``since`` is not before ``until``.
            Incomplete where one of them is of another epoch or was never a position of this log, or where an entry
            after ``since`` has gone.
        """
        first, last = self._known(since), self._sequence(until)
        if first is None or last is None:
            return _INCOMPLETE
        # From before the log begins now, so its salt can't be compared; all that is asked for is known to have come.
        if last < first:
            return Missed(complete=True, signals=())
        if self._known(until) is None:
            return _INCOMPLETE
        return Missed(complete=True, signals=self._range(first, last))

    def read(self, since: Position | None, limit: int) -> tuple[LoggedSignal, ...] | None:
        """The oldest entries after a position.

        Args:
            since: a position; None is the beginning of what is kept.
            limit: the most entries.

        Returns:
            The entries in log order; None where an entry after ``since`` has gone, or ``since`` is none of this log.
        """
        first = self._floor_sequence if since is None else self._known(since)
        return None if first is None else self._range(first, min(first + limit, self._top))

    @property
    def _floor_sequence(self) -> int:
        return self._top - len(self._entries)

    def _range(self, after: int, last: int) -> tuple[LoggedSignal, ...]:
        return tuple(self._entries[number][1] for number in range(after + 1, last + 1))

    def _sequence(self, position: Position) -> int | None:
        """The sequence that a position of this epoch claims; None where it is no position of the epoch."""
        digits = position.offset.partition("-")[0]
        if position.epoch != self.position.epoch or len(digits) > _MAX_SEQUENCE_DIGITS:
            return None
        # "²" and "٣" are digits too, of which int() takes some.
        return int(digits) if digits.isascii() and digits.isdigit() else None

    def _known(self, position: Position) -> int | None:
        """The sequence of a position after which everything is here; None where it is no such position."""
        number = self._sequence(position)
        if number == self._floor_sequence:
            known = self._floor
        elif number in self._entries:
            known = self._entries[number][1].position
        else:
            return None
        # The salt as well: after a log went back, an equal sequence would be another message.
        return number if position == known else None
