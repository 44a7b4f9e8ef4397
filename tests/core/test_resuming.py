"""Resuming as a whole: tokens, versions and positions together, against a client that compares what it gets."""

from __future__ import annotations

import os

import pytest
from core.resume_world import GROUP, RULES, World
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"

# Most messages are for everybody, some for a group or for the client alone.
sends = st.lists(st.sampled_from([(None, False), (None, False), (GROUP, False), (None, True)]), max_size=3)
# How many entries each of the two nodes gets; the last number is more than a log has.
follows = st.tuples(*[st.sampled_from([0, 1, 2, 9])] * 2)


class ResumeMachine(RuleBasedStateMachine):
    """What can happen to one client, in any order: life with a connection, and the time without one."""

    taken_out: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.taken_out)
        self.world.read(1)

    @rule(
        change=st.sampled_from([None, "join", "leave"]),
        sends=sends,
        follows=follows,
        beat=st.booleans(),
        limit=st.sampled_from([0, 1, 9]),
    )
    def connected(
        self, change: str | None, sends: list[tuple[str | None, bool]], follows: tuple[int, int], beat: bool, limit: int
    ) -> None:
        """The client is in a group or not, and reads some of what comes."""
        world = self.world
        if change == "join":
            world.join(GROUP)
        elif change == "leave":
            world.leave(GROUP)
        self.goes_on(sends, follows)
        if beat:
            world.beat()
        world.read(limit)

    @rule(
        disaster=st.sampled_from([None, None, None, "expiry", "restart", 1, 2]),
        sends=sends,
        follows=follows,
        node=st.integers(0, 1),
        limit=st.sampled_from([0, 1, 9]),
    )
    def away(
        self,
        disaster: int | str | None,
        sends: list[tuple[str | None, bool]],
        follows: tuple[int, int],
        node: int,
        limit: int,
    ) -> None:
        """The client loses its connection and comes back, to any node."""
        world = self.world
        world.cut()
        if disaster == "restart":
            world.restart()
        elif isinstance(disaster, int):
            world.go_back(disaster)
        self.goes_on(sends, follows)
        world.back(node, is_late=disaster == "expiry")
        world.read(limit)

    def goes_on(self, sends: list[tuple[str | None, bool]], follows: tuple[int, int]) -> None:
        for group, to_client in sends:
            self.world.send(group, to_client=to_client)
        for node, limit in enumerate(follows):
            self.world.follow(node, limit)

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.drain()


ResumeMachine.TestCase.settings = settings() if NIGHTLY else settings(max_examples=200, stateful_step_count=12)


class TestResuming(ResumeMachine.TestCase):  # type: ignore[misc, name-defined]
    """P36, P41, P43, P47: whatever happens, a client gets each message once and in order, or is told of the loss."""


@pytest.mark.parametrize("taken_out", RULES)
def test_every_rule_is_needed(taken_out: str) -> None:
    """P36, P41, P43, P47: without any one of the rules a message is lost or doubled unseen, or a left group is back."""

    class Machine(ResumeMachine):
        pass

    Machine.taken_out = taken_out
    with pytest.raises(AssertionError, match=r"came twice|missing|is back|never joined|passed the client"):
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=10_000,
                stateful_step_count=12,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
