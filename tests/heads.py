"""The heads of requests as values, from what a client sends. Nothing in here is a test, or knows Twisted."""

from __future__ import annotations

from pode_signals.core.addresses import TrustedProxies
from pode_signals.core.request_head import RequestHead

__all__ = ["head_in"]


def head_in(
    data: bytes,
    *,
    peer: str = "203.0.113.7",
    trusted_proxies: tuple[str, ...] = (),
    is_secure: bool = False,
    has_own_address: bool = True,
) -> RequestHead:
    """The head that a request begins with, each line as Twisted reads it; what follows is left out."""
    headers: dict[bytes, list[bytes]] = {}
    first, *lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    method, target, version = first.split(b" ")
    for line in lines:
        name, _, value = line.partition(b":")
        headers.setdefault(name.lower(), []).append(value.strip(b" \t"))
    proxies = TrustedProxies(trusted_proxies)
    return RequestHead.read(
        method,
        target,
        version,
        headers,
        peer=peer,
        proxies=proxies,
        is_secure=is_secure,
        has_own_address=has_own_address,
    )
