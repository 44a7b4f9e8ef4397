"""How many connections there may be, and which of them make room for a new one. It opens no connection."""

from __future__ import annotations

from collections import Counter
from itertools import count, islice
from typing import Any

from ..core.addresses import limit_key
from ..core.model import DuplicateClientId, Identity, Scope
from ..core.registry import Registry
from ..errors import ClientIdInUse, TooManyConnections
from .link import Link
from .runtime import Runtime

__all__ = ["Capacity"]

# File descriptors that are left for ports, logs, the reactor and files of the application.
_RESERVED_DESCRIPTORS = 64


class Capacity:
    """The open connections of one hub, and the limits on their number.

    A connection that was replaced may take its time to answer the close frame, until its place is needed.

    Args:
        runtime: the surroundings.
        registry: the global connections.

    Attributes:
        links: every connection whose transport is not gone yet, local ones too, in the order of their coming; each
            with its number in that order.
        lingering: connections that are gone while a function for them goes on, or a message waits for one. Each takes a
            place as an open one does: otherwise clients that come and go would have any number of functions run.
        opened_by, gone_by: how many were opened, and how many of these are gone, by protocol and scope.
        max_connections: how many of them there may be.
        max_pending_handshakes: how many requests may be incomplete: ``pending_handshakes``, or fewer where the process
            may have fewer file descriptors.
    """

    def __init__(self, runtime: Runtime, registry: Registry[Link]) -> None:
        self._settings = settings = runtime.settings
        self._registry = registry
        self.links: dict[Link, int] = {}
        self.lingering: set[Link] = set()
        self._numbers = count(1)
        # Plain dicts: to count in a Counter costs ten times as much.
        self.opened_by: dict[tuple[str, str], int] = {}
        self.gone_by: dict[tuple[str, str], int] = {}
        # The number of connections of each address, by limit_key. A client without an address is not counted.
        self._by_address: Counter[str] = Counter()
        # Connections that were replaced and whose transports are not gone yet, the oldest first: all of them, and those
        # of each address.
        self._replaced: dict[Link, None] = {}
        self._replaced_of: dict[str, dict[Link, None]] = {}
        descriptors = _descriptor_limit()
        self.max_pending_handshakes = min(settings.pending_handshakes, max(1, descriptors // 4))
        fitting = max(1, descriptors - _RESERVED_DESCRIPTORS - self.max_pending_handshakes)
        self.max_connections = settings.max_connections or fitting

    def check(self, identity: Identity, scope: Scope, address: str, *, is_back: bool = False) -> None:
        """Raise a refusal where the connection would be one too many, or its client id is in use.

        The connection that would be replaced, and connections that were replaced before, do not count any more.

        Args:
            identity: who it is.
            scope: its scope.
            address: the address of its client.
            is_back: whether it is certainly the client that has the id already: its connection may be half open.
        """
        limits = self._settings
        replaced = self._registry.get(identity.name, identity.client_id) if scope is Scope.GLOBAL else None
        if replaced is not None and not is_back and limits.duplicate_client_id is DuplicateClientId.REFUSE:
            raise ClientIdInUse
        places = len(self.links) + len(self.lingering) - len(self._replaced) - (replaced is not None)
        if places >= self.max_connections:
            raise TooManyConnections(503, "max_connections")
        most, key = limits.max_connections_per_address, limit_key(address)
        if most is not None and self._by_address[key] >= most:
            leaving = len(self._replaced_of.get(key, ()))
            leaving += replaced is not None and limit_key(replaced.address) == key
            if self._by_address[key] - leaving >= most:
                raise TooManyConnections(429, "max_connections_per_address")
        new_name = scope is Scope.GLOBAL and not self._registry.has_name(identity.name)
        if new_name and self._registry.name_count() >= limits.max_names:
            raise TooManyConnections(503, "max_names")

    def replaces(self, replaced: Link) -> None:
        """A newer connection takes the place of this one, which is about to be closed."""
        self._replaced[replaced] = None
        self._replaced_of.setdefault(limit_key(replaced.address), {})[replaced] = None

    def opened(self, link: Link, replaced: Link | None) -> None:
        """A connection is open; where there is no room, connections that were replaced before have to go now.

        Args:
            link: the connection.
            replaced: the connection that it has replaced, which has just got its close frame; None where it has
                replaced none.
        """
        self.links[link] = next(self._numbers)
        kind = link.encoding.protocol, link.scope.value
        self.opened_by[kind] = self.opened_by.get(kind, 0) + 1
        if key := limit_key(link.address):
            self._by_address[key] += 1
        if self._replaced:
            self._make_room(link.address, replaced)

    def gone(self, link: Link) -> None:
        """A transport is gone. The connection keeps its place until :meth:`over`."""
        del self.links[link]
        self.lingering.add(link)
        kind = link.encoding.protocol, link.scope.value
        self.gone_by[kind] = self.gone_by.get(kind, 0) + 1
        key = limit_key(link.address)
        if link in self._replaced:
            del self._replaced[link]
            of_address = self._replaced_of[key]
            del of_address[link]
            if not of_address:
                del self._replaced_of[key]

    def over(self, link: Link) -> None:
        """The functions of a connection that is gone have ended: its place is free."""
        self.lingering.remove(link)
        if key := limit_key(link.address):
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]

    def _make_room(self, address: str, just_replaced: Link | None) -> None:
        most, key = self._settings.max_connections_per_address, limit_key(address)
        over = len(self.links) - self.max_connections
        over_of_address = 0 if most is None or not key else self._by_address[key] - most
        if just_replaced is not None and just_replaced in self._replaced:
            over -= 1
            over_of_address -= limit_key(just_replaced.address) == key
        going = _oldest(self._replaced_of.get(key, {}), over_of_address, {just_replaced})
        going += _oldest(self._replaced, over - len(going), {just_replaced, *going})
        for each in going:
            each.abort()


def _oldest(replaced: dict[Link, None], count: int, but: set[Link | None]) -> list[Link]:
    """The oldest connections that were replaced, as many as ``count`` says, without those in ``but``.

    It looks at no more of them than it needs.
    """
    return list(islice((each for each in replaced if each not in but), max(0, count)))


def _descriptor_limit() -> int:
    """How many files and sockets the process may have open."""
    try:
        import resource
    except ImportError:
        # Not on this platform.
        return 1_000_000
    soft: Any = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft
