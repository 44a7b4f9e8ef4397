"""A node of a backplane as the behaviours use it, whatever the implementation. Nothing in here is a test.

The behaviours are in ``history_behaviour.py``, ``presence_behaviour.py``, ``backplane_behaviour.py`` and
``machines.py``: sentence by sentence what every backplane has to do. A test module of an implementation subclasses each
class of behaviours and has a fixture ``node`` that gives a :class:`Node`; ``machine_of`` makes the machines for a class
of nodes. What holds for one implementation alone is in a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed

from pode_signals.backplane.contract import Backplane, HistoryLimits, Member, Missed, Position, PresenceChange, Question
from pode_signals.core.model import Target
from pode_signals.wire.message import Outgoing

T = TypeVar("T")
ROOM = Target(("Room",))
FEW = HistoryLimits(messages=3, max_bytes=1_000, seconds=60)


class Node:
    """A node that has been started, with all that it was told. Implementations say how time passes.

    Args:
        backplane: not started yet.
    """

    def __init__(self, backplane: Backplane) -> None:
        self.backplane = backplane
        self.delivered: list[Outgoing] = []
        self.states: list[str] = []
        self.answer: Callable[[Question], Deferred[bytes | None]] = lambda question: succeed(None)

        def answer(question: Question) -> Deferred[bytes | None]:
            return self.answer(question)

        self.taken: list[tuple[str, str]] = []
        started = backplane.start(
            self.delivered.append, self.states.append, answer, lambda *taken: self.taken.append(taken)
        )
        self.result(started)

    def result(self, deferred: Deferred[T]) -> T:
        """What a Deferred fires with; its failure is raised."""
        raise NotImplementedError

    def advance(self, seconds: float) -> None:
        """Let time pass. What is to be told at the end of a turn has been told afterwards, with 0 seconds too."""
        raise NotImplementedError

    def follow(self, name: str = "Room", limits: HistoryLimits = FEW) -> list[bytes]:
        """Follow a name; what is delivered is in the list that this gives."""
        data: list[bytes] = []
        self.result(self.backplane.history.follow(name, limits, lambda signal: data.append(signal.data), not_broken))
        return data

    def append(self, data: bytes, target: Target = ROOM) -> Position:
        """Append an entry."""
        return self.result(self.backplane.history.append(target, data, None))

    def missed(self, since: Position, until: Position, name: str = "Room") -> list[bytes] | None:
        """What came between two positions; None where it is not complete."""
        missed = self.result(self.backplane.history.missed(name, since, until))
        assert missed.complete or missed == Missed(complete=False, signals=())
        return [signal.data for signal in missed.signals] if missed.complete else None

    def now_at(self, name: str = "Room") -> Position:
        """The position of a name that is followed."""
        position = self.backplane.history.position(name)
        assert position is not None
        return position

    def join(self, *members: Member) -> None:
        """Let members join, of which no other node has one."""
        assert [self.result(self.backplane.presence.join(member)) for member in members] == [False] * len(members)

    def leave(self, client_id: str, grace_seconds: float = 0, name: str = "Room") -> None:
        """Let a member go."""
        self.backplane.presence.leave(name, client_id, grace_seconds)

    def ids(self, group: str | None = None, name: str = "Room") -> list[str]:
        """The client ids of the members, sorted."""
        members = self.result(self.backplane.presence.members(name, group))
        assert self.result(self.backplane.presence.count(name, group)) == len(members)
        return sorted(member.client_id for member in members)

    def watch(self, name: str = "Room") -> tuple[list[str], list[PresenceChange]]:
        """Watch a name: the client ids to begin with, and the changes that are told from now on."""
        changes: list[PresenceChange] = []
        members = self.result(self.backplane.presence.watch(name, changes.append))
        return sorted(member.client_id for member in members), changes


def not_broken(position: Position) -> None:
    """The function for breaks where there must be none."""
    raise AssertionError(position)


def told(change: PresenceChange) -> tuple[list[str], list[str]]:
    """Who came and who went, sorted."""
    return sorted(each.client_id for each in change.joined), sorted(each.client_id for each in change.left)


ADA, BOB, EVE = (Member("Room", client_id) for client_id in ("ada", "bob", "eve"))
