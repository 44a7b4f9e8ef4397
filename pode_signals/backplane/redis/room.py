"""One name on this node: its own members, what is to be told of them, and what its watch knows. It asks nothing."""

from __future__ import annotations

from collections import deque

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from ..contract import Member
from .members import Change, Seen
from .reading import Reading
from .view import View

__all__ = ["Own", "Room", "Tell"]


@define(eq=False)
class Own:
    """A member that this node holds.

    Attributes:
        member: the member.
        text: the member as it is written.
        answer: what waits for the answer to the join.
        known: when Redis had confirmed it, as a number that counts up on this node; 0 where it has not.
        version: the version of the name's members at that time.
        taken_at: the latest version with which another node has taken the client id, before Redis confirmed.
        leaving: the end of the grace; None where a connection is there.
    """

    member: Member
    text: str
    answer: Deferred[bool] | None = None
    known: int = 0
    version: int = 0
    taken_at: int = 0
    leaving: IDelayedCall | None = None


@define(eq=False)
class Tell:
    """Something that Redis is to be told; see ``lua/change.lua``.

    Attributes:
        what: ``j``, ``n``, ``r``, ``l`` or ``x``.
        client_id: the client id.
        value: the value.
        own: the member; None where it has left.
    """

    what: str
    client_id: str
    value: str = ""
    own: Own | None = None


@define(eq=False)
class Room:
    """A name that this node has members of, or watches.

    Attributes:
        name: the name.
        own: the members that this node holds.
        gone: members that have left, until Redis has confirmed that.
        to_tell: what Redis is to be told, in order.
        is_behind: whether Redis has refused something of that.
        is_heard: whether each difference that is published comes to this node.
        hears_sends: whether live sends are listened to.
        waiting: what waits until this name is heard of and everything is told.
        version: the version of the members that this node knows of; None where it knows none.
        watch: what the watch is known by, which no other watch is; None without one.
        view: what the watch knows; None where there is none, or the members are not known yet.
        is_doubtful: whether the view may have members that are gone: those who could tell have just come themselves.
        readings: all that read the members now.
        is_read: whether one of them is for this room.
    """

    name: str
    own: dict[str, Own] = field(factory=dict)
    gone: dict[str, Tell] = field(factory=dict)
    to_tell: deque[Tell] = field(factory=deque)
    is_behind: bool = False
    is_heard: bool = False
    hears_sends: bool = False
    waiting: list[Deferred[None]] = field(factory=list)
    version: int | None = None
    watch: object | None = None
    view: View | None = None
    is_doubtful: bool = False
    readings: list[Reading] = field(factory=list)
    is_read: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether nobody needs this room."""
        return not (self.own or self.gone or self.to_tell or self.watch or self.readings or self.waiting)

    def tell_all(self) -> None:
        """Tell everything again: Redis knows nothing of the incarnation of this node."""
        self.is_behind = False
        self.to_tell = deque(self._again(client_id, own) for client_id, own in self.own.items())
        self.to_tell.extend(self.gone.values())

    def tell_again(self, client_id: str) -> None:
        """Tell of one member again, which Redis has lost."""
        self.to_tell.append(self._again(client_id, self.own[client_id]))

    def is_next(self, change: Change) -> bool | None:
        """Whether a difference follows on what is known; None where it is in that already."""
        if self.version is None:
            return self.view is None
        return None if change.version <= self.version else change.version == self.version + 1

    def apply(self, change: Change) -> None:
        """A difference that follows."""
        self.version = change.version
        if self.view is not None:
            for client_id, seen in change.members.items():
                self.view.put(client_id, None if seen is None else seen.member)

    def know(self, version: int, members: dict[str, Seen], *, is_sure: bool) -> None:
        """All members are known.

        Args:
            version: their version.
            members: the members.
            is_sure: whether those that are missing are gone.
        """
        self.version = version
        if self.view is not None:
            self.view.replace(members, keeps_missing=not is_sure)
            self.is_doubtful = not is_sure

    def end_view(self) -> None:
        """Tell the watch nothing more."""
        self.watch = None
        self.is_doubtful = False
        if self.view is not None:
            self.view.end()
            self.view = None

    @staticmethod
    def _again(client_id: str, own: Own) -> Tell:
        if own.known or own.leaving is not None:
            # It was told before, so whoever has the id by now keeps it.
            return Tell("r", client_id, ("h" if own.leaving is None else "l") + own.text, own)
        return Tell("j", client_id, own.text, own)
