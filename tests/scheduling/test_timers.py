from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from pode_signals import Signals
from pode_signals.errors import ScheduleAlreadyExists, UnknownSchedule
from pode_signals.scheduling.timers import TimerState

START = 1_000_000_000.0


class Bench:
    """Timers on a clock that tests move; what ran is noted in seconds since the start."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = START
        self.calls: list[Any] = []
        self.timers = Signals(clock=self.clock, random=Random(1))
        self.counters = self.timers.counters

    def add(self, name: str = "job", interval: float = 10, function: Any = None, **options: Any) -> None:
        self.timers.add_timer(name, interval, function or self.note, **options)

    def note(self) -> None:
        self.calls.append(round(self.clock.seconds() - START, 3))

    def start(self) -> None:
        self.timers.start_schedules()

    def pass_seconds(self, seconds: int) -> None:
        self.clock.pump([0.5] * 2 * seconds)

    def state(self, name: str = "job") -> TimerState:
        (state,) = (state for state in self.timers.timers() if state.name == name)
        return state


@pytest.fixture
def bench() -> Bench:
    return Bench()


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


def test_a_decorated_function_runs_every_interval(bench: Bench) -> None:
    """S13.6: @signals.timer runs a function every so many seconds from the start on."""

    @bench.timers.timer("tick", interval=2)
    def tick() -> None:
        bench.note()

    bench.pass_seconds(5)
    bench.start()
    bench.pass_seconds(6)
    assert bench.calls == [7, 9, 11]
    assert tick.__name__ == "tick"


def test_fractions_of_a_second(bench: Bench) -> None:
    """S13.6: an interval may be a fraction of a second."""
    bench.add(interval=0.1)
    bench.start()
    bench.clock.pump([0.05] * 21)
    assert len(bench.calls) == 10
    assert bench.state().skipped == 0


def test_arguments(bench: Bench) -> None:
    """S13.6: the function gets args and kwargs, nothing else."""
    bench.add(function=lambda *args, **kwargs: bench.calls.append((args, kwargs)), args=[1], kwargs={"two": 2})
    bench.start()
    bench.pass_seconds(10)
    assert bench.calls == [((1,), {"two": 2})]


def test_limit(bench: Bench) -> None:
    """S13.6: at its limit a timer is completed and stays listed."""
    bench.add(limit=2)
    bench.start()
    bench.pass_seconds(60)
    assert bench.calls == [10, 20]
    assert bench.state() == TimerState("job", 10, at(20), None, 2, 0, 0, False, True)
    bench.timers.stop_schedules()
    bench.start()
    bench.pass_seconds(60)
    assert bench.calls == [10, 20]


def test_skip(bench: Bench) -> None:
    """S13.6: the first triggers can be skipped; they are not counted."""
    bench.add(skip=5)
    bench.start()
    assert bench.state().next == at(60)
    bench.pass_seconds(35)
    assert bench.state().next == at(60)
    bench.pass_seconds(35)
    assert bench.calls == [60, 70]
    assert (bench.state().count, bench.state().skipped) == (2, 0)


def test_on_start(bench: Bench) -> None:
    """S13.6: on_start runs a timer once at the start, which counts, then at each interval."""
    bench.add(on_start=True, skip=1, limit=2)
    bench.start()
    bench.pass_seconds(60)
    assert bench.calls == [0, 20]


def test_on_start_alone(bench: Bench) -> None:
    """S13.6: with a limit of one, on_start is all."""
    bench.add(on_start=True, limit=1)
    bench.start()
    bench.pass_seconds(30)
    assert bench.calls == [0]
    assert bench.clock.getDelayedCalls()[1:] == []


def test_added_while_timers_run(bench: Bench) -> None:
    """S13.6: a timer that is added later begins then."""
    bench.start()
    bench.pass_seconds(3)
    bench.add(on_start=True)
    bench.pass_seconds(10)
    assert bench.calls == [3, 13]


def test_states(bench: Bench) -> None:
    """S13.6: timers shows last, next, counts and whether a run is under way."""
    bench.add(interval=10)
    assert bench.state() == TimerState("job", 10, None, None, 0, 0, 0, False, False)
    bench.start()
    assert bench.state().next == at(10)
    bench.pass_seconds(25)
    assert bench.state() == TimerState("job", 10, at(20), at(30), 2, 0, 0, False, False)


def test_a_timer_can_ask_for_its_own_next_trigger(bench: Bench) -> None:
    """S13.6: within its own run a timer's next trigger is the one that follows."""
    bench.add(function=lambda: bench.calls.append((bench.state().running, bench.state().next)))
    bench.start()
    bench.pass_seconds(10)
    assert bench.calls == [(True, at(20))]


def test_remove_clear_and_has(bench: Bench) -> None:
    """S13.6: timers can be removed, one or all, and leave nothing on the clock."""
    for name in ("a", "b", "c"):
        bench.add(name, function=lambda name=name: bench.calls.append(name))
    bench.start()
    bench.timers.remove_timer("b")
    assert [bench.timers.has_timer(name) for name in ("a", "b", "c")] == [True, False, True]
    bench.pass_seconds(10)
    assert bench.calls == ["a", "c"]
    bench.timers.clear_timers()
    assert bench.timers.timers() == ()
    assert len(bench.clock.getDelayedCalls()) == 1


def test_removed_by_itself(bench: Bench) -> None:
    """S13.6: a timer's function may remove it."""

    def once() -> None:
        bench.note()
        bench.timers.remove_timer("job")

    bench.add(function=once, on_start=True)
    bench.add("other", function=once)
    bench.start()
    bench.pass_seconds(5)
    assert bench.calls == [0]
    assert not bench.timers.has_timer("job")


def test_removed_on_the_start_of_another(bench: Bench) -> None:
    """S13.6: what the first timer removes on start never begins."""
    bench.add("first", function=lambda: bench.timers.remove_timer("second"), on_start=True)
    bench.add("second", on_start=True)
    bench.start()
    bench.pass_seconds(30)
    assert bench.calls == []


def test_edit(bench: Bench) -> None:
    """S13.6: a new interval counts from now; the rest and the counts stay."""
    bench.add(function=lambda *args, **kwargs: bench.note() or bench.calls.append((args, kwargs)))  # type: ignore[func-returns-value]
    bench.timers.edit_timer("job", interval=5)
    bench.start()
    bench.pass_seconds(7)
    bench.timers.edit_timer("job", interval=3, args=[1])
    assert bench.state().next == at(10)
    bench.pass_seconds(4)
    bench.timers.edit_timer("job", function=bench.note, args=())
    bench.pass_seconds(3)
    assert bench.calls == [5, ((), {}), 10, ((1,), {}), 13]
    assert bench.state().count == 3


def test_edit_of_a_completed_timer(bench: Bench) -> None:
    """S13.6: an edit does not revive a timer that reached its limit."""
    bench.add(limit=1)
    bench.start()
    bench.pass_seconds(10)
    bench.timers.edit_timer("job", interval=1)
    bench.pass_seconds(10)
    assert bench.calls == [10]


def test_invoke(bench: Bench) -> None:
    """S13.6: invoke_timer runs the function now and does not count against the limit."""
    bench.add(limit=1)
    assert bench.timers.invoke_timer("job")
    bench.start()
    bench.pass_seconds(10)
    assert bench.timers.invoke_timer("job")
    assert bench.calls == [0, 10, 10]
    assert bench.state().count == 1


def test_a_function_that_raises(bench: Bench) -> None:
    """S13.6: a function that raises is logged with the timer's name and runs again."""

    def fail() -> None:
        bench.note()
        raise RuntimeError("broken")

    bench.add(function=fail)
    bench.start()
    with capturedLogs() as events:
        bench.pass_seconds(20)
    assert bench.calls == [10, 20]
    assert [event["where"] for event in events] == ["timer job"] * 2


def test_a_run_that_is_not_over(bench: Bench) -> None:
    """S13.6: one run at a time; the triggers that come meanwhile are skipped and counted."""
    runs: list[Deferred[None]] = []

    async def slow() -> None:
        runs.append(Deferred())
        await runs[-1]

    bench.add(function=slow)
    bench.start()
    bench.pass_seconds(40)
    assert (len(runs), bench.state().skipped, bench.state().running) == (1, 3, True)
    assert bench.counters.schedule_triggers_skipped == 3
    runs[0].callback(None)
    bench.pass_seconds(10)
    assert len(runs) == 2


def test_the_clock_jumps_forward(bench: Bench) -> None:
    """S13.6: triggers that a jump passed over are skipped and counted, those of skip first."""
    bench.add()
    bench.add("later", skip=10)
    bench.start()
    bench.clock.advance(3_600)
    assert bench.calls == [3_600, 3_600]
    assert (bench.state().count, bench.state().skipped) == (1, 359)
    assert (bench.state("later").count, bench.state("later").skipped) == (1, 349)
    bench.pass_seconds(10)
    assert bench.calls[2:] == [3_610, 3_610]


def test_the_clock_jumps_back(bench: Bench) -> None:
    """S13.6: after a jump back nothing that ran runs again, and it goes on where it was."""
    bench.add(interval=60)
    bench.start()
    bench.pass_seconds(600)
    ran = list(bench.calls)
    bench.clock.rightNow -= 300
    bench.pass_seconds(300)
    assert bench.calls == ran
    bench.pass_seconds(60)
    assert bench.calls == [*ran, 660]
    assert bench.state().skipped == 0


def test_a_schedule_and_a_timer_may_share_a_name(bench: Bench) -> None:
    """S13.6: timers have names of their own."""
    bench.add()
    bench.timers.add_schedule("job", "@daily", print)
    with pytest.raises(ScheduleAlreadyExists):
        bench.add()
    bench.timers.remove_schedule("job")
    assert bench.timers.has_timer("job")


@pytest.mark.parametrize("call", ["remove_timer", "edit_timer", "invoke_timer"])
def test_an_unknown_name(bench: Bench, call: str) -> None:
    """S13.6: what there is not can't be removed, edited or invoked."""
    bench.timers.add_schedule("nobody", "@daily", print)
    with pytest.raises(UnknownSchedule, match="'nobody'"):
        getattr(bench.timers, call)("nobody")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": -1}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"interval": float("inf")}, "interval"),
        ({"interval": True}, "interval"),
        ({"interval": "5"}, "interval"),
        ({"limit": -1}, "limit"),
        ({"skip": -1}, "skip"),
        ({"skip": 1.5}, "skip"),
        ({"name": ""}, "name"),
    ],
)
def test_bad_options(bench: Bench, options: dict[str, Any], message: str) -> None:
    """S13.6: what makes no sense is refused when it is registered, and leaves nothing behind."""
    with pytest.raises(ValueError, match=message):
        bench.add(**options)
    assert bench.timers.timers() == ()
    bench.add()
    if "interval" in options:
        with pytest.raises(ValueError, match=message):
            bench.timers.edit_timer("job", interval=options["interval"])
    assert bench.state().interval == 10


def test_times_are_aware(bench: Bench) -> None:
    """S13.6: last and next are aware, in UTC."""
    bench.add(on_start=True)
    bench.start()
    state = bench.state()
    assert state.last is not None
    assert state.next is not None
    assert state.last.utcoffset() == state.next.utcoffset() == timedelta(0)


@pytest.mark.parametrize("interval", [1_000_000_001, 1e12, 1e300])
def test_an_interval_without_an_end(bench: Bench, interval: float) -> None:
    """S13.6, S20.1: an interval whose end is no date is refused at once, and the longest one can be looked at."""
    with pytest.raises(ValueError, match="interval has to be at most 1,000,000,000 seconds, not "):
        bench.add(interval=interval)
    bench.add(interval=1_000_000_000)
    bench.start()
    assert bench.state().next == at(1_000_000_000)
