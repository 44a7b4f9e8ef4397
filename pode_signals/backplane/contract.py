"""The contract of every backplane, as protocols, with the values that they share. Nothing here acts.

A *node* is one process with one hub. Each node has one backplane, which carries sends, logs and members between the
nodes. With the backplane in memory a node is alone; a backplane over a network makes many nodes look like one. A hub
asks a backplane for nothing that is not in this module, so the same hub runs on all of them.

All methods are called in the reactor's thread. A backplane calls the functions that it was given in the same thread,
and these functions must not raise. A Deferred may have fired when it is returned. Unless the method says otherwise, its
Deferred fails with :class:`~pode_signals.errors.BackplaneUnavailable` where the nodes can't be reached in time, and
cancelling the Deferred only ends the wait.

This module imports nothing of Twisted but ``twisted.internet.defer``.
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
    """One connected client. A user with three tabs is three members.

    Attributes:
        name: the name of the connection.
        client_id: the client id, without its signature.
        groups: the groups, in the order of joining.
        user: the label of the login, which several members may share; None where there is no login.
        info: a JSON value that other clients may see, and that must not be changed any more; None where there is none.
    """

    name: str
    client_id: str
    groups: tuple[str, ...] = ()
    user: str | None = None
    # Compared by its text: 1 and True are equal in Python and different in JSON, and a dict has no hash.
    info: Any = field(default=None, eq=repr)


@frozen
class PresenceChange:
    """The difference from the members, or from the change, that a watch was told before.

    A client id is in ``joined`` or in ``left``, and never in both.

    Attributes:
        joined: members that came, and members that have replaced another one with the same client id.
        left: members that went, as the watch was told of them last.
    """

    joined: tuple[Member, ...] = ()
    left: tuple[Member, ...] = ()


@frozen
class Question:
    """A question of one node to others.

    Attributes:
        kind: a word that hubs know. A node that does not know the word gives no answer.
        body: the rest of the question, in bytes that only hubs read.
        nodes: the names of the nodes that are asked; None is every node, this one included.
    """

    kind: str
    body: bytes = b""
    nodes: tuple[str, ...] | None = None


@frozen
class Answers:
    """The answers of nodes to a question.

    Attributes:
        given: the answers by the names of the nodes, in bytes that only hubs read.
        missing: the nodes that were asked and gave no answer in time, or are gone.
        gone: those of the missing nodes that are known to be no nodes any more.
    """

    given: Mapping[str, bytes]
    missing: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


class HistoryLog(Protocol):
    """The logs of names.

    On every node that follows a name, the function that was given for the name gets each entry once, in log order. A
    log is made when its name is followed for the first time, and never by a message.
    """

    def follow(
        self,
        name: str,
        limits: HistoryLimits,
        deliver: Callable[[LoggedSignal], None],
        broken: Callable[[Position], None],
    ) -> Deferred[Position]:
        """Deliver entries that are appended to a name's log from now on. A second call for a name replaces the first.

        Args:
            name: the name.
            limits: how much of the name's log is kept. The limits stay with the log when nobody follows it any more.
            deliver: called with each entry, also with those that this node appended.
            broken: called with the new position of this node after a *break*: the log went back, or it went on without
                this node by more entries than it keeps. Entries between the last one that was delivered and the new
                position are not delivered.

        Returns:
            Fires with the position of this node: every entry after that position is delivered, and no other. Where the
            Deferred fails, the backplane goes on trying until the name is no longer followed, and then calls ``broken``
            with the node's first position.
        """
        ...

    def unfollow(self, name: str) -> None:
        """Deliver no more entries of a name. Nothing happens where the name is not followed.

        The log stays as long as its limits say. An empty log that nobody follows may be forgotten; the next log of its
        name has another epoch.
        """
        ...

    def forget(self, name: str) -> None:
        """Deliver no more entries of a name, and drop its log. The next log of the name has another epoch."""
        ...

    def append(
        self, target: Target, data: bytes, acknowledgement: str | None = None, *, is_text: bool = False
    ) -> Deferred[Position]:
        """Add an entry to the log of one name.

        Args:
            target: the connections of the name that the entry is for; ``names`` has the name and no other.
            data, acknowledgement, is_text: as in :class:`LoggedSignal`.

        Returns:
            Fires with the entry's position once the entry is safe; with the log in memory ``deliver`` has run before
            this method returns. Fails with :class:`~pode_signals.errors.UnknownHistory` where there is no log, and with
            :class:`~pode_signals.errors.HistoryUnavailable` where the entry is not in the log (``refused``) or may be
            in the log (``unknown``). Cancelling takes nothing back.

        Raises:
            ValueError: the target has no name, several names, or every name.
        """
        ...

    def position(self, name: str) -> Position | None:
        """The position of the last entry that was delivered on this node.

        None where the name is not followed, or where the node has no position yet.
        """
        ...

    def missed(self, name: str, since: Position, until: Position, limit: int | None = None) -> Deferred[Missed]:
        """The entries after a position of a name. Whoever wants few at a time asks again from the last one that it got.

        Args:
            name: the name, which need not be followed.
            since: the position that a client has seen last. It comes from the client, so it may be any text.
            until: a position of this node.
            limit: how many entries are given at most; None is all of them.

        Returns:
            Fires with the entries after ``since`` up to ``until``, in log order. There are none, and the answer is
            complete, where ``since`` is known and not before ``until``. In all other cases there are none, and the
            answer is not complete.
        """
        ...

    def read(self, name: str, since: Position | None, limit: int) -> Deferred[tuple[LoggedSignal, ...]]:
        """A page of a log. A reader goes on with the position of the last entry that it got.

        Args:
            name: the name.
            since: the position of the entry before the page; None begins with the oldest entry that is kept.
            limit: how many entries the page has at most.

        Returns:
            Fires with the entries in log order; with none at the end of the log. Fails with
            :class:`~pode_signals.errors.UnknownHistory` where there is no log, or where an entry after ``since`` was
            dropped.
        """
        ...

    def size(self, name: str) -> Deferred[tuple[int, int]]:
        """Fires with the number of a log's entries and the size of their payloads in bytes; 0 and 0 without a log."""
        ...

    @property
    def held(self) -> tuple[int, int]:
        """The number of entries that this node holds in its memory for all names, and how many bytes they count.

        The bytes are those that the bound for all names together counts. Reading them takes the same time however many
        logs there are, so entries that are too old count until another call drops them.
        """
        ...


class Presence(Protocol):
    """The connected clients of all nodes, as members. Each name and client id is one member."""

    def join(self, member: Member, *, replace: bool = True) -> Deferred[bool]:
        """Add a member, which replaces a member with the same name and client id.

        Args:
            member: the member.
            replace: whether the member may take the place of one that another node holds. With False nothing happens
                where another node holds this name and client id; a member that this node holds is replaced all the
                same.

        Returns:
            Fires with whether another node held this name and client id. With ``replace`` that node was told, and does
            not hold it any more. Where the Deferred fails with BackplaneUnavailable, the member joins once the nodes
            can be reached again, unless it has left by then.
        """
        ...

    def leave(self, name: str, client_id: str, grace_seconds: float) -> None:
        """A connection of this node is gone.

        The member stays for ``grace_seconds``; then watches are told that it has left. Where it joins again before, on
        any node, no watch is told that it was away. Nothing happens where this node does not hold the client id: the
        last join was on another node, or the member is leaving or has left already. Of two connections of one node with
        the same client id, the node calls ``leave`` for the later one alone.

        Args:
            name: the name.
            client_id: the client id.
            grace_seconds: how long the member stays; with 0 or less it leaves at once.
        """
        ...

    def members(self, name: str, group: str | None = None) -> Deferred[tuple[Member, ...]]:
        """Fires with the members of a name, or of one group of it, in no particular order."""
        ...

    def count(self, name: str, group: str | None = None) -> Deferred[int]:
        """Fires with the number of members that :meth:`members` would give."""
        ...

    def watch(self, name: str, changed: Callable[[PresenceChange], None]) -> Deferred[tuple[Member, ...]]:
        """Tell of changes among the members of a name. A second call for a name replaces the first one.

        Args:
            name: the name.
            changed: called with every change from the members on that the Deferred fires with, once and in order. The
                changes of one turn of the reactor come together, without changes that undo each other.

        Returns:
            Fires with the members.
        """
        ...

    def unwatch(self, name: str) -> None:
        """Tell of no more changes in a name, and not of changes either that have happened and were not told yet."""
        ...


class Backplane(Protocol):
    """All that nodes share.

    Attributes:
        node: the name of this node, ``[a-z0-9]{1,16}``, which is unique among all processes.
    """

    node: str

    @property
    def is_alone(self) -> bool:
        """Whether there never is another node. The answer is always the same."""
        ...

    @property
    def secret(self) -> bytes | None:
        """A secret that all nodes of an application have, and nobody else; None where there is none."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """What happened, by what it is called in the documentation of the backplane; the counts only grow."""
        ...

    @property
    def history(self) -> HistoryLog:
        """The logs of names. They can be followed before :meth:`start`."""
        ...

    @property
    def presence(self) -> Presence:
        """The connected clients of all nodes."""
        ...

    def start(
        self,
        deliver: Callable[[Outgoing], None],
        changed: Callable[[str], None],
        answer: Callable[[Question], Deferred[bytes | None]],
        taken: Callable[[str, str], None],
    ) -> Deferred[None]:
        """Begin.

        Args:
            deliver: called with each send that any node published, this node included.
            changed: called with each new state, for health: ``"up"``, or the reason why the nodes can't reach each
                other. A backplane is up when this method's Deferred fires.
            answer: answers a question of another node or of this one. The Deferred that it returns fires with None, or
                fails, where this node has no answer. That Deferred is cancelled when nobody waits for the answer any
                more.
            taken: called with a name and a client id that this node held and that another node has joined since. It is
                not called where a later join was this node's own again, in the order in which the nodes' joins count.

        Returns:
            Fires once the other nodes can be reached, however long that takes. It does not fail, and :meth:`stop` ends
            the wait.
        """
        ...

    def stop(self) -> Deferred[None]:
        """End. From now on this backplane calls none of the functions that it was given, and has no timer.

        Returns:
            Fires once the other nodes know, and never fails. The Deferreds of open questions fire with the answers that
            have come.
        """
        ...

    def publish(self, outgoing: Outgoing) -> None:
        """Give a live send to all nodes. This method never raises and never waits.

        On this node ``deliver`` has run once when this method returns. On each other node it runs at most once; sends
        that could not be passed on are counted. Before :meth:`start` and after :meth:`stop` no node gets anything. In a
        backplane that has only this node ``publish`` may be ``deliver`` itself. So a hub may keep a reference to the
        method only from :meth:`start` on.
        """
        ...

    def ask(self, question: Question, timeout_seconds: float) -> Deferred[Answers]:
        """Ask the nodes of a question. This node may be one of them.

        Args:
            question: the question.
            timeout_seconds: how long to wait for answers.

        Returns:
            Fires as soon as all nodes have answered, and at the latest after the timeout. A missing answer is no
            failure. Cancelling the Deferred ends the wait.
        """
        ...

    def once(self, key: str, seconds: float) -> Deferred[bool]:
        """Whether this node is the one to do a task: the first of all nodes that asked with the task's key.

        The answer stays the same for each node, so a caller whose Deferred failed may ask again. Each caller has to
        know itself whether it has done the task already.

        Args:
            key: the task; for instance, the trigger of a schedule.
            seconds: how long after the first call all other nodes are told that they are not the one.
        """
        ...

    def remember(self, key: str, value: bytes, seconds: float) -> Deferred[None]:
        """Keep a value for all nodes. The value replaces another one with the same key.

        Args:
            key: the key.
            value: the value.
            seconds: how long the value is kept.

        Returns:
            Fires once the value is kept. Fails with :class:`~pode_signals.errors.BackplaneUnavailable` also where there
            is no room. Then no other value is dropped to make room, and the key keeps the value that it had.
        """
        ...

    def recall(self, key: str) -> Deferred[bytes | None]:
        """Fires with the value of a key; None where the key has no value, or its time is over."""
        ...
