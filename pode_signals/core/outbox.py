"""The queue of frames for one client that reads more slowly than the hub sends. It is bounded, and it never writes."""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum

__all__ = ["Outbox", "SlowClient"]


_PLACE_BYTES = 160
"""How many bytes of memory a place in the queue takes beside the payload of the frame. Without this number a queue of
many small frames would take several times the memory that its bound allows."""


class SlowClient(StrEnum):
    """What happens when a client's queue is full."""

    CLOSE = "close"
    """The connection is closed with 4008."""
    DROP_OLDEST = "drop_oldest"
    """The messages that have waited longest are dropped, until the new message fits."""
    DROP_NEWEST = "drop_newest"
    """The new message is dropped."""
    LATEST = "latest"
    """A newer message replaces the waiting one with the same key. A queue that is full in spite of this closes the
    connection, as CLOSE does."""


class Outbox:
    """A queue of whole frames. Queues of several clients share the frames; no queue copies them.

    Args:
        max_bytes: how many bytes may wait, with 160 bytes for the place of each frame. An empty queue takes one frame
            of any size; otherwise a message larger than the queue could never be sent to a slow client.
        policy: what happens when a frame does not fit.

    Attributes:
        policy: as above; a new one counts from the next :meth:`push` on.
        size_bytes: how many bytes wait now, with the places.
        displaced: how many waiting messages the last :meth:`push` dropped or replaced.
    """

    __slots__ = ("_count", "_frames", "_kept", "_max_bytes", "displaced", "policy", "size_bytes")

    def __init__(self, max_bytes: int, policy: SlowClient) -> None:
        self._max_bytes = max_bytes
        self.policy = policy
        # A frame that a newer message may replace stands under its key, every other frame under a number of its own.
        # Keys are text, so a key never equals a number.
        self._frames: OrderedDict[str | int, bytes] = OrderedDict()
        # The frames that must stay where the policy is to drop the oldest ones, each under its number. They are apart
        # from the others, so that the oldest of those is found without a search.
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._count = 0
        self.size_bytes = 0
        self.displaced = 0

    def __len__(self) -> int:
        return len(self._frames) + len(self._kept)

    def push(self, frame: bytes, key: str | None = None, *, must_stay: bool = False) -> bool | None:
        """Take a frame in.

        Args:
            frame: the frame.
            key: under ``LATEST`` a newer message with the same key replaces this one; a message without a key (None) is
                never replaced.
            must_stay: whether the client has to get this frame, whatever the policy: what the server says of the
                connection itself is never dropped.

        Returns:
            True where the frame waits now, False where it was dropped; None where the queue is full and the policy is
            to close the connection, or the frame must stay.
        """
        self.displaced = 0
        place: str | int = self._count
        if key is not None and self.policy is SlowClient.LATEST:
            place = key
            # The older message is taken out, rather than overwritten, so that the newer one goes to the end of the
            # queue and is not sent before messages that came earlier.
            if key in self._frames:
                self.size_bytes -= _PLACE_BYTES + len(self._frames.pop(key))
                self.displaced = 1
        size = _PLACE_BYTES + len(frame)
        if len(self) and self.size_bytes + size > self._max_bytes:
            if self.policy is SlowClient.DROP_NEWEST and not must_stay:
                return False
            if self.policy is not SlowClient.DROP_OLDEST:
                return None
            self._make_room(size)
            # What is left must stay, and so much of it means that the client reads nothing.
            if len(self) and self.size_bytes + size > self._max_bytes:
                return None
        if must_stay and self.policy is SlowClient.DROP_OLDEST:
            self._kept[self._count] = frame
        else:
            self._frames[place] = frame
        self._count += 1
        self.size_bytes += size
        return True

    def pop(self, at_least_bytes: int) -> bytes:
        """Take the oldest frames out and join them.

        Args:
            at_least_bytes: frames are taken out until they have this size, or until the queue is empty.

        Returns:
            Whole frames; empty where nothing waits.
        """
        taken: list[bytes] = []
        size = 0
        while len(self) and size < at_least_bytes:
            taken.append(self._oldest())
            size += len(taken[-1])
        self.size_bytes -= size + _PLACE_BYTES * len(taken)
        return b"".join(taken)

    def _oldest(self) -> bytes:
        kept = next(iter(self._kept), None)
        other = next(iter(self._frames), None)
        # Under the policy that keeps frames apart every place is a number.
        if kept is not None and (not isinstance(other, int) or kept < other):
            return self._kept.pop(kept)
        return self._frames.popitem(last=False)[1]

    def _make_room(self, needed_bytes: int) -> None:
        while self._frames and self.size_bytes + needed_bytes > self._max_bytes:
            self.size_bytes -= _PLACE_BYTES + len(self._frames.popitem(last=False)[1])
            self.displaced += 1
