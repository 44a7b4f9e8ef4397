"""Machines that take any steps on a node, against models that know what has to come of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

from backplane.node import Node, told
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pode_signals.backplane.contract import HistoryLimits, Member, Position, PresenceChange

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"


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
