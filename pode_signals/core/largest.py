"""Finds the item with the largest size, without looking at all items. It never closes or pauses a connection."""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, TypeVar

__all__ = ["Largest"]

_SPARE = 64
"""The heap is made anew when it has this many places more than two for each item. Without the number, a heap of few
items would be made anew all the time."""

T = TypeVar("T")


class Largest(Generic[T]):
    """Keeps the sizes of items, and finds the item with the largest size.

    A change takes a time that grows with the logarithm of the number of items. A client that changes its own size often
    must not make the server look at all other clients each time.
    """

    __slots__ = ("_changes", "_heap", "_sizes")

    def __init__(self) -> None:
        self._sizes: dict[T, int] = {}
        # Python's heap has the smallest value first, so sizes are negative. Each item has a place with its size or with
        # a larger, outdated one, so the first place is never too small. The number of the change makes each place
        # different from all others, so that two items are never compared.
        self._heap: list[tuple[int, int, T]] = []
        self._changes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def set(self, item: T, size: int) -> None:
        """Say how large an item is; with 0 or less the item is forgotten."""
        if size <= 0:
            self.discard(item)
            return
        before = self._sizes.get(item, 0)
        self._sizes[item] = size
        # The place of an item that has become smaller is corrected when that place comes to be the first.
        if size <= before:
            return
        self._changes += 1
        heappush(self._heap, (-size, self._changes, item))
        if len(self._heap) > 2 * len(self._sizes) + _SPARE:
            self._heap = [(-each, number, of) for number, (of, each) in enumerate(self._sizes.items())]
            self._changes = len(self._heap)
            heapify(self._heap)

    def discard(self, item: T) -> None:
        """Forget an item; nothing happens where the item is not known."""
        if self._sizes.pop(item, None) is not None and not self._sizes:
            self._heap.clear()

    def largest(self) -> T | None:
        """The item with the largest size; of several such items, the one that reached that size first.

        Returns:
            None where there are no items.
        """
        heap, sizes = self._heap, self._sizes
        while heap:
            size, number, item = heap[0]
            now = sizes.get(item, 0)
            if now == -size:
                return item
            # The place is outdated: the item gets one with its true size, or the item is gone.
            if now:
                heapreplace(heap, (-now, number, item))
            else:
                heappop(heap)
        return None
