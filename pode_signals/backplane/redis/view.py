"""The members of a name as a watch was told of them, and the changes of a turn that it has not been told yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from ..contract import Member, PresenceChange
from .members import Seen

__all__ = ["View"]


class View:
    """What one watch knows.

    Args:
        clock: gives the timer for the end of a turn.
        changed: is told of the changes of each turn.
        members: the members that the watch begins with.
    """

    def __init__(self, clock: Any, changed: Callable[[PresenceChange], None], members: dict[str, Seen]) -> None:
        self._clock = clock
        self._changed = changed
        self._members = {client_id: seen.member for client_id, seen in members.items()}
        # For each client id that has changed in this turn, the member as the watch was told of it last.
        self._before: dict[str, Member | None] = {}
        self._call: IDelayedCall | None = None

    def put(self, client_id: str, member: Member | None) -> None:
        """A member came, went or was replaced."""
        was = self._members.get(client_id)
        if was == member:
            return
        self._before.setdefault(client_id, was)
        if member is None:
            del self._members[client_id]
        else:
            self._members[client_id] = member
        if self._call is None:
            self._call = self._clock.callLater(0, self._tell)

    def replace(self, members: dict[str, Seen], *, keeps_missing: bool) -> None:
        """All members are known anew.

        Args:
            members: the members.
            keeps_missing: whether those that are not among them stay for now.

        """
        for client_id, seen in members.items():
            self.put(client_id, seen.member)
        if not keeps_missing:
            for client_id in self._members.keys() - members.keys():
                self.put(client_id, None)

    def end(self) -> None:
        """Tell nothing any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _tell(self) -> None:
        before, self._before, self._call = self._before, {}, None
        joined, left = [], []
        for client_id, was in before.items():
            now = self._members.get(client_id)
            if now is None and was is not None:
                left.append(was)
            elif now is not None and now != was:
                joined.append(now)
        if joined or left:
            self._changed(PresenceChange(tuple(joined), tuple(left)))
