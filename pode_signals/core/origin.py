"""Which pages may connect: the Origin (RFC 6454) against the Host and a list. Never reads a header by itself."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv6Address

from attrs import frozen

__all__ = ["host_name", "host_port", "is_origin_entry", "origin_allowed"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


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
    """Whether a page may connect: it is one of our own, or a listed one.

    A page is our own if it is an http or https page whose host is the Host of the request and whose port is the Host's
    or one of our own. Its scheme is not compared, for a proxy in front may speak TLS where we don't. For the same
    reason a Host without a port goes with the default port of the page's scheme as well as with that of ours.

    Args:
        origin: the Origin header; None where there is none.
        host: the Host header.
        allowed_origins: what may connect beside our own pages: ``https://example.com``, ``https://*.example.com``
            (any subdomain, not example.com itself), ``*`` (every origin but ``null``). None is nothing.
        own_ports: the ports of this service's http and https endpoints.
        secure: whether the request came over TLS.
        allow_null: whether ``Origin: null`` may connect.
        allow_missing: whether a client without an Origin (no browser) may connect.
        forwarded_host: the X-Forwarded-Host of a trusted proxy, which counts in place of the Host; None where
            there is none or it is not trusted.
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

    One without a scheme, or with a path or a slash at its end, never equals what browsers send.
    """
    scheme, _, rest = entry.partition("://")
    return entry == "*" or _origin(f"{scheme}://{rest.removeprefix('*.')}") is not None


def host_name(host: str) -> str | None:
    """The name of a Host header.

    Returns:
        Lower case, without the port and without the dot that may end it; an IPv6 address in brackets and in its
        short form. None if it is malformed.
    """
    found = _host(host)
    return None if found is None else found[0]


def host_port(host: str) -> int | None:
    """The port of a Host header; None if it has none or is malformed."""
    found = _host(host)
    return None if found is None else found[1]


@frozen
class _Origin:
    scheme: str
    name: str
    port: int | None
    """None is the default of a scheme that we know none of."""


# Names as they are on the wire: ASCII (internationalized ones in their xn-- form). No user, no path.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*)\.?)(?::([0-9]{0,5}))?")
_ORIGIN = re.compile(r"([A-Za-z][0-9A-Za-z+.-]*)://(.+)")


def _host(host: str) -> tuple[str, int | None] | None:
    match = _HOST.fullmatch(host)
    if match is None:
        return None
    literal, name, digits = match.groups()
    port = int(digits) if digits else None
    if port is not None and port > 65_535:
        return None
    if literal is None:
        return name.lower(), port
    try:
        return f"[{IPv6Address(literal)}]", port
    except ValueError:
        return None


def _origin(text: str) -> _Origin | None:
    match = _ORIGIN.fullmatch(text)
    host = None if match is None else _host(match[2])
    if match is None or host is None:
        return None
    scheme = match[1].lower()
    name, port = host
    return _Origin(scheme, name, _DEFAULT_PORTS.get(scheme) if port is None else port)


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


def _is_listed(page: _Origin, entry: str) -> bool:
    scheme, _, rest = entry.partition("://")
    any_subdomain = rest.startswith("*.")
    listed = _origin(f"{scheme}://{rest[2:]}" if any_subdomain else entry)
    if listed is None or (listed.scheme, listed.port) != (page.scheme, page.port):
        return False
    return page.name.endswith(f".{listed.name}") if any_subdomain else page.name == listed.name
