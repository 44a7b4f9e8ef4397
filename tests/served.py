"""A service on a reactor in memory, and a client that sends bytes to its ports. Nothing in here is a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.web.resource import Resource

from pode_signals.core.endpoints import Endpoint
from pode_signals.service import SignalsService
from pode_signals.signals import Signals

__all__ = ["PAGE", "SOCKET", "Reactor", "Root", "Served", "fired"]

PAGE = Endpoint("http", listen="tcp:8091:interface=127.0.0.1")
SOCKET = Endpoint("ws", listen="tcp:8091:interface=127.0.0.1")


class Reactor(MemoryReactorClock):
    """A reactor in memory whose ports know whether they are open.

    Attributes:
        listening: the factory of each open port, by its number.
        ports: all ports so far, as the service got them.
    """

    def __init__(self, taken: Sequence[int] = ()) -> None:
        super().__init__()
        self.taken = set(taken)
        self.listening: dict[int, object] = {}
        self.ports: list[Any] = []

    def listenTCP(self, port: int, factory, backlog: int = 50, interface: str = ""):
        if port in self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        self.listening[port] = factory
        made = super().listenTCP(port, factory, backlog, interface)
        made._hostAddress = IPv4Address("TCP", interface, port)
        made.stopListening = lambda: self.listening.pop(port, None)
        self.ports.append(made)
        return made


class Root(Resource):
    """An application: it converts ``/msg`` and answers everything else."""

    isLeaf = True

    def __init__(self, signals: Signals) -> None:
        super().__init__()
        self.signals = signals

    def render_GET(self, request) -> bytes:
        if request.path == b"/msg":
            self.signals.convert(request, name="Msg")
        return b"hello"


class Served:
    """A service on a reactor in memory."""

    def __init__(
        self,
        *endpoints: Endpoint,
        taken: Sequence[int] = (),
        drain_seconds: float = 30,
        settings: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self.reactor = Reactor(taken)
        self.signals = Signals(clock=self.reactor, **settings or {})
        self.service = SignalsService(
            self.signals,
            Root(self.signals),
            endpoints or (PAGE, SOCKET),
            reactor=self.reactor,
            drain_seconds=drain_seconds,
            **more,
        )

    def talk(self, request: bytes, port: int = 8091, address: str = "127.0.0.1") -> StringTransport:
        """A client at an address that sends something to a port."""
        transport = StringTransport(IPv4Address("TCP", "127.0.0.1", 8091), IPv4Address("TCP", address, 5))
        transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
        channel = self.reactor.listening[port].buildProtocol(transport.getPeer())  # type: ignore[attr-defined]
        transport.protocol = channel
        channel.makeConnection(transport)
        channel.dataReceived(request)
        self.reactor.advance(0)
        return transport

    def get(self) -> bytes:
        """The answer to a request for a page."""
        return self.talk(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").value()


def fired(deferred: Deferred[None]) -> bool:
    """Whether a Deferred has fired; a failure is raised."""
    results: list[object] = []
    deferred.addCallback(results.append)
    return bool(results)
