"""Reading for many sockets at once, on the real reactor and others: nobody can tell whether it is done.

Server and clients are in one thread, so that what clients do together is what the server finds together.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import websocket
from certificate_files import issue
from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.web.server import Site
from web_fakes import CLOSE, DEFAULTS, PONG, TEXT, close_frame, failures_in, frame, frames_in, head, message

from pode_signals import SignalConnection, Signals
from pode_signals.core.environment import FAST
from pode_signals.fast.reading import SharedReader

LIMIT_SECONDS = 30
READS_TOGETHER = FAST and hasattr(select, "epoll")
real: Any = reactor
IS_ASYNCIO = type(reactor).__name__ == "AsyncioSelectorReactor"


class Client:
    """A client that never waits.

    Attributes:
        connected: its socket.
        connection: the server's connection with it.
        end: how the socket ended: ``"closed"`` or ``"reset"``; None while it is open.
    """

    connection: SignalConnection

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
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is sent is there at once
        connected.connect(("127.0.0.1", self.port.getHost().port))
        self.clients.append(Client(connected))
        return self.clients[-1]

    async def open(self) -> Client:
        """A client whose connection is open, whose route has ended, and which has sent something."""
        known, client = set(self.signals.open_connections()), self.connect()
        client.send(head())
        await until(lambda: client.answered)
        (client.connection,) = set(self.signals.open_connections()) - known
        await turn()
        client.send(frame(b"", PONG))  # which says nothing
        transport: Any = client.connection._link._transport
        await until(lambda: not getattr(transport, "_may_share", False))
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


def is_shared(connection: SignalConnection) -> bool:
    """Whether another reads in its transport's place."""
    transport: Any = connection._link._transport
    return getattr(transport, "_shared", None) is not None


def shared_readers() -> list[Any]:
    """The shared readers that the reactor knows."""
    return [each for each in real.getReaders() if isinstance(each, SharedReader)]


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


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
            connection._link.abort()
        await until(lambda: not server.signals.open_connections())
        for client in server.clients:
            client.connected.close()
        await server.port.stopListening()
        await turn()
    assert shared_readers() == []


@pytest.fixture(params=["shared", "twisted"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether sockets are read together, by the fast protocol: the plain one has to come to the same."""
    wanted = request.param == "shared"
    if wanted and not READS_TOGETHER:
        pytest.skip("nothing is read together here")
    monkeypatch.setitem(DEFAULTS, "fast", wanted)
    return wanted


# Data.


async def test_many_at_once(shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: what many have sent is read for one event of the reactor, and each is answered."""
    reads = [0]
    original = SharedReader.doRead

    def counting(reader: SharedReader) -> None:
        reads[0] += 1
        original(reader)

    monkeypatch.setattr(SharedReader, "doRead", counting)
    async with serving() as server:
        clients = [await server.open() for _ in range(30)]
        assert [is_shared(each.connection) for each in clients] == [shared] * 30
        assert len(shared_readers()) == shared
        reads[0] = 0
        for number, client in enumerate(clients):
            client.send(message(f"from {number}"))
        await until(lambda: len(server.messages) == 30)
        assert reads[0] == shared
        await until(lambda: all(client.texts() for client in clients))
        assert [client.texts() for client in clients] == [[f"from {number}"] for number in range(30)]


async def test_frames_in_pieces(shared: bool) -> None:
    """S5.1: frames that come byte by byte, or many at once, are the same frames."""
    async with serving() as server:
        client = await server.open()
        for byte in message("slowly"):
            client.send(bytes((byte,)))
            await turn(1)
        client.send(b"".join(message(number) for number in range(100)))
        await until(lambda: len(server.messages) == 101)
        assert server.got == ["slowly", *range(100)]


async def test_pausing(shared: bool) -> None:
    """S5.6: past the limit a client's socket is not read until functions have ended; others are; the order holds."""
    waiting: list[Deferred[None]] = []
    async with serving(max_pending_messages=4) as server:
        slow, quick = await server.open(), await server.open()

        def wait(event: Any) -> Deferred[None] | None:
            if event.connection is quick.connection:
                return None
            waiting.append(Deferred())
            return waiting[-1]

        server.on_message = wait
        for number in range(20):
            slow.send(message(number))
            await turn(1)
        quick.send(message("quick"))
        await until(lambda: "quick" in server.got)
        assert slow.connection._link.reading_paused
        assert server.got == [0, "quick"]
        assert slow.connection._link.inbox is not None
        assert len(slow.connection._link.inbox) == 4
        for ended in range(20):
            await until(lambda ended=ended: len(waiting) > ended)
            waiting[ended].callback(None)
        assert [each for each in server.got if each != "quick"] == [*range(20)]
        assert is_shared(slow.connection) is shared
        assert not slow.connection._link.reading_paused


async def test_a_client_that_stalls(shared: bool) -> None:
    """S4.6: sends, replies and a close come in their order to a client that asks on, stalls, and then reads all."""
    async with serving(send_queue_bytes=64 << 20) as server:
        client = await server.open()
        expected: list[str] = []

        def reply(event: Any) -> None:
            send(f"reply {event.data.message}")

        def send(text: str) -> None:
            client.connection.send(text)
            expected.append(text)

        server.on_message = reply
        for number in range(300):
            send(f"{number} " + "x" * 9_000)
            if number % 30 == 0:
                client.send(message(number))
                await until(lambda number=number: number in server.got)
        client.connection.close(4000, "done")
        await until(lambda: client.received.endswith(frame(b"\x0f\xa0done", CLOSE, masked=False)))
        assert client.texts() == expected
        client.send(close_frame(4000))
        await until(lambda: client.received and client.end)
        assert (client.end, server.ends) == ("closed", [(4000, "server")])


# The end.


@pytest.mark.parametrize("data", [b"", message("last words"), message(1) + close_frame(1000)])
@pytest.mark.parametrize("by", ["close", "shutdown"])
async def test_a_client_that_leaves(shared: bool, by: str, data: bytes) -> None:
    """S9.3: the end of a client's socket is seen, behind what came with it; there is one Disconnect."""
    async with serving() as server:
        server.on_message = lambda _: None
        client, other = await server.open(), await server.open()
        if data:
            client.send(data)
        if by == "close":
            client.connected.close()
        else:
            client.connected.shutdown(socket.SHUT_WR)
        await until(lambda: server.ends)
        assert len(server.messages) == bool(data)
        assert server.ends == [(1000 if data.endswith(close_frame(1000)) else 1006, "client")]
        if by == "shutdown":
            await until(lambda: client.received and client.end)
        other.send(message("goes on"))
        await until(lambda: "goes on" in server.got)


async def test_a_reset(shared: bool) -> None:
    """S9.3: a reset is an end, with one Disconnect."""
    async with serving() as server:
        client, other = await server.open(), await server.open()
        client.reset()
        await until(lambda: server.ends)
        assert server.ends == [(1006, "client")]
        other.send(message("goes on"))
        await until(lambda: server.got == ["goes on"])


@pytest.mark.parametrize("aborts", [True, False])
async def test_the_server_ends_it(shared: bool, aborts: bool) -> None:
    """S9.3: closing and aborting end a connection; nothing that comes afterwards is handled."""
    async with serving() as server:
        client = await server.open()
        client.send(message(1))
        if aborts:
            client.connection._link.abort()
        else:
            client.connection.close(4000)
            client.send(message(2) + close_frame(4000))
        await until(lambda: client.received and client.end)
        await until(lambda: server.ends)
        assert server.got == []
        assert server.ends == [(1006, "server") if aborts else (4000, "server")]
        assert client.end == ("reset" if aborts else "closed")


@pytest.mark.parametrize("way", ["leaves", "aborts another", "closes another"])
async def test_an_end_within_a_batch(shared: bool, way: str) -> None:
    """S4.5: who ends while the messages of many are handled ends alone; all others are answered."""
    async with serving() as server:
        clients = [await server.open() for _ in range(10)]
        victim = clients[5]

        def answer(event: Any) -> None:
            event.connection.send(event.data.message)
            if event.connection is clients[0].connection:
                if way == "leaves":
                    victim.reset()
                elif way == "aborts another":
                    victim.connection._link.abort()
                else:
                    victim.connection.close(4000)

        server.on_message = answer
        for number, client in enumerate(clients):
            client.send(message(str(number)))
        others = [each for each in clients if each is not victim]
        await until(lambda: all(each.texts() for each in others))
        if way == "closes another":
            await until(lambda: victim.received.endswith(frame(b"\x0f\xa0", CLOSE, masked=False)))
            victim.send(close_frame(4000))
        await until(lambda: server.ends)
        assert server.ends == [(4000 if way == "closes another" else 1006, "client" if way == "leaves" else "server")]
        if way != "leaves":
            assert "5" not in server.got
        for number, client in enumerate(clients):
            if client is not victim:
                assert client.texts() == [str(number)]
                client.send(message("again"))
        await until(lambda: server.got.count("again") == 9)


async def test_numbers_are_used_again(shared: bool) -> None:
    """S2.4: descriptors come and go, and each connection gets what its own client sends."""
    async with serving() as server:
        staying = await server.open()
        for number in range(20):
            client = await server.open()
            client.send(message(f"{number} before"))
            client.connected.close()
            staying.send(message(f"{number} stays"))
            new = await server.open()
            new.send(message(f"{number} after"))
            await until(lambda number=number: f"{number} after" in server.got)
            new.reset()
            await until(lambda: len(server.signals.open_connections()) == 1)
        assert len(server.got) == 60
        assert {who for who, data in server.messages if str(data).endswith("stays")} == {staying.connection}
        assert [data for who, data in server.messages if who is staying.connection] == [
            f"{number} stays" for number in range(20)
        ]


async def test_nobody_is_left(shared: bool) -> None:
    """S10.3: with the last client all descriptors are closed and the reactor knows none; the next one is served."""
    async with serving() as server:
        for _ in range(3):
            before = descriptors()
            clients = [await server.open() for _ in range(5)]
            assert len(shared_readers()) == shared
            for client in clients:
                client.connected.close()
            await until(lambda: not server.signals.open_connections())
            assert shared_readers() == []
            assert descriptors() == before


@pytest.mark.parametrize("ends", ["leaves", "closes", "aborts", "breaks"])
async def test_a_child_process_holds_the_socket(ends: str) -> None:
    """S16.8: a socket that a child process still holds, when it is closed here, makes nobody read for ever."""
    if not READS_TOGETHER:
        pytest.skip("nothing is read together here")
    async with serving() as server:
        client, _staying = await server.open(), await server.open()
        transport: Any = client.connection._link._transport
        held = os.dup(transport.transport.fileno())  # as a child that was forked
        try:
            if ends == "leaves":
                client.connected.shutdown(socket.SHUT_WR)
            elif ends == "closes":
                client.send(close_frame(1000))
            elif ends == "aborts":
                client.connection._link.abort()
                assert transport._shared is None  # at once, as its transport reads no more
            else:
                transport.transport.connectionLost(Failure(ConnectionLost()))  # as where a write fails
            await until(lambda: server.ends)
            client.connected.close()
            (reader,) = shared_readers()
            assert reader._epoll.poll(0) == []
            assert transport._shared is None
        finally:
            os.close(held)


async def test_a_transport_that_has_no_producer() -> None:
    """S10.3: a transport that does not tell its producer of the end is read no more all the same."""
    if not READS_TOGETHER:
        pytest.skip("nothing is read together here")
    async with serving() as server:
        client = await server.open()
        transport: Any = client.connection._link._transport
        transport.unregisterProducer()
        transport.transport.connectionLost(Failure(ConnectionLost()))
        await until(lambda: server.ends)
        assert shared_readers() == []


async def test_while_the_route_runs() -> None:
    """S2.5: as long as its route runs HTTP learns of a client's end, so its transport reads by itself."""
    if not READS_TOGETHER:
        pytest.skip("nothing is read together here")
    ended: Deferred[None] = Deferred()
    async with serving() as server:

        @server.app.route("/held")
        async def held(request: Any) -> None:
            server.signals.convert(request, "Msg")
            await ended

        server.signals.add_route("/held", lambda event: server.messages.append((event.connection, event.data.message)))
        client = server.connect()
        client.send(head("/held"))
        await until(lambda: client.answered)
        (connection,) = server.signals.open_connections()
        client.send(message(1))
        await until(lambda: server.got == [1])
        assert not is_shared(connection)
        ended.callback(None)
        await turn()
        client.send(message(2))
        await until(lambda: server.got == [1, 2])
        assert is_shared(connection)


@pytest.mark.parametrize("path", ["/msg", "/late"])
async def test_paused_by_what_was_pipelined(shared: bool, path: str) -> None:
    """S5.6: a client that pipelines more messages than may wait is not read until functions have ended."""
    waiting: list[Deferred[None]] = []
    async with serving(max_pending_messages=2) as server:

        def wait(_event: Any) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        server.on_message = wait
        client = server.connect()
        client.send(head(path) + b"".join(message(number) for number in range(5)))
        await until(lambda: waiting)
        (connection,) = server.signals.open_connections()
        assert connection._link.reading_paused
        transport: Any = connection._link._transport
        assert connection._link.inbox is not None
        held = len(connection._link.inbox), transport.data
        client.send(message(5))
        await turn(10)
        assert (len(connection._link.inbox), transport.data) == held
        for ended in range(6):
            await until(lambda ended=ended: len(waiting) > ended)
            waiting[ended].callback(None)
        assert server.got == [*range(6)]


async def test_leaving_right_behind_the_handshake(shared: bool) -> None:
    """S2.6: a client that leaves in the turn in which its route converts and ends leaves nothing behind."""
    async with serving() as server:
        client = server.connect()
        server.on_convert = client.connected.close
        server.on_message = lambda _: None
        client.send(head("/late") + message("pipelined"))
        await until(lambda: server.ends)
        assert server.got == ["pipelined"]
        assert server.signals.open_connections() == ()


# What raises.


@pytest.mark.skipif(IS_ASYNCIO, reason="asyncio lets these end the program, whoever raises them")
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_what_no_fence_keeps(shared: bool, error: type[BaseException]) -> None:
    """S4.5: what ends a program, raised by one client's function, ends its connection alone, and is logged."""
    async with serving() as server:
        clients = [await server.open() for _ in range(3)]

        def answer(event: Any) -> None:
            if event.connection is clients[1].connection:
                raise error
            event.connection.send(event.data.message)

        server.on_message = answer
        with capturedLogs() as logged:
            for client in clients:
                client.send(message("x"))
            await until(lambda: server.ends)
            await until(lambda: clients[0].texts() and clients[2].texts())
        assert server.ends == [(1006, "client")]
        await until(lambda: clients[1].received and clients[1].end)
        failures = [each["failure"] for each in logged if each.get("isError")] + failures_in(logged)
        assert {each.type for each in failures} == {error}


# Who is read for.


@pytest.mark.parametrize("kind", ["tls", "unix"])
async def test_other_kinds_of_sockets(kind: str, tmp_path: Any) -> None:
    """S16.8: TLS and UNIX sockets read as they do elsewhere in Twisted, and are answered."""
    path = str(tmp_path / "socket")

    def listen(site: Site) -> Any:
        if kind == "unix":
            return real.listenUNIX(path, site)
        issued = issue()
        options = CertificateOptions(privateKey=issued.key, certificate=issued.certificate)
        return real.listenSSL(0, site, options, interface="127.0.0.1")

    def talk(port: int) -> Any:
        if kind == "unix":
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(LIMIT_SECONDS)
            plain.connect(path)
            talking = websocket.create_connection("ws://localhost/msg", socket=plain, timeout=LIMIT_SECONDS)
        else:
            options = {"cert_reqs": 0, "check_hostname": False}
            talking = websocket.create_connection(
                f"wss://127.0.0.1:{port}/msg",
                sslopt=options,
                timeout=LIMIT_SECONDS,
                origin=f"https://127.0.0.1:{port}",
            )
        talking.send('{"message": "x"}')
        answer = talking.recv()
        talking.close()
        return answer

    kept: list[bool] = []
    async with serving(listen) as server:

        def answer(event: Any) -> None:
            kept.append(is_shared(event.connection))
            event.connection.send(event.data.message)

        server.on_message = answer
        port = 0 if kind == "unix" else server.port.getHost().port
        assert await deferToThread(talk, port) == "x"
        await until(lambda: server.ends)
    assert kept == [False]


PROGRAM = """
import sys
if sys.argv[1] == "asyncio":
    from twisted.internet import asyncioreactor
    asyncioreactor.install()
else:
    from importlib import import_module
    import_module(f"twisted.internet.{sys.argv[1]}reactor").install()
from klein import Klein
from twisted.internet import reactor
from twisted.web.server import Site
from pode_signals import Signals

app, signals = Klein(), Signals()

@app.route("/msg")
def msg(request):
    signals.convert(request, "Msg")

@signals.route("/msg")
def got(event):
    is_shared = getattr(event.connection._link._transport, "_shared", None) is not None
    event.connection.send([type(reactor).__name__, is_shared, event.data.message])

port = reactor.listenTCP(0, Site(signals.resource(app.resource())), interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
print("clean", len(reactor.getReaders()), flush=True)
"""

REACTORS = {
    "epoll": "EPollReactor",
    "poll": "PollReactor",
    "select": "SelectReactor",
    "asyncio": "AsyncioSelectorReactor",
}


@pytest.mark.skipif(not READS_TOGETHER, reason="nothing is read together here")
@pytest.mark.parametrize(
    ("kind", "fast"), [("epoll", "on"), ("poll", "on"), ("select", "on"), ("asyncio", "on"), ("epoll", "off")]
)
def test_other_reactors(kind: str, fast: str) -> None:
    """S16.8: whatever reactor watches descriptors, clients are answered; PODE_SIGNALS_FAST=off does without."""
    environment = {**os.environ, "PODE_SIGNALS_FAST": fast}
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        port = int(program.stdout.readline())
        talking = [websocket.create_connection(f"ws://127.0.0.1:{port}/msg", timeout=LIMIT_SECONDS) for _ in range(3)]
        for each in talking:
            each.send('{"message": "first"}')
            each.recv()
        for _ in range(3):
            for number, each in enumerate(talking):
                each.send(f'{{"message": {number}}}')
            shared = str(fast == "on").lower()
            assert [each.recv() for each in talking] == [
                f'["{REACTORS[kind]}",{shared},{number}]' for number in range(3)
            ]
        talking.pop().close()
        talking.pop().sock.close()
        talking[0].send('{"message": "last"}')
        assert talking[0].recv().endswith('"last"]')
    finally:
        program.terminate()
        out, errors = program.communicate(timeout=LIMIT_SECONDS)
    talking[0].sock.close()
    assert out == "clean 0\n" or out.startswith("clean"), errors
    assert "Traceback" not in errors, errors
