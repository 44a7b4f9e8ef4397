"""Schedules that run on one node of several."""

from __future__ import annotations

from typing import Any

import pytest
from backplane.cluster import ClusterBackplane
from fakes import clock_of, new_signals
from nodes import Nodes
from twisted.internet.defer import fail
from twisted.logger import capturedLogs, formatEvent
from web_fakes import failures_in

# The clock of the nodes begins 20 seconds past a minute.
TO_THE_MINUTE = 40


def scheduled(count: int = 2, cron: str = "* * * * *", **options: Any) -> tuple[Nodes, list[int]]:
    """Nodes with one schedule, and the numbers of the nodes that have run it."""
    nodes = Nodes(count)
    ran: list[int] = []
    for number, signals in enumerate(nodes):
        signals.add_schedule("Report", cron, ran.append, args=(number,), once_per_cluster=True, **options)
        signals.start_schedules()
    return nodes, ran


def of(nodes: Nodes, number: int) -> Any:
    (state,) = nodes.signals[number].schedules()
    return state


def test_each_trigger_on_one_node() -> None:
    """S13.7: each trigger runs on one node, and a run counts on all of them."""
    nodes, ran = scheduled(3)
    for minutes in range(1, 5):
        nodes.turn(TO_THE_MINUTE + 1 if minutes == 1 else 60)
        assert len(ran) == minutes
    assert [of(nodes, number).count for number in range(3)] == [4, 4, 4]


def test_without_it_on_every_node() -> None:
    """S13.7: without the option a schedule runs on every node."""
    nodes = Nodes(2)
    ran: list[int] = []
    for number, signals in enumerate(nodes):
        signals.add_schedule("Report", "* * * * *", ran.append, args=(number,))
        signals.start_schedules()
    nodes.turn(TO_THE_MINUTE + 1)
    assert sorted(ran) == [0, 1]


def test_alone() -> None:
    """S13.7: a node that is alone is always the one."""
    signals = new_signals()
    ran: list[str] = []
    signals.add_schedule("Report", "* * * * *", ran.append, args=("x",), once_per_cluster=True)
    signals.start_schedules()
    for _ in range(TO_THE_MINUTE + 61):
        clock_of(signals).advance(1)
    assert ran == ["x", "x"]


def test_the_limit_counts_for_all_nodes() -> None:
    """S13.7: a limit counts the runs of all nodes."""
    nodes, ran = scheduled(2, limit=2)
    nodes.turn(TO_THE_MINUTE + 241)
    assert len(ran) == 2
    assert [of(nodes, number).completed for number in range(2)] == [True, True]


def test_schedules_have_triggers_of_their_own() -> None:
    """S13.7: two schedules of one minute are two triggers, whatever characters their names have."""
    names = ("a:1", "a", "a/ä")
    nodes = Nodes(3)
    ran: list[str] = []
    for signals, name in zip(nodes, names, strict=True):
        signals.add_schedule(name, "* * * * *", ran.append, args=(name,), once_per_cluster=True)
        signals.start_schedules()
    nodes.turn(TO_THE_MINUTE + 1)
    assert sorted(ran) == sorted(names)


def test_a_store_that_is_away() -> None:
    """S13.7, S17.3: a node asks until it has an answer; the trigger runs once the store is back."""
    nodes, ran = scheduled()
    for each in nodes.backplanes:
        each.cut()
    nodes.turn(TO_THE_MINUTE + 20)
    assert ran == []
    for each in nodes.backplanes:
        each.mend()
    nodes.turn(5)
    assert len(ran) == 1
    nodes.turn(60)
    assert len(ran) == 2


def test_up_to_the_next_trigger() -> None:
    """S13.7: a trigger for which no node could be chosen before the next one is skipped, counted and told."""
    nodes, ran = scheduled(1)
    nodes.backplanes[0].cut()
    with capturedLogs() as logs:
        nodes.turn(TO_THE_MINUTE + 65)
    assert ran == []
    assert of(nodes, 0).skipped == 1
    assert any("no node could be chosen" in (formatEvent(each) or "") for each in logs)
    nodes.backplanes[0].mend()
    nodes.turn(5)
    assert ran == [0]


def test_the_last_trigger() -> None:
    """S13.7: the last trigger of all is asked for as long as an answer is kept."""
    nodes, ran = scheduled(1, limit=1)
    nodes.backplanes[0].cut()
    nodes.turn(TO_THE_MINUTE + 30)
    nodes.backplanes[0].mend()
    nodes.turn(5)
    assert ran == [0]


@pytest.mark.parametrize("end", ["stop", "remove"])
def test_the_end(end: str) -> None:
    """S13.7: a schedule that was removed, or stopped, does not run when the answer comes, and leaves no timer."""
    nodes, ran = scheduled(1)
    backplane: ClusterBackplane = nodes.backplanes[0]
    for wait in (1, 2.5):
        backplane.answers.is_held = wait == 1
        if wait == 2.5:
            backplane.cut()
        nodes.turn(TO_THE_MINUTE + wait)
        if end == "stop":
            nodes.settled(nodes.signals[0].stop_schedules())
            names = [getattr(each.func, "__qualname__", "") for each in nodes.clock.getDelayedCalls()]  # type: ignore[attr-defined]
            assert not any("SharedTriggers" in each for each in names)
        else:
            nodes.signals[0].remove_schedule("Report")
        backplane.answers.release()
        nodes.turn(0.5)
        assert ran == []
        backplane.mend()
        nodes.turn(19.5 - wait)
        if end == "stop":
            nodes.signals[0].start_schedules()
        else:
            nodes.signals[0].add_schedule("Report", "* * * * *", ran.append, args=(0,), once_per_cluster=True)


def test_a_defect() -> None:
    """S17.3: a backplane that fails otherwise is told in the log, and asked again."""
    nodes, ran = scheduled(1)
    nodes.backplanes[0].once = lambda *_: fail(OSError("a defect"))  # type: ignore[method-assign]
    with capturedLogs() as logs:
        nodes.turn(TO_THE_MINUTE + 2)
    assert {str(each.value) for each in failures_in(logs)} == {"a defect"}
    assert ran == []
    del nodes.backplanes[0].once  # type: ignore[method-assign]
    nodes.turn(2)
    assert ran == [0]


def test_random_times() -> None:
    """S13.7: a random field is a mistake, since each node would draw a value of its own."""
    signals = new_signals()
    with pytest.raises(ValueError, match="once_per_cluster"):
        signals.add_schedule("Report", "R * * * *", print, once_per_cluster=True)
    signals.add_schedule("Report", "* * * * *", print, once_per_cluster=True)
    with pytest.raises(ValueError, match="once_per_cluster"):
        signals.edit_schedule("Report", cron=["* * * * *", "R * * * *"])
    signals.add_schedule("Other", "R * * * *", print)
