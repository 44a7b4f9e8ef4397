"""Clients of several nodes that count what they get, while a test does harm. Nothing in here is a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle

from redis_nodes import NodeProgram
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater

from pode_signals.client import Lost, Opened, SignalClient, SignalReceived
from pode_signals.wire.v1 import Hello

__all__ = ["Listener", "Load", "pause"]


def pause(seconds: float) -> Deferred[None]:
    """Fires after a time."""
    return deferLater(reactor, seconds, lambda: None)


class Listener:
    """A client of the Python library that keeps what it is told.

    Args:
        urls: where it connects, in turn.
        part: which of the messages it gets: those whose number has this remainder; None is all.
        parts: what the numbers are divided by.

    Attributes:
        hello: what its last connection began with.
        numbers: the numbers of the messages that came.
        have: the same as a set.
        told: how often it was told that messages may be lost.
        opened: how often it was connected.
    """

    def __init__(self, urls: Sequence[str], part: int | None = None, parts: int = 1) -> None:
        self._part = part
        self._parts = parts
        self.hello: Hello | None = None
        self.numbers: list[int] = []
        self.have: set[int] = set()
        self.told = 0
        self.opened = 0
        # With each attempt it tries the next node.
        turns = cycle(urls)
        self.client = SignalClient(lambda: next(turns), base_seconds=0.1, cap_seconds=1)
        self.client.startService()
        self.listening = ensureDeferred(self._listen())

    def of(self, numbers: Iterable[int]) -> list[int]:
        """Those of some messages that it gets."""
        return [number for number in numbers if self._part is None or number % self._parts == self._part]

    async def _listen(self) -> None:
        async for event in self.client:
            if isinstance(event, SignalReceived):
                self.numbers.append(event.data["n"])
                self.have.add(event.data["n"])
            elif isinstance(event, Lost):
                self.told += 1
            elif isinstance(event, Opened):
                self.opened += 1
                self.hello = event.hello


class Load:
    """Clients of a name at some nodes, and messages that the nodes send.

    Args:
        nodes: the nodes.
        clients: how many clients; each begins at another node.
        path: the route that they connect to.
        groups: into how many parts the messages are divided; one client at each node gets all of them, and each of the
            others one part. 0 means that each client gets all.
    """

    def __init__(self, nodes: list[NodeProgram], clients: int, path: str = "/room", groups: int = 0) -> None:
        self.nodes = nodes
        self.groups = groups
        self.listeners: list[Listener] = []
        for place in range(clients):
            part = (place // len(nodes)) % groups if groups and place >= len(nodes) else None
            query = "" if not groups else "?group=every" if part is None else f"?group=g{part}"
            turns = [nodes[(place + turn) % len(nodes)] for turn in range(len(nodes))]
            self.listeners.append(
                Listener([f"ws://localhost:{node.port}{path}{query}" for node in turns], part, groups)
            )
        self.sent = 0

    async def open(self) -> None:
        """All are connected."""
        for each in self.listeners:
            await each.client.when_open()

    def send(self, each: int, each_ms: int = 5, name: str = "Room", nodes: list[NodeProgram] | None = None) -> None:
        """Have each node send so many messages, one at a time."""
        for node in self.nodes if nodes is None else nodes:
            node.ask(f"/send/{name}/{self.sent}/{each}/{each_ms}?groups={self.groups}")
            self.sent += each

    async def until(self, is_so: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something is so; fails after some seconds."""
        end = reactor.seconds() + seconds
        while not is_so():
            if reactor.seconds() > end:
                raise AssertionError(self.summary())
            await pause(0.1)

    async def all_is_settled(self, more: int = 0, seconds: float = 60) -> dict[str, int]:
        """Wait until all that the nodes sent is settled, and so many messages more; gives the outcomes."""
        await self.until(lambda: sum(self.outcomes().values()) >= self.sent + more, seconds)
        return self.outcomes()

    def outcomes(self) -> dict[str, int]:
        """What became of the messages that the nodes have sent so far."""
        found: Counter[str] = Counter()
        for node in self.nodes:
            found.update(node.ask("/state")["outcomes"])
        return dict(found)

    async def all_have(self, numbers: set[int], seconds: float = 30) -> None:
        """Wait until each client has these messages, or was told that some may be lost."""
        wanted = [set(each.of(numbers)) for each in self.listeners]
        await self.until(
            lambda: all(each.told or mine <= each.have for mine, each in zip(wanted, self.listeners, strict=True)),
            seconds,
        )

    def faults(self) -> list[str]:
        """Doubles, and clients that got the same messages in another order."""
        found = [
            f"client {place} has doubles"
            for place, each in enumerate(self.listeners)
            if len(set(each.numbers)) != len(each.numbers)
        ]
        # The first one of them gets every message.
        whole = [each for each in self.listeners if not each.told]
        if any(each.numbers != each.of(whole[0].numbers) for each in whole):
            found.append("two clients differ that were told nothing")
        return found

    def summary(self) -> str:
        """What the clients have, for a test that fails."""
        return "; ".join(f"{len(each.numbers)} messages, told {each.told}" for each in self.listeners)

    async def close(self) -> None:
        """End the clients."""
        for each in self.listeners:
            await each.client.stopService()
