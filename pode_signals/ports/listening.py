"""Binding the ports of endpoints: sockets for addresses, Twisted's own way for endpoint strings. It serves nothing."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import _parse as parse_string
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure

from ..errors import ConfigurationInvalid
from .endpoints import Endpoint, Listener, interfaces

__all__ = ["check_free", "listen"]

_ATTEMPTS = 20
_UNIX_MODE = "660"  # Twisted's own is 666: every user of the machine
# What a machine without IPv6 answers for ::1 and ::.
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def listen(reactor: Any, listener: Listener, factory: IProtocolFactory, backlog: int) -> list[IListeningPort]:
    """Bind a listener now.

    Args:
        reactor: the reactor.
        listener: what to bind; its ``addresses`` are set.
        factory: what serves the connections.
        backlog: how many connections the system keeps until they are accepted.

    Raises:
        CannotListenError: a port is taken, or may not be had.
        ConfigurationInvalid: a Twisted endpoint string can't be used.
    """
    endpoint = listener.endpoints[0]
    if endpoint.listen is not None:
        ports = [_listen_by_string(reactor, endpoint, factory)]
    else:
        sockets = _sockets(endpoint, backlog)
        try:
            ports = [reactor.adoptStreamPort(each.fileno(), each.family, factory) for each in sockets]
        finally:
            for each in sockets:
                each.close()  # the reactor has duplicates
    listener.addresses = tuple(port.getHost() for port in ports)
    return ports


def check_free(reactor: Any, listener: Listener) -> None:
    """Bind a listener's addresses and let them go again. A Twisted endpoint string is only parsed.

    Raises:
        CannotListenError: a port is taken, or may not be had.
        ConfigurationInvalid: a Twisted endpoint string can't be used.
    """
    endpoint = listener.endpoints[0]
    if endpoint.listen is not None:
        _server(reactor, endpoint)
    else:
        for each in _sockets(endpoint, None):
            each.close()


def _server(reactor: Any, endpoint: Endpoint) -> IStreamServerEndpoint:
    assert endpoint.listen is not None
    try:
        server: IStreamServerEndpoint = serverFromString(reactor, _with_mode(endpoint.listen))
    except (ValueError, TypeError, LookupError, OSError, RuntimeError) as error:  # what the parsers of Twisted raise
        why = f"there is no {error}" if isinstance(error, LookupError) else error
        raise ConfigurationInvalid(f"the endpoint {endpoint} can't be used: {why}") from error
    return server


def _with_mode(text: str) -> str:
    """A Twisted endpoint string, which for a UNIX socket without a mode gets one."""
    arguments, named = parse_string(text)
    if arguments[0] == "haproxy":
        del arguments[0]
    has_mode = "mode" in named or len(arguments) > 2  # unix:PATH:MODE
    return f"{text}:mode={_UNIX_MODE}" if arguments[:1] == ["unix"] and not has_mode else text


def _listen_by_string(reactor: Any, endpoint: Endpoint, factory: IProtocolFactory) -> IListeningPort:
    outcome: list[Any] = []
    listening: Deferred[Any] = _server(reactor, endpoint).listen(factory)
    listening.addBoth(outcome.append)
    if not outcome:
        listening.cancel()
        raise ConfigurationInvalid(f"the endpoint {endpoint} is not bound at once, which a service needs")
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    port: IListeningPort = outcome[0]
    return port


def _sockets(endpoint: Endpoint, backlog: int | None) -> list[socket.socket]:
    """Sockets for an endpoint, all with the same port number; without a backlog they do not listen."""
    assert endpoint.port is not None
    for attempts_left in reversed(range(_ATTEMPTS)):
        sockets: list[socket.socket] = []
        try:
            _open_all(endpoint, backlog, sockets.append)
        except CannotListenError as error:
            for each in sockets:
                each.close()
            # The free IPv4 port that the system chose may be taken for IPv6: try another.
            if endpoint.port != 0 or not sockets or not attempts_left or error.socketError.errno != errno.EADDRINUSE:
                raise
        else:
            return sockets
    raise AssertionError("unreachable")


def _open_all(endpoint: Endpoint, backlog: int | None, opened: Callable[[socket.socket], None]) -> None:
    port = endpoint.port
    addresses = interfaces(endpoint.address)
    for index, address in enumerate(addresses):
        try:
            new = _open(address, port or 0, backlog)
        except OSError as error:
            if index > 0 and error.errno in _NO_SUCH_FAMILY:
                return
            raise CannotListenError(address, port, error) from error
        port = new.getsockname()[1]
        opened(new)


def _open(address: str, port: int, backlog: int | None) -> socket.socket:
    family, _, _, _, where = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
    )[0]
    new = socket.socket(family, socket.SOCK_STREAM)
    try:
        new.setblocking(False)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
        new.bind(where)
        if backlog is not None:  # else a client that comes while we only look would be reset
            new.listen(backlog)
    except OSError:
        new.close()
        raise
    return new
