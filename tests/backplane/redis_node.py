"""Nodes on a real Redis whose clock, and theirs, stand still until a test lets time pass. Nothing here is a test.

Their input and output is done by a reactor that runs only while a test waits, so the tests are plain functions.

A test module of what is in Redis takes the fixtures ``clocked_server`` and ``world`` from here. With the variable
PODE_SIGNALS_REDIS=cluster that Redis is a cluster of three masters.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast
from unittest.mock import patch

import pytest
from backplane.node import ROOM, Node
from conftest import require
from faked_clock import LIBRARY, forget
from redis_cluster import ClusterServer, RedisCluster
from redis_server import RedisServer
from twisted.internet._resolver import HostResolution
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.pollreactor import PollReactor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

from pode_signals.backplane.redis.backplane import RedisBackplane
from pode_signals.backplane.redis.channels import ENVELOPE
from pode_signals.core.history import Position
from pode_signals.core.model import Target

__all__ = ["KEY", "ClockedServer", "Machines", "NodeOnRedis", "World", "clocked_server", "machines", "world"]

T = TypeVar("T")

KEY = "a key that all nodes of these tests have"
_PATIENCE_SECONDS = 20.0
"""How long a test waits, in real time, for what has to come."""
_BEGIN_SECONDS = 1_900_000_000
_WORLDS = count(1)
_IS_CLUSTER = os.environ.get("PODE_SIGNALS_REDIS") == "cluster"
# Tests let hours pass at once, and nobody is dead for that.
_CLUSTER_OPTIONS = ("--cluster-node-timeout", "1000000000")


class ClockedServer(RedisServer):
    """A redis-server whose clock says what a test says.

    Attributes:
        now: what its clock says, in seconds since 1970.
    """

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self._socket = folder / "socket"
        super().__init__(program, folder, "--unixsocket", str(self._socket), *options)
        self._file = folder / "clock"
        self.show(_BEGIN_SECONDS)

    @property
    def url(self) -> str:
        """Where clients find it: a UNIX socket needs no thread that looks for names."""
        return f"unix://{self._socket}"

    def show(self, now: float) -> None:
        """Set its clock."""
        self.now = now
        new = self._file.with_suffix(".new")
        new.write_text(f"{now:.6f}\n", encoding="ascii")
        new.replace(self._file)

    def start(self, *options: str) -> None:
        """Start it with this clock. Its monotonic clock, by which it wakes up, is the machine's."""
        faked = {
            # Debian's Redis is linked to jemalloc, which asks for the time before libfaketime can answer: the allocator
            # of libc has to come first.
            "LD_PRELOAD": f"{LIBRARY} libc.so.6",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_FMT": "%s",
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        with patch.dict(os.environ, faked):
            super().start(*options)

    def pass_on(self) -> None:
        """Have all messages passed on to other masters, of which there are none."""

    def kill(self) -> None:
        """Kill -9."""
        super().kill()
        self._forget()

    def end(self) -> None:
        """Stop it, whatever state it is in."""
        super().end()
        self._forget()

    def _forget(self) -> None:
        if self._process is not None:
            forget(self._process.pid)


class _ClockedNode(ClockedServer, ClusterServer):
    """A node of a cluster with such a clock."""

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        super().__init__(program, folder, *options)
        # Each has a connection that hears what the others have published, and one to publish.
        self.hearing: socket.socket | None = None
        self.saying: socket.socket | None = None


class ClockedCluster(RedisCluster):
    """A cluster whose clocks say what a test says."""

    node = _ClockedNode
    servers: list[_ClockedNode]  # type: ignore[assignment]

    @property
    def now(self) -> float:
        """What the clocks say."""
        return self.servers[0].now

    def show(self, now: float) -> None:
        """Set all clocks."""
        for server in self.servers:
            server.show(now)

    def ask(self, *words: str) -> bytes:
        """The answer of the last master to a command that all of them are given."""
        return [server.ask(*words) for server in self.servers][-1]

    def start(self) -> None:
        """Start three masters, whose clocks go on until they have found each other."""
        self.form()
        for server in self.servers:
            server.hearing, server.saying = (
                socket.create_connection(("127.0.0.1", server.port), _PATIENCE_SECONDS) for _ in range(2)
            )
            server.hearing.sendall(b"SUBSCRIBE passed-on\r\n")
            _read(server.hearing, b":1\r\n", 1)

    def settle(self) -> None:
        """Wait until each node finds that the cluster is well, which it does two seconds after its start."""
        for _ in range(4):
            self.show(self.now + 1)
            time.sleep(0.2)
        super().settle()

    def pass_on(self) -> None:
        """Have all messages passed on to other masters: one that is published behind them has come everywhere."""
        for server in self.servers:
            assert server.saying is not None
            server.saying.sendall(b"PUBLISH passed-on it-is\r\n")
            _read(server.saying, b":1\r\n", 1)
        for server in self.servers:
            assert server.hearing is not None
            _read(server.hearing, b"it-is\r\n", len(self.servers))

    def end(self) -> None:
        """Stop all nodes."""
        for server in self.servers:
            for each in (server.hearing, server.saying):
                if each is not None:
                    each.close()
        super().end()


def _read(connection: socket.socket, what: bytes, times: int) -> None:
    data = b""
    while data.count(what) < times:
        more = connection.recv(65_536)
        assert more, data
        data += more


class _Reactor(Clock):
    """The time of a test, and all else of the reactor that runs."""

    def __init__(self, real: Any) -> None:
        super().__init__()
        self._real = real
        directlyProvides(self, providedBy(real))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def until_next(self) -> float | None:
        """How long it is until the next timer; None without any."""
        times = [call.getTime() for call in self.getDelayedCalls() if call.active()]
        return max(0.0, min(times) - self.seconds()) if times else None


class NodeOnRedis(Node):
    """A node whose time is that of its world.

    Args:
        world: the world.
        settings: arguments of the backplane.
    """

    backplane: RedisBackplane

    def __init__(self, world: World, **settings: Any) -> None:
        self.world = world
        self.reactor = _Reactor(world.reactor)
        self.lives = True
        self.stalls = False
        world.nodes.append(self)
        made = RedisBackplane(
            settings.pop("url", world.server.url),
            **{"key": KEY, "application": world.application, "reactor": self.reactor, **settings},
        )
        # After an outage the nodes come back in an order that a test can rely on.
        made._client._random = Random(len(world.nodes))
        super().__init__(made)
        # What the node asks on its first connect has been answered.
        world.settle()

    def result(self, deferred: Deferred[T]) -> T:
        """What it fires with, which takes real time and none of the test's; what was said until then has come."""
        result = self.world.result(deferred)
        # An answer, and what was published before it, come by two connections.
        self.world.settle()
        return result

    def append(self, data: bytes, target: Target = ROOM) -> Position:
        """Append an entry, which has been delivered then."""
        return self.result(self.backplane.history.append(target, data, None))

    def hears(self, name: str) -> None:
        """Hear of sends to a name, as a node does that has connections of the name."""
        self.result(self.backplane._node.channels.listen(name, ENVELOPE))

    def advance(self, seconds: float) -> None:
        """Let time pass for all nodes and for Redis."""
        self.world.advance(seconds)

    def die(self) -> None:
        """End without a word, as a process that is killed."""
        self.lives = False
        self.backplane._client.stop()
        self.backplane._client.disconnected.clear()

    def stall(self) -> None:
        """Do nothing, while its connections stay open."""
        self.stalls = True
        self._stalls_since = self.world.server.now
        for connection in self._connections():
            connection.transport.pauseProducing()

    def go_on(self) -> None:
        """Go on after a stall: with the timers first, as the reactor does."""
        self.stalls = False
        self.reactor.advance(self.world.server.now - self._stalls_since)
        for connection in self._connections():
            connection.transport.resumeProducing()

    def _connections(self) -> tuple[Any, ...]:
        way = self.backplane._client._way
        return tuple(each for pair in (way.pairs if way else ()) for each in (pair.commands, pair.subscriptions))

    def stop(self) -> None:
        """End as it should be."""
        if self.lives:
            self.result(self.backplane.stop())
            self.lives = False
            assert [call for call in self.reactor.getDelayedCalls() if call.active()] == []


class World:
    """Nodes of one application on one Redis, and their time.

    Args:
        server: the Redis, which runs.

    Attributes:
        application: its name, which no other world has.
        nodes: all nodes that were made in it.
        turns_end: whether turns of nodes end while they talk to Redis; else they do when time passes.
    """

    def __init__(self, server: ClockedServer | ClockedCluster) -> None:
        self.server = server
        self.reactor = _reactor()
        self.application = f"world{next(_WORLDS)}"
        self.nodes: list[NodeOnRedis] = []
        self.turns_end = False

    def node(self, **settings: Any) -> NodeOnRedis:
        """A node that has been started."""
        return NodeOnRedis(self, **settings)

    def result(self, deferred: Deferred[T]) -> T:
        """What a Deferred fires with; its failure is raised."""
        results: list[T | Failure] = []
        deferred.addBoth(results.append)
        end = time.monotonic() + _PATIENCE_SECONDS
        while not results:
            assert time.monotonic() < end, "there is no answer"
            self._turn(0.1)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return cast(T, results[0])

    def advance(self, seconds: float) -> None:
        """Let time pass, from timer to timer; what nodes and Redis say to each other meanwhile has been said."""
        self.settle()
        end = self.server.now + seconds
        while (left := end - self.server.now) > 1e-6:
            next_times = [each.reactor.until_next() for each in self._moving()]
            # Redis sees time pass in steps as well, though it has no timers here.
            self._step(min([left, 1.0, *(time for time in next_times if time is not None)]))
        self._step(0)

    def settle(self) -> None:
        """Have everything said that nodes and Redis have to say to each other without time passing."""
        quiet = 0
        while quiet < 2:
            was_busy = self._is_busy()
            self._turn(0)
            for name in ("commands", "subscriptions"):
                clients = [each.backplane._client for each in self._moving()]
                pairs = [pair for client in clients if client.is_up and client._way for pair in client._way.pairs]
                self.server.pass_on()
                self.result(DeferredList([getattr(pair, name).call("PING") for pair in pairs], consumeErrors=True))
            quiet = 0 if was_busy or self._is_busy() else quiet + 1

    def until(self, is_so: Callable[[], bool], seconds: float = 60.0) -> float:
        """Let time pass until something is so; how long that took. Real time passes a little as well."""
        begin = self.server.now
        while not is_so():
            assert self.server.now - begin < seconds, "it never was so"
            self._step(0.25)
            self.reactor.iterate(0.001)
        return self.server.now - begin

    def end(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            if node.stalls:
                node.go_on()
            if node.lives:
                node.stop()
        # Connections that were dropped are closed in the next turn.
        self.reactor.iterate(0)

    def _turn(self, most_seconds: float) -> None:
        """One turn of the reactor; and of the nodes, where these end."""
        self.reactor.iterate(most_seconds)
        if self.turns_end:
            for each in self._moving():
                each.reactor.advance(0)

    def _step(self, seconds: float) -> None:
        self.server.show(self.server.now + seconds)
        for each in self._moving():
            each.reactor.advance(seconds)
        self.settle()

    def _moving(self) -> Sequence[NodeOnRedis]:
        return [each for each in self.nodes if each.lives and not each.stalls]

    def _is_busy(self) -> bool:
        return any(each.backplane._client.pending_bytes for each in self._moving())


@cache
def _reactor() -> Any:
    reactor = PollReactor()
    reactor.installNameResolver(_Addresses())
    return reactor


@implementer(IHostnameResolver)
class _Addresses:
    """Knows addresses of IPv4 alone, and at once: a reactor that is not started has no threads to look for names."""

    def resolveHostName(self, receiver: Any, host: str, **more: Any) -> Any:
        resolution = HostResolution(host)
        receiver.resolutionBegan(resolution)
        receiver.addressResolved(IPv4Address("TCP", host, more["portNumber"]))
        receiver.resolutionComplete()
        return resolution


@pytest.fixture(scope="module")
def clocked_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClockedServer]:
    """A Redis of a test module, whose clock stands still until a test sets it."""
    program = require("redis")
    require("faketime")
    kind: Any = ClockedCluster if _IS_CLUSTER else ClockedServer
    server = kind(program, tmp_path_factory.mktemp("redis"), *(_CLUSTER_OPTIONS if _IS_CLUSTER else ()))
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture
def world(clocked_server: ClockedServer) -> Iterator[World]:
    """Nodes on that Redis, which have never met those of another test."""
    made = World(clocked_server)
    yield made
    made.end()


class Machines:
    """The server that the machine's nodes share, since a machine takes no fixtures."""

    server: ClockedServer
    world: World | None = None

    @classmethod
    def make(cls) -> NodeOnRedis:
        """A node in a world of its own."""
        cls.end()
        cls.world = World(cls.server)
        return cls.world.node()

    @classmethod
    def end(cls) -> None:
        """End the world of before."""
        if cls.world is not None:
            cls.world.end()
            cls.world = None


@pytest.fixture(autouse=True, scope="module")
def machines(clocked_server: ClockedServer) -> Iterator[None]:
    """For a module with a machine: its nodes are on the Redis of the module."""
    Machines.server = clocked_server
    yield
    Machines.end()
