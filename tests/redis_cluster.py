"""Starts a Redis Cluster for tests: three masters, each with a third of the slots. Nothing in here is a test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import require
from programs import free_port
from redis_server import RedisServer

__all__ = ["ClusterServer", "RedisCluster", "redis_cluster"]

_MASTERS = 3
_SLOTS = 16_384
_PATIENCE_SECONDS = 30.0


class ClusterServer(RedisServer):
    """One node of a cluster; see :class:`RedisServer`.

    Attributes:
        bus_port: where the other nodes find it.
    """

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        # The usual place, 10,000 above, may be beyond the last port.
        self.bus_port = free_port()
        cluster = ("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port), "--repl-diskless-sync-delay", "0")
        super().__init__(program, folder, *cluster, *options)

    @property
    def id(self) -> str:
        """What the other nodes call it."""
        return self.say("CLUSTER", "MYID")

    def say(self, *words: str) -> str:
        """The answer to a command; an error is a failure."""
        answer = self.ask(*words).decode()
        assert answer[:1] in "+$:*", (words, answer)
        return answer.split("\r\n")[1] if answer[0] == "$" else answer[1:].strip()

    def meet(self, other: ClusterServer) -> None:
        """Get to know another node."""
        self.say("CLUSTER", "MEET", "127.0.0.1", str(other.port), str(other.bus_port))


class RedisCluster:
    """A cluster.

    Args:
        program: redis-server.
        folder: where its nodes keep their data.
        options: more options of each node.

    Attributes:
        servers: its nodes.
    """

    node: type[ClusterServer] = ClusterServer

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self._program = program
        self._folder = folder
        self._options = options
        self.servers: list[ClusterServer] = []

    def form(self) -> None:
        """Start three masters, and make a cluster of them."""
        for _ in range(_MASTERS):
            self.add()
        first = self.servers[0]
        for index, server in enumerate(self.servers):
            begin, end = (_SLOTS * each // _MASTERS for each in (index, index + 1))
            server.say("CLUSTER", "ADDSLOTSRANGE", str(begin), str(end - 1))
            server.say("CLUSTER", "SET-CONFIG-EPOCH", str(index + 1))
            if server is not first:
                server.meet(first)
        self.settle()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{server.port}' for server in self.servers)}"

    def add(self) -> ClusterServer:
        """Start one more node, which knows no other."""
        number = len(self.servers)
        folder = self._folder / f"node{number}"
        folder.mkdir()
        server = self.node(self._program, folder, *self._options)
        self.servers.append(server)
        server.start()
        return server

    def add_replica(self, master: ClusterServer) -> ClusterServer:
        """Start a replica of a master, and wait until it has all that the master has."""
        replica, of = self.add(), master.id
        replica.meet(master)
        _wait(lambda: of.encode() in replica.ask("CLUSTER", "NODES"))
        _wait(lambda: replica.ask("CLUSTER", "REPLICATE", of) == b"+OK\r\n")
        _wait(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
        self.settle()
        return replica

    def settle(self) -> None:
        """Wait until each node finds that the cluster is well."""
        well = {"cluster_state:ok", f"cluster_known_nodes:{len(self.servers)}"}
        for server in self.servers:
            _wait(lambda server=server: well <= {*server.ask("CLUSTER", "INFO").decode().split("\r\n")})

    def owner(self, key: str) -> ClusterServer:
        """The master that has a key."""
        return next(server for server in self.servers if server.ask("EXISTS", key)[:1] == b":")

    def end(self) -> None:
        """Stop all nodes."""
        for server in self.servers:
            server.end()


def _wait(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.02)


@contextmanager
def redis_cluster(folder: Path, *options: str) -> Iterator[RedisCluster]:
    """A cluster that runs. Without the program the test is skipped, or fails where it is required."""
    cluster = RedisCluster(require("redis"), folder, *options)
    try:
        cluster.form()
        yield cluster
    finally:
        cluster.end()
