"""Who is connected, over all nodes: each node answers for its own connections. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed

from ..backplane.contract import Answers, Member
from ..core.model import Target
from ..core.registry import Registry
from ..errors import BackplaneUnavailable
from ..wire.nodes import from_bytes, to_bytes
from .link import Link
from .node import Node
from .presence import member_of

__all__ = ["Queries"]

T = TypeVar("T")

_KIND = "query"
_PATIENCE_SECONDS = 2.0


class Queries:
    """The questions of one hub about all nodes.

    Each gives a Deferred of what all nodes together have; nodes that are silent for two seconds are left out. It fails
    with BackplaneUnavailable where no node answers.

    Args:
        registry: the global connections of this node.
        node: asks the others.
    """

    def __init__(self, registry: Registry[Link], node: Node) -> None:
        self._registry = registry
        self._node = node
        node.answers[_KIND] = self._answer

    def names(self) -> Deferred[tuple[str, ...]]:
        """The names."""
        return self._ask(_each_once, "names")

    def groups(self, name: str) -> Deferred[tuple[str, ...]]:
        """The groups of a name; empty for an unknown name."""
        return self._ask(_each_once, "groups", name)

    def client_ids(self, name: str, group: str | None) -> Deferred[tuple[str, ...]]:
        """The client ids of a name, or of one group of it; empty for an unknown name."""
        return self._ask(_each_once, "client_ids", name, group)

    def has_name(self, name: str) -> Deferred[bool]:
        """Whether a connection has the name."""
        return self._ask(any, "has_name", name)

    def has_client_id(self, name: str, client_id: str, group: str | None) -> Deferred[bool]:
        """Whether a connection has the name, the client id and the group, where one is given."""
        return self._ask(any, "has_client_id", name, client_id, group)

    def connection(self, name: str, client_id: str) -> Deferred[Member | None]:
        """The connection of a name with a client id, as a member; None where no node has it."""

        def member(several: Iterable[list[Any]]) -> Member | None:
            # While one connection replaces another, two nodes may have the id for a moment.
            return next((_member(name, each) for each in several if each), None)

        return self._ask(member, "connection", name, client_id)

    def connections(self, name: str, group: str | None) -> Deferred[tuple[Member, ...]]:
        """The connections of a name, or of one group of it, as members."""

        def members(several: Iterable[list[list[Any]]]) -> tuple[Member, ...]:
            return tuple(_member(name, each) for each in chain.from_iterable(several))

        return self._ask(members, "connections", name, group)

    def count(self, name: str | None) -> Deferred[int]:
        """How many connections a name has, or all names together."""
        return self._ask(sum, "count", name)

    def _ask(self, merged: Callable[[Iterable[Any]], T], what: str, *arguments: str | None) -> Deferred[T]:
        def answered(answers: Answers) -> T:
            if not answers.given:
                raise BackplaneUnavailable("no node has answered")
            return merged([from_bytes(body) for body in answers.given.values()])

        return self._node.ask(_KIND, to_bytes([what, *arguments]), _PATIENCE_SECONDS).addCallback(answered)

    # What this node answers.

    def _answer(self, body: bytes) -> Deferred[bytes | None]:
        what, *arguments = from_bytes(body)
        found = self._found(what, arguments)
        return succeed(None if found is None else to_bytes(found))

    def _found(self, what: str, arguments: list[Any]) -> Any:
        registry = self._registry
        match what, arguments:
            case "names", []:
                return registry.names()
            case "groups", [name]:
                return registry.groups(name) if registry.has_name(name) else ()
            case "client_ids", [name, group]:
                return registry.client_ids(name, group) if registry.has_name(name) else ()
            case "has_name", [name]:
                return registry.has_name(name)
            case "has_client_id", [name, client_id, group]:
                return registry.has_client_id(name, client_id, group)
            case "connection", [name, client_id]:
                link = registry.get(name, client_id)
                return () if link is None else _fields(link)
            case "connections", [name, group]:
                return [_fields(each) for each in registry.select(Target((name,), () if group is None else (group,)))]
            case "count", [name]:
                return registry.count(name)
        # A newer node asks what this one does not know.
        return None


def _fields(link: Link) -> tuple[Any, ...]:
    """What other nodes are told of a connection whose name they know."""
    member = member_of(link)
    return member.client_id, member.groups, member.user, member.info


def _member(name: str, fields: list[Any]) -> Member:
    client_id, groups, user, info = fields
    return Member(name, client_id, tuple(groups), user, info)


def _each_once(several: Iterable[list[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(several)))
