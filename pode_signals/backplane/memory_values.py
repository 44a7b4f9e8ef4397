"""Values that are kept for a time, by key, within a bound. It reads no clock: the time is an argument."""

from __future__ import annotations

import sys
from heapq import heapify, heappop, heappush

__all__ = ["KeptValues"]

_PLACE_BYTES = 400
"""How many bytes of memory a place takes beside its key and value. Without this number a million short values would
take several times the memory that the bound allows."""

_SPARE = 64
"""The heap of ends is made anew when it has this many ends more than two for each key. Without the number, a short heap
would be made anew all the time."""


class KeptValues:
    """A value for each key, until the value's time is over. Each call looks only at values whose time is over.

    Args:
        max_bytes: how many bytes all keys and values may take, with 400 bytes for each place.
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
        """Keep a value, which replaces another one with the same key.

        Args:
            key: the key.
            value: the value.
            seconds: how long the value is kept.
            now: the time in seconds, of a clock that does not run backwards.

        Returns:
            Whether there is room for the value. Where there is no room, the key keeps the value that it had.
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
        """The value of a key; None where the key has no value, or its time is over."""
        self._let_ended_go(now)
        kept = self._values.get(key)
        return None if kept is None else kept[1]

    def clear(self) -> None:
        """Forget all values."""
        self._values.clear()
        self._ends.clear()
        self._size_bytes = 0

    def _let_ended_go(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            end, key = heappop(self._ends)
            kept = self._values.get(key)
            # A key that was put again has a later end, and an end of its own in the heap.
            if kept is not None and kept[0] == end:
                del self._values[key]
                self._size_bytes -= _size(key, kept[1])


def _size(key: str, value: bytes) -> int:
    return _PLACE_BYTES + sys.getsizeof(key) + len(value)
