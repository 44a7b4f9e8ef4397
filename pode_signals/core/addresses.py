"""Addresses of clients, also behind proxies. Never resolves a name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["TrustedProxies", "plain_address"]


@lru_cache(maxsize=1_024)
def plain_address(text: str) -> str:
    """One spelling for each address.

    Args:
        text: the address of a socket or of a header.

    Returns:
        IPv4 with dots, also for an IPv4-mapped IPv6 address; IPv6 in its short form, lower case, without a zone id
        (that says which interface of ours, not which client); ``""`` for anything else, such as a UNIX socket.
    """
    address = _address(text)
    return "" if address is None else str(address)


class TrustedProxies:
    """The proxies whose X-Forwarded-For counts.

    Args:
        networks: addresses or networks: ``10.0.0.1``, ``10.0.0.0/8``, ``fd00::/8``.

    Raises:
        ValueError: one of them is neither.
    """

    __slots__ = ("_networks",)

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = tuple(map(_network, networks))

    def trusts(self, address: str) -> bool:
        """Whether an address is one of the proxies."""
        found = _address(address)
        return found is not None and any(found in network for network in self._networks)

    def client_address(self, socket_address: str, forwarded_for: Sequence[str]) -> str:
        """The address of the client.

        Args:
            socket_address: the address of the socket's other end.
            forwarded_for: the X-Forwarded-For headers, in their order.

        Returns:
            The socket's address, unless that is a trusted proxy: then the right-most address of X-Forwarded-For that
            is none, since each proxy appends the one it saw and whatever is left of that is the client's invention.
            Where an entry can't be read, the last address before it; where all are trusted, the left-most.
        """
        client = plain_address(socket_address)
        if not forwarded_for:
            return client
        for entry in reversed(",".join(forwarded_for).split(",")):
            if not self.trusts(client):
                break
            if not entry.strip():
                continue  # an empty element of a list counts as absent (RFC 9110 section 5.6.1)
            forwarded = plain_address(_without_port(entry.strip()))
            if not forwarded:
                break
            client = forwarded
        return client


_BRACKETED = re.compile(r"\[([^\]]*)\](?::[0-9]*)?")
_WITH_PORT = re.compile(r"([^:]*):[0-9]*")


def _without_port(entry: str) -> str:
    match = _BRACKETED.fullmatch(entry) or _WITH_PORT.fullmatch(entry)
    return entry if match is None else match[1]


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def _network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:  # addresses are compared in their plain form
            return IPv4Network((mapped, network.prefixlen - 96))
    return network
