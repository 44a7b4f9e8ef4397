"""Names and addresses of hosts, remembered where each request asks: nearly all of a server's have the same few."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from ..core.origin import host_name

__all__ = ["LOCALHOST", "ip_text", "is_loopback", "known_host_name"]

LOCALHOST = "localhost"

known_host_name = lru_cache(maxsize=256)(host_name)
"""``host_name``, which says the same for the same header each time."""


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
