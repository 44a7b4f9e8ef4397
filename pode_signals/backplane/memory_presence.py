"""The members of a node that is alone. It has timers only for members that leave and for changes to be told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from ..core.contracts import ClockLike
from .contract import Member, PresenceChange

__all__ = ["MemoryPresence"]


class MemoryPresence:
    """Follows the contract :class:`~pode_signals.backplane.contract.Presence`. Each Deferred it returns has fired.

    Args:
        clock: gives the timers.
        call_later: gives the timers of members that leave; None is the clock. A test that looks for timers which are
            left in a reactor must not find these.
    """

    def __init__(self, clock: ClockLike, call_later: Callable[..., IDelayedCall] | None = None) -> None:
        self._clock = clock
        self._call_later = clock.callLater if call_later is None else call_later
        self._names: dict[str, dict[str, Member]] = {}
        self._leaving: dict[tuple[str, str], IDelayedCall] = {}
        self._watches: dict[str, _Watch] = {}

    def clear(self) -> None:
        """Forget every member, without telling any watch."""
        for name in tuple(self._watches):
            self.unwatch(name)
        for call in self._leaving.values():
            call.cancel()
        self._leaving.clear()
        self._names.clear()

    def join(self, member: Member, *, replace: bool = True) -> Deferred[bool]:
        """Add or replace a member. The Deferred fires with False: there is no other node that could have held it."""
        leaving = self._leaving.pop((member.name, member.client_id), None)
        if leaving is not None:
            leaving.cancel()
        self._changes(member.name, member.client_id)
        self._names.setdefault(member.name, {})[member.client_id] = member
        return succeed(False)

    def leave(self, name: str, client_id: str, grace_seconds: float) -> None:
        """Remove a member after the grace."""
        key = (name, client_id)
        if client_id not in self._names.get(name, ()) or key in self._leaving:
            return
        if grace_seconds > 0:
            self._leaving[key] = self._call_later(grace_seconds, partial(self._grace_over, name, client_id))
        else:
            self._gone(name, client_id)

    def members(self, name: str, group: str | None = None) -> Deferred[tuple[Member, ...]]:
        """The members; those that are leaving are still among them."""
        return succeed(self._select(name, group))

    def count(self, name: str, group: str | None = None) -> Deferred[int]:
        """The number of members."""
        return succeed(len(self._names.get(name, ())) if group is None else len(self._select(name, group)))

    def watch(self, name: str, changed: Callable[[PresenceChange], None]) -> Deferred[tuple[Member, ...]]:
        """Tell of changes in a name."""
        # Changes that came before, also in this turn, are in the members that the new watch begins with.
        self.unwatch(name)
        self._watches[name] = _Watch(changed)
        return self.members(name)

    def unwatch(self, name: str) -> None:
        """Tell of no more changes in a name."""
        watch = self._watches.pop(name, None)
        if watch is not None and watch.call is not None:
            watch.call.cancel()

    def _select(self, name: str, group: str | None) -> tuple[Member, ...]:
        members = self._names.get(name, {}).values()
        return tuple(member for member in members if group is None or group in member.groups)

    def _grace_over(self, name: str, client_id: str) -> None:
        del self._leaving[name, client_id]
        self._gone(name, client_id)

    def _gone(self, name: str, client_id: str) -> None:
        self._changes(name, client_id)
        members = self._names[name]
        del members[client_id]
        if not members:
            del self._names[name]

    def _changes(self, name: str, client_id: str) -> None:
        """A member is about to come, to go or to be replaced: keep its state of before, and tell the watch later."""
        watch = self._watches.get(name)
        if watch is None:
            return
        watch.before.setdefault(client_id, self._names.get(name, {}).get(client_id))
        if watch.call is None:
            watch.call = self._clock.callLater(0, self._tell, name, watch)

    def _tell(self, name: str, watch: _Watch) -> None:
        before, watch.before, watch.call = watch.before, {}, None
        members = self._names.get(name, {})
        joined, left = [], []
        for client_id, was in before.items():
            now = members.get(client_id)
            if now is None and was is not None:
                left.append(was)
            elif now is not None and now != was:
                joined.append(now)
        if joined or left:
            watch.changed(PresenceChange(tuple(joined), tuple(left)))


class _Watch:
    """The function that is told of changes in a name, and the changes of this turn that it has not been told yet."""

    __slots__ = ("before", "call", "changed")

    def __init__(self, changed: Callable[[PresenceChange], None]) -> None:
        self.changed = changed
        # For each client id that has changed in this turn, the member as the watch was told of it last; None where
        # there was no such member.
        self.before: dict[str, Member | None] = {}
        self.call: IDelayedCall | None = None
