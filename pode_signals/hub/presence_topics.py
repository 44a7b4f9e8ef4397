"""What watchers are told of the members of one name, or of one group: all of them, changes in batches, or their number.

It knows no registry and no backplane.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from twisted.internet.interfaces import IDelayedCall

from ..backplane.contract import Member
from ..core.model import ConnectionState
from ..wire.message import Encoding
from ..wire.v1 import PresentMember, presence_changes, presence_count, presence_members
from .fanout import FanOut
from .link import Link
from .runtime import Runtime

__all__ = ["Per", "Topic"]

Per = Literal["name", "group"]

_BATCH_SECONDS = 1.0
_SNAPSHOT_SECONDS = 5.0
"""How long a watcher waits for all members once more. A list of all is the one thing that costs."""
_MOST_KEPT = 200
"""Of how many groups it is kept when a client was told all members, before old ones are forgotten."""
_LISTED_AGAIN = 0.8
"""The part of the most members below which they are listed again: the number must not go back and forth at the edge."""


class Topic:
    """The members of one name or one group, and who watches.

    Args:
        runtime: the surroundings.
        fan_out: writes to watchers.
        per: what presence is shared for.
        group: the group; None for the whole name.
        max_members: over how many members nobody is listed.
        seq: the number after which the topic's changes are numbered.

    Attributes:
        seq: the number of the last change that all watchers were told.
        watchers: who watches.
    """

    def __init__(
        self, runtime: Runtime, fan_out: FanOut, per: Per, group: str | None, max_members: int, seq: int
    ) -> None:
        self._runtime = runtime
        self._fan_out = fan_out
        self._shows_groups = per == "name"
        self._group = group
        self._max_members = max_members
        self.seq = seq
        self.watchers: dict[Link, None] = {}
        # Those that have not been told all members since they asked.
        self._asking: dict[Link, None] = {}
        self._members: dict[str, Member] | None = None
        # The client ids that have changed since the last batch, with the member as the watchers know it.
        self._before: dict[str, Member | None] = {}
        self._is_counted = False
        self._batch: IDelayedCall | None = None

    def begin(self, members: Mapping[str, Member]) -> None:
        """The members are known."""
        self._members = dict(members)
        self._is_counted = len(self._members) > self._max_members
        if self._asking:
            self._soon()

    def watch(self, link: Link) -> None:
        """A client wants to know who is there, and be told of changes."""
        self.watchers[link] = self._asking[link] = None
        self._soon()

    def unwatch(self, link: Link) -> None:
        """A client wants to know no more; nothing happens where it does not watch."""
        self.watchers.pop(link, None)
        self._asking.pop(link, None)

    def change(self, changed: Mapping[str, Member | None]) -> None:
        """Members have come, changed or gone: None is gone."""
        if self._members is None:
            return
        for client_id, member in changed.items():
            self._before.setdefault(client_id, self._members.pop(client_id, None))
            if member is not None:
                self._members[client_id] = member
        self._soon()

    def end(self) -> None:
        """Nobody watches any more."""
        if self._batch is not None:
            self._batch.cancel()
            self._batch = None

    def _soon(self) -> None:
        """Tell now; with the next batch where one went out within the last second."""
        if self._batch is None and self._members is not None:
            self._tell()

    def _tell(self) -> None:
        """Tell watchers what has changed, and those that ask who is there."""
        self._batch = None
        now = self._runtime.clock.seconds()
        told = self._tell_all(now)
        due = [link for link in self._asking if self._may_have_all(link, now)]
        if due:
            told = True
            self._send(due, self._snapshot())
            for link in due:
                self._has_all(link, now)
        # Asked for too soon, they get the list with a batch to come.
        # A write may have ended the last watcher, and the topic with it.
        if self.watchers and (told or self._asking):
            self._batch = self._runtime.clock.callLater(_BATCH_SECONDS, self._tell)

    def _tell_all(self, now: float) -> bool:
        """Tell all watchers of changes; False where nothing has changed."""
        assert self._members is not None
        before, self._before = self._before, {}
        changed: dict[str, PresentMember | None] = {}
        for client_id, was in before.items():
            shown = self._shown(self._members.get(client_id))
            # What others do not see is no change for them, nor is what came back.
            if shown != self._shown(was):
                changed[client_id] = shown
        if not changed:
            return False
        self.seq += 1
        was_counted, count = self._is_counted, len(self._members)
        most = self._max_members
        self._is_counted = count >= most * _LISTED_AGAIN if was_counted else count > most
        if was_counted or self._is_counted:
            # The number alone, or all members once more: either is for all watchers, and nobody has to ask.
            links = list(self.watchers)
            self._send(links, self._snapshot())
            for link in links:
                self._has_all(link, now)
            return True
        joined = tuple(each for each in changed.values() if each is not None)
        left = tuple(key for key, each in changed.items() if each is None)
        text = presence_changes(self.seq, joined, left, self._group)
        # A client that asks has no view that could be changed: it gets all members.
        self._send([each for each in self.watchers if each not in self._asking], text)
        return True

    def _may_have_all(self, link: Link, now: float) -> bool:
        """Whether a watcher was not told all members within the last seconds."""
        listed_at = _listed(link).get(self._group)
        return listed_at is None or now - listed_at >= _SNAPSHOT_SECONDS

    def _has_all(self, link: Link, now: float) -> None:
        """A watcher has all members."""
        self._asking.pop(link, None)
        listed = _listed(link)
        # A client may have been in any number of groups.
        if len(listed) >= _MOST_KEPT:
            for group in [key for key, at in listed.items() if now - at >= _SNAPSHOT_SECONDS]:
                del listed[group]
        listed[self._group] = now

    def _snapshot(self) -> bytes:
        assert self._members is not None
        if self._is_counted:
            return presence_count(self.seq, len(self._members), self._group)
        members = tuple(each for each in map(self._shown, self._members.values()) if each is not None)
        return presence_members(self.seq, members, self._group)

    def _send(self, links: Iterable[Link], text: bytes) -> None:
        made: dict[Encoding, bytes] = {}
        for link in links:
            # A watcher that an earlier write has ended is one no more.
            if link.state is ConnectionState.OPEN:
                frame = made.get(link.encoding)
                if frame is None:
                    frame = made[link.encoding] = link.encoding.notice("presence", text, None)
                self._fan_out.send_one(link, frame, must_stay=True)

    def _shown(self, member: Member | None) -> PresentMember | None:
        if member is None:
            return None
        groups = member.groups if self._shows_groups else ()
        return PresentMember(member.client_id, member.user, groups, member.info)


def _listed(link: Link) -> dict[str | None, float]:
    """When a client was told all members of each group last. It does not forget when the client watches no more."""
    assert link.dialogue is not None
    return link.dialogue.listed
