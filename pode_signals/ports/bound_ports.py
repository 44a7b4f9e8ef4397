"""The ports of one service: bound in the order of its listeners, closed together. It knows nothing of requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from .accepting import Acceptance
from .listeners import Listener
from .listening import listen, listen_later
from .shared_ports import LEAVING_SECONDS, refuse_new

__all__ = ["BoundPorts"]


class BoundPorts:
    """The ports of a service from one start to the next stop; each start makes a new object.

    Args:
        reactor: the reactor.
        backlog: how many connections the system keeps until they are accepted.
        acceptance: how the ports wait while no client can be accepted.
        bound: called with each listener that is bound, after its ``addresses`` are set.
    """

    _log = Logger()

    def __init__(self, reactor: Any, backlog: int, acceptance: Acceptance, bound: Callable[[Listener], None]) -> None:
        self._reactor = reactor
        self._backlog = backlog
        self._acceptance = acceptance
        self._bound = bound
        self._ports: list[IListeningPort] = []
        # Those that other processes share: with queues of their own, and with one queue, which systemd holds.
        self._shared: list[Any] = []
        self._inherited: list[Any] = []
        # The Deferreds of Twisted endpoints that have no port yet: such an endpoint may take any time.
        self._pending: list[Deferred[Any]] = []
        self._is_let_go = False

    def bind(self, listener: Listener, factory: IProtocolFactory) -> None:
        """Bind a listener now, or as soon as its Twisted endpoint has a port.

        Raises:
            CannotListenError: a port is taken, or the process has no right to it.
            ConfigurationInvalid: the Twisted endpoint of the listener can't be used.
        """
        by = listener.endpoints[0].listen
        if by is None or isinstance(by, str):
            self._have(listener, listen(self._reactor, listener, factory, self._backlog))
        else:
            self._bind_later(listener, factory)

    def leave_shared(self, clock: IReactorTime) -> Deferred[None]:
        """Leave new clients to the other processes of shared ports, while those that are this one's are served.

        Args:
            clock: the clock that this takes a moment of.

        Returns:
            Fires once their requests have come; at once where no port is shared.
        """
        left = [port for port in self._shared if refuse_new(port.socket)]
        for port in self._inherited:
            port.stopReading()
        if left or self._inherited:
            return deferLater(clock, LEAVING_SECONDS, lambda: None)
        return succeed(None)

    def let_go(self) -> Deferred[Any]:
        """Stop listening, and give up ports that are not bound yet.

        Returns:
            Fires once no port listens any more.
        """
        self._is_let_go = True
        # A copy: each Deferred removes itself from the list when it is cancelled.
        pending = list(self._pending)
        for each in pending:
            each.cancel()
        return gatherResults([*pending, *(maybeDeferred(port.stopListening) for port in self._ports)])

    def _bind_later(self, listener: Listener, factory: IProtocolFactory) -> None:
        failures: list[Failure] = []
        is_starting = True

        def bound(port: IListeningPort) -> Deferred[Any] | None:
            # An endpoint whose Deferred can't be cancelled may come with a port after the stop.
            if self._is_let_go:
                return maybeDeferred(port.stopListening)
            self._have(listener, [port])
            return None

        def failed(failure: Failure) -> None:
            # Within ``bind`` an error is raised to its caller. Later it can only be logged, and the other ports stay.
            if is_starting:
                failures.append(failure)
            elif not failure.check(CancelledError):
                self._log.error(
                    "a port could not be bound: {why}", event="service.port_failed", why=failure.getErrorMessage()
                )

        waiting: Deferred[Any] = listen_later(listener, factory).addCallback(bound).addErrback(failed)
        self._pending.append(waiting)
        waiting.addBoth(lambda _: self._pending.remove(waiting))
        is_starting = False
        if failures:
            failures[0].raiseException()

    def _have(self, listener: Listener, ports: list[IListeningPort]) -> None:
        self._ports += ports
        if listener.reuses_port:
            self._shared += ports
        if listener.endpoints[0].is_inherited:
            self._inherited += ports
        for port in ports:
            self._acceptance.watch(port)
        listener.addresses = tuple(port.getHost() for port in ports)
        self._bound(listener)
