"""Connections whose request is not complete, and which of them has to go when there are too many. Never closes one."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["PendingHandshakes"]

T = TypeVar("T")


class PendingHandshakes(Generic[T]):
    """A bounded set, in the order of coming, by address. Each call takes the same time, however many there are.

    Args:
        limit: how many there may be.
    """

    __slots__ = ("_by_address", "_by_count", "_count", "_limit", "_most")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_address: dict[str, dict[T, None]] = {}
        # The addresses that have so many; an attacker with many addresses must not make each newcomer look at all.
        self._by_count: dict[int, dict[str, None]] = {}
        self._most = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: T, address: str) -> T | None:
        """Take one in.

        Returns:
            Which one has to go for it: the oldest of the address that has the most, maybe itself; None where there
            is room. It is not in the set any more.
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
        """Let one go; nothing happens where it is not there."""
        items = self._by_address.get(address)
        if items is None or item not in items:
            return
        del items[item]
        self._count -= 1
        self._moved(address, len(items) + 1, len(items))
        if not items:
            del self._by_address[address]

    def _moved(self, address: str, before: int, now: int) -> None:
        """An address has one more or one less than before."""
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
            # One address went down by one, so one less is the most of some address, or nobody is there.
            self._most -= 1
