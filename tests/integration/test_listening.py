"""Binding real ports: which addresses, which numbers, and what happens where one is taken."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from programs import free_port
from pytest_twisted import blockon
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource

from pode_signals.core.endpoints import Endpoint
from pode_signals.errors import ConfigurationInvalid
from pode_signals.service import SignalsService
from pode_signals.signals import Signals, hub_of

IPV6 = socket.has_ipv6
Serve = Callable[..., SignalsService]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a service with endpoints; it is stopped at the end."""
    services: list[SignalsService] = []

    def start(*endpoints: Endpoint) -> SignalsService:
        service = SignalsService(Signals(), Resource(), endpoints, reactor=reactor)
        services.append(service)
        service.startService()
        return service

    yield start
    for service in services:
        blockon(service.stopService())


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as busy:
        yield busy.getsockname()[1]


def hosts(service: SignalsService, endpoint: Endpoint) -> list[str]:
    """The addresses that an endpoint is bound to."""
    return [address.host for address in service.addresses[endpoint]]


def accepts(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not IPV6, reason="there is no IPv6 here")
async def test_localhost_is_both_families(serve: Serve) -> None:
    """S1.1: localhost is 127.0.0.1 and ::1, with the same number also for port 0."""
    endpoint = Endpoint("http", port=0)
    service = serve(endpoint)
    assert hosts(service, endpoint) == ["127.0.0.1", "::1"]
    (port,) = {address.port for address in service.addresses[endpoint]}
    assert port > 0
    assert accepts("127.0.0.1", port)
    assert accepts("::1", port)
    assert hub_of(service.signals).own_ports == {port}


@pytest.mark.skipif(not IPV6, reason="there is no IPv6 here")
async def test_every_interface(serve: Serve) -> None:
    """S1.1: ``*`` is every interface, IPv4 and IPv6."""
    endpoint = Endpoint("http", "*", 0)
    service = serve(endpoint)
    assert hosts(service, endpoint) == ["0.0.0.0", "::"]
    port = service.addresses[endpoint][0].port
    assert accepts("127.0.0.2", port)
    assert accepts("::1", port)


async def test_without_ipv6(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.1: on a machine without IPv6, localhost is 127.0.0.1."""
    bind = socket.socket.bind

    def bind_ipv4(bound: socket.socket, where: Any) -> None:
        if bound.family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        bind(bound, where)

    # As the system says it where there is no IPv6.
    monkeypatch.setattr(socket.socket, "bind", bind_ipv4)
    endpoint = Endpoint("http", port=0)
    assert hosts(serve(endpoint), endpoint) == ["127.0.0.1"]


@pytest.mark.skipif(not IPV6, reason="there is no IPv6 here")
async def test_a_free_port_of_both_families(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.1: where the free IPv4 port is taken for IPv6 another one is tried; not for ever."""
    attempts = []

    bind = socket.socket.bind

    def taken_at_first(bound: socket.socket, where: Any) -> None:
        if bound.family == socket.AF_INET6:
            attempts.append(where[1])
            if len(attempts) in (1, 2) or len(attempts) > 3:
                raise OSError(98, "Address already in use")
        bind(bound, where)

    # As the system says it where another program listens.
    monkeypatch.setattr(socket.socket, "bind", taken_at_first)
    endpoint = Endpoint("http", port=0)
    service = serve(endpoint)
    assert {address.port for address in service.addresses[endpoint]} == {attempts[2]}
    with pytest.raises(CannotListenError):
        serve(Endpoint("http", port=0))
    assert len(attempts) == 23


async def test_one_port_for_both_kinds(serve: Serve) -> None:
    """S1.2: http and ws with port 0 share one free port."""
    page, chat = Endpoint("http", port=0), Endpoint("ws", port=0)
    service = serve(page, chat)
    assert service.addresses[page] == service.addresses[chat]


async def test_a_taken_port(serve: Serve, taken: int) -> None:
    """S12.1: a port that is taken is found by the check and at the start, with its address and number."""
    service = SignalsService(Signals(), Resource(), [Endpoint("http", port=taken)], reactor=reactor)
    for call in (service.check, service.startService):
        with pytest.raises(CannotListenError, match=rf"127\.0\.0\.1:{taken}"):
            call()


async def test_a_taken_port_is_not_shared(serve: Serve, taken: int) -> None:
    """S1.7: a port whose process does not share it is as taken for a process that would."""
    with pytest.raises(CannotListenError, match=rf"127\.0\.0\.1:{taken}"):
        serve(Endpoint("http", "127.0.0.1", taken, reuse_port=True))


async def test_a_shared_port(serve: Serve) -> None:
    """S1.7: two services share a port, with IPv4 and IPv6; a check of a third says nothing against it."""
    endpoint = Endpoint("http", port=free_port(), reuse_port=True)
    one, other = serve(endpoint), serve(endpoint)
    other.check()
    assert hosts(one, endpoint) == hosts(other, endpoint)
    await one.stopService()
    assert accepts("127.0.0.1", endpoint.port)


async def test_a_port_taken_for_one_family_alone(serve: Serve) -> None:
    """S1.1: where one family's port is taken, localhost is refused, and the other's is let go."""
    if not IPV6:
        pytest.skip("there is no IPv6 here")
    with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(CannotListenError):
            serve(Endpoint("http", port=port))
        assert not accepts("127.0.0.1", port)


async def test_the_check_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """S12.1: after the check a port is as free as before."""
    service = SignalsService(Signals(), Resource(), [Endpoint("http", port=free_port())], reactor=reactor)
    monkeypatch.setattr(socket.socket, "listen", lambda *_: pytest.fail("a client could come in"))
    service.check()
    service.check()
    monkeypatch.undo()
    service.startService()
    await service.stopService()


async def test_stopped_ports_are_free(serve: Serve) -> None:
    """S12.2: once ``stopService`` has fired nobody listens any more, and the same port can be bound again."""
    endpoint = Endpoint("http", port=free_port())
    service = serve(endpoint)
    await service.stopService()
    assert not accepts("127.0.0.1", endpoint.port)
    service.startService()
    assert accepts("127.0.0.1", endpoint.port)


async def test_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    """S1.6: an endpoint can be a Twisted endpoint string, a UNIX socket for instance."""
    path = tmp_path / "chat.socket"
    page, chat = Endpoint("http", listen=f"unix:{path}"), Endpoint("ws", listen=f"unix:{path}")
    service = serve(page, chat)
    assert service.addresses[page][0].name == str(path).encode()
    assert hub_of(service.signals).own_ports == set()
    assert path.is_socket()


async def test_a_twisted_endpoint(serve: Serve) -> None:
    """S1.6: an endpoint can be any endpoint of Twisted; http and ws share it, and a stop lets its port go."""
    by = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    page, chat = Endpoint("http", listen=by), Endpoint("ws", listen=by)
    service = serve(page, chat)
    (address,) = service.addresses[page]
    assert service.addresses[chat] == (address,)
    assert hub_of(service.signals).own_ports == {address.port}
    assert accepts("127.0.0.1", address.port)
    await service.stopService()
    assert not accepts("127.0.0.1", address.port)
    service.startService()
    assert accepts("127.0.0.1", service.addresses[page][0].port)


async def test_a_twisted_endpoint_with_tls(serve: Serve) -> None:
    """S1.5: a Twisted endpoint without TLS serves https with the certificate that is given."""
    secure = Endpoint("https", listen=TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), self_signed=True)
    (address,) = serve(secure).addresses[secure]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", address.port), 5)
    with closing(await deferToThread(context.wrap_socket, raw)) as wrapped:
        assert wrapped.version() in ("TLSv1.2", "TLSv1.3")


async def test_a_twisted_endpoint_of_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    """S1.6: a Twisted endpoint of a UNIX socket says everything about its file itself."""
    path = tmp_path / "chat.socket"
    page = Endpoint("http", listen=UNIXServerEndpoint(reactor, str(path), mode=0o600))
    service = serve(page)
    assert service.addresses[page][0].name == str(path).encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await service.stopService()
    assert not path.exists()


async def test_a_twisted_endpoint_whose_port_is_taken(serve: Serve, taken: int) -> None:
    """S12.1: a Twisted endpoint whose port is taken stops the start, and the ports before it are let go."""
    before = Endpoint("http", port=free_port())
    by = TCP4ServerEndpoint(reactor, taken, interface="127.0.0.1")
    service = SignalsService(Signals(), Resource(), [before, Endpoint("http", listen=by)], reactor=reactor)
    service.check()
    with pytest.raises(CannotListenError, match=rf"127\.0\.0\.1:{taken}"):
        service.startService()
    await deferLater(reactor, 0)
    assert not accepts("127.0.0.1", before.port)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("unix:{path}", 0o660),
        ("unix:{path}:backlog=5", 0o660),
        ("unix:address={path}", 0o660),
        ("haproxy:unix:{path}", 0o660),
        ("unix:{path}:mode=600", 0o600),
        ("unix:{path}:mode=666", 0o666),
        ("unix:{path}:600", 0o600),
        ("haproxy:unix:{path}:mode=600", 0o600),
    ],
)
@pytest.mark.parametrize("umask", [0o000, 0o077])
async def test_the_mode_of_a_unix_socket(serve: Serve, tmp_path: Path, text: str, mode: int, umask: int) -> None:
    """S1.6: a UNIX socket is for its user and group, whatever the umask, unless the string has a mode."""
    path = tmp_path / "chat.socket"
    before = os.umask(umask)
    try:
        serve(Endpoint("http", listen=text.format(path=path)))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("text", ["unix:/run/x\\", "unix:/run/x:mode=nine", "nothing:80"])
async def test_a_string_that_can_not_be_read(text: str) -> None:
    """S1.6: a Twisted endpoint string that can't be read is one sentence that names the endpoint."""
    service = SignalsService(Signals(), Resource(), [Endpoint("http", listen=text)], reactor=reactor)
    with pytest.raises(ConfigurationInvalid, match="can't be used"):
        service.check()


async def test_a_string_that_is_bound_later(serve: Serve) -> None:
    """S1.6: a Twisted endpoint string that can't be bound now is refused."""
    service = SignalsService(Signals(), Resource(), [Endpoint("http", listen="tcp:nonsense")], reactor=reactor)
    with pytest.raises(ConfigurationInvalid):
        service.check()
