"""Addresses of clients, also behind proxies. Never resolves a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = [
    "LOCALHOST",
    "UNIX_PEER",
    "TrustedProxies",
    "bracketed",
    "ip_text",
    "is_loopback",
    "limit_key",
    "plain_address",
]

LOCALHOST = "localhost"

UNIX_PEER = "unix"
"""The other end of a UNIX socket, which has no address."""

_MAX_ENTRY_LENGTH = 80  # an address with a zone id and a port; longer ones are none, and must not be remembered
_LIMITED_PREFIX = 64


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


@lru_cache(maxsize=1_024)
def limit_key(address: str) -> str:
    """By what a client is counted where there is a limit for each address.

    Args:
        address: a plain address, or ``""``.

    Returns:
        The address; of an IPv6 address its network of 64 bits, since one subscriber has that many addresses at least
        (RFC 6177); ``""`` for a client without an address, for which there is no such limit.
    """
    found = _address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, _LIMITED_PREFIX), strict=False))
    return "" if found is None else str(found)


@lru_cache(maxsize=64)  # of the addresses that a service listens on
def is_loopback(address: str) -> bool:
    """Whether nobody but this machine reaches an address: an IP address in text, or ``localhost``."""
    return address == LOCALHOST or (ip_text(address) is not None and ip_address(address).is_loopback)


def bracketed(address: str) -> str:
    """An address as it stands in a URL or a Host header: one of IPv6 in brackets, anything else as it is."""
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def ip_text(address: str) -> str | None:
    """An IP address as it is usually written; None for what is none."""
    try:
        return str(ip_address(address))
    except ValueError:
        return None


class TrustedProxies:
    """The proxies whose X-Forwarded-For counts.

    Args:
        networks: addresses or networks: ``10.0.0.1``, ``10.0.0.0/8``, ``fd00::/8``; ``unix`` is whoever connects over
            a UNIX socket.

    Raises:
        ValueError: one of them is neither.
    """

    __slots__ = ("_networks", "_unix")

    def __init__(self, networks: Sequence[str]) -> None:
        self._unix = UNIX_PEER in networks
        self._networks = tuple(_network(each) for each in networks if each != UNIX_PEER)

    def trusts(self, peer: str) -> bool:
        """Whether an address, or :data:`UNIX_PEER`, is one of the proxies."""
        if peer == UNIX_PEER:
            return self._unix
        found = _address(peer) if self._networks else None
        return found is not None and any(found in network for network in self._networks)

    def client_address(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """The address of the client.

        Args:
            peer: the address of the socket's other end, or :data:`UNIX_PEER`.
            forwarded_for: the X-Forwarded-For headers, in their order.

        Returns:
            The socket's address, unless that is a trusted proxy: then the right-most address of X-Forwarded-For that
            is none, since each proxy appends the one it saw and whatever is left of that is the client's invention.
            Where an entry can't be read, the last address before it; where all are trusted, the left-most. ``""`` for
            the other end of a UNIX socket.
        """
        client = peer
        for client in self._path(peer, forwarded_for):
            if not self.trusts(client):
                break
        return "" if client == UNIX_PEER else plain_address(client)

    def hops(self, peer: str, forwarded_for: Sequence[str]) -> int:
        """How many trusted proxies a request came through, one after the other; 0 from an untrusted socket.

        Args:
            peer: the address of the socket's other end, or :data:`UNIX_PEER`.
            forwarded_for: the X-Forwarded-For headers, in their order.
        """
        count = 0
        for each in self._path(peer, forwarded_for):
            if not self.trusts(each):
                break
            count += 1
        return count

    def _path(self, peer: str, forwarded_for: Sequence[str]) -> Iterator[str]:
        """Where a request came through, from here to the client, as far as it can be read."""
        yield peer
        for entry in reversed(",".join(forwarded_for).split(",")):
            text = entry.strip()
            if not text:
                continue  # an empty element of a list counts as absent (RFC 9110 section 5.6.1)
            # nginx writes "unix:" for whoever connects to it over a UNIX socket.
            if text == "unix:":
                yield UNIX_PEER
                continue
            forwarded = plain_address(_without_port(text)) if len(text) <= _MAX_ENTRY_LENGTH else ""
            if not forwarded:
                return
            yield forwarded


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
