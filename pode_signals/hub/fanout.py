"""The one place that writes messages to clients: joined per turn and audience, each recipient's failure its own.

A name's connections are disjoint from every other name's, so order has to be kept within a name only: a batch holds
the frames of one turn for one audience, and goes out before anything else is written to that name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import Context
from enum import Enum
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from ..core.counters import Counters
from ..core.largest import Largest
from ..core.model import ClosedBy
from ..core.outbox import Outbox, SlowClient
from ..core.settings import Settings
from ..wire.frames import CloseCode
from .connection import ConnectionState
from .reports import Reports
from .waiters import Waiters

if TYPE_CHECKING:
    from .connection import SignalConnection

__all__ = ["FanOut", "Sent"]

_MAX_BATCH_BYTES = 262_144
_CHUNK_BYTES = 65_536  # what Twisted's transports take before they ask to pause
_SLOW_CLOSE_SECONDS = 2.0  # a close frame behind unread data is unlikely to arrive
_TOO_SLOW = CloseCode.SLOW_CLIENT

Audience = tuple["SignalConnection", ...]
_NOBODY: frozenset[SignalConnection] = frozenset()


class Sent(Enum):
    """What became of a frame for one connection."""

    SENT = "sent"
    QUEUED = "queued"
    DROPPED = "dropped"


_SENT, _DROPPED = Sent.SENT, Sent.DROPPED  # names, which are quicker to look up


class _Batch:
    __slots__ = ("audience", "frames", "size_bytes", "waiting")

    def __init__(self, audience: Audience, waiting: frozenset[SignalConnection], frame: bytes) -> None:
        self.audience = audience
        self.waiting = waiting  # those of the audience that got these frames into their queues
        self.frames = [frame]
        self.size_bytes = len(frame)


class FanOut:
    """Writes frames to audiences.

    A client that reads slower than it is sent to has a queue of its own: what its transport can't take at once waits
    there, bounded, and goes out when the transport is empty again.

    Args:
        clock: gives the clock whose next turn ends a batch.
        context: gives the context that those who wait for the writing are called in; the clock's own may be anyone's.
        settings: the bounds of the queues, and what happens when one is full.
        counters: what was dropped from queues is counted here.
        reports: where slow clients are counted and logged.

    Attributes:
        congested: the connections whose transport holds data that the client has not read.
        queued_bytes: what waits in all queues, the places included.
    """

    def __init__(
        self,
        clock: Callable[[], IReactorTime],
        context: Callable[[], Context],
        settings: Settings,
        counters: Counters,
        reports: Reports,
    ) -> None:
        self._clock = clock
        self._context = context
        self._settings = settings
        self._policy = SlowClient(settings.slow_client)
        self._counters = counters
        self._reports = reports
        self._batches: dict[str, _Batch] = {}
        self._waiting: Waiters[None] = Waiters()
        self._scheduled = False
        self.congested: set[SignalConnection] = set()
        self.queued_bytes = 0
        self._largest: Largest[SignalConnection] = Largest()

    def send(self, name: str, audience: Audience, frame: bytes, key: str | None = None) -> tuple[int, int]:
        """Give one frame to an audience of one name.

        Args:
            name: the name.
            audience: its connections; equal audiences of one turn are told by being the same object.
            frame: the frame.
            key: what a newer message may replace it by in a queue; None is nothing.

        Returns:
            How many of the audience get it behind unsent data, and how many will not get it, as far as that is known.
        """
        waiting = self._waiting_of(name, audience)
        queued = dropped = 0
        for connection in audience if waiting else ():
            if connection in waiting:
                if self._enqueue(connection, frame, key) is Sent.QUEUED:
                    queued += 1
                else:
                    dropped += 1
        batch = self._batches.get(name)
        if batch is None:
            self._batches[name] = batch = _Batch(audience, waiting, frame)
            self._schedule()
        else:
            batch.frames.append(frame)
            batch.size_bytes += len(frame)
        if batch.size_bytes > _MAX_BATCH_BYTES:
            dropped += len(self.flush(name))
        return queued, dropped

    def send_one(self, connection: SignalConnection, frame: bytes, key: str | None = None) -> Sent:
        """Give one frame to one connection, at once."""
        if self._batches and connection.name in self._batches:
            self.flush(connection.name)
        if self.congested and connection in self.congested:
            return self._enqueue(connection, frame, key)
        return _SENT if self._write(connection, frame) else _DROPPED

    def drained(self, connection: SignalConnection) -> None:
        """A transport is empty again: what waits goes out, until it is full or nothing waits."""
        outbox = connection.outbox
        self.congested.discard(connection)
        while outbox and connection not in self.congested:
            before = outbox.size_bytes
            frames = outbox.pop(_CHUNK_BYTES)
            self._resized(connection, before, outbox.size_bytes)
            if not self._write(connection, frames):
                return
        if not outbox:
            connection.outbox = None

    def leave(self, connection: SignalConnection) -> None:
        """A connection is about to close: what waits for it goes out before its close frame."""
        outbox = self._take(connection)
        if outbox:
            count = len(outbox)
            if not self._write(connection, outbox.pop(outbox.size_bytes)):
                self._counters.recipients_dropped += count
        self.congested.discard(connection)  # last, for writing may fill the transport once more

    def flush(self, name: str) -> Collection[SignalConnection]:
        """Write what this turn has collected for a name.

        Returns:
            To whom it could not be written.
        """
        batch = self._batches.pop(name, None)
        if batch is None:
            return ()
        frames = batch.frames[0] if len(batch.frames) == 1 else b"".join(batch.frames)
        failed = []
        waiting = batch.waiting
        for connection in batch.audience:
            if waiting and connection in waiting:
                continue
            try:
                written = connection.write_frames(frames)
            except Exception:
                self._failed(connection)
                written = False
            if not written:
                failed.append(connection)
        return failed

    def close(self, connection: SignalConnection, code: int, reason: bytes) -> None:
        """Write a close frame."""
        try:
            connection.write_close(code, reason)
        except Exception:
            self._failed(connection)

    def when_written(self) -> Deferred[None]:
        """A new Deferred that fires when all that was sent up to now has been written."""
        if not self._batches:
            return succeed(None)
        return self._waiting.wait()

    def _waiting_of(self, name: str, audience: Audience) -> frozenset[SignalConnection]:
        """Those of an audience whose frames have to wait; a batch that does not fit goes out before."""
        waiting = self._congested_of(audience)
        batch = self._batches.get(name)
        if batch is not None and (batch.audience is not audience or batch.waiting != waiting):
            self.flush(name)
            waiting = self._congested_of(audience)  # writing may have filled a transport
        return waiting

    def _congested_of(self, audience: Audience) -> frozenset[SignalConnection]:
        return frozenset(self.congested.intersection(audience)) if self.congested else _NOBODY

    def _enqueue(self, connection: SignalConnection, frame: bytes, key: str | None) -> Sent:
        """Have a frame wait for a slow client, or drop it."""
        if connection.state is not ConnectionState.OPEN:  # it was closed meanwhile, to make room for others
            return Sent.DROPPED
        outbox = connection.outbox
        if outbox is None:
            outbox = connection.outbox = Outbox(self._settings.send_queue_bytes, self._policy)
        before = outbox.size_bytes
        taken = outbox.push(frame, key)
        self._resized(connection, before, outbox.size_bytes)
        self._counters.recipients_dropped += outbox.displaced
        if taken is None:
            self._too_slow(connection, "send_queue_bytes")
        elif not taken or (outbox.displaced and self._policy is SlowClient.DROP_OLDEST):
            self._reports.limit(
                "send_queue_bytes",
                "connection {client_id} reads too slowly: a message was dropped",
                client_id=connection.client_id,
            )
        if self.queued_bytes > self._settings.total_queue_bytes:  # by this frame, and the largest queue is as large
            largest = self._largest.largest()
            assert largest is not None
            # Of this frame, where it goes as well, the send that is going on tells, and so counts it.
            self._too_slow(largest, "total_queue_bytes", told=int(largest is connection and taken is True))
        return Sent.QUEUED if taken and connection.outbox is not None else Sent.DROPPED

    def _too_slow(self, connection: SignalConnection, setting: str, *, told: int = 0) -> None:
        """Close a client that does not read: nothing that waits for it would ever arrive.

        Args:
            connection: the client's.
            setting: the bound that says so.
            told: how many of what waits another counts as dropped.
        """
        count = self._drop(connection, told)
        self._reports.limit(
            setting,
            "connection {client_id} reads too slowly: closed, {count} messages dropped",
            client_id=connection.client_id,
            count=count,
        )
        seconds = min(_SLOW_CLOSE_SECONDS, self._settings.close_timeout_seconds)
        connection.shut(_TOO_SLOW, "the client reads too slowly", ClosedBy.SERVER, timeout_seconds=seconds)

    def _drop(self, connection: SignalConnection, told: int = 0) -> int:
        """Give up what waits for a connection: how many messages that was. So many of them are counted elsewhere."""
        count = len(self._take(connection) or ())
        self._counters.recipients_dropped += count - told
        return count

    def _take(self, connection: SignalConnection) -> Outbox | None:
        outbox, connection.outbox = connection.outbox, None
        if outbox is not None:
            self._resized(connection, outbox.size_bytes, 0)
        return outbox

    def _resized(self, connection: SignalConnection, before: int, now: int) -> None:
        self.queued_bytes += now - before
        self._largest.set(connection, now)

    def _write(self, connection: SignalConnection, frames: bytes) -> bool:
        try:
            return connection.write_frames(frames)
        except Exception:
            self._failed(connection)
            return False

    def _failed(self, connection: SignalConnection) -> None:
        self._reports.failure(
            "writing failed", "writing to connection {client_id} failed", client_id=connection.client_id
        )
        self._drop(connection)
        connection.fail()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._clock().callLater(0, self._end_turn)

    def _end_turn(self) -> None:
        self._scheduled = False
        for name in tuple(self._batches):
            self.flush(name)
        if self._waiting:
            waiting, self._waiting = self._waiting, Waiters()
            waiting.fire(None, self._context)
