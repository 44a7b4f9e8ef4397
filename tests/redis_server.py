"""Starts a redis-server of its own for tests, on a free port, in a folder of its own. Nothing in here is a test."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import require
from programs import free_port

__all__ = ["RedisServer", "redis_server"]

_START_SECONDS = 20.0


class RedisServer:
    """A redis-server.

    Args:
        program: the program.
        folder: where it keeps its data and its log.
        options: more of its options, ``--appendonly yes``.

    Attributes:
        port: its port of localhost.
    """

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self._program = program
        self._folder = folder
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """Start it, and wait, bounded, until it answers."""
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        command += ["--save", "", "--logfile", str(self._folder / "log"), *self._options, *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self.ask("PING")[:1] in (b"+", b"-"):
                return
            time.sleep(0.01)
        raise AssertionError(f"redis-server did not start: {(self._folder / 'log').read_text()}")

    def ask(self, *words: str) -> bytes:
        """The answer to a command, as it comes, up to 64 KiB; empty where it does not answer."""
        return self._say(*(word.encode() for word in words))

    def publish(self, channel: str, content: bytes) -> None:
        """Publish anything."""
        self._say(b"PUBLISH", channel.encode(), content)

    def _say(self, *words: bytes) -> bytes:
        command = b"*%d\r\n" % len(words)
        command += b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall(command)
                return connection.recv(65_536)
        except OSError:
            return b""

    def kill(self) -> None:
        """Kill -9."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def pause(self) -> None:
        """Have it do nothing, while its sockets stay open."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it go on."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Stop it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A redis-server that runs. Without the program the test is skipped, or fails where it is required."""
    server = RedisServer(require("redis"), folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.end()
