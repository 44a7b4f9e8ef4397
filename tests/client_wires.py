"""Clients on a clock, sockets in memory, and servers at their other end. Nothing in here is a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from client_sessions import hello_document
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from pode_signals.client import ClientEvent, SignalClient

__all__ = ["ClientWorld", "Outcome", "Refusing", "ScriptedServer", "Wire", "gathered", "joined", "run"]


@implementer(ITransport, IConsumer)
class Wire:
    """One end of a socket. What is written comes to the other end in a later turn.

    Attributes:
        other: the other end.
        protocol: who has this end.
        is_reading: whether what comes is read.
        producer: who is told when this end takes no more.
    """

    other: Wire

    def __init__(self, clock: Clock) -> None:
        self.protocol: Any = None
        self.is_reading = True
        self.producer: Any = None
        self.disconnecting = False
        self._clock = clock
        self._unread: list[bytes | Exception] = []
        self._has_ended = False

    def write(self, data: bytes) -> None:
        if not self.disconnecting:
            self.other._comes(data)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        # A transport that has a producer does not close.
        assert self.producer is None
        self._end(ConnectionDone(), ConnectionDone())

    def abortConnection(self) -> None:
        self._unread.clear()
        self._end(ConnectionAborted(), ConnectionLost())

    def pauseProducing(self) -> None:
        self.is_reading = False

    def resumeProducing(self) -> None:
        self.is_reading = True
        self._clock.callLater(0, self._read)

    def stopProducing(self) -> None:
        self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "203.0.113.7", 50_000)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 8_091)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """What is written is there at once."""

    def _end(self, here: Exception, there: Exception) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self.other._comes(there)
            self._clock.callLater(0, self._lost, here)

    def _comes(self, what: bytes | Exception) -> None:
        self._unread.append(what)
        self._clock.callLater(0, self._read)

    def _read(self) -> None:
        while self._unread and self.is_reading and not self._has_ended:
            what = self._unread.pop(0)
            if isinstance(what, bytes):
                self.protocol.dataReceived(what)
            else:
                self.disconnecting = True
                self._lost(what)

    def _lost(self, reason: Exception) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.protocol.connectionLost(Failure(reason))


def joined(clock: Clock, client: Any, server: Any) -> tuple[Wire, Wire]:
    """A socket between two protocols; gives the client's end and the server's."""
    near, far = Wire(clock), Wire(clock)
    near.other, far.other = far, near
    near.protocol, far.protocol = client, server
    server.makeConnection(far)
    client.makeConnection(near)
    return near, far


class ScriptedServer(WebSocketServerProtocol):
    """A server that says what a test has it say.

    Attributes:
        texts: what the client has sent.
        path: where the client wanted to connect, and what it offered and said in its handshake.
        closed_by_client: code and reason of the client's close frame.
    """

    chooses: str | None = "pode.signals.v1"

    def __init__(self, hello: dict[str, Any] | None) -> None:
        super().__init__()
        self.texts: list[dict[str, Any]] = []
        self.closed_by_client: int | None = None
        self.is_lost = False
        self._hello = hello

    def onConnect(self, request: Any) -> str | None:
        self.request = request
        return self.chooses

    def onOpen(self) -> None:
        if self._hello is not None:
            self.says(**self._hello)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.texts.append(json.loads(payload))

    def onCloseFrame(self, code: Any, reasonRaw: Any) -> Any:
        self.closed_by_client = code
        return super().onCloseFrame(code, reasonRaw)

    def connectionLost(self, reason: Any = None) -> None:
        self.is_lost = True
        super().connectionLost(reason)

    def says(self, **document: Any) -> None:
        """Send a frame."""
        self.sendMessage(json.dumps(document).encode())

    def signal(self, data: Any, **fields: Any) -> None:
        """Send a signal."""
        self.says(type="signal", data=data, **fields)

    def closes(self, code: int | None, reason: str = "") -> None:
        """Begin with a close frame, of whatever code."""
        self.sendCloseFrame(code=code, reasonUtf8=reason.encode() if code is not None else None)

    def cut(self) -> None:
        """Break the connection."""
        self.transport.abortConnection()


class Refusing(Protocol):
    """A server that answers a handshake with these bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self._answer)  # type: ignore[union-attr]


class ClientWorld:
    """A client, and the servers that it connects to, one for each attempt.

    Args:
        makes: makes the server of the next attempt; None refuses the connection.
        options: for the client.

    Attributes:
        client: the client.
        servers: the servers so far.
        wires: the client's end of each socket.
        urls: the URL of each attempt.
    """

    def __init__(
        self, makes: Callable[[], Any] | None = None, *, url: Any = "ws://example.com/room", **options: Any
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.hello = hello_document()
        self.makes: Callable[[], Any] = self.scripted if makes is None else makes
        self.servers: list[Any] = []
        self.wires: list[Wire] = []
        self.urls: list[str] = []
        self.client = SignalClient(url, reactor=self.clock, connect=self._endpoint, random=Random(1), **options)

    @property
    def server(self) -> Any:
        """The server of the last attempt."""
        return self.servers[-1]

    @property
    def wire(self) -> Wire:
        """The client's end of the last socket."""
        return self.wires[-1]

    def scripted(self) -> ScriptedServer:
        """A scripted server, which begins with this world's hello."""
        return served_by(ScriptedServer(self.hello))

    def start(self) -> ClientWorld:
        """Start the client, and let it be greeted."""
        self.client.startService()
        return self.turn()

    def turn(self, seconds: float = 0) -> ClientWorld:
        """Let time pass, at least all turns until nothing happens any more."""
        # What is on its way comes first.
        self.clock.advance(0)
        self.clock.advance(seconds)
        return self

    def _endpoint(self, url: str) -> Any:
        self.urls.append(url)
        return self

    def connect(self, factory: Factory) -> Deferred[Any]:
        """The endpoint's own method."""
        server = self.makes()
        if server is None:
            return fail(ConnectionLost("refused"))
        if isinstance(server, Deferred):
            return server
        self.servers.append(server)
        client = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 8_091))
        self.wires.append(joined(self.clock, client, server)[0])
        return succeed(client)


def served_by(protocol: WebSocketServerProtocol) -> Any:
    """A server of Autobahn without timers."""
    factory = WebSocketServerFactory(reactor=Clock())
    factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0, failByDrop=False, webStatus=False)
    protocol.factory = factory
    return protocol


class Outcome:
    """What a coroutine of an application comes to.

    Attributes:
        result: what it has returned, or what it has raised; ``waiting`` before.
    """

    waiting = object()

    def __init__(self, deferred: Deferred[Any]) -> None:
        self.result: Any = self.waiting
        self.deferred = deferred
        deferred.addBoth(self._set)

    def _set(self, result: Any) -> None:
        self.result = result.value if isinstance(result, Failure) else result


def run(coroutine: Coroutine[Any, Any, Any]) -> Outcome:
    """Have Twisted run a coroutine."""
    return Outcome(Deferred.fromCoroutine(coroutine))


async def gathered(client: SignalClient, into: list[ClientEvent]) -> None:
    """Take events for ever."""
    async for event in client:
        into += [event]
