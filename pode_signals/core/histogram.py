"""A histogram: how many values were how large, in buckets that are known beforehand. It keeps no value."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

__all__ = ["Histogram"]


class Histogram:
    """Counts values by size.

    Args:
        bounds: the largest value of each bucket, in rising order. Larger values are counted in one more bucket.

    Attributes:
        bounds: the same.
        counts: how many values each bucket has, the one for all that is larger last.
        sum: the sum of all values.

    Raises:
        ValueError: there are no bounds, or they do not rise.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        if not bounds or any(first >= second for first, second in pairwise(bounds)):
            raise ValueError(f"the bounds of a histogram have to rise, and there has to be one: {bounds!r}")
        self.bounds = tuple(map(float, bounds))
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value. One that equals a bound is in the bucket of that bound, as in Prometheus."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[int]:
        """For each bound, how many values are not larger; the last number is how many there are."""
        return list(accumulate(self.counts))
