"""Closing every connection of a hub, spread over time so that the clients do not all come back at once."""

from __future__ import annotations

from contextlib import suppress
from math import ceil
from random import Random

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..core.model import ClosedBy
from ..wire.frames import CloseCode
from .hub import Hub
from .link import Link

__all__ = ["Drain", "send_away"]

_GOING_AWAY = CloseCode.GOING_AWAY
_CLIENTS_PER_SECOND = 250
_SMALLEST_BATCH = 25
_MOST_BATCHES = 100
_ABORT_SECONDS = 1.0


class Drain:
    """Closes the connections of a hub with 1001, and aborts those that are still there after a time.

    Args:
        hub: whose connections.
        clock: what time is taken from.
        random: decides who comes first and how long the pauses are.
        seconds: how long it may take; the close frames are sent within the first half.

    Attributes:
        is_hurried: whether nothing is waited for any longer.
    """

    _log = Logger()

    def __init__(self, hub: Hub, clock: IReactorTime, random: Random, seconds: float) -> None:
        self._hub = hub
        self._clock = clock
        self._random = random
        self._seconds = seconds
        self.is_hurried = False
        self._closing: Deferred[None] | None = None

    def hurry(self) -> None:
        """Wait no longer: abort what is left, now."""
        self.is_hurried = True
        if self._closing is not None:
            self._closing.cancel()

    async def run(self) -> None:
        """Close all; ends when no connection is left."""
        if not self.is_hurried:
            self._say_how_many()
            self._closing = Deferred.fromCoroutine(self._close())
            with suppress(CancelledError, defer.TimeoutError):
                await self._closing.addTimeout(self._seconds, self._clock)
        left = self._hub.links()
        if left:
            self._log.warn("{count} connections were aborted", event="clients.aborted", count=len(left))
            for link in left:
                link.abort(ClosedBy.SHUTDOWN)
            with suppress(defer.TimeoutError):
                await Deferred.fromCoroutine(_gone(left)).addTimeout(_ABORT_SECONDS, self._clock)

    def _say_how_many(self) -> None:
        # Else nothing tells an operator for up to ``seconds`` why the process does not end.
        if count := len(self._hub.links()):
            self._log.info(
                "closing {count} connection{s}; after {seconds:g} s the rest is aborted",
                event="service.draining",
                count=count,
                s="" if count == 1 else "s",
                seconds=self._seconds,
            )

    async def _close(self) -> None:
        links = list(self._hub.links())
        self._random.shuffle(links)
        size = max(_SMALLEST_BATCH, ceil(len(links) / _MOST_BATCHES))
        pauses = max(1, ceil(len(links) / size) - 1)
        # A pause is 1.5 times the mean at most, so all of them together are half of the time at most.
        mean_seconds = min(self._seconds / 3, len(links) / _CLIENTS_PER_SECOND) / pauses
        for start in range(0, len(links), size):
            if start > 0:
                await deferLater(self._clock, mean_seconds * self._random.uniform(0.5, 1.5))
            for link in links[start : start + size]:
                send_away(link)
        while left := self._hub.links():
            # One of them may have come late, by a route that had begun before.
            for link in left:
                send_away(link)
            await _gone(left)


def send_away(link: Link) -> None:
    """Close a connection because the service stops."""
    link.shut(_GOING_AWAY, "the server is going away", ClosedBy.SHUTDOWN)


async def _gone(links: tuple[Link, ...]) -> None:
    for link in links:
        await link.when_disconnected()
