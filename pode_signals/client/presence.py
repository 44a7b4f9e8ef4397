"""Who is connected, as a client sees it: views that frames replace and change. It sends nothing."""

from __future__ import annotations

from types import MappingProxyType

from attrs import frozen

from ..wire.server_frames import PresenceFrame
from ..wire.v1 import PresentMember
from .events import PresenceChanged

__all__ = ["PresenceViews"]


@frozen
class _View:
    """The members of the name or of one group; None where they are only counted."""

    seq: int
    members: dict[str, PresentMember] | None
    count: int


class PresenceViews:
    """The views of one connection. A new connection begins without any."""

    def __init__(self) -> None:
        self._views: dict[str | None, _View] = {}
        # Whose members were asked for anew, since a frame is missing.
        self._asked: set[str | None] = set()

    def keep(self, groups: tuple[str, ...]) -> None:
        """Forget the groups that the client is not in any more."""
        for group in [each for each in self._views if each is not None and each not in groups]:
            del self._views[group]
            self._asked.discard(group)

    def apply(self, frame: PresenceFrame) -> tuple[PresenceChanged | None, bool]:
        """Take a frame.

        Returns:
            What has changed, None for nothing; and whether a frame is missing, so that the client has to ask once for
            all members.
        """
        view = self._views.get(frame.group)
        if frame.members is not None or frame.count is not None:
            return self._replaced(frame, view), False
        # Before the first list of members no change means anything.
        if view is None or frame.seq <= view.seq:
            return None, False
        if frame.seq > view.seq + 1 or view.members is None:
            is_news = frame.group not in self._asked
            self._asked.add(frame.group)
            return None, is_news
        members = dict(view.members)
        for client_id in frame.left:
            members.pop(client_id, None)
        members |= {each.id: each for each in frame.joined}
        return self._shown(frame, members, len(members)), False

    def _replaced(self, frame: PresenceFrame, view: _View | None) -> PresenceChanged | None:
        if view is not None and frame.seq <= view.seq and frame.group not in self._asked:
            return None
        self._asked.discard(frame.group)
        if frame.members is None:
            return self._shown(frame, None, frame.count or 0)
        members = {each.id: each for each in frame.members}
        return self._shown(frame, members, len(members))

    def _shown(self, frame: PresenceFrame, members: dict[str, PresentMember] | None, count: int) -> PresenceChanged:
        self._views[frame.group] = _View(frame.seq, members, count)
        shown = None if members is None else MappingProxyType(members)
        return PresenceChanged(shown, count, frame.group, joined=frame.joined, left=frame.left)
