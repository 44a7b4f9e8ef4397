"""The reactor of ``twistd --reactor=lean``: it serves, and an event that fails ends as with Twisted's own."""

from __future__ import annotations

import importlib
import json
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from programs import free_port, start
from twisted.internet import epollreactor
from twisted.internet.error import ConnectionDone, ConnectionFdescWentAway
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from pode_signals import lean_reactor
from pode_signals.lean_reactor import LeanReactor


class Recorder(Protocol):
    """Keeps what it gets, or raises it."""

    def __init__(self, *, raises: Exception | None = None, lost_raises: Exception | None = None) -> None:
        self.got: list[bytes] = []
        self.ends: list[BaseException] = []
        self._raises, self._lost_raises = raises, lost_raises

    def dataReceived(self, data: bytes) -> None:
        if self._raises is not None:
            raise self._raises
        self.got.append(data)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.ends.append(reason.value)
        if self._lost_raises is not None:
            raise self._lost_raises


class Room:
    """A reactor that nobody runs, and both ends of its connections."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._sockets: list[socket.socket] = []

    def connect(self, protocol: Protocol) -> tuple[Connection, socket.socket]:
        """A connection of the reactor and the client's end."""
        server, client = socket.socketpair()
        self._sockets += [server, client]
        connection: Any = Connection(server, protocol, self.reactor)
        connection.connected = 1
        protocol.makeConnection(connection)
        connection.startReading()
        return connection, client

    def clean(self) -> None:
        """Leave no descriptor behind."""
        self.reactor.removeAll()
        for each in tuple(self.reactor._internalReaders):
            self.reactor.removeReader(each)
            each.connectionLost(None)
        self.reactor._poller.close()
        for each in self._sockets:
            each.close()


@pytest.fixture(params=[LeanReactor, epollreactor.EPollReactor])
def room(request: pytest.FixtureRequest) -> Iterator[Room]:
    """A room of the lean reactor, and one of Twisted's: both have to do the same."""
    made = Room(request.param())
    yield made
    made.clean()


def failures(logged: Any) -> list[BaseException]:
    """What Twisted's older logger got as failures."""
    return [event["failure"].value for event in logged if event.get("isError")]


def test_reads(room: Room) -> None:
    """S16.8: data is read, and the end of a connection that sent its last is noticed."""
    recorder = Recorder()
    _, client = room.connect(recorder)
    client.sendall(b"one")
    room.reactor.doIteration(0)
    client.sendall(b"two")
    client.shutdown(socket.SHUT_WR)
    for _ in range(3):
        room.reactor.doIteration(0)
    assert b"".join(recorder.got) == b"onetwo"
    assert [type(each) for each in recorder.ends] == [ConnectionDone]
    assert room.reactor.getReaders() == list(room.reactor._internalReaders)


def test_writes(room: Room) -> None:
    """S16.8: what could not be written at once is written when the client reads."""
    connection, client = room.connect(Recorder())
    connection.write(b"x" * 1_000_000)
    got = 0
    client.setblocking(False)
    for _ in range(1_000):
        room.reactor.doIteration(0)
        try:
            got += len(client.recv(65_536))
        except BlockingIOError:
            continue
        if got == 1_000_000:
            break
    assert got == 1_000_000
    room.reactor.doIteration(0)
    assert room.reactor.getWriters() == []


def test_an_exception_ends_its_own_connection_alone(room: Room) -> None:
    """S16.8: what dataReceived raises is logged once and ends that connection; the next one is read all the same."""
    error = ValueError("bad")
    bad, good = Recorder(raises=error), Recorder()
    (_, to_bad), (_, to_good) = room.connect(bad), room.connect(good)
    to_bad.sendall(b"x")
    to_good.sendall(b"y")
    with capturedLogs() as logged:
        room.reactor.doIteration(0)
    assert failures(logged) == [error]
    assert (bad.ends, good.got, good.ends) == ([error], [b"y"], [])
    assert to_bad.recv(1) == b""


def test_an_exception_at_the_end_stops_nobody(room: Room) -> None:
    """S16.8: what connectionLost raises is logged, and the events behind it are handled in the same round."""
    raised, at_end = ValueError("bad"), ValueError("worse")
    bad, good = Recorder(raises=raised, lost_raises=at_end), Recorder()
    (_, to_bad), (_, to_good) = room.connect(bad), room.connect(good)
    to_bad.sendall(b"x")
    to_good.sendall(b"y")
    with capturedLogs() as logged:
        room.reactor.doIteration(0)
    assert failures(logged) == [raised, at_end]
    assert good.got == [b"y"]


def test_ctrl_c_at_the_end_of_a_connection_gets_through(room: Room) -> None:
    """S12.1: a KeyboardInterrupt is nothing to log and go on."""
    bad = Recorder(raises=ValueError("bad"), lost_raises=KeyboardInterrupt())  # type: ignore[arg-type]
    _, to_bad = room.connect(bad)
    to_bad.sendall(b"x")
    with capturedLogs(), pytest.raises(KeyboardInterrupt):
        room.reactor.doIteration(0)


def test_a_descriptor_that_went_away(room: Room) -> None:
    """S16.8: a descriptor that says it has none is ended, not read."""
    recorder = Recorder()
    connection, client = room.connect(recorder)
    client.sendall(b"x")
    number = connection.fileno()
    connection.fileno = lambda: -1  # type: ignore[method-assign]
    room.reactor.doIteration(0)
    assert recorder.got == []
    assert [type(each) for each in recorder.ends] == [ConnectionFdescWentAway]
    assert number not in room.reactor._selectables


def test_a_connection_that_another_event_ended(room: Room) -> None:
    """S16.8: of two that are readable, the first ends the second, which is not read any more."""
    ended: list[Recorder] = []

    class Ending(Recorder):
        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            for connection, recorder in connections:
                if recorder is not self and not ended:
                    ended.append(recorder)
                    connection.stopReading()

    connections = [(room.connect(recorder), recorder) for recorder in (Ending(), Ending())]
    clients = [client for (_, client), _ in connections]
    connections = [(connection, recorder) for (connection, _), recorder in connections]  # type: ignore[misc]
    for client in clients:
        client.sendall(b"x")
    room.reactor.doIteration(0)
    assert [recorder.got for recorder in ended] == [[]]


def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What ``install`` installs, not installed."""
    found: list[Any] = []
    monkeypatch.setattr(lean_reactor, "installReactor", found.append)
    lean_reactor.install()
    Room(found[0]).clean()
    return found[0]


def test_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """S12.1: the lean reactor is what is installed."""
    assert type(installed(monkeypatch)) is LeanReactor


@pytest.mark.parametrize("name", ["_selectables", "_poller", "_doReadOrWrite"])
def test_where_twisted_is_not_as_known(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """S12.1: where an attribute is missing that it takes, Twisted's own reactor is installed, and a line says so."""

    class Different(LeanReactor):
        def __getattribute__(self, asked: str) -> Any:
            if asked == name and "_is_checked" in super().__getattribute__("__dict__"):
                raise AttributeError(name)
            return super().__getattribute__(asked)

        def __init__(self) -> None:
            super().__init__()
            made.append(self)
            self._is_checked = True

    made: list[Any] = []
    monkeypatch.setattr(lean_reactor, "LeanReactor", Different)
    with capturedLogs() as logged:
        assert type(installed(monkeypatch)) is epollreactor.EPollReactor
    assert [event["log_level"].name for event in logged] == ["warn"]
    for each in made:
        del each._is_checked
        Room(each).clean()


def test_an_interrupted_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """S12.1: a signal that ends the waiting is no event."""

    class Interrupted:
        def poll(self, *_args: Any) -> None:
            raise InterruptedError

    room = Room(LeanReactor())
    poller, room.reactor._poller = room.reactor._poller, Interrupted()
    room.reactor.doIteration(0)
    room.reactor._poller = poller
    room.clean()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll")
def test_twistd_serves_and_drains(tmp_path: Path) -> None:
    """S12.1: twistd finds it by its name, serves with it, and sends the clients away at SIGTERM."""
    port = free_port()
    endpoints = [f"--endpoint={protocol}://localhost:{port}" for protocol in ("http", "ws")]
    program = start(["--reactor=lean", "pode-signals", *endpoints], port, tmp_path / "log", cwd=tmp_path)
    try:
        client = websocket.create_connection(f"ws://localhost:{port}/msg", timeout=30)
        try:
            client.send(json.dumps({"message": "hello"}))
            assert "hello" in client.recv()
            program.process.send_signal(signal.SIGTERM)
            opcode, payload = client.recv_data()
            assert (opcode, int.from_bytes(payload[:2], "big")) == (8, 1001)
        finally:
            client.shutdown()
    finally:
        status = program.stop()
    assert status == -signal.SIGTERM, program.text()
    assert "LeanReactor" in program.text()  # twistd names its reactor
    assert "Traceback" not in program.text()


def test_without_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    """S12.1: where there is no epoll, the error says that the lean reactor needs it."""
    monkeypatch.delitem(sys.modules, "pode_signals.lean_reactor")
    monkeypatch.setitem(sys.modules, "twisted.internet.epollreactor", None)
    with pytest.raises(ImportError, match="needs epoll"):
        importlib.import_module("pode_signals.lean_reactor")
