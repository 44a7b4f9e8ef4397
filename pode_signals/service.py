"""SignalsService: a hub and an application's resource on ports of their own, in the order of start and stop.

It installs no handlers for signals of the operating system; ``command/tap.py`` does.
"""

# The methods of Twisted that are called here have no annotations: hence the ignores.
from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from enum import Enum
from random import Random, SystemRandom
from types import MappingProxyType
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from .core.contracts import ResourceLike
from .core.endpoints import Endpoint
from .errors import ConfigurationInvalid
from .hub.clocks import clock_for
from .hub.draining import Drain
from .ports.accepting import Acceptance
from .ports.bound_ports import BoundPorts
from .ports.certificates import ServerCertificate
from .ports.listeners import Listener, group_endpoints
from .ports.listening import check_free
from .ports.request_limits import RequestLimits
from .ports.site import SignalSite
from .signals import Signals, hub_of
from .web.arguments import check_resource, with_article

__all__ = ["ServiceState", "SignalsService"]


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
    are added to it start after its ports are bound, and stop after its clients are gone.

    Args:
        signals: the hub.
        resource: the application's resource: Klein's ``app.resource()`` or any other.
        endpoints: where to listen and for what, as a list.
        reactor: None is the reactor that runs when it is first needed.
        drain_seconds: how long a stop may take until clients that are left are aborted.
        random: the random source for the order and the pauses in which clients are closed; None is the system's source.
        client_at: the path of the client for browsers, ``"/signals.js"``, on all endpoints; None serves none.

    Raises:
        ConfigurationInvalid: the endpoints do not go together, or an argument has a wrong type.
        ValueError: ``client_at`` is no path.
        TypeError: ``client_at`` is no text.

    Attributes:
        signals: the hub.
        state: where the service is between its start and its stop.
        drain_seconds: how long a stop may take until clients that are left are aborted. It can be changed until the
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
    ) -> None:
        _check_arguments(signals, resource)
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
        self._limits = RequestLimits(self._hub)
        self._hub.pending_requests.append(self._limits.pending)
        self._listeners = group_endpoints(endpoints)
        self._certificates: dict[Listener, ServerCertificate] = {}
        self._sites: list[SignalSite] = []
        self._ports: BoundPorts | None = None
        self._own_ports: set[int] = set()
        self._drain: Drain | None = None
        self._schedules: Deferred[None] | None = None
        self._stop_end_seconds = 0.0
        self._stop_waiters: list[Deferred[None]] = []

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where the service listens, and for what. The endpoints can be changed while the service is stopped."""
        return tuple(endpoint for listener in self._listeners for endpoint in listener.endpoints)

    @endpoints.setter
    def endpoints(self, endpoints: Iterable[Endpoint]) -> None:
        if self.state is not ServiceState.STOPPED:
            raise RuntimeError("the endpoints of a running service can't be changed")
        self._listeners = group_endpoints(endpoints)
        self._certificates = {}

    @property
    def addresses(self) -> Mapping[Endpoint, tuple[IAddress, ...]]:
        """A mapping from each endpoint to a tuple of Twisted's addresses, which is empty while the service is stopped.

        ``service.addresses[endpoint][0].port`` is the port that an endpoint with port 0 has got.
        """
        return MappingProxyType(
            {endpoint: listener.addresses for listener in self._listeners for endpoint in listener.endpoints}
        )

    def check(self) -> None:
        """Find mistakes that would keep the service from starting, without starting it.

        Raises:
            ConfigurationInvalid: a certificate or an endpoint that can't be used.
            CannotListenError: a port that is taken.
        """
        self.check_certificates()
        for listener in self._listeners:
            check_free(self._reactor, listener)

    def check_certificates(self) -> None:
        """Read the certificates of the endpoints, as the start does. Ports may be in use.

        Raises:
            ConfigurationInvalid: a certificate or an endpoint that can't be used.
        """
        for listener in self._listeners:
            self._certificate(listener)

    def reload_certificates(self, endpoints: Iterable[Endpoint] | None = None) -> None:
        """Read the files of certificates, keys and passwords again.

        A certificate that can't be used is logged, and the old one stays in use. Open connections stay as they are.

        Args:
            endpoints: endpoints with the names of other files. Each of them counts for the port with the same address
                and port number. None reads the files that are in use.

        Raises:
            ConfigurationInvalid: endpoints that do not go together.
        """
        renamed = {} if endpoints is None else {each.place: each for each in group_endpoints(endpoints)}
        for listener, certificate in self._certificates.items():
            certificate.reload(renamed.get(listener.place))

    @property
    def certificate_files(self) -> tuple[str, ...]:
        """The files that :meth:`reload_certificates` reads, while the service runs."""
        return tuple(path for certificate in self._certificates.values() for path in certificate.files)

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
        for site in self._sites:
            site.is_open = True
        self.state = ServiceState.READY
        self._log.info(
            "listening: {where}; client messages without a signal route: {unrouted}",
            where=", ".join(map(_where, self._listeners)) or "nowhere",
            unrouted=self._hub.unrouted.value,
        )
        self._say_what_no_client_reaches()

    def stopService(self) -> Deferred[None]:
        """Stop: ports, schedules, clients, services that were added, backplane. A second call aborts the clients.

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

    def _bind(self) -> None:
        self.state = ServiceState.STARTING
        acceptance = Acceptance(self._clock, self._hub.counters, self._hub.reports)
        self._ports = BoundPorts(self._reactor, self._hub.settings.listen_backlog, acceptance, self._bound)
        try:
            for listener in self._listeners:
                self._ports.bind(listener, self._factory(listener))
        except (CannotListenError, ConfigurationInvalid):
            # Ports that were bound before the one that failed are closed again; nobody waits for the end of that.
            self._ports.let_go()
            self._forget()
            raise

    def _bound(self, listener: Listener) -> None:
        """A listener is bound: at the start, or later where its Twisted endpoint took a while."""
        self._own_ports |= set(_page_ports(listener))
        self._hub.own_ports |= self._own_ports
        if self.state is ServiceState.READY:
            self._log.info("listening: {where}", where=_where(listener))

    def _factory(self, listener: Listener) -> IProtocolFactory:
        site = SignalSite(
            self.signals.resource(self._resource, listener=listener, client_at=self._client_at),
            listener=listener,
            timeout_seconds=self._hub.settings.handshake_timeout_seconds,
            clock=self._clock,
            limits=self._limits,
        )
        self._sites.append(site)
        certificate = self._certificate(listener)
        if certificate is None:
            return site
        return TLSMemoryBIOFactory(certificate, False, site, self._clock)

    def _certificate(self, listener: Listener) -> ServerCertificate | None:
        if not listener.is_secure or listener.brings_tls:
            return None
        if listener not in self._certificates:
            self._certificates[listener] = ServerCertificate(listener)
        return self._certificates[listener]

    async def _stop(self, drain: Drain) -> None:
        self._stop_end_seconds = self._clock.seconds() + self.drain_seconds
        assert self._ports is not None
        # While they are accepted the clients of shared ports are served.
        await self._ports.leave_shared(self._clock)
        # Requests on connections that are open already get 503 from here on.
        for site in self._sites:
            site.is_open = False
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

    def _say_what_no_client_reaches(self) -> None:
        """Tell of endpoints and signal routes that no client can reach.

        Without these lines such a mistake would look as if clients were refused, or as if they sent nothing.
        """
        if not self._listeners:
            self._log.warn("no client can connect: the service has no endpoints")
        without = [each for each in self._listeners if not any(endpoint.takes_upgrades for endpoint in each.endpoints)]
        if without and len(without) == len(self._listeners):
            self._log.warn(
                "no WebSocket can connect: there is no ws or wss endpoint beside {endpoints}",
                endpoints=", ".join(map(str, without)),
            )
        elif without:
            self._log.info(
                "no WebSocket can connect to {endpoints}: no ws or wss endpoint has the same address and port",
                endpoints=", ".join(map(str, without)),
            )
        reached = {each.name for each in self.endpoints if each.takes_upgrades}
        for_pages = {each.name for each in self.endpoints} - reached - {None}
        for route in self.signals.routes():
            if route.endpoint in for_pages:
                self._log.warn(
                    "the signal route {path} gets no messages: its endpoint {endpoint} takes no WebSockets",
                    path=route.path,
                    endpoint=route.endpoint,
                )

    def _hurry(self) -> None:
        assert self._drain is not None
        self._drain.hurry()
        self._stop_end_seconds = 0.0
        if self._schedules is not None:
            self._schedules.cancel()

    def _stopped(self, result: Any) -> None:
        self._forget()
        self._hub.reports.tell()
        waiters, self._stop_waiters = self._stop_waiters, []
        # Where an added service has failed to stop, the result is a Failure, and the Deferreds fail with it.
        for waiter in waiters:
            waiter.callback(result)

    def _forget(self) -> None:
        """Be as before the start, so that the service can be started again."""
        self._hub.own_ports -= self._own_ports
        for listener in self._listeners:
            listener.addresses = ()
        self._certificates, self._sites, self._own_ports = {}, [], set()
        self._ports = self._drain = self._schedules = None
        self.state = ServiceState.STOPPED


def _check_arguments(signals: object, resource: object) -> None:
    """Refuse arguments with which each request would fail, by an error that names what the program wrote."""
    if not isinstance(signals, Signals):
        raise ConfigurationInvalid(f"the first argument of SignalsService is the Signals, not {with_article(signals)}")
    check_resource("SignalsService", resource)


def _page_ports(listener: Listener) -> list[int]:
    """The ports of a listener from which web pages can come: those with an http or https endpoint."""
    if all(endpoint.takes_upgrades for endpoint in listener.endpoints):
        return []
    return [address.port for address in listener.addresses if isinstance(address, IPv4Address | IPv6Address)]


def _where(listener: Listener) -> str:
    protocols = "+".join(dict.fromkeys(endpoint.protocol for endpoint in listener.endpoints))
    if not listener.addresses:
        return f"{listener} (not yet)"
    return f"{protocols} on {' and '.join(map(_address, listener.addresses))}"


def _address(address: IAddress) -> str:
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    return str(address)
