"""The one place that writes messages to clients: joined per turn and audience, each recipient's failure its own.

A name's connections are disjoint from every other name's, so order has to be kept within a name only: a batch holds
the frames of one turn for one audience, and goes out before anything else is written to that name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import Context
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

if TYPE_CHECKING:
    from .connection import SignalConnection

__all__ = ["FanOut"]

_MAX_BATCH_BYTES = 262_144

Audience = tuple["SignalConnection", ...]


class _Batch:
    __slots__ = ("audience", "frames", "size_bytes")

    def __init__(self, audience: Audience, frame: bytes) -> None:
        self.audience = audience
        self.frames = [frame]
        self.size_bytes = len(frame)


class FanOut:
    """Writes frames to audiences.

    Args:
        clock: gives the clock whose next turn ends a batch.
        context: gives the context that those who wait for the writing are called in; the clock's own may be anyone's.

    Attributes:
        congested: the connections whose transport holds data that the client has not read.
    """

    _log = Logger()

    def __init__(self, clock: Callable[[], IReactorTime], context: Callable[[], Context]) -> None:
        self._clock = clock
        self._context = context
        self._batches: dict[str, _Batch] = {}
        self._waiting: list[Deferred[None]] = []
        self._scheduled = False
        self.congested: set[SignalConnection] = set()

    def send(self, name: str, audience: Audience, frame: bytes) -> tuple[int, int]:
        """Give one frame to an audience of one name.

        Returns:
            How many of the audience get it behind unsent data, and how many will not get it, as far as that is known.
        """
        if len(audience) == 1:
            self.flush(name)
            queued = audience[0] in self.congested
            written = self._write(audience[0], frame)
            return int(queued and written), int(not written)
        batch = self._batches.get(name)
        if batch is not None and batch.audience is not audience:
            self.flush(name)
            batch = None
        if batch is None:
            self._batches[name] = batch = _Batch(audience, frame)
            self._schedule()
        else:
            batch.frames.append(frame)
            batch.size_bytes += len(frame)
        behind = [connection for connection in audience if connection in self.congested] if self.congested else ()
        failed = self.flush(name) if batch.size_bytes > _MAX_BATCH_BYTES else ()
        return sum(1 for connection in behind if connection not in failed), len(failed)

    def flush(self, name: str) -> Collection[SignalConnection]:
        """Write what this turn has collected for a name.

        Returns:
            To whom it could not be written.
        """
        batch = self._batches.pop(name, None)
        if batch is None:
            return ()
        frames = batch.frames[0] if len(batch.frames) == 1 else b"".join(batch.frames)
        return [connection for connection in batch.audience if not self._write(connection, frames)]

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
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def _write(self, connection: SignalConnection, frames: bytes) -> bool:
        try:
            return connection.write_frames(frames)
        except Exception:
            self._failed(connection)
            return False

    def _failed(self, connection: SignalConnection) -> None:
        self._log.failure("writing to {connection} failed", connection=connection)
        connection.fail()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._clock().callLater(0, self._end_turn)

    def _end_turn(self) -> None:
        self._scheduled = False
        for name in tuple(self._batches):
            self.flush(name)
        waiting, self._waiting = self._waiting, []
        while waiting:  # a callback may cancel another, which takes itself off this list
            self._context().run(waiting.pop(0).callback, None)
