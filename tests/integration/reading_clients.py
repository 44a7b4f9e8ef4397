"""Clients that never wait, and a server that may read their sockets together. Nothing in here is a test.

Server and clients are in one thread, so that what clients do together is what the server finds together.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from fakes import link_of
from klein import Klein
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.tcp import Server as TcpServer
from twisted.web.server import Site
from web_fakes import DEFAULTS, PING, PONG, TEXT, frame, frames_in, head

from pode_signals import SignalConnection, Signals
from pode_signals.fast.probes import SHARED_READS
from pode_signals.fast.reading import SharedReader

LIMIT_SECONDS = 30
READS_TOGETHER = SHARED_READS
real: Any = reactor


class Client:
    """A client that never waits.

    Attributes:
        connected: its socket.
        connection: the server's connection with it.
        transport: the server's end of its socket.
        end: how the socket ended: ``"closed"`` or ``"reset"``; None while it is open.
    """

    connection: SignalConnection
    transport: Any

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self.connected.setblocking(False)
        self.end: str | None = None
        self._data = b""

    def send(self, data: bytes) -> None:
        """Send, all of it."""
        assert self.connected.send(data) == len(data)

    def reset(self) -> None:
        """Close the socket by a reset."""
        self.connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connected.close()

    @property
    def received(self) -> bytes:
        """All that has come."""
        with suppress(BlockingIOError):
            while self.end is None:
                try:
                    read = self.connected.recv(65_536)
                except ConnectionResetError:
                    self.end = "reset"
                    break
                self._data += read
                if not read:
                    self.end = "closed"
        return self._data

    @property
    def answered(self) -> bool:
        """Whether its upgrade is answered."""
        return b"\r\n\r\n" in self.received

    def texts(self) -> list[str]:
        """The messages that have come; to be asked when no frame is on its way."""
        frames = frames_in(self.received.partition(b"\r\n\r\n")[2])
        return [each.payload.decode() for each in frames if each.opcode == TEXT]


class Server:
    """A hub whose route answers each message with itself.

    Attributes:
        messages: what the route got, in its order: who sent it, and what.
        ends: code and who closed, of each connection that has ended.
        on_message: called with each message's event before it is answered; what it gives is waited for.
    """

    def __init__(self, **settings: Any) -> None:
        self.signals = Signals(**{**DEFAULTS, **settings})
        self.messages: list[tuple[SignalConnection, object]] = []
        self.ends: list[tuple[int, str]] = []
        self.on_message: Callable[[Any], Any] = lambda event: event.connection.send(event.data.message)
        self.on_convert: Callable[[], None] = lambda: None
        self.port: Any = None
        self.clients: list[Client] = []
        self.app = Klein()

        @self.app.route("/msg")
        def convert(request: Any) -> None:
            self.signals.convert(request, "Msg")

        @self.app.route("/late")
        async def late(request: Any) -> None:
            await deferLater(real, 0.01)
            self.signals.convert(request, "Msg")
            self.on_convert()

        @self.signals.route("/msg")
        @self.signals.route("/late", if_exists="skip")
        def got(event: Any) -> Any:
            self.messages.append((event.connection, event.data.message))
            return self.on_message(event)

        @self.signals.on_disconnect("Msg")
        def ended(event: Any) -> None:
            closure = event.connection.closure
            self.ends.append((closure.code, closure.by.value))

    def connect(self) -> Client:
        """A client that has not upgraded; its socket holds little."""
        connected = socket.socket()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        # What is sent is there at once.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.connect(("127.0.0.1", self.port.getHost().port))
        self.clients.append(Client(connected))
        return self.clients[-1]

    async def open(self) -> Client:
        """A client whose connection is open, whose route has ended, and which has sent something."""
        known, client = set(self.signals.open_connections()), self.connect()
        client.send(head())
        await until(lambda: client.answered)
        (client.connection,) = set(self.signals.open_connections()) - known
        # As long as the route runs, and until the client sends something, the transport reads by itself.
        (client.transport,) = reading_by_itself(client)
        await turn()
        client.send(frame(b"", PING))
        await until(lambda: client.received.endswith(frame(b"", PONG, masked=False)))
        return client

    @property
    def got(self) -> list[object]:
        """What the messages were."""
        return [data for _, data in self.messages]


async def until(condition: Callable[[], object]) -> None:
    """Wait, bounded, until it holds."""
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await deferLater(real, 0.002)


async def turn(times: int = 3) -> None:
    """Let the reactor have turns."""
    for _ in range(times):
        await deferLater(real, 0)


def reading_by_itself(client: Client) -> list[Any]:
    """The server's end of a client's socket, where the reactor reads it; empty where another reads in its place."""
    port = client.connected.getsockname()[1]
    return [each for each in real.getReaders() if isinstance(each, TcpServer) and each.getPeer().port == port]


def shared_readers() -> list[Any]:
    """The shared readers that the reactor knows."""
    return [each for each in real.getReaders() if isinstance(each, SharedReader)]


@asynccontextmanager
async def serving(listen: Callable[[Site], Any] | None = None, **settings: Any) -> AsyncIterator[Server]:
    """A server on a free port of loopback; at its end no connection is left, and the reactor is clean."""
    server = Server(**settings)
    site = Site(server.signals.resource(server.app.resource()), timeout=10)
    site.noisy = False
    server.port = listen(site) if listen else real.listenTCP(0, site, interface="127.0.0.1")
    try:
        yield server
    finally:
        for connection in server.signals.open_connections():
            link_of(connection).abort()
        await until(lambda: not server.signals.open_connections())
        for client in server.clients:
            client.connected.close()
        await server.port.stopListening()
        await turn()
    assert shared_readers() == []


def choose_reading(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let the servers of a test read sockets together, by the fast protocol, or not; gives what was chosen."""
    if wanted and not READS_TOGETHER:
        pytest.skip("nothing is read together here")
    monkeypatch.setitem(DEFAULTS, "fast", wanted)
    return wanted
