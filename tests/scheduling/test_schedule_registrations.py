"""Schedules are added, edited, removed, listed and invoked at any time, by name, in the reactor's thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from scheduling.bench import Bench
from twisted.internet.task import Clock

from pode_signals import Signals
from pode_signals.errors import CronInvalid, NotInReactorThread, ScheduleAlreadyExists, UnknownSchedule
from pode_signals.scheduling.planning import ScheduleState


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_added_while_schedules_run(bench: Bench) -> None:
    """S13.1: a schedule can be added at any time."""
    bench.start()
    bench.pass_minutes(5)
    bench.add(cron="*/10 * * * *")
    bench.pass_minutes(10)
    assert bench.calls == ["00:10:00"]


def test_remove_clear_and_has(bench: Bench) -> None:
    """S13.1: schedules can be removed, one or all."""
    for name in ("a", "b", "c"):
        bench.add(name, function=lambda name=name: bench.calls.append(name))
    bench.start()
    bench.schedules.remove_schedule("b")
    assert [bench.schedules.has_schedule(name) for name in ("a", "b", "c")] == [True, False, True]
    bench.pass_minutes(1)
    assert bench.calls == ["a", "c"]
    bench.schedules.clear_schedules()
    bench.pass_minutes(1)
    assert bench.calls == ["a", "c"]
    assert bench.schedules.schedules() == ()


def test_edit(bench: Bench) -> None:
    """S13.1: what is edited changes, the rest and the counts stay."""
    bench.add(cron="0 12 * * *", function=lambda *args, **kwargs: bench.calls.append((args, kwargs)))
    bench.start()
    bench.schedules.edit_schedule("job", cron="* * * * *", args=[1])
    bench.pass_minutes(1)
    bench.schedules.edit_schedule("job", kwargs={"a": 1})
    bench.pass_minutes(1)
    bench.schedules.edit_schedule("job", function=bench.calls.append, kwargs={})
    bench.pass_minutes(1)
    bench.schedules.edit_schedule("job", cron=["@daily", "@hourly"])
    bench.pass_minutes(1)
    assert bench.calls == [((1,), {}), ((1,), {"a": 1}), 1]
    state = bench.state()
    assert (state.count, state.next) == (3, datetime(2026, 1, 1, 1, tzinfo=UTC))


def test_a_bad_edit_changes_nothing(bench: Bench) -> None:
    """S13.1: an expression that can't be read leaves the schedule as it was."""
    bench.add()
    bench.start()
    with pytest.raises(CronInvalid):
        bench.schedules.edit_schedule("job", cron=["@daily", "nonsense"], args=[1])
    bench.pass_minutes(1)
    assert bench.calls == ["00:01:00"]


def test_a_completed_schedule_can_be_revived(bench: Bench) -> None:
    """S13.1: a schedule that never fired does so after its expression was edited."""
    bench.add(cron="0 0 31 2 *")
    bench.start()
    assert bench.state().completed
    bench.schedules.edit_schedule("job", cron="* * * * *")
    bench.pass_minutes(1)
    assert bench.calls == ["00:01:00"]


def test_invoke(bench: Bench) -> None:
    """S13.1: invoke_schedule runs the function now and does not count against the limit."""
    bench.add(cron="0 12 * * *", limit=1)
    assert bench.schedules.invoke_schedule("job")
    bench.start()
    assert bench.schedules.invoke_schedule("job")
    state = bench.state()
    assert bench.calls == ["00:00:30", "00:00:30"]
    assert (state.count, state.last, state.completed) == (0, None, False)


def test_states_before_the_start(bench: Bench) -> None:
    """S13.5: schedules that have not started show when they would run."""
    bench.add(cron="@hourly")
    assert bench.state() == ScheduleState(
        name="job",
        cron=("@hourly",),
        last=None,
        next=datetime(2026, 1, 1, 1, tzinfo=UTC),
        count=0,
        skipped=0,
        failed=0,
        running=False,
        completed=False,
    )


def test_registering_asks_for_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """S13.1: a schedule can be registered where no reactor is yet."""

    def clock(_reactor: object) -> Clock:
        raise AssertionError("asked for the clock")

    # Of a reactor the clock is taken when it is first asked for.
    monkeypatch.setattr("pode_signals.hub.runtime.clock_for", clock)
    schedules = Signals()
    schedules.add_schedule("job", "@daily", print)
    schedules.edit_schedule("job", cron="@hourly")
    schedules.add_timer("job", 1, print)
    assert schedules.has_schedule("job")
    assert schedules.has_timer("job")


def test_a_name_is_taken_once(bench: Bench) -> None:
    """S13.1: a second schedule of the same name is refused, and the first stays."""
    bench.add()
    with pytest.raises(ScheduleAlreadyExists, match="'job'"):
        bench.add(cron="@daily")
    assert bench.state().cron == ("* * * * *",)


@pytest.mark.parametrize(
    "call",
    [
        lambda schedules: schedules.remove_schedule("nobody"),
        lambda schedules: schedules.edit_schedule("nobody"),
        lambda schedules: schedules.invoke_schedule("nobody"),
        lambda schedules: schedules.next_trigger("nobody"),
    ],
)
def test_an_unknown_name(bench: Bench, call: Callable[[Signals], object]) -> None:
    """S13.1: what there is not can't be removed, edited, invoked or asked for."""
    with pytest.raises(UnknownSchedule, match="'nobody'"):
        call(bench.schedules)


@pytest.mark.parametrize(
    "call",
    [
        lambda schedules: schedules.add_schedule("job", "@daily", print),
        lambda schedules: schedules.schedule("job", "@daily")(print),
        lambda schedules: schedules.remove_schedule("job"),
        lambda schedules: schedules.clear_schedules(),
        lambda schedules: schedules.edit_schedule("job"),
        lambda schedules: schedules.invoke_schedule("job"),
        lambda schedules: schedules.start_schedules(),
        lambda schedules: schedules.stop_schedules(),
        lambda schedules: schedules.add_timer("job", 1, print),
        lambda schedules: schedules.timer("job", 1)(print),
        lambda schedules: schedules.remove_timer("job"),
        lambda schedules: schedules.clear_timers(),
        lambda schedules: schedules.edit_timer("job"),
        lambda schedules: schedules.invoke_timer("job"),
    ],
)
def test_registrations_belong_to_the_reactor_thread(call: Callable[[Signals], object]) -> None:
    """S4.8: registrations from another thread are refused."""
    signals = Signals(clock=Clock())
    with ThreadPoolExecutor() as threads, pytest.raises(NotInReactorThread):
        threads.submit(call, signals).result()
