"""What of HTTP is garbage once its route has ended, while the connection goes on."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from certificate_files import issue
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.http import HTTPChannel
from web_fakes import Client, World, head, message

from pode_signals.transports.websocket import SignalProtocol
from pode_signals.web.converted import ConvertedChannel

pytestmark = pytest.mark.usefixtures("protocol")


class Tracker:
    """Knows the channels and requests of HTTP that there are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, request_class: Any) -> None:
        self.found: list[weakref.ref[Any]] = []
        for kind in (HTTPChannel, request_class, ConvertedChannel):
            monkeypatch.setattr(kind, "__init__", self._remembering(kind.__init__))

    def _remembering(self, original: Any) -> Any:
        def remembering(made: Any, *args: Any, **kwargs: Any) -> None:
            self.found.append(weakref.ref(made))
            original(made, *args, **kwargs)

        return remembering

    def left(self) -> list[str]:
        """The names of what is still there."""
        gc.collect()
        return sorted(type(each()).__name__ for each in self.found if each() is not None)


class TlsClient:
    """A client over TLS in memory: its bytes go through TLS on both sides of a wire."""

    def __init__(self, world: World, server_context: CertificateOptions) -> None:
        around: Any = TLSMemoryBIOFactory(server_context, False, world.site, clock=world.clock)
        self.world = world
        self.client = Client(cast(World, SimpleNamespace(site=around, clock=world.clock)))
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()
        self.received = b""
        self._read = 0
        for _ in range(5):
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                self.exchange()

    def exchange(self) -> None:
        """Carry bytes both ways until there are none."""
        for _ in range(20):
            with suppress(SSL.WantReadError):
                self.client.send(self._tls.bio_read(65_536))
            self.world.turn()
            data = self.client.wire.value()
            if len(data) > self._read:
                self._tls.bio_write(data[self._read :])
                self._read = len(data)
            with suppress(SSL.WantReadError, SSL.ZeroReturnError):
                self.received += self._tls.recv(65_536)

    def send(self, data: bytes) -> None:
        """Send bytes and let the answers come."""
        self._tls.send(data)
        self.exchange()


@pytest.fixture(scope="module")
def server_context() -> CertificateOptions:
    """A server's TLS."""
    issued = issue()
    return CertificateOptions(privateKey=issued.key, certificate=issued.certificate)


def request_class_of(world: World) -> Any:
    """The class of the requests of the world's site."""
    return world.site.requestFactory


@pytest.mark.parametrize("tls", [False, True])
def test_http_is_garbage(tls: bool, monkeypatch: pytest.MonkeyPatch, server_context: CertificateOptions) -> None:
    """S16.5: channel, request and their stand-in are gone with the route, while the connection goes on."""
    world = World().converting().listening()
    tracker = Tracker(monkeypatch, request_class_of(world))
    client: Any = TlsClient(world, server_context) if tls else world.client()
    client.send(head())
    world.turn()
    assert b" 101 " in client.received
    protocol = client.client.wire.protocol.wrappedProtocol if tls else client.wire.protocol
    assert isinstance(protocol, SignalProtocol)
    assert ISSLTransport.providedBy(protocol.transport) is tls
    left = tracker.left()
    assert [name for name in left if "Connect" in name or "Request" in name or "Converted" in name] == []
    assert left == []
    client.send(message("on"))
    assert world.messages == ["on"]
    world.converted[0].send("and out")
    if tls:
        client.exchange()
    assert client.received.endswith(b"\x81\x07and out")


@pytest.mark.parametrize("tls", [False, True])
def test_a_route_that_runs_on(tls: bool, monkeypatch: pytest.MonkeyPatch, server_context: CertificateOptions) -> None:
    """S2.5: a route that runs on learns that its client left; when it has ended HTTP is garbage."""
    world = World()
    told: list[object] = []
    going_on: list[Deferred[None]] = []

    @world.app.route("/msg")
    def convert(request: Any) -> Deferred[None]:
        world.converted.append(world.signals.convert(request, "Msg"))
        request.notifyFinish().addBoth(lambda _: told.append("left"))
        going_on.append(Deferred(lambda _: told.append("cancelled")))
        return going_on[-1]

    tracker = Tracker(monkeypatch, request_class_of(world))
    client: Any = TlsClient(world, server_context) if tls else world.client()
    client.send(head())
    world.turn()
    assert b" 101 " in client.received
    assert [name for name in tracker.left() if name == "ConvertedChannel"]
    assert told == []
    (client.client if tls else client).leave()
    world.turn()
    assert "left" in told
    assert world.converted[0].state.value == "closed"
    going_on.clear()
    del client
    assert "ConvertedChannel" not in tracker.left()
