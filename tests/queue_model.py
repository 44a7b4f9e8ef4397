"""Queues of slow clients by the words of the specification, and a wire that fills up. Nothing in here is a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from fakes import FakeTransport
from twisted.internet.task import Clock

from pode_signals.core.outbox import SlowClient
from pode_signals.hub.link import Link

PLACE_BYTES = 160  # what each frame in a queue counts beside its length

T = TypeVar("T")


class NaiveQueue(Generic[T]):
    """A bounded queue, on a list.

    Args:
        max_bytes: the bound.
        policy: what happens beyond it.

    Attributes:
        waiting: what waits, with its size and its key.
    """

    def __init__(self, max_bytes: int, policy: SlowClient) -> None:
        self.waiting: list[tuple[T, int, str | None]] = []
        self._max_bytes = max_bytes
        self._policy = policy

    @property
    def size_bytes(self) -> int:
        """What waits now."""
        return sum(PLACE_BYTES + size for _, size, _ in self.waiting)

    def push(self, item: T, size: int, key: str | None = None) -> tuple[bool | None, int]:
        """Whether it was taken, None where the client has to go, and how many others were dropped for it."""
        before = len(self.waiting)
        if self._policy is SlowClient.LATEST and key is not None:
            self.waiting = [each for each in self.waiting if each[2] != key]
        fits = self.size_bytes + PLACE_BYTES + size <= self._max_bytes
        while not fits and self.waiting and self._policy is SlowClient.DROP_OLDEST:
            del self.waiting[0]
            fits = self.size_bytes + PLACE_BYTES + size <= self._max_bytes
        displaced = before - len(self.waiting)
        if not fits and self.waiting:
            return (False if self._policy is SlowClient.DROP_NEWEST else None), displaced
        self.waiting.append((item, size, key))
        return True, displaced

    def pop(self, at_least_bytes: int) -> list[T]:
        """The oldest, as many as it needs for so many bytes."""
        taken = []
        size = 0
        while self.waiting and size < at_least_bytes:
            item, item_size, _ = self.waiting.pop(0)
            taken.append(item)
            size += item_size
        return taken


class SlowTransport(FakeTransport):
    """A client that reads when it is told to, and a wire that holds a little.

    Args:
        clock: whose next turn reports the end of the transport.
        received: what takes the client's text messages.
        holds_bytes: how much may lie unread before the wire says that it is full; it takes more all the same.

    Attributes:
        unread_bytes: what lies there.
        is_full: whether it said so.
    """

    def __init__(self, clock: Clock, received: Callable[[Link, bytes], None], holds_bytes: int) -> None:
        super().__init__(clock, received, answers_close=False)
        self.holds_bytes = holds_bytes
        self.unread_bytes = 0
        self.is_full = False

    def write(self, data: bytes) -> bool:
        super().write(data)
        self.unread_bytes += len(data)
        if self.unread_bytes > self.holds_bytes and not self.is_full:
            self.is_full = True
            self.link.congested()
        return True

    def reads(self, size_bytes: int = 1 << 60) -> None:
        """The client reads so much; the wire is no longer full when nothing lies there."""
        self.unread_bytes = max(0, self.unread_bytes - size_bytes)
        if self.is_full and not self.unread_bytes:
            self.is_full = False
            self.link.drained()

    def reads_all(self) -> None:
        """The client reads until nothing comes any more."""
        while self.unread_bytes:
            self.reads()


def slowed(client: FakeTransport, holds_bytes: int = 0) -> SlowTransport:
    """Give a client that just connected a wire that fills up."""
    slow = SlowTransport(client._clock, client._received, holds_bytes)
    slow.link = client.link
    slow.link.attach(slow)
    return slow
