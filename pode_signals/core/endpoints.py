"""Endpoint: where a service listens and for what, as a checked value. Nothing here opens a socket or a file."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import Attribute, field, fields, frozen

from ..errors import ConfigurationInvalid
from .addresses import LOCALHOST, bracketed, ip_text
from .contracts import EndpointLike
from .origin import host_name
from .paths import absolute_path

__all__ = ["EVERY_ADDRESS", "EVERY_HOST", "Endpoint", "address_host", "place_of", "served_host"]

EVERY_ADDRESS = "*"
"""``Endpoint(…, "*")``: every interface, IPv4 and IPv6."""
EVERY_HOST = "*"
"""The ``hostname`` of an endpoint that takes requests with any Host, on loopback too (behind a proxy)."""

_DEFAULT_PORTS = {"http": 8080, "https": 8443, "ws": 9080, "wss": 9443}
_SECURE = ("https", "wss")
_UPGRADED = ("ws", "wss")
_TLS_STRINGS = ("ssl", "tls")
# Twisted's class for the string "ssl:…". It is known by its name, since core imports nothing of Twisted.
_TLS_CLASS = "SSL4ServerEndpoint"
# These arguments of an endpoint are no options in its text. The first four have places of their own in the text, and a
# password on a command line would be seen by every user of the machine.
_NOT_IN_TEXT = {"protocol", "address", "port", "listen", "certificate_password"}
_FLAGS = ("auto_upgrade", "reuse_port", "self_signed")
_YES_OR_NO = {"yes": True, "true": True, "no": False, "false": False}


def _check_protocol(endpoint: Endpoint, _attribute: Attribute[str], value: object) -> None:
    if not isinstance(value, str) or value not in _DEFAULT_PORTS:
        hint = f": write Endpoint.parse({value!r})" if isinstance(value, str) and "://" in value else ""
        raise ConfigurationInvalid(f"the protocol of an endpoint is {_words(_DEFAULT_PORTS)}, not {value!r}{hint}")


def _check_address(endpoint: Endpoint, _attribute: Attribute[str], value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ConfigurationInvalid(
            f"Endpoint({endpoint.protocol!r}, {value}): the address comes second;"
            f" write Endpoint({endpoint.protocol!r}, port={value})"
        )
    if not isinstance(value, str) or (value not in (LOCALHOST, EVERY_ADDRESS) and ip_text(value) is None):
        raise ConfigurationInvalid(
            f"the endpoint {endpoint}: the address has to be an IP address, localhost or *; names belong in hostname"
        )


def _check_port(endpoint: Endpoint, _attribute: Attribute[int | None], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | None) or not 0 <= (value or 0) <= 65_535:
        given = f"the text {value!r}" if isinstance(value, str) else repr(value)
        raise ConfigurationInvalid(f"the endpoint {endpoint}: the port has to be a number from 0 to 65535, not {given}")


def _check_hostname(endpoint: Endpoint, _attribute: Attribute[str | None], value: object) -> None:
    if value is None or value == EVERY_HOST:
        return
    if not isinstance(value, str) or _as_host(value) is None or (value.count(":") == 1 and "[" not in value):
        raise ConfigurationInvalid(f"the endpoint {endpoint}: {value!r} is no host name (without a port)")


def _check_text(endpoint: Endpoint, attribute: Attribute[str | None], value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value):
        raise ConfigurationInvalid(f"the endpoint {endpoint}: {attribute.name} has to be a text")


def _check_password(endpoint: Endpoint, attribute: Attribute[str | None], value: object) -> None:
    # The empty text is a password, too.
    if not isinstance(value, str | None):
        raise ConfigurationInvalid(f"the endpoint {endpoint}: {attribute.name} has to be a text")


def _check_listen(endpoint: Endpoint, _attribute: Attribute[Any], value: object) -> None:
    if value is not None and not _is_endpoint(value) and (not isinstance(value, str) or not value):
        raise ConfigurationInvalid(
            f"the endpoint {endpoint}: listen has to be a Twisted endpoint or a string for one, not {value!r}"
        )


def _is_endpoint(value: object) -> bool:
    return callable(getattr(value, "listen", None)) and not isinstance(value, type)


def _path(value: str | None) -> str | None:
    return absolute_path(value) if isinstance(value, str) and value else value


def _text(value: Any) -> Any:
    """The value of a member of any enumeration; any other value unchanged."""
    return value.value if isinstance(value, Enum) else value


def _identity(listen: str | EndpointLike | None) -> Hashable:
    """A value by which two values of ``listen`` can be compared: endpoints of Twisted can't be compared themselves."""
    return listen if listen is None or isinstance(listen, str) else id(listen)


def _check_flag(endpoint: Endpoint, attribute: Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationInvalid(f"the endpoint {endpoint}: {attribute.name} has to be true or false")


@frozen
class Endpoint:
    """Where a service listens and for what (Pode: ``Add-PodeEndpoint``).

    An ``http`` and a ``ws`` endpoint with one address and port share it, and so do ``https`` and ``wss``.

    Args:
        protocol: ``http``, ``https``, ``ws`` or ``wss``, as a text or as an enumeration's member with that value.
        address: an IP address; ``localhost``, which is 127.0.0.1 and ::1; or ``*``, every interface, IPv4 and IPv6.
        port: the port; 0 is a free one, the same for all endpoints of one address with port 0, which
            ``service.addresses`` tells; None is 8080, 8443, 9080 or 9443, by the protocol.
        name: the name by which routes are tied to the endpoint; also ``event.endpoint.name``.
        hostname: only requests with this Host are served, whatever its case and port; others get 421. The
            X-Forwarded-Host of a trusted proxy counts in place of the Host. None is every Host, except on loopback,
            where it is ``localhost``, ``127.0.0.1`` and ``[::1]``: a web page that rebinds its DNS name to this machine
            gets nothing. ``"*"`` is every Host on loopback, too, for a proxy in front.
        auto_upgrade: whether every upgrade becomes a connection named after its path, before any route.
        certificate: the file with the certificate: PEM with its chain, or PKCS#12 (PFX), which holds the key too.
            One of the endpoints that share a port is enough. The paths of this file and of the next two become absolute
            here, so that the same files are read again when the process has changed its folder.
        certificate_password: the password of the key, or of the PKCS#12 file; ``""`` is a password, too.
        certificate_password_file: a file whose first line is the password, which is read again with the certificate.
        certificate_key: the PEM file with the key; None where the certificate's file has it.
        self_signed: make a certificate at start, for development.
        reuse_port: whether other processes of the same user may listen on the address and port as well, if they say so
            too (SO_REUSEPORT). One of the endpoints that share a port is enough.
        listen: a Twisted endpoint in place of an address and a port. Either a Twisted endpoint string:
            ``tcp:8091:interface=127.0.0.1``, ``unix:/run/chat.socket``, ``systemd:domain=INET:name=web``. The file of a
            UNIX socket gets the mode 0660, whatever the umask is, unless the string has a ``mode=``. Or any
            ``IStreamServerEndpoint``, which may bind its port later than the start; a port that comes later and fails
            is an error in the log. With ``ssl:``, ``tls:`` and an ``SSL4ServerEndpoint`` Twisted brings the
            certificate; with any other and https or wss the certificate given here is used.

    Raises:
        ConfigurationInvalid: the arguments can't work; the sentence names the endpoint.
    """

    protocol: str = field(converter=_text, validator=_check_protocol)
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
    reuse_port: bool = field(default=False, kw_only=True, validator=_check_flag)
    listen: str | EndpointLike | None = field(default=None, kw_only=True, validator=_check_listen, eq=_identity)

    def __attrs_post_init__(self) -> None:
        if self.listen is not None:
            if self.address != LOCALHOST or self.port is not None:
                raise ConfigurationInvalid(f"the endpoint {self}: listen takes the place of address and port")
            if self.reuse_port:
                raise ConfigurationInvalid(f"the endpoint {self}: reuse_port is for an address and a port")
        elif self.port is None:
            object.__setattr__(self, "port", _DEFAULT_PORTS[self.protocol])
        self._check_certificate()
        if self.auto_upgrade and not self.takes_upgrades:
            raise ConfigurationInvalid(f"the endpoint {self}: auto_upgrade is for ws and wss")

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read an endpoint as it is written on a command line.

        Args:
            text: ``PROTOCOL://ADDRESS[:PORT][?OPTION=VALUE&…]``, such as ``http://localhost:8091`` or
                ``wss://*:8443?name=admin&hostname=example.com``. The options are the other arguments of an endpoint,
                without the password, which every user of the machine would see. Or a Twisted endpoint string with the
                protocol before it, such as ``http+unix:/run/chat.socket``.

        Raises:
            ConfigurationInvalid: the text can't be read.
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
        """Whether the endpoint speaks TLS."""
        return self.protocol in _SECURE

    @property
    def takes_upgrades(self) -> bool:
        """Whether the endpoint takes WebSocket handshakes, rather than other requests."""
        return self.protocol in _UPGRADED

    @property
    def brings_tls(self) -> bool:
        """Whether ``listen`` is a Twisted endpoint with TLS of its own."""
        if self.listen is None or isinstance(self.listen, str):
            return self.listen is not None and self.listen.partition(":")[0] in _TLS_STRINGS
        return any(each.__name__ == _TLS_CLASS for each in type(self.listen).__mro__)

    @property
    def is_inherited(self) -> bool:
        """Whether systemd holds the socket, which other processes get as well, before and beside this one."""
        return isinstance(self.listen, str) and self.listen.partition(":")[0] == "systemd"

    @property
    def certificate_files(self) -> tuple[str, ...]:
        """The files that the endpoint's certificate is read from."""
        files = (self.certificate, self.certificate_key, self.certificate_password_file)
        return tuple(each for each in files if each is not None)

    @property
    def has_certificate(self) -> bool:
        """Whether this endpoint has a certificate; another endpoint of the same port may have it instead."""
        return self.certificate is not None or self.self_signed

    def __str__(self) -> str:
        if self.listen is None:
            where = f"{bracketed(str(self.address))}:{self.port}"
        else:
            where = type(self.listen).__name__ if _is_endpoint(self.listen) else str(self.listen)
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


def place_of(endpoint: Endpoint) -> tuple[Hashable, int | None]:
    """The address and port of an endpoint, or its Twisted endpoint. Endpoints with the same place share a port."""
    if endpoint.listen is not None:
        return _identity(endpoint.listen), None
    return ip_text(endpoint.address) or endpoint.address, endpoint.port


def served_host(endpoint: Endpoint) -> str | None:
    """The name of the Host that an endpoint takes, in one spelling; None where ``hostname`` names none."""
    name = endpoint.hostname
    return None if name is None or name == EVERY_HOST else _as_host(name)


def address_host(endpoint: Endpoint) -> str | None:
    """The address of an endpoint as the name of a Host."""
    return _as_host(endpoint.address)


def _option(text: str, key: str, value: str) -> Any:
    known = {attribute.name for attribute in fields(Endpoint)} - _NOT_IN_TEXT
    if key not in known:
        raise ConfigurationInvalid(f"the endpoint {text!r}: {key!r} is none of {', '.join(sorted(known))}")
    if key not in _FLAGS:
        return value
    if value not in _YES_OR_NO:
        raise ConfigurationInvalid(f"the endpoint {text!r}: {key} is yes or no")
    return _YES_OR_NO[value]


def _words(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}"


def _as_host(name: str) -> str | None:
    return host_name(bracketed(name))
