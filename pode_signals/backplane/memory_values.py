"""Values that are kept for a time, by key, within a bound. Never reads a clock: the time is an argument."""

from __future__ import annotations

import sys
from heapq import heapify, heappop, heappush

__all__ = ["KeptValues"]

_PLACE_BYTES = 400
"""What a place takes beside its key and value; else a million short values would be far more than they seem."""

_SPARE = 64
"""So many outdated ends may stand in the heap beside one for each key; else it is made anew."""


class KeptValues:
    """A value for each key, until its time is over. Each call looks at what has ended and at nothing else.

    Args:
        max_bytes: the most that keys and values may take, with 400 bytes for each place.
    """

    __slots__ = ("_ends", "_max_bytes", "_size_bytes", "_values")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._values: dict[str, tuple[float, bytes]] = {}
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._values)

    def put(self, key: str, value: bytes, seconds: float, now: float) -> bool:
        """Keep a value, in place of the one that the key has.

        Args:
            key: the key.
            value: the value.
            seconds: how long it is kept.
            now: the time in seconds, of a clock that does not run backwards.

        Returns:
            Whether there is room for it. Where there is none the key keeps the value that it had.
        """
        self._let_ended_go(now)
        before = self._values.get(key)
        grows_by = _size(key, value) - (0 if before is None else _size(key, before[1]))
        if self._size_bytes + grows_by > self._max_bytes:
            return False
        self._size_bytes += grows_by
        self._values[key] = (now + seconds, value)
        heappush(self._ends, (now + seconds, key))
        if len(self._ends) > 2 * len(self._values) + _SPARE:
            self._ends = [(end, of) for of, (end, _) in self._values.items()]
            heapify(self._ends)
        return True

    def get(self, key: str, now: float) -> bytes | None:
        """The value of a key; None where it has none any more."""
        self._let_ended_go(now)
        kept = self._values.get(key)
        return None if kept is None else kept[1]

    def clear(self) -> None:
        """Keep nothing."""
        self._values.clear()
        self._ends.clear()
        self._size_bytes = 0

    def _let_ended_go(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            end, key = heappop(self._ends)
            kept = self._values.get(key)
            # A key that was put again has another end.
            if kept is not None and kept[0] == end:
                del self._values[key]
                self._size_bytes -= _size(key, kept[1])


def _size(key: str, value: bytes) -> int:
    return _PLACE_BYTES + sys.getsizeof(key) + len(value)
