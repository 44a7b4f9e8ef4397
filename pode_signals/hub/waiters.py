"""The Deferreds of all callers who wait for one thing to happen. It never keeps a Deferred that was cancelled."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

__all__ = ["Waiters"]

T = TypeVar("T")


class Waiters(Generic[T]):
    """Deferreds that all fire when one thing happens, once. Cancelling one of them neither affects nor searches others.

    Args:
        emptied: called when the last Deferred was cancelled, and nobody waits any more; None calls nothing.
    """

    __slots__ = ("_emptied", "_waiting")

    def __init__(self, emptied: Callable[[], None] | None = None) -> None:
        self._emptied = emptied
        self._waiting: dict[Deferred[T], None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self) -> Deferred[T]:
        """A new Deferred that fires when the thing happens."""
        waiter: Deferred[T] = Deferred(self._forget)
        self._waiting[waiter] = None
        return waiter

    def fire(self, value: T, context: Callable[[], Context]) -> None:
        """The thing has happened: fire the Deferreds, in the order in which they were made.

        Args:
            value: what the Deferreds fire with.
            context: makes the context in which the callbacks of one Deferred run.
        """
        for waiter in tuple(self._waiting):
            # A callback of an earlier Deferred may have cancelled this one.
            if waiter in self._waiting:
                del self._waiting[waiter]
                context().run(waiter.callback, value)

    def _forget(self, waiter: Deferred[T]) -> None:
        del self._waiting[waiter]
        if not self._waiting and self._emptied is not None:
            self._emptied()
