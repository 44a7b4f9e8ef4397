"""Several nodes that write one log while Redis is killed again and again. Nothing in here is a test."""

from __future__ import annotations

from collections.abc import Generator
from random import Random
from typing import Any

from attrs import define, field
from redis_server import RedisServer
from twisted.internet.defer import DeferredList, gatherResults, inlineCallbacks, succeed
from twisted.internet.task import deferLater

from pode_signals.backplane.redis.backplane import RedisBackplane
from pode_signals.core.history import HistoryLimits, LoggedSignal, Position
from pode_signals.core.model import Target
from pode_signals.errors import HistoryUnavailable

__all__ = ["Kills", "KillsNode", "kills"]

KEY = "k" * 32
NAME = "Room"


@define(eq=False)
class KillsNode:
    """A node and all that it was given."""

    backplane: RedisBackplane
    delivered: list[bytes] = field(factory=list)
    positions: list[Position] = field(factory=list)
    breaks: list[Position] = field(factory=list)
    failed: list[tuple[bytes, str]] = field(factory=list)
    written: dict[bytes, Position] = field(factory=dict)

    def deliver(self, signal: LoggedSignal) -> None:
        self.delivered.append(signal.data)
        self.positions.append(signal.position)


@define
class Kills:
    """What came of it."""

    nodes: list[KillsNode]
    sent: int
    kills: int


@inlineCallbacks
def kills(
    reactor: Any, server: RedisServer, *, nodes: int = 3, messages: int, kills: int, pause_seconds: float = 0.0
) -> Generator[Any, Any, Kills]:
    """Have nodes write so many messages, and kill Redis so often meanwhile.

    Args:
        reactor: the reactor.
        server: a Redis that runs and writes each command to its disk before it answers.
        nodes: how many nodes.
        messages: how many messages in all.
        kills: how often Redis is killed and started again.
        pause_seconds: how long Redis is away each time.
    """
    random = Random(1)
    all_nodes = [
        KillsNode(RedisBackplane(server.url, key=KEY, waiting_seconds=120, reactor=reactor)) for _ in range(nodes)
    ]
    for node in all_nodes:
        yield node.backplane.start(lambda _: None, lambda _: None, lambda _: succeed(None), lambda *_: None)
        yield node.backplane.history.follow(
            NAME, HistoryLimits(messages * 2, 2**30, 3_600), node.deliver, node.breaks.append
        )
    at_a_time = 50
    waiting: list[Any] = []
    killed = 0
    for number in range(0, messages, at_a_time):
        for each in range(number, min(number + at_a_time, messages)):
            node = all_nodes[each % nodes]
            data = b"%d" % each
            waiting.append(_written(node, data))
        if killed < kills and number * kills >= killed * messages:
            killed += 1
            yield deferLater(reactor, random.uniform(0, 0.02), lambda: None)
            server.kill()
            yield deferLater(reactor, pause_seconds, lambda: None)
            server.start()
        yield deferLater(reactor, 0, lambda: None)
        if len(waiting) > 2_000:
            yield gatherResults(waiting)
            waiting.clear()
    yield DeferredList(waiting)
    # Everybody gets what is in the log, be it by a look.
    written = sum(len(node.written) for node in all_nodes)
    for _ in range(300):
        if all(len(node.delivered) >= written for node in all_nodes):
            break
        yield deferLater(reactor, 0.1, lambda: None)
    for node in all_nodes:
        yield node.backplane.stop()
    return Kills(all_nodes, messages, killed)


def _written(node: KillsNode, data: bytes) -> Any:
    def failed(failure: Any) -> None:
        failure.trap(HistoryUnavailable)
        node.failed.append((data, failure.value.outcome))

    appended = node.backplane.history.append(Target((NAME,)), data)
    return appended.addCallbacks(lambda position: node.written.__setitem__(data, position), failed)
