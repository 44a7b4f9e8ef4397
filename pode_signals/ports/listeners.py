"""Listeners: the endpoints that share a port, and the choice among them for each request. It opens no socket."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import product

from attrs import define
from twisted.internet.interfaces import IAddress

from ..core.addresses import LOCALHOST, ip_text, is_loopback
from ..core.endpoints import EVERY_ADDRESS, EVERY_HOST, Endpoint, address_host, place_of, served_host
from ..core.origin import known_host_name
from ..core.text import shown
from ..errors import ConfigurationInvalid, UpgradeRefused

__all__ = ["Listener", "group_endpoints", "interfaces"]

_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@define(eq=False)
class Listener:
    """The endpoints that share one address and port; :func:`group_endpoints` makes listeners.

    Attributes:
        endpoints: the endpoints, in the order in which they were given.
        addresses: the addresses that the listener is bound to; empty while it is not bound.
    """

    endpoints: tuple[Endpoint, ...]
    addresses: tuple[IAddress, ...] = ()

    def endpoint_for(self, *, upgrade: bool, host: str | None, forwarded_host: str | None = None) -> Endpoint:
        """The endpoint that a request came in by.

        A loopback endpoint without a hostname looks at the Host alone, and not at X-Forwarded-Host. A web page whose
        name was rebound to 127.0.0.1 (DNS rebinding) can send any X-Forwarded-Host, and its requests come from the same
        address as those of a trusted proxy on this machine.

        Args:
            upgrade: whether the request is a WebSocket handshake.
            host: the request's Host header; None where there is none.
            forwarded_host: the Host for which trusted proxies have received the request. It is compared with hostnames
                in place of the Host. None where trusted proxies name none.

        Raises:
            UpgradeRefused: 400 for an upgrade where no endpoint takes upgrades; 426 for any other request where all
                endpoints take upgrades only; 421 for a Host that is not served.
        """
        candidates = [each for each in self.endpoints if each.takes_upgrades == upgrade]
        if not candidates:
            raise _wrong_kind(upgrade)
        name = None if host is None else known_host_name(host)
        asked_for = name if forwarded_host is None else known_host_name(forwarded_host)
        # An endpoint with exactly this hostname comes before endpoints that take every host.
        for endpoint in candidates:
            if asked_for is not None and served_host(endpoint) == asked_for:
                return endpoint
        for endpoint in candidates:
            if endpoint.hostname == EVERY_HOST or (endpoint.hostname is None and self._takes_host(endpoint, name)):
                return endpoint
        raise UpgradeRefused(421, "This Host is not served here.", hint=_not_served(host, forwarded_host))

    @property
    def place(self) -> tuple[Hashable, int | None]:
        """The address and port, or the Twisted endpoint in their place. Two listeners never share one."""
        return place_of(self.endpoints[0])

    @property
    def is_secure(self) -> bool:
        """Whether the port speaks TLS; all of its endpoints do, or none does."""
        return self.endpoints[0].is_secure

    @property
    def reuses_port(self) -> bool:
        """Whether other processes may listen on the same address and port."""
        return any(endpoint.reuse_port for endpoint in self.endpoints)

    @property
    def brings_tls(self) -> bool:
        """Whether the endpoints listen by a Twisted endpoint that has TLS of its own."""
        return self.endpoints[0].brings_tls

    def __str__(self) -> str:
        return " + ".join(map(str, self.endpoints))

    def _takes_host(self, endpoint: Endpoint, name: str | None) -> bool:
        # On loopback only names of this machine are served, as a guard against DNS rebinding. An endpoint that other
        # machines reach can't know its names, so it takes every host.
        if not self._is_loopback(endpoint):
            return True
        return name in _LOOPBACK_HOSTS or (name is not None and name == address_host(endpoint))

    def _is_loopback(self, endpoint: Endpoint) -> bool:
        if endpoint.listen is None:
            return is_loopback(endpoint.address)
        # A UNIX socket has no host.
        hosts = [getattr(each, "host", None) for each in self.addresses]
        return bool(hosts) and all(host is not None and is_loopback(host) for host in hosts)


def group_endpoints(endpoints: Iterable[Endpoint]) -> tuple[Listener, ...]:
    """Put endpoints that share an address and port together.

    Raises:
        ConfigurationInvalid: TLS and plain on one port, overlapping addresses on one port, or two endpoints that take
            the same requests: the sentence names both endpoints. Or ``endpoints`` is no list of endpoints.
    """
    groups: dict[tuple[Hashable, int | None], list[Endpoint]] = {}
    for endpoint in _listed(endpoints):
        groups.setdefault(place_of(endpoint), []).append(endpoint)
    for group in groups.values():
        for index, endpoint in enumerate(group):
            for other in group[:index]:
                _check_pair(other, endpoint)
    firsts = [group[0] for group in groups.values()]
    for index, first in enumerate(firsts):
        for other in firsts[:index]:
            if _overlap(first, other):
                raise ConfigurationInvalid(f"{other} and {first} overlap: give them the same address to share a port")
    return tuple(Listener(tuple(group)) for group in groups.values())


def interfaces(address: str) -> tuple[str, ...]:
    """The IP addresses that an endpoint's address stands for, IPv4 first."""
    if address == LOCALHOST:
        return "127.0.0.1", "::1"
    if address == EVERY_ADDRESS:
        return "0.0.0.0", "::"
    return (address,)


def _listed(endpoints: object) -> list[Endpoint]:
    """Endpoints as a list, checked one by one.

    Without the check a mistake in the list would raise an error far from the line that made the list.
    """
    if isinstance(endpoints, Endpoint):
        raise ConfigurationInvalid(f"endpoints has to be a list of endpoints: put the endpoint {endpoints} in brackets")
    if isinstance(endpoints, str):
        raise ConfigurationInvalid(
            f"endpoints has to be a list of endpoints, not a text: write [Endpoint.parse({endpoints!r})]"
        )
    if not isinstance(endpoints, Iterable):
        raise ConfigurationInvalid(f"endpoints has to be a list of endpoints, not {endpoints!r}")
    listed = list(endpoints)
    for each in listed:
        if isinstance(each, str):
            raise ConfigurationInvalid(f"endpoints has a text in place of an endpoint: write Endpoint.parse({each!r})")
        if not isinstance(each, Endpoint):
            raise ConfigurationInvalid(f"endpoints has {each!r} in place of an endpoint")
    return listed


def _check_pair(one: Endpoint, other: Endpoint) -> None:
    if one.is_secure != other.is_secure:
        raise ConfigurationInvalid(f"{one} and {other} can't share a port: one is TLS, the other is not")
    if one.protocol == other.protocol and served_host(one) == served_host(other):
        raise ConfigurationInvalid(f"{one} and {other} are for the same requests: give them different hostnames")
    if one.has_certificate and other.has_certificate and _certificate(one) != _certificate(other):
        raise ConfigurationInvalid(f"{one} and {other} share a port, which has one certificate")


def _wrong_kind(upgrade: bool) -> UpgradeRefused:
    if upgrade:
        return UpgradeRefused(400, "This port takes no WebSocket connections: it has no ws or wss endpoint.")
    return UpgradeRefused(
        426,
        "This port takes WebSocket connections only.",
        [("Upgrade", "websocket"), ("Connection", "Upgrade")],
    )


def _not_served(host: str | None, forwarded_host: str | None) -> str:
    came = "no Host" if host is None else f"Host: {shown(host)}"
    if forwarded_host is not None:
        came += f", X-Forwarded-Host: {shown(forwarded_host)}"
    return f"{came}; an endpoint serves the Host in its hostname=, and on loopback without hostname= localhost alone"


def _overlap(one: Endpoint, other: Endpoint) -> bool:
    if one.listen is not None or other.listen is not None or one.port != other.port or one.port == 0:
        return False
    pairs = product(_interfaces_of(one), _interfaces_of(other))
    return any(_covers(a, b) or _covers(b, a) for a, b in pairs)


def _interfaces_of(endpoint: Endpoint) -> tuple[str, ...]:
    return interfaces(ip_text(endpoint.address) or endpoint.address)


def _covers(interface: str, other: str) -> bool:
    return interface in (other, "::" if ":" in other else "0.0.0.0")


def _certificate(endpoint: Endpoint) -> tuple[object, ...]:
    return (
        endpoint.certificate,
        endpoint.certificate_key,
        endpoint.certificate_password,
        endpoint.certificate_password_file,
        endpoint.self_signed,
    )
