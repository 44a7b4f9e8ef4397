"""What every backplane does, as protocols, and the values that they share. Nothing here acts.

A *node* is one process with one hub. It has one backplane, which knows the nodes' sends, logs and members; in memory a
node is alone, and a backplane over a network makes many nodes look like one. All that a hub asks of a backplane is on
this page, so the same hub runs on any of them.

All calls are made in the reactor's thread, and all functions that a backplane was given are called there. These
functions must not raise. Deferreds may have fired when they are returned. Unless a method says otherwise its Deferred
fails with :class:`~pode_signals.errors.BackplaneUnavailable` where the nodes can't be reached in time, and cancelling
the Deferred does no more than end the wait.

Of Twisted this module knows ``twisted.internet.defer`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred

from ..core.history import HistoryLimits, LoggedSignal, Missed, Position
from ..core.model import Target
from ..wire.message import Outgoing

__all__ = [
    "Answers",
    "Backplane",
    "HistoryLimits",
    "HistoryLog",
    "LoggedSignal",
    "Member",
    "Missed",
    "Position",
    "Presence",
    "PresenceChange",
    "Question",
]


@frozen
class Member:
    """Who is connected. A user with three tabs is three members.

    Attributes:
        name: the name of the connection.
        client_id: the client id, without its signature.
        groups: the groups, in the order of joining.
        user: the label of the login, which several members may share; None where there is none.
        info: what other clients may see, a JSON value that nobody changes any more; None is nothing.
    """

    name: str
    client_id: str
    groups: tuple[str, ...] = ()
    user: str | None = None
    # Compared by its text: 1 and True are two things in JSON and equal in Python, and a dict has no hash.
    info: Any = field(default=None, eq=repr)


@frozen
class PresenceChange:
    """What became different since the members, or the change before, were told. An id is in one of both alone.

    Attributes:
        joined: who came, or is another :class:`Member` than before with the same client id.
        left: who went, as they were told last.
    """

    joined: tuple[Member, ...] = ()
    left: tuple[Member, ...] = ()


@frozen
class Question:
    """What one node asks of others.

    Attributes:
        kind: one of the words that hubs know. A node that does not know it gives no answer.
        body: the rest of the question, in bytes that only hubs read.
        nodes: which nodes are asked, by their names; None is every node, this one included.
    """

    kind: str
    body: bytes = b""
    nodes: tuple[str, ...] | None = None


@frozen
class Answers:
    """What nodes answered to a question.

    Attributes:
        given: the answers by the names of the nodes, in bytes that only hubs read.
        missing: the nodes that were asked and gave no answer in time, or are gone.
    """

    given: Mapping[str, bytes]
    missing: tuple[str, ...] = ()


class HistoryLog(Protocol):
    """The logs of names.

    Each entry is handed to the function that follows its name once, in log order, on every node that follows the name.
    A log is made where a name is followed for the first time, never by a message.
    """

    def follow(
        self,
        name: str,
        limits: HistoryLimits,
        deliver: Callable[[LoggedSignal], None],
        broken: Callable[[Position], None],
    ) -> Deferred[Position]:
        """Deliver what is appended from now on. Where the name is followed already, this takes the place of it.

        Args:
            name: the name.
            limits: how much of its log is kept. The limits stay with the log when nobody follows it any more.
            deliver: takes each entry, also those that this node appended.
            broken: takes the new position of this node after a *break*: the log went back, or it went on without this
                node by more than it keeps. Of what comes between the last entry delivered and the new position
                nothing is delivered.

        Returns:
            Fires with the position of this node: every entry after it is delivered, and none up to it.
        """
        ...

    def unfollow(self, name: str) -> None:
        """Deliver no more of a name. The log stays as long as its limits say; nothing happens where none is followed.

        A log that is empty may be forgotten when nobody follows it. The next one of the name is another epoch.
        """
        ...

    def forget(self, name: str) -> None:
        """Deliver no more of a name and drop its log. The next one of the name is another epoch, whenever it begins."""
        ...

    def append(self, target: Target, data: bytes, acknowledgement: str | None) -> Deferred[Position]:
        """Add an entry to the log of one name.

        Args:
            target: which connections of the name it is for; ``names`` holds the name and no other.
            data: the payload as JSON, UTF-8.
            acknowledgement: as in :class:`LoggedSignal`.

        Returns:
            Fires with its position once the entry is safe; with the memory log ``deliver`` has run before this returns.
            Fails with :class:`~pode_signals.errors.UnknownHistory` where there is no log, and with
            :class:`~pode_signals.errors.HistoryUnavailable` where the entry is not in it (``refused``) or may be in it
            (``unknown``). Cancelling takes nothing back.

        Raises:
            ValueError: the target has no name, several, or every name.
        """
        ...

    def position(self, name: str) -> Position | None:
        """The last entry that was delivered here; None where the name is not followed, or where the node has none."""
        ...

    def missed(self, name: str, since: Position, until: Position) -> Deferred[Missed]:
        """What came after a position of a name.

        Args:
            name: the name; whether it is followed does not matter.
            since: what a client has seen last. It is the client's word, so it may be anything.
            until: a position of this node.

        Returns:
            Fires with all entries after ``since`` up to ``until``, in log order; with none, and complete, where
            ``since`` is known and not before ``until``; else with none, and not complete.
        """
        ...

    def read(self, name: str, since: Position | None, limit: int) -> Deferred[tuple[LoggedSignal, ...]]:
        """A page of a log, for a reader that goes on from the last entry it got.

        Args:
            name: the name.
            since: the entry before the page; None begins with the oldest that is kept.
            limit: the most entries.

        Returns:
            Fires with the entries in log order, with none at the end of the log. Fails with
            :class:`~pode_signals.errors.UnknownHistory` where there is no log, or where an entry after ``since`` has
            gone.
        """
        ...

    def size(self, name: str) -> Deferred[tuple[int, int]]:
        """Fires with how many entries a log has, and how many bytes of payload; twice 0 where there is no log."""
        ...


class Presence(Protocol):
    """Who is connected, on all nodes. Members are told apart by name and client id."""

    def join(self, member: Member) -> Deferred[bool]:
        """Add a member, or put it in the place of the one with its name and client id.

        Returns:
            Fires with whether another node held this name and client id; that node was told, and holds it no more.
        """
        ...

    def leave(self, name: str, client_id: str, grace_seconds: float) -> None:
        """A connection of this node is gone.

        Its member stays for the grace and is told to have left then, unless it joins again on any node: then nobody is
        told that it was away. Nothing happens where this node does not hold the client id: where the last join was on
        another node, or where it is leaving or has left already. Of two connections of one node with one client id the
        node says ``leave`` for the later one alone.

        Args:
            name: the name.
            client_id: the client id.
            grace_seconds: how long the member stays; 0 or less is not at all.
        """
        ...

    def members(self, name: str, group: str | None = None) -> Deferred[tuple[Member, ...]]:
        """Fires with the members of a name, or of one group of it, in no particular order."""
        ...

    def count(self, name: str, group: str | None = None) -> Deferred[int]:
        """Fires with how many members :meth:`members` would give."""
        ...

    def watch(self, name: str, changed: Callable[[PresenceChange], None]) -> Deferred[tuple[Member, ...]]:
        """Tell what changes in a name. Where it is watched already, this takes the place of it.

        Args:
            name: the name.
            changed: takes every change after the members that this fires with, once, in order. Changes of one turn of
                the reactor come together, and those that undo each other not at all.

        Returns:
            Fires with the members.
        """
        ...

    def unwatch(self, name: str) -> None:
        """Tell no more of a name, of changes that have already happened neither."""
        ...


class Backplane(Protocol):
    """All that nodes share.

    Attributes:
        node: the name of this node among the others, ``[a-z0-9]{1,16}``; another one in each process.
    """

    node: str

    @property
    def history(self) -> HistoryLog:
        """The logs of names. They can be followed before :meth:`start`."""
        ...

    @property
    def presence(self) -> Presence:
        """Who is connected."""
        ...

    def start(
        self,
        deliver: Callable[[Outgoing], None],
        changed: Callable[[str], None],
        answer: Callable[[Question], Deferred[bytes | None]],
    ) -> Deferred[None]:
        """Begin.

        Args:
            deliver: takes what any node published, this one included.
            changed: takes a new state, for health: ``"up"``, or what keeps the nodes apart. A backplane is up when this
                method's Deferred fires.
            answer: answers another node's question, or this one's own. Its Deferred fires with None, or fails, where
                this node has no answer; it is cancelled when nobody waits for the answer any more.

        Returns:
            Fires once the other nodes can be reached.
        """
        ...

    def stop(self) -> Deferred[None]:
        """End. From now on none of the functions that this backplane was given is called, and no timer of it is left.

        Returns:
            Fires once the other nodes know. Never fails. Questions that were under way fire with who had answered.
        """
        ...

    def publish(self, outgoing: Outgoing) -> None:
        """Give a live send, or a close, to all nodes. Never raises, waits or fires anything.

        On this node ``deliver`` has run when this returns, once. On others it runs at most once; what could not be
        passed on is counted. Before :meth:`start` and after :meth:`stop` nobody gets it. A backplane that has only this
        node may let ``publish`` be ``deliver`` itself, so a hub may keep the method from :meth:`start` on.
        """
        ...

    def ask(self, question: Question, timeout_seconds: float) -> Deferred[Answers]:
        """Ask nodes, this one included where it is among those asked.

        Args:
            question: the question.
            timeout_seconds: how long to wait for answers.

        Returns:
            Fires as soon as all have answered, at the latest after the timeout; never fails for an answer that is
            missing. Cancelling it gives the wait up.
        """
        ...

    def once(self, key: str, seconds: float) -> Deferred[bool]:
        """Whether this node is the one to do what a key stands for: the first of all nodes that asked.

        A node that is the one stays it, so a caller whose Deferred failed may ask again. Whether the node has done it
        already is for the caller to know.

        Args:
            key: what is to be done; the trigger of a schedule, for instance.
            seconds: for so long after the first call no other node is told that it is the one.
        """
        ...

    def remember(self, key: str, value: bytes, seconds: float) -> Deferred[None]:
        """Keep a value for all nodes; it takes the place of the one that the key has.

        Args:
            key: the key.
            value: the value.
            seconds: for so long it is kept.

        Returns:
            Fires once it is kept. Fails with :class:`~pode_signals.errors.BackplaneUnavailable` where there is no room
            too: nothing goes before its time to make some, and the key keeps the value that it had.
        """
        ...

    def recall(self, key: str) -> Deferred[bytes | None]:
        """Fires with the value that a key has; None where it has none any more."""
        ...
