"""Nodes on real sockets of which one comes to Redis by a way that a test makes ill. Nothing in here is a test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.task import deferLater

from pode_signals.backplane.redis import client, opening
from pode_signals.backplane.redis.backplane import RedisBackplane
from pode_signals.backplane.redis.channels import ENVELOPE
from pode_signals.core.history import HistoryLimits, LoggedSignal, Position
from pode_signals.core.model import Target
from pode_signals.errors import HistoryUnavailable
from pode_signals.wire.message import Message, Outgoing

__all__ = ["KEY", "LONG", "ROOM", "IllNode", "hasten", "ill_nodes", "pause", "until"]

LONG = os.environ.get("PODE_SIGNALS_NODES") == "all"
KEY = "k" * 32
ROOM = Target(("Room",))
LIVE = Target(("Live",))
LIMITS = HistoryLimits(1_000_000, 2**30, 3_600)
_TIMES = {
    client: (
        "_DEADLINE_SECONDS",
        "_PING_SECONDS",
        "_SHORTEST_PAUSE_SECONDS",
        "_PAUSE_SECONDS",
        "_LONG_PAUSE_SECONDS",
    ),
    opening: ("_TRY_SECONDS",),
}


def hasten(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    """Have nodes wait for Redis only a part of the time that they do."""
    for module, names in _TIMES.items():
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) / times)


def pause(seconds: float) -> Deferred[None]:
    """Fires after a time."""
    return deferLater(reactor, seconds, lambda: None)


async def until(is_so: Callable[[], Any], seconds: float = 8.0, what: Callable[[], object] = lambda: "") -> float:
    """Wait until something is so; how long that took. Fails after some seconds."""
    begin = reactor.seconds()
    while not is_so():
        assert reactor.seconds() - begin < seconds, f"it never was so {what()}"
        await pause(0.01)
    return float(reactor.seconds() - begin)


class IllNode:
    """A node, and all that it was told and has sent.

    Args:
        url: where it finds Redis.
        settings: arguments of the backplane.

    Attributes:
        delivered: the entries of the log that came, in order.
        positions: the place of each.
        told: how often it was told that entries may be lost.
        live: the messages without a log that came.
        states: what it said of its way to Redis.
        written: the entries of this node that are in the log.
        failed: those that are not, or of which that is not known.
    """

    def __init__(self, url: str, **settings: Any) -> None:
        self.backplane = RedisBackplane(url, **{"key": KEY, "waiting_seconds": 120, "reactor": reactor, **settings})
        self.delivered: list[bytes] = []
        self.positions: list[Position] = []
        self.told = 0
        self.live: list[bytes] = []
        self.states: list[str] = []
        self.written: dict[bytes, Position] = {}
        self.failed: list[tuple[bytes, str]] = []
        self.waiting: list[Deferred[None]] = []

    async def start(self) -> None:
        """Connect, and follow the log of Room and what is sent to Live."""
        await self.backplane.start(self._live, self.states.append, lambda _: succeed(None), lambda *_: None)
        await self.backplane.history.follow("Room", LIMITS, self._deliver, self._broken)
        await self.backplane._node.channels.listen("Live", ENVELOPE)

    def append(self, data: bytes) -> None:
        """Append an entry."""

        def failed(failure: Any) -> None:
            failure.trap(HistoryUnavailable)
            self.failed.append((data, failure.value.outcome))

        appended = self.backplane.history.append(ROOM, data)
        self.waiting.append(appended.addCallbacks(lambda position: self.written.__setitem__(data, position), failed))

    def publish(self, data: bytes) -> None:
        """Send a message without a log."""
        self.backplane.publish(Outgoing(LIVE, Message(data)))

    @property
    def is_up(self) -> bool:
        """Whether it can ask Redis, and knows where the log is."""
        log = self.backplane.history._names["Room"]
        return self.backplane._client.is_up and not log.reader.is_asking

    def _deliver(self, signal: LoggedSignal) -> None:
        self.delivered.append(signal.data)
        self.positions.append(signal.position)

    def _broken(self, position: Position) -> None:
        self.told += 1

    def _live(self, outgoing: Outgoing) -> None:
        self.live.append(outgoing.message.payload)


@asynccontextmanager
async def ill_nodes(*urls: str, **settings: Any) -> AsyncIterator[list[IllNode]]:
    """Nodes that are connected, one for each URL."""
    nodes = [IllNode(url, **settings) for url in urls]
    try:
        for node in nodes:
            await node.start()
        yield nodes
    finally:
        await DeferredList([node.backplane.stop() for node in nodes])


async def settled(nodes: Iterable[IllNode]) -> None:
    """Wait until all that was appended is settled."""
    for node in nodes:
        while node.waiting:
            await node.waiting.pop()
