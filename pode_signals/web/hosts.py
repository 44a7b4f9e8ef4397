"""Hosts: the one that a request is for, and names and addresses. It decides nothing about who serves which."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from twisted.internet.address import UNIXAddress

from ..core.handshake import header_text
from ..core.origin import MAX_HOST_LENGTH, host_name
from ..errors import UpgradeRefused

if TYPE_CHECKING:
    from ..identities import Identities

Request = Any  # a twisted.web.server.Request: most of what is used of it has no annotations

__all__ = ["LOCALHOST", "check_host", "forwarded_host", "ip_text", "is_loopback", "known_host_name", "shown"]

LOCALHOST = "localhost"

_SHOWN_CHARACTERS = 200


known_host_name = lru_cache(maxsize=256)(host_name)
"""``host_name``, remembered: nearly all requests to a server name the same few. What may be long is not asked here."""


def check_host(request: Request) -> None:
    """Refuse a request without the one good Host that HTTP/1.1 asks for (RFC 9112 section 3.2).

    Raises:
        UpgradeRefused: 400.
    """
    hosts = request.requestHeaders.getRawHeaders(b"host", ())
    if len(hosts) == 1:
        host = header_text(hosts[0])
        if not _is_host(host):
            raise UpgradeRefused(400, "The Host header is malformed.", hint=f"Host: {shown(host)}")
    elif hosts:
        several = ", ".join(map(header_text, hosts))
        raise UpgradeRefused(400, "The Host header is repeated.", hint=f"Host: {shown(several)}")
    elif request.clientproto != b"HTTP/1.0" or isinstance(request.getHost(), UNIXAddress):
        # HTTP/1.0 may do without: Twisted takes the socket's own address then, which a UNIX socket has none of.
        raise UpgradeRefused(400, "The Host header is missing.")


def forwarded_host(request: Request, hub: Identities) -> str | None:
    """The Host that trusted proxies say a request was for; None where its own Host counts.

    Raises:
        UpgradeRefused: 400: it is malformed.
    """
    host = hub.forwarded_host(request)
    if host is not None and not _is_host(host):
        raise UpgradeRefused(400, "The X-Forwarded-Host header is malformed.", hint=f"X-Forwarded-Host: {shown(host)}")
    return host


def shown(value: str) -> str:
    """The value of a header for a line in the log: quoted, and not too long."""
    return f'"{value[:_SHOWN_CHARACTERS]}…"' if len(value) > _SHOWN_CHARACTERS else f'"{value}"'


@lru_cache(maxsize=64)  # of the addresses that a service listens on
def is_loopback(address: str) -> bool:
    """Whether nobody but this machine reaches an address: an IP address in text, or ``localhost``."""
    return address == LOCALHOST or (ip_text(address) is not None and ip_address(address).is_loopback)


def ip_text(address: str) -> str | None:
    """An IP address as it is usually written; None for what is none."""
    try:
        return str(ip_address(address))
    except ValueError:
        return None


def _is_host(text: str) -> bool:
    return len(text) <= MAX_HOST_LENGTH and known_host_name(text) is not None
