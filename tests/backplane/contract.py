"""What every backplane has to do, sentence by sentence: one set of behaviours for all implementations.

A test module of an implementation subclasses each class of behaviours and has a fixture ``node`` that gives a
:class:`Node`; ``machine_of`` makes the machines for a class of nodes. What holds for one implementation alone is in its
own module.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import CancelledError, Deferred, fail, succeed

from pode_signals.backplane.contract import (
    Answers,
    Backplane,
    HistoryLimits,
    LoggedSignal,
    Member,
    Missed,
    Position,
    PresenceChange,
    Question,
)
from pode_signals.core.model import Target
from pode_signals.errors import BackplaneUnavailable, UnknownHistory
from pode_signals.wire.message import Closing, Message, Outgoing

T = TypeVar("T")

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"

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
        self.answer: Callable[[Question], Deferred[bytes | None]] = lambda question: succeed(None)

        def answer(question: Question) -> Deferred[bytes | None]:
            return self.answer(question)

        self.result(backplane.start(self.delivered.append, lambda state: None, answer))

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


class HistoryBehaviour:
    def test_in_order_and_once(self, node: Node) -> None:
        """S17.2: each entry is delivered once, in log order, to who follows its name."""
        room, hall = node.follow(), node.follow("Hall")
        for number in range(10):
            node.append(b"%d" % number)
        node.append(b'"elsewhere"', Target(("Hall",)))
        assert room == [b"%d" % number for number in range(10)]
        assert hall == [b'"elsewhere"']

    def test_what_is_delivered(self, node: Node) -> None:
        """S17.2: an entry is delivered as it was appended, with its position."""
        signals: list[LoggedSignal] = []
        node.result(node.backplane.history.follow("Room", FEW, signals.append, not_broken))
        target = Target(("Room",), ("red", "blue"), ("ada",))
        position = node.result(node.backplane.history.append(target, b'{"a":"\xc3\xa9"}', "n1.7"))
        assert signals == [LoggedSignal(position, target, b'{"a":"\xc3\xa9"}', "n1.7")]

    def test_the_position_follows(self, node: Node) -> None:
        """S17.2: the position is that of the last entry delivered, from where follow found it on."""
        history = node.backplane.history
        assert history.position("Room") is None
        begin = node.result(history.follow("Room", FEW, lambda signal: None, not_broken))
        assert node.now_at() == begin
        position = node.append(b"1")
        assert node.now_at() == position != begin
        assert position.epoch == begin.epoch

    def test_positions_are_those_of_the_protocol(self, node: Node) -> None:
        """S17.2: an offset is a sequence that counts up by 1 and a random salt, both decimal; an epoch is short."""
        node.follow()
        begin = node.now_at()
        positions = [node.append(b"1") for _ in range(4)]
        offsets = [position.offset.split("-") for position in positions]
        assert [int(sequence) for sequence, _ in offsets] == [1, 2, 3, 4]
        assert all(salt.isdecimal() and int(salt) < 1 << 50 for _, salt in offsets)
        assert len({salt for _, salt in offsets}) == 4
        assert begin.offset == "0-0"
        assert 6 <= len(begin.epoch) <= 16
        assert set(begin.epoch) <= set("abcdefghijklmnopqrstuvwxyz0123456789")

    def test_as_many_as_the_cap(self, node: Node) -> None:
        """S17.2: who missed as many messages as are kept gets all of them; who missed one more gets none."""
        node.follow()
        positions = [node.now_at(), *(node.append(b"%d" % number) for number in range(4))]
        assert node.missed(positions[1], positions[4]) == [b"1", b"2", b"3"]
        assert node.missed(positions[0], positions[4]) is None

    def test_as_many_bytes_as_the_cap(self, node: Node) -> None:
        """S17.2: the same holds for bytes."""
        node.follow(limits=HistoryLimits(messages=100, max_bytes=10))
        begin = node.now_at()
        first = node.append(b"1" * 5)
        second = node.append(b"2" * 5)
        assert node.missed(begin, second) == [b"1" * 5, b"2" * 5]
        third = node.append(b"3")
        assert node.missed(begin, third) is None
        assert node.missed(first, third) == [b"2" * 5, b"3"]

    def test_one_larger_than_the_cap(self, node: Node) -> None:
        """S17.2: the last entry is kept even where it alone is larger than the bytes that are kept."""
        node.follow(limits=HistoryLimits(messages=100, max_bytes=10))
        first, second = node.append(b"1"), node.append(b"2" * 11)
        assert node.missed(first, second) == [b"2" * 11]
        assert node.result(node.backplane.history.size("Room")) == (1, 11)

    def test_age(self, node: Node) -> None:
        """S17.2: what is too old goes not before its time, and is gone at the next append."""
        node.follow()
        begin, first = node.now_at(), node.append(b"1")
        node.advance(59)
        assert node.missed(begin, first) == [b"1"]
        node.advance(2)
        second = node.append(b"2")
        assert node.missed(begin, second) is None
        assert node.missed(first, second) == [b"2"]

    def test_quiet_for_long(self, node: Node) -> None:
        """S17.2: who has seen the last entry has missed nothing, however long ago it was and went."""
        node.follow()
        position = node.append(b"1")
        node.advance(3_600)
        assert node.missed(position, position) == []
        assert node.now_at() == position
        assert node.missed(position, node.append(b"2")) == [b"2"]

    def test_nothing_yet(self, node: Node) -> None:
        """S17.2: who came before the first message has missed nothing, or all of it."""
        node.follow()
        begin = node.now_at()
        assert node.missed(begin, begin) == []
        assert node.missed(begin, node.append(b"1")) == [b"1"]

    def test_up_to_a_position(self, node: Node) -> None:
        """S17.2: nothing after ``until`` is given; where ``since`` is known and not before it, nothing was missed."""
        node.follow()
        first, second, third = (node.append(b"%d" % number) for number in (1, 2, 3))
        assert node.missed(first, second) == [b"2"]
        assert node.missed(third, second) == []
        assert node.missed(second, second) == []

    def test_ahead_of_a_position_that_has_gone(self, node: Node) -> None:
        """S17.2: who has what is kept has missed nothing up to a position from before that."""
        node.follow()
        positions = [node.append(b"%d" % number) for number in range(6)]
        assert node.missed(positions[5], positions[0]) == []

    @pytest.mark.parametrize(
        "offset",
        [
            "", "-", "2", "2-", "2-1", "-2-1", "02", "99-1", "9999999999999999-1", "9" * 10_000 + "-1", "٢-1", "²-1",
            "2-1-1", "+2-1", " 2-1", "2_0-1", "x", "\x00", "\ud800",
        ],
    )  # fmt: skip
    def test_unknown_offsets(self, node: Node, offset: str) -> None:
        """S17.2: what is no offset of the log, or has another salt, is not complete and harms nobody."""
        node.follow()
        positions = [node.append(b"%d" % number) for number in range(3)]
        forged = Position(positions[0].epoch, offset)
        assert node.missed(forged, positions[2]) is None
        assert node.missed(positions[0], forged) is None
        assert node.missed(positions[0], positions[2]) == [b"1", b"2"]
        assert node.now_at() == positions[2]

    @pytest.mark.parametrize("offset", ["02-{}", "2-0{}", "2-{}-", " 2-{}"])
    def test_other_spellings(self, node: Node, offset: str) -> None:
        """S17.2: an offset is known as it was told alone, in no other spelling of its numbers."""
        node.follow()
        salts = [node.append(b"1").offset.split("-")[1] for _ in range(3)]
        forged = Position(node.now_at().epoch, offset.format(salts[1]))
        assert node.missed(forged, node.now_at()) is None

    def test_another_epoch(self, node: Node) -> None:
        """S17.2: a position of another epoch is not complete, on either side."""
        node.follow()
        position = node.append(b"1")
        for epoch in ("", "zzzzzz", position.epoch.upper() + "!"):
            assert node.missed(Position(epoch, position.offset), position) is None
            assert node.missed(position, Position(epoch, position.offset)) is None

    def test_the_position_of_another_name(self, node: Node) -> None:
        """S17.2: each name has an epoch of its own."""
        node.follow()
        node.follow("Hall")
        position, elsewhere = node.append(b"1"), node.append(b"1", Target(("Hall",)))
        assert position.epoch != elsewhere.epoch
        assert node.missed(elsewhere, position) is None

    def test_unfollow(self, node: Node) -> None:
        """S17.2: a name that nobody follows delivers nothing, and its log goes on."""
        room = node.follow()
        first = node.append(b"1")
        node.backplane.history.unfollow("Room")
        assert node.backplane.history.position("Room") is None
        second = node.append(b"2")
        assert room == [b"1"]
        assert node.missed(first, second) == [b"2"]
        again = node.follow()
        assert node.now_at() == second
        node.append(b"3")
        assert (room, again) == ([b"1"], [b"3"])

    def test_unfollow_nothing(self, node: Node) -> None:
        """S17.2: a name that is not followed can be unfollowed, and one without a log be forgotten."""
        node.backplane.history.unfollow("Room")
        node.backplane.history.forget("Room")
        node.follow()
        for _ in range(2):
            node.backplane.history.unfollow("Room")
        assert node.backplane.history.position("Room") is None

    def test_follow_again(self, node: Node) -> None:
        """S17.2: following again takes the place of what followed, and its limits hold."""
        before = node.follow()
        node.append(b"1")
        position = node.now_at()
        after = node.follow(limits=HistoryLimits(messages=1))
        assert node.now_at() == position
        node.append(b"2")
        node.append(b"3")
        assert (before, after) == ([b"1"], [b"2", b"3"])
        assert node.missed(position, node.now_at()) is None

    @pytest.mark.parametrize("followed", [True, False])
    def test_forget(self, node: Node, followed: bool) -> None:
        """S17.2: a log that was forgotten delivers nothing and never returns; the next one is another epoch."""
        room = node.follow()
        position = node.append(b"1")
        if not followed:
            node.backplane.history.unfollow("Room")
        node.backplane.history.forget("Room")
        assert node.backplane.history.position("Room") is None
        assert node.missed(position, position) is None
        assert node.result(node.backplane.history.size("Room")) == (0, 0)
        node.follow()
        assert node.now_at().epoch != position.epoch
        assert node.missed(position, node.append(b"2")) is None
        assert room == [b"1"]

    def test_no_log_by_a_message(self, node: Node) -> None:
        """S17.2: a message makes no log: an append where none is fails, and nothing is kept."""
        with pytest.raises(UnknownHistory):
            node.append(b"1")
        assert node.backplane.history.position("Room") is None
        assert node.result(node.backplane.history.size("Room")) == (0, 0)
        assert node.missed(Position("abcdef", "0-0"), Position("abcdef", "0-0")) is None

    @pytest.mark.parametrize("names", [None, (), ("Room", "Hall")])
    def test_one_name(self, node: Node, names: tuple[str, ...] | None) -> None:
        """S17.2: an entry is for the log of one name."""
        node.follow()
        with pytest.raises(ValueError, match="one name"):
            node.backplane.history.append(Target(names), b"1", None)
        assert node.result(node.backplane.history.size("Room")) == (0, 0)

    def test_size(self, node: Node) -> None:
        """S17.2: a log tells how many entries and bytes of payload it has."""
        node.follow()
        for data in (b"1", b"22", b"333", b"4444"):
            node.append(data)
        assert node.result(node.backplane.history.size("Room")) == (3, 9)

    def test_read(self, node: Node) -> None:
        """S17.2: a log can be read in pages, from its oldest entry or from any that is kept."""
        node.follow(limits=HistoryLimits(messages=5))
        for number in range(7):
            node.append(b"%d" % number)
        read = node.backplane.history.read
        pages, since = [], None
        while page := node.result(read("Room", since, 2)):
            pages.append([signal.data for signal in page])
            since = page[-1].position
        assert pages == [[b"2", b"3"], [b"4", b"5"], [b"6"]]
        assert node.result(read("Room", None, 0)) == ()

    def test_read_what_has_gone(self, node: Node) -> None:
        """S17.2: a reader whose place has gone is told, and so is one of a name without a log."""
        node.follow()
        positions = [node.append(b"%d" % number) for number in range(5)]
        read = node.backplane.history.read
        assert [signal.data for signal in node.result(read("Room", positions[1], 9))] == [b"2", b"3", b"4"]
        for name, since in (("Room", positions[0]), ("Room", Position("abcdef", "1-1")), ("Hall", None)):
            with pytest.raises(UnknownHistory):
                node.result(read(name, since, 9))


class PresenceBehaviour:
    def test_members(self, node: Node) -> None:
        """S17.1: the members of a name are those that have joined it, with all that was said of them."""
        member = Member("Room", "ada", ("red", "blue"), "lovelace", {"color": ["red", None, 1.5]})
        node.join(member, Member("Hall", "bob"))
        assert node.result(node.backplane.presence.members("Room")) == (member,)
        assert node.ids(name="Hall") == ["bob"]
        assert node.ids(name="Nowhere") == []

    def test_groups(self, node: Node) -> None:
        """S17.1: a member of several groups is in each of them, and one without groups in none."""
        node.join(ADA, Member("Room", "bob", ("red", "blue")), Member("Room", "eve", ("red",)))
        assert (node.ids(), node.ids("red"), node.ids("blue")) == (["ada", "bob", "eve"], ["bob", "eve"], ["bob"])
        assert node.ids("green") == []

    def test_replace(self, node: Node) -> None:
        """S17.1: a client id is one member of a name; its last join says who it is."""
        node.join(Member("Room", "ada", ("red",)), Member("Hall", "ada"))
        node.join(Member("Room", "ada", ("blue",)))
        assert (node.ids(), node.ids("red"), node.ids("blue"), node.ids(name="Hall")) == (["ada"], [], ["ada"], ["ada"])

    def test_leave_at_once(self, node: Node) -> None:
        """S17.1: without a grace who leaves is gone."""
        node.join(ADA, BOB)
        node.leave("ada")
        assert node.ids() == ["bob"]
        node.leave("bob", -1)
        assert node.ids() == []

    def test_grace(self, node: Node) -> None:
        """S17.1: who leaves is a member until the grace is over, and is told to have left then, once."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.advance(14)
        assert (node.ids(), changes) == (["ada"], [])
        node.advance(2)
        assert node.ids() == []
        assert changes == [PresenceChange(left=(ADA,))]
        node.advance(60)
        assert len(changes) == 1

    def test_back_within_the_grace(self, node: Node) -> None:
        """S17.1: of a member that joins again within the grace nobody is told that it was away."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.advance(10)
        node.join(Member("Room", "ada"))
        node.advance(60)
        assert (node.ids(), changes) == (["ada"], [])

    def test_back_as_another(self, node: Node) -> None:
        """S17.1: one that comes back within the grace as another than before is told as such."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.advance(1)
        now = Member("Room", "ada", ("red",))
        node.join(now)
        node.advance(60)
        assert changes == [PresenceChange(joined=(now,))]

    def test_the_grace_of_an_earlier_leave(self, node: Node) -> None:
        """S17.1: a leave that was undone takes no part in the next one."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.advance(10)
        node.join(ADA)
        node.leave("ada", 15)
        node.advance(10)
        assert (node.ids(), changes) == (["ada"], [])
        node.advance(6)
        assert (node.ids(), len(changes)) == ([], 1)

    def test_leave_what_is_not_there(self, node: Node) -> None:
        """S17.1: a leave of a client id that this node does not hold, or that is leaving already, changes nothing."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("bob")
        node.leave("ada", name="Hall")
        node.leave("ada", 15)
        node.leave("ada", 60)
        node.leave("ada", 0)
        assert node.ids() == ["ada"]
        node.advance(16)
        node.leave("ada")
        node.leave("ada", 5)
        node.advance(60)
        assert (node.ids(), changes) == ([], [PresenceChange(left=(ADA,))])

    def test_watch(self, node: Node) -> None:
        """S17.1: a watch begins with the members, and every later change is told once, in order, with the members."""
        node.join(ADA, BOB)
        members, changes = node.watch()
        assert members == ["ada", "bob"]
        node.join(EVE)
        node.advance(0)
        node.leave("ada")
        node.advance(0)
        assert changes == [PresenceChange(joined=(EVE,)), PresenceChange(left=(ADA,))]

    def test_batches(self, node: Node) -> None:
        """S17.1: the changes of one turn are told together."""
        node.join(ADA)
        _, changes = node.watch()
        node.join(BOB, EVE)
        node.leave("ada")
        node.advance(0)
        assert [told(change) for change in changes] == [(["bob", "eve"], ["ada"])]

    def test_changes_that_undo_each_other(self, node: Node) -> None:
        """S17.1: an id is told to have joined or to have left, not both; and not at all where all is as it was."""
        node.join(ADA)
        _, changes = node.watch()
        node.leave("ada")
        node.join(ADA)
        node.join(BOB)
        node.leave("bob")
        node.join(ADA)
        node.advance(0)
        assert changes == []
        node.leave("ada")
        other = Member("Room", "ada", user="lovelace")
        node.join(other)
        node.advance(0)
        assert changes == [PresenceChange(joined=(other,))]

    @pytest.mark.parametrize(
        ("before", "after"), [(1, True), (0, False), (1, 1.0), ([1], [True]), ({"a": 0}, {"a": False}), (None, "None")]
    )
    def test_equal_in_python_alone(self, node: Node, before: object, after: object) -> None:
        """S17.1: a change of a member's info from one JSON value to another is told, though Python calls both equal."""
        node.join(Member("Room", "ada", info=before))
        _, changes = node.watch()
        node.join(Member("Room", "ada", info=after))
        node.advance(0)
        assert changes == [PresenceChange(joined=(Member("Room", "ada", info=after),))]
        assert repr(changes[0].joined[0].info) == repr(after)

    def test_watch_of_what_has_just_changed(self, node: Node) -> None:
        """S17.1: what the members of a watch contain is not told as a change after them."""
        _, before = node.watch()
        node.join(ADA)
        members, after = node.watch()
        node.advance(0)
        assert (members, before, after) == (["ada"], [], [])

    def test_watch_again(self, node: Node) -> None:
        """S17.1: another watch of a name takes the place of the first."""
        _, before = node.watch()
        _, after = node.watch()
        node.join(ADA)
        node.advance(0)
        assert (before, after) == ([], [PresenceChange(joined=(ADA,))])

    def test_unwatch(self, node: Node) -> None:
        """S17.1: who watches no more is told nothing, of changes that have already happened neither."""
        _, changes = node.watch()
        node.join(ADA)
        node.backplane.presence.unwatch("Room")
        node.advance(0)
        node.join(BOB)
        node.advance(60)
        assert changes == []
        node.backplane.presence.unwatch("Room")

    def test_only_the_name(self, node: Node) -> None:
        """S17.1: a watch tells of one name."""
        _, changes = node.watch()
        node.join(Member("Hall", "ada"))
        node.advance(0)
        assert changes == []


class BackplaneBehaviour:
    def test_publish(self, node: Node) -> None:
        """S17.1: what is published has been delivered here, as it is and in order, when ``publish`` returns."""
        outgoing = [
            Outgoing(ROOM, Message(b"1")),
            Outgoing(Target(None), Closing(1000, "bye")),
            Outgoing(ROOM, Message(b"2")),
        ]
        for each in outgoing:
            node.backplane.publish(each)
        assert [id(each) for each in node.delivered] == [id(each) for each in outgoing]

    def test_publish_after_the_end(self, node: Node) -> None:
        """S17.1: after ``stop`` nobody gets what is published, and nothing is raised."""
        node.result(node.backplane.stop())
        node.backplane.publish(Outgoing(ROOM, Message(b"1")))
        assert node.delivered == []

    def test_ask_every_node(self, node: Node) -> None:
        """S17.1: a question reaches this node too, and its answer is given by the name of the node."""
        asked: list[Question] = []

        def answer(question: Question) -> Deferred[bytes | None]:
            asked.append(question)
            return succeed(b"41")

        node.answer = answer
        question = Question("count", b"Room")
        answers = node.result(node.backplane.ask(question, 2))
        assert answers == Answers({node.backplane.node: b"41"})
        assert asked == [question]

    def test_ask_one_node(self, node: Node) -> None:
        """S17.1: nodes that are asked by name and are not there are missing."""
        node.answer = lambda question: succeed(b"yes")
        mine = node.backplane.node
        answers = node.result(node.backplane.ask(Question("count", nodes=(mine, "gone")), 0.2))
        assert answers == Answers({mine: b"yes"}, ("gone",))
        assert node.result(node.backplane.ask(Question("count", nodes=("gone",)), 0.2)) == Answers({}, ("gone",))
        assert node.result(node.backplane.ask(Question("count", nodes=()), 0.2)) == Answers({})

    def test_no_answer(self, node: Node) -> None:
        """S17.1: a node that has no answer is missing."""
        assert node.result(node.backplane.ask(Question("new word"), 2)) == Answers({}, (node.backplane.node,))

    def test_an_answer_that_fails(self, node: Node) -> None:
        """S17.1: a node whose answer fails is missing; who asked learns no more."""
        node.answer = lambda question: fail(ValueError("a defect"))
        assert node.result(node.backplane.ask(Question("count"), 2)) == Answers({}, (node.backplane.node,))

    def test_an_answer_that_takes_too_long(self, node: Node) -> None:
        """S17.1: after the timeout a node is missing, its answer is cancelled, and what it says then is nothing."""
        answer: Deferred[bytes | None] = Deferred()
        node.answer = lambda question: answer
        got: list[Answers] = []
        node.backplane.ask(Question("count"), 2).addCallback(got.append)
        node.advance(1)
        assert got == []
        node.advance(1.5)
        assert got == [Answers({}, (node.backplane.node,))]
        answer.callback(b"late")
        assert len(got) == 1

    def test_an_answer_that_takes_its_time(self, node: Node) -> None:
        """S17.1: an answer within the timeout counts, and comes when it is there."""
        answer: Deferred[bytes | None] = Deferred()
        node.answer = lambda question: answer
        got: list[Answers] = []
        node.backplane.ask(Question("count"), 2).addCallback(got.append)
        node.advance(1)
        answer.callback(b"1")
        node.advance(0)
        assert got == [Answers({node.backplane.node: b"1"})]

    def test_cancel_a_question(self, node: Node) -> None:
        """S17.1: who cancels a question waits no more, and the answer is cancelled."""
        cancelled: list[Any] = []
        node.answer = lambda question: Deferred(cancelled.append)
        asked = node.backplane.ask(Question("count"), 2)
        asked.cancel()
        with pytest.raises(CancelledError):
            node.result(asked)
        assert len(cancelled) == 1

    def test_questions_end_with_the_backplane(self, node: Node) -> None:
        """S17.1: ``stop`` leaves nobody waiting: questions under way fire without the answers that had not come."""
        node.answer = lambda question: Deferred()
        waiting = [node.backplane.ask(Question("count"), 60) for _ in range(3)]
        node.result(node.backplane.stop())
        assert [node.result(each) for each in waiting] == [Answers({}, (node.backplane.node,))] * 3
        node.advance(60)

    def test_nothing_is_told_after_the_end(self, node: Node) -> None:
        """S17.1: after ``stop`` no function is called any more."""
        room = node.follow()
        node.join(ADA, BOB)
        _, changes = node.watch()
        node.leave("ada", 15)
        node.leave("bob")
        node.result(node.backplane.stop())
        node.advance(60)
        assert (room, changes, node.delivered) == ([], [], [])

    def test_once(self, node: Node) -> None:
        """S17.1: the first node that asks is the one to do something, and is told so again."""
        assert node.result(node.backplane.once("backup 12:00", 60)) is True
        assert node.result(node.backplane.once("backup 12:00", 60)) is True
        assert node.result(node.backplane.once("backup 12:01", 60)) is True

    def test_remember(self, node: Node) -> None:
        """S17.1: a value is kept for its key, byte for byte, and another takes its place."""
        assert node.result(node.backplane.recall("a")) is None
        node.result(node.backplane.remember("a", b"\x00\xff", 60))
        node.result(node.backplane.remember("b", b"", 60))
        assert node.result(node.backplane.recall("a")) == b"\x00\xff"
        assert node.result(node.backplane.recall("b")) == b""
        node.result(node.backplane.remember("a", b"other", 60))
        assert node.result(node.backplane.recall("a")) == b"other"

    def test_forget_what_is_old(self, node: Node) -> None:
        """S17.1: a value goes when its time is over, not before, and the time of the last one counts."""
        node.result(node.backplane.remember("a", b"1", 10))
        node.result(node.backplane.remember("b", b"1", 10))
        node.advance(9)
        assert node.result(node.backplane.recall("a")) == b"1"
        node.result(node.backplane.remember("b", b"2", 10))
        node.advance(2)
        assert node.result(node.backplane.recall("a")) is None
        assert node.result(node.backplane.recall("b")) == b"2"

    def test_no_room(self, full_node: Node) -> None:
        """S17.1: where there is no room a value is refused; the key keeps the one it had, and nothing goes for it."""
        full_node.result(full_node.backplane.remember("a", b"1", 60))
        for key in ("a", "b"):
            with pytest.raises(BackplaneUnavailable):
                full_node.result(full_node.backplane.remember(key, bytes(1 << 20), 60))
        assert full_node.result(full_node.backplane.recall("a")) == b"1"
        assert full_node.result(full_node.backplane.recall("b")) is None


class HistoryMachine(RuleBasedStateMachine):
    """One name's log against a list of all that was ever appended, which knows what has to be there and what may be."""

    node: Node
    limits: HistoryLimits
    make_node: Callable[[], Node]

    @initialize(messages=st.integers(1, 5), max_bytes=st.integers(1, 30), seconds=st.sampled_from([5.0, 0.5, 1e6]))
    def begin(self, messages: int, max_bytes: int, seconds: float) -> None:
        self.node = type(self).make_node()
        self.limits = HistoryLimits(messages, max_bytes, seconds)
        self.now = 0.0
        self.followed = False
        self.delivered: list[bytes] = []
        self.appended = 0
        self.foreign = [Position("abcdef", "0-0")]
        self.positions: list[Position] = []
        self.entries: list[tuple[float, bytes]] = []
        self.gone = 0

    @rule()
    def follow(self) -> None:
        self.got = self.node.follow(limits=self.limits)
        self.expected = len(self.got)
        self.delivered = []
        self.followed = True
        if not self.positions:
            self.positions = [self.node.now_at()]
            assert self.positions[0].epoch not in {position.epoch for position in self.foreign}
        assert self.node.now_at() == self.positions[-1]

    @rule()
    def unfollow(self) -> None:
        self.node.backplane.history.unfollow("Room")
        self.followed = False

    @rule()
    def forget(self) -> None:
        self.node.backplane.history.forget("Room")
        self.foreign += self.positions[-2:]
        self.positions, self.entries, self.gone, self.followed = [], [], 0, False

    @precondition(lambda self: self.positions)
    @rule(size=st.integers(0, 12))
    def append(self, size: int) -> None:
        self.appended += 1
        data = (b"%d." % self.appended).ljust(size, b".")
        self.positions.append(self.node.append(data))
        self.entries.append((self.now, data))
        if self.followed:
            self.delivered.append(data)
        while self.gone < len(self.entries) - 1 and not self.fits():
            self.gone += 1

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 4.5, 20.0]))
    def wait(self, seconds: float) -> None:
        self.node.advance(seconds)
        self.now += seconds

    @precondition(lambda self: self.positions)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(0, len(self.positions) - 1))
        last = data.draw(st.integers(0, len(self.positions) - 1))
        got = self.node.missed(self.positions[first], self.positions[last])
        between = self.entries[first:last]
        assert got in (None, [each for _, each in between])
        if first < self.gone:
            assert got is None
        elif all(at + self.limits.seconds >= self.now for at, _ in self.entries[first:]):
            assert got is not None

    @precondition(lambda self: self.positions)
    @rule(data=st.data())
    def ask_what_is_none_of_it(self, data: st.DataObject) -> None:
        true = data.draw(st.sampled_from(self.positions))
        sequence = data.draw(st.integers(0, len(self.positions) + 2))
        false = [*self.foreign, Position(true.epoch, f"{sequence}-77"), Position(true.epoch, data.draw(st.text()))]
        for position in set(false) - set(self.positions):
            assert self.node.missed(position, self.positions[-1]) is None

    @invariant()
    def agrees(self) -> None:
        """What is kept is between what has to be and what may be; all was delivered once."""
        if not self.positions:
            return
        messages, size = self.node.result(self.node.backplane.history.size("Room"))
        kept = [each for at, each in self.entries[self.gone :]]
        young = [each for at, each in self.entries[self.gone :] if at + self.limits.seconds >= self.now]
        assert len(young) <= messages <= len(kept)
        assert sum(map(len, young)) <= size <= sum(map(len, kept))
        read = self.node.result(self.node.backplane.history.read("Room", None, 1_000))
        assert [signal.data for signal in read] == kept[len(kept) - messages :]
        if self.followed:
            assert self.got == self.delivered
            assert self.node.now_at() == self.positions[-1]

    def fits(self) -> bool:
        kept = self.entries[self.gone :]
        return (
            len(kept) <= self.limits.messages
            and sum(len(each) for _, each in kept) <= self.limits.max_bytes
            and kept[0][0] + self.limits.seconds >= self.now
        )


class PresenceMachine(RuleBasedStateMachine):
    """Members of one name, and the view of who watches, against a dict."""

    node: Node
    make_node: Callable[[], Node]

    @initialize()
    def begin(self) -> None:
        self.node = type(self).make_node()
        self.now = 0.0
        self.present: dict[str, Member] = {}
        self.ends: dict[str, float] = {}
        self.view: dict[str, Member] | None = None

    @rule(
        client_id=st.sampled_from("abc"),
        groups=st.sampled_from([(), ("red",), ("red", "blue")]),
        info=st.sampled_from([None, 1, True, {"x": []}]),
    )
    def join(self, client_id: str, groups: tuple[str, ...], info: Any) -> None:
        member = Member("Room", client_id, groups, info=info)
        self.node.join(member)
        self.present[client_id] = member
        self.ends.pop(client_id, None)

    @rule(client_id=st.sampled_from("abcd"), grace=st.sampled_from([0.0, 1.0, 5.0]))
    def leave(self, client_id: str, grace: float) -> None:
        self.node.leave(client_id, grace)
        if client_id in self.present and client_id not in self.ends:
            self.ends[client_id] = self.now + grace
            self.end()

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 4.0]))
    def wait(self, seconds: float) -> None:
        self.node.advance(seconds)
        self.now += seconds
        self.end()
        if self.view is not None:
            self.node.advance(0)
            assert self.view == self.present

    @rule()
    def watch(self) -> None:
        view: dict[str, Member] = {}

        def changed(change: PresenceChange) -> None:
            joined, left = told(change)
            assert joined or left
            assert not set(joined) & set(left)
            assert self.view is view
            for member in change.left:
                assert view.pop(member.client_id) == member
            for member in change.joined:
                assert view.get(member.client_id) != member
                view[member.client_id] = member

        members = self.node.result(self.node.backplane.presence.watch("Room", changed))
        view.update({member.client_id: member for member in members})
        self.view = view
        assert view == self.present

    @rule()
    def unwatch(self) -> None:
        self.node.backplane.presence.unwatch("Room")
        self.view = None

    @invariant()
    def agrees(self) -> None:
        """The members are those that joined and whose end has not come."""
        assert self.node.ids() == sorted(self.present)
        for group in ("red", "blue", "green"):
            assert self.node.ids(group) == sorted(key for key, each in self.present.items() if group in each.groups)

    def end(self) -> None:
        for client_id in [key for key, end in self.ends.items() if end <= self.now]:
            del self.ends[client_id], self.present[client_id]


def machine_of(machine: type[RuleBasedStateMachine], make_node: Callable[[], Node]) -> type[Any]:
    """A machine as a test, on nodes of one implementation."""
    made: Any = type(machine.__name__, (machine,), {"make_node": staticmethod(make_node)})
    made.TestCase.settings = settings() if NIGHTLY else settings(max_examples=100, stateful_step_count=40)
    return cast(type[Any], made.TestCase)
