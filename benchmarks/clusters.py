"""Several nodes that share a Redis, with their clients, as processes of ours. It ends only what it started."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from peers import Server
from processes import Failed, Pair, free_port

__all__ = ["OnePort", "TwoNodes"]

_SETTLE_SECONDS = 1.0
_SENDERS = 8


class TwoNodes(Pair):
    """Two nodes: clients that send in turn at the first one, and others at the second. All are in one room.

    Args:
        server: what a node is.
        senders: how many clients are at the first node.
        receivers: how many clients are at the second node.
        work: the folder of what was installed and compiled.

    Raises:
        Failed: it did not start, or not all clients could connect.

    Attributes:
        redis_bytes: what Redis takes for each client.
    """

    def __init__(self, server: Server, senders: int, receivers: int, work: Path) -> None:
        self.redis_bytes = 0.0
        self._senders = senders
        self._folder = tempfile.TemporaryDirectory(prefix="pode_signals-redis-", ignore_cleanup_errors=True)
        self._clocks: dict[str, int] = {}
        super().__init__(server, senders + receivers, work)

    def phase(self, phase: str) -> dict[str, Any]:
        """Run a phase; the answer has the CPU time of each process for a message as well, and messages a second."""
        before = self._cpu_us()
        answer = super().phase(phase)
        spent = {name: us - before[name] for name, us in self._cpu_us().items()}
        # What each message comes to is one delivery to each client that receives.
        messages = answer["units"] / (answer["clients"] - self._senders)
        if not messages:
            raise Failed(f"{phase}: nothing came to the other node")
        answer.update({f"{name}_cpu_us": us / messages for name, us in spent.items()})
        answer["node_cpu_us"] = answer["sender_cpu_us"] + answer["receiver_cpu_us"]
        answer["per_second"] = messages / answer["wall_seconds"]
        return answer

    def stop(self) -> None:
        """End all, clients first, Redis last."""
        super().stop()
        self._folder.cleanup()

    def _start(self, server: Server, clients: int, work: Path) -> None:
        url = self._start_redis(server)
        ports = [free_port(), free_port()]
        sender, receiver = (self._serve(server, port, work, REDIS=url) for port in ports)
        self._clocks.update({"sender": _clock_of(sender), "receiver": _clock_of(receiver)})
        before = self._redis_memory()
        options = ["-q", str(ports[0]), "-p", str(ports[1]), "-s", str(self._senders)]
        # Those who take a connection of Redis for each client that comes have a bound on these.
        options += ["-c", "8"] if server.is_slow else []
        self._generate(server, receiver, clients, work, options)
        # Who has come is told to Redis in batches.
        time.sleep(_SETTLE_SECONDS)
        self.redis_bytes = (self._redis_memory() - before) / clients

    def _start_redis(self, server: Server) -> str:
        self._redis_port = free_port()
        command = ["redis-server", "--port", str(self._redis_port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", self._folder.name, "--loglevel", "warning", *server.redis]
        with self._log_path.open("ab") as log:
            redis = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(redis)
        self._wait_until_it_listens(redis, self._redis_port)
        self._clocks["redis"] = _clock_of(redis)
        return f"redis://127.0.0.1:{self._redis_port}"

    def _cpu_us(self) -> dict[str, float]:
        return {name: time.clock_gettime_ns(clock) / 1_000 for name, clock in self._clocks.items()}

    def _redis_memory(self) -> int:
        with socket.create_connection(("127.0.0.1", self._redis_port), 5) as connection:
            connection.sendall(b"INFO memory\r\n")
            answer = connection.recv(65_536)
        found = answer.partition(b"used_memory:")[2].partition(b"\r\n")[0]
        if not found:
            raise Failed("Redis does not tell its memory")
        return int(found)


class OnePort(TwoNodes):
    """Some nodes that listen at one port, among which the kernel shares the clients.

    Args:
        server: what a node is.
        nodes: how many.
        clients: how many clients connect; the first eight of them send in turn.
        work: the folder of what was installed and compiled.

    Raises:
        Failed: it did not start, or not all clients could connect.
    """

    def __init__(self, server: Server, nodes: int, clients: int, work: Path) -> None:
        self._nodes = nodes
        super().__init__(server, _SENDERS, clients - _SENDERS, work)

    def phase(self, phase: str) -> dict[str, Any]:
        """Run a phase; the answer has the CPU time of nodes and of Redis for a delivery, and deliveries a second."""
        before = self._cpu_us()
        answer = Pair.phase(self, phase)
        spent = {name: us - before[name] for name, us in self._cpu_us().items()}
        answer["redis_cpu_us"] = spent.pop("redis") / answer["units"]
        answer["node_cpu_us"] = sum(spent.values()) / answer["units"]
        answer["per_second"] = answer["units"] / answer["wall_seconds"]
        return answer

    def _start(self, server: Server, clients: int, work: Path) -> None:
        url, port = self._start_redis(server), free_port()
        for number in range(self._nodes):
            # In place of this the command will have an option; the kernel does the same.
            process = self._serve(server, port, work, REDIS=url, REUSE_PORT="1")
            self._clocks[f"node{number}"] = _clock_of(process)
        self._generate(server, process, clients, work, ["-p", str(port), "-s", str(_SENDERS)])


def _clock_of(process: subprocess.Popen[bytes]) -> int:
    """The clock of the CPU time of a process, in nanoseconds and not in ticks as /proc has it.

    As glibc's ``clock_getcpuclockid`` makes it of the process's id: 2 is the clock that the scheduler keeps.
    """
    return ~process.pid << 3 | 2
