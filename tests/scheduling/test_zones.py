from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from zoneinfo import ZoneInfo

import pytest

from pode_signals.scheduling.zones import MachineZone, zone_of


@pytest.fixture
def set_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the machine's time zone for one test."""

    def set_to(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


def test_zones_by_name() -> None:
    """S13.4: a schedule's time zone is a zone, its name, or the machine's."""
    assert zone_of("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    fixed = timezone(timedelta(hours=5))
    assert zone_of(fixed) is fixed
    assert isinstance(zone_of(None), MachineZone)


@pytest.mark.parametrize("name", ["Europe/Atlantis", "Europe", "../etc/passwd", "/etc/localtime", ""])
def test_an_unknown_zone(name: str) -> None:
    """S13.4: an unknown time zone is a ValueError."""
    with pytest.raises(ValueError, match=r"zone|ZoneInfo"):
        zone_of(name)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])
def test_the_machines_zone_is_the_zone_it_is_set_to(name: str, set_machine: Callable[[str], None]) -> None:
    """S13.4: the machine's zone changes its clock, repeats hours and skips them as the zone it is set to does."""
    set_machine(name)
    machine, zone, random = MachineZone(), ZoneInfo(name), Random(1)
    instants = [datetime(2010, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(630_000_000)) for _ in range(500)]
    near_changes = [
        datetime(2026, month, day, tzinfo=UTC) + timedelta(minutes=random.randrange(1_440))
        for month, day in ((3, 8), (3, 29), (10, 25), (11, 1), (4, 4), (10, 3))
        for _ in range(100)
    ]
    for instant in instants + near_changes:
        ours, theirs = instant.astimezone(machine), instant.astimezone(zone)
        assert ours.replace(tzinfo=zone) == theirs.replace(tzinfo=zone)
        assert (ours.fold, ours.utcoffset(), ours.tzname()) == (theirs.fold, theirs.utcoffset(), theirs.tzname())
        assert ours.astimezone(UTC) == instant
        for fold in (0, 1):  # the same digits as a wall-clock time, in the gap too
            wall = instant.replace(tzinfo=machine, fold=fold)
            assert wall.utcoffset() == wall.replace(tzinfo=zone).utcoffset()


def test_the_machines_zone_keeps_microseconds(set_machine: Callable[[str], None]) -> None:
    """S13.4: a time in the machine's zone is exact."""
    set_machine("Europe/Berlin")
    instant = datetime(2026, 7, 1, 12, 0, 0, 123_457, tzinfo=UTC)
    assert instant.astimezone(MachineZone()).astimezone(UTC) == instant
    assert instant.astimezone(MachineZone()).isoformat() == "2026-07-01T14:00:00.123457+02:00"


def test_the_machines_zone_answers_like_a_zone() -> None:
    """S13.4: without a time there is no offset; daylight saving is not told apart."""
    machine = MachineZone()
    assert machine.utcoffset(None) is None
    assert machine.tzname(None) is None
    assert machine.dst(datetime.now(machine)) is None
    assert repr(machine) == "MachineZone()"
