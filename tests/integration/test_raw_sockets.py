"""The hand-over on real sockets, TLS and UNIX ones too: what a client of nothing but bytes gets, and that others go on.

The server runs in the reactor of the tests; each client is plain blocking code in a thread, with a time limit.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote

import pytest
from certificate_files import issue
from klein import Klein
from refused_requests import ROWS
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.web.server import Site
from web_fakes import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Answer,
    Frame,
    answer_with,
    close_frame,
    failures_in,
    frame,
    head,
    message,
    plain,
)

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
    server = Server(**{"control_frame_burst": 10_000, **settings})  # many pings ask whether a connection is well
    site = Site(server.signals.resource(server.app.resource()), timeout=10)
    site.noisy = False
    path = f"/tmp/pode-signals-test-{os.getpid()}.socket"  # short: its length is limited
    if kind == "unix":
        port = reactor.listenUNIX(path, site)
    elif kind == "tls":
        issued = issue()
        options = CertificateOptions(privateKey=issued.key, certificate=issued.certificate)
        port = reactor.listenSSL(0, site, options, interface="127.0.0.1")
    else:
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
    server.connect = lambda: _connected(kind, path if kind == "unix" else port.getHost().port)
    with capturedLogs() as logged:
        try:
            yield server
        finally:
            for connection in server.signals.open_connections():
                connection._link.abort()
            await until(lambda: not server.signals.open_connections())
            for plug in server.plugs:
                plug.close()
            await port.stopListening()
    assert failures_in(logged) == []


def _connected(kind: str, where: Any) -> socket.socket:
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


# Refusals.


async def test_refusals() -> None:
    """S2.2: row by row: the answer, keep-alive, no traceback; the process and a neighbour's connection go on."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        for row in ROWS:
            plug = server.plug()
            answer = plug.ask(row.request)
            assert (answer.status, row.what) == (row.status, row.what)
            assert [(name, answer.value(name)) for name, _ in row.headers] == list(row.headers), row.what
            assert answer.value("Content-Type") == "text/plain; charset=utf-8", row.what
            assert b"Traceback" not in answer.body
            assert b"Error" not in answer.body
            assert plug.ask(plain("/ok")).body == b"fine", row.what
            assert plug.ask(head()).status == 101, row.what
            plug.close()
            assert neighbour.is_well(), row.what

    async with serving() as server:
        await deferToThread(client, server)
        counters = server.signals.counters
        assert counters.requests_refused == {426: 1}  # the one row that is no upgrade
        assert sum(counters.upgrades_refused.values()) == len(ROWS) - 1


@pytest.mark.parametrize("bad", [b"a\x00b", b"a\rb", b"a\nb"])
@pytest.mark.parametrize("name", [b"X-Name", b"Origin", b"Sec-WebSocket-Protocol"])
async def test_bytes_that_no_header_may_have(name: bytes, bad: bytes) -> None:
    """S2.2: CR, LF and NUL in a header get 400, from Twisted itself, which ends the socket."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        plug = server.plug()
        assert plug.ask(head("/msg", (name, bad))).status == 400
        assert plug.end() == "closed"
        assert neighbour.is_well()

    async with serving() as server:
        await deferToThread(client, server)
        assert len(server.numbered) == 1


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"max_connections": 2}, 503),
        ({"max_connections_per_address": 2}, 429),
        ({"max_names": 1}, 503),
    ],
)
async def test_limits(settings: dict[str, Any], status: int) -> None:
    """S2.2: over a limit the newcomer gets 503 or 429 with Retry-After, and gets in when there is room."""

    def client(server: Server) -> None:
        plugs = [server.plug().upgrade() for _ in range(2)]
        last = server.plug()
        answer = last.ask(head("/other" if "max_names" in settings else "/msg"))
        assert answer.status == status
        assert (answer.value("Retry-After") or "").isdigit()
        assert all(plug.is_well() for plug in plugs)
        assert last.ask(plain("/ok")).status == 200
        plugs.pop().send(close_frame()).frame()
        end = time.monotonic() + LIMIT_SECONDS
        while last.ask(head()).status != 101:
            assert time.monotonic() < end

    async with serving(**settings) as server:
        server.app.route("/other")(lambda request: server.signals.convert(request, "Other") and None)
        await deferToThread(client, server)


async def test_names_and_ids() -> None:
    """S2.2: a name that is none gets 400, a client id in use 409 where that is refused; the socket goes on."""

    def client(server: Server) -> None:
        first = server.plug().upgrade("/one")
        plug = server.plug()
        for path, status in (("/one", 409), ("/named", 400), ("/named?" + "x" * 129, 400), ("/named?%0a", 400)):
            answer = plug.ask(head(path))
            assert (answer.status, answer.value("Content-Type")) == (status, "text/plain; charset=utf-8")
            assert plug.ask(plain("/ok")).body == b"fine"
        assert first.is_well()
        plug.upgrade("/named?" + "x" * 128)

    async with serving(duplicate_client_id="refuse") as server:

        @server.app.route("/one")
        def one(request: Any) -> None:
            server.signals.convert(request, "Msg", client_id="one")

        @server.app.route("/named")
        def named(request: Any) -> None:
            server.signals.convert(request, unquote(request.uri.partition(b"?")[2].decode()))

        await deferToThread(client, server)


async def test_http_1_0() -> None:
    """S2.2: an upgrade by HTTP/1.0 gets 505, and its socket ends as it would."""

    def client(server: Server) -> None:
        plug = server.plug()
        assert plug.ask(head(version=b"HTTP/1.0")).status == 505
        assert plug.end() == "closed"

    async with serving() as server:
        await deferToThread(client, server)


# Pipelined frames.


@each_kind
@pytest.mark.parametrize("path", ["/msg", "/late"])
@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
async def test_pipelined_frames(kind: str, path: str, leaves: bool) -> None:
    """S2.6: 100 kB behind the handshake arrive in order, whenever the route converts, also of one who leaves."""
    sent = [[number, "x" * 1_000] for number in range(100)]

    def client(server: Server) -> None:
        plug = server.plug()
        plug.send(head(path) + b"".join(map(message, sent)))
        assert plug.answer().status == 101
        if not leaves:
            assert plug.is_well()
        plug.close()

    async with serving(kind) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == sent
        assert server.ends == [(1006, "client")]


@each_kind
async def test_a_local_route(kind: str) -> None:
    """S3.2: a local connection gets what its route sends, before and after an await, and a clean end with 1000."""

    def client(server: Server) -> None:
        plug = server.plug().upgrade("/local")
        assert [plug.frame().payload for _ in range(3)] == [b"one", b"two", b"three"]
        closing = plug.frame()
        assert (closing.opcode, closing.code) == (CLOSE, 1000)
        plug.send(close_frame(1000))
        assert plug.end() == "closed"

    # Nobody waits for the end that a close frame without an answer would have.
    async with serving(kind, close_timeout_seconds=10 * LIMIT_SECONDS) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.ends == [(1000, "server")]


# Messages.


BAD_MESSAGES = {
    "not JSON": "{",
    "nothing": "",
    "text": '"text"',
    "a list": '[{"message": 1}]',
    "null": "null",
    "a number": "1",
    "two objects": '{"message": 1}{"message": 1}',
    "direct as text": '{"message": 1, "direct": "false"}',
    "direct as a number": '{"message": 1, "direct": 1}',
    "path as a number": '{"message": 1, "path": 1}',
    "path as a list": '{"message": 1, "path": ["a"]}',
    "group as an object": '{"message": 1, "group": {}}',
    "group as a flag": '{"message": 1, "group": true}',
    "clientId as a number": '{"message": 1, "clientId": 1.5}',
    "clientId with null": '{"message": 1, "clientId": [null]}',
    "101 groups": '{"message": 1, "group": [' + ",".join(['"g"'] * 101) + "]}",
    "NaN": '{"message": NaN}',
    "Infinity": '{"message": Infinity}',
    "-Infinity": '{"message": [-Infinity]}',
    "a number too large": '{"message": 1e999}',
    "too deep": '{"message": ' + "[" * 32 + "]" * 32 + "}",
    "far too deep": '{"message": ' + "[" * 20_000 + "]" * 20_000 + "}",
    "too many digits": '{"message": ' + "1" * 5_000 + "}",
    "a lone surrogate": '{"message": "\\ud800"}',
    "a lone surrogate in a key": '{"message": {"\\udc00": 1}}',
    "too many keys": '{"message": {' + ",".join(f'"{number}": 1' for number in range(1_000)) + "}}",
    "no message": '{"path": "Msg"}',
    "a byte order mark": '\ufeff{"message": 1}',
}


async def test_bad_messages() -> None:
    """S5.8: item by item: nothing is dispatched, it is counted, the connection stays, and so does a neighbour's."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        for what, text in BAD_MESSAGES.items():
            plug = server.plug().upgrade()
            plug.send(frame(text), message(what))
            assert plug.is_well(), what
            plug.close()
            assert neighbour.is_well(), what

    async with serving() as server:
        await deferToThread(client, server)
        assert server.messages == list(BAD_MESSAGES)
        assert server.signals.counters.messages_bad == len(BAD_MESSAGES)


async def test_good_messages_of_the_same_kind() -> None:
    """S5.8: what is just within the limits is good, and of duplicate keys the last one wins."""
    good = {
        '{"message": "a", "message": "b"}': "b",
        '{"message": ' + "[" * 31 + "]" * 31 + "}": None,
        '{"message": "\\ud83d\\ude00"}': "\U0001f600",
        '{"message": 1, "direct": true, "group": 7, "clientId": ["a", 7]}': 1,
        '{"message": {' + ",".join(f'"{number}": 1' for number in range(999)) + "}}": None,
    }

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        plug.send(*map(frame, good))
        assert plug.is_well()

    async with serving() as server:
        await deferToThread(client, server)
        assert len(server.messages) == len(good)
        assert all(want in (None, got) for want, got in zip(good.values(), server.messages, strict=True))
        assert server.signals.counters.messages_bad == 0


async def test_too_many_bad_messages() -> None:
    """S5.8: the tenth bad message within a minute closes with 1008."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        plug = server.plug().upgrade()
        plug.send(*[frame("bad")] * 9)
        assert plug.is_well()
        plug.send(frame("bad"), message("late"))
        closing = plug.frame()
        assert (closing.opcode, closing.code) == (CLOSE, 1008)
        plug.send(close_frame(1008))
        assert plug.end() == "closed"
        assert neighbour.is_well()

    async with serving() as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == []
        assert (1008, "error") in server.ends


FAILURES = {
    "binary": (frame(b"x", BINARY), 1003),
    "not UTF-8": (frame(b"\xff" + b"x" * 60_000), 1007),
    "too large": (frame(b"x" * 65_537), 1009),
    "far too large": (frame(b"x" * 3_000_000), 1009),
    "unmasked": (frame(b"{}", masked=False), 1002),
    "a bad opcode": (frame(b"x" * 70_000, 7), 1002),
}


@each_kind
@pytest.mark.parametrize(("data", "code"), FAILURES.values(), ids=FAILURES)
async def test_failures(kind: str, data: bytes, code: int) -> None:
    """S5.8: 1003, 1007 and 1009 (S6.1, S6.2) reach the client, whatever it is still sending, and it ends cleanly."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        plug = server.plug().upgrade()
        plug.send(data, message("late"))
        closing = plug.frame()
        assert (closing.opcode, closing.code) == (CLOSE, code)
        plug.send(close_frame(code))
        assert plug.end() == "closed"
        assert neighbour.is_well()

    # Nobody waits for the end that a close frame without an answer would have.
    async with serving(kind, close_timeout_seconds=10 * LIMIT_SECONDS) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == []
        assert (code, "error") in server.ends


# Ends.


@each_kind
@pytest.mark.parametrize("code", [1000, 3001, None])
async def test_the_client_closes(kind: str, code: int | None) -> None:
    """S9.3: a client's close frame is answered in kind, the socket closed without a reset, Disconnect fired once."""

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        plug.send(message("last"), close_frame(code, "bye" if code else ""))
        closing = plug.frame()
        assert (closing.opcode, closing.code) == (CLOSE, code)
        assert plug.end() == "closed"

    async with serving(kind) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == ["last"]
        assert server.ends == [(code or 1005, "client")]


@each_kind
async def test_the_server_closes(kind: str) -> None:
    """S9.3: a client that answers sees a clean end; it leaves the registry with our close frame, before Disconnect."""
    counts: list[int] = []

    def close(server: Server) -> None:
        server.signals.send("last", name="Msg")
        server.signals.close("Msg", code=4000, reason="enough")
        counts.append(server.signals.count())
        counts.append(len(server.ends))

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        reactor.callFromThread(close, server)
        assert plug.frame() == Frame(TEXT, b"last")
        closing = plug.frame()
        assert (closing.code, closing.reason) == (4000, "enough")
        plug.send(message("late"), close_frame(4000))
        assert plug.end() == "closed"

    async with serving(kind) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert counts == [0, 0]
        assert server.messages == []
        assert server.ends == [(4000, "server")]


@each_kind
async def test_the_client_does_not_answer(kind: str) -> None:
    """S9.3: after close_timeout_seconds a client that does not answer is cut off, and Disconnect fires."""

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        reactor.callFromThread(server.signals.close, "Msg")
        assert plug.frame().code == 1000
        plug.send(message("late"))
        with suppress(ssl.SSLError):  # TLS that ends without a good-bye
            assert plug.end() in ("closed", "reset")

    async with serving(kind, close_timeout_seconds=0.2) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == []
        assert server.ends == [(1000, "server")]


@each_kind
async def test_the_client_closes_while_it_does_not_read(kind: str) -> None:
    """S9.3: a slow client that closes still gets all that was sent, our close frame, and a clean end."""
    size = 8_000_000
    filled = Event()

    def fill(server: Server) -> None:
        for _ in range(size // 500_000):
            server.signals.send("x" * 500_000, name="Msg")
        filled.set()

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        reactor.callFromThread(fill, server)
        assert filled.wait(LIMIT_SECONDS)
        plug.send(close_frame(1000))
        got = 0
        while (each := plug.frame()).opcode == TEXT:
            got += len(each.payload)
        assert (got, each.code) == (size, 1000)
        assert plug.end() == "closed"

    async with serving(kind, send_queue_bytes=2 * size) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.ends == [(1000, "client")]


@each_kind
@pytest.mark.parametrize("how", ["close", "reset", "half"])
async def test_the_client_vanishes(kind: str, how: str) -> None:
    """S9.3: FIN, RST or half a FIN without a close frame: one Disconnect with 1006, and nothing is left."""

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        plug.send(message("last"))
        assert plug.is_well()
        if how == "half":
            plug.socket.shutdown(socket.SHUT_WR)
            assert plug.end() == "closed"
        elif how == "reset" and kind == "tcp":
            plug.reset()
        else:
            plug.close()

    async with serving(kind) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == ["last"]
        assert server.ends == [(1006, "client")]
        assert server.signals.count() == 0


async def test_a_storm() -> None:
    """S9.3: whatever a hundred clients do at once, each has one Connect and one Disconnect, in this order."""

    def client(server: Server, number: int) -> None:
        plug = server.plug()
        if number % 5 == 0:
            plug.send(head() + message(number)).reset()
            return
        plug.send(head() + message(number))
        assert plug.answer().status == 101
        if number % 5 == 1:
            plug.close()
        elif number % 5 == 2:
            plug.send(close_frame()).frame()
        elif number % 5 == 3:
            plug.send(frame(b"\xff")).frame()
            plug.reset()
        else:
            plug.reset()

    async with serving() as server:
        for started in [deferToThread(client, server, number) for number in range(100)]:
            await started
        await until(lambda: not server.signals.open_connections())
        await until(lambda: len(server.ends) == server.signals.counters.connections_opened)
        assert len(server.ends) >= 80
        for event in server.events:
            if event[0] == "disconnect":
                assert server.events.index(("connect", event[1])) < server.events.index(event)
        assert len(set(map(str, server.messages))) == len(server.messages)


async def test_a_route_is_cancelled() -> None:
    """S2.5: a client that goes away cancels a route that still runs."""
    cancelled: list[Deferred[None]] = []

    async with serving() as server:

        @server.app.route("/long")
        def long(request: Any) -> Deferred[None]:
            server.signals.convert(request, "Msg")
            return Deferred(cancelled.append)

        await deferToThread(lambda: server.plug().upgrade("/long").reset())
        await until(lambda: cancelled)


ASYNCIO_PROGRAM = """
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
import asyncio
loop = asyncio.new_event_loop()
reactor = AsyncioSelectorReactor(loop)
from twisted.internet.main import installReactor
installReactor(reactor)
from klein import Klein
from twisted.web.server import Site
from pode_signals import Scope, SendMode, Signals
from pode_signals.hub.context import current_route

app, signals = Klein(), Signals()

@app.route("/local")
def local(request):
    signals.convert(request, "Msg", scope=Scope.LOCAL)
    signals.send("to the route's own", name="Other")

@app.route("/msg")
def everybody(request):
    signals.convert(request, "Msg")

@app.route("/page")
def page(request):
    return b"leaked" if current_route.get().link is not None else b"clean"

@signals.route("/msg")
def got(event):
    event.send("leaked" if current_route.get() is not None else "clean", mode=SendMode.DIRECT)

port = reactor.listenTCP(0, Site(signals.resource(app.resource())), interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.callLater(30, reactor.stop)
reactor.run()
"""


def test_the_asyncio_reactor(tmp_path: Path) -> None:
    """S3.2: with asyncio's reactor, whose callbacks carry contexts along, no route leaks into others either."""
    program = tmp_path / "program.py"
    program.write_text(ASYNCIO_PROGRAM)
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        keep_alive = Plug(_connected("tcp", port))
        for _ in range(2):
            local = Plug(_connected("tcp", port)).upgrade("/local")
            assert local.frame() == Frame(TEXT, b"to the route's own")
            assert local.frame().code == 1000
            local.send(close_frame())
            assert local.end() == "closed"
            local.close()
            assert keep_alive.ask(plain("/page")).body == b"clean"
        socket_of_all = keep_alive.upgrade("/msg")
        socket_of_all.send(message("x"))
        assert socket_of_all.frame() == Frame(TEXT, b"clean")
        socket_of_all.close()
    finally:
        process.terminate()
        process.wait(LIMIT_SECONDS)
        process.stdout.close()
