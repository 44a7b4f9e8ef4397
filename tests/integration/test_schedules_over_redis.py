"""Schedules of several programs that share a Redis, on a clock that runs 60 times as fast, while both are killed.

The clock is the test's: it stands still where a minute would end whose trigger has not run, since nodes that a busy
machine does not let run for a minute would skip it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from redis_server import RedisServer, redis_server

LONG = os.environ.get("PODE_SIGNALS_NODES") == "all"
TRIGGERS = 97 if LONG else 5
NODE_KILLS = 65 if LONG else 1
REDIS_KILLS = 21 if LONG else 1
NODES = 3
STEP_SECONDS = 3.0
PAUSE_SECONDS = STEP_SECONDS / (60 if LONG else 120)

# What a node waits for Redis is scaled as well, though less: a machine does not run 60 times as fast.
PROGRAM = """
import sys
from pathlib import Path
from twisted.internet import reactor, task
from twisted.logger import globalLogBeginner, textFileLogObserver
from pode_signals import RedisBackplane, Signals
from pode_signals.backplane.redis import client, opening

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)])
url, now, runs = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
opening._TRY_SECONDS /= 5
for name in ("_DEADLINE", "_PING", "_SHORTEST_PAUSE", "_PAUSE", "_LONG_PAUSE"):
    setattr(client, name + "_SECONDS", getattr(client, name + "_SECONDS") / 5)

clock = task.Clock()
clock.advance(float(now.read_text()))
signals = Signals(clock=clock, backplane=RedisBackplane(url, key="k" * 32))

@signals.schedule("Minute", cron="* * * * *", once_per_cluster=True, timezone="UTC")
def minute():
    with runs.open("a") as file:
        file.write(f"{clock.seconds() // 60:.0f}\\n")

def look():
    # A second at a time, as often as the schedule asks again.
    for _ in range(int(float(now.read_text()) - clock.seconds())):
        clock.advance(1)

task.LoopingCall(look).start(0.005)
signals.start_backplane()
signals.start_schedules()
reactor.run()
"""


class ScheduleNode:
    """One program."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self._arguments = arguments
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it connects by itself."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """Kill -9."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def is_up(self) -> bool:
        """Whether it has reached Redis; fails where it has ended."""
        assert self._process is not None
        assert self._process.poll() is None, self.text()
        return "backplane: up" in self.text()

    def text(self) -> str:
        """What it has printed."""
        return self._log.read_text(encoding="utf-8")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as running:
        yield running


def test_each_trigger_runs_once(server: RedisServer, tmp_path: Path) -> None:
    """S13.7: under kill -9 of nodes and of Redis, again and again, each trigger runs once in the cluster."""
    random, clock, file = Random(1), FileClock(tmp_path / "now"), tmp_path / "runs"
    file.touch()
    arguments = (server.url, str(clock.file), str(file))
    nodes = [ScheduleNode(*arguments, log=tmp_path / f"node{number}.log") for number in range(NODES)]
    kills = [*["node"] * NODE_KILLS, *["redis"] * REDIS_KILLS]
    random.shuffle(kills)
    try:
        for node in nodes:
            node.start()
        wait_until(lambda: all(node.is_up() for node in nodes), seconds=120)
        first = clock.minute + 1
        for minute in range(first, first + TRIGGERS):
            clock.until(minute)
            left = first + TRIGGERS - minute
            for kill in [kills.pop() for _ in range(-(-len(kills) // left))]:
                clock.seconds_pass(random.uniform(0, 20))
                if kill == "redis":
                    server.kill()
                    clock.seconds_pass(random.uniform(0, 10))
                    server.start()
                else:
                    # A node that is killed in the middle of a run has begun it, and it is not repeated.
                    wait_until(lambda minute=minute: minute in runs(file))
                    node = random.choice(nodes)
                    node.kill()
                    node.start()
            wait_until(lambda minute=minute: minute in runs(file), clock.tick)
        clock.until(first + TRIGGERS)
        wait_until(lambda: first + TRIGGERS in runs(file), clock.tick)
    finally:
        for node in nodes:
            node.kill()
    assert Counter(runs(file)) == Counter(range(first, first + TRIGGERS + 1))
    assert not any("Traceback" in node.text() for node in nodes)


class FileClock:
    """A clock that nodes read in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._seconds = 1_900_000_000 // 60 * 60 + 30.0
        self._show()

    @property
    def minute(self) -> int:
        """The minute that it shows."""
        return int(self._seconds // 60)

    def until(self, minute: int) -> None:
        """Run until a minute begins."""
        while self.minute < minute:
            self.seconds_pass(STEP_SECONDS)

    def seconds_pass(self, seconds: float) -> None:
        """Run for some seconds."""
        end = self._seconds + seconds
        while self._seconds < end:
            self._seconds = min(end, self._seconds + STEP_SECONDS)
            self._show()
            time.sleep(PAUSE_SECONDS)

    def tick(self) -> None:
        """Run a little, though not to the end of this minute."""
        if self._seconds % 60 < 55:
            self.seconds_pass(1.0)

    def _show(self) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(f"{self._seconds}\n", encoding="ascii")
        new.replace(self.file)


def runs(file: Path) -> list[int]:
    """The minutes of the runs so far."""
    return [int(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def wait_until(is_so: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        meanwhile()
        time.sleep(0.005)
