from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pode_signals.scheduling.cron import CronExpression
from pode_signals.scheduling.cron_builder import cron


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (cron("day"), "0 0 * * *"),
        (cron("day", day=["Tuesday", "Friday"], hour=1), "0 1 * * 2,5"),
        (cron("month", date=15), "0 0 15 * *"),
        (cron("date", interval=2, date=2), "0 0 2/2 * *"),
        (cron("year", month="June"), "0 0 1 6 *"),
        (cron("hour", hour=1, interval=1), "0 1/1 * * *"),
        (cron("minute", hour=[1, 2, 3, 4, 5], interval=15), "*/15 1,2,3,4,5 * * *"),
        (cron("hour", day="Monday"), "0 * * * 1"),
        (cron("quarter"), "0 0 1 1,4,7,10 *"),
        (cron("day", hour=5, minute=15), "15 5 * * *"),
        (cron(day="Tuesday", minute=[0, 10, 20, 30, 40, 50]), "0,10,20,30,40,50 * * * 2"),
        (cron(day="Tuesday"), "* * * * 2"),
        (cron(day="Tuesday", hour=0, minute=5), "5 0 * * 2"),
        (cron("minute", interval=2), "*/2 * * * *"),
    ],
)
def test_the_examples_of_pode(built: str, expected: str) -> None:
    """S13.3: each example of New-PodeCron in Pode's documentation builds what it says there."""
    assert built == expected


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (cron(), "* * * * *"),
        (cron("minute"), "* * * * *"),
        (cron("hour"), "0 * * * *"),
        (cron("date"), "0 0 * * *"),
        (cron("month"), "0 0 1 * *"),
        (cron("year"), "0 0 1 1 *"),
        (cron("month", day="Monday"), "0 0 * * 1"),
        (cron("month", day="Monday", date=3), "0 0 3 * 1"),
        (cron("month", interval=3), "0 0 1 */3 *"),
        (cron("month", month="feb", interval=3), "0 0 1 2/3 *"),
        (cron("day", interval=2), "0 0 * * */2"),
        (cron("day", day="Sunday", interval=2), "0 0 * * 0/2"),
        (cron("minute", minute=5, interval=20), "5/20 * * * *"),
        (cron("quarter", date=2, hour=6), "0 6 2 1,4,7,10 *"),
        (cron("hour", minute="30"), "30 * * * *"),
        (cron(month=[1, "MARCH", "dec"], day=("sun", 6)), "* * * 1,3,12 0,6"),
        (cron(minute=[], hour=None), "* * * * *"),
        (cron("Day", hour=range(8, 11)), "0 8,9,10 * * *"),
    ],
)
def test_words_become_an_expression(built: str, expected: str) -> None:
    """S13.3: every sets what is smaller to its beginning; values are numbers, text, names, or several of these."""
    assert built == expected
    CronExpression.parse(built, random=Random(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interval": 3}, "an interval needs every"),
        ({"every": "quarter", "interval": 3}, "every quarter has no interval"),
        ({"every": "year", "interval": 3}, "every year has no interval"),
        ({"every": "hour", "hour": [2, 4], "interval": 3}, "the hour it begins at is one value, not 2"),
        ({"every": "minute", "minute": [2, 4], "interval": 15}, "the minute it begins at is one value, not 2"),
        ({"every": "fortnight"}, "every has to be one of minute, hour, day, date, month, quarter, year"),
        ({"every": "hour", "interval": -1}, "interval has to be"),
        ({"every": "hour", "interval": 1.5}, "interval has to be"),
        ({"every": "hour", "interval": True}, "interval has to be"),
        ({"every": 5}, "every has to be one of minute"),
        ({"every": ["hour"]}, "every has to be one of minute"),
        ({"every": "minute", "interval": 90}, "every 90 minutes can't be kept: an hour has 60, .* 60 at most"),
        ({"every": "minute", "interval": 90}, "or any by a timer"),
        ({"every": "hour", "interval": 36}, "every 36 hours can't be kept: a day has 24"),
        ({"every": "day", "interval": 8}, "every 8 weekdays can't be kept: a week has 7, .* 7 at most can be had$"),
        ({"every": "date", "interval": 40}, "every 40 days can't be kept: a month has 31"),
        ({"every": "month", "interval": 18}, "every 18 months can't be kept: a year has 12"),
        ({"every": "minute", "minute": 50, "interval": 15}, "9 from 50 on"),
        ({"every": "month", "month": "December", "interval": 1}, "none from 12 on"),
        ({"minute": 60}, "minute has to be within 0-59, not 60"),
        ({"minute": -1}, "minute has to be within 0-59"),
        ({"minute": True}, "minute has to be within 0-59"),
        ({"minute": [1.0]}, "minute has to be within 0-59"),
        ({"minute": "*/5"}, "minute has to be within 0-59"),
        ({"hour": 24}, "hour has to be within 0-23"),
        ({"hour": "Monday"}, "hour has to be within 0-23"),
        ({"date": 0}, "date has to be within 1-31"),
        ({"date": [1, 32]}, "date has to be within 1-31, not 32"),
        ({"month": 13}, "month has to be within 1-12 or the name of a month"),
        ({"month": "Foo"}, "month has to be within 1-12 or the name of a month, not 'Foo'"),
        ({"day": 8}, "day has to be within 0-7 or the name of a weekday"),
        ({"day": "January"}, "day has to be within 0-7 or the name of a weekday"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    """S13.3: an interval without every, or with quarter or year, and values out of range are a ValueError."""
    with pytest.raises(ValueError, match=message):
        cron(**arguments)


SIZES = {"minute": (0, 60), "hour": (0, 24), "date": (1, 31), "month": (1, 12), "day": (0, 7)}


@given(
    unit=st.sampled_from(sorted(SIZES)),
    interval=st.integers(1, 130),
    start=st.none() | st.integers(0, 59),
)
@settings(max_examples=500)
def test_an_interval_is_kept_or_refused(unit: str, interval: int, start: int | None) -> None:
    """S13.3: an interval that is taken lies between all values of its field, of which there are two at least, or is the
    field's own size; every other one is a ValueError.
    """
    least, size = SIZES[unit]
    first = least if start is None else least + start % size
    fits = first + interval < least + size or interval == size
    arguments: dict[str, Any] = {} if start is None else {unit: first}
    if not fits:
        with pytest.raises(ValueError, match=f"every {interval} .* can't be kept"):
            cron(unit, interval=interval, **arguments)
        return
    fields = CronExpression.parse(cron(unit, interval=interval, **arguments), random=Random(1)).fields
    names = {"date": "day", "day": "weekday"}
    values = sorted(getattr(fields, names.get(unit, unit)))
    assert values[0] == first
    assert {later - earlier for earlier, later in pairwise(values)} == ({interval} if interval < size else set())


def test_the_other_sunday() -> None:
    """S13.3: an interval of weekdays that begins at Sunday goes through the week, whichever number Sunday has."""
    for sunday in (0, 7, "Sunday"):
        built = cron("day", day=sunday, interval=3)
        assert CronExpression.parse(built, random=Random(1)).fields.weekday == {0, 3, 6}
