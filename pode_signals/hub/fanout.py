"""The one place that writes messages to clients: joined per turn and audience, each recipient's failure its own.

A name's connections are disjoint from every other name's, so order has to be kept within a name only: a batch holds
the frames of one turn for one audience, and goes out before anything else is written to that name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from enum import Enum

from twisted.internet.defer import Deferred, succeed

from ..core.largest import Largest
from ..core.model import ClosedBy, ConnectionState
from ..core.outbox import Outbox, SlowClient
from ..wire.frames import CloseCode
from ..wire.message import PLAIN_WEBSOCKET, Encoding, Message
from .link import Link
from .runtime import Runtime
from .waiters import Waiters

__all__ = ["Batch", "FanOut", "Sent"]

_MAX_BATCH_BYTES = 262_144
# What Twisted's transports take before they ask to pause.
_CHUNK_BYTES = 65_536
# A close frame behind unread data is unlikely to arrive.
_SLOW_CLOSE_SECONDS = 2.0
_TOO_SLOW = CloseCode.SLOW_CLIENT
# Causes of drops that several places count.
_CLOSED, _WRITE_FAILED = "closed", "write_failed"

Audience = tuple[Link, ...]
_NOBODY: frozenset[Link] = frozenset()


class Sent(Enum):
    """What became of a frame for one connection."""

    SENT = "sent"
    QUEUED = "queued"
    DROPPED = "dropped"


# Names are quicker to look up than attributes of an enumeration.
_SENT, _DROPPED = Sent.SENT, Sent.DROPPED


class Batch:
    """The messages of one turn for one audience.

    Attributes:
        audience: for whom they are.
        waiting: members of the audience that got these messages into their queues.
        messages: the messages.
        size_bytes: how much their payloads are.
    """

    __slots__ = ("audience", "messages", "size_bytes", "waiting")

    def __init__(self, audience: Audience, waiting: frozenset[Link], message: Message) -> None:
        self.audience = audience
        self.waiting = waiting
        self.messages = [message]
        self.size_bytes = len(message.payload)

    def encoded(self, encoding: Encoding) -> bytes:
        """All of them as a client of an encoding gets them."""
        messages = self.messages
        if len(messages) == 1:
            return messages[0].encoded(encoding)
        return b"".join([each.encoded(encoding) for each in messages])


class FanOut:
    """Writes frames to audiences.

    A client that reads slower than it is sent to has a queue of its own: what its transport can't take at once waits
    there, bounded, and goes out when the transport is empty again.

    Args:
        runtime: the surroundings; the next turn of its clock ends a batch.

    Attributes:
        congested: the connections whose transport holds data that the client has not read.
        queued_bytes: what waits in all queues, the places included.
        flush: writes what this turn has collected for a name, and gives those to whom it could not be written.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._settings = runtime.settings
        self._policy = runtime.settings.slow_client
        self._counters = runtime.counters
        self._reports = runtime.reports
        self._batches: dict[str, Batch] = {}
        # How many clients of a name get another encoding than nearly all others do. Where there are none, an audience
        # is written to without a look at how each member is encoded.
        self._others: Counter[str] = Counter()
        self._waiting: Waiters[None] = Waiters()
        self._scheduled = False
        self.congested: set[Link] = set()
        self.queued_bytes = 0
        self.flush: Callable[[str], Collection[Link]] = self._flush
        self._largest: Largest[Link] = Largest()

    def joined(self, link: Link) -> None:
        """A connection has come into the audience of its name."""
        if link.encoding is not PLAIN_WEBSOCKET:
            self._others[link.name] += 1

    def left(self, link: Link) -> None:
        """A connection has left the audience of its name."""
        if link.encoding is not PLAIN_WEBSOCKET:
            self._others[link.name] -= 1
            if not self._others[link.name]:
                del self._others[link.name]

    def send(self, name: str, audience: Audience, message: Message) -> tuple[int, int]:
        """Give one message to an audience of one name.

        Args:
            name: the name.
            audience: its connections; equal audiences of one turn are told by being the same object.
            message: the message.

        Returns:
            How many of the audience get it behind unsent data, and how many will not get it, as far as that is known.
        """
        waiting = self._waiting_of(name, audience)
        queued = dropped = 0
        for link in audience if waiting else ():
            if link in waiting:
                if self._enqueue(link, message.encoded(link.encoding), message.key) is Sent.QUEUED:
                    queued += 1
                else:
                    dropped += 1
        batch = self._batches.get(name)
        if batch is None:
            self._batches[name] = batch = Batch(audience, waiting, message)
            self._schedule()
        else:
            batch.messages.append(message)
            batch.size_bytes += len(message.payload)
        if batch.size_bytes > _MAX_BATCH_BYTES:
            failed = len(self.flush(name))
            self._dropped(_WRITE_FAILED, failed)
            dropped += failed
        return queued, dropped

    def send_one(self, link: Link, data: bytes, key: str | None = None) -> Sent:
        """Give one encoded message to one connection, at once."""
        if self._batches and link.name in self._batches:
            self.flush(link.name)
        if self.congested and link in self.congested:
            return self._enqueue(link, data, key)
        if self._write(link, data):
            return _SENT
        self._dropped(_WRITE_FAILED, 1)
        return _DROPPED

    def drained(self, link: Link) -> None:
        """A transport is empty again: what waits goes out, until it is full or nothing waits."""
        outbox = link.outbox
        self.congested.discard(link)
        while outbox and link not in self.congested:
            size_bytes, count = outbox.size_bytes, len(outbox)
            frames = outbox.pop(_CHUNK_BYTES)
            self._resized(link, size_bytes, outbox.size_bytes)
            count -= len(outbox)
            if not self._write(link, frames):
                self._dropped(_WRITE_FAILED, count)
                return
        if not outbox:
            link.outbox = None

    def leave(self, link: Link) -> None:
        """A connection is about to close: what waits for it goes out before its close frame."""
        outbox = self._take(link)
        if outbox:
            count = len(outbox)
            if not self._write(link, outbox.pop(outbox.size_bytes)):
                self._dropped(_CLOSED, count)
        # Last, for writing may fill the transport once more.
        self.congested.discard(link)

    def batch_of(self, name: str) -> Batch | None:
        """What this turn has collected for a name up to now; None is nothing."""
        return self._batches.get(name)

    def _flush(self, name: str) -> Collection[Link]:
        batch = self._batches.pop(name, None)
        if batch is None:
            return ()
        # Mostly all get the same bytes.
        made = {PLAIN_WEBSOCKET: (data := batch.encoded(PLAIN_WEBSOCKET))}
        others = name in self._others
        failed = []
        waiting = batch.waiting
        for link in batch.audience:
            if waiting and link in waiting:
                continue
            if others:
                found = made.get(link.encoding)
                data = made[link.encoding] = batch.encoded(link.encoding) if found is None else found
            try:
                written = link.write(data)
            except Exception:
                self._failed(link)
                written = False
            if not written:
                failed.append(link)
        return failed

    def close(self, link: Link, code: int, reason: bytes) -> None:
        """Write a close frame."""
        try:
            link.write_close(code, reason)
        except Exception:
            self._failed(link)

    def when_written(self) -> Deferred[None]:
        """A new Deferred that fires when all that was sent up to now has been written."""
        if not self._batches:
            return succeed(None)
        return self._waiting.wait()

    def _waiting_of(self, name: str, audience: Audience) -> frozenset[Link]:
        """Those of an audience whose frames have to wait; a batch that does not fit goes out before."""
        waiting = self._congested_of(audience)
        batch = self._batches.get(name)
        if batch is not None and (batch.audience is not audience or batch.waiting != waiting):
            self.flush(name)
            # Writing may have filled a transport.
            waiting = self._congested_of(audience)
        return waiting

    def _congested_of(self, audience: Audience) -> frozenset[Link]:
        return frozenset(self.congested.intersection(audience)) if self.congested else _NOBODY

    def _enqueue(self, link: Link, data: bytes, key: str | None) -> Sent:
        """Have a message wait for a slow client, or drop it."""
        # It was closed meanwhile, to make room for others.
        if link.state is not ConnectionState.OPEN:
            self._dropped(_CLOSED, 1)
            return Sent.DROPPED
        outbox = link.outbox
        if outbox is None:
            outbox = link.outbox = Outbox(self._settings.send_queue_bytes, self._policy)
        before = outbox.size_bytes
        taken = outbox.push(data, key)
        self._resized(link, before, outbox.size_bytes)
        self._dropped("displaced", outbox.displaced)
        if taken is None:
            self._dropped("slow_closed", 1)
            self._too_slow(link, "send_queue_bytes", "slow_closed")
        elif not taken or (outbox.displaced and self._policy is SlowClient.DROP_OLDEST):
            self._reports.limit(
                "send_queue_bytes",
                "connection {client_id} reads too slowly: a message was dropped",
                client_id=link.client_id,
            )
            self._dropped("newest", 0 if taken else 1)
        # Over it by this message, and the largest queue is as large.
        if self.queued_bytes > self._settings.total_queue_bytes:
            largest = self._largest.largest()
            assert largest is not None
            self._too_slow(largest, "total_queue_bytes", "shed")
        return Sent.QUEUED if taken and link.outbox is not None else Sent.DROPPED

    def _too_slow(self, link: Link, setting: str, cause: str) -> None:
        """Close a client that does not read: nothing that waits for it would ever arrive.

        Args:
            link: the client's.
            setting: the bound that says so.
            cause: what the messages that wait are counted under.
        """
        count = self._drop(link, cause)
        self._reports.limit(
            setting,
            "connection {client_id} reads too slowly: closed, {count} messages dropped",
            client_id=link.client_id,
            count=count,
        )
        seconds = min(_SLOW_CLOSE_SECONDS, self._settings.close_timeout_seconds)
        link.shut(_TOO_SLOW, "the client reads too slowly", ClosedBy.SERVER, timeout_seconds=seconds)

    def _drop(self, link: Link, cause: str) -> int:
        """Give up what waits for a connection: how many messages that was."""
        count = len(self._take(link) or ())
        self._dropped(cause, count)
        return count

    def _dropped(self, cause: str, count: int) -> None:
        """Count deliveries that were given up; whoever sends tells of its own, and does not count them again."""
        if count:
            self._counters.dropped_by[cause] += count

    def _take(self, link: Link) -> Outbox | None:
        outbox, link.outbox = link.outbox, None
        if outbox is not None:
            self._resized(link, outbox.size_bytes, 0)
        return outbox

    def _resized(self, link: Link, before: int, now: int) -> None:
        self.queued_bytes += now - before
        self._largest.set(link, now)

    def _write(self, link: Link, frames: bytes) -> bool:
        try:
            return link.write(frames)
        except Exception:
            self._failed(link)
            return False

    def _failed(self, link: Link) -> None:
        self._reports.failure("writing failed", "writing to connection {client_id} failed", client_id=link.client_id)
        self._drop(link, _WRITE_FAILED)
        link.fail()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._runtime.clock.callLater(0, self._end_turn)

    def _end_turn(self) -> None:
        self._scheduled = False
        for name in tuple(self._batches):
            self.flush(name)
        if self._waiting:
            waiting, self._waiting = self._waiting, Waiters()
            waiting.fire(None, self._runtime.fresh_context)
