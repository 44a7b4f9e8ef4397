"""Where a client connects to: a URL as a value, its endpoint, and headers for the handshake. It connects nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS

from ..core.text import TOKEN, VISIBLE

__all__ = ["Target", "checked_headers", "endpoint_for", "read_url"]

_URL = re.compile(r"[!-~]+")
_PORTS = {"ws": 80, "wss": 443}
# The handshake has these already (RFC 6455 section 4.1).
_OWN_HEADERS = frozenset({"host", "upgrade", "connection"})
_OWN_PREFIX = "sec-websocket-"


@frozen
class Target:
    """Where a client connects to.

    Attributes:
        is_secure: whether over TLS.
        host: the name or address of the host, without brackets.
        port: the port.
        resource: path and query. The query may have a credential.
    """

    is_secure: bool
    host: str
    port: int
    resource: str

    @property
    def authority(self) -> str:
        """Host and port, as in a URL."""
        return f"{self.host_in_url}:{self.port}"

    @property
    def host_in_url(self) -> str:
        """The host, an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        """The URL for a log: without the query."""
        scheme = "wss" if self.is_secure else "ws"
        return f"{scheme}://{self.authority}{self.resource.partition('?')[0]}"


def read_url(url: object) -> Target:
    """Read the URL of a server.

    Args:
        url: ``ws://host:port/path?query`` or ``wss://…``.

    Raises:
        ValueError: the URL is no such one. The error does not repeat the URL, which may have a credential.
    """
    if not isinstance(url, str) or not _URL.fullmatch(url):
        raise ValueError("the URL has to be a text of ASCII characters without spaces; escape others, as %20")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"the URL has to begin with ws:// or wss://, not with {parts.scheme[:20]!r}")
    if not parts.hostname:
        raise ValueError("the URL has no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError('the URL has a user: give headers={"Authorization": …} in its place')
    # RFC 6455 section 3.
    if parts.fragment:
        raise ValueError("the URL has a fragment, #…, which no server gets")
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    return Target(parts.scheme == "wss", parts.hostname, port, resource)


def endpoint_for(reactor: Any, target: Target) -> IStreamClientEndpoint:
    """The way to a server.

    Over TLS the certificate has to be one for the host, and one that the platform trusts.

    Args:
        reactor: the reactor.
        target: the server.
    """
    endpoint = HostnameEndpoint(reactor, target.host, target.port)
    return wrapClientTLS(optionsForClientTLS(target.host), endpoint) if target.is_secure else endpoint


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Further headers for the handshake, good ones.

    Raises:
        ValueError: a header is one of the handshake's own, or has a character that no header may have.
    """
    for name, value in headers.items():
        if not TOKEN.fullmatch(_bytes(name)):
            raise ValueError(f"{name!r} is no name of a header")
        if name.lower() in _OWN_HEADERS or name.lower().startswith(_OWN_PREFIX):
            raise ValueError(f"the handshake has a header {name} of its own")
        if not VISIBLE.fullmatch(_bytes(value)):
            raise ValueError(f"the value of the header {name} has to be a text of visible ASCII characters")
    return dict(headers)


def _bytes(text: object) -> bytes:
    """The text; what is no text of ASCII becomes a byte that no header may have."""
    return text.encode() if isinstance(text, str) and text.isascii() else b"\0"
