"""Those who wait for one thing to happen, each with a Deferred of its own. Never keeps one that was cancelled."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

__all__ = ["Waiters"]

T = TypeVar("T")


class Waiters(Generic[T]):
    """Fires once. Cancelling one of them affects no other, and looks at no other.

    Args:
        emptied: called when the last one was cancelled; None calls nothing.
    """

    __slots__ = ("_emptied", "_waiting")

    def __init__(self, emptied: Callable[[], None] | None = None) -> None:
        self._emptied = emptied
        self._waiting: dict[Deferred[T], None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self) -> Deferred[T]:
        """One more, who waits."""
        waiter: Deferred[T] = Deferred(self._forget)
        self._waiting[waiter] = None
        return waiter

    def fire(self, value: T, context: Callable[[], Context]) -> None:
        """It has happened: tell each in the order of coming, in a context of its own.

        Args:
            value: what their Deferreds fire with.
            context: gives the contexts.
        """
        for waiter in tuple(self._waiting):
            if waiter in self._waiting:  # else one before has cancelled it
                del self._waiting[waiter]
                context().run(waiter.callback, value)

    def _forget(self, waiter: Deferred[T]) -> None:
        del self._waiting[waiter]
        if not self._waiting and self._emptied is not None:
            self._emptied()
