"""The order of a start and of a stop, as those see it who watch."""

from __future__ import annotations

from typing import Any

import pytest
from operated import Operated
from served import fired
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone

from pode_signals.service import ServiceState

HANDSHAKE = (
    b"GET /msg HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CLOSE_GOING_AWAY = b"\x03\xe9"  # 1001


def started(**more: Any) -> Operated:
    operated = Operated(**more)
    operated.service.startService()
    return operated


def test_operations_come_first() -> None:
    """O2.4: the ports of the operations are bound before those of the application."""
    operated = started()
    assert [port.getHost().port for port in operated.reactor.ports] == [8092, 8091]


def test_a_stop_can_be_watched() -> None:
    """O2.4: at a stop ``/readyz`` says so at once, and until the last client is gone; then its port is closed too."""
    operated = started()
    client = operated.talk(HANDSHAKE)
    stopped = operated.service.stopService()
    assert operated.ready() == (503, "draining")
    assert operated.ask("/livez").status == 200
    assert set(operated.reactor.listening) == {8092}
    assert CLOSE_GOING_AWAY in client.value()
    operated.reactor.pump([1.0] * 20)
    assert operated.ready() == (503, "draining")
    assert operated.codes() == ["draining"]
    assert not fired(stopped)
    client.protocol.connectionLost(connectionDone)
    assert fired(stopped)
    assert operated.reactor.listening == {}


def test_services_that_were_added_are_watched() -> None:
    """O2.4: the ports of the operations outlive the services that were added to the service."""
    operated = started()
    ends: Deferred[None] = Deferred()

    class Slow(Service):
        def stopService(self) -> Deferred[None]:
            return ends

    Slow().setServiceParent(operated.service)
    stopped = operated.service.stopService()
    assert set(operated.reactor.listening) == {8092}
    assert operated.ready() == (503, "draining")
    ends.callback(None)
    assert fired(stopped)
    assert operated.reactor.listening == {}


def test_an_open_connection_of_a_watcher() -> None:
    """O2.4: who watches by a connection that was open gets the answer, on the application's ports as well."""
    operated = started(health_on_application=True)
    request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    watchers = [operated.talk(request, port) for port in (8091, 8092)]
    client = operated.talk(HANDSHAKE)
    operated.service.stopService()
    for watcher in watchers:
        watcher.clear()
        watcher.protocol.dataReceived(request)
        assert b" 503 " in watcher.value()
        assert b'"status": "draining"' in watcher.value()
    # The one on the application's port is to go.
    assert [b"Connection: close" in watcher.value() for watcher in watchers] == [True, False]
    client.protocol.connectionLost(connectionDone)


def test_a_lame_duck() -> None:
    """O2.4: for ``lame_duck_seconds`` the ports take clients as before, while ``/readyz`` says that it stops."""
    operated = started(lame_duck_seconds=5, drain_seconds=3)
    before = operated.talk(HANDSHAKE)
    stopped = operated.service.stopService()
    assert operated.service.state is ServiceState.DRAINING
    assert operated.ready() == (503, "draining")
    operated.reactor.advance(4.9)
    assert CLOSE_GOING_AWAY not in before.value()
    late = operated.talk(HANDSHAKE)
    assert b" 101 " in late.value()
    assert b"Connection: close" not in late.value()
    page = operated.talk(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert page.value().endswith(b"hello")
    assert b"Connection: close" in page.value()
    assert page.disconnecting
    operated.reactor.advance(0.2)
    assert set(operated.reactor.listening) == {8092}
    assert CLOSE_GOING_AWAY in before.value() + late.value()
    # The clients have their whole time after that.
    operated.reactor.pump([0.1] * 28)
    assert not before.disconnecting
    operated.reactor.pump([0.1] * 3)
    assert before.disconnecting
    for client in (before, late):
        client.protocol.connectionLost(connectionDone)
    assert fired(stopped)


def test_an_event_stream_of_a_lame_duck() -> None:
    """O2.4: a stream of server-sent events that begins in this time goes on, too."""
    operated = started(lame_duck_seconds=5, settings={"allow_sse": True})
    operated.service.stopService()
    accept = b"Accept: text/event-stream\r\n"
    stream = operated.talk(b"GET /msg HTTP/1.1\r\nHost: localhost\r\n" + accept + b"\r\n")
    assert stream.value().startswith(b"HTTP/1.1 200 ")
    operated.signals.send("late", name="Msg")
    operated.reactor.advance(0)
    assert b"data: late" in stream.value()
    assert not stream.disconnecting


def test_a_refused_handshake_of_a_lame_duck() -> None:
    """O2.4: a handshake that is refused in this time closes its connection, as other answers do."""
    operated = started(lame_duck_seconds=5)
    operated.service.stopService()
    client = operated.talk(
        HANDSHAKE.replace(b"Upgrade: websocket", b"Origin: http://evil.example\r\nUpgrade: websocket")
    )
    assert client.value().startswith(b"HTTP/1.1 403 ")
    assert b"Connection: close" in client.value()
    assert client.disconnecting


def test_a_stop_waits_for_the_last_port() -> None:
    """O2.4: the stop is over when the ports of the operations are closed."""
    operated = started()
    closed: Deferred[None] = Deferred()
    operated.reactor.ports[0].stopListening = lambda: closed
    stopped = operated.service.stopService()
    assert not fired(stopped)
    closed.callback(None)
    assert fired(stopped)


def test_a_second_stop_of_a_lame_duck() -> None:
    """O2.4: a second stop waits for nothing."""
    operated = started(lame_duck_seconds=5)
    client = operated.talk(HANDSHAKE)
    first = operated.service.stopService()
    operated.reactor.advance(1)
    second = operated.service.stopService()
    assert client.disconnecting
    client.protocol.connectionLost(connectionDone)
    assert fired(first)
    assert fired(second)
    assert operated.reactor.listening == {}
    assert operated.reactor.getDelayedCalls() == []


def test_no_lame_duck_by_default() -> None:
    """O2.4: unless it is asked for, nothing is waited for before the ports close."""
    operated = started()
    operated.service.stopService()
    assert operated.reactor.listening == {}


@pytest.mark.parametrize("lame_duck_seconds", [-1, float("nan"), float("inf"), "5", None, True])
def test_no_number_of_seconds(lame_duck_seconds: Any) -> None:
    """O2.4: what is no number of seconds is refused where the service is made."""
    with pytest.raises(ValueError, match="lame_duck_seconds has to be"):
        Operated(lame_duck_seconds=lame_duck_seconds)


def test_stopped_and_started_again() -> None:
    """O2.4: a service that has stopped can be started again, with its operations."""
    operated = started()
    for _ in range(2):
        assert fired(operated.service.stopService())
        operated.service.startService()
        assert operated.ready() == (200, "ready")
        assert set(operated.reactor.listening) == {8091, 8092}
