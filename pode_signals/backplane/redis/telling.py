"""Tells Redis, in batches, which members of this node come and go. It knows no watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from .connection import RedisLost, RedisRefused
from .keys import encoded_name
from .lease import VERSION_MS, Lease
from .members import VERSION
from .node import RedisNode
from .room import Room, Tell
from .scripts import CHANGE

__all__ = ["Telling"]

_BATCH = 20
"""How many changes are made with one call."""
_CALLS = 16
"""How many calls are on their way at most. After an outage all nodes have much to tell at once, and each call has to
have its answer in time."""


class Telling:
    """What this node has to tell.

    Args:
        node: this node.
        lease: its lease: without one nothing is told.
        reactor: knows when a turn is over.
        told: called with the room, what was told, the version of the members since then, and the answer.
        refused: called with the room and what Redis refuses to be told.
    """

    def __init__(
        self,
        node: RedisNode,
        lease: Lease,
        reactor: Any,
        told: Callable[[Room, Tell, int, int], None],
        refused: Callable[[Room, Tell, Failure], None],
    ) -> None:
        self._node = node
        self._lease = lease
        self._reactor = reactor
        self._told = told
        self._refused = refused
        # The rooms with something to tell, which take turns.
        self._line: dict[Room, None] = {}
        self._calls = 0
        self._is_due = False

    def add(self, room: Room, tell: Tell) -> None:
        """Tell something at the end of this turn. Where Redis is away everything is told when it is back."""
        if self._node.client.is_up:
            room.to_tell.append(tell)
            self.soon(room)

    def soon(self, room: Room) -> None:
        """Tell what a room has to tell at the end of this turn."""
        self._line[room] = None
        if not self._is_due:
            self._is_due = True
            # Before any timer: a change is not to wait until others have had their turn.
            self._reactor.callFromThread(self._due)

    def done(self, room: Room) -> Deferred[None]:
        """Fires once this name is heard of and Redis was sent all that there is to tell of it."""
        if not self._node.client.is_up:
            return fail(RedisLost(self._node.client.state, was_sent=False))
        self.flush()
        if room.is_heard and not room.to_tell:
            return succeed(None)
        waiting: Deferred[None] = Deferred(lambda _: room.waiting.remove(waiting))
        room.waiting.append(waiting)
        return waiting

    def flush(self) -> None:
        """Tell what can be told now."""
        incarnation = self._lease.incarnation
        for room in tuple(self._line):
            while room.is_heard and room.to_tell and incarnation is not None and self._calls < _CALLS:
                self._send(room, incarnation)
            if room.is_heard and room.to_tell:
                continue
            # One that is not heard of yet comes back as soon as it is.
            self._line.pop(room, None)
            if not room.is_heard:
                continue
            waiting, room.waiting = room.waiting, []
            for each in waiting:
                each.callback(None)

    def lost(self, rooms: tuple[Room, ...], why: str) -> None:
        """Redis is away. What is to be told is told when it is back."""
        self._line.clear()
        for room in rooms:
            room.is_heard = False
            room.to_tell.clear()
            waiting, room.waiting = room.waiting, []
            for each in waiting:
                each.errback(RedisLost(why, was_sent=False))

    def _due(self) -> None:
        self._is_due = False
        self.flush()

    def _send(self, room: Room, incarnation: str) -> None:
        batch = [room.to_tell.popleft() for _ in range(min(_BATCH, len(room.to_tell)))]
        words = [word for tell in batch for word in (tell.what, tell.client_id, tell.value)]
        keys = self._node.keys
        self._calls += 1
        self._node.client.run(
            CHANGE,
            (keys.nodes, *keys.members(room.name)),
            keys.channel(room.name),
            encoded_name(room.name),
            incarnation,
            VERSION_MS,
            *words,
        ).addBoth(self._answered, room, incarnation, batch)

    def _answered(self, answer: Any, room: Room, incarnation: str, batch: list[Tell]) -> None:
        self._calls -= 1
        if isinstance(answer, Failure):
            if answer.check(RedisRefused):
                room.is_behind = True
                self._node.failed(answer, "members of {name} are not shown to other nodes", name=room.name)
                for tell in batch:
                    self._refused(room, tell, answer)
        elif answer[0] != 1:
            # All is told again as soon as there is another incarnation.
            self._lease.fenced(incarnation)
        else:
            version = int(answer[1]) if VERSION.fullmatch(answer[1]) else 0
            for tell, code in zip(batch, answer[2:], strict=True):
                self._told(room, tell, version, code)
        self.flush()
