"""Clients of several nodes that count what they get, while a test does harm. Nothing in here is a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

from redis_nodes import NodeProgram
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater

from pode_signals.client import Lost, Opened, SignalClient, SignalReceived

__all__ = ["Listener", "Load", "pause"]


def pause(seconds: float) -> Deferred[None]:
    """Fires after a time."""
    return deferLater(reactor, seconds, lambda: None)


class Listener:
    """A client of the Python library that keeps what it is told.

    Attributes:
        numbers: the numbers of the messages that came.
        told: how often it was told that messages may be lost.
        opened: how often it was connected.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.numbers: list[int] = []
        self.told = 0
        self.opened = 0
        # With each attempt it tries the next node.
        turns = cycle(urls)
        self.client = SignalClient(lambda: next(turns), base_seconds=0.1, cap_seconds=1)
        self.client.startService()
        self.listening = ensureDeferred(self._listen())

    async def _listen(self) -> None:
        async for event in self.client:
            if isinstance(event, SignalReceived):
                self.numbers.append(event.data["n"])
            elif isinstance(event, Lost):
                self.told += 1
            elif isinstance(event, Opened):
                self.opened += 1


class Load:
    """Clients of a name at some nodes, and messages that the nodes send.

    Args:
        nodes: the nodes.
        clients: how many clients; each begins at another node.
        path: the route that they connect to.
    """

    def __init__(self, nodes: list[NodeProgram], clients: int, path: str = "/room") -> None:
        self.nodes = nodes
        urls = [f"ws://localhost:{node.port}{path}" for node in nodes]
        self.listeners = [Listener(urls[place % len(urls) :] + urls[: place % len(urls)]) for place in range(clients)]
        self.sent = 0

    async def open(self) -> None:
        """All are connected."""
        for each in self.listeners:
            await each.client.when_open()

    def send(self, each: int, each_ms: int = 5, name: str = "Room", nodes: list[NodeProgram] | None = None) -> None:
        """Have each node send so many messages, one at a time."""
        for node in self.nodes if nodes is None else nodes:
            node.ask(f"/send/{name}/{self.sent}/{each}/{each_ms}")
            self.sent += each

    async def until(self, is_so: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something is so; fails after some seconds."""
        end = reactor.seconds() + seconds
        while not is_so():
            if reactor.seconds() > end:
                raise AssertionError(self.summary())
            await pause(0.1)

    async def all_is_settled(self, nodes: list[NodeProgram] | None = None, seconds: float = 60) -> dict[str, int]:
        """Wait until all that the nodes sent is settled; gives the outcomes."""
        asked = self.nodes if nodes is None else nodes
        found: dict[str, int] = {}

        def settled() -> bool:
            found.clear()
            for node in asked:
                for outcome, number in node.ask("/state")["outcomes"].items():
                    found[outcome] = found.get(outcome, 0) + number
            return sum(found.values()) >= self.sent

        await self.until(settled, seconds)
        return found

    async def all_have(self, numbers: set[int], seconds: float = 30) -> None:
        """Wait until each client has these messages, or was told that some may be lost."""
        await self.until(lambda: all(each.told or numbers <= set(each.numbers) for each in self.listeners), seconds)

    def faults(self) -> list[str]:
        """Doubles, and clients that got the same messages in another order."""
        found = [
            f"client {place} has doubles"
            for place, each in enumerate(self.listeners)
            if len(set(each.numbers)) != len(each.numbers)
        ]
        whole = [each for each in self.listeners if not each.told]
        if any(each.numbers != whole[0].numbers for each in whole):
            found.append("two clients differ that were told nothing")
        return found

    def summary(self) -> str:
        """What the clients have, for a test that fails."""
        return "; ".join(f"{len(each.numbers)} messages, told {each.told}" for each in self.listeners)

    async def close(self) -> None:
        """End the clients."""
        for each in self.listeners:
            await each.client.stopService()
