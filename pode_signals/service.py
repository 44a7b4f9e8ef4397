"""SignalsService: a hub and an application's resource on ports of their own, in the order of start and stop.

It installs no handlers for signals of the operating system; ``command/tap.py`` does.
"""

# The methods of Twisted that are called here have no annotations: hence the ignores.
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from random import Random, SystemRandom
from types import MappingProxyType
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from .core.contracts import ResourceLike
from .core.endpoints import Endpoint
from .core.operated import Operated
from .errors import ConfigurationInvalid
from .hub.clocks import clock_for
from .hub.draining import Drain
from .ports.listeners import Listener
from .ports.operations_ports import Operations, OperationsPorts, operated_by
from .ports.port_set import PortSet, where
from .ports.request_limits import RequestLimits
from .signals import Signals, hub_of
from .web.arguments import check_resource, with_article

__all__ = ["ServiceState", "SignalsService"]

# Read with the modules: a process that has given up its rights may not find any more where the package is installed.
try:
    _VERSION = version("pode_signals")
except PackageNotFoundError:
    # A copy that was never installed.
    _VERSION = "unknown"


class ServiceState(Enum):
    """Where a service is between its start and its stop."""

    STOPPED = "stopped"
    STARTING = "starting"
    """Its ports are bound and answer 503."""
    READY = "ready"
    DRAINING = "draining"
    """Its ports are closed and its clients are being sent away."""


class SignalsService(MultiService):
    """A hub with an application's resource on ports of their own, as a service of any Twisted application.

    It binds its ports in ``privilegedStartService``, and so before ``twistd --uid`` gives up privileges. Services that
    are added to it start after its ports are bound, and stop after its clients are gone. The ports of its operations
    are bound first and closed last, so that a start and a stop can be watched.

    Args:
        signals: the hub.
        resource: the application's resource: Klein's ``app.resource()`` or any other.
        endpoints: where to listen and for what, as a list.
        reactor: None is the reactor that runs when it is first needed.
        drain_seconds: how long a stop may take until clients that are left are aborted.
        random: the random source for the order and the pauses in which clients are closed; None is the system's source.
        client_at: the path of the client for browsers, ``"/signals.js"``, on all endpoints; None serves none.
        operations: an ``Operations``: health and metrics on endpoints of their own; None is none of it.
        lame_duck_seconds: how long the ports still take clients when a stop has begun and ``/readyz`` says so, for
            balancers that ask now and then.

    Raises:
        ConfigurationInvalid: the endpoints do not go together, or an argument has a wrong type.
        ValueError: ``client_at`` is no path.
        TypeError: ``client_at`` is no text.

    Attributes:
        signals: the hub.
        state: where the service is between its start and its stop.
        drain_seconds: how long a stop may take until clients that are left are aborted. It can be changed until the
            stop.
        lame_duck_seconds: how long the ports still take clients when a stop has begun. It can be changed until the
            stop.
    """

    _log = Logger()

    def __init__(
        self,
        signals: Signals,
        resource: ResourceLike,
        endpoints: Iterable[Endpoint],
        *,
        reactor: Any = None,
        drain_seconds: float = 30,
        random: Random | None = None,
        client_at: str | None = None,
        operations: Operations | None = None,
        lame_duck_seconds: float = 0,
    ) -> None:
        _check_arguments(signals, resource, lame_duck_seconds)
        # A wrong path is told here, and not when the service starts.
        signals.resource(resource, client_at=client_at)
        super().__init__()  # type: ignore[no-untyped-call]
        self.signals = signals
        self._hub = hub_of(signals)
        self.state = ServiceState.STOPPED
        self.drain_seconds = drain_seconds
        self._resource: Any = resource
        self._client_at = client_at
        self._given_reactor = reactor
        self._random = random or SystemRandom()
        limits = RequestLimits(self._hub)
        self._hub.pending_requests.append(limits.pending)
        self._ports = PortSet(self._hub, endpoints, limits)
        self._operations: OperationsPorts | None = None
        self.lame_duck_seconds = lame_duck_seconds
        self._lame_duck: Deferred[None] | None = None
        self._own_ports: set[int] = set()
        self._drain: Drain | None = None
        self._schedules: Deferred[None] | None = None
        self._stop_end_seconds = 0.0
        self._stop_waiters: list[Deferred[None]] = []
        if operations is not None:
            self.operate(operations)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where the service listens, and for what. The endpoints can be changed while the service is stopped."""
        return self._ports.endpoints

    @endpoints.setter
    def endpoints(self, endpoints: Iterable[Endpoint]) -> None:
        if self.state is not ServiceState.STOPPED:
            raise RuntimeError("the endpoints of a running service can't be changed")
        self._ports.endpoints = tuple(endpoints)

    @property
    def addresses(self) -> Mapping[Endpoint, tuple[IAddress, ...]]:
        """A mapping from each endpoint to a tuple of Twisted's addresses, which is empty while the service is stopped.

        ``service.addresses[endpoint][0].port`` is the port that an endpoint with port 0 has got.
        """
        return MappingProxyType(self._ports.addresses)

    @property
    def operations(self) -> Operations | None:
        """What those who operate the service get; None where there is none of it."""
        return None if self._operations is None else self._operations.operations

    @property
    def operations_addresses(self) -> Mapping[Endpoint, tuple[IAddress, ...]]:
        """As :attr:`addresses`, of the endpoints of the operations."""
        return MappingProxyType({} if self._operations is None else self._operations.ports.addresses)

    def operate(self, operations: Operations) -> None:
        """Have operations, as the argument ``operations`` of the service would have it.

        Raises:
            RuntimeError: the service runs, or there are operations already.
        """
        if self.state is not ServiceState.STOPPED or self._operations is not None:
            raise RuntimeError("a service can be given operations once, and before it starts")
        ports = OperationsPorts(self._hub, operations)
        operations.attach(self.signals)
        self._operations = ports

    def check(self) -> None:
        """Find mistakes that would keep the service from starting, without starting it.

        Raises:
            ConfigurationInvalid: a certificate, an endpoint or a file of tokens that can't be used.
            CannotListenError: a port that is taken.
        """
        if self._operations is not None:
            self._operations.check(self._reactor, self._operated())
        self._ports.check(self._reactor)

    def check_certificates(self) -> None:
        """Read the certificates of the endpoints, as the start does. Ports may be in use.

        Raises:
            ConfigurationInvalid: a certificate or an endpoint that can't be used.
        """
        self._ports.check_certificates()
        if self._operations is not None:
            self._operations.ports.check_certificates()

    def reload_certificates(self, endpoints: Iterable[Endpoint] | None = None) -> None:
        """Read the files of certificates, keys and passwords again.

        A certificate that can't be used is logged, and the old one stays in use. Open connections stay as they are.
        The certificates of the operations are read again too.

        Args:
            endpoints: endpoints with the names of other files. Each of them counts for the port with the same address
                and port number. None reads the files that are in use.

        Raises:
            ConfigurationInvalid: endpoints that do not go together.
        """
        self._ports.reload(endpoints)
        if self._operations is not None:
            self._operations.ports.reload()

    def reload_tokens(self) -> None:
        """Read the file of tokens of the operations again.

        One that can't be used is logged, and the old tokens stay.
        """
        if self._operations is not None:
            self._operations.operations.reload_tokens()

    @property
    def certificate_files(self) -> tuple[str, ...]:
        """The files that :meth:`reload_certificates` reads, while the service runs."""
        own = () if self._operations is None else self._operations.ports.certificate_files
        return (*self._ports.certificate_files, *own)

    def privilegedStartService(self) -> None:
        """Bind the ports; they answer 503 until the service has started.

        Raises:
            ConfigurationInvalid: a certificate or an endpoint that can't be used.
            CannotListenError: a port that is taken.
        """
        self._bind()
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Start: bind, unless ``privilegedStartService`` did; backplane and schedules; then requests are served."""
        if self.state is ServiceState.STOPPED:
            self._bind()
        # Clients may come before the other nodes are reached.
        self.signals.start_backplane()
        # The services that were added start while requests still get 503, so that a request finds them ready.
        super().startService()  # type: ignore[no-untyped-call]
        self.signals.start_schedules()
        self._ports.open()
        self.state = ServiceState.READY
        self._log.info(
            "listening: {where}; client messages without a signal route: {unrouted}",
            event="service.listening",
            where=self._ports.where,
            unrouted=self._hub.unrouted.value,
            version=_VERSION,
            node=self._hub.backplane.node,
        )
        self._say_what_no_client_reaches()

    def stopService(self) -> Deferred[None]:
        """Stop: ports, schedules, clients, services that were added, backplane, and the ports of operations.

        A second call aborts the clients.

        Returns:
            Fires when everything has stopped.
        """
        if self.state is ServiceState.STOPPED:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._stop_waiters.append(waiter)
        if self.state is ServiceState.DRAINING:
            self._hurry()
        else:
            self.state = ServiceState.DRAINING
            self._drain = Drain(self._hub, self._clock, self._random, self.drain_seconds)
            Deferred.fromCoroutine(self._stop(self._drain)).addBoth(self._stopped)
        return waiter

    @property
    def _reactor(self) -> Any:
        if self._given_reactor is None:
            from twisted.internet import reactor

            self._given_reactor = reactor
        return self._given_reactor

    @property
    def _clock(self) -> IReactorTime:
        return clock_for(self._reactor)

    def _operated(self) -> Operated:
        return operated_by(self._hub, self._clock, lambda: self.state.value, self._expiries)

    def _expiries(self) -> Mapping[str, datetime]:
        own = {} if self._operations is None else self._operations.ports.expiries
        return {**self._ports.expiries, **own}

    def _bind(self) -> None:
        self.state = ServiceState.STARTING
        first = None
        try:
            # First, so that a start that takes long, or fails, can be watched.
            if self._operations is not None:
                self._operations.start(self._reactor, self._clock, self._operated())
                first = self._operations.operations.resource_on_application
            self._ports.bind(self._reactor, self._clock, self._resource_of, self._bound, first=first)
        except (CannotListenError, ConfigurationInvalid):
            self._forget()
            raise

    def _bound(self, listener: Listener) -> None:
        """A listener is bound: at the start, or later where its Twisted endpoint took a while."""
        self._own_ports |= set(_page_ports(listener))
        self._hub.own_ports |= self._own_ports
        if self.state is ServiceState.READY:
            self._log.info("listening: {where}", event="service.listening", where=where(listener))

    def _resource_of(self, listener: Listener) -> Any:
        return self.signals.resource(self._resource, listener=listener, client_at=self._client_at)

    async def _stop(self, drain: Drain) -> None:
        await self._limp()
        if not drain.is_hurried:
            self._stop_end_seconds = self._clock.seconds() + self.drain_seconds
        # While they are accepted the clients of shared ports are served.
        await self._ports.leave_shared(self._clock)
        # Requests on connections that are open already get 503 from here on.
        self._ports.close()
        await self._ports.let_go()
        # Runs that are under way may go on while clients are sent away, and are waited for afterwards.
        self._schedules = self.signals.stop_schedules()
        await drain.run()
        # Nobody can answer any more, unless another service of the hub goes on.
        if not self._hub.links():
            self._hub.acknowledgements.end()
        # Together with the clients, the schedules get drain_seconds, and after a second stop no time at all.
        left_seconds = max(0.0, self._stop_end_seconds - self._clock.seconds())
        with suppress(CancelledError, defer.TimeoutError):
            await self._schedules.addTimeout(left_seconds, self._clock)
        try:
            await maybeDeferred(super().stopService)
        finally:
            await self.signals.stop_backplane()
            if self._operations is not None:
                await self._operations.stop()

    async def _limp(self) -> None:
        """Take clients for a while yet: balancers that ask now and then have to see that the service stops."""
        if self.lame_duck_seconds <= 0:
            return
        self._log.info(
            "stopping: new clients are taken for {seconds:g} s more",
            event="service.lame_duck",
            seconds=self.lame_duck_seconds,
        )
        self._ports.limp()
        self._lame_duck = deferLater(self._clock, self.lame_duck_seconds)
        with suppress(CancelledError):
            await self._lame_duck
        self._lame_duck = None

    def _say_what_no_client_reaches(self) -> None:
        """Tell of endpoints and signal routes that no client can reach.

        Without these lines such a mistake would look as if clients were refused, or as if they sent nothing.
        """
        listeners = self._ports.listeners
        if not listeners:
            self._log.warn("no client can connect: the service has no endpoints", event="service.unreachable")
        without = [each for each in listeners if not any(endpoint.takes_upgrades for endpoint in each.endpoints)]
        if without and len(without) == len(listeners):
            self._log.warn(
                "no WebSocket can connect: there is no ws or wss endpoint beside {endpoints}",
                event="service.unreachable",
                endpoints=", ".join(map(str, without)),
            )
        elif without:
            self._log.info(
                "no WebSocket can connect to {endpoints}: no ws or wss endpoint has the same address and port",
                event="service.unreachable",
                endpoints=", ".join(map(str, without)),
            )
        reached = {each.name for each in self.endpoints if each.takes_upgrades}
        for_pages = {each.name for each in self.endpoints} - reached - {None}
        for route in self.signals.routes():
            if route.endpoint in for_pages:
                self._log.warn(
                    "the signal route {path} gets no messages: its endpoint {endpoint} takes no WebSockets",
                    event="service.unreachable",
                    path=route.path,
                    endpoint=route.endpoint,
                )

    def _hurry(self) -> None:
        assert self._drain is not None
        self._drain.hurry()
        self._stop_end_seconds = 0.0
        if self._lame_duck is not None:
            self._lame_duck.cancel()
        if self._schedules is not None:
            self._schedules.cancel()

    def _stopped(self, result: Any) -> None:
        self._forget()
        self._hub.reports.tell()
        self._log.info("stopped", event="service.stopped")
        waiters, self._stop_waiters = self._stop_waiters, []
        # Where an added service has failed to stop, the result is a Failure, and the Deferreds fail with it.
        for waiter in waiters:
            waiter.callback(result)

    def _forget(self) -> None:
        """Be as before the start, so that the service can be started again."""
        self._hub.own_ports -= self._own_ports
        self._ports.forget()
        if self._operations is not None:
            self._operations.forget()
        self._own_ports = set()
        self._drain = self._schedules = None
        self.state = ServiceState.STOPPED


def _check_arguments(signals: object, resource: object, lame_duck_seconds: object) -> None:
    """Refuse arguments with which each request would fail, by an error that names what the program wrote."""
    if not isinstance(signals, Signals):
        raise ConfigurationInvalid(f"the first argument of SignalsService is the Signals, not {with_article(signals)}")
    check_resource("SignalsService", resource)
    is_number = isinstance(lame_duck_seconds, int | float) and not isinstance(lame_duck_seconds, bool)
    if not is_number or not 0 <= lame_duck_seconds < math.inf:  # type: ignore[operator]  # a number
        raise ConfigurationInvalid(f"lame_duck_seconds has to be a number of seconds, not {lame_duck_seconds!r}")


def _page_ports(listener: Listener) -> list[int]:
    """The ports of a listener from which web pages can come: those with an http or https endpoint."""
    if all(endpoint.takes_upgrades for endpoint in listener.endpoints):
        return []
    return [address.port for address in listener.addresses if isinstance(address, IPv4Address | IPv6Address)]
