from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import dateutil.tz
import pytest
import pytz
from fakes import new_signals
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

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


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged of time zones."""
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_namespace"].endswith(".zones"):
            found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


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


class Shown(tzinfo):
    """A zone that is right about what its clock shows; subclasses leave out what time zones should know besides."""

    zone = ZoneInfo("Europe/Berlin")

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None if when is None else self.zone.utcoffset(when.replace(tzinfo=self.zone))

    def dst(self, when: datetime | None) -> timedelta | None:
        return None if when is None else self.zone.dst(when.replace(tzinfo=self.zone))

    def tzname(self, when: datetime | None) -> str | None:
        return "a zone"

    def fromutc(self, when: datetime) -> datetime:
        return self.zone.fromutc(when.replace(tzinfo=self.zone)).replace(tzinfo=self)


class WithoutFold(Shown):
    """As zones were before PEP 495: the second pass of an hour can't be said."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None if when is None else super().utcoffset(when.replace(fold=0))


class OnlySecondPass(Shown):
    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None if when is None else super().utcoffset(when.replace(fold=1))


class WithoutGaps(Shown):
    """As dateutil's: both readings of a skipped time are the same."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        if when is None:
            return None
        one, other = (self.zone.utcoffset(when.replace(tzinfo=self.zone, fold=fold)) for fold in (0, 1))
        assert one is not None
        assert other is not None
        return other if one < other else super().utcoffset(when)


CHANGED = datetime.fromisoformat("2030-05-06T07:00")


class Once(Shown):
    """A zone that changed its clock once, for good."""

    zone: Any = None

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        if when is None:
            return None
        return timedelta(hours=2 if when.replace(tzinfo=None) < CHANGED else 1)

    def dst(self, when: datetime | None) -> timedelta | None:
        return timedelta(0)

    def fromutc(self, when: datetime) -> datetime:
        return when + timedelta(hours=2 if when.replace(tzinfo=None) < CHANGED - timedelta(hours=2) else 1)


class Nothing(Shown):
    def utcoffset(self, when: datetime | None) -> timedelta | None:
        return None

    fromutc = tzinfo.fromutc


class Failing(Shown):
    def utcoffset(self, when: datetime | None) -> timedelta | None:
        raise KeyError("no data")


class FromUtcOfAnother(Shown):
    """It shows one time, and says of that time that it is another."""

    def fromutc(self, when: datetime) -> datetime:
        return when + timedelta(hours=3)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        (WithoutFold(), "PEP 495"),
        (OnlySecondPass(), "PEP 495"),
        (Once(), "PEP 495"),
        (FromUtcOfAnother(), "another instant"),
        (Nothing(), "can't be used"),
        (Failing(), "KeyError"),
        (tzinfo(), "NotImplementedError"),
        (timezone(timedelta(seconds=30)), "seconds"),
        (timezone(timedelta(hours=-5, microseconds=1)), "seconds"),
        (dateutil.tz.tzoffset(None, 3_601), "seconds"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_zone_that_can_not_do(zone: tzinfo, said: str) -> None:
    """S13.3: a tzinfo that does not follow PEP 495, fails, or has an offset with seconds is refused with a sentence."""
    for _ in range(2):  # what was refused once is refused again
        with pytest.raises(ValueError, match=said) as refused:
            zone_of(zone)
        assert repr(zone) in str(refused.value)


@pytest.mark.parametrize("given", [5, timedelta(hours=1), ZoneInfo, b"Europe/Berlin", ["UTC"]])
def test_what_is_no_zone(given: Any) -> None:
    """S13.1: neither a tzinfo nor a name is a TypeError that shows what is."""
    with pytest.raises(TypeError, match="a tzinfo, or a name such as 'Europe/Berlin'"):
        zone_of(given)


@pytest.mark.parametrize(
    ("name", "nearest"), [("europe/berlin", "Europe/Berlin"), ("Europe/Berlni", "Europe/Berlin"), ("zone.tab", None)]
)
def test_the_nearest_name(name: str, nearest: str | None) -> None:
    """S13.1: an unknown name is answered with the nearest one that there is."""
    with pytest.raises(ValueError, match="there is no time zone") as refused:
        zone_of(name)
    assert nearest is None or repr(nearest) in str(refused.value)


TEXTS = ("30 2 * * *", "0 2 * * *", "15 1,2 * * *", "*/20 * * * *", "0 * * * *", "30 1-3 * * *", "59 23 * * *")
CHANGES = ((3, 7), (3, 8), (3, 28), (3, 29), (10, 24), (10, 25), (11, 1), (4, 4), (4, 5), (10, 3), (10, 4), (7, 1))


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("kind", ["pytz", "dateutil", "without gaps"])
def test_zones_of_other_libraries(name: str, kind: str) -> None:
    """S13.3, S13.4: schedules in zones of pytz and dateutil, and of a tzinfo that does not tell skipped times, are
    triggered when those in the standard library's are, where clocks change too.
    """
    zone: Any
    if kind == "without gaps":
        zone = WithoutGaps()
        zone.zone = ZoneInfo(name)
    else:
        zone = pytz.timezone(name) if kind == "pytz" else dateutil.tz.gettz(name)
    signals = new_signals()
    for number, text in enumerate(TEXTS):
        for own in (zone, name):
            signals.add_schedule(f"{number} {own == name}", text, print, timezone=own)
        for month, day in CHANGES:
            for hour in range(24):
                after = datetime(2026, month, day, hour, 10, tzinfo=UTC)
                found, expected = (signals.next_trigger(f"{number} {own == name}", after) for own in (zone, name))
                assert found is not None
                assert expected is not None
                assert found.astimezone(UTC) == expected.astimezone(UTC), (text, after)
                assert found.replace(tzinfo=None) == expected.replace(tzinfo=None)


def test_a_zone_of_pytz_in_a_time() -> None:
    """S13.3: a start, an end or another time that has pytz's offset of the 19th century is refused with a sentence."""
    signals, zone = new_signals(), pytz.timezone("Europe/Berlin")
    wrong = datetime(2026, 7, 1, 12, tzinfo=zone)
    assert wrong.utcoffset() == timedelta(minutes=53)
    for name in ("start", "end"):
        with pytest.raises(ValueError, match=rf"{name} has the offset 0:53:00, .* zone\.localize"):
            signals.add_schedule("x", "* * * * *", print, timezone=zone, **{name: wrong})
    good = zone.localize(datetime.fromisoformat("2026-07-01T12:00"))
    signals.add_schedule("x", "30 * * * *", print, timezone=zone, start=good, end=datetime.max.replace(tzinfo=UTC))
    assert signals.next_trigger("x", good) == good + timedelta(minutes=30)
    with pytest.raises(ValueError, match="after has the offset"):
        signals.next_trigger("x", wrong)
    for fold in (0, 1):  # a time in a gap has one of the offsets around it
        skipped = datetime(2026, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)
        assert signals.next_trigger("x", skipped) is not None


class TestTheVariable:
    """What ``TZ`` may hold."""

    @pytest.mark.parametrize(
        ("text", "winter", "summer"),
        [
            ("", 0, 0),
            ("Europe/Berlin", 1, 2),
            (":Europe/Berlin", 1, 2),
            ("EST5EDT,M3.2.0,M11.1.0", -5, -4),
            ("<+03>-3", 3, 3),
            ("CET-1CEST", 1, 2),
            ("UTC0", 0, 0),
        ],
    )
    def test_what_it_may_be(
        self, set_machine: Callable[[str], None], warnings: list[str], text: str, winter: int, summer: int
    ) -> None:
        """S13.4: the machine's zone is what the variable TZ says: a name, a file, or a rule as POSIX writes them."""
        set_machine(text)
        zone = zone_of(None)
        for month, hours in ((1, winter), (7, summer)):
            assert datetime(2026, month, 15, 12, tzinfo=UTC).astimezone(zone).utcoffset() == timedelta(hours=hours)
        assert warnings == []

    def test_a_file(self, set_machine: Callable[[str], None], warnings: list[str], tmp_path: Path) -> None:
        """S13.4: TZ may be the path of a file, with a colon or without, and a link to one."""
        data = files("tzdata").joinpath("zoneinfo", "Asia", "Kathmandu").read_bytes()
        (tmp_path / "zone").write_bytes(data)
        (tmp_path / "link").symlink_to("zone")
        for text in (f"{tmp_path}/zone", f":{tmp_path}/link"):
            set_machine(text)
            assert datetime(2026, 1, 1, tzinfo=UTC).astimezone(zone_of(None)).utcoffset() == timedelta(minutes=345)
        assert warnings == []

    @pytest.mark.parametrize("text", ["Europe/Berlni", "JST", "/no/such/file", ":/no/such/other"])
    def test_what_it_may_not_be(self, set_machine: Callable[[str], None], warnings: list[str], text: str) -> None:
        """S13.4: where TZ names nothing, the C library takes UTC without a word; the log has one line."""
        set_machine(text)
        for _ in range(3):
            assert datetime(2026, 7, 1, tzinfo=UTC).astimezone(zone_of(None)).utcoffset() == timedelta(0)
        (line,) = warnings
        assert line.startswith("the variable TZ names no")
        assert text.removeprefix(":") in line

    def test_a_machine_without_zones(
        self, set_machine: Callable[[str], None], warnings: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S13.4: where the C library has no zones of its own, as in small containers, TZ is looked up in tzdata."""
        monkeypatch.setenv("TZDIR", "/no/such/folder")
        set_machine("Asia/Kathmandu")
        if time.timezone:
            pytest.skip("this C library looks elsewhere")
        assert datetime(2026, 1, 1, tzinfo=UTC).astimezone(zone_of(None)).utcoffset() == timedelta(minutes=345)
        assert warnings == []

    def test_seconds(self, set_machine: Callable[[str], None]) -> None:
        """S13.3: a zone of the machine that has seconds is refused as any other is: its schedules would never run."""
        set_machine("XXX-1:00:30")
        with pytest.raises(ValueError, match="its offset has seconds"):
            new_signals().add_schedule("x", "* * * * *", print)
