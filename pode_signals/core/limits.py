"""How often is too often: token buckets, and counters with a window. It reads no clock: the time is an argument."""

from __future__ import annotations

from collections import deque

__all__ = ["TokenBucket", "WindowCounter"]

_ROUNDING_SECONDS = 1e-6
"""More than a clock that counts from 1970 rounds. Without this time a wait could end just before the token is there."""


class TokenBucket:
    """Lets a burst through, and after that no more than a rate.

    Args:
        per_second: how many tokens come back each second.
        burst: how many tokens the bucket holds; it is full at first.
        now: the time in seconds.
    """

    __slots__ = ("_burst", "_filled_at", "_per_second", "_tokens")

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Take one token.

        Args:
            now: the time in seconds; a time before the last one adds no tokens.

        Returns:
            Whether there was a token.
        """
        tokens = self._tokens
        if now > self._filled_at and tokens < self._burst:
            tokens += (now - self._filled_at) * self._per_second
            if tokens > self._burst:
                tokens = float(self._burst)
        self._filled_at = now
        if tokens < 1:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1
        return True

    @property
    def wait_seconds(self) -> float:
        """The seconds from the last :meth:`take` until there is a token; 0 where there is one."""
        if self._tokens >= 1:
            return 0.0
        return (1 - self._tokens) / self._per_second + _ROUNDING_SECONDS


class WindowCounter:
    """Tells when something happened too often within a time.

    Args:
        limit: how many hits within the window are too many; 1 or more. The counter keeps the times of as many hits.
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
            Whether the limit is reached: this hit and the hits before it, ``limit`` in all, lie within the window.
        """
        self._times.append(now)
        return len(self._times) == self._limit and now - self._times[0] <= self._seconds
