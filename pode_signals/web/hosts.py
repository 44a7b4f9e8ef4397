"""The Host that a request is for. It decides nothing about who serves which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.address import UNIXAddress

from ..core.origin import MAX_HOST_LENGTH, known_host_name
from ..core.request_record import header_text
from ..core.text import shown
from ..errors import UpgradeRefused

if TYPE_CHECKING:
    from ..hub.hub import Hub

Request = Any  # a twisted.web.server.Request: most of what is used of it has no annotations

__all__ = ["check_host", "forwarded_host"]


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


def forwarded_host(request: Request, hub: Hub) -> str | None:
    """The Host that trusted proxies say a request was for; None where its own Host counts.

    Raises:
        UpgradeRefused: 400: it is malformed.
    """
    host = hub.identities.forwarded_host(request)
    if host is not None and not _is_host(host):
        raise UpgradeRefused(400, "The X-Forwarded-Host header is malformed.", hint=f"X-Forwarded-Host: {shown(host)}")
    return host


def _is_host(text: str) -> bool:
    return len(text) <= MAX_HOST_LENGTH and known_host_name(text) is not None
