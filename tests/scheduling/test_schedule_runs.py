"""The runs of a schedule: one at a time, in a context of their own, and what they raise."""

from __future__ import annotations

from contextvars import Context, ContextVar

import pytest
from scheduling.bench import Bench, texts
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from pode_signals import Signals


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_function_that_raises(bench: Bench) -> None:
    """S13.5: a function that raises is logged with the schedule's name and runs again at the next trigger."""

    def fail() -> None:
        bench.note()
        raise RuntimeError("broken")

    bench.add(function=fail)
    bench.add("other")
    bench.start()
    with capturedLogs() as events:
        bench.pass_minutes(2)
    assert len(bench.calls) == 4
    assert [event["log_format"] for event in events] == ["{where} raised"] * 2
    assert events[0]["where"] == "schedule job"
    assert (bench.state().count, bench.state().running, bench.counters.functions_failed) == (2, False, 2)


def test_a_schedule_that_raises_again_and_again(bench: Bench) -> None:
    """S20.4: a schedule that raises more than ten times in a minute has ten tracebacks; a line tells of the others."""

    def fail() -> None:
        raise RuntimeError("broken")

    bench.add(function=fail)
    with capturedLogs() as events:
        for _ in range(13):
            bench.schedules.invoke_schedule("job")
        assert [event["log_format"] for event in events] == ["{where} raised"] * 10
        bench.pass_seconds(61)
    assert texts(events)[10:] == ["schedule job raised: 3 more lines of this kind were left out"]
    assert bench.counters.functions_failed == 13


def test_a_run_that_is_not_over(bench: Bench) -> None:
    """S13.5: while a run is not over triggers are skipped and counted; afterwards the next one runs."""
    runs: list[Deferred[None]] = []

    async def slow() -> None:
        runs.append(Deferred())
        await runs[-1]

    bench.add(function=slow)
    bench.start()
    with capturedLogs() as events:
        bench.pass_minutes(3)
    state = bench.state()
    assert (len(runs), state.count, state.skipped, state.running) == (1, 1, 2, True)
    assert bench.counters.schedule_triggers_skipped == 2
    assert texts(events) == ["schedule job: a trigger was skipped, the last run is not over"]  # once a run
    runs[0].callback(None)
    assert not bench.state().running
    bench.pass_minutes(1)
    assert (len(runs), bench.state().count) == (2, 2)


def test_skipped_triggers_do_not_count_against_the_limit(bench: Bench) -> None:
    """S13.5: the limit is a number of runs."""
    over: Deferred[None] = Deferred()
    bench.add(function=lambda: bench.note() or over, limit=2)  # type: ignore[func-returns-value]
    bench.start()
    bench.pass_minutes(5)
    over.callback(None)
    bench.pass_minutes(3)
    assert bench.calls == ["00:01:00", "00:06:00"]
    assert bench.state().completed


def test_invoking_while_a_run_is_not_over(bench: Bench) -> None:
    """S13.5: at most one run at a time, whoever begins it."""
    over: Deferred[None] = Deferred()
    bench.add(function=lambda: bench.note() or over)  # type: ignore[func-returns-value]
    bench.start()
    assert bench.schedules.invoke_schedule("job")
    assert not bench.schedules.invoke_schedule("job")
    bench.pass_minutes(1)
    assert (bench.calls, bench.state().skipped) == (["00:00:30"], 1)
    over.callback(None)
    assert bench.schedules.invoke_schedule("job")


def test_a_function_that_invokes_itself(bench: Bench) -> None:
    """S13.5: a function can't begin its own schedule again while it runs."""
    bench.add(function=lambda: bench.calls.append(bench.schedules.invoke_schedule("job")))
    bench.start()
    bench.pass_minutes(1)
    assert bench.calls == [False]


def test_a_run_has_no_time_limit(bench: Bench) -> None:
    """S13.5: a schedule may run for hours; the time limit of other functions is not its own."""
    over: Deferred[None] = Deferred()
    bench.add(cron="@hourly", function=lambda: over)
    bench.start()
    bench.clock.advance(3_570)
    bench.pass_minutes(120)
    assert bench.state().running
    assert bench.counters.functions_timed_out == 0
    over.callback(None)
    assert not bench.state().running


def test_removed_while_it_runs(bench: Bench) -> None:
    """S13.5: a schedule that is removed while it runs ends its run and has no further trigger."""
    over: Deferred[None] = Deferred()
    bench.add(function=lambda: bench.note() or over)  # type: ignore[func-returns-value]
    bench.start()
    bench.pass_minutes(1)
    bench.schedules.remove_schedule("job")
    bench.add(function=lambda: bench.calls.append("new"))
    bench.pass_minutes(1)
    assert bench.calls == ["00:01:00", "new"]
    over.callback(None)
    bench.pass_minutes(1)
    assert bench.calls == ["00:01:00", "new", "new"]


def test_a_function_that_removes_schedules(bench: Bench) -> None:
    """S13.5: what a function removes does not run, not even in the same minute."""

    def remove() -> None:
        bench.note()
        bench.schedules.remove_schedule("first")
        bench.schedules.remove_schedule("second")

    bench.add("first", function=remove)
    bench.add("second")
    bench.start()
    bench.pass_minutes(2)
    assert bench.calls == ["00:01:00"]


def test_a_fresh_context() -> None:
    """S13.5: a function runs in a context of its own, without the event or route that was current."""
    variable: ContextVar[str] = ContextVar("variable", default="nothing")
    bench = Bench()
    seen = []

    def look() -> None:
        seen.append(variable.get())
        variable.set("left over")

    def in_a_route() -> None:
        variable.set("route")
        bench.add(function=look, on_start=True)
        bench.start()
        bench.pass_minutes(1)

    Context().run(in_a_route)
    bench.pass_minutes(1)
    assert seen == ["nothing"] * 3


def test_the_context_is_the_hubs() -> None:
    """S13.5: the hub says what a fresh context is."""
    variable: ContextVar[str] = ContextVar("variable")
    context = Context()
    context.run(variable.set, "hub")
    seen: list[str] = []
    schedules = context.run(Signals, clock=Clock())
    schedules.add_schedule("job", "@daily", lambda: seen.append(variable.get()))
    schedules.invoke_schedule("job")
    assert seen == ["hub"]
