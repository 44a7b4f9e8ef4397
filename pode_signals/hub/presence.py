"""Who is connected to the names that share it: members come and go, with a grace for those that do not mean to leave.

On a node that is alone, names that share nothing cost nothing: their members are found in the registry when somebody
asks. Where there are other nodes, the connections of all names are members. What clients are told is in
``presence_topics.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from ..backplane.contract import Member, PresenceChange
from ..core.names import check_name
from ..core.registry import Registry
from ..core.signing import bare_client_id
from ..errors import BackplaneUnavailable
from ..wire.reconnect import ComesBack, comes_back
from .fanout import FanOut
from .link import Link
from .node import Node
from .presence_topics import Per, Topic
from .runtime import Runtime

__all__ = ["Presences", "member_of"]

_RETRY_SECONDS = 5.0
"""How long after a failure the members that clients watch are asked for once more."""
_FOR_GOOD = (ComesBack.NO, ComesBack.CLIENT_IS_WRONG)


class _Shared:
    """A name whose clients may watch who is there.

    Attributes:
        members: the members by their client ids, while somebody watches.
        watching: who watches, in whatever groups it is at the moment.
        topics: what is watched: by group, or under None for the whole name.
        is_known: whether the members are known. Where nodes share them, that takes a moment.
        is_asked: whether they were asked for, and the answer is there or may still come.
    """

    __slots__ = ("is_asked", "is_known", "max_members", "members", "per", "topics", "watching")

    def __init__(self, per: Per, max_members: int) -> None:
        self.per: Per = per
        self.max_members = max_members
        self.members: dict[str, Member] = {}
        self.watching: set[Link] = set()
        self.topics: dict[str | None, Topic] = {}
        self.is_known = False
        self.is_asked = False


class Presences:
    """The presence of one hub.

    Args:
        runtime: the surroundings.
        registry: the global connections.
        fan_out: writes to watchers.
        node: this node, whose backplane has the members of all nodes.

    Attributes:
        has_changed: is told of a name whose clients may watch something else than before.
    """

    def __init__(self, runtime: Runtime, registry: Registry[Link], fan_out: FanOut, node: Node) -> None:
        self._runtime = runtime
        self._registry = registry
        self._fan_out = fan_out
        self._node = node
        self._presence = node.backplane.presence
        self.has_changed: Callable[[str], None] = lambda _name: None
        self._shared: dict[str, _Shared] = {}
        # The connection that each member is. The last one counts where a client has come back before its old connection
        # has ended.
        self._holders: dict[tuple[str, str], Link] = {}
        # The highest number of a topic that nobody watches any more: the next one begins there, so that numbers grow.
        self._last_seq = 0

    def share(self, name: str, per: Per, max_members: int) -> None:
        """Let the clients of a name watch who is there, from now on. They are told so.

        Raises:
            NameInvalid, ValueError: an argument makes no sense.
        """
        check_name("name", name)
        if per not in ("name", "group"):
            raise ValueError(f"per has to be 'name' or 'group', not {per!r}")
        if isinstance(max_members, bool) or not isinstance(max_members, int) or max_members < 1:
            raise ValueError(f"max_members has to be a whole number of 1 or more, not {max_members!r}")
        before = self._shared.get(name)
        if before is not None:
            self._forget_topics(name, before)
        self._shared[name] = _Shared(per, max_members)
        for link in self._registry.audience(name):
            self.joins(link)
        self.has_changed(name)

    def per(self, link: Link) -> Per | None:
        """What the client of a connection may watch; None for nothing."""
        # A plain stream has a hello as well, and no way to ask.
        shared = self._shared.get(link.name) if link.is_global and link.is_signals else None
        return None if shared is None else shared.per

    def members(self, name: str, group: str | None) -> Deferred[tuple[Member, ...]]:
        """Fires with the members of a name, or of one group of it."""
        if self._is_member_of(name):
            return self._presence.members(name, group)
        return succeed(
            tuple(member_of(each) for each in self._registry.audience(name, () if group is None else (group,)))
        )

    # Connections come, change and go.

    def opened(self, link: Link) -> None:
        """A connection is in the registry of a node that is alone."""
        if self._shared and link.is_global and link.name in self._shared:
            self.joins(link)

    def join(self, link: Link, *, replace: bool) -> Deferred[bool]:
        """Have a connection be a member; fires with whether another node had one with its client id.

        Args:
            link: the connection.
            replace: whether it takes the place of that one. With False it is no member then.
        """
        self._holders[_key(link)] = link
        return self._presence.join(member_of(link), replace=replace)

    def joins(self, link: Link, *, replace: bool = True) -> None:
        """The same, where nobody waits for the answer."""
        self.join(link, replace=replace).addErrback(self._not_joined, link.name)

    def holder(self, name: str, client_id: str) -> Link | None:
        """The connection that a member is; None where this node has none."""
        return self._holders.get((name, client_id))

    def changed(self, link: Link) -> None:
        """The groups of a connection, or what others see of it, have changed."""
        if not link.is_global or self._holders.get(_key(link)) is not link:
            return
        # A newer connection of another node stays the member.
        self.joins(link, replace=False)
        shared = self._shared.get(link.name)
        if shared is not None and shared.per == "group":
            self._follow_groups(link, shared)

    def left(self, link: Link) -> None:
        """A connection is told nothing any more."""
        shared = self._shared.get(link.name)
        if shared is not None:
            shared.watching.discard(link)
            for group in [key for key, topic in shared.topics.items() if link in topic.watchers]:
                self._unwatch(link, shared, group)

    def gone(self, link: Link) -> None:
        """A transport is gone."""
        key = _key(link)
        # A client that has come back is another connection by now.
        if self._holders.get(key) is not link:
            return
        del self._holders[key]
        assert link.closure is not None
        is_meant = link.name not in self._shared or comes_back(link.closure.code) in _FOR_GOOD
        self._presence.leave(*key, 0.0 if is_meant else self._runtime.settings.presence_grace_seconds)

    # Clients watch.

    def watch(self, link: Link, watch: bool) -> bool:
        """Begin or end to tell a client who is there; False where its name shares nothing."""
        shared = self._shared.get(link.name) if link.is_global else None
        if shared is None:
            return False
        if watch:
            shared.watching.add(link)
        else:
            shared.watching.discard(link)
        groups: tuple[str | None, ...] = link.groups if shared.per == "group" else (None,)
        for group in groups:
            if watch:
                self._watch(link, shared, group)
            else:
                self._unwatch(link, shared, group)
        return True

    def _watch(self, link: Link, shared: _Shared, group: str | None) -> None:
        if not shared.is_asked:
            self._know_members(link.name, shared)
        topic = shared.topics.get(group)
        if topic is None:
            topic = shared.topics[group] = Topic(
                self._runtime, self._fan_out, shared.per, group, shared.max_members, self._last_seq
            )
            if shared.is_known:
                topic.begin(_of_group(shared, group))
        topic.watch(link)

    def _unwatch(self, link: Link, shared: _Shared, group: str | None) -> None:
        topic = shared.topics.get(group)
        if topic is None:
            return
        topic.unwatch(link)
        if not topic.watchers:
            self._last_seq = max(self._last_seq, topic.seq)
            topic.end()
            del shared.topics[group]
        if not shared.topics:
            self._forget_members(link.name, shared)

    def _follow_groups(self, link: Link, shared: _Shared) -> None:
        """A watcher watches the groups that it is in, and no others."""
        if link not in shared.watching:
            return
        watched = [group for group, topic in shared.topics.items() if link in topic.watchers]
        for joined in link.groups:
            if joined not in watched:
                self._watch(link, shared, joined)
        for group in watched:
            if group not in link.groups:
                self._unwatch(link, shared, group)

    # What the backplane tells.

    def _know_members(self, name: str, shared: _Shared) -> None:
        def known(members: tuple[Member, ...]) -> None:
            if self._shared.get(name) is not shared or not shared.topics:
                return
            shared.members = {each.client_id: each for each in members}
            shared.is_known = True
            for group, topic in shared.topics.items():
                topic.begin(_of_group(shared, group))

        def failed(failure: Failure) -> None:
            # The next client that wants to watch has them asked for once more.
            shared.is_asked = False
            if failure.check(BackplaneUnavailable) is None:
                self._runtime.reports.failure("presence", "the members of {name} can't be read", failure, name=name)
            else:
                self._runtime.clock.callLater(_RETRY_SECONDS, again)

        def again() -> None:
            if self._shared.get(name) is shared and shared.topics and not shared.is_asked:
                self._know_members(name, shared)

        shared.is_asked = True
        watching = self._presence.watch(name, self._node.fenced(lambda change: self._changes(shared, change)))
        # The backplane in memory has answered already. Then no topic is there that would have to begin.
        if watching.called and isinstance(watching.result, tuple):
            shared.members = {each.client_id: each for each in watching.result}
            shared.is_known = True
        else:
            watching.addCallbacks(known, failed)

    def _changes(self, shared: _Shared, change: PresenceChange) -> None:
        """Members have come and gone, in one turn."""
        if not shared.is_known:
            return
        counted = self._runtime.counters.presence_changes
        counted["join"] += sum(each.client_id not in shared.members for each in change.joined)
        counted["leave"] += len(change.left)
        # In the order in which they came.
        touched: dict[str | None, dict[str, None]] = {}
        for member in (*change.joined, *change.left):
            before = shared.members.pop(member.client_id, None)
            for each in (before, member):
                for group in _topics_of(shared, each):
                    touched.setdefault(group, {})[member.client_id] = None
        shared.members.update((each.client_id, each) for each in change.joined)
        for group, client_ids in touched.items():
            topic = shared.topics.get(group)
            if topic is not None:
                topic.change({each: _in_group(shared, each, group) for each in client_ids})

    def _is_member_of(self, name: str) -> bool:
        """Whether the connections of a name are members."""
        return not self._node.is_alone or name in self._shared

    def _not_joined(self, failure: Failure, name: str) -> None:
        # That the nodes can't be reached is told elsewhere; then the client joins later.
        if failure.check(BackplaneUnavailable) is None:
            self._runtime.reports.failure("presence", "a client of {name} is not shown to others", failure, name=name)

    def _forget_topics(self, name: str, shared: _Shared) -> None:
        for topic in shared.topics.values():
            self._last_seq = max(self._last_seq, topic.seq)
            topic.end()
        shared.topics.clear()
        self._forget_members(name, shared)

    def _forget_members(self, name: str, shared: _Shared) -> None:
        self._presence.unwatch(name)
        shared.members = {}
        shared.is_known = shared.is_asked = False


def _key(link: Link) -> tuple[str, str]:
    return link.name, bare_client_id(link.client_id)


def member_of(link: Link) -> Member:
    """A connection as a member."""
    profile = link.profile
    user, info = (None, None) if profile is None else (profile.user, profile.info)
    return Member(link.name, bare_client_id(link.client_id), link.groups, user, info)


def _topics_of(shared: _Shared, member: Member | None) -> Iterator[str | None]:
    if member is not None:
        yield from member.groups if shared.per == "group" else (None,)


def _of_group(shared: _Shared, group: str | None) -> dict[str, Member]:
    return {key: each for key, each in shared.members.items() if group is None or group in each.groups}


def _in_group(shared: _Shared, client_id: str, group: str | None) -> Member | None:
    member = shared.members.get(client_id)
    return None if member is None or (group is not None and group not in member.groups) else member
