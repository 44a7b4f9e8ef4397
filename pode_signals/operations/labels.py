"""The values of labels that programs and clients make up: bounded, whatever these do. It counts nothing by itself."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

__all__ = ["MOST_NAMES", "OTHER", "Growth", "Labels"]

OTHER = "<other>"
"""The value of all that has no series of its own. An empty value would be no label at all to Prometheus."""
MOST_NAMES = 100
"""So many names have series of their own at most."""

K = TypeVar("K", bound=Hashable)


class Labels(Generic[K]):
    """The values of one label: the first ones that come, and no more than fit. What has a series keeps it.

    Args:
        most: how many there may be.
        given: those that are there from the start.
    """

    def __init__(self, most: int, given: Iterable[K] = ()) -> None:
        self.own: dict[K, None] = dict.fromkeys(given)
        self._most = most

    def __contains__(self, value: object) -> bool:
        return value in self.own

    def came(self, value: K) -> bool:
        """A value has come; whether it has a series of its own."""
        if value in self.own:
            return True
        if len(self.own) >= self._most:
            return False
        self.own[value] = None
        return True


class Growth(Generic[K]):
    """Makes counts that only grow of counts that end: those of a job end where the program removes the job."""

    def __init__(self) -> None:
        self._last: dict[K, float] = {}
        self._totals: dict[K, float] = {}

    def totals(self, counts: Mapping[K, float], labels: Mapping[K, K]) -> Mapping[K, float]:
        """All that was counted, by label.

        Args:
            counts: the counts as they are now. One that is smaller than the last time has begun anew.
            labels: the label of each.
        """
        for key, count in counts.items():
            last = self._last.get(key, 0)
            label = labels[key]
            self._totals[label] = self._totals.get(label, 0) + (count - last if count >= last else count)
        self._last = dict(counts)
        return self._totals
