"""Connections whose request is not complete, and which of them has to go when there are too many. Never closes one."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["PendingHandshakes"]

T = TypeVar("T")


class PendingHandshakes(Generic[T]):
    """A bounded set, in the order of coming, by address.

    Args:
        limit: how many there may be.
    """

    __slots__ = ("_by_address", "_count", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_address: dict[str, dict[T, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: T, address: str) -> T | None:
        """Take one in.

        Returns:
            Which one has to go for it: the oldest of the address that has the most, maybe itself; None where there
            is room. It is not in the set any more.
        """
        self._by_address.setdefault(address, {})[item] = None
        self._count += 1
        if self._count <= self._limit:
            return None
        crowded = max(self._by_address, key=lambda each: len(self._by_address[each]))
        oldest = next(iter(self._by_address[crowded]))
        self.discard(oldest, crowded)
        return oldest

    def discard(self, item: T, address: str) -> None:
        """Let one go; nothing happens where it is not there."""
        items = self._by_address.get(address, {})
        if item in items:
            del items[item]
            self._count -= 1
            if not items:
                del self._by_address[address]
