"""What the tests of the web side share: a Site in memory on a clock, and the client's end of its sockets, byte by byte.

Nothing in here is a test, opens a socket or waits.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

from klein import Klein
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from pode_signals.hub.connection import SignalConnection
from pode_signals.signals import Signals
from pode_signals.testing import SignalTester

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

DEFAULTS = {"fast": True}
"""What settings a :class:`World` has that a test does not name; the fixture ``protocol`` sets it for a test."""

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455 section 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


# What a client sends.


def head(
    path: str | bytes = b"/msg",
    *more: tuple[str | bytes, str | bytes],
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    without: tuple[str, ...] = (),
) -> bytes:
    """The head of a request for an upgrade, as a browser sends it.

    Args:
        path: the target.
        more: further headers; one of a browser's own names takes the place of the browser's.
        method: the method.
        version: the version.
        without: names of a browser's headers to leave out.
    """
    extra = [(_bytes(name), _bytes(value)) for name, value in more]
    taken = {name.lower() for name, _ in extra} | {name.lower().encode() for name in without}
    browser = [
        (b"Host", b"example.com"),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"keep-alive, Upgrade"),
        (b"Sec-WebSocket-Key", KEY),
        (b"Sec-WebSocket-Version", b"13"),
    ]
    headers = [*(each for each in browser if each[0].lower() not in taken), *extra]
    lines = [b" ".join((method, _bytes(path), version)), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def plain(
    path: str | bytes, *more: tuple[str | bytes, str | bytes], method: bytes = b"GET", body: bytes = b""
) -> bytes:
    """A plain HTTP request."""
    extra = (*more, (b"Content-Length", b"%d" % len(body))) if body else more
    left_out = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
    return head(path, *extra, method=method, without=left_out) + body


def frame(
    payload: bytes | str = b"", opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """A client's frame."""
    data = _bytes(payload)
    size = len(data)
    mask_bit = 0x80 if masked else 0
    if size < 126:
        length = bytes((mask_bit | size,))
    elif size < 65_536:
        length = bytes((mask_bit | 126,)) + struct.pack("!H", size)
    else:
        length = bytes((mask_bit | 127,)) + struct.pack("!Q", size)
    first = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    if not masked:
        return first + length + data
    mask = b"\x11\x22\x33\x44"
    pad = (mask * (size // 4 + 1))[:size]
    return first + length + mask + (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def message(data: object, **keys: object) -> bytes:
    """A client's message in one text frame."""
    return frame(json.dumps({"message": data, **keys}))


def close_frame(code: int | None = 1000, reason: str | bytes = b"") -> bytes:
    """A client's close frame."""
    return frame(b"" if code is None else struct.pack("!H", code) + _bytes(reason), CLOSE)


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8") if isinstance(value, str) else value


# What a client gets.


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def values(self, name: str) -> list[bytes]:
        """All values of a header."""
        return [value for each, value in self.headers if each.lower() == name.lower().encode()]

    def value(self, name: str) -> str | None:
        """The one value of a header, None where there is none; two are an error."""
        values = self.values(name)
        assert len(values) < 2, values
        return values[0].decode("latin-1") if values else None


class Frame(NamedTuple):
    """A server's frame."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0

    @property
    def code(self) -> int | None:
        """The code of a close frame."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None

    @property
    def reason(self) -> str:
        """The reason of a close frame."""
        return self.payload[2:].decode("utf-8")


def answer_with(raw_head: bytes) -> Answer:
    """The answer that has this head, its body still missing."""
    status_line, *lines = raw_head.split(b"\r\n")
    assert status_line.startswith(b"HTTP/1."), status_line
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    return Answer(int(status_line.split(b" ")[1]), headers, b"")


def answers_in(data: bytes) -> tuple[list[Answer], bytes]:
    """The answers in what a server wrote, and what follows them; behind a 101 nothing is HTTP any more."""
    answers = []
    while b"\r\n\r\n" in data:
        raw_head, data = data.split(b"\r\n\r\n", 1)
        answer = answer_with(raw_head)
        if answer.status == 101:
            return [*answers, answer], data
        if answer.value("Transfer-Encoding") == "chunked":
            body, data = _chunks(data)
        else:
            size = int(answer.value("Content-Length") or 0)
            body, data = data[:size], data[size:]
        answers.append(answer._replace(body=body))
    return answers, data


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while data:
        size, data = data.split(b"\r\n", 1)
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
        if int(size, 16) == 0:
            break
    return body, data


def frames_in(data: bytes) -> list[Frame]:
    """The frames that a server wrote: whole and unmasked, or the test fails."""
    return list(_frames(data))


def _frames(data: bytes) -> Iterator[Frame]:
    while data:
        first, size = data[0], data[1]
        assert size < 128, "a server's frame is masked"
        start = 2
        if size == 126:
            start, size = 4, struct.unpack("!H", data[2:4])[0]
        elif size == 127:
            start, size = 10, struct.unpack("!Q", data[2:10])[0]
        payload, data = data[start : start + size], data[start + size :]
        assert len(payload) == size, "a frame is cut off"
        yield Frame(first & 15, payload, bool(first & 0x80), first >> 4 & 7)


# The two ends of a socket.


class Wire(StringTransport):
    """The server's end: it does not read while paused, and reports its end once, in a later turn.

    Attributes:
        ended: ``"closed"`` or ``"aborted"`` by the server, ``"left"`` or ``"reset"`` by the client; else None.
        produced_at_end: whether a producer was registered when the server closed it. A transport that still has one
            does not close after it was paused, and with TLS it does not close at all.
    """

    def __init__(self, clock: Clock, peer: IPv4Address | IPv6Address | UNIXAddress) -> None:
        own = (
            UNIXAddress(b"/run/chat.socket") if isinstance(peer, UNIXAddress) else IPv4Address("TCP", "192.0.2.1", 8091)
        )
        super().__init__(own, peer, lenient=True)
        self._clock = clock
        self._unread: list[bytes] = []
        self._on_write: list[Callable[[bytes], None]] = []
        self.protocol: Any = None
        self.ended: str | None = None
        self.produced_at_end = False

    def write(self, data: bytes) -> None:
        """Drop what is written after the end, as transports do."""
        if self.ended is None:
            super().write(data)

    def writeSequence(self, data: Any) -> None:
        """The same."""
        self.write(b"".join(data))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """What is written is there at once."""

    def loseConnection(self) -> None:
        """The server closes."""
        self._end("closed", ConnectionDone())

    def abortConnection(self) -> None:
        """The server resets."""
        self._end("aborted", ConnectionAborted())

    def resumeProducing(self) -> None:
        """What came in meanwhile is read in a later turn."""
        super().resumeProducing()
        if self._unread:
            self._clock.callLater(0, self.deliver)

    def deliver(self, data: bytes = b"") -> None:
        """Bytes come in; at most 64 KiB are read at once."""
        self._unread.extend(data[at : at + 65_536] for at in range(0, len(data), 65_536))
        while self._unread and self.producerState == "producing" and self.ended is None:
            self.protocol.dataReceived(self._unread.pop(0))

    def client_ends(self, ended: str, reason: Exception) -> None:
        """The client ends it: seen at once."""
        assert self.ended is None
        self.ended = ended
        self._lost(reason)

    def _end(self, ended: str, reason: Exception) -> None:
        if self.ended is None or (self.ended, ended) == ("closed", "aborted"):
            self.ended = ended
            self.disconnecting = True  # as transports say; Twisted's protocols go by it
            self.produced_at_end = self.producer is not None
            self._clock.callLater(0, self._lost, reason)

    def _lost(self, reason: Exception) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            self.connected = False
            protocol.connectionLost(Failure(reason))


class Client:
    """The client's end.

    Args:
        world: what it connects to.
        address: from where; ``unix`` is over a UNIX socket.

    Attributes:
        wire: the server's.
    """

    def __init__(self, world: World, address: str = "203.0.113.7") -> None:
        self._world = world
        peer: Any = UNIXAddress(None)
        if address != "unix":
            peer = (IPv6Address if ":" in address else IPv4Address)("TCP", address, 50_000)
        self.wire = Wire(world.clock, peer)
        self.wire.protocol = world.site.buildProtocol(peer)
        self.wire.protocol.makeConnection(self.wire)

    def send(self, *data: bytes) -> Client:
        """Send bytes, each argument in a packet of its own."""
        for each in data:
            self.wire.deliver(each)
        return self

    def ask(self, *data: bytes) -> Answer:
        """Send bytes and take the last answer that came up to the end of this turn."""
        self.send(*data)
        self._world.turn()
        return self.answers[-1]

    def open(self, path: str | bytes = b"/msg", *more: tuple[str | bytes, str | bytes]) -> Client:
        """Upgrade; the connection is open and its Connect functions have run."""
        answer = self.ask(head(path, *more))
        assert answer.status == 101, answer
        return self

    @property
    def received(self) -> bytes:
        """All that came."""
        return self.wire.value()

    @property
    def answers(self) -> list[Answer]:
        """The HTTP answers that came."""
        return answers_in(self.received)[0]

    @property
    def frames(self) -> list[Frame]:
        """The frames that came behind the 101."""
        answers, rest = answers_in(self.received)
        assert answers[-1].status == 101
        return frames_in(rest)

    @property
    def texts(self) -> list[str]:
        """The text messages that came."""
        return [each.payload.decode("utf-8") for each in self.frames if each.opcode == TEXT]

    @property
    def closed(self) -> tuple[int | None, str] | None:
        """Code and reason of the close frame that came; None where none did. Nothing may follow it."""
        *before, last = self.frames or [Frame(TEXT, b"")]
        assert all(each.opcode != CLOSE for each in before)
        return (last.code, last.reason) if last.opcode == CLOSE else None

    def leave(self) -> None:
        """End the socket in good order."""
        self.wire.client_ends("left", ConnectionDone())

    def reset(self) -> None:
        """End the socket by a reset."""
        self.wire.client_ends("reset", ConnectionLost())


class World:
    """A hub, a Klein application and a Site on one clock.

    Args:
        resource: what the Site serves; None is the Klein application. It may be set until the first client comes.
        wrapped: whether ``signals.resource(…)`` goes around it.
        auto_upgrade: for ``signals.resource(…)``.
        clock: the clock of all of them; None is one that stands still.
        settings: settings of the hub.

    Attributes:
        path: where clients connect.
        converted: the connections that the routes of :meth:`converting` made, in their order.
        messages: the messages that the routes of :meth:`listening` got, in their order.
    """

    def __init__(
        self,
        resource: Any = None,
        *,
        wrapped: bool = True,
        auto_upgrade: bool = False,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.clock = Clock() if clock is None else clock
        self.signals = Signals(clock=self.clock, **{"fast": DEFAULTS["fast"], **settings})
        self.app = Klein()
        self.path = "/msg"
        self.converted: list[SignalConnection] = []
        self.messages: list[object] = []
        self.resource = resource
        self._wrapped, self._auto_upgrade = wrapped, auto_upgrade
        self._access_log = io.StringIO()
        self._site: Site | None = None

    @property
    def site(self) -> Site:
        """The Site; made with the first client."""
        if self._site is None:
            root = IResource(self.app.resource() if self.resource is None else self.resource)
            if self._wrapped:
                root = self.signals.resource(root, auto_upgrade=self._auto_upgrade)
            self._site = Site(root, timeout=10, reactor=self.clock)
            self._site.startFactory()
            self._site.logFile = self._access_log
        return self._site

    @cached_property
    def tester(self) -> SignalTester:
        """The tester of this hub and these routes, for tests without bytes; it has to be there before any client."""
        return SignalTester(self.signals, self.app.resource() if self.resource is None else self.resource)

    @property
    def access_lines(self) -> list[str]:
        """The lines of the access log."""
        return self._access_log.getvalue().splitlines()

    def client(self, address: str = "203.0.113.7") -> Client:
        """A new socket to the Site."""
        return Client(self, address)

    def turn(self, seconds: float = 0) -> None:
        """Let the reactor's turn, or more time, pass."""
        self.clock.advance(seconds)

    def converting(self, path: str = "/msg", name: str = "Msg", **arguments: Any) -> World:
        """Add a plain route that converts and keeps the connection in ``converted``; and ``/ok``, which does not."""

        @self.app.route(path, endpoint=path)
        def convert(request: Any) -> None:
            self.converted.append(self.signals.convert(request, name, **arguments))

        @self.app.route("/ok", endpoint="/ok")
        def ok(request: Any) -> bytes:
            return b"fine"

        return self

    def listening(self, path: str = "/msg") -> World:
        """Add a signal route that keeps what it gets in ``messages``."""
        self.signals.add_route(path, lambda event: self.messages.append(event.data.message))
        return self


def converting(world: World, *paths: str) -> World:
    """Routes of Klein that convert, with parameters or without."""
    for path in paths:

        @world.app.route(path, endpoint=path)
        def convert(request: Any, **_: Any) -> None:
            world.converted.append(world.signals.convert(request, "Msg"))

    return world


def below(prefix: tuple[bytes, ...], resource: Any) -> Resource:
    """A tree that has a resource at this path."""
    root = current = Resource()
    for segment in prefix[:-1]:
        child = Resource()
        current.putChild(segment, child)
        current = child
    current.putChild(prefix[-1], resource)
    return root


def waiting_world(**arguments: Any) -> World:
    """A world whose ``/msg`` converts after a second."""
    world = World(message_burst=1_000).listening()

    @world.app.route("/msg")
    async def convert(request: Any) -> None:
        await deferLater(world.clock, 1)
        world.converted.append(world.signals.convert(request, "Msg", **arguments))

    @world.app.route("/ok")
    def ok(request: Any) -> bytes:
        return b"fine"

    return world


def route_world(route: Callable[[World, Any], Any], **settings: Any) -> World:
    """A world whose ``/msg`` is a function of the world and the request."""
    world = World(**settings).listening()

    @world.app.route("/msg")
    def convert(request: Any) -> Any:
        return route(world, request)

    return world


def failures_in(events: list[Any]) -> list[Failure]:
    """The failures among what ``twisted.logger.capturedLogs`` caught."""
    return [event["log_failure"] for event in events if event.get("log_failure") is not None]
