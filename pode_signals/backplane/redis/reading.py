"""Reads all members of a name as they are at one moment, in pages where there are many. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, inlineCallbacks

from .members import VERSION, Change, Seen, read_members
from .node import RedisNode
from .scripts import MEMBERS

__all__ = ["Picture", "Reading"]

_MOST_AT_ONCE = 1_000
"""How many members are read with one call. Redis does nothing else meanwhile."""
_PAGE_MEMBERS = 500


@frozen
class Picture:
    """All members of a name.

    Attributes:
        version: their version.
        members: the members by their client ids.
    """

    version: int
    members: dict[str, Seen]


class Reading:
    """One reading.

    The pages of a large name are from different moments. What has changed meanwhile comes by the channel of the name,
    so the differences on top of the pages make one picture.

    Args:
        node: this node.
        name: the name.
        listen: called where the name turns out to be large, and gives a Deferred that fires once each difference is
            given to :meth:`heard`.
    """

    def __init__(self, node: RedisNode, name: str, listen: Callable[[], Deferred[None]]) -> None:
        self._node = node
        self.name = name
        self._listen = listen
        self._changes: list[Change] = []

    def heard(self, change: Change) -> None:
        """A difference was published."""
        self._changes.append(change)

    @inlineCallbacks
    def picture(self) -> Any:
        """Fires with the picture. Fails where Redis can't be asked."""
        has_listened = False
        while True:
            self._changes.clear()
            version, number, flat = yield self._node.client.run(
                MEMBERS, self._node.keys.members(self.name), _MOST_AT_ONCE
            )
            members: dict[str, Seen] = {}
            self._take(members, flat)
            if number > _MOST_AT_ONCE:
                if not has_listened:
                    has_listened = True
                    yield self._listen()
                    continue
                yield self._pages(members)
            picture = self._with_changes(int(version) if VERSION.fullmatch(version) else 0, members)
            if picture is not None:
                return picture

    @inlineCallbacks
    def _pages(self, members: dict[str, Seen]) -> Any:
        cursor = b"0"
        while True:
            key = self._node.keys.members(self.name)[0]
            cursor, flat = yield self._node.client.call("HSCAN", key, cursor, "COUNT", _PAGE_MEMBERS)
            self._take(members, flat)
            if cursor == b"0":
                return

    def _take(self, members: dict[str, Seen], flat: list[bytes]) -> None:
        found, malformed = read_members(self.name, flat)
        members.update(found)
        if malformed:
            self._node.count("members_malformed", malformed)

    def _with_changes(self, version: int, members: dict[str, Seen]) -> Picture | None:
        """The members as they are with all changes; None where one is missing."""
        for change in self._changes:
            if change.version <= version:
                continue
            if change.version != version + 1:
                return None
            version = change.version
            for client_id, seen in change.members.items():
                if seen is None:
                    members.pop(client_id, None)
                else:
                    members[client_id] = seen
        return Picture(version, members)
