"""Endpoints: where a service listens, for what, and which one a request came in by. Nothing here opens a socket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import Attribute, define, field, fields, frozen
from twisted.internet.interfaces import IAddress

from ..core.addresses import LOCALHOST, ip_text, is_loopback
from ..core.origin import host_name, known_host_name
from ..core.text import shown
from ..errors import ConfigurationInvalid, UpgradeRefused
from .files import absolute_path

__all__ = ["EVERY_HOST", "Endpoint", "Listener", "group_endpoints", "interfaces"]

EVERY_HOST = "*"
"""``Endpoint(…, hostname="*")``: requests with any Host, on loopback too (a proxy in front)."""

_DEFAULT_PORTS = {"http": 8080, "https": 8443, "ws": 9080, "wss": 9443}
_SECURE = ("https", "wss")
_UPGRADED = ("ws", "wss")
_EVERY_ADDRESS = "*"
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_TLS_STRINGS = ("ssl", "tls")
_NOT_IN_TEXT = {"protocol", "address", "port", "listen", "certificate_password"}  # every user sees a command line
_YES_OR_NO = {"yes": True, "true": True, "no": False, "false": False}


def _check_protocol(endpoint: Endpoint, _attribute: Attribute[str], value: object) -> None:
    if value not in _DEFAULT_PORTS:
        raise ConfigurationInvalid(f"an endpoint's protocol is one of {', '.join(_DEFAULT_PORTS)}, not {value!r}")


def _check_address(endpoint: Endpoint, _attribute: Attribute[str], value: object) -> None:
    if value not in (LOCALHOST, _EVERY_ADDRESS) and (not isinstance(value, str) or ip_text(value) is None):
        raise ConfigurationInvalid(
            f"the endpoint {endpoint}: the address has to be an IP address, localhost or *; names belong in hostname"
        )


def _check_port(endpoint: Endpoint, _attribute: Attribute[int | None], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | None) or not 0 <= (value or 0) <= 65_535:
        raise ConfigurationInvalid(f"the endpoint {endpoint}: the port has to be a number from 0 to 65535")


def _check_hostname(endpoint: Endpoint, _attribute: Attribute[str | None], value: object) -> None:
    if value in (None, EVERY_HOST):
        return
    if not isinstance(value, str) or _host(value) is None or (value.count(":") == 1 and "[" not in value):
        raise ConfigurationInvalid(f"the endpoint {endpoint}: {value!r} is no host name (without a port)")


def _check_text(endpoint: Endpoint, attribute: Attribute[str | None], value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value):
        raise ConfigurationInvalid(f"the endpoint {endpoint}: {attribute.name} has to be a text")


def _check_password(endpoint: Endpoint, attribute: Attribute[str | None], value: object) -> None:
    if not isinstance(value, str | None):  # the empty text is a password too
        raise ConfigurationInvalid(f"the endpoint {endpoint}: {attribute.name} has to be a text")


def _path(value: str | None) -> str | None:
    return absolute_path(value) if isinstance(value, str) and value else value


def _check_flag(endpoint: Endpoint, attribute: Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationInvalid(f"the endpoint {endpoint}: {attribute.name} has to be true or false")


@frozen
class Endpoint:
    """Where a service listens and for what (Pode: ``Add-PodeEndpoint``).

    An ``http`` and a ``ws`` endpoint with one address and port share it, and so do ``https`` and ``wss``.

    Args:
        protocol: ``http``, ``https``, ``ws`` or ``wss``.
        address: an IP address; ``localhost``, which is 127.0.0.1 and ::1; or ``*``, every interface, IPv4 and IPv6.
        port: the port; 0 is a free one, the same for all endpoints of one address with port 0, which
            ``service.addresses`` tells; None is 8080, 8443, 9080 or 9443, by the protocol.
        name: what routes are tied to it by, and what ``event.endpoint.name`` is.
        hostname: only requests with this Host, whatever its case and port; others get 421. The X-Forwarded-Host of a
            trusted proxy counts in its place. None is every Host, except on loopback, where it is ``localhost``,
            ``127.0.0.1`` and ``[::1]``: a page that rebinds its DNS name to this machine gets nothing. ``"*"`` is every
            Host on loopback too, for a proxy in front.
        auto_upgrade: whether every upgrade becomes a connection named after its path, before any route.
        certificate: the file with the certificate: PEM with its chain, or PKCS#12 (PFX), which holds the key too.
            One of the endpoints that share a port is enough. This file and the next two become absolute paths here:
            wherever the process goes, they are read again from where they were.
        certificate_password: what the key, or the PKCS#12 file, is encrypted with; ``""`` is a password too.
        certificate_password_file: a file whose first line is the password, which is read again with the certificate.
        certificate_key: the PEM file with the key; None where the certificate's file has it.
        self_signed: make a certificate at start, for development.
        listen: a Twisted endpoint string instead of an address and a port: ``tcp:8091:interface=127.0.0.1``,
            ``unix:/run/chat.socket``, ``systemd:domain=INET:name=web``. With ``ssl:`` and ``tls:`` Twisted brings
            the certificate; with any other and https or wss the certificate given here is used. The file of a UNIX
            socket gets the mode 0660, whatever the umask is, unless the string has a ``mode=``.

    Raises:
        ConfigurationInvalid: what was given can't work; the sentence names the endpoint.
    """

    protocol: str = field(validator=_check_protocol)
    address: str = field(default=LOCALHOST, validator=_check_address)
    port: int | None = field(default=None, validator=_check_port)
    name: str | None = field(default=None, kw_only=True, validator=_check_text)
    hostname: str | None = field(default=None, kw_only=True, validator=_check_hostname)
    auto_upgrade: bool = field(default=False, kw_only=True, validator=_check_flag)
    certificate: str | None = field(default=None, kw_only=True, converter=_path, validator=_check_text)
    certificate_password: str | None = field(default=None, kw_only=True, validator=_check_password, repr=False)
    certificate_password_file: str | None = field(default=None, kw_only=True, converter=_path, validator=_check_text)
    certificate_key: str | None = field(default=None, kw_only=True, converter=_path, validator=_check_text)
    self_signed: bool = field(default=False, kw_only=True, validator=_check_flag)
    listen: str | None = field(default=None, kw_only=True, validator=_check_text)

    def __attrs_post_init__(self) -> None:
        if self.listen is not None:
            if self.address != LOCALHOST or self.port is not None:
                raise ConfigurationInvalid(f"the endpoint {self}: listen takes the place of address and port")
        elif self.port is None:
            object.__setattr__(self, "port", _DEFAULT_PORTS[self.protocol])
        self._check_certificate()
        if self.auto_upgrade and not self.takes_upgrades:
            raise ConfigurationInvalid(f"the endpoint {self}: auto_upgrade is for ws and wss")

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read an endpoint as it is written on a command line.

        Args:
            text: ``PROTOCOL://ADDRESS[:PORT][?OPTION=VALUE&…]`` with the other arguments of an endpoint as options,
                but for the password, which every user of the machine would see: ``http://localhost:8091``,
                ``wss://*:8443?name=admin&hostname=example.com``; or a Twisted endpoint string with the protocol
                before it: ``http+unix:/run/chat.socket``.

        Raises:
            ConfigurationInvalid: it can't be read.
        """
        protocol, plus, listen = text.partition("+")
        if plus and protocol in _DEFAULT_PORTS:
            return cls(protocol, listen=listen)
        try:
            url = urlsplit(text)
            address, port = url.hostname, url.port
            options = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
        except ValueError as error:
            raise ConfigurationInvalid(f"the endpoint {text!r} can't be read: {error}") from None
        if not address or url.path not in ("", "/") or url.fragment or url.username is not None:
            raise ConfigurationInvalid(f"the endpoint {text!r} is not PROTOCOL://ADDRESS[:PORT][?OPTION=VALUE&…]")
        arguments = {key: _option(text, key, value) for key, value in options.items()}
        return cls(url.scheme, address, port, **arguments)

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.protocol in _SECURE

    @property
    def takes_upgrades(self) -> bool:
        """Whether WebSocket handshakes come in by it, rather than other requests."""
        return self.protocol in _UPGRADED

    @property
    def brings_tls(self) -> bool:
        """Whether its Twisted endpoint string has TLS of its own."""
        return self.listen is not None and self.listen.partition(":")[0] in _TLS_STRINGS

    @property
    def certificate_files(self) -> tuple[str, ...]:
        """The files that its certificate is read from."""
        files = (self.certificate, self.certificate_key, self.certificate_password_file)
        return tuple(each for each in files if each is not None)

    @property
    def has_certificate(self) -> bool:
        """Whether a certificate is given here; another endpoint of the same port may give it instead."""
        return self.certificate is not None or self.self_signed

    def __str__(self) -> str:
        where = self.listen if self.listen is not None else f"{_bracketed(self.address)}:{self.port}"
        return f"{self.protocol} {where}" + ("" if self.name is None else f" ({self.name})")

    def _check_certificate(self) -> None:
        if self.brings_tls and not self.is_secure:
            raise ConfigurationInvalid(f"the endpoint {self}: a TLS string needs the protocol https or wss")
        if self.has_certificate and (not self.is_secure or self.brings_tls):
            raise ConfigurationInvalid(f"the endpoint {self}: there is no use for a certificate here")
        if self.certificate is not None and self.self_signed:
            raise ConfigurationInvalid(f"the endpoint {self}: a certificate, or self_signed, not both")
        passwords = (self.certificate_password, self.certificate_password_file)
        if self.certificate is None and (self.certificate_key, *passwords) != (None, None, None):
            raise ConfigurationInvalid(f"the endpoint {self}: a key or a password without a certificate")
        if None not in passwords:
            raise ConfigurationInvalid(f"the endpoint {self}: a password, or a file with the password, not both")


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
            if endpoint.hostname is not None and asked_for is not None and _host(endpoint.hostname) == asked_for:
                return endpoint
        for endpoint in candidates:
            if endpoint.hostname == EVERY_HOST or (endpoint.hostname is None and self._takes_host(endpoint, name)):
                return endpoint
        raise UpgradeRefused(421, "This Host is not served here.", hint=_not_served(host, forwarded_host))

    @property
    def place(self) -> tuple[str, int | None]:
        """The address and port, or the Twisted endpoint string: two listeners never share one."""
        return _place(self.endpoints[0])

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.endpoints[0].is_secure

    @property
    def brings_tls(self) -> bool:
        """Whether the TLS is that of a Twisted endpoint string."""
        return self.endpoints[0].brings_tls

    def __str__(self) -> str:
        return " + ".join(map(str, self.endpoints))

    def _takes_host(self, endpoint: Endpoint, name: str | None) -> bool:
        if not self._is_loopback(endpoint):
            return True
        return name in _LOOPBACK_HOSTS or (name is not None and name == _host(endpoint.address))

    def _is_loopback(self, endpoint: Endpoint) -> bool:
        if endpoint.listen is None:
            return is_loopback(endpoint.address)
        hosts = [getattr(each, "host", None) for each in self.addresses]  # a UNIX socket has none
        return bool(hosts) and all(host is not None and is_loopback(host) for host in hosts)


def group_endpoints(endpoints: Iterable[Endpoint]) -> tuple[Listener, ...]:
    """Put endpoints that share an address and port together.

    Raises:
        ConfigurationInvalid: TLS and plain on one port, overlapping addresses on one port, or two endpoints that no
            request could tell apart; the sentence names both.
    """
    groups: dict[tuple[str, int | None], list[Endpoint]] = {}
    for endpoint in endpoints:
        groups.setdefault(_place(endpoint), []).append(endpoint)
    for group in groups.values():
        for index, endpoint in enumerate(group):
            for other in group[:index]:
                _check_pair(other, endpoint)
    places = list(groups)
    for index, place in enumerate(places):
        for other_place in places[:index]:
            if _overlap(place, other_place):
                pair = f"{groups[other_place][0]} and {groups[place][0]}"
                raise ConfigurationInvalid(f"{pair} overlap: give them the same address to share a port")
    return tuple(Listener(tuple(group)) for group in groups.values())


def interfaces(address: str) -> tuple[str, ...]:
    """The IP addresses that an endpoint's address stands for, IPv4 first."""
    if address == LOCALHOST:
        return "127.0.0.1", "::1"
    if address == _EVERY_ADDRESS:
        return "0.0.0.0", "::"
    return (address,)


def _check_pair(one: Endpoint, other: Endpoint) -> None:
    if one.is_secure != other.is_secure:
        raise ConfigurationInvalid(f"{one} and {other} can't share a port: one is TLS, the other is not")
    if one.protocol == other.protocol and _hostname_key(one) == _hostname_key(other):
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
    return f"{came}; hostname= of an endpoint says which is served, and on loopback without one it is localhost alone"


def _option(text: str, key: str, value: str) -> Any:
    known = {attribute.name for attribute in fields(Endpoint)} - _NOT_IN_TEXT
    if key not in known:
        raise ConfigurationInvalid(f"the endpoint {text!r}: {key!r} is none of {', '.join(sorted(known))}")
    if key not in ("auto_upgrade", "self_signed"):
        return value
    if value not in _YES_OR_NO:
        raise ConfigurationInvalid(f"the endpoint {text!r}: {key} is yes or no")
    return _YES_OR_NO[value]


def _place(endpoint: Endpoint) -> tuple[str, int | None]:
    if endpoint.listen is not None:
        return endpoint.listen, None
    return ip_text(endpoint.address) or endpoint.address, endpoint.port


def _overlap(one: tuple[str, int | None], other: tuple[str, int | None]) -> bool:
    if one[1] != other[1] or one[1] in (None, 0):
        return False
    return any(_covers(a, b) or _covers(b, a) for a in interfaces(one[0]) for b in interfaces(other[0]))


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


def _hostname_key(endpoint: Endpoint) -> str | None:
    if endpoint.hostname in (None, EVERY_HOST):
        return None
    return _host(endpoint.hostname)


def _host(name: str) -> str | None:
    return host_name(_bracketed(name))


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else address
