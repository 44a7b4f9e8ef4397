"""Runs a program of this project as users do: ``twistd -n pode-signals …`` in a process of its own, on a free port."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"
START_SECONDS = 30
_PORTS = range(20_000, 32_000)
# Twisted ends by the signal that stopped it, so nothing runs at exit: what coverage measured is written before that.
# And a shell has what it starts in the background ignore SIGINT, which Twisted leaves so.
_MEASURED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
if "coverage" in sys.modules:
    kill = os.kill
    os.kill = lambda *what: (sys.modules["coverage"].Coverage.current().save(), kill(*what))
"""
TWISTD = f"{_MEASURED}\nfrom twisted.scripts.twistd import run; run()"
TWIST = f"{_MEASURED}\nfrom twisted.application.twist._twist import Twist; Twist.main()"


@dataclass
class Program:
    """A running program.

    Attributes:
        port: the port of localhost that it serves.
        process: the process.
        log: the file that has its standard output and error.
    """

    port: int
    process: subprocess.Popen[bytes] = field(repr=False)
    log: Path

    def text(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self, seconds: float = 40) -> int:
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def free_port() -> int:
    """A port that nobody listens on.

    It is below those that the system gives to whoever asks for any port, as each client does: between this call and the
    start of a program one of these might be taken.
    """
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port


def start(
    arguments: Sequence[str],
    port: int,
    log: Path,
    *,
    cwd: Path = EXAMPLES,
    environment: Mapping[str, str] | None = None,
) -> Program:
    """Start twistd with arguments and wait, bounded, until its reactor runs and the port answers.

    Args:
        arguments: the arguments.
        port: the port.
        log: where its output goes.
        cwd: where it runs.
        environment: what it finds in its environment beside what is there anyway.

    Raises:
        AssertionError: it ended, or did not answer in time; the message has what it printed.
    """
    command = [sys.executable, "-c", TWISTD, "-n", "--pidfile=", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    program = Program(port, process, log)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), START_SECONDS) as connected:
                # The kernel accepts for a program whose reactor does not run yet, and which a signal would end at once.
                # The reactor alone closes a connection whose client has nothing more to say.
                connected.shutdown(socket.SHUT_WR)
                connected.recv(1)
            return program
        except OSError:
            time.sleep(0.05)
    process.kill()
    process.wait()
    raise AssertionError(f"{' '.join(arguments)} did not start:\n{program.text()}")


@contextmanager
def running(
    app: str | None,
    tmp_path: Path,
    *options: str,
    protocols: Sequence[str] = ("http", "ws"),
    own_endpoints: str = "",
    all_endpoints: str = "",
    cwd: Path = EXAMPLES,
    environment: Mapping[str, str] | None = None,
    tracebacks: bool = False,
) -> Iterator[Program]:
    """``twistd -n pode-signals``, with ``--app`` unless that is None, on a free port of localhost.

    At the end it has to stop on SIGTERM, and must not have printed a traceback.

    Args:
        app: the ``--app``.
        tmp_path: where its log goes.
        options: further options.
        protocols: those of its two endpoints.
        own_endpoints: the options of the second endpoint, ``?auto_upgrade=yes``.
        all_endpoints: options of both.
        cwd: where it runs.
        environment: what it finds in its environment beside what is there anyway.
        tracebacks: whether it may print tracebacks: of functions that raise on purpose.
    """
    port = free_port()
    endpoints = [f"--endpoint={protocol}://localhost:{port}{all_endpoints}" for protocol in protocols]
    endpoints[-1] += own_endpoints
    chosen = [] if app is None else ["--app", app]
    program = start(
        ["pode-signals", *chosen, *endpoints, *options], port, tmp_path / "twistd.log", cwd=cwd, environment=environment
    )
    try:
        yield program
    finally:
        status = program.stop()
    assert status == -signal.SIGTERM, program.text()
    assert tracebacks or "Traceback" not in program.text(), program.text()
