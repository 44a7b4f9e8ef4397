from __future__ import annotations

from random import Random

import pytest
from backplane.machines import NIGHTLY
from backplane.presence_schedules import RULES, random_schedule, run, schedule_of, without
from backplane.redis_node import ClockedServer, clocked_server

__all__ = ["clocked_server"]


@pytest.mark.parametrize("seed", range(1_000 if NIGHTLY else 40))
def test_random_schedules(clocked_server: ClockedServer, seed: int) -> None:
    """S17.1: whatever happens to nodes and Redis, all nodes show who is connected in the end."""
    schedule = random_schedule(Random(seed))
    assert run(clocked_server, schedule) is None, schedule


@pytest.mark.parametrize("rule", RULES)
def test_rules(clocked_server: ClockedServer, rule: str) -> None:
    """S17.1: each rule of presence over nodes is needed: a schedule ends as it should with it, and wrong without."""
    schedule = schedule_of(RULES[rule][0])
    assert run(clocked_server, schedule) is None
    with without(rule):
        assert run(clocked_server, schedule) is not None
