"""The logs of a node that is alone, in its memory. It has no timer: other calls drop the entries that are too old."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from heapq import heapify, heappop, heappush

from twisted.internet.defer import Deferred, fail, succeed

from ..core.contracts import ClockLike
from ..core.history import History, HistoryLimits, LoggedSignal, Missed, Position
from ..core.largest import Largest
from ..core.model import Target
from ..errors import UnknownHistory

__all__ = ["MemoryHistoryLog"]

_PLACE_BYTES = 700
"""How many bytes of memory an entry takes beside its payload, and a log beside its entries. Without this number, logs
of small messages would take several times the memory that their bound allows."""

_SPARE = 64
"""The line of logs is made anew when it has this many places more than two for each log. Without the number, a short
line would be made anew all the time."""

_EPOCH_BYTES = 6
_SALT_BITS = 50


class _Log:
    """The log of one name, and its place among all logs."""

    __slots__ = ("counted", "counted_bytes", "deliver", "history", "name", "place")

    def __init__(self, name: str, limits: HistoryLimits) -> None:
        self.name = name
        self.history = History(secrets.token_hex(_EPOCH_BYTES), limits)
        # None where nobody follows the name.
        self.deliver: Callable[[LoggedSignal], None] | None = None
        # The entries, and their bytes, that the sums over all logs have of this one.
        self.counted = 0
        self.counted_bytes = 0
        # The number of the log's place in the line of logs that get old; 0 where the log has no place there.
        self.place = 0


class MemoryHistoryLog:
    """Follows the contract :class:`~pode_signals.backplane.contract.HistoryLog`, within bounds for all names together.

    Each Deferred has fired when it is returned, and an entry has been delivered when :meth:`append` returns.

    Args:
        clock: gives the time.
        total_bytes: how many bytes all logs together may keep, with 700 bytes for the place of each entry and of each
            log. Beyond that number the largest log loses its oldest entry.
        max_empty_names: how many names that nobody follows, and whose logs are empty, keep their epoch and last
            position. Beyond that number the name is forgotten whose log has been empty for the longest time.
    """

    def __init__(self, clock: ClockLike, *, total_bytes: int = 67_108_864, max_empty_names: int = 10_000) -> None:
        self._clock = clock
        self._most_bytes = total_bytes
        self._max_empty_names = max_empty_names
        self.clear()

    def clear(self) -> None:
        """Forget every log and all who follow."""
        self._logs: dict[str, _Log] = {}
        self._largest: Largest[_Log] = Largest()
        self._total = 0
        self._total_bytes = 0
        # Each log with entries has one place here, a heap by time: the time at which all entries that the log had when
        # it got the place are too old. Logs have different limits, so the log that was appended to first is not always
        # the one that is too old first.
        self._line: list[tuple[float, int, str]] = []
        self._last_place = 0
        # The names that nobody follows and whose logs are empty. The name whose log has been empty for the longest time
        # comes first.
        self._empty: dict[str, None] = {}

    def follow(
        self,
        name: str,
        limits: HistoryLimits,
        deliver: Callable[[LoggedSignal], None],
        broken: Callable[[Position], None],
    ) -> Deferred[Position]:
        """Deliver from now on. This log never calls ``broken``, since nothing can come between the log and its node."""
        self._let_old_go()
        log = self._logs.get(name)
        if log is None:
            log = self._logs[name] = _Log(name, limits)
        self._empty.pop(name, None)
        log.deliver = deliver
        log.history.limits = limits
        return succeed(log.history.position)

    def unfollow(self, name: str) -> None:
        """Deliver no more entries of a name. Its log stays as long as its limits say."""
        log = self._logs.get(name)
        if log is not None and log.deliver is not None:
            log.deliver = None
            if not log.place:
                self._emptied(log)

    def forget(self, name: str) -> None:
        """Drop the log of a name."""
        log = self._logs.pop(name, None)
        if log is not None:
            self._empty.pop(name, None)
            self._total -= log.counted
            self._total_bytes -= log.counted_bytes
            self._largest.discard(log)

    def append(
        self, target: Target, data: bytes, acknowledgement: str | None = None, *, is_text: bool = False
    ) -> Deferred[Position]:
        """Add an entry, and deliver it where the name is followed."""
        if target.names is None or len(target.names) != 1:
            raise ValueError(f"an entry is for the log of one name, not for {target.names!r}")
        self._let_old_go()
        log = self._logs.get(target.names[0])
        if log is None:
            return fail(UnknownHistory(target.names[0]))
        salt = secrets.randbits(_SALT_BITS)
        signal = log.history.append(
            target, data, acknowledgement, is_text=is_text, salt=salt, now=self._clock.seconds()
        )
        self._count(log)
        if not log.place:
            self._empty.pop(log.name, None)
            self._stand_in_line(log)
        self._keep_total()
        # This comes last: the function may append, unfollow or forget in its turn.
        if log.deliver is not None:
            log.deliver(signal)
        return succeed(signal.position)

    def position(self, name: str) -> Position | None:
        """The position of the last entry of a name that is followed."""
        log = self._logs.get(name)
        return None if log is None or log.deliver is None else log.history.position

    def missed(self, name: str, since: Position, until: Position, limit: int | None = None) -> Deferred[Missed]:
        """The entries after a position of a name."""
        log = self._current(name)
        return succeed(Missed(complete=False, signals=()) if log is None else log.history.missed(since, until, limit))

    def read(self, name: str, since: Position | None, limit: int) -> Deferred[tuple[LoggedSignal, ...]]:
        """A page of a log."""
        log = self._current(name)
        page = None if log is None else log.history.read(since, limit)
        return fail(UnknownHistory(name)) if page is None else succeed(page)

    def size(self, name: str) -> Deferred[tuple[int, int]]:
        """The number of a log's entries, and the size of their payloads in bytes."""
        log = self._current(name)
        return succeed((0, 0) if log is None else (len(log.history), log.history.size_bytes))

    @property
    def held(self) -> tuple[int, int]:
        """The number of entries of all logs, and their bytes as ``total_bytes`` counts them."""
        return self._total, self._total_bytes

    def _current(self, name: str) -> _Log | None:
        """The log of a name, after entries that are too old by now were dropped."""
        log = self._logs.get(name)
        if log is not None:
            self._settle(log)
        return log

    def _settle(self, log: _Log) -> None:
        entries = len(log.history)
        log.history.trim(self._clock.seconds())
        if len(log.history) != entries:
            self._count(log)

    def _count(self, log: _Log) -> None:
        entries = len(log.history)
        size = log.history.size_bytes + _PLACE_BYTES * (entries + 1) if entries else 0
        self._total += entries - log.counted
        self._total_bytes += size - log.counted_bytes
        log.counted, log.counted_bytes = entries, size
        self._largest.set(log, size)

    def _keep_total(self) -> None:
        while self._total_bytes > self._most_bytes and (largest := self._largest.largest()):
            largest.history.drop_oldest()
            self._count(largest)
            if not len(largest.history):
                self._emptied(largest)

    def _stand_in_line(self, log: _Log) -> None:
        self._last_place += 1
        log.place = self._last_place
        heappush(self._line, (log.history.empty_after, log.place, log.name))
        if len(self._line) > 2 * len(self._logs) + _SPARE:
            self._line = [place for place in self._line if self._in_place(place) is not None]
            heapify(self._line)

    def _in_place(self, place: tuple[float, int, str]) -> _Log | None:
        """The log that has this place in the line; None where that log is gone or has another place by now."""
        log = self._logs.get(place[2])
        return log if log is not None and log.place == place[1] else None

    def _let_old_go(self) -> None:
        """Trim each log whose entries may all be too old, so that names without further messages take no memory."""
        now = self._clock.seconds()
        while self._line and self._line[0][0] < now:
            log = self._in_place(heappop(self._line))
            if log is None:
                continue
            self._settle(log)
            if len(log.history):
                self._stand_in_line(log)
            else:
                self._emptied(log)

    def _emptied(self, log: _Log) -> None:
        """A log has no entries any more. Where nobody follows its name, only the name's epoch and position are kept."""
        log.place = 0
        if log.deliver is None:
            self._empty[log.name] = None
            if len(self._empty) > self._max_empty_names:
                self.forget(next(iter(self._empty)))
