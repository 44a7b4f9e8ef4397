"""Next times against an oracle that shares nothing with the code: it looks at one minute after the other.

The normal run takes some of the random cases; ``PODE_SIGNALS_CRON_CASES=100000`` takes so many.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest

from pode_signals.scheduling.cron import CronExpression

CASES = int(os.environ.get("PODE_SIGNALS_CRON_CASES", "600"))
# Two that move by an hour at night, one by half an hour, two at midnight, one never.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Beirut", "UTC")
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
NAMES = {
    3: ["", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    4: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
}


class Case:
    """An expression together with what its fields mean: both are made at once, the text is not read."""

    def __init__(self, fields: list[tuple[str, set[int]]]) -> None:
        self.text = " ".join(text for text, _ in fields)
        self.minutes, self.hours, self.days, self.months, self.weekdays = (values for _, values in fields)
        self.elapsed = fields[0][0][0] == "*" or fields[1][0][0] == "*"

    def matches(self, wall: datetime) -> bool:
        return wall.minute in self.minutes and wall.hour in self.hours and self.has_date(wall.date())

    def has_date(self, day: date) -> bool:
        return day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays


def random_case(random: Random, *, stars_for_dates: float = 0.3) -> Case:
    return Case([random_field(random, index, 0.3 if index < 2 else stars_for_dates) for index in range(5)])


def random_field(random: Random, index: int, stars: float) -> tuple[str, set[int]]:
    least, most = LIMITS[index]
    if random.random() < stars:
        return "*", set(range(least, most + 1))
    items = [random_item(random, index) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    return ",".join(text for text, _ in items), set[int]().union(*(values for _, values in items))


def random_item(random: Random, index: int) -> tuple[str, set[int]]:
    least, most = LIMITS[index]
    low, high = sorted((random.randint(least, most), random.randint(least, most)))
    step = random.randint(1, min(20, most - least + 1))

    def on_step(first: int, last: int) -> set[int]:
        return {value for value in range(least, most + 1) if first <= value <= last and (value - first) % step == 0}

    def written(value: int) -> str:
        if index in NAMES and random.random() < 0.4:
            return random.choice((str.upper, str.lower, str.title))(NAMES[index][value])
        return str(value)

    kind = random.choice(("value", "range", "to Sunday", "star step", "value step", "range step"))
    if kind == "range":
        return f"{written(low)}-{written(high)}", {value for value in range(least, most + 1) if low <= value <= high}
    if kind == "to Sunday" and index == 4:
        low = max(low, 1)
        return f"{written(low)}-{random.choice(('7', 'SUN', 'Sun'))}", {*range(low, 7), 0}
    if kind == "star step":
        return f"*/{step}", on_step(least, most)
    if kind == "value step":
        return f"{written(low)}/{step}", on_step(low, most)
    if kind == "range step":
        return f"{written(low)}-{written(high)}/{step}", on_step(low, high)
    return "7" if index == 4 and low == 0 and random.random() < 0.5 else written(low), {low}


def oracle(case: Case, instant: datetime, zone: ZoneInfo) -> datetime | None:
    """The first minute after an instant at which the case fires, in UTC; None if there is none in 45 years.

    With elapsed time that is a minute at which the clock shows a time that matches. With times of the day it is one at
    which the clock gets further than it ever was, past at least one time that matches.
    """
    minute = datetime.fromtimestamp((instant.timestamp() // 60 + 1) * 60, UTC)
    end = minute + timedelta(days=45 * 366)
    furthest = None
    while minute < end:
        if minute.hour == minute.minute == 0 and not day_matters(case, minute, zone):
            minute += DAY
            furthest = None
            continue
        wall = minute.astimezone(zone).replace(tzinfo=None)
        if case.elapsed:
            if case.matches(wall):
                return minute
        else:
            furthest = furthest or furthest_before(minute, zone)
            while furthest < wall:
                furthest += MINUTE
                if case.matches(furthest):
                    return minute
        minute += MINUTE
    return None


def day_matters(case: Case, midnight: datetime, zone: ZoneInfo) -> bool:
    """Whether a date that the zone's clock shows during a day of UTC matches."""
    return case.has_date(midnight.astimezone(zone).date()) or case.has_date((midnight + DAY).astimezone(zone).date())


def furthest_before(minute: datetime, zone: ZoneInfo) -> datetime:
    """The furthest that the zone's clock ever got before a minute; none here is put back by more than two hours."""
    return max((minute - count * MINUTE).astimezone(zone).replace(tzinfo=None) for count in range(1, 150))


def ours(case: Case, instant: datetime, zone: ZoneInfo) -> datetime | None:
    found = CronExpression.parse(case.text, random=Random(1)).next_after(instant.astimezone(zone))
    return None if found is None else found.astimezone(UTC)


@cache
def changes_of_the_clock(zone: ZoneInfo) -> list[datetime]:
    """The first minutes with a new offset, of ten years."""
    days = [datetime(2017, 1, 1, tzinfo=UTC) + count * DAY for count in range(3_653)]
    found = []
    for before, after in pairwise(days):
        old = before.astimezone(zone).utcoffset()
        if after.astimezone(zone).utcoffset() != old:
            minutes = (before + count * MINUTE for count in range(1, 24 * 60))
            found.append(next(minute for minute in minutes if minute.astimezone(zone).utcoffset() != old))
    return found


@pytest.mark.parametrize("block", range(4))
def test_random_expressions_agree_with_the_oracle(block: int) -> None:
    """S13.2: random expressions at random instants, half of them near a change of the clock, fire when they should."""
    random = Random(f"cron {block}")
    fired = 0
    for _ in range(CASES // 4):
        case = random_case(random, stars_for_dates=random.choice((0.3, 0.9)))
        zone = ZoneInfo(random.choice(ZONES))
        changes = changes_of_the_clock(zone)
        instant = datetime(2017, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(10 * 365 * 86_400))
        if changes and random.random() < 0.5:
            instant = random.choice(changes) + timedelta(seconds=random.randrange(-30 * 3_600, 4 * 3_600))
        expected = oracle(case, instant, zone)
        assert ours(case, instant, zone) == expected, (case.text, str(zone), instant.astimezone(zone))
        fired += expected is not None
    assert fired > CASES // 4 * 0.9


EVERYTHING = tuple(set(range(least, most + 1)) for least, most in LIMITS)
MEANINGS = {
    "30 2 * * *": ({30}, {2}),
    "0,30 1,2,3 * * *": ({0, 30}, {1, 2, 3}),
    "15 0-23 * * *": ({15}, EVERYTHING[1]),
    "59 1 * * *": ({59}, {1}),
    "10 0,1 * 3,10,11 SUN": ({10}, {0, 1}, EVERYTHING[2], {3, 10, 11}, {0}),
    "* * * * *": (),
    "*/20 2 * * *": ({0, 20, 40}, {2}),
    "30 * * * *": ({30},),
    "5 */2 * * *": ({5}, {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22}),
    "* 1-3 * * SUN": (EVERYTHING[0], {1, 2, 3}, EVERYTHING[2], EVERYTHING[3], {0}),
}


@pytest.mark.parametrize("text", MEANINGS)
@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York"])
def test_every_change_of_the_clock_in_ten_years(name: str, text: str) -> None:
    """S13.4: at each change of the clock a time of the day fires once and elapsed time goes on."""
    meaning = MEANINGS[text]
    case = Case(list(zip(text.split(), (*meaning, *EVERYTHING[len(meaning) :]), strict=True)))
    zone = ZoneInfo(name)
    changes = changes_of_the_clock(zone)
    assert len(changes) == 20
    for change in changes:
        for hours in (-25, -1, -1 / 60, 0, 0.5, 1):
            instant = change + timedelta(hours=hours)
            expected = oracle(case, instant, zone)
            assert ours(case, instant, zone) == expected, instant.astimezone(zone)


def berlin(text: str, start: datetime, number: int) -> list[str]:
    """The first times after the start, with the offset."""
    expression, found = CronExpression.parse(text, random=Random(1)), []
    following: datetime | None = start.replace(tzinfo=ZoneInfo("Europe/Berlin"))
    for _ in range(number):
        assert following is not None
        following = expression.next_after(following)
        found.append(f"{following:%d %H:%M %z}")
    return found


BEFORE_THE_GAP = datetime(2026, 3, 29, 1, 45)  # noqa: DTZ001 (berlin() adds the zone)
BEFORE_THE_REPEATED_HOUR = datetime(2026, 10, 25, 1, 45)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * *", ["29 03:00 +0200", "30 02:30 +0200"]),
        ("0,15,30 2 * * *", ["29 03:00 +0200", "30 02:00 +0200"]),
        ("30 2,3 * * *", ["29 03:00 +0200", "29 03:30 +0200", "30 02:30 +0200"]),
        ("*/30 2 * * *", ["30 02:00 +0200", "30 02:30 +0200"]),
        ("30 * * * *", ["29 03:30 +0200", "29 04:30 +0200"]),
        ("*/20 * * * *", ["29 03:00 +0200", "29 03:20 +0200"]),
    ],
)
def test_a_time_in_the_gap(text: str, expected: list[str]) -> None:
    """S13.4: a time of the day that the clock skips fires once, right after the gap; elapsed time has no gap."""
    assert berlin(text, BEFORE_THE_GAP, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * *", ["25 02:30 +0200", "26 02:30 +0100"]),
        ("0,30 2 * * *", ["25 02:00 +0200", "25 02:30 +0200", "26 02:00 +0100"]),
        ("*/30 2 * * *", ["25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100", "26 02:00 +0100"]),
        ("0 * * * *", ["25 02:00 +0200", "25 02:00 +0100", "25 03:00 +0100"]),
    ],
)
def test_a_time_in_the_repeated_hour(text: str, expected: list[str]) -> None:
    """S13.4: a time of the day that comes twice fires the first time; elapsed time goes through both hours."""
    assert berlin(text, BEFORE_THE_REPEATED_HOUR, len(expected)) == expected


def test_the_next_time_is_never_before_the_start() -> None:
    """S13.4: from within the repeated hour, a time of the day that was over the first time is tomorrow's."""
    second = datetime(2026, 10, 25, 2, 10, fold=1)  # noqa: DTZ001
    assert berlin("30 2 * * *", second, 1) == ["26 02:30 +0100"]
