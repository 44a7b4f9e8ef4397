"""Binding the ports of endpoints: sockets for addresses, Twisted's own way for all others. It serves nothing."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.endpoints import _parse as parse_string
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure

from ..core.endpoints import Endpoint
from ..errors import ConfigurationInvalid
from .listeners import Listener, interfaces
from .shared_ports import share

__all__ = ["check_free", "listen", "listen_later"]

_ATTEMPTS = 20
# Twisted's own is 666: every user of the machine.
_UNIX_MODE = "660"
# What a machine without IPv6 answers for ::1 and ::.
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def listen(reactor: Any, listener: Listener, factory: IProtocolFactory, backlog: int) -> list[IListeningPort]:
    """Bind a listener that has an address and a port, or a Twisted endpoint string, now.

    Args:
        reactor: the reactor.
        listener: what to bind.
        factory: what serves the connections.
        backlog: how many connections the system keeps until they are accepted.

    Raises:
        CannotListenError: a port is taken, or may not be had.
        ConfigurationInvalid: a Twisted endpoint string can't be used.
    """
    endpoint = listener.endpoints[0]
    if isinstance(endpoint.listen, str):
        return [_listen_by_string(reactor, endpoint, endpoint.listen, factory)]
    sockets = _sockets(listener, backlog)
    try:
        return [reactor.adoptStreamPort(each.fileno(), each.family, factory) for each in sockets]
    finally:
        # The reactor has duplicates.
        for each in sockets:
            each.close()


def listen_later(listener: Listener, factory: IProtocolFactory) -> Deferred[IListeningPort]:
    """Bind a listener that has a Twisted endpoint.

    Args:
        listener: what to bind.
        factory: what serves the connections.

    Returns:
        Fires with the port, now or later; or with a ``CannotListenError`` or a ``ConfigurationInvalid``, which names
        the endpoint. Cancelling it gives up.
    """
    endpoint = listener.endpoints[0]
    assert endpoint.listen is not None
    assert not isinstance(endpoint.listen, str)

    def check_port(port: IListeningPort) -> IListeningPort:
        if not callable(getattr(port, "stopListening", None)):
            raise TypeError(f"its listen gave {port!r}, which is no port")
        return port

    def no_port(failure: Failure) -> Failure:
        if failure.check(CannotListenError, CancelledError):
            return failure
        why = str(failure.value) or repr(failure.value)
        return Failure(ConfigurationInvalid(f"the endpoint {endpoint} can't be used: {why}"))

    return maybeDeferred(endpoint.listen.listen, factory).addCallback(check_port).addErrback(no_port)


def check_free(reactor: Any, listener: Listener) -> None:
    """Bind a listener's addresses and let them go again. A string is only parsed, a Twisted endpoint left alone.

    Raises:
        CannotListenError: a port is taken, or may not be had.
        ConfigurationInvalid: a Twisted endpoint string can't be used.
    """
    endpoint = listener.endpoints[0]
    if isinstance(endpoint.listen, str):
        _server(reactor, endpoint, endpoint.listen)
    elif endpoint.listen is None:
        for each in _sockets(listener, None):
            each.close()


def _server(reactor: Any, endpoint: Endpoint, text: str) -> IStreamServerEndpoint:
    try:
        server: IStreamServerEndpoint = serverFromString(reactor, _with_mode(text))
    # What the parsers of Twisted raise.
    except (ValueError, TypeError, LookupError, OSError, RuntimeError) as error:
        why = f"there is no {error}" if isinstance(error, LookupError) else error
        raise ConfigurationInvalid(f"the endpoint {endpoint} can't be used: {why}") from error
    return server


def _with_mode(text: str) -> str:
    """A Twisted endpoint string, which for a UNIX socket without a mode gets one."""
    arguments, named = parse_string(text)
    if arguments[0] == "haproxy":
        del arguments[0]
    # Without names the string is unix:PATH:MODE.
    has_mode = "mode" in named or len(arguments) > 2
    return f"{text}:mode={_UNIX_MODE}" if arguments[:1] == ["unix"] and not has_mode else text


def _listen_by_string(reactor: Any, endpoint: Endpoint, text: str, factory: IProtocolFactory) -> IListeningPort:
    outcome: list[Any] = []
    listening: Deferred[Any] = _server(reactor, endpoint, text).listen(factory)
    listening.addBoth(outcome.append)
    if not outcome:
        listening.cancel()
        raise ConfigurationInvalid(f"the endpoint {endpoint} is not bound at once, which a service needs")
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    port: IListeningPort = outcome[0]
    return port


def _sockets(listener: Listener, backlog: int | None) -> list[socket.socket]:
    """Sockets for a listener, all with the same port number; without a backlog they do not listen."""
    endpoint = listener.endpoints[0]
    assert endpoint.port is not None
    for attempts_left in reversed(range(_ATTEMPTS)):
        sockets: list[socket.socket] = []
        try:
            _open_all(listener, backlog, sockets.append)
        except CannotListenError as error:
            for each in sockets:
                each.close()
            # The free IPv4 port that the system chose may be taken for IPv6: try another.
            if endpoint.port != 0 or not sockets or not attempts_left or error.socketError.errno != errno.EADDRINUSE:
                raise
        else:
            return sockets
    raise AssertionError("unreachable")


def _open_all(listener: Listener, backlog: int | None, opened: Callable[[socket.socket], None]) -> None:
    endpoint = listener.endpoints[0]
    port = endpoint.port
    addresses = interfaces(endpoint.address)
    for index, address in enumerate(addresses):
        try:
            new = _open(address, port or 0, backlog, is_shared=listener.reuses_port)
        except OSError as error:
            if index > 0 and error.errno in _NO_SUCH_FAMILY:
                return
            raise CannotListenError(address, port, error) from error
        port = new.getsockname()[1]
        opened(new)


def _open(address: str, port: int, backlog: int | None, *, is_shared: bool) -> socket.socket:
    family, _, _, _, where = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
    )[0]
    new = socket.socket(family, socket.SOCK_STREAM)
    try:
        new.setblocking(False)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            share(new)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own.
            new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        new.bind(where)
        # A check that the port is free does not listen: a client that came meanwhile would be reset.
        if backlog is not None:
            new.listen(backlog)
    except OSError:
        new.close()
        raise
    return new
