"""Which of many has the most, without looking at each of them. Never closes or pauses one."""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, TypeVar

__all__ = ["Largest"]

_SPARE = 64
"""So many outdated places may stand in the heap beside one for each item; else it is made anew."""

T = TypeVar("T")


class Largest(Generic[T]):
    """Sizes of items, and the item with the largest.

    A change takes a time that grows with the logarithm of their number: a client that changes its own size often must
    not make the server look at all others as often.
    """

    __slots__ = ("_changes", "_heap", "_sizes")

    def __init__(self) -> None:
        self._sizes: dict[T, int] = {}
        # Negative sizes, so that the largest comes first. An item has a place with its size or with a larger one; the
        # number of the change keeps items from being compared.
        self._heap: list[tuple[int, int, T]] = []
        self._changes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def set(self, item: T, size: int) -> None:
        """Say how large an item is; 0 and less is as good as absent."""
        if size <= 0:
            self.discard(item)
            return
        before = self._sizes.get(item, 0)
        self._sizes[item] = size
        if size <= before:
            return  # its place is corrected when it comes to be the first
        self._changes += 1
        heappush(self._heap, (-size, self._changes, item))
        if len(self._heap) > 2 * len(self._sizes) + _SPARE:
            self._heap = [(-each, number, of) for number, (of, each) in enumerate(self._sizes.items())]
            self._changes = len(self._heap)
            heapify(self._heap)

    def discard(self, item: T) -> None:
        """Forget an item; nothing happens where it is not known."""
        if self._sizes.pop(item, None) is not None and not self._sizes:
            self._heap.clear()

    def largest(self) -> T | None:
        """The item with the largest size, of several the one that reached it first; None where there is none."""
        heap, sizes = self._heap, self._sizes
        while heap:
            size, number, item = heap[0]
            now = sizes.get(item, 0)
            if now == -size:
                return item
            if now:
                heapreplace(heap, (-now, number, item))
            else:
                heappop(heap)
        return None
