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

from ..wire.message import PLAIN_WEBSOCKET, Encoding, Message
from .link import Link
from .queues import Queues
from .runtime import Runtime
from .waiters import Waiters

__all__ = ["Batch", "FanOut", "Sent"]

# A larger batch is written before the turn ends. Otherwise a function that sends much in one turn would have all its
# messages in memory twice: each by itself, and joined.
_MAX_BATCH_BYTES = 262_144
# A transport of Twisted asks its producer to pause once its buffer holds more than 64 KiB (FileDescriptor.bufferSize).
# A larger piece of a queue would only move from the queue, which is bounded, into that buffer, which is not.
_CHUNK_BYTES = 65_536
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
_SENT, _QUEUED, _DROPPED = Sent.SENT, Sent.QUEUED, Sent.DROPPED


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

    def written_bytes(self, encoding: Encoding) -> int:
        """The size of the batch, once it was written to a client with this encoding."""
        messages = self.messages
        if len(messages) == 1:
            return len(messages[0].encoded(encoding))
        return sum([len(each.encoded(encoding)) for each in messages])


class FanOut:
    """Writes frames to audiences.

    A client that reads more slowly than the hub sends has a queue of its own, which is bounded. Messages that the
    client's transport can't take at once wait in the queue, and are written when the transport is empty again.

    Args:
        runtime: the surroundings; a batch is written in the next turn of the runtime's clock.
        queues: the queues of slow clients.

    Attributes:
        queues: the queues of slow clients.
        congested: the connections whose frames wait in queues: those whose transport holds data that the client has not
            read, and those that are held.
        held: the connections whose frames wait until :meth:`release`, each with whether its transport holds data that
            the client has not read.
        flush: writes the batch that this turn has collected for a name, and returns the connections to which the batch
            could not be written.
    """

    def __init__(self, runtime: Runtime, queues: Queues) -> None:
        self._runtime = runtime
        self._reports = runtime.reports
        self.queues = queues
        self._batches: dict[str, Batch] = {}
        # For each name, how many of its clients have another encoding than the plain one. A name without such clients
        # is not in here, and its audiences are written to without a look at the encoding of each member.
        self._others: Counter[str] = Counter()
        self._waiting: Waiters[None] = Waiters()
        self._scheduled = False
        self.congested: set[Link] = set()
        self.held: dict[Link, bool] = {}
        self._counters = runtime.counters
        self.flush: Callable[[str], Collection[Link]] = self._flush

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
                if self.queues.put(link, message.encoded(link.encoding), message.key):
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
            self.queues.dropped(_WRITE_FAILED, failed)
            dropped += failed
        return queued, dropped

    def count_bytes(self) -> None:
        """Count from now on the bytes that are given to transports. A hub that does not count runs none of this."""
        self._write_uncounted = self.write
        self.send_one = self._send_one_counted  # type: ignore[method-assign]
        self.write = self._write_counted  # type: ignore[method-assign]
        self.flush = self._counted(self.flush)

    def send_one(self, link: Link, data: bytes, key: str | None = None, *, must_stay: bool = False) -> Sent:
        """Give one encoded message to one connection, at once.

        Args:
            link: the connection.
            data: the message.
            key: as in :class:`~pode_signals.core.outbox.Outbox`.
            must_stay: whether the message is never dropped for others; where there is no room for it, the connection is
                closed.
        """
        # The connection may be in the audience of that batch, whose messages were sent before this one.
        if self._batches and link.name in self._batches:
            self.flush(link.name)
        if self.congested and link in self.congested:
            return _QUEUED if self.queues.put(link, data, key, must_stay=must_stay) else _DROPPED
        if self.write(link, data):
            return _SENT
        self.queues.dropped(_WRITE_FAILED, 1)
        return _DROPPED

    def _send_one_counted(self, link: Link, data: bytes, key: str | None = None, *, must_stay: bool = False) -> Sent:
        # The same with one line more: a function around the other would cost more than the count does.
        if self._batches and link.name in self._batches:
            self.flush(link.name)
        if self.congested and link in self.congested:
            return _QUEUED if self.queues.put(link, data, key, must_stay=must_stay) else _DROPPED
        if self._write_uncounted(link, data):
            self._counters.sent_bytes += len(data)
            return _SENT
        self.queues.dropped(_WRITE_FAILED, 1)
        return _DROPPED

    def hold(self, link: Link) -> None:
        """Have all that is sent to a connection wait until :meth:`release`, behind what is written by :meth:`write`."""
        self.held[link] = link in self.congested
        self.congested.add(link)

    def release(self, link: Link) -> None:
        """Write what has waited for a connection that was held."""
        if not self.held.pop(link, True):
            self.drained(link)

    def filled(self, link: Link) -> None:
        """A transport holds data that its client has not read."""
        self.congested.add(link)
        if link in self.held:
            self.held[link] = True

    def drained(self, link: Link) -> None:
        """A transport is empty again: write frames that wait, until the transport is full or no frame waits."""
        if link in self.held:
            self.held[link] = False
            return
        outbox = link.outbox
        # A write that fills the transport adds the link again, and so ends the loop.
        self.congested.discard(link)
        while outbox and link not in self.congested:
            count = len(outbox)
            frames = self.queues.pop(link, outbox, _CHUNK_BYTES)
            count -= len(outbox)
            # Where writing failed, the connection has left the hub, and its queue was dropped with it.
            if not self.write(link, frames):
                self.queues.dropped(_WRITE_FAILED, count)
                return
        # The queue of a client that reads again is not kept: most clients never need one.
        if not outbox:
            link.outbox = None

    def leave(self, link: Link) -> None:
        """A connection is about to close: write the frames that wait for it, so that its close frame comes last.

        The hub has flushed the batch of the connection's name before it calls this.
        """
        # The frames of a connection that is held belong behind others that it will not get any more.
        if self.held.pop(link, None) is not None:
            self.queues.drop(link, _CLOSED)
        outbox = self.queues.take(link)
        if outbox:
            # Counted before, since the frames are taken out of the queue to be written.
            count = len(outbox)
            if not self.write(link, outbox.pop(outbox.size_bytes)):
                self.queues.dropped(_CLOSED, count)
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
        encoding = PLAIN_WEBSOCKET
        made = {encoding: (data := batch.encoded(encoding))}
        others = name in self._others
        failed = []
        waiting = batch.waiting
        for link in batch.audience:
            if waiting and link in waiting:
                continue
            if others and link.encoding is not encoding:
                encoding = link.encoding
                found = made.get(encoding)
                data = made[encoding] = batch.encoded(encoding) if found is None else found
            # A fence around each recipient. It is written out here, rather than by a call of _write, because a call
            # for each recipient of a fan-out takes time. In two steps, since CPython looks a method up more slowly than
            # an attribute.
            write = link.write
            try:
                written = write(data)
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

    def write(self, link: Link, frames: bytes) -> bool:
        """Write to one connection, before all that waits for it.

        Returns:
            False where the connection is not open any more, or its transport raised.
        """
        try:
            return link.write(frames)
        except Exception:
            self._failed(link)
            return False

    def _write_counted(self, link: Link, frames: bytes) -> bool:
        if not self._write_uncounted(link, frames):
            return False
        self._counters.sent_bytes += len(frames)
        return True

    def _counted(self, inner: Callable[[str], Collection[Link]]) -> Callable[[str], Collection[Link]]:
        """What writes a batch, and counts its bytes: for each encoding those of its clients."""

        def flush(name: str) -> Collection[Link]:
            batch = self._batches.get(name)
            if batch is None:
                return ()
            others = name in self._others
            failed = inner(name)
            if others:
                written = Counter([each.encoding for each in batch.audience if each not in batch.waiting])
                written.subtract([each.encoding for each in failed])
                for encoding, count in written.items():
                    self._counters.sent_bytes += count * batch.written_bytes(encoding)
            else:
                count = len(batch.audience) - len(batch.waiting) - len(failed)
                self._counters.sent_bytes += count * batch.written_bytes(PLAIN_WEBSOCKET)
            return failed

        return flush

    def _failed(self, link: Link) -> None:
        """A transport raised: give the connection up. This is called in an ``except``, whose exception is logged."""
        self._reports.failure("writing failed", "writing to connection {client_id} failed", client_id=link.client_id)
        self.queues.drop(link, _WRITE_FAILED)
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
