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

# An address with a zone id and a port is shorter. A longer entry of X-Forwarded-For is no address, and the caches below
# must not keep it.
_MAX_ENTRY_LENGTH = 80
_LIMITED_PREFIX = 64


@lru_cache(maxsize=1_024)
def plain_address(text: str) -> str:
    """One spelling for each address.

    Args:
        text: the address of a socket or of a header.

    Returns:
        IPv4 with dots, also for an IPv4-mapped IPv6 address. IPv6 in its short form, in lower case and without a zone
        id, which names an interface of this machine and not a client. ``""`` for anything else, such as a UNIX socket.
    """
    address = _address(text)
    return "" if address is None else str(address)


@lru_cache(maxsize=1_024)
def limit_key(address: str) -> str:
    """The text under which a client is counted where there is a limit for each address.

    Args:
        address: a plain address, or ``""``.

    Returns:
        An IPv4 address itself. For an IPv6 address its network of 64 bits, since one subscriber has at least as many
        addresses (RFC 6177). ``""`` for a client without an address, for which there is no such limit.
    """
    found = _address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, _LIMITED_PREFIX), strict=False))
    return "" if found is None else str(found)


# Asked for the addresses that a service listens on, with each request.
@lru_cache(maxsize=64)
def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address: an IP address as a text, or ``localhost``."""
    return address == LOCALHOST or (ip_text(address) is not None and ip_address(address).is_loopback)


def bracketed(address: str) -> str:
    """An address as a URL or a Host header has it: an IPv6 address in brackets, any other text unchanged."""
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def ip_text(address: str) -> str | None:
    """An IP address in its usual spelling; None for a text that is no IP address."""
    try:
        return str(ip_address(address))
    except ValueError:
        return None


class TrustedProxies:
    """The proxies whose X-Forwarded-For counts.

    Args:
        networks: addresses or networks: ``10.0.0.1``, ``10.0.0.0/8``, ``fd00::/8``; ``unix`` is every client that
            connects over a UNIX socket.

    Raises:
        ValueError: one of the texts is neither an address nor a network nor ``unix``.
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
            The socket's address, unless that is a trusted proxy. Then it is the right-most address of X-Forwarded-For
            that is no trusted proxy: each proxy appends the address that it saw, and the client may have invented the
            entries to the left. Where an entry can't be read, it is the address to the right of that entry; where all
            addresses are trusted, the left-most one. ``""`` for the other end of a UNIX socket.
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
        """The addresses that a request came through, from this server to the client, as far as they can be read."""
        yield peer
        for entry in reversed(",".join(forwarded_for).split(",")):
            text = entry.strip()
            # An empty element of a list counts as absent (RFC 9110 section 5.6.1).
            if not text:
                continue
            # nginx writes "unix:" for a client that connects to nginx over a UNIX socket.
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
        # Addresses are compared in their plain form, in which an IPv4-mapped address is IPv4.
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network
