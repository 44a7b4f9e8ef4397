"""The ports of a service for one purpose: their sites and certificates, from a start to the next stop.

A service has two of these: one for its application, and one for those who operate it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IProtocolFactory, IReactorTime
from twisted.logger import LogLevel
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import IResource

from ..core.endpoints import Endpoint
from ..errors import ConfigurationInvalid
from ..hub.hub import Hub
from .accepting import Acceptance
from .bound_ports import BoundPorts
from .certificates import ServerCertificate
from .listeners import Listener, group_endpoints
from .listening import check_free
from .request_limits import RequestLimits
from .site import FirstResource, SignalSite

__all__ = ["PortSet", "where"]


class PortSet:
    """The ports of some endpoints.

    Args:
        hub: the hub.
        endpoints: where to listen and for what.
        limits: the bounds of requests.
        access_level: the level of the lines of the access log.

    Attributes:
        certificates: the certificate of each TLS port, while the ports are bound or were checked.

    Raises:
        ConfigurationInvalid: the endpoints do not go together.
    """

    def __init__(
        self, hub: Hub, endpoints: Iterable[Endpoint], limits: RequestLimits, *, access_level: Any = LogLevel.info
    ) -> None:
        self._hub = hub
        self._limits = limits
        self._access_level = access_level
        self.listeners = group_endpoints(endpoints)
        self.certificates: dict[Listener, ServerCertificate] = {}
        self._sites: list[SignalSite] = []
        self._bound: BoundPorts | None = None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where the ports are, and for what."""
        return tuple(endpoint for listener in self.listeners for endpoint in listener.endpoints)

    @endpoints.setter
    def endpoints(self, endpoints: Iterable[Endpoint]) -> None:
        self.listeners = group_endpoints(endpoints)
        self.certificates = {}

    @property
    def addresses(self) -> Mapping[Endpoint, tuple[IAddress, ...]]:
        """The addresses of each endpoint; none while the ports are not bound."""
        return {endpoint: listener.addresses for listener in self.listeners for endpoint in listener.endpoints}

    @property
    def where(self) -> str:
        """The addresses, for the log."""
        return ", ".join(map(where, self.listeners)) or "nowhere"

    @property
    def certificate_files(self) -> tuple[str, ...]:
        """The files that :meth:`reload` reads."""
        return tuple(path for certificate in self.certificates.values() for path in certificate.files)

    @property
    def expiries(self) -> Mapping[str, datetime]:
        """When each certificate expires, by the text of the first endpoint of its port."""
        return {str(listener.endpoints[0]): each.expires for listener, each in self.certificates.items()}

    def check(self, reactor: Any) -> None:
        """Find mistakes that would keep the ports from being bound.

        Raises:
            ConfigurationInvalid: a certificate or an endpoint that can't be used.
            CannotListenError: a port that is taken.
        """
        self.check_certificates()
        for listener in self.listeners:
            check_free(reactor, listener)

    def check_certificates(self) -> None:
        """Read the certificates. Ports may be in use.

        Raises:
            ConfigurationInvalid: a certificate or an endpoint that can't be used.
        """
        for listener in self.listeners:
            self._certificate(listener)

    def reload(self, endpoints: Iterable[Endpoint] | None = None) -> None:
        """Read the certificates again, from the files that endpoints at the same places name; None is the same files.

        Raises:
            ConfigurationInvalid: endpoints that do not go together.
        """
        renamed = {} if endpoints is None else {each.place: each for each in group_endpoints(endpoints)}
        for listener, certificate in self.certificates.items():
            certificate.reload(renamed.get(listener.place))

    def bind(
        self,
        reactor: Any,
        clock: IReactorTime,
        resource_of: Callable[[Listener], IResource],
        bound: Callable[[Listener], None],
        *,
        first: FirstResource | None = None,
    ) -> None:
        """Bind the ports, whose sites answer 503 until they are opened.

        Args:
            reactor: the reactor.
            clock: the clock.
            resource_of: gives the resource of a port.
            bound: called with each listener that is bound, now or later.
            first: goes before these resources, and is served in each state of the sites; None is nothing.

        Raises:
            ConfigurationInvalid: a certificate or an endpoint that can't be used.
            CannotListenError: a port that is taken.
        """
        acceptance = Acceptance(clock, self._hub.counters, self._hub.reports)
        self._bound = BoundPorts(reactor, self._hub.settings.listen_backlog, acceptance, bound)
        try:
            for listener in self.listeners:
                self._bound.bind(listener, self.factory(listener, clock, resource_of(listener), first))
        except (CannotListenError, ConfigurationInvalid):
            # Ports that were bound before the one that failed are closed again; nobody waits for the end of that.
            self.let_go()
            self.forget()
            raise

    def factory(
        self, listener: Listener, clock: IReactorTime, resource: IResource, first: FirstResource | None = None
    ) -> IProtocolFactory:
        """What serves the connections of a port: a new site, within TLS where the port has TLS."""
        site = SignalSite(
            resource,
            listener=listener,
            timeout_seconds=self._hub.settings.handshake_timeout_seconds,
            clock=clock,
            limits=self._limits,
            first=first,
            access_level=self._access_level,
        )
        self._sites.append(site)
        certificate = self._certificate(listener)
        if certificate is None:
            return site
        return TLSMemoryBIOFactory(certificate, False, site, clock)

    def open(self) -> None:
        """Serve requests from now on."""
        for site in self._sites:
            site.is_open = True

    def limp(self) -> None:
        """Serve on, and have clients make a new connection for each request: the next one may go elsewhere."""
        for site in self._sites:
            site.is_lame = True

    def leave_shared(self, clock: IReactorTime) -> Deferred[None]:
        """Leave new clients to the other processes that have the same ports; see :meth:`.BoundPorts.leave_shared`."""
        return succeed(None) if self._bound is None else self._bound.leave_shared(clock)

    def close(self) -> None:
        """Answer 503 from now on, on connections that are open already."""
        for site in self._sites:
            site.is_open = False

    def let_go(self) -> Deferred[Any]:
        """Stop listening.

        Returns:
            Fires once no port listens any more.
        """
        return succeed(None) if self._bound is None else self._bound.let_go()

    def forget(self) -> None:
        """Be as before the start, so that the ports can be bound again."""
        for listener in self.listeners:
            listener.addresses = ()
        self.certificates, self._sites, self._bound = {}, [], None

    def _certificate(self, listener: Listener) -> ServerCertificate | None:
        if not listener.is_secure or listener.brings_tls:
            return None
        if listener not in self.certificates:
            self.certificates[listener] = ServerCertificate(listener)
        return self.certificates[listener]


def where(listener: Listener) -> str:
    """The addresses of a port with its protocols, for the log."""
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
