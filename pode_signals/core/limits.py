"""Counters with a window. Never reads a clock: the time is an argument."""

from __future__ import annotations

from collections import deque

__all__ = ["WindowCounter"]


class WindowCounter:
    """Tells when something happened too often within a time.

    Args:
        limit: so many hits within the window are too many; 1 or more. As many times are kept, never more.
        seconds: the length of the window.
    """

    __slots__ = ("_limit", "_seconds", "_times")

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._times: deque[float] = deque(maxlen=limit)

    def hit(self, now: float) -> bool:
        """Count one hit.

        Args:
            now: the time in seconds, of any clock that does not run backwards.

        Returns:
            Whether the limit is reached: this hit and the ones before it, ``limit`` in all, lie within the window.
        """
        self._times.append(now)
        return len(self._times) == self._limit and now - self._times[0] <= self._seconds
