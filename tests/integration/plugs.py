"""Clients of nothing but bytes, and the server that they connect to, on real sockets. Nothing in here is a test.

The server runs in the reactor of the tests; each client is plain blocking code in a thread, with a time limit.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from certificate_files import issue
from fakes import link_of
from klein import Klein
from twisted.internet import reactor
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.web.server import Site
from web_fakes import PING, PONG, Answer, Frame, answer_with, failures_in, frame, head

from pode_signals import Scope, SignalConnection, Signals

LIMIT_SECONDS = 30


class Plug:
    """A client: a socket and what came out of it."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.settimeout(LIMIT_SECONDS)
        self._data = b""

    def send(self, *data: bytes) -> Plug:
        """Send, each argument by itself."""
        for each in data:
            self.socket.sendall(each)
        return self

    def ask(self, data: bytes) -> Answer:
        """Send a request and read one answer."""
        self.socket.sendall(data)
        return self.answer(without_body=data.startswith(b"HEAD"))

    def answer(self, *, without_body: bool = False) -> Answer:
        """Read one HTTP answer."""
        self._read_until(lambda: b"\r\n\r\n" in self._data)
        raw_head, _, self._data = self._data.partition(b"\r\n\r\n")
        answer = answer_with(raw_head)
        size = int(answer.value("Content-Length") or 0)
        if without_body or answer.status == 101:
            return answer._replace(body=b"")
        if answer.value("Transfer-Encoding") == "chunked":
            self._read_until(lambda: b"0\r\n\r\n" in self._data)
            chunks, _, self._data = self._data.partition(b"0\r\n\r\n")
            return answer._replace(body=chunks.partition(b"\r\n")[2].rpartition(b"\r\n")[0])
        self._read_until(lambda: len(self._data) >= size)
        body, self._data = self._data[:size], self._data[size:]
        return answer._replace(body=body)

    def frame(self) -> Frame:
        """Read one frame."""
        self._read_until(lambda: len(self._data) >= 2)
        size, start = self._data[1], 2
        if size == 126:
            self._read_until(lambda: len(self._data) >= 4)
            size, start = struct.unpack("!H", self._data[2:4])[0], 4
        elif size == 127:
            self._read_until(lambda: len(self._data) >= 10)
            size, start = struct.unpack("!Q", self._data[2:10])[0], 10
        self._read_until(lambda: len(self._data) >= start + size)
        read, self._data = self._data[: start + size], self._data[start + size :]
        return Frame(read[0] & 15, read[start:])

    def upgrade(self, path: str = "/msg") -> Plug:
        """Upgrade, or the test fails."""
        answer = self.ask(head(path))
        assert answer.status == 101, answer
        return self

    def end(self) -> str:
        """Read to the end and close: ``"closed"``, or ``"reset"``; what was left to read is an error."""
        try:
            rest = self._data + self.socket.recv(1)
        except ConnectionResetError:
            return "reset"
        finally:
            self.socket.close()
        assert rest == b"", rest
        return "closed"

    def is_well(self) -> bool:
        """Whether the connection still answers."""
        self.send(frame(b"well?", PING))
        return self.frame() == Frame(PONG, b"well?")

    def close(self) -> None:
        """Close the socket in good order."""
        self.socket.close()

    def reset(self) -> None:
        """Close the socket by a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read_until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            read = self.socket.recv(65_536)
            assert read, f"the server closed after {self._data!r}"
            self._data += read


class Server:
    """A hub and its application.

    Attributes:
        messages: what the signal route of ``/msg`` got.
        events: Connect and Disconnect as they fired: ``("connect", id)``, ``("disconnect", id, code, by)``.
        connect: opens a socket to it.
    """

    def __init__(self, **settings: Any) -> None:
        self.signals = Signals(**settings)
        self.app = Klein()
        self.messages: list[object] = []
        self.events: list[tuple[object, ...]] = []
        self.connect: Callable[[], socket.socket]
        self.plugs: list[Plug] = []
        self.numbered: dict[SignalConnection, int] = {}
        self._routes()

    def plug(self) -> Plug:
        """Connect a client; to be called in a thread."""
        plug = Plug(self.connect())
        self.plugs.append(plug)
        return plug

    def _routes(self) -> None:
        signals, app = self.signals, self.app

        @app.route("/msg")
        def convert(request: Any) -> None:
            connection = signals.convert(request, "Msg")
            self.numbered[connection] = len(self.numbered)

        @app.route("/late")
        async def late(request: Any) -> None:
            await deferLater(reactor, 0.05)
            signals.convert(request, "Msg")

        @app.route("/local")
        async def local(request: Any) -> None:
            connection = signals.convert(request, "Msg", scope=Scope.LOCAL)
            signals.send("one", name="Msg")
            await deferLater(reactor, 0.01)
            signals.send("two", name="Msg")
            connection.send("three")

        @app.route("/ok")
        def ok(request: Any) -> bytes:
            return b"fine"

        @signals.route("/msg")
        @signals.route("/late", if_exists="skip")
        def got(event: Any) -> None:
            self.messages.append(event.data.message)

        @signals.on_connect("Msg")
        def connected(event: Any) -> None:
            self.events.append(("connect", event.connection.client_id))

        @signals.on_disconnect("Msg")
        def disconnected(event: Any) -> None:
            closure = event.connection.closure
            self.events.append(("disconnect", event.connection.client_id, closure.code, closure.by.value))

    @property
    def ends(self) -> list[tuple[object, object]]:
        """Code and who closed, of each connection that ended; each has exactly one Connect and one Disconnect."""
        ids = [event[1] for event in self.events if event[0] == "connect"]
        ended = [event[1] for event in self.events if event[0] == "disconnect"]
        assert len(set(ids)) == len(ids)
        assert len(set(ended)) == len(ended)
        assert set(ended) <= set(ids)
        return [event[2:] for event in self.events if event[0] == "disconnect"]  # type: ignore[misc]


async def until(condition: Callable[[], object]) -> None:
    """Wait, bounded, until it holds."""
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await deferLater(reactor, 0.005)


@asynccontextmanager
async def serving(kind: str = "tcp", **settings: Any) -> AsyncIterator[Server]:
    """A server on a free port of loopback; at its end nothing was logged as a failure and no connection is left."""
    # Many pings ask whether a connection is well.
    server = Server(**{"control_frame_burst": 10_000, **settings})
    site = Site(server.signals.resource(server.app.resource()), timeout=10)
    site.noisy = False
    # Short: its length is limited.
    path = f"/tmp/pode-signals-test-{os.getpid()}.socket"
    if kind == "unix":
        port = reactor.listenUNIX(path, site)
    elif kind == "tls":
        issued = issue()
        options = CertificateOptions(privateKey=issued.key, certificate=issued.certificate)
        port = reactor.listenSSL(0, site, options, interface="127.0.0.1")
    else:
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
    server.connect = lambda: connected_to(kind, path if kind == "unix" else port.getHost().port)
    with capturedLogs() as logged:
        try:
            yield server
        finally:
            for connection in server.signals.open_connections():
                link_of(connection).abort()
            await until(lambda: not server.signals.open_connections())
            for plug in server.plugs:
                plug.close()
            await port.stopListening()
    assert failures_in(logged) == []


def connected_to(kind: str, where: Any) -> socket.socket:
    """A client's end of a new connection."""
    if kind == "unix":
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(LIMIT_SECONDS)
        connected.connect(where)
        return connected
    connected = socket.create_connection(("127.0.0.1", where), LIMIT_SECONDS)
    if kind == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(connected)
    return connected


each_kind = pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
