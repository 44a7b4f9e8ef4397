from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from pode_signals import Signals
from pode_signals.errors import CronInvalid, NotInReactorThread, ScheduleAlreadyExists, UnknownSchedule
from pode_signals.scheduling.planning import ScheduleState

START = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


class Bench:
    """Schedules on a clock that tests move."""

    def __init__(self, now: datetime = START) -> None:
        self.clock = Clock()
        self.clock.rightNow = now.timestamp()
        self.calls: list[Any] = []
        self.schedules = Signals(clock=self.clock, random=Random(1))
        self.counters = self.schedules.counters

    def add(self, name: str = "job", cron: Any = "* * * * *", function: Any = None, **options: Any) -> None:
        options.setdefault("timezone", UTC)
        self.schedules.add_schedule(name, cron, function or self.note, **options)

    def note(self) -> None:
        self.calls.append(f"{self.now:%H:%M:%S}")

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.seconds(), UTC)

    def start(self) -> None:
        self.schedules.start_schedules()

    def pass_seconds(self, seconds: int) -> None:
        self.clock.pump([1] * seconds)

    def pass_minutes(self, minutes: int) -> None:
        self.pass_seconds(60 * minutes)

    def state(self, name: str = "job") -> ScheduleState:
        (state,) = (state for state in self.schedules.schedules() if state.name == name)
        return state


@pytest.fixture
def bench() -> Bench:
    return Bench()


def texts(events: list[Any]) -> list[str]:
    """What was logged, one line each."""
    from twisted.logger import formatEvent

    return [formatEvent(event) for event in events]


# Registering


def test_a_decorated_function_runs_every_minute(bench: Bench) -> None:
    """S13.1: @signals.schedule runs a function without arguments when its cron expression fires."""

    @bench.schedules.schedule("Example", cron="* * * * *")
    def tick() -> None:
        bench.note()

    bench.start()
    bench.pass_minutes(3)
    assert bench.calls == ["00:01:00", "00:02:00", "00:03:00"]
    assert tick.__name__ == "tick"


def test_options_of_the_decorator(bench: Bench) -> None:
    """S13.1: the decorator takes the options of add_schedule."""

    @bench.schedules.schedule("Example", "@minutely", args=("a",), kwargs={"b": 2}, limit=1, timezone="UTC")
    def tick(a: str, b: int) -> None:
        bench.calls.append((a, b))

    bench.start()
    bench.pass_minutes(3)
    assert bench.calls == [("a", 2)]


def test_arguments_are_passed_as_given_and_nothing_else(bench: Bench) -> None:
    """S13.1: the function gets args and kwargs, nothing else."""
    bench.add(function=lambda *args, **kwargs: bench.calls.append((args, kwargs)), args=[1, 2], kwargs={"three": 3})
    bench.start()
    bench.pass_minutes(1)
    assert bench.calls == [((1, 2), {"three": 3})]


def test_several_expressions(bench: Bench) -> None:
    """S13.1: each of several cron expressions triggers the schedule; in one minute they are one trigger."""
    bench.add(cron=["*/2 * * * *", "*/3 * * * *"])
    bench.start()
    bench.pass_minutes(6)
    assert bench.calls == ["00:02:00", "00:03:00", "00:04:00", "00:06:00"]
    assert bench.state().cron == ("*/2 * * * *", "*/3 * * * *")


def test_limit(bench: Bench) -> None:
    """S13.1: at its limit a schedule is completed and stays listed."""
    bench.add(limit=2)
    bench.start()
    bench.pass_minutes(5)
    assert bench.calls == ["00:01:00", "00:02:00"]
    state = bench.state()
    assert (state.count, state.completed, state.next) == (2, True, None)
    assert bench.schedules.next_trigger("job") is None


def test_start_and_end(bench: Bench) -> None:
    """S13.1: there is no trigger before start or after end; both belong to it."""
    bench.add(start=START + timedelta(seconds=90), end=START + timedelta(seconds=210))
    bench.start()
    bench.pass_minutes(3)
    assert not bench.state().completed
    bench.pass_minutes(5)
    assert bench.calls == ["00:02:00", "00:03:00", "00:04:00"]
    assert bench.state().completed


def test_an_end_in_the_past(bench: Bench) -> None:
    """S13.1: a schedule whose end is over never runs, not even on start."""
    bench.add(end=START - timedelta(seconds=1), on_start=True)
    bench.start()
    bench.pass_minutes(2)
    assert bench.calls == []
    assert bench.state().completed


def test_on_start(bench: Bench) -> None:
    """S13.1: on_start runs a schedule once when schedules start, whatever its expression; that counts as a run."""
    bench.add(cron="0 12 * * *", on_start=True, limit=2)
    assert bench.calls == []
    bench.start()
    bench.pass_minutes(2)
    assert bench.calls == ["00:00:30"]
    state = bench.state()
    assert (state.count, state.last, state.next) == (1, START, datetime(2026, 1, 1, 12, tzinfo=UTC))


def test_on_start_after_the_limit(bench: Bench) -> None:
    """S13.1: schedules that start again run on_start again, but no schedule that reached its limit."""
    bench.add(cron="0 12 * * *", on_start=True, limit=2)
    for _ in range(3):
        bench.start()
        bench.pass_seconds(1)
        bench.schedules.stop_schedules()
    assert bench.calls == ["00:00:30", "00:00:31"]


def test_on_start_while_schedules_run(bench: Bench) -> None:
    """S13.1: added later, a schedule with on_start runs at once."""
    bench.start()
    bench.pass_seconds(5)
    bench.add(on_start=True, limit=1)
    assert bench.calls == ["00:00:35"]
    assert bench.state().completed


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


def test_next_trigger(bench: Bench) -> None:
    """S13.1: next_trigger is the first trigger after now or a given time, within start and end."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    bench.add(cron="0 12 * * *", start=noon, end=noon + timedelta(days=2))
    ask = bench.schedules.next_trigger
    assert ask("job") == noon
    assert ask("job", noon) == noon + timedelta(days=1)
    assert ask("job", noon - timedelta(days=100)) == noon
    assert ask("job", noon + timedelta(days=1)) == noon + timedelta(days=2)
    assert ask("job", noon + timedelta(days=2)) is None


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
    ("options", "error", "message"),
    [
        ({"cron": "61 * * * *"}, CronInvalid, "bad cron minute"),
        ({"cron": []}, CronInvalid, "bad cron expression: there is none"),
        ({"limit": -1}, ValueError, "limit"),
        ({"limit": True}, ValueError, "limit"),
        ({"name": ""}, ValueError, "name"),
        ({"start": datetime(2026, 1, 1)}, ValueError, "start has to be aware"),  # noqa: DTZ001
        ({"end": datetime(2026, 1, 1)}, ValueError, "end has to be aware"),  # noqa: DTZ001
        ({"start": START, "end": START}, ValueError, "the end has to be after the start"),
        ({"timezone": "Europe/Atlantis"}, ValueError, "there is no time zone 'Europe/Atlantis'"),
        ({"function": "tick"}, TypeError, "'tick' is no function"),
    ],
)
def test_bad_options(bench: Bench, options: dict[str, Any], error: type[Exception], message: str) -> None:
    """S13.1: what makes no sense is refused when it is registered, and leaves nothing behind."""
    with pytest.raises(error, match=message):
        bench.add(**options)
    assert bench.schedules.schedules() == ()


def test_a_naive_after(bench: Bench) -> None:
    """S13.4: times are aware throughout."""
    bench.add()
    with pytest.raises(ValueError, match="aware"):
        bench.schedules.next_trigger("job", datetime(2026, 1, 1))  # noqa: DTZ001


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


# Expressions


def test_an_expression_that_never_fires_is_said_so(bench: Bench) -> None:
    """S13.2: a schedule that never fires is no error: it is logged, has no next trigger and is completed."""
    with capturedLogs() as events:
        bench.add(cron="* * 31 2 *")
    assert texts(events) == ["schedule job never fires: * * 31 2 *"]
    bench.start()
    bench.pass_minutes(2)
    state = bench.state()
    assert (state.next, state.completed, bench.calls) == (None, True, [])


def test_one_of_several_may_never_fire(bench: Bench) -> None:
    """S13.2: a schedule fires as long as one of its expressions does."""
    with capturedLogs() as events:
        bench.add(cron=["* * 31 2 *", "* * * * *"])
    bench.start()
    bench.pass_minutes(1)
    assert (texts(events), bench.calls) == ([], ["00:01:00"])


def test_random_minutes(bench: Bench) -> None:
    """S13.2: 30/R fires at minute 30 first, then at minutes that are drawn after each trigger."""
    bench.add(cron="30/R * * * *")
    bench.start()
    minutes = []
    for _ in range(12):
        following = bench.state().next
        assert following is not None
        minutes.append(following.minute)
        bench.pass_seconds(int(following.timestamp() - bench.clock.seconds()))
    assert len(bench.calls) == 12
    assert bench.calls[0] == "00:30:00"
    assert len(set(minutes)) > 6


def test_a_random_value_stays_until_its_own_trigger(bench: Bench) -> None:
    """S13.2: what another expression or on_start triggers draws nothing anew."""
    bench.add(cron=["30/R 5 * * *", "* 0 * * *"], on_start=True)
    bench.start()
    bench.pass_minutes(20)
    assert len(bench.calls) == 21
    after = datetime(2026, 1, 1, 4, tzinfo=UTC)
    assert bench.schedules.next_trigger("job", after) == datetime(2026, 1, 1, 5, 30, tzinfo=UTC)


# Time


def test_a_trigger_comes_within_a_second_of_its_minute() -> None:
    """S13.4: each second it is asked whether the minute has changed."""
    bench = Bench(START + timedelta(seconds=0.4))
    bench.clock.pump([0.1])
    bench.add()
    bench.start()
    bench.clock.pump([0.25] * 4 * 90)
    assert len(bench.calls) == 2
    assert bench.state().last == datetime(2026, 1, 1, 0, 2, tzinfo=UTC)


def test_the_minute_of_the_start_is_over() -> None:
    """S13.4: the first trigger is in the next minute, also for a start on the full minute."""
    bench = Bench(datetime(2026, 1, 1, tzinfo=UTC))
    bench.add()
    bench.start()
    bench.pass_seconds(59)
    assert bench.calls == []
    bench.pass_seconds(1)
    assert bench.calls == ["00:01:00"]


def test_one_looping_call_drives_all_schedules(bench: Bench) -> None:
    """S13.4: however many schedules there are, one call waits on the clock."""
    for number in range(5):
        bench.add(str(number))
    bench.start()
    assert len(bench.clock.getDelayedCalls()) == 1
    bench.pass_minutes(1)
    assert len(bench.calls) == 5


def test_starting_twice_is_starting_once(bench: Bench) -> None:
    """S13.4: a second start changes nothing."""
    bench.add(on_start=True)
    bench.start()
    bench.start()
    bench.pass_minutes(1)
    assert bench.calls == ["00:00:30", "00:01:00"]


@pytest.mark.parametrize("hours", [1, 24])
def test_the_clock_jumps_forward(bench: Bench, hours: int) -> None:
    """S13.4: triggers that a jump passed over are skipped and counted; the present minute is not passed over."""
    bench.add()
    bench.add("noon", cron="0 12 * * *")
    bench.start()
    bench.pass_minutes(1)
    with capturedLogs() as events:
        bench.clock.advance(3_600 * hours)
    passed = 60 * hours - 1
    state = bench.state()
    assert (state.count, state.skipped, len(bench.calls)) == (2, passed, 2)
    assert state.last == state.next - timedelta(minutes=1) if state.next else False
    assert f"schedule job: {passed} triggers were passed over" in texts(events)
    noon = bench.state("noon")
    assert (noon.count, noon.skipped) == (0, hours // 24)
    assert bench.counters.schedule_triggers_skipped == passed + noon.skipped
    bench.pass_minutes(2)
    assert len(bench.calls) == 4


def test_a_jump_of_many_years_is_counted_to_a_day(bench: Bench) -> None:
    """S13.4: a clock that was not set at boot does not make the reactor count every minute since 1970."""
    bench.clock.rightNow = 0.0
    bench.add()
    bench.start()
    bench.clock.advance(START.timestamp() + 30)
    assert (bench.state().skipped, bench.state().count) == (1_440, 1)
    bench.pass_minutes(1)
    assert bench.calls[-1] == "00:02:00"


def test_a_busy_reactor_passes_over_minutes(bench: Bench) -> None:
    """S13.4: minutes during which the reactor was busy are passed over like those of a jump."""
    bench.add()
    bench.start()
    bench.clock.advance(200)
    assert (bench.state().count, bench.state().skipped) == (1, 2)


def test_the_clock_jumps_back(bench: Bench) -> None:
    """S13.4: after a jump back nothing that ran runs again, and it goes on where it was."""
    bench.add()
    bench.start()
    bench.pass_minutes(60)
    ran = list(bench.calls)
    bench.clock.rightNow -= 3_600
    bench.pass_minutes(59)
    assert bench.calls == ran
    bench.pass_minutes(2)
    assert bench.calls == [*ran, "01:01:00"]
    assert bench.state().skipped == 0


def test_looking_at_the_clock_after_a_jump_back(bench: Bench) -> None:
    """S13.4: a tick with an earlier minute, an edit and a new start run nothing a second time."""
    bench.add()
    bench.start()
    bench.pass_minutes(60)
    ran = list(bench.calls)
    bench.schedules.stop_schedules()
    bench.clock.rightNow -= 3_600
    bench.start()
    bench.pass_minutes(10)
    bench.schedules.edit_schedule("job", cron="*/1 * * * *")
    bench.pass_minutes(50)
    assert bench.calls == ran
    bench.pass_minutes(1)
    assert bench.calls == [*ran, "01:01:00"]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", ["00:30:00"]),
        ("*/30 2 * * *", ["00:00:00", "00:30:00", "01:00:00", "01:30:00"]),
        ("0 * * * *", ["00:00:00", "01:00:00", "02:00:00"]),
    ],
)
def test_the_repeated_hour(cron: str, expected: list[str]) -> None:
    """S13.4: in the repeated hour a time of the day runs once, elapsed time goes on."""
    bench = Bench(datetime(2026, 10, 25, 1, 59, 30, tzinfo=BERLIN))
    bench.add(cron=cron, timezone="Europe/Berlin")
    bench.start()
    bench.pass_minutes(180)
    assert bench.calls == expected


def test_the_skipped_hour() -> None:
    """S13.4: a time of the day that the clock skips runs once, right after the gap."""
    bench = Bench(datetime(2026, 3, 29, 1, 59, 30, tzinfo=BERLIN))
    bench.add(cron="15,45 2 * * *", timezone=BERLIN)
    bench.start()
    bench.pass_minutes(120)
    assert bench.calls == ["01:00:00"]
    state = bench.state()
    assert state.last == datetime(2026, 3, 29, 3, tzinfo=BERLIN)
    assert state.last is not None
    assert state.last.tzinfo is BERLIN


@pytest.fixture
def machine_in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_new_york")
def test_the_zone_is_the_machines_by_default(bench: Bench) -> None:
    """S13.4: without a timezone the machine's own counts, with its changes of the clock."""
    bench.add(cron="0 9 * * *", timezone=None)
    ask = bench.schedules.next_trigger
    assert ask("job", datetime(2026, 1, 15, tzinfo=UTC)) == datetime(2026, 1, 15, 14, tzinfo=UTC)
    assert ask("job", datetime(2026, 7, 15, tzinfo=UTC)) == datetime(2026, 7, 15, 13, tzinfo=UTC)


# Running


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


# Stopping


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
