from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pode_signals.errors import CronInvalid
from pode_signals.scheduling.cron import CronExpression
from pode_signals.scheduling.cron_fields import MACROS

START = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday


def parse(text: str, seed: int = 1) -> CronExpression:
    return CronExpression.parse(text, random=Random(seed))


def times(text: str, number: int, start: datetime = START) -> list[str]:
    """The first times after the start, short."""
    expression, found = parse(text), []
    for _ in range(number):
        following = expression.next_after(start)
        assert following is not None
        found.append(f"{following:%Y-%m-%d %H:%M %a}")
        start = following
    return found


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("5 * * * *", "minute", {5}),
        ("* * * * *", "minute", set(range(60))),
        ("* 007 * * *", "hour", {7}),
        ("1,2,40 * * * *", "minute", {1, 2, 40}),
        ("10-13 * * * *", "minute", {10, 11, 12, 13}),
        ("*/25 * * * *", "minute", {0, 25, 50}),
        ("* * */10 * *", "day", {1, 11, 21, 31}),
        ("50/4 * * * *", "minute", {50, 54, 58}),
        ("0-20/7 * * * *", "minute", {0, 7, 14}),
        ("5,10-12,*/30 * * * *", "minute", {0, 5, 10, 11, 12, 30}),
        ("5,5,4-6 * * * *", "minute", {4, 5, 6}),
        ("* * * JAN,mar-May,12 *", "month", {1, 3, 4, 5, 12}),
        ("* * * * SUN,wed", "weekday", {0, 3}),
        ("* * * * 7", "weekday", {0}),
        ("* * * * 5-7", "weekday", {5, 6, 0}),
        ("* * * * fri-sun", "weekday", {5, 6, 0}),
        ("* * * * SUN-TUE", "weekday", {0, 1, 2}),
        ("* * * * 7/2", "weekday", {0, 2, 4, 6}),
        ("* * * * TUE/2", "weekday", {2, 4, 6}),
        ("* * * * 0-7", "weekday", set(range(7))),
        ("* * * * 7-7", "weekday", {0}),
    ],
)
def test_fields_are_read(text: str, field: str, values: set[int]) -> None:
    """S13.2: names, ranges, lists, steps and mixtures of these."""
    assert getattr(parse(text).fields, field) == values


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("60 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("JAN * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day"),
        ("* * 32 * *", "day"),
        ("* * 0-5 * *", "day"),
        ("* * 1-32 * *", "day"),
        ("* * 20-15 * *", "day"),
        ("* * L * *", "day"),
        ("* * * 0 *", "month"),
        ("* * * 13 *", "month"),
        ("* * * FOO *", "month"),
        ("* * * JANUARY *", "month"),
        ("* * * DEC-JAN *", "month"),
        ("* * * * 8", "weekday"),
        ("* * * * SAT-MON", "weekday"),
        ("* * * * TUE#2", "weekday"),
        ("*/0 * * * *", "minute"),
        ("*/ * * * *", "minute"),
        ("*/-5 * * * *", "minute"),
        ("*/5/5 * * * *", "minute"),
        ("/5 * * * *", "minute"),
        ("1, * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("1-2-3 * * * *", "minute"),
        ("** * * * *", "minute"),
        ("*-5 * * * *", "minute"),
        ("٣ * * * *", "minute"),
        ("² * * * *", "minute"),
        (f"{'9' * 5_000} * * * *", "minute"),
        ("R,5 * * * *", "minute"),
        ("5-R * * * *", "minute"),
        ("R/5 * * * *", "minute"),
        ("5-10/R * * * *", "minute"),
        ("1,2/R * * * *", "minute"),
        ("/R * * * *", "minute"),
        ("60/R * * * *", "minute"),
        ("", "expression"),
        ("* * *", "expression"),
        ("* * * * * *", "expression"),
        ("@fortnightly", "expression"),
        ("@daily *", "expression"),
    ],
)
def test_a_bad_expression_names_its_field(text: str, field: str) -> None:
    """S13.2: a bad expression is CronInvalid, also a ValueError, and names the field."""
    with pytest.raises(CronInvalid) as caught:
        parse(text)
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError)
    assert f"bad cron {field}: " in str(caught.value)


@pytest.mark.parametrize(
    ("index", "field", "size", "least"),
    [(0, "minute", 60, 0), (1, "hour", 24, 0), (2, "day", 31, 1), (3, "month", 12, 1), (4, "weekday", 7, 0)],
)
@pytest.mark.parametrize("span", ["*", "{least}", "{least}-{most}", "{most}", "{least},*"])
def test_a_step_that_is_larger_than_its_field(index: int, field: str, size: int, least: int, span: str) -> None:
    """S13.2: a step larger than its field would be one of the field's size without a word: it is CronInvalid."""
    written = span.format(least=least, most=least + size - 1)

    def with_step(step: int) -> CronExpression:
        return parse(" ".join([*["*"] * index, f"{written}/{step}", *["*"] * (4 - index)]))

    with_step(size)
    for step in (size + 1, size * 3 // 2, 9_999):
        with pytest.raises(CronInvalid, match=rf"bad cron {field}: the step {step} is larger .* {size} values"):
            with_step(step)


MACRO_TIMES = {
    "@minutely": ["2026-01-01 00:01 Thu", "2026-01-01 00:02 Thu"],
    "@hourly": ["2026-01-01 01:00 Thu", "2026-01-01 02:00 Thu"],
    "@daily": ["2026-01-02 00:00 Fri", "2026-01-03 00:00 Sat"],
    "@weekly": ["2026-01-04 00:00 Sun", "2026-01-11 00:00 Sun"],
    "@monthly": ["2026-02-01 00:00 Sun", "2026-03-01 00:00 Sun"],
    "@quarterly": ["2026-04-01 00:00 Wed", "2026-07-01 00:00 Wed", "2026-10-01 00:00 Thu", "2027-01-01 00:00 Fri"],
    "@yearly": ["2027-01-01 00:00 Fri", "2028-01-01 00:00 Sat"],
    "@annually": ["2027-01-01 00:00 Fri", "2028-01-01 00:00 Sat"],
    "@twice-hourly": ["2026-01-01 00:30 Thu", "2026-01-01 01:00 Thu"],
    "@twice-daily": ["2026-01-01 12:00 Thu", "2026-01-02 00:00 Fri"],
    "@twice-weekly": ["2026-01-04 00:00 Sun", "2026-01-08 00:00 Thu"],
    "@twice-monthly": ["2026-01-15 00:00 Thu", "2026-02-01 00:00 Sun"],
    "@twice-yearly": ["2026-06-01 00:00 Mon", "2027-01-01 00:00 Fri"],
    "@twice-annually": ["2026-06-01 00:00 Mon", "2027-01-01 00:00 Fri"],
}


@pytest.mark.parametrize("macro", MACRO_TIMES)
def test_macros(macro: str) -> None:
    """S13.2: each macro means what it means in Pode, however it is written."""
    expected = MACRO_TIMES[macro]
    assert times(macro, len(expected)) == expected
    assert times(f" {macro.upper()} ", len(expected)) == expected


def test_every_macro_is_tested() -> None:
    """S13.2: the macros are those of Pode, no more and no fewer."""
    assert set(MACROS) == set(MACRO_TIMES)


def test_day_of_month_and_weekday_must_both_match() -> None:
    """S13.2: Friday the 13th is a Friday and a 13th, as in Pode, not either."""
    assert times("0 0 13 * FRI", 3) == ["2026-02-13 00:00 Fri", "2026-03-13 00:00 Fri", "2026-11-13 00:00 Fri"]
    assert times("0 0 13 1 5", 1, datetime(2020, 1, 1, tzinfo=UTC)) == ["2023-01-13 00:00 Fri"]
    assert times("37 13 5 2 fri", 1, datetime(2020, 1, 15, tzinfo=UTC)) == ["2021-02-05 13:37 Fri"]


@pytest.mark.parametrize("text", ["* * 31 2 *", "* * 30,31 FEB *", "0 0 31 4,6,9,11 MON", "R R 31 2 R", "* * 31/R 2 *"])
def test_dates_that_never_come(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S13.2: an expression for dates that never come is no error, and that it never fires is found without a search."""
    # A search would fail.
    monkeypatch.setattr("pode_signals.scheduling.cron.CronSim", None)
    expression = parse(text)
    assert expression.never_fires
    assert expression.next_after(START) is None


@pytest.mark.parametrize("weekday", ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])
def test_the_rarest_date_is_found(weekday: str) -> None:
    """S13.2: 29 February on a given weekday is found, though 40 years can lie between two of them."""
    start = datetime(2072, 3, 1, tzinfo=UTC)  # 2100 is no leap year
    following = parse(f"0 0 29 2 {weekday}").next_after(start)
    assert following is not None
    assert (following.month, following.day, f"{following:%a}".upper()) == (2, 29, weekday)


def test_the_next_time_is_after_the_instant() -> None:
    """S13.2: the next time is a whole minute after the instant, never the instant itself."""
    assert times("* * * * *", 1, START + timedelta(seconds=1)) == ["2026-01-01 00:01 Thu"]
    assert times("* * * * *", 1, START - timedelta(microseconds=1)) == ["2026-01-01 00:00 Thu"]
    assert times("* * * * *", 1, START + timedelta(seconds=59, microseconds=999_999)) == ["2026-01-01 00:01 Thu"]
    assert times("0 0 * * *", 1) == ["2026-01-02 00:00 Fri"]


def test_a_naive_instant_is_refused() -> None:
    """S13.4: times are aware throughout."""
    with pytest.raises(ValueError, match="aware"):
        parse("* * * * *").next_after(START.replace(tzinfo=None))


def test_the_answer_is_in_the_zone_of_the_instant() -> None:
    """S13.4: an expression is read on the clock of the schedule's zone."""
    berlin = ZoneInfo("Europe/Berlin")
    following = parse("0 12 * * *").next_after(START.astimezone(berlin))
    assert following == datetime(2026, 1, 1, 11, tzinfo=UTC)
    assert following is not None
    assert following.tzinfo is berlin


# Random fields


def drawn(text: str, field: str, seeds: int = 300) -> Counter[int]:
    """What ``R`` drew at registration, over many seeds."""
    found: Counter[int] = Counter()
    for seed in range(seeds):
        (value,) = getattr(parse(text, seed).fields, field)
        found[value] += 1
    return found


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("R * * * *", "minute", range(60)),
        ("* r * * *", "hour", range(24)),
        ("* * R * *", "day", range(1, 32)),
        ("* * R 2 *", "day", range(1, 30)),
        ("* * R 4,2 *", "day", range(1, 31)),
        ("* * * R *", "month", range(1, 13)),
        ("* * 31 R *", "month", [1, 3, 5, 7, 8, 10, 12]),
        ("* * 30,31 R *", "month", [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ("* * * * R", "weekday", range(7)),
        ("* * 31 * R", "weekday", range(7)),
    ],
)
def test_r_draws_every_value_that_can_fire_and_no_other(text: str, field: str, values: list[int]) -> None:
    """S13.2: R is drawn at registration among the values with which the expression can still fire."""
    assert set(drawn(text, field, 800)) == set(values)


def test_two_random_fields_fit_each_other() -> None:
    """S13.2: a random day and a random month are always a date."""
    for seed in range(500):
        expression = parse("0 0 R R *", seed)
        for _ in range(5):
            assert not expression.never_fires
            expression = expression.after_trigger(Random(seed))


def test_r_is_drawn_anew_after_each_trigger() -> None:
    """S13.2: after a trigger R has another draw, among all values of the field, and nothing else changes."""
    random = Random(7)
    expression = CronExpression.parse("R 5 * * MON", random=random)
    seen: Counter[int] = Counter()
    for _ in range(2_000):
        (minute,) = expression.fields.minute
        seen[minute] += 1
        expression = expression.after_trigger(random)
        assert (expression.fields.hour, expression.fields.weekday) == ({5}, {1})
    assert set(seen) == set(range(60))


@pytest.mark.parametrize(
    ("text", "field", "first"),
    [
        ("30/R * * * *", "minute", 30),
        ("*/R * * * *", "minute", 0),
        ("* * */R * *", "day", 1),
        ("* * * */r *", "month", 1),
        ("* * * mar/R *", "month", 3),
        ("* * * * */R", "weekday", 0),
        ("* * * * 7/R", "weekday", 0),
        ("* * * * sat/R", "weekday", 6),
    ],
)
def test_a_first_value_comes_before_the_draws(text: str, field: str, first: int) -> None:
    """S13.2: n/R is n first and */R the field's least value first, then random."""
    random = Random(3)
    expression = CronExpression.parse(text, random=random)
    assert getattr(expression.fields, field) == {first}
    later = {min(getattr(expression.after_trigger(random).fields, field)) for _ in range(100)}
    assert len(later) > 5


def test_the_random_source_is_injected() -> None:
    """S13.2: the same seed means the same draws."""
    assert parse("R R R R R", 5) == parse("R R R R R", 5)
    assert parse("R R R R R", 5) != parse("R R R R R", 6)


def test_the_order_of_drawing_is_fixed() -> None:
    """S13.2: one seed means the same draws in every process: fields are drawn by name, not in the order of a set."""

    class Recorder(Random):
        def choice(self, seq: Any) -> Any:
            sizes.append(len(seq))
            return seq[0]

    sizes: list[int] = []
    CronExpression.parse("R R R R R", random=Recorder())
    assert sizes == [31, 24, 60, 12, 7]


def test_an_expression_without_r_stays() -> None:
    """S13.2: a trigger changes nothing where nothing is random."""
    expression = parse("*/5 3 * * *")
    assert expression.after_trigger(Random(1)) == expression


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="012345*/-,RJANMOSU@", min_size=1, max_size=5), min_size=5, max_size=5).map(" ".join)
    | st.text(max_size=20)
)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    """S13.2: whatever the text is, it is an expression with values or CronInvalid, nothing else."""
    try:
        expression = parse(text)
    except CronInvalid:
        return
    assert all(values for values in expression.fields)
    following = expression.next_after(START)
    assert (following is None) == expression.never_fires
