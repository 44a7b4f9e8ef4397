"""When schedules are triggered: each minute, once, whatever the clock, the zone and the reactor do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from scheduling.bench import START, Bench, texts
from twisted.logger import capturedLogs

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def bench() -> Bench:
    return Bench()


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
