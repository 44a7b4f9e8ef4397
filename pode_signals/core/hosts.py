"""The Host that a request is for: whether it is well-formed. It does not decide which endpoint serves which Host."""

from __future__ import annotations

from ..errors import UpgradeRefused
from .origin import MAX_HOST_LENGTH, known_host_name
from .request_head import RequestHead
from .request_record import header_text
from .text import shown

__all__ = ["check_forwarded_host", "check_host"]


def check_host(head: RequestHead) -> None:
    """Refuse a request without the one good Host that HTTP/1.1 asks for (RFC 9112 section 3.2).

    Raises:
        UpgradeRefused: 400.
    """
    hosts = head.lines(b"host")
    if len(hosts) == 1:
        host = header_text(hosts[0])
        if not _is_host(host):
            raise UpgradeRefused(400, "The Host header is malformed.", hint=f"Host: {shown(host)}")
    elif hosts:
        several = ", ".join(map(header_text, hosts))
        raise UpgradeRefused(400, "The Host header is repeated.", hint=f"Host: {shown(several)}")
    elif head.version != b"HTTP/1.0" or not head.has_own_address:
        # An HTTP/1.0 request may have no Host. Then Twisted takes the address of this end of the socket, which a UNIX
        # socket does not have.
        raise UpgradeRefused(400, "The Host header is missing.")


def check_forwarded_host(head: RequestHead) -> str | None:
    """The Host for which trusted proxies have received a request; None where the request's own Host counts.

    Raises:
        UpgradeRefused: 400: that Host is malformed.
    """
    host = head.forwarded_host
    if host is not None and not _is_host(host):
        raise UpgradeRefused(400, "The X-Forwarded-Host header is malformed.", hint=f"X-Forwarded-Host: {shown(host)}")
    return host


def _is_host(text: str) -> bool:
    return len(text) <= MAX_HOST_LENGTH and known_host_name(text) is not None
