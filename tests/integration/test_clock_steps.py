"""The machine's clock is set while the server runs and nothing happens: libfaketime shows the server another time."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import require
from faked_clock import LIBRARY, forget
from programs import Program, free_port, start
from web_fakes import CLOSE, frame, head

HALF_A_HEAD = b"GET /msg HTTP/1.1\r\nHost: localhost\r\n"
HALF_A_MESSAGE = frame("{", fin=False)
FIN = 0x80
HOUR = 3_600
# Far from an hour, and far from what a busy machine takes.
IN_TIME_SECONDS = 30


class Shown:
    """The clock that a program sees."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, offset_seconds: int) -> None:
        """Set it, from the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_seconds:+d}\n", encoding="ascii")
        new.replace(self._file)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The wall clock of the programs that the test starts; the clock that is never set is the machine's."""
    require("faketime")
    assert LIBRARY is not None
    clock = Shown(tmp_path / "offset")
    for name, value in {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "offset"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return clock


@contextmanager
def serving(tmp_path: Path, *options: str) -> Iterator[Program]:
    """The example on a free port."""
    port = free_port()
    endpoints = [f"--endpoint={protocol}://localhost:{port}" for protocol in ("http", "ws")]
    program = start(["pode-signals", *endpoints, *options], port, tmp_path / "log", cwd=tmp_path)
    for name in ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE"):
        os.environ.pop(name, None)
    try:
        yield program
    finally:
        program.stop()
        forget(program.process.pid)


@contextmanager
def client(program: Program, *sends: bytes) -> Iterator[socket.socket]:
    """A client that upgrades, unless it sends half a head, and reads no pings."""
    with socket.create_connection(("127.0.0.1", program.port), 10) as wire:
        for data in sends:
            wire.sendall(data)
            if data.endswith(b"\r\n\r\n"):
                assert wire.recv(65_536).startswith(b"HTTP/1.1 101 ")
        yield wire


def has_ended(wire: socket.socket, end: float) -> bool:
    """Whether the server ends a connection until then, or begins to with a close frame."""
    while True:
        wire.settimeout(max(0.01, end - time.monotonic()))
        try:
            data = wire.recv(65_536)
            if not data or has_close_frame(data):
                return True
        except TimeoutError:
            return False
        except ConnectionError:
            return True


def has_close_frame(data: bytes) -> bool:
    """Whether there is one among short frames."""
    at = 0
    while at < len(data) - 1:
        if data[at] == FIN | CLOSE:
            return True
        at += 2 + data[at + 1]
    return False


def kinds(program: Program) -> list[tuple[bytes, ...]]:
    """What clients send who never end something. The one without a whole head is first: the others show it was seen."""
    return [(HALF_A_HEAD,), (upgrade(program), HALF_A_MESSAGE), (upgrade(program),)]


def upgrade(program: Program) -> bytes:
    return head("/msg", ("Host", f"localhost:{program.port}"))


@pytest.mark.parametrize("offset", [-HOUR, HOUR])
def test_who_has_to_go_goes_in_time(tmp_path: Path, shown: Shown, offset: int) -> None:
    """S16.1: the clock is set by an hour on an idle server: who never answers a ping or ends a head goes in time."""
    options = ("--ping-interval-seconds=1", "--pong-timeout-seconds=1", "--handshake-timeout-seconds=1")
    with serving(tmp_path, *options, "--message-timeout-seconds=1") as program, ExitStack() as clients:
        wires = [clients.enter_context(client(program, *sends)) for sends in kinds(program)]
        shown.set(offset)
        end = time.monotonic() + IN_TIME_SECONDS
        assert [has_ended(wire, end) for wire in wires] == [True, True, True]


def test_who_may_stay_stays(tmp_path: Path, shown: Shown) -> None:
    """S16.1: the wall clock is set by hours, forward and back: nobody is closed for it, and new clients get in."""
    with serving(tmp_path) as program, ExitStack() as clients:
        wires = [clients.enter_context(client(program, *sends)) for sends in kinds(program)]
        for offset in (HOUR, -HOUR):
            shown.set(offset)
            end = time.monotonic() + 1.5
            assert [has_ended(wire, end) for wire in wires] == [False, False, False]
        wires[0].sendall(b"Connection: close\r\n\r\n")
        assert has_ended(wires[0], time.monotonic() + IN_TIME_SECONDS)
        with client(program, upgrade(program)):
            pass
