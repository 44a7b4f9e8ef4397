"""How long a live message takes to the clients of its own node while Redis is well, stands still, or is away.

Rounds of all three follow each other in one run, since the speed of a machine changes from minute to minute, and what
counts is the ratio within a round. Redis stands still by SIGSTOP, with what was sent to it waiting; it is away by
SIGKILL, so that the node tries to connect again and again. Needs redis-server; all sockets are on this machine.

usage: python benchmarks/ill_redis.py [--clients 20] [--rounds 10] [--messages 1000] [--each-ms 3]
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import suppress

from storm import Connected, ask, connect, frame_of, serving

SERVER = """
import json, sys, time
from klein import Klein
from pode_signals import Endpoint, RedisBackplane, Signals, SignalsService
from twisted.internet import reactor, task

app = Klein()
signals = Signals(ping_interval_seconds=1_000, backplane=RedisBackplane({url!r}, key="k" * 32))

@app.route("/room")
def room(request):
    signals.convert(request, name="Room")

@app.route("/up")
def up(request):
    return json.dumps([signals.insight.backplane_state == "up"]).encode()

@app.route("/send/<int:count>/<int:each_ms>")
def send(request, count, each_ms):
    left = iter(range(count))

    def one():
        if next(left, None) is None:
            loop.stop()
        else:
            signals.send({{"type": "time", "at": time.monotonic_ns()}}, name="Room")

    loop = task.LoopingCall(one)
    loop.start(each_ms / 1_000)
    return b"[]"

port = int(sys.argv[1])
SignalsService(signals, app.resource(), [Endpoint("http", port=port), Endpoint("ws", port=port)]).startService()
reactor.run()
"""
STATES = ("well", "stands still", "away")


class Redis:
    """A redis-server on a free port.

    Args:
        folder: where it works.
    """

    def __init__(self, folder: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}"
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Start it; it answers soon."""
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit("redis-server is not installed")
        command = [program, "--port", str(self._port), "--dir", self._folder, "--save", "", "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def fall_ill(self, state: str) -> None:
        """Stand still, or end."""
        if state == "stands still":
            self._process.send_signal(signal.SIGSTOP)
        elif state == "away":
            self.end()

    def recover(self, state: str) -> None:
        """Go on, or start again."""
        if state == "stands still":
            self._process.send_signal(signal.SIGCONT)
        elif state == "away":
            self.start()

    def end(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.wait()


async def delays_of(client: Connected, count: int) -> list[float]:
    """The microseconds that each of the next messages takes to a client."""
    found: list[float] = []
    while len(found) < count:
        frame = await frame_of(client.reader)
        found.append((time.monotonic_ns() - frame["at"]) / 1e3)
    return found


async def is_up(port: int) -> None:
    """Wait, bounded, until the node runs and has Redis."""
    for _ in range(600):
        with suppress(OSError):
            if (await ask(port, "/up"))[0]:
                return
        await asyncio.sleep(0.1)
    raise RuntimeError("the node does not find Redis")


async def measure(redis: Redis, port: int, given: argparse.Namespace) -> None:
    """Print the 50th and 99th percentiles of each round, and the ratios of all."""
    await is_up(port)
    clients = [await connect(port, asyncio.Semaphore(1), "") for _ in range(given.clients)]
    rounds: list[dict[str, list[float]]] = []
    for number in range(-1, given.rounds):
        found: dict[str, list[float]] = {}
        # Not always in one order: what comes first in a round must not always be first.
        for state in (*STATES, *reversed(STATES)):
            redis.fall_ill(state)
            await ask(port, f"/send/{given.messages // 2}/{given.each_ms}")
            delays = await asyncio.gather(*(delays_of(each, given.messages // 2) for each in clients))
            found.setdefault(state, []).extend(delay for each in delays for delay in each)
            redis.recover(state)
            await is_up(port)
        if number >= 0:
            rounds.append(found)
            print(
                f"round {number + 1}: {'; '.join(f'{state} {text_of(found[state])}' for state in STATES)}", flush=True
            )
    for state in STATES[1:]:
        for percentile in (50, 99):
            ratios = [at(each[state], percentile) / at(each["well"], percentile) for each in rounds]
            lower, middle, upper = statistics.quantiles(ratios, n=4)
            print(f"{state}, p{percentile}: {middle:.2f} [{lower:.2f} to {upper:.2f}] as long as while it is well")


def at(delays: list[float], percentile: int) -> float:
    """A percentile."""
    return statistics.quantiles(delays, n=100)[percentile - 1]


def text_of(delays: list[float]) -> str:
    """What a round comes to."""
    return f"p50 {at(delays, 50):.0f} us, p99 {at(delays, 99):.0f} us"


def main() -> None:
    """Start Redis and a node, and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--messages", type=int, default=1_000)
    parser.add_argument("--each-ms", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(folder)
        try:
            with serving(SERVER.format(url=redis.url)) as port:
                asyncio.run(measure(redis, port, given))
        finally:
            redis.recover("stands still")
            redis.end()


if __name__ == "__main__":
    main()
