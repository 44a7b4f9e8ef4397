"""Several processes of the command on one port: by SO_REUSEPORT, and with the sockets that systemd holds."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from conftest import require
from pages import ROOT
from programs import TWISTD, Program, free_port

from pode_signals.ports.shared_ports import share

SECONDS = 30
SYSTEMD = ROOT / "deploy" / "systemd"
HOST = "chat.example.com"
PROGRAM = """
import os
from klein import Klein
from pode_signals import Signals, SignalsService

app = Klein()
signals = Signals(handshake_timeout_seconds=300)

@app.route("/who")
def who(request):
    signals.convert(request, name="Who").send(f"<{os.getpid()}>")

def service():
    return SignalsService(signals, app.resource(), [])
"""
# What systemd does for a process: the socket is its descriptor 3, blocking or not, and its environment says so.
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_blocking(3, sys.argv[2] != "yes")
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=sys.argv[3])
os.execv(sys.executable, [sys.executable, *sys.argv[4:]])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the program."""
    (tmp_path / "chat.py").write_text(PROGRAM)
    return tmp_path


@contextmanager
def processes(commands: list[list[str]], folder: Path, pass_fds: tuple[int, ...] = ()) -> Iterator[list[Program]]:
    """Processes of the program, which listen; they are killed at the end, should they still run."""
    running: list[Program] = []
    try:
        for command in commands:
            log = folder / f"{len(list(folder.glob('*.log')))}.log"
            with log.open("wb") as output:
                started = subprocess.Popen(
                    command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=pass_fds
                )
            running.append(Program(0, started, log))
        for each in running:
            wait_until(lambda each=each: "listening: " in each.text() or each.process.poll() is not None)
            assert each.process.poll() is None, each.text()
        yield running
        assert not any("Traceback" in each.text() for each in running), [each.text() for each in running]
    finally:
        for each in running:
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()


def sharing(plain: int, secure: int, folder: Path) -> list[str]:
    """The command of a process that shares a port without TLS and one with TLS."""
    endpoints = [f"{each}://127.0.0.1:{plain}" for each in ("http", "ws")]
    endpoints += [f"{each}://127.0.0.1:{secure}" for each in ("https", "wss")]
    options = ["--app=chat:service", "--reuse-port", "--self-signed", "--drain-seconds=5"]
    options += [f"--endpoint={each}" for each in endpoints]
    return [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "pode-signals", *options]


def handshake(port: int, host: str = "127.0.0.1", *, secure: bool = False) -> socket.socket:
    """A connection with a request for a WebSocket on its way."""
    client = socket.create_connection(("127.0.0.1", port), SECONDS)
    if secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = context.wrap_socket(client)
    client.sendall(
        f"GET /who HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return client


def who(client: socket.socket) -> int | str:
    """The number of the process that took a handshake; or what is wrong."""
    received = b""
    with client:
        while b">" not in received:
            try:
                data = client.recv(4_096)
            except OSError as error:
                return repr(error)
            if not data:
                return received.decode(errors="replace") or "closed without an answer"
            received += data
    return int(received.partition(b"<")[2].partition(b">")[0])


@contextmanager
def busy(*connects: Callable[[], socket.socket]) -> Iterator[list[int | str]]:
    """Two clients for each way to connect, which connect again and again; gives who answered, and what was wrong."""
    answers: list[int | str] = []
    over = Event()

    def connect_on(connect: Callable[[], socket.socket]) -> None:
        while not over.is_set():
            try:
                answers.append(who(connect()))
            except OSError as error:
                answers.append(repr(error))

    with ThreadPoolExecutor() as threads:
        running = [threads.submit(connect_on, connect) for connect in (*connects, *connects)]
        try:
            yield answers
        finally:
            over.set()
    for each in running:
        each.result()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait, bounded, until something is so."""
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_processes_share_their_ports(folder: Path) -> None:
    """S1.7: two processes with ``--reuse-port`` both get clients, with TLS and without; when one stops the other takes
    all that come, and no handshake is without an answer.
    """
    plain, secure = free_port(), free_port()
    with processes([sharing(plain, secure, folder)] * 2, folder) as (one, other):
        pids = {one.process.pid, other.process.pid}
        with busy(lambda: handshake(plain), lambda: handshake(secure, secure=True)) as answers:
            wait_until(lambda: set(answers) >= pids)
            assert one.stop() == -signal.SIGTERM
            seen = len(answers)
            wait_until(lambda: len(answers) > seen + 50)
        assert set(answers) == pids
        # Four answers may have been on their way when the process ended.
        assert set(answers[seen + 4 :]) == {other.process.pid}


def test_a_port_that_is_shared_by_others(folder: Path) -> None:
    """S12.1: a process without ``--reuse-port`` ends with one line and status 1, where others share the port."""
    with socket.socket() as other:
        share(other)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command = ["-n", "--pidfile=", "pode-signals", "--app=chat:service", f"--endpoint=http://127.0.0.1:{port}"]
        done = subprocess.run(
            [sys.executable, "-c", TWISTD, *command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"Couldn't listen on 127.0.0.1:{port}: [Errno 98] Address already in use" in done.stderr


def unit(name: str) -> ConfigParser:
    """A unit of systemd; of a key that it has several times the last value counts."""
    parsed = ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read(SYSTEMD / name, encoding="utf-8")
    return parsed


@pytest.fixture
def held(folder: Path) -> Iterator[tuple[socket.socket, list[str]]]:
    """The socket of chat.socket on a free port, and the command of chat@.service for a process that gets it."""
    service, name = unit("chat@.service")["Service"], unit("chat.socket")["Socket"]["FileDescriptorName"]
    shutil.copy(SYSTEMD / "chat.toml", folder)
    (folder / "secret").write_text("a secret that is quite long enough")
    _, *arguments = shlex.split(service["ExecStart"].replace("%d", str(folder)).replace("/etc/chat", str(folder)))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        launcher = [sys.executable, "-c", AS_SYSTEMD, str(listening.fileno()), service["NonBlocking"], name]
        yield listening, [*launcher, "-c", TWISTD, *arguments]


def test_the_socket_of_systemd(folder: Path, held: tuple[socket.socket, list[str]]) -> None:
    """S1.7: with the units of deploy/systemd a client that comes while no process runs waits for the next one, and
    while one of two processes stops all clients are answered.
    """
    listening, command = held
    port = listening.getsockname()[1]
    handed = (listening.fileno(),)
    with processes([command], folder, handed) as (first,):
        assert who(handshake(port, HOST)) == first.process.pid
        assert first.stop() == -signal.SIGTERM
    waiting = handshake(port, HOST)
    with processes([command] * 2, folder, handed) as (one, other):
        pids = {one.process.pid, other.process.pid}
        assert who(waiting) in pids
        with busy(lambda: handshake(port, HOST)) as answers:
            wait_until(lambda: set(answers) >= pids)
            assert one.stop() == -signal.SIGTERM
            seen = len(answers)
            wait_until(lambda: len(answers) > seen + 50)
        assert set(answers) == pids
        assert set(answers[seen + 2 :]) == {other.process.pid}


def test_the_units_are_right(tmp_path: Path) -> None:
    """S1.7: systemd finds no mistake in the units; each process gets the socket, and stops later than its clients."""
    service, port = unit("chat@.service")["Service"], unit("chat.socket")["Socket"]
    assert service["Sockets"] == "chat.socket"
    # Else a process that accepts on the common socket blocks, from the start of another one on.
    assert service["NonBlocking"] == "yes"
    assert port["Service"] == "chat@1.service"
    assert int(service["TimeoutStopSec"]) > 30
    analyze = require("systemd")
    for name in ("chat.socket", "chat@.service"):
        text = (SYSTEMD / name).read_text(encoding="utf-8").replace("/srv/chat/.venv/bin/twistd", sys.executable)
        (tmp_path / name).write_text(text)
    (tmp_path / "chat@.service").rename(tmp_path / "chat@1.service")
    verified = subprocess.run(
        [analyze, "verify", "--man=no", tmp_path / "chat.socket", tmp_path / "chat@1.service"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        check=False,
    )
    # It looks at units that these need as well, which are the machine's.
    assert [line for line in verified.stderr.splitlines() if "chat" in line] == []


def test_the_page_shows_lines_of_the_unit() -> None:
    """S1.7: what docs/running.md says of a unit for one process is in the unit for several, too."""
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    shown = ConfigParser(interpolation=None, delimiters=("=",))
    shown.optionxform = str  # type: ignore[assignment, method-assign]
    shown.read_string(page.partition("```ini\n")[2].partition("```")[0])
    service = unit("chat@.service")["Service"]
    differing = {key for key, value in shown["Service"].items() if service.get(key) != value}
    assert differing == {"ExecStart", "LoadCredential"}
