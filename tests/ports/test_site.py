from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.web.resource import Resource

from pode_signals import Signals
from pode_signals.core.endpoints import Endpoint
from pode_signals.ports.listeners import Listener
from pode_signals.ports.request_limits import RequestLimits
from pode_signals.ports.site import SignalSite
from pode_signals.signals import hub_of

CLIENT = IPv4Address("TCP", "192.0.2.1", 5555)


class Echo(Resource):
    """Answers with the path."""

    isLeaf = True

    def render_GET(self, request) -> bytes:
        return request.path


class Client:
    """A client of a site, in memory."""

    def __init__(self, site: SignalSite, address: IAddress = CLIENT) -> None:
        self.transport = StringTransport(peerAddress=address)
        self.channel = site.buildProtocol(address)
        self.channel.makeConnection(self.transport)

    def get(self, target: bytes) -> bytes:
        """The answer to a request."""
        self.transport.clear()
        self.channel.dataReceived(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return self.transport.value()


@pytest.fixture
def clock() -> MemoryReactorClock:
    return MemoryReactorClock()


@pytest.fixture
def site(clock: MemoryReactorClock) -> SignalSite:
    site = SignalSite(
        Echo(),
        listener=Listener((Endpoint("http"),)),
        timeout_seconds=10,
        clock=clock,
        limits=RequestLimits(hub_of(Signals(clock=clock))),
    )
    site.is_open = True
    return site


@pytest.fixture
def lines():
    """What is logged."""
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        if "SignalSite" in event.get("log_namespace", ""):
            found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def test_no_http2(site: SignalSite) -> None:
    """S2.2: HTTP/2 is never negotiated."""
    assert site.acceptableProtocols() == [b"http/1.1"]


def test_a_closed_site_answers_503(site: SignalSite) -> None:
    """S12.2: before the service is ready and while it stops, every request gets 503, Retry-After and an end."""
    site.is_open = False
    client = Client(site)
    answer = client.get(b"/x")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in answer
    assert b"Connection: close" in answer
    assert client.transport.disconnecting


def test_an_open_site_keeps_connections(site: SignalSite) -> None:
    """S12.2: once the service is ready, requests are served, several on one connection."""
    client = Client(site)
    assert client.get(b"/a").endswith(b"/a")
    assert client.get(b"/b").endswith(b"/b")
    site.is_open = False
    assert b" 503 " in client.get(b"/c")


def test_an_unused_connection_ends(site: SignalSite, clock: MemoryReactorClock) -> None:
    """S16: a client that takes too long over the head of its request is sent away."""
    client = Client(site)
    clock.advance(9)
    assert not client.transport.disconnecting
    clock.advance(2)
    assert client.transport.disconnecting


def test_the_access_log_has_no_query(site: SignalSite, lines: list[str]) -> None:
    """S2.6: a request is one line in the access log, without its query, which may hold a token."""
    Client(site).get(b"/a/b?token=secret")
    assert lines == ['192.0.2.1 "GET /a/b" 200 4']


def test_the_access_log_is_one_line(site: SignalSite, lines: list[str]) -> None:
    """S16: nothing in a path can forge a line of the log or speak to a terminal."""
    Client(site).get(b'/\x9b2J\x7f"\\')
    assert lines == [r'192.0.2.1 "GET /\x9b2J\x7f\x22\x5c" 200 7']


def test_the_access_log_of_a_unix_socket(site: SignalSite, lines: list[str]) -> None:
    """S1.6: a client of a UNIX socket has no address in the access log."""
    Client(site, UNIXAddress(None)).get(b"/")
    assert lines == ['- "GET /" 200 1']


def test_nothing_runs_while_nothing_happens(site: SignalSite, clock: MemoryReactorClock) -> None:
    """S12.2: a site without clients leaves the reactor alone."""
    site.doStart()
    assert clock.getDelayedCalls() == []
    site.doStop()
