"""Changes of a connection's groups. What was sent before goes out first; then the client is told of its groups."""

from __future__ import annotations

from collections.abc import Callable

from ..core.groups import with_group, without_group
from ..core.model import ConnectionState
from ..core.registry import Registry
from .continuity import Continuity
from .fanout import FanOut
from .identities import Identities
from .link import Link
from .resumes import Resumes

__all__ = ["Memberships"]


class Memberships:
    """The groups of one hub's connections.

    Args:
        registry: the global connections.
        fan_out: writes what was sent before a change.
        identities: knows how many groups one connection may be in.
        resumes: knows which groups were left.
        continuity: tells clients of their groups.
        links: gives all connections.

    Attributes:
        changed: is told of a connection whose groups have changed; None tells nobody.
    """

    def __init__(
        self,
        registry: Registry[Link],
        fan_out: FanOut,
        identities: Identities,
        resumes: Resumes,
        continuity: Continuity,
        links: Callable[[], tuple[Link, ...]],
    ) -> None:
        self._registry = registry
        self._fan_out = fan_out
        self._identities = identities
        self._resumes = resumes
        self._continuity = continuity
        self._links = links
        self.changed: Callable[[Link], None] | None = None

    def join(self, link: Link, group: str) -> None:
        """Have an open connection in one more group.

        Raises:
            ValueError: it would be in more than ``max_groups``.
        """
        groups = with_group(link.groups, group)
        self._identities.check_count(groups)
        if self._has_what_was_sent(link):
            link.groups = groups
            if link.is_global:
                self._registry.join(link, group)
            self._tell(link)

    def leave(self, link: Link, group: str) -> None:
        """Have a connection in one group less. No older resume token brings the group back, of an ended one either."""
        self.forget(link)
        if link.state is ConnectionState.OPEN and self._has_what_was_sent(link):
            link.groups = without_group(link.groups, group)
            if link.is_global:
                self._registry.leave(link, group)
            self._tell(link)

    def forget(self, link: Link) -> None:
        """No older resume token brings a client's groups back."""
        if link.dialogue is not None and self._resumes.left(link):
            self._continuity.renew_all(self._links())

    def _has_what_was_sent(self, link: Link) -> bool:
        """Write what this turn has sent to the name of a connection; False where that ends the connection."""
        # What was sent before a change of groups is for the audiences of that time. It goes out before anything that
        # tells the client of its new groups, and before anything that is sent to the new audiences.
        self._fan_out.flush(link.name)
        # A write that fails takes its connection out of the registry, with the groups that it has there.
        return link.state is ConnectionState.OPEN

    def _tell(self, link: Link) -> None:
        self._continuity.tell(link)
        if self.changed is not None:
            self.changed(link)
