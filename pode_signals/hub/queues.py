"""The messages that wait for slow clients, bounded for each client and for all together. It writes to no client."""

from __future__ import annotations

from collections.abc import Callable

from ..core.largest import Largest
from ..core.model import ClosedBy, ConnectionState
from ..core.outbox import Outbox, SlowClient
from ..wire.frames import CloseCode
from .link import Link
from .runtime import Runtime

__all__ = ["Queues"]

# The close frame of a slow client stands behind data that the client does not read, so it is unlikely to arrive. The
# transport is aborted after this time, rather than after the longer close_timeout_seconds.
_SLOW_CLOSE_SECONDS = 2.0
_TOO_SLOW = CloseCode.SLOW_CLIENT


class Queues:
    """The queues of one hub.

    Args:
        runtime: the surroundings.

    Attributes:
        queued_bytes: the size of all frames that wait in queues, with what each place in a queue takes.
        keeps_history: whether a name keeps a history. A client of such a name that is told of gaps is closed where its
            queue is full, whatever the policy, and gets what it missed when it comes back.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._settings = runtime.settings
        self._policy = runtime.settings.slow_client
        self._counters = runtime.counters
        self._reports = runtime.reports
        self._largest: Largest[Link] = Largest()
        self.queued_bytes = 0
        self.keeps_history: Callable[[str], bool] = lambda _name: False

    def put(self, link: Link, data: bytes, key: str | None, *, must_stay: bool = False) -> bool:
        """Put a message into the queue of a client; False where the message was dropped, and is counted so.

        Args:
            link: the connection.
            data: the message.
            key, must_stay: as in :meth:`.Outbox.push`.
        """
        # An earlier recipient of the same message filled the total of all queues, and this client was closed to make
        # room.
        if link.state is not ConnectionState.OPEN:
            self.dropped("closed", 1)
            return False
        outbox = link.outbox
        if outbox is None:
            outbox = link.outbox = Outbox(self._settings.send_queue_bytes, self._policy_for(link))
        before = outbox.size_bytes
        taken = outbox.push(data, key, must_stay=must_stay)
        self._resized(link, before, outbox.size_bytes)
        self.dropped("displaced", outbox.displaced)
        if taken is None:
            self.dropped("slow_closed", 1)
            self._too_slow(link, "send_queue_bytes", "slow_closed")
        elif not taken or (outbox.displaced and outbox.policy is SlowClient.DROP_OLDEST):
            self._reports.limit(
                "send_queue_bytes",
                "connection {client_id} reads too slowly: a message was dropped",
                event="client.slow",
                client_id=link.client_id,
            )
            self.dropped("newest", 0 if taken else 1)
        # One client is enough: the total was kept before this message, and the largest queue holds at least as much as
        # this message has added.
        if self.queued_bytes > self._settings.total_queue_bytes:
            largest = self._largest.largest()
            assert largest is not None
            self._too_slow(largest, "total_queue_bytes", "shed")
        # A client that was closed above has no queue any more.
        return bool(taken) and link.outbox is not None

    def pop(self, link: Link, outbox: Outbox, at_least_bytes: int) -> bytes:
        """Take the oldest messages out of a client's queue: as many as have this size, or all of them."""
        before = outbox.size_bytes
        frames = outbox.pop(at_least_bytes)
        self._resized(link, before, outbox.size_bytes)
        return frames

    def take(self, link: Link) -> Outbox | None:
        """Take the queue away from a connection; None where the connection has no queue."""
        outbox, link.outbox = link.outbox, None
        if outbox is not None:
            self._resized(link, outbox.size_bytes, 0)
        return outbox

    def drop(self, link: Link, cause: str) -> int:
        """Drop the queue of a connection.

        Args:
            link: the connection.
            cause: what the dropped messages are counted under.

        Returns:
            How many messages were in the queue.
        """
        count = len(self.take(link) or ())
        self.dropped(cause, count)
        return count

    def dropped(self, cause: str, count: int) -> None:
        """Count deliveries that were given up; whoever sends tells of its own, and does not count them again."""
        if count:
            self._counters.dropped_by[cause] += count

    def history_changed(self, link: Link) -> None:
        """The name of a connection has begun or ended to keep a history."""
        if link.outbox is not None:
            link.outbox.policy = self._policy_for(link)

    def _policy_for(self, link: Link) -> SlowClient:
        # A message that is dropped silently would be a gap that the client can't see.
        is_told = link.dialogue is not None and link.is_global and self.keeps_history(link.name)
        return SlowClient.CLOSE if is_told else self._policy

    def _too_slow(self, link: Link, setting: str, cause: str) -> None:
        """Close a client that does not read.

        Args:
            link: the client's connection.
            setting: the name of the setting whose bound was passed.
            cause: what the dropped messages are counted under.
        """
        # The queue is dropped before the connection leaves the hub, which would write the whole queue into the
        # transport of a client that does not read.
        count = self.drop(link, cause)
        self._reports.limit(
            setting,
            "connection {client_id} reads too slowly: closed, {count} messages dropped",
            event="client.slow",
            client_id=link.client_id,
            count=count,
        )
        seconds = min(_SLOW_CLOSE_SECONDS, self._settings.close_timeout_seconds)
        link.shut(_TOO_SLOW, "the client reads too slowly", ClosedBy.SERVER, timeout_seconds=seconds)

    def _resized(self, link: Link, before: int, now: int) -> None:
        self.queued_bytes += now - before
        self._largest.set(link, now)
