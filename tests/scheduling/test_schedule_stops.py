"""Stopping schedules: nothing is triggered any more, and runs that are not over are waited for or given up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from scheduling.bench import Bench
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_stopping(bench: Bench) -> None:
    """S13.5: stopped schedules leave nothing on the clock, run nothing, and can be started again."""
    bench.add()
    bench.schedules.add_timer("timer", 7, bench.note)
    bench.start()
    fired: list[None] = []
    bench.schedules.stop_schedules().addCallback(fired.append)
    assert fired == [None]
    assert bench.clock.getDelayedCalls() == []
    bench.pass_minutes(3)
    assert bench.calls == []
    assert bench.state().next == datetime(2026, 1, 1, 0, 4, tzinfo=UTC)
    bench.start()
    bench.pass_seconds(30)
    assert bench.calls == ["00:03:37", "00:03:44", "00:03:51", "00:03:58", "00:04:00"]


def test_stopping_waits_for_runs(bench: Bench) -> None:
    """S13.5: stop_schedules fires when the last run has ended, of removed schedules too."""
    runs: list[Deferred[None]] = [Deferred(), Deferred()]
    fired: list[None] = []
    for number, run in enumerate(runs):
        bench.add(str(number), function=lambda run=run: run)
    bench.start()
    bench.pass_minutes(1)
    bench.schedules.clear_schedules()
    for _ in range(2):
        bench.schedules.stop_schedules().addCallback(fired.append)
    runs[0].callback(None)
    assert fired == []
    runs[1].callback(None)
    assert fired == [None, None]


def test_giving_up_on_runs(bench: Bench) -> None:
    """S13.5: cancelling what stop_schedules gave cancels the functions that still run."""
    ended: list[str] = []

    async def slow() -> None:
        try:
            await Deferred()
        finally:
            ended.append("slow")

    stubborn: Deferred[None] = Deferred(lambda _: ended.append("stubborn"))
    stubborn.addErrback(lambda _: Deferred())
    bench.add("slow", function=slow)
    bench.add("stubborn", function=lambda: stubborn)
    bench.start()
    bench.pass_minutes(1)
    fired: list[None] = []
    stopping = bench.schedules.stop_schedules().addCallback(fired.append)
    stopping.addTimeout(10, bench.clock)
    bench.pass_seconds(9)
    assert (ended, fired) == ([], [])
    bench.pass_seconds(1)
    assert (ended, fired) == (["slow", "stubborn"], [None])
    assert bench.clock.getDelayedCalls() == []


def test_giving_up_on_a_run_whose_canceller_raises(bench: Bench) -> None:
    """S13.5: a canceller that raises is logged and keeps no other run from being cancelled."""
    cancelled: list[object] = []

    def broken(_: object) -> None:
        raise RuntimeError("broken")

    bench.add("broken", function=lambda: Deferred(broken))
    bench.add("good", function=lambda: Deferred(cancelled.append))
    bench.start()
    bench.pass_minutes(1)
    fired: list[None] = []
    stopping = bench.schedules.stop_schedules().addCallback(fired.append)
    with capturedLogs() as events:
        stopping.cancel()
    assert (len(cancelled), fired) == (1, [None])
    assert [event["where"] for event in events] == ["schedule broken", "schedule good"]


def test_a_function_that_gives_up_on_itself(bench: Bench) -> None:
    """S13.5: a function that stops the schedules and waits no longer goes on; only what waits can be cancelled."""
    fired: list[None] = []

    def stop() -> None:
        stopping = bench.schedules.stop_schedules().addCallback(fired.append)
        stopping.cancel()
        bench.note()

    bench.add(function=stop)
    bench.start()
    bench.pass_minutes(1)
    assert (bench.calls, fired) == (["00:01:00"], [None])
    assert not bench.state().running


def test_a_function_that_stops_schedules(bench: Bench) -> None:
    """S13.5: what a function stops does not run, not even in the same minute or on start."""
    fired: list[None] = []

    def stop() -> None:
        bench.note()
        bench.schedules.stop_schedules().addCallback(fired.append)

    bench.add("first", function=stop, on_start=True)
    bench.add("second", on_start=True)
    bench.start()
    assert bench.calls == ["00:00:30"]
    bench.schedules.remove_schedule("first")
    bench.add("last", function=stop)
    bench.add("late")
    bench.calls.clear()
    bench.schedules.edit_schedule("second", function=stop)
    bench.start()
    assert bench.calls == ["00:00:30"]
    assert fired == [None, None]
    assert bench.clock.getDelayedCalls() == []
