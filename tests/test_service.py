from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from klein import Klein
from served import PAGE, SOCKET, Served, fired
from twisted.application.service import Application, IService, IServiceCollection, MultiService, Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.web.resource import Resource

from pode_signals.core.endpoints import Endpoint
from pode_signals.core.model import Unrouted
from pode_signals.errors import ConfigurationInvalid
from pode_signals.service import ServiceState, SignalsService
from pode_signals.signals import Signals, hub_of

HANDSHAKE = (
    b"GET /msg HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CLOSE_GOING_AWAY = b"\x03\xe9"  # 1001


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

    # As a plugin of Twisted's for endpoint strings may have it.
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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            lambda signals: (signals, Klein(), [PAGE]),
            "the resource of SignalsService is a Klein: write app.resource() in place of app",
        ),
        (
            lambda signals: (signals, "page", [PAGE]),
            "the resource of SignalsService is a str, which is no resource of twisted.web",
        ),
        (
            lambda signals: (signals, Klein().resource, [PAGE]),
            "the resource of SignalsService is a method, which is no resource of twisted.web; call it: app.resource()",
        ),
        (
            lambda signals: (signals, Resource, [PAGE]),
            "the resource of SignalsService is the class Resource: make an instance",
        ),
        (
            lambda signals: (Resource(), signals, [PAGE]),
            "the first argument of SignalsService is the Signals, not a Resource",
        ),
        (
            lambda signals: (signals, Resource(), ["http://localhost:8091"]),
            "endpoints has a text in place of an endpoint: write Endpoint.parse('http://localhost:8091')",
        ),
        (
            lambda signals: (signals, Resource(), PAGE),
            "endpoints has to be a list of endpoints: put the endpoint http tcp:8091:interface=127.0.0.1 in brackets",
        ),
    ],
)
def test_mistakes_of_the_programmer(arguments: Callable[[Signals], Any], sentence: str) -> None:
    """S20.1: an argument of a service that is something else is refused at its line, in a sentence."""
    with pytest.raises(ConfigurationInvalid) as refused:
        SignalsService(*arguments(Signals(clock=Clock())))
    assert str(refused.value) == sentence


def test_a_resource_of_ones_own() -> None:
    """S12.2: whatever has what a resource has is one, whether it names Twisted's class or not."""

    class Mine:
        isLeaf = True

        def getChildWithDefault(self, name: bytes, request: object) -> object:
            return self

        def render(self, request: object) -> bytes:
            return b"mine"

    served = Served()
    served.service = SignalsService(served.signals, Mine(), [PAGE], reactor=served.reactor)
    served.service.startService()
    assert b"mine" in served.get()


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
    assert lines[1] == f"no WebSocket can connect: there is no ws or wss endpoint beside {PAGE}"


def test_no_endpoint_at_all(lines: list[str]) -> None:
    """S20.2: a service without endpoints says at its start that nobody can connect."""
    served = Served()
    SignalsService(served.signals, Resource(), [], reactor=served.reactor).startService()
    assert lines[1:] == ["no client can connect: the service has no endpoints"]


def test_an_endpoint_that_pages_alone_reach(lines: list[str]) -> None:
    """S20.2: where a port takes no WebSocket connections, and another one does, a line at the start says which."""
    lonely = Endpoint("http", listen="tcp:8092:interface=127.0.0.1")
    Served(PAGE, SOCKET, lonely).service.startService()
    assert len(lines) == 2
    assert lines[1] == (f"no WebSocket can connect to {lonely}: no ws or wss endpoint has the same address and port")


def test_a_signal_route_tied_to_an_endpoint_for_pages(lines: list[str]) -> None:
    """S20.2: a signal route that no message can reach, since its endpoint is for pages, is told at the start."""
    served = Served(evolve(PAGE, name="admin"), evolve(SOCKET, name="admin-ws"))
    for endpoint in ("admin", "admin-ws", "elsewhere", None):
        served.signals.add_route("/status", print, endpoint=endpoint)
    served.service.startService()
    assert len(lines) == 2
    assert lines[1] == "the signal route /status gets no messages: its endpoint admin takes no WebSockets"


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


def test_a_stop_and_acknowledged_sends() -> None:
    """P69: when a service has stopped nobody can answer any more, so no acknowledged send waits for its timeout."""
    served = Served()
    served.signals.keep_history("Msg")
    served.service.startService()
    offer = b"Sec-WebSocket-Protocol: pode.signals.v1\r\n\r\n"
    client = served.talk(HANDSHAKE.removesuffix(b"\r\n") + offer)
    assert b"hello" in client.value()
    delivery = served.signals.send("x", name="Msg", acknowledge=True, timeout=60)
    stopped = served.service.stopService()
    client.protocol.dataReceived(b"\x88\x82\0\0\0\0\x03\xe9")
    client.protocol.connectionLost(connectionDone)
    assert fired(stopped)
    assert len(delivery.gone) == 1


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
    served.reactor.ports[0].stopListening = lambda: closed
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
