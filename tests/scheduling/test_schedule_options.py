"""What the options of a schedule do: its expressions, its limit, its start and end, on_start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scheduling.bench import START, Bench, texts
from twisted.logger import capturedLogs

from pode_signals.errors import CronInvalid


@pytest.fixture
def bench() -> Bench:
    return Bench()


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
