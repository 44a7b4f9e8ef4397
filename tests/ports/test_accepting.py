from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Port
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.unix import Port as UnixPort
from twisted.logger import capturedLogs, formatEvent

from pode_signals.core.counters import Counters
from pode_signals.hub.reports import Reports
from pode_signals.ports.accepting import PAUSE_SECONDS, Acceptance

NOTHING_LEFT = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]
OTHERS = [errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EINVAL]


class Listening:
    """A listening socket: what each accept gives or raises, and then nobody is there."""

    def __init__(self) -> None:
        self.coming: list[Any] = []
        self.asked = 0

    def accept(self) -> Any:
        self.asked += 1
        what = self.coming.pop(0) if self.coming else BlockingIOError(errno.EAGAIN, "nobody")
        if isinstance(what, OSError):
            raise what
        return what

    def fileno(self) -> int:
        return -1


class Ports:
    """Ports of a reactor that nobody runs."""

    def __init__(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.counters = Counters()
        reports = Reports(lambda: self.reactor, self.counters)
        self.acceptance = Acceptance(self.reactor, self.counters, reports)

    def port(self, make: Callable[..., Any] = Port) -> tuple[Any, Listening]:
        port, listening = make(8091, Factory.forProtocol(Protocol), reactor=self.reactor), Listening()
        port.socket, port.connected, port.numberAccepts = listening, True, 100
        port.startReading()
        self.acceptance.watch(port)
        return port, listening

    def reads(self, port: Any) -> bool:
        return port in self.reactor.getReaders()


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.mark.parametrize("number", NOTHING_LEFT, ids=errno.errorcode.get)
def test_nothing_is_left(ports: Ports, number: int) -> None:
    """S16.5: where no descriptor is left nobody is accepted for a moment, and the log says what to set."""
    port, listening = ports.port()
    listening.coming = [OSError(number, "Too many")] * 3
    with capturedLogs() as logs:
        port.doRead()
        assert (listening.asked, ports.reads(port)) == (1, False)
        ports.reactor.advance(PAUSE_SECONDS)
        assert ports.reads(port)
        port.doRead()
    (first, _second) = logs
    assert "max_connections" in formatEvent(first)
    assert "log_failure" not in first
    assert ports.counters.accepts_failed == 2


def test_a_second_of_a_flood(ports: Ports) -> None:
    """S20.4: an hour without a descriptor is ten lines a minute, and one that tells of the others."""
    port, listening = ports.port()
    with capturedLogs() as logs:
        for _ in range(3_000):
            listening.coming = [OSError(errno.EMFILE, "Too many open files")]
            port.doRead()
            ports.reactor.advance(PAUSE_SECONDS)
    assert len(logs) <= 11 * 5 + 1
    assert ports.counters.accepts_failed == 3_000


@pytest.mark.parametrize("number", OTHERS, ids=errno.errorcode.get)
def test_another_error(ports: Ports, number: int) -> None:
    """S20.4: another error of the system is told in a line without a traceback, and accepting goes on."""
    port, listening = ports.port()
    with capturedLogs() as logs:
        for _ in range(60):
            listening.coming = [OSError(number, "It failed")]
            port.doRead()
    assert ports.reads(port)
    assert len(logs) == 10
    assert all(formatEvent(event) == "a client could not be accepted: It failed" for event in logs)


def test_clients_before_the_last_descriptor(ports: Ports) -> None:
    """S16.5: who was accepted before no descriptor was left is served."""
    port, listening = ports.port()
    ours, theirs = socket.socketpair()
    try:
        ours.setblocking(False)
        served: list[Any] = []
        port.transport = lambda skt, protocol, addr, *_: served.append(addr)
        listening.coming = [(ours, ("192.0.2.1", 5)), OSError(errno.EMFILE, "Too many")]
        with capturedLogs():
            port.doRead()
        assert served == [("192.0.2.1", 5)]
        assert not ports.reads(port)
    finally:
        ours.close()
        theirs.close()


@pytest.mark.parametrize("state", ["disconnecting", "closed"])
def test_a_port_that_closes_meanwhile(ports: Ports, state: str) -> None:
    """S12.2: a port that closes while it waits is not read again."""
    port, listening = ports.port()
    listening.coming = [OSError(errno.EMFILE, "Too many")]
    with capturedLogs():
        port.doRead()
    port.disconnecting, port.connected = state == "disconnecting", state != "closed"
    ports.reactor.advance(PAUSE_SECONDS)
    assert not ports.reads(port)


def test_which_ports(ports: Ports) -> None:
    """S16.5: ports of UNIX sockets are watched as well; what is no port of Twisted's is left as it is."""
    port, listening = ports.port(lambda number, factory, reactor: UnixPort(str(number), factory, reactor=reactor))
    listening.coming = [OSError(errno.EMFILE, "Too many")]
    with capturedLogs():
        port.doRead()
    assert not ports.reads(port)
    other: Any = object()
    ports.acceptance.watch(other)


def test_the_rest_is_the_sockets(ports: Ports) -> None:
    """S1.6: everything else of the socket is as it was."""
    port, listening = ports.port()
    assert port.socket.fileno() == -1
    assert port.socket.coming is listening.coming
    with pytest.raises(AttributeError):
        _ = port.socket.nothing
