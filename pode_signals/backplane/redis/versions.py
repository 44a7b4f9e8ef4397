"""Compares the versions of members in Redis with those that this node knows, in case a message did not come."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .channels import MEMBERS
from .members import VERSION
from .node import RedisNode
from .room import Room
from .scripts import VERSIONS
from .telling import Telling

__all__ = ["Versions"]

_NAMES_AT_ONCE = 500


class Versions:
    """The versions of all names.

    Args:
        node: this node.
        read: reads all members of a name.
        telling: tells again what Redis has refused.
    """

    def __init__(self, node: RedisNode, read: Callable[[Room], None], telling: Telling) -> None:
        self._node = node
        self._read = read
        self._telling = telling

    def check(self, rooms: tuple[Room, ...]) -> None:
        """Have the members of each name read that this node does not know as they are."""
        for at in range(0, len(rooms), _NAMES_AT_ONCE):
            some = rooms[at : at + _NAMES_AT_ONCE]
            keys = tuple(self._node.keys.members(room.name)[1] for room in some)
            self._node.client.run(VERSIONS, keys).addCallbacks(
                partial(self._compare, [(room, room.version) for room in some]),
                lambda failure: self._node.failed(failure, "the versions of members can't be read"),
            )

    def _compare(self, rooms: list[tuple[Room, int | None]], versions: list[bytes]) -> None:
        for (room, before), found in zip(rooms, versions, strict=True):
            if self._node.channels.hears(room.name, MEMBERS) is None:
                # Nobody needs it any more.
                continue
            version = int(found) if VERSION.fullmatch(found) else 0
            if room.is_behind:
                room.tell_all()
                self._telling.soon(room)
            if before is None or version < before:
                self._read(room)
            elif version > before:
                # The difference may be on its way, on the other connection.
                self._node.channels.listen(room.name, MEMBERS).addCallback(partial(self._read_if_missed, room, version))

    def _read_if_missed(self, room: Room, version: int, is_so: bool) -> None:
        if is_so and (room.version is None or room.version < version):
            self._node.count("members_missed")
            self._read(room)
