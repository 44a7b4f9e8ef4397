"""The client's end of the bad input: a socket, what came out of it, and the running server with its neighbours."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from integration.bad_input.references import RESIDENTS
from web_fakes import TEXT, Answer, Frame, answer_with, head, message

__all__ = ["Server", "Socket", "running"]

TESTS = Path(__file__).parent.parent.parent
LIMIT_SECONDS = 30
NEIGHBOUR_SECONDS = 1
START_SECONDS = 30

LEAK = re.compile(rb"Traceback|Exception|Error\b|\.py\b|site-packages|/usr/|/home/|/tmp/|object at 0x| line \d")
"""What no answer may have: the text of an exception, or a path."""
FAILURE = re.compile(r"Traceback|Unhandled|#error\]|#critical\]")
"""What no line of the log may have."""
UNPRINTABLE = re.compile(r"[^\n\t -~]")


class Socket:
    """A client.

    Attributes:
        seen: all that came.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each piece waits for an answer
        self._unread = b""
        self._was_reset = False
        self.seen = b""

    def send(self, *pieces: bytes, pause_seconds: float = 0) -> Socket:
        """Send, with a pause after each piece; a server that has hung up meanwhile is no error."""
        try:
            for piece in pieces:
                self._socket.sendall(piece)
                time.sleep(pause_seconds)
        except ConnectionResetError:
            self._was_reset = True  # which is told once
        except BrokenPipeError:
            pass
        return self

    def limit(self, seconds: float) -> None:
        """How long to wait for anything, from now on."""
        self._socket.settimeout(seconds)

    def answer(self, *, has_body: bool = True) -> Answer:
        """Read an HTTP answer."""
        self._read_until(b"\r\n\r\n")
        raw_head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        answer = answer_with(raw_head)
        if answer.value("Transfer-Encoding") == "chunked":
            self._read_until(b"0\r\n\r\n")
            chunks, _, self._unread = self._unread.partition(b"0\r\n\r\n")
            return answer._replace(body=chunks.partition(b"\r\n")[2].rpartition(b"\r\n")[0])
        size = int(answer.value("Content-Length") or 0) if has_body and answer.status != 101 else 0
        return answer._replace(body=self._take(size))

    def frame(self) -> Frame:
        """Read a frame."""
        first, size = self._take(2)
        assert size < 128, "a server's frame is masked"
        if size >= 126:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return Frame(first & 15, self._take(size), bool(first & 0x80), first >> 4 & 7)

    def end(self) -> str:
        """Read to the end: ``closes`` or ``aborts``; nothing may be left to read."""
        try:
            assert self._unread == b""
            assert self._receive() == b""
        except ConnectionResetError:
            self._was_reset = True
        return "aborts" if self._was_reset else "closes"

    def close(self) -> None:
        """Close."""
        self._socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._unread) < size:
            assert self._receive(), f"the server closed after {self._unread[:200]!r}"
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken

    def _read_until(self, end: bytes) -> None:
        while end not in self._unread:
            assert self._receive(), f"the server closed after {self._unread[:200]!r}"

    def _receive(self) -> bytes:
        received = self._socket.recv(65_536)
        self._unread += received
        self.seen += received
        return received


class Server:
    """The running server.

    Args:
        process: the process.
        ports: the ports of its hubs by their names.
        log: its log.
    """

    def __init__(self, process: subprocess.Popen[bytes], ports: dict[str, int], log: Path) -> None:
        self._process = process
        self._ports = ports
        self._log = log
        self._neighbours: dict[str, Socket] = {}
        self._residents: dict[str, list[Socket]] = {}
        self._echoes = 0

    def connect(self, hub: str) -> Socket:
        """A new client of a hub."""
        return Socket(self._ports[hub])

    @contextmanager
    def watched(self, *hubs: str) -> Iterator[list[Socket]]:
        """Clients, one for each hub, and afterwards the proof that the server and all others are well.

        The process is alive, a neighbour on each of these hubs gets its echo within a second, the log has no
        traceback and no error, and no client was told the text of an exception or a path.
        """
        for hub in ("main", *hubs):
            self._move_in(hub)
        logged = len(self.log())
        clients = [self.connect(hub) for hub in hubs]
        try:
            yield clients
        finally:
            for client in clients:
                client.close()
        assert self._process.poll() is None, "the server has ended"
        for hub in {"main", *hubs}:
            self._check_neighbour(hub)
        new = self.log()[logged:]
        assert not FAILURE.search(new), new
        for client in clients:
            assert not LEAK.search(client.seen), client.seen[:2_000]

    def log(self) -> str:
        """All that it has logged."""
        return self._log.read_text(encoding="utf-8")

    def counters(self, hub: str) -> dict[str, int]:
        """The counters of bad and of refused messages of a hub."""
        asked = self.connect(hub).send(b"GET /counters HTTP/1.1\r\nHost: example.com\r\n\r\n")
        bad, refused = json.loads(asked.answer().body)
        asked.close()
        return {"bad": bad, "refused": refused}

    def empty(self) -> None:
        """All neighbours leave, so that the server has to wait for nobody."""
        for client in chain(self._neighbours.values(), *self._residents.values()):
            client.close()

    def _move_in(self, hub: str) -> None:
        """The neighbour of a hub, and those who have to be there."""
        if hub in self._neighbours or hub in ("http only", "pinging"):
            return
        special = {"loopback": ("Host", "localhost"), "listed": ("Origin", "https://a.example.org")}
        headers = (special[hub],) if hub in special else ()
        self._neighbours[hub] = self._open(hub, head("/named?name=Msg&client_id=neighbour", *headers))
        queries: Sequence[str] = RESIDENTS.get(hub, ())
        agent = ("User-Agent", "tests")
        self._residents[hub] = [self._open(hub, head(f"/named?{query}", agent)) for query in queries]

    def _open(self, hub: str, request: bytes) -> Socket:
        client = self.connect(hub).send(request)
        answer = client.answer()
        assert answer.status == 101, answer
        return client

    def _check_neighbour(self, hub: str) -> None:
        neighbour = self._neighbours.get(hub)
        if neighbour is not None:
            self._echoes += 1
            neighbour.limit(NEIGHBOUR_SECONDS)
            neighbour.send(message(self._echoes))
            while (got := neighbour.frame()).opcode != TEXT:
                pass  # a ping
            assert json.loads(got.payload) == {"echo": self._echoes}


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Start the server; at the end it has to stop on SIGTERM.

    Args:
        folder: where its log goes.
    """
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "integration.bad_input.server"],
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        server = Server(process, json.loads(line), log)
        yield server
        server.empty()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(START_SECONDS)
        finally:
            process.kill()
            process.stdout.close()
