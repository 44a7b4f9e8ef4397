"""Frames that wait for one client which reads slower than it is sent to. Never writes; bounded by a policy."""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum

__all__ = ["Outbox", "SlowClient"]


_PLACE_BYTES = 160
"""What a place in a queue takes beside its frame; else many small frames would be far more than they seem."""


class SlowClient(StrEnum):
    """What happens when a client's queue is full."""

    CLOSE = "close"
    """The connection is closed with 4008."""
    DROP_OLDEST = "drop_oldest"
    """What waits longest is dropped until the new message fits."""
    DROP_NEWEST = "drop_newest"
    """The new message is dropped."""
    LATEST = "latest"
    """A waiting message is replaced by a newer one with the same key; when the queue is full all the same, CLOSE."""


class Outbox:
    """A queue of whole frames, shared with other queues and not copied.

    Args:
        max_bytes: the most that may wait, with 160 bytes for each frame's place; one frame is always taken on an empty
            queue.
        policy: what happens beyond that.

    Attributes:
        size_bytes: what waits now, places included.
        displaced: how many waiting messages the last :meth:`push` dropped.
    """

    __slots__ = ("_count", "_frames", "_max_bytes", "_policy", "displaced", "size_bytes")

    def __init__(self, max_bytes: int, policy: SlowClient) -> None:
        self._max_bytes = max_bytes
        self._policy = policy
        # By the key where a newer message may replace it, else by a number of its own.
        self._frames: OrderedDict[str | int, bytes] = OrderedDict()
        self._count = 0
        self.size_bytes = 0
        self.displaced = 0

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, frame: bytes, key: str | None = None) -> bool | None:
        """Take a frame in.

        Args:
            frame: the frame.
            key: what newer messages may replace it by, under ``LATEST``; None is never replaced.

        Returns:
            Whether it waits now, rather than being dropped; None where the queue is full and the policy closes.
        """
        self.displaced = 0
        place: str | int = self._count
        if key is not None and self._policy is SlowClient.LATEST:
            place = key
            if key in self._frames:
                self.size_bytes -= _PLACE_BYTES + len(self._frames.pop(key))
                self.displaced = 1
        size = _PLACE_BYTES + len(frame)
        if self._frames and self.size_bytes + size > self._max_bytes:
            if self._policy is SlowClient.DROP_NEWEST:
                return False
            if self._policy is not SlowClient.DROP_OLDEST:
                return None
            self._make_room(size)
        self._frames[place] = frame
        self._count += 1
        self.size_bytes += size
        return True

    def pop(self, at_least_bytes: int) -> bytes:
        """Take the oldest frames out, joined: as many as it needs for so many bytes; empty where nothing waits."""
        taken: list[bytes] = []
        size = 0
        while self._frames and size < at_least_bytes:
            taken.append(self._frames.popitem(last=False)[1])
            size += len(taken[-1])
        self.size_bytes -= size + _PLACE_BYTES * len(taken)
        return b"".join(taken)

    def _make_room(self, needed_bytes: int) -> None:
        while self._frames and self.size_bytes + needed_bytes > self._max_bytes:
            self.size_bytes -= _PLACE_BYTES + len(self._frames.popitem(last=False)[1])
            self.displaced += 1
