from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from twisted.internet.error import CannotListenError

from pode_signals.core.endpoints import Endpoint
from pode_signals.ports.listeners import group_endpoints
from pode_signals.ports.listening import check_free
from pode_signals.ports.shared_ports import refuse_new, share

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters what comes to a socket")


@pytest.fixture(params=["127.0.0.1", "::1"])
def listening(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A socket of each family that listens on a port that others may share."""
    if ":" in request.param and not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    with socket.socket(socket.AF_INET6 if ":" in request.param else socket.AF_INET) as new:
        share(new)
        new.bind((request.param, 0))
        new.listen(10)
        yield new


@on_linux
def test_a_process_that_leaves(listening: socket.socket) -> None:
    """S1.7: a process that leaves a shared port is not connected to any more; clients in its queue are accepted."""
    with socket.create_connection(listening.getsockname()[:2], 5) as before:
        assert refuse_new(listening)
        with pytest.raises(TimeoutError):
            socket.create_connection(listening.getsockname()[:2], 0.1)
        with closing(listening.accept()[0]) as accepted:
            accepted.sendall(b"hello")
            assert before.recv(5) == b"hello"


@on_linux
def test_others_take_its_clients(listening: socket.socket) -> None:
    """S1.7: a client that the process that left did not let in is let in by another one when it tries again."""
    where = listening.getsockname()[:2]
    refuse_new(listening)
    with socket.socket(listening.family) as other:
        share(other)
        other.bind(where)
        other.listen(10)
        with socket.socket(listening.family) as client:
            client.setblocking(False)
            client.connect_ex(where)
            listening.close()
            other.settimeout(5)
            # The client's kernel sends the first packet again after a second, if the filter has dropped it.
            other.accept()[0].close()


def test_who_can_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.7: where the system has no filters, a port is closed as any other."""
    with socket.socket() as one:
        monkeypatch.setattr(sys, "platform", "darwin")
        assert not refuse_new(one)

    class NoFilters:
        def setsockopt(self, *what: object) -> None:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    monkeypatch.setattr(sys, "platform", "linux")
    assert not refuse_new(NoFilters())


def test_a_system_that_shares_no_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.7: where the system can't share ports, the start is refused, and the sentence says so."""
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    (listener,) = group_endpoints([Endpoint("http", "127.0.0.1", 0, reuse_port=True)])
    with pytest.raises(CannotListenError, match="this system has no SO_REUSEPORT"):
        check_free(None, listener)


def test_one_endpoint_of_a_port_is_enough() -> None:
    """S1.7: a port is shared where one of its endpoints says so."""
    page = Endpoint("http", port=1)
    for chat, is_shared in ((Endpoint("ws", port=1, reuse_port=True), True), (Endpoint("ws", port=1), False)):
        (listener,) = group_endpoints([page, chat])
        assert listener.reuses_port is is_shared
