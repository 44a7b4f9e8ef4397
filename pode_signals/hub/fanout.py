"""The one place that writes messages to clients. It never lets the failure of one recipient stop the others.

The messages of one turn to one audience are a batch, which is written as one string of bytes for each recipient. Each
connection has exactly one name, so order has to be kept within a name only: the batch of a name is written before
anything else is written to a connection of that name.
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

# A larger batch is written before the turn ends. Otherwise a function that sends much in one turn would have all its
# messages in memory twice: each by itself, and joined.
_MAX_BATCH_BYTES = 262_144
# A transport of Twisted asks its producer to pause once its buffer holds more than 64 KiB (FileDescriptor.bufferSize).
# A larger piece of a queue would only move from the queue, which is bounded, into that buffer, which is not.
_CHUNK_BYTES = 65_536
# The close frame of a slow client stands behind data that the client does not read, so it is unlikely to arrive. The
# transport is aborted after this time, rather than after the longer close_timeout_seconds.
_SLOW_CLOSE_SECONDS = 2.0
_TOO_SLOW = CloseCode.SLOW_CLIENT
# Causes of drops that several places count.
_CLOSED, _WRITE_FAILED = "closed", "write_failed"

Audience = tuple[Link, ...]
_NOBODY: frozenset[Link] = frozenset()


class Sent(Enum):
    """What happened to a frame for one connection."""

    SENT = "sent"
    QUEUED = "queued"
    DROPPED = "dropped"


# Names are quicker to look up than attributes of an enumeration.
_SENT, _DROPPED = Sent.SENT, Sent.DROPPED


class Batch:
    """The messages of one turn for one audience.

    Attributes:
        audience: the connections that the messages are for.
        waiting: members of the audience that have these messages in their queues already; the batch is not written to
            them.
        messages: the messages, in the order of sending.
        size_bytes: the size of their payloads.
    """

    __slots__ = ("audience", "messages", "size_bytes", "waiting")

    def __init__(self, audience: Audience, waiting: frozenset[Link], message: Message) -> None:
        self.audience = audience
        self.waiting = waiting
        self.messages = [message]
        self.size_bytes = len(message.payload)

    def encoded(self, encoding: Encoding) -> bytes:
        """All messages of the batch, as one string of bytes for a client with this encoding."""
        messages = self.messages
        if len(messages) == 1:
            return messages[0].encoded(encoding)
        return b"".join([each.encoded(encoding) for each in messages])


class FanOut:
    """Writes frames to audiences.

    A client that reads more slowly than the hub sends has a queue of its own, which is bounded. Messages that the
    client's transport can't take at once wait in the queue, and are written when the transport is empty again.

    Args:
        runtime: the surroundings; a batch is written in the next turn of the runtime's clock.

    Attributes:
        congested: the connections whose transport holds data that the client has not read.
        queued_bytes: the size of all frames that wait in queues, with what each place in a queue takes.
        flush: writes the batch that this turn has collected for a name, and returns the connections to which the batch
            could not be written.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._settings = runtime.settings
        self._policy = runtime.settings.slow_client
        self._counters = runtime.counters
        self._reports = runtime.reports
        self._batches: dict[str, Batch] = {}
        # For each name, how many of its clients have another encoding than the plain one. A name without such clients
        # is not in here, and its audiences are written to without a look at the encoding of each member.
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
            audience: connections of that name. Two sends of one turn share a batch where their audiences are the same
                object, not where they are merely equal.
            message: the message.

        Returns:
            How many of the audience get the message behind unsent data, and how many will not get it, as far as that
            is known now.
        """
        waiting = self._waiting_of(name, audience)
        queued = dropped = 0
        # Slow clients get the message into their queues now, rather than with the batch: the caller is told in the
        # same call whether a queue was full.
        for link in audience if waiting else ():
            if link in waiting:
                if self._enqueue(link, message.encoded(link.encoding), message.key) is Sent.QUEUED:
                    queued += 1
                else:
                    dropped += 1
        # The batch is looked up here and not before the loop: a slow client that was closed in the loop has left the
        # hub, which writes the batch of its name.
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
        # The connection may be in the audience of that batch, whose messages were sent before this one.
        if self._batches and link.name in self._batches:
            self.flush(link.name)
        if self.congested and link in self.congested:
            return self._enqueue(link, data, key)
        if self._write(link, data):
            return _SENT
        self._dropped(_WRITE_FAILED, 1)
        return _DROPPED

    def drained(self, link: Link) -> None:
        """A transport is empty again: write frames that wait, until the transport is full or no frame waits."""
        outbox = link.outbox
        # A write that fills the transport adds the link again, and so ends the loop.
        self.congested.discard(link)
        while outbox and link not in self.congested:
            size_bytes, count = outbox.size_bytes, len(outbox)
            frames = outbox.pop(_CHUNK_BYTES)
            self._resized(link, size_bytes, outbox.size_bytes)
            count -= len(outbox)
            # Where writing failed, the connection has left the hub, and its queue was dropped with it.
            if not self._write(link, frames):
                self._dropped(_WRITE_FAILED, count)
                return
        # The queue of a client that reads again is not kept: most clients never need one.
        if not outbox:
            link.outbox = None

    def leave(self, link: Link) -> None:
        """A connection is about to close: write the frames that wait for it, so that its close frame comes last.

        The hub has flushed the batch of the connection's name before it calls this.
        """
        outbox = self._take(link)
        if outbox:
            # Counted before, since the frames are taken out of the queue to be written.
            count = len(outbox)
            if not self._write(link, outbox.pop(outbox.size_bytes)):
                self._dropped(_CLOSED, count)
        # This comes last: the write may have filled the transport, which adds the link to the congested ones again.
        self.congested.discard(link)

    def batch_of(self, name: str) -> Batch | None:
        """The batch that this turn has collected for a name up to now; None where there is none."""
        return self._batches.get(name)

    def _flush(self, name: str) -> Collection[Link]:
        # Taken out before anything is written: a connection whose write fails leaves the hub, which calls flush for
        # the same name once more.
        batch = self._batches.pop(name, None)
        if batch is None:
            return ()
        # Nearly always all members get the same bytes.
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
            # A fence around each recipient. It is written out here, rather than by a call of _write, because a call
            # for each recipient of a fan-out takes time.
            try:
                written = link.write(data)
            except Exception:
                self._failed(link)
                written = False
            if not written:
                failed.append(link)
        return failed

    def close(self, link: Link, code: int, reason: bytes) -> None:
        """Write a close frame. A transport that raises ends this connection and no other."""
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
        """The members of an audience whose frames have to wait in queues.

        The batch of the name is written first where the next message can't join it.
        """
        waiting = self._congested_of(audience)
        batch = self._batches.get(name)
        # A message can join the batch only where both are written to exactly the same connections.
        if batch is not None and (batch.audience is not audience or batch.waiting != waiting):
            self.flush(name)
            # Writing the batch may have filled another transport.
            waiting = self._congested_of(audience)
        return waiting

    def _congested_of(self, audience: Audience) -> frozenset[Link]:
        return frozenset(self.congested.intersection(audience)) if self.congested else _NOBODY

    def _enqueue(self, link: Link, data: bytes, key: str | None) -> Sent:
        """Put a message into the queue of a slow client, or drop the message."""
        # An earlier recipient of the same message filled the total of all queues, and this client was closed to make
        # room.
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
        # One client is enough: the total was kept before this message, and the largest queue holds at least as much as
        # this message has added.
        if self.queued_bytes > self._settings.total_queue_bytes:
            largest = self._largest.largest()
            assert largest is not None
            self._too_slow(largest, "total_queue_bytes", "shed")
        # A client that was closed above has no queue any more.
        return Sent.QUEUED if taken and link.outbox is not None else Sent.DROPPED

    def _too_slow(self, link: Link, setting: str, cause: str) -> None:
        """Close a client that does not read.

        Args:
            link: the client's connection.
            setting: the name of the setting whose bound was passed.
            cause: what the dropped messages are counted under.
        """
        # The queue is dropped before the connection leaves the hub, which would write the whole queue into the
        # transport of a client that does not read.
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
        """Drop the queue of a connection.

        Args:
            link: the connection.
            cause: what the dropped messages are counted under.

        Returns:
            How many messages were in the queue.
        """
        count = len(self._take(link) or ())
        self._dropped(cause, count)
        return count

    def _dropped(self, cause: str, count: int) -> None:
        """Count deliveries that were given up; whoever sends tells of its own, and does not count them again."""
        if count:
            self._counters.dropped_by[cause] += count

    def _take(self, link: Link) -> Outbox | None:
        """Take the queue away from a connection; None where the connection has no queue."""
        outbox, link.outbox = link.outbox, None
        if outbox is not None:
            self._resized(link, outbox.size_bytes, 0)
        return outbox

    def _resized(self, link: Link, before: int, now: int) -> None:
        self.queued_bytes += now - before
        self._largest.set(link, now)

    def _write(self, link: Link, frames: bytes) -> bool:
        """Write to one connection; False where the connection is not open any more, or its transport raised."""
        try:
            return link.write(frames)
        except Exception:
            self._failed(link)
            return False

    def _failed(self, link: Link) -> None:
        """A transport raised: give the connection up. This is called in an ``except``, whose exception is logged."""
        self._reports.failure("writing failed", "writing to connection {client_id} failed", client_id=link.client_id)
        self._drop(link, _WRITE_FAILED)
        link.fail()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._runtime.clock.callLater(0, self._end_turn)

    def _end_turn(self) -> None:
        # First, so that a send that a write below causes plans the end of the next turn.
        self._scheduled = False
        # A copy of the names, since flush takes each batch out.
        for name in tuple(self._batches):
            self.flush(name)
        if self._waiting:
            # A function that is told may send again, and then waits for the next turn.
            waiting, self._waiting = self._waiting, Waiters()
            waiting.fire(None, self._runtime.fresh_context)
