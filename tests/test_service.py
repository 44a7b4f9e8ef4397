from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import evolve
from twisted.application.service import Application, IService, IServiceCollection, MultiService, Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.web.resource import Resource

from pode_signals.core.model import Unrouted
from pode_signals.errors import ConfigurationInvalid
from pode_signals.ports.endpoints import Endpoint
from pode_signals.service import ServiceState, SignalsService
from pode_signals.signals import Signals, hub_of

PAGE = Endpoint("http", listen="tcp:8091:interface=127.0.0.1")
SOCKET = Endpoint("ws", listen="tcp:8091:interface=127.0.0.1")
HANDSHAKE = (
    b"GET /msg HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CLOSE_GOING_AWAY = b"\x03\xe9"  # 1001


class Reactor(MemoryReactorClock):
    """A reactor in memory whose ports know whether they are open."""

    def __init__(self, taken: Sequence[int] = ()) -> None:
        super().__init__()
        self.taken = set(taken)
        self.listening: dict[int, object] = {}

    def listenTCP(self, port: int, factory, backlog: int = 50, interface: str = ""):
        if port in self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        self.listening[port] = factory
        made = super().listenTCP(port, factory, backlog, interface)
        made._hostAddress = IPv4Address("TCP", interface, port)
        made.stopListening = lambda: self.listening.pop(port, None)
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

    def __init__(self, *endpoints: Endpoint, taken: Sequence[int] = (), drain_seconds: float = 30) -> None:
        self.reactor = Reactor(taken)
        self.signals = Signals(clock=self.reactor)
        self.service = SignalsService(
            self.signals,
            Root(self.signals),
            endpoints or (PAGE, SOCKET),
            reactor=self.reactor,
            drain_seconds=drain_seconds,
        )

    def talk(self, request: bytes, port: int = 8091) -> StringTransport:
        """A client that sends something to a port."""
        transport = StringTransport(IPv4Address("TCP", "127.0.0.1", 8091), IPv4Address("TCP", "127.0.0.1", 5))
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


@pytest.fixture
def lines():
    """What the service logs."""
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("pode_signals.service"):
            found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def fired(deferred: Deferred[None]) -> bool:
    """Whether a Deferred has fired; a failure is raised."""
    results: list[object] = []
    deferred.addCallback(results.append)
    return bool(results)


def test_it_is_a_service() -> None:
    """S12.2: it can be given to any application of Twisted."""
    served = Served()
    application = Application("test")
    served.service.setServiceParent(IServiceCollection(application))
    IService(application).privilegedStartService()
    IService(application).startService()
    assert b"hello" in served.get()
    assert fired(IService(application).stopService())


def test_bound_early_and_served_late() -> None:
    """S12.2: ports are bound in ``privilegedStartService`` and answer 503 until the service has started."""
    served = Served()
    assert served.service.state is ServiceState.STOPPED
    served.service.privilegedStartService()
    assert served.service.state is ServiceState.STARTING
    assert b" 503 " in served.get()
    assert b" 503 " in served.talk(HANDSHAKE).value()
    served.service.startService()
    assert served.service.state is ServiceState.READY
    assert b"hello" in served.get()
    assert b" 101 " in served.talk(HANDSHAKE).value()


def test_start_without_privileges() -> None:
    """S12.2: ``startService`` alone binds too, as twist calls it."""
    served = Served()
    served.service.startService()
    assert len(served.reactor.tcpServers) == 1
    assert b"hello" in served.get()


def test_a_port_that_is_not_bound_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.6: a Twisted endpoint string whose port comes later is refused at the start, and given up."""
    given_up: list[Deferred[None]] = []

    class Later:
        def listen(self, factory: object) -> Deferred[None]:
            return Deferred(given_up.append)

    monkeypatch.setattr("pode_signals.ports.listening.serverFromString", lambda _reactor, _listen: Later())
    served = Served()
    with pytest.raises(ConfigurationInvalid, match="is not bound at once"):
        served.service.startService()
    assert len(given_up) == 1
    assert served.service.state is ServiceState.STOPPED


def test_the_backlog() -> None:
    """S1.6: a Twisted endpoint string says everything about its port itself."""
    served = Served(Endpoint("http", listen="tcp:8091:backlog=7"))
    served.service.startService()
    assert served.reactor.tcpServers[0][2] == 7


def test_a_taken_port() -> None:
    """S12.2: where one port is taken the start raises, the other ports are let go, and a later start works."""
    served = Served(PAGE, Endpoint("http", listen="tcp:8092"), taken=[8092])
    with pytest.raises(CannotListenError):
        served.service.privilegedStartService()
    assert served.reactor.listening == {}
    assert served.service.state is ServiceState.STOPPED
    assert hub_of(served.signals).own_ports == set()
    served.reactor.taken.clear()
    served.service.startService()
    assert set(served.reactor.listening) == {8091, 8092}


def test_endpoints_that_can_not_be() -> None:
    """S1.2: endpoints that do not go together are refused when the service is made."""
    with pytest.raises(ConfigurationInvalid):
        Served(Endpoint("http", port=80), Endpoint("wss", port=80))


@pytest.mark.parametrize("listen", ["tcp:x", "bad:8091", "tcp", "systemd:domain=INET:name=absent"])
def test_a_bad_endpoint_string(listen: str) -> None:
    """S1.6: a Twisted endpoint string that can't be used is found by the check and at the start."""
    served = Served(Endpoint("http", listen=listen))
    for call in (served.service.check, served.service.startService):
        with pytest.raises(ConfigurationInvalid, match=listen):
            call()
    assert served.service.state is ServiceState.STOPPED


def test_addresses_and_own_ports() -> None:
    """S1.6: the service tells what it is bound to, and pages from its HTTP ports may connect."""
    lonely = Endpoint("ws", listen="tcp:8092:interface=127.0.0.1")
    served = Served(PAGE, SOCKET, lonely)
    served.service.startService()
    expected = IPv4Address("TCP", "127.0.0.1", 8091)
    assert served.service.addresses[PAGE] == served.service.addresses[SOCKET] == (expected,)
    assert served.service.addresses[lonely][0].port == 8092
    assert hub_of(served.signals).own_ports == {8091}
    served.service.stopService()
    assert served.service.addresses == {PAGE: (), SOCKET: (), lonely: ()}
    assert hub_of(served.signals).own_ports == set()


def test_one_line_at_start(lines: list[str]) -> None:
    """S5.4: at start the service says in one line what listens where and what becomes of unrouted messages."""
    served = Served()
    served.signals.unrouted = Unrouted.DROP
    served.service.startService()
    assert lines == ["listening: http+ws on 127.0.0.1:8091; client messages without a signal route: drop"]


def test_no_endpoint_for_websockets(lines: list[str]) -> None:
    """S20.2: a service whose endpoints let no WebSocket connection in says so when it starts."""
    Served(PAGE).service.startService()
    assert len(lines) == 2
    assert "no WebSocket connection gets in" in lines[1]
    assert str(PAGE) in lines[1]


def test_an_endpoint_that_pages_alone_reach(lines: list[str]) -> None:
    """S20.2: where a port takes no WebSocket connections, and another one does, a line at the start says which."""
    lonely = Endpoint("http", listen="tcp:8092:interface=127.0.0.1")
    Served(PAGE, SOCKET, lonely).service.startService()
    assert len(lines) == 2
    assert f"pages alone reach {lonely}:" in lines[1]
    assert str(PAGE) not in lines[1]


def test_a_signal_route_tied_to_an_endpoint_for_pages(lines: list[str]) -> None:
    """S20.2: a signal route that no message can reach, since its endpoint is for pages, is told at the start."""
    served = Served(evolve(PAGE, name="admin"), evolve(SOCKET, name="admin-ws"))
    for endpoint in ("admin", "admin-ws", "elsewhere", None):
        served.signals.add_route("/status", print, endpoint=endpoint)
    served.service.startService()
    assert len(lines) == 2
    assert "/status" in lines[1]
    assert "is admin, which is for pages" in lines[1]


def test_stop_closes_ports_and_tells_clients() -> None:
    """S12.2: at a stop the ports close, clients get 1001, newcomers on open connections 503, and then all is down."""
    served = Served()
    served.service.startService()
    client, idle = served.talk(HANDSHAKE), served.talk(b"")
    client.clear()
    stopped = served.service.stopService()
    assert served.service.state is ServiceState.DRAINING
    assert served.reactor.listening == {}
    assert CLOSE_GOING_AWAY in client.value()
    idle.protocol.dataReceived(HANDSHAKE)
    assert b" 503 " in idle.value()
    assert not fired(stopped)
    client.protocol.dataReceived(b"\x88\x82\0\0\0\0\x03\xe9")
    client.protocol.connectionLost(connectionDone)
    assert fired(stopped)
    assert served.service.state is ServiceState.STOPPED


def test_a_second_stop() -> None:
    """S12.2: a second stop waits for no client."""
    served = Served()
    served.service.startService()
    client = served.talk(HANDSHAKE)
    first = served.service.stopService()
    served.reactor.advance(1)
    assert not client.disconnecting
    second = served.service.stopService()
    assert client.disconnecting
    client.protocol.connectionLost(connectionDone)
    assert fired(first)
    assert fired(second)


def test_a_stop_ends_in_time() -> None:
    """S12.2: clients that do not answer are aborted after ``drain_seconds``."""
    served = Served(drain_seconds=3)
    served.service.startService()
    client = served.talk(HANDSHAKE)
    stopped = served.service.stopService()
    served.reactor.pump([0.1] * 29)
    assert not client.disconnecting
    served.reactor.pump([0.1] * 2)
    assert client.disconnecting
    client.protocol.connectionLost(connectionDone)
    assert fired(stopped)


def test_schedules_run_while_it_is_ready() -> None:
    """S12.2: schedules start with the service and stop with it; one that still runs is waited for, not for ever."""
    served = Served(drain_seconds=10)
    runs: list[Deferred[None]] = []

    @served.signals.timer("tick", interval=1)
    def tick() -> Deferred[None]:
        runs.append(Deferred())
        return runs[-1]

    served.reactor.pump([0.5] * 6)
    assert not runs
    served.service.startService()
    served.reactor.pump([0.5] * 3)
    assert len(runs) == 1
    stopped = served.service.stopService()
    served.reactor.pump([0.5] * 18)
    assert not fired(stopped)
    served.reactor.pump([0.5] * 3)
    assert fired(stopped)
    assert len(runs) == 1


def test_a_second_stop_cancels_schedules() -> None:
    """S12.2: a second stop does not wait for functions of schedules."""
    served = Served()
    cancelled: list[object] = []

    @served.signals.timer("tick", interval=1)
    def tick() -> Deferred[None]:
        return Deferred(cancelled.append)

    served.service.startService()
    served.reactor.pump([0.5] * 3)
    stopped = served.service.stopService()
    assert not fired(stopped)
    served.service.stopService()
    assert cancelled
    assert fired(stopped)


def test_a_second_stop_while_ports_close() -> None:
    """S12.2: a second stop counts, too, that comes before the schedules are told."""
    served = Served()
    closed: Deferred[None] = Deferred()

    @served.signals.timer("tick", interval=1)
    def tick() -> Deferred[None]:
        return Deferred()

    served.service.startService()
    served.reactor.pump([0.5] * 3)
    served.service._ports[0].stopListening = lambda: closed
    stopped = served.service.stopService()
    served.service.stopService()
    closed.callback(None)
    served.reactor.advance(0.1)
    assert fired(stopped)


def test_services_of_the_application() -> None:
    """S12.2: services that were added stop after the clients are gone, and their end is waited for."""
    served = Served()
    events: list[str] = []
    end: Deferred[None] = Deferred()

    class Child(Service):
        def startService(self) -> None:
            events.append("start")

        def stopService(self) -> Deferred[None]:
            events.append("stop")
            return end

    Child().setServiceParent(served.service)
    served.service.startService()
    client = served.talk(HANDSHAKE)
    stopped = served.service.stopService()
    assert events == ["start"]
    client.protocol.connectionLost(connectionDone)
    assert events == ["start", "stop"]
    assert not fired(stopped)
    end.callback(None)
    assert fired(stopped)


def test_stopped_and_started_again() -> None:
    """S12.2: a service that was stopped can be started again; what was open in between stays closed."""
    served = Served()
    served.service.startService()
    idle = served.talk(b"")
    assert fired(served.service.stopService())
    served.service.startService()
    assert b"hello" in served.get()
    assert b" 101 " in served.talk(HANDSHAKE).value()
    idle.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 503 " in idle.value()


def test_a_stop_of_what_did_not_start() -> None:
    """S12.2: stopping a service that does not run is nothing."""
    assert fired(Served().service.stopService())


def test_endpoints_can_be_changed_before_the_start() -> None:
    """S1.6: the endpoints can be changed while the service is stopped, and not while it runs."""
    served = Served()
    other = Endpoint("http", listen="tcp:8092")
    served.service.endpoints = (other,)
    assert served.service.endpoints == (other,)
    served.service.startService()
    assert set(served.reactor.listening) == {8092}
    with pytest.raises(RuntimeError):
        served.service.endpoints = (PAGE,)


def test_two_services_in_one_process() -> None:
    """S12.2: hubs and their services share nothing."""
    parent = MultiService()
    one, other = Served(), Served(Endpoint("http", listen="tcp:8092"))
    one.service.setServiceParent(parent)
    other.service.setServiceParent(parent)
    parent.startService()
    client = one.talk(HANDSHAKE)
    assert len(one.signals.open_connections()) == 1
    assert other.signals.open_connections() == ()
    assert fired(other.service.stopService())
    assert one.service.state is ServiceState.READY
    assert not client.disconnecting
