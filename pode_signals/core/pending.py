"""The connections whose request is incomplete, and which of them is dropped where there are too many. Closes none."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["PendingHandshakes"]

T = TypeVar("T")


class PendingHandshakes(Generic[T]):
    """A bounded set of items, by address and in the order of coming. Each call takes the same time for any number.

    Args:
        limit: how many items there may be.
    """

    __slots__ = ("_by_address", "_by_count", "_count", "_limit", "_most")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_address: dict[str, dict[T, None]] = {}
        # The addresses by the number of their items, so that an address with the most items is found at once. An
        # attacker with many addresses must not make the server look at all of them for each new item.
        self._by_count: dict[int, dict[str, None]] = {}
        self._most = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: T, address: str) -> T | None:
        """Add an item.

        Returns:
            The item that has to go where there is no room, which is not in the set any more: the oldest item of the
            address that has the most items. That may be the new item itself. None where there is room.
        """
        items = self._by_address.setdefault(address, {})
        if item in items:
            return None
        items[item] = None
        self._count += 1
        self._moved(address, len(items) - 1, len(items))
        if self._count <= self._limit:
            return None
        crowded = next(iter(self._by_count[self._most]))
        oldest = next(iter(self._by_address[crowded]))
        self.discard(oldest, crowded)
        return oldest

    def discard(self, item: T, address: str) -> None:
        """Remove an item; nothing happens where the item is not there."""
        items = self._by_address.get(address)
        if items is None or item not in items:
            return
        del items[item]
        self._count -= 1
        self._moved(address, len(items) + 1, len(items))
        if not items:
            del self._by_address[address]

    def _moved(self, address: str, before: int, now: int) -> None:
        """An address has one item more or one less than before."""
        if before:
            addresses = self._by_count[before]
            del addresses[address]
            if not addresses:
                del self._by_count[before]
        if now:
            self._by_count.setdefault(now, {})[address] = None
        if now > self._most:
            self._most = now
        elif self._most not in self._by_count:
            # The address that had the most has lost one item. So the most is one less now, or there is no item left.
            self._most -= 1
