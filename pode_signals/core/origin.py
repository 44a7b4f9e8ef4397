"""Which pages may connect: compares the Origin (RFC 6454) with the Host and with a list. It reads no request."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from ipaddress import IPv6Address

from attrs import frozen

__all__ = [
    "MAX_HOST_LENGTH",
    "forwarded_host",
    "host_name",
    "host_port",
    "is_origin",
    "is_origin_entry",
    "known_host_name",
    "origin_allowed",
]

MAX_HOST_LENGTH = 260
"""The length of the longest well-formed Host header: a name of 253 characters, its last dot, a colon and a port."""

_MAX_NAME_LENGTH = 253
_DEFAULT_PORTS = {"http": 80, "https": 443}
_AS_PAGES = {"ws": "http", "wss": "https"}


def origin_allowed(
    origin: str | None,
    host: str,
    *,
    allowed_origins: tuple[str, ...] | None,
    own_ports: Collection[int],
    secure: bool,
    allow_null: bool,
    allow_missing: bool,
    forwarded_host: str | None = None,
) -> bool:
    """Whether a page may connect: the page is one of the server's own, or its origin is listed.

    A page is the server's own if it is an http or https page, its host is the Host of the request, and its port is the
    port of the Host or one of ``own_ports``. The schemes are not compared, since a proxy in front may speak TLS where
    the server does not. For the same reason a Host without a port fits the default port of the page's scheme as well as
    that of the server's scheme. Some clients that are no browsers write ``ws`` for ``http`` and ``wss`` for ``https``,
    and are read as if they had written the latter.

    Args:
        origin: the Origin header; None where there is none.
        host: the Host header.
        allowed_origins: the origins that may connect beside the server's own pages: ``https://example.com``,
            ``https://*.example.com`` (any subdomain, not example.com itself), ``*`` (every origin but ``null``), or the
            origins of installed applications, also without a host: ``file://``, ``qrc://``, ``app://.``. None allows no
            other origin.
        own_ports: the ports of this service's http and https endpoints.
        secure: whether the request came over TLS.
        allow_null: whether ``Origin: null`` may connect.
        allow_missing: whether a client without an Origin (no browser) may connect.
        forwarded_host: the X-Forwarded-Host of a trusted proxy, which counts in place of the Host; None where there is
            none, or where the proxy is not trusted.
    """
    if origin is None:
        return allow_missing
    if origin == "null":
        return allow_null
    listed = allowed_origins or ()
    if "*" in listed:
        return True
    page = _origin(origin)
    if page is None:
        return False
    if _is_own(page, host if forwarded_host is None else forwarded_host, own_ports, secure):
        return True
    return any(_is_listed(page, entry) for entry in listed)


def is_origin_entry(entry: str) -> bool:
    """Whether an entry of ``allowed_origins`` can match anything: ``https://example.com:8443``, ``https://*.x``, ``*``.

    An entry without a scheme, or with a path or a slash at its end, never equals an Origin that browsers send.
    """
    return entry == "*" or _entry(entry) is not None


def is_origin(text: str) -> bool:
    """Whether an Origin header is well-formed (RFC 6454 section 7.1); the host may be empty, as in ``file://``."""
    return text == "null" or _ORIGIN.fullmatch(text) is not None


def forwarded_host(lines: Sequence[str], hops: int | None) -> str | None:
    """The Host for which the first trusted proxy received a request.

    Each proxy appends the Host that it received to X-Forwarded-Host, or writes the header anew. The client may have
    invented the elements to the left of those that trusted proxies wrote.

    Args:
        lines: the X-Forwarded-Host headers, in their order.
        hops: how many trusted proxies X-Forwarded-For names; None where there is no X-Forwarded-For.

    Returns:
        The element at the place ``hops``, counted from the right; the right-most element where ``hops`` is 0. The
        left-most element where there are fewer elements, or where ``hops`` is None. None where there are no elements;
        empty ones do not count (RFC 9110 section 5.6.1).
    """
    hosts = [each.strip(" \t") for line in lines for each in line.split(",") if each.strip(" \t")]
    if not hosts:
        return None
    return hosts[0] if hops is None else hosts[-min(max(hops, 1), len(hosts))]


def host_name(host: str) -> str | None:
    """The name of a Host header.

    A name that is good here is good for Klein's router, too. The router has names encoded by the rules of IDNA, which
    allow labels of 1 to 63 characters.

    Returns:
        The name in lower case, without the port and without a dot at its end; an IPv6 address in brackets and in its
        short form. None where the header is malformed.
    """
    found = _host(host)
    return None if found is None else found[0]


known_host_name = lru_cache(maxsize=256)(host_name)
"""``host_name`` with a cache, since nearly all requests to a server have the same few Hosts. Callers check before that
the text is no longer than a Host may be, so that the cache keeps no long texts."""


def host_port(host: str) -> int | None:
    """The port of a Host header; None where the header has no port or is malformed."""
    found = _host(host)
    return None if found is None else found[1]


@frozen
class _Origin:
    scheme: str
    name: str
    port: int | None
    """None where the origin has no port and the scheme's default port is not known."""


# Names as they are on the wire: ASCII (internationalized ones in their xn-- form). No user, no path.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z_-]{1,63}(?:\.[0-9A-Za-z_-]{1,63})*)\.?)(?::([0-9]{0,5}))?")
_ORIGIN = re.compile(
    r"([A-Za-z][0-9A-Za-z+.-]*)://((?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]*)(?::[0-9]{0,5})?)"
)


def _host(host: str) -> tuple[str, int | None] | None:
    match = _HOST.fullmatch(host) if len(host) <= MAX_HOST_LENGTH else None
    if match is None:
        return None
    literal, name, digits = match.groups()
    port = int(digits) if digits else None
    if port is not None and port > 65_535:
        return None
    if literal is None:
        return (name.lower(), port) if len(name) <= _MAX_NAME_LENGTH else None
    try:
        return f"[{IPv6Address(literal)}]", port
    except ValueError:
        return None


def _origin(text: str) -> _Origin | None:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme = match[1].lower()
    scheme = _AS_PAGES.get(scheme, scheme)
    host = _host(match[2])
    if host is not None:
        name, port = host
        return _Origin(scheme, name, _DEFAULT_PORTS.get(scheme) if port is None else port)
    # Pages of an installed application have any text in place of a host, or none: file://, app://.
    return None if scheme in _DEFAULT_PORTS or ":" in match[2] else _Origin(scheme, match[2].lower(), None)


def _is_own(page: _Origin, host: str, own_ports: Collection[int], secure: bool) -> bool:
    ours = _host(host)
    if ours is None or page.scheme not in _DEFAULT_PORTS:
        return False
    name, port = ours
    if page.name != name:
        return False
    if page.port in own_ports or page.port == port:
        return True
    return port is None and page.port in (_DEFAULT_PORTS[page.scheme], _DEFAULT_PORTS["https" if secure else "http"])


def _entry(entry: str) -> tuple[_Origin, bool] | None:
    """A listed origin, and whether its subdomains are meant; None for an entry that can match nothing."""
    scheme, separator, rest = entry.partition("://")
    host = rest.removeprefix("*.")
    any_subdomain = host != rest
    if "*" in host or (any_subdomain and _host(host) is None):
        return None
    origin = _origin(f"{scheme}{separator}{host}")
    return None if origin is None else (origin, any_subdomain)


def _is_listed(page: _Origin, entry: str) -> bool:
    found = _entry(entry)
    if found is None:
        return False
    listed, any_subdomain = found
    if (listed.scheme, listed.port) != (page.scheme, page.port):
        return False
    return page.name.endswith(f".{listed.name}") if any_subdomain else page.name == listed.name
