"""Listeners: the endpoints that share a port, and which of them a request came in by. Nothing here opens a socket."""

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
    """The endpoints that share one address and port; :func:`group_endpoints` makes it.

    Attributes:
        endpoints: these endpoints, in their order.
        addresses: what it is bound to; empty while it is not.
    """

    endpoints: tuple[Endpoint, ...]
    addresses: tuple[IAddress, ...] = ()

    def endpoint_for(self, *, upgrade: bool, host: str | None, forwarded_host: str | None = None) -> Endpoint:
        """The endpoint that a request came in by.

        A loopback endpoint without a hostname looks at the Host alone: a page that has rebound its name to this machine
        can send an X-Forwarded-Host of its own, from an address that a proxy may have too.

        Args:
            upgrade: whether it is a WebSocket handshake.
            host: its Host header; None where there is none.
            forwarded_host: the Host that trusted proxies say it was for, which is compared with hostnames in place of
                the Host; None where there is none.

        Raises:
            UpgradeRefused: 400 for an upgrade where none is taken, 426 for any other request where only upgrades are,
                421 for a Host that is not served.
        """
        candidates = [each for each in self.endpoints if each.takes_upgrades == upgrade]
        if not candidates:
            raise _wrong_kind(upgrade)
        name = None if host is None else known_host_name(host)
        asked_for = name if forwarded_host is None else known_host_name(forwarded_host)
        for endpoint in candidates:
            if asked_for is not None and served_host(endpoint) == asked_for:
                return endpoint
        for endpoint in candidates:
            if endpoint.hostname == EVERY_HOST or (endpoint.hostname is None and self._takes_host(endpoint, name)):
                return endpoint
        raise UpgradeRefused(421, "This Host is not served here.", hint=_not_served(host, forwarded_host))

    @property
    def place(self) -> tuple[Hashable, int | None]:
        """The address and port, or what its endpoints listen by: two listeners never share one."""
        return place_of(self.endpoints[0])

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.endpoints[0].is_secure

    @property
    def brings_tls(self) -> bool:
        """Whether what its endpoints listen by has TLS of its own."""
        return self.endpoints[0].brings_tls

    def __str__(self) -> str:
        return " + ".join(map(str, self.endpoints))

    def _takes_host(self, endpoint: Endpoint, name: str | None) -> bool:
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
        ConfigurationInvalid: TLS and plain on one port, overlapping addresses on one port, or two endpoints that no
            request could tell apart, where the sentence names both; or no list of endpoints.
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
    """Endpoints as a user gave them. What is no list of them would else fail far from the line that is wrong."""
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
