"""Nodes of one application as programs, which share a Redis that a test starts. Nothing in here is a test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from programs import free_port
from redis_server import RedisServer

__all__ = ["NodeProgram", "node_programs"]

KEY = "the key that the nodes of this test have in common"
PROGRAM = """
import json, sys
from klein import Klein
from twisted.internet import defer, reactor, task
from twisted.logger import globalLogBeginner, textFileLogObserver
from pode_signals.errors import BackplaneUnavailable
from pode_signals import Endpoint, RedisBackplane, Signals, SignalsService

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)])
port, url, key, waiting = int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
app, backplane = Klein(), RedisBackplane(url, key=key, waiting_seconds=waiting)
signals = Signals(backplane=backplane, ping_interval_seconds=5, presence_grace_seconds=2)
signals.keep_history("Room", messages=100_000, max_bytes=2**28, seconds=3_600)
signals.share_presence("Room")
outcomes = {"written": 0, "refused": 0, "unknown": 0}

@app.route("/room")
def room(request):
    signals.convert(request, name="Room", group=[each.decode() for each in request.args.get(b"group", [])])

@app.route("/live")
def live(request):
    signals.convert(request, name="Live")

@app.route("/send/<name>/<int:first>/<int:count>/<int:each_ms>")
def send(request, name, first, count, each_ms):
    numbers = iter(range(first, first + count))
    groups = int(request.args.get(b"groups", [b"0"])[0])

    def one():
        number = next(numbers, None)
        if number is None:
            loop.stop()
        else:
            group = ["every", f"g{number % groups}"] if groups else None
            defer.ensureDeferred(waited(signals.send({"n": number}, name=name, group=group)))

    loop = task.LoopingCall(one)
    loop.start(each_ms / 1_000)
    return b"{}"

async def waited(sent):
    try:
        await sent
        outcomes["written"] += 1
    except Exception as error:
        outcomes[getattr(error, "outcome", "refused")] += 1

@app.route("/state")
def state(request):
    return json.dumps({
        "state": signals.insight.backplane_state, "counters": backplane.counters, "outcomes": outcomes,
        "node": backplane.node, "count": [signals.count("Room"), signals.count("Live")],
    }).encode()

@app.route("/members")
async def members(request):
    try:
        members = await signals.presence("Room")
    except BackplaneUnavailable:
        return b"null"
    return json.dumps(sorted(each.client_id for each in members)).encode()

service = SignalsService(signals, app.resource(), [Endpoint("http", port=port), Endpoint("ws", port=port)])
service.startService()
reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
reactor.run()
"""


class NodeProgram:
    """One node.

    Args:
        url: where it finds Redis.
        log: the file for what it prints.
        waiting_seconds: how long its messages wait for Redis.

    Attributes:
        port: its port of localhost.
    """

    def __init__(self, url: str, log: Path, waiting_seconds: float = 60) -> None:
        self._url = url
        self._log = log
        self._waiting_seconds = waiting_seconds
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait, bounded, until it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.port), self._url, KEY, str(self._waiting_seconds)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ,
            )
        end = time.monotonic() + 30
        while time.monotonic() < end and self._process.poll() is None:
            try:
                self.ask("/state")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"the node did not start:\n{self.text()}")

    def ask(self, path: str) -> Any:
        """The answer of one of its pages."""
        with urllib.request.urlopen(f"http://localhost:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def text(self) -> str:
        """What it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def room(self) -> str:
        """Where clients connect that get the name with a history."""
        return f"ws://localhost:{self.port}/room"

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, and wait for its end where the signal ends it."""
        assert self._process is not None
        self._process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._process.wait(30)

    def end(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()


@contextmanager
def node_programs(server: RedisServer, folder: Path, count: int = 3, **options: Any) -> Iterator[list[NodeProgram]]:
    """Some nodes, which run."""
    nodes = [NodeProgram(server.url, folder / f"node{number}.log", **options) for number in range(count)]
    try:
        for node in nodes:
            node.start()
        yield nodes
    finally:
        for node in nodes:
            node.end()
