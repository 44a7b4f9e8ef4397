"""The five fields of a cron expression: from text to the values that match, and random values. It knows no dates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random

from attrs import evolve, frozen

from pode_signals.errors import CronInvalid

__all__ = ["ANY", "DAYS_IN_MONTH", "MACROS", "MONTHS", "WEEKDAYS", "CronFields", "draw", "read_fields", "split_fields"]

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
DAYS_IN_MONTH = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""The most days that a month can have, by its number."""

MACROS: Mapping[str, str] = {
    "@minutely": "* * * * *",
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 1,4,7,10 *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@twice-hourly": "0,30 * * * *",
    "@twice-daily": "0 0,12 * * *",
    "@twice-weekly": "0 0 * * 0,4",
    "@twice-monthly": "0 0 1,15 * *",
    "@twice-yearly": "0 0 1 1,6 *",
    "@twice-annually": "0 0 1 1,6 *",
}
"""Pode's predefined expressions."""


@frozen
class CronFields:
    """The values that match, field by field.

    Attributes:
        minute: 0-59.
        hour: 0-23.
        day: of the month, 1-31.
        month: 1-12.
        weekday: 0-6, 0 is Sunday.
    """

    minute: frozenset[int] = frozenset(range(60))
    hour: frozenset[int] = frozenset(range(24))
    day: frozenset[int] = frozenset(range(1, 32))
    month: frozenset[int] = frozenset(range(1, 13))
    weekday: frozenset[int] = frozenset(range(7))

    def __iter__(self) -> Iterator[frozenset[int]]:
        """The fields in the order in which they are written."""
        return iter((self.minute, self.hour, self.day, self.month, self.weekday))

    @property
    def longest_month(self) -> int:
        """The most days that any of the months can have."""
        return max(DAYS_IN_MONTH[month] for month in self.month)


ANY = CronFields()
"""What ``* * * * *`` matches."""


def read_fields(text: str) -> tuple[CronFields, frozenset[str], frozenset[str]]:
    """Read an expression.

    Returns:
        The values that match, where a field written ``R`` matches all values and a field written ``n/R`` or ``*/R`` has
        its first value alone; then the names of the fields written ``R``; then the names of those written ``n/R`` or
        ``*/R``.

    Raises:
        CronInvalid: naming the field that can't be read.
    """
    fields, random_now, random_later = ANY, set(), set()
    for grammar, part in zip(_GRAMMARS, split_fields(text), strict=True):
        if part == "R":
            random_now.add(grammar.name)
            continue
        if part.endswith("/R"):
            random_later.add(grammar.name)
            values = frozenset({grammar.first(part.removesuffix("/R"))})
        else:
            values = grammar.values(part)
        fields = evolve(fields, **{grammar.name: values})
    return fields, frozenset(random_now), frozenset(random_later)


def split_fields(text: str) -> list[str]:
    """The five fields of an expression or a macro, in upper case."""
    written = text.strip()
    if written.startswith("@"):
        try:
            written = MACROS[written.lower()]
        except KeyError:
            raise CronInvalid("expression", f"there is no {written!r}") from None
    parts = written.upper().split()
    if len(parts) != len(_GRAMMARS):
        raise CronInvalid("expression", f"{len(parts)} fields where 5 belong: minute hour day month weekday")
    return parts


def draw(fields: CronFields, names: Iterable[str], random: Random) -> CronFields:
    """Draw one value for each of the named fields, of all values with which some date still matches."""
    drawn = evolve(fields, **{name: getattr(ANY, name) for name in names})
    # Sorted, because a set has no order of its own, and one seed of the random source has to mean one result.
    for name in sorted(names):
        possible = getattr(drawn, name)
        if name == "day":
            possible = {day for day in possible if day <= drawn.longest_month}
        elif name == "month":
            possible = {month for month in possible if DAYS_IN_MONTH[month] >= min(drawn.day)}
        drawn = evolve(drawn, **{name: frozenset({random.choice(sorted(possible))})})
    return drawn


@frozen
class _Grammar:
    """How one field is written.

    Attributes:
        wraps: whether the number above ``most`` means ``least``, too: the weekday 7 is Sunday, as 0 is.
    """

    name: str
    least: int
    most: int
    names: Mapping[str, int] = {}
    wraps: bool = False

    @property
    def size(self) -> int:
        """How many values the field has."""
        return self.most - self.least + 1

    def values(self, part: str) -> frozenset[int]:
        """The values of a list."""
        items = (value for item in part.split(",") for value in self._item(item))
        return frozenset(self.least if value > self.most else value for value in items)

    def first(self, text: str) -> int:
        """The value that ``n/R`` or ``*/R`` has until its first trigger."""
        return self.least if text == "*" else self._value(text)

    def _item(self, item: str) -> range:
        """The values of one ``*``, ``a``, ``a-b``, ``*/n``, ``a/n`` or ``a-b/n``."""
        span, slash, step = item.partition("/")
        low_text, dash, high_text = span.partition("-")
        if span == "*":
            low, high = self.least, self.most
        elif dash:
            low, high = self._number(low_text), self._number(high_text)
            # FRI-SUN: as the end of a range, Sunday is 7.
            if self.wraps and high == self.least < low:
                high = self.most + 1
            if low > high:
                raise CronInvalid(self.name, f"the range {span} runs backwards")
        else:
            low = self._value(span)
            high = self.most if slash else low
        return range(low, high + 1, self._step(step) if slash else 1)

    def _value(self, text: str) -> int:
        number = self._number(text)
        return self.least if number > self.most else number

    def _number(self, text: str) -> int:
        if text in self.names:
            return self.names[text]
        if not _is_number(text):
            raise CronInvalid(self.name, f"{text!r} is no number" + (" and no name" if self.names else ""))
        if not self.least <= int(text) <= self.most + self.wraps:
            raise CronInvalid(self.name, f"{text} is not within {self.least}-{self.most}")
        return int(text)

    def _step(self, text: str) -> int:
        if not _is_number(text) or int(text) == 0:
            raise CronInvalid(self.name, f"{text!r} is no step: a number of 1 or more, or R after one value or *")
        # The steps begin anew with each hour, day, month or year. So a larger step would do the same as a step of the
        # size of the field, and the user would not be told.
        if int(text) > self.size:
            raise CronInvalid(self.name, f"the step {text} is larger than the field, which has {self.size} values")
        return int(text)


_GRAMMARS = (
    _Grammar("minute", 0, 59),
    _Grammar("hour", 0, 23),
    _Grammar("day", 1, 31),
    _Grammar("month", 1, 12, {name[:3].upper(): number for number, name in enumerate(MONTHS, 1)}),
    _Grammar("weekday", 0, 6, {name[:3].upper(): number for number, name in enumerate(WEEKDAYS)}, wraps=True),
)


def _is_number(text: str) -> bool:
    # No value has more than two digits, and Python's int refuses texts of many thousand digits with another error.
    return text.isascii() and text.isdigit() and len(text) <= 4
