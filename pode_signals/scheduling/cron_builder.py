"""``cron(…)``: cron expressions from words, as Pode's ``New-PodeCron`` makes them. Text only; it reads none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .cron_fields import MONTHS, WEEKDAYS

__all__ = ["cron"]

Value = int | str
Values = Value | Iterable[Value] | None

_FIELDS = {"minute": (0, 59), "hour": (0, 23), "date": (1, 31), "month": (1, 12), "day": (0, 7)}
_EVERY = {
    "minute": {},
    "hour": {"minute": "0"},
    "day": {"minute": "0", "hour": "0"},
    "date": {"minute": "0", "hour": "0"},
    "month": {"minute": "0", "hour": "0", "date": "1"},
    "quarter": {"minute": "0", "hour": "0", "date": "1", "month": "1,4,7,10"},
    "year": {"minute": "0", "hour": "0", "date": "1", "month": "1"},
}
_RANGES = _FIELDS | {"day": (0, 6)}
_OTHER_SUNDAY = {"day": "7"}
_PLURAL = {"minute": "minutes", "hour": "hours", "day": "weekdays", "date": "days", "month": "months"}
_PARENT = {"minute": "an hour", "hour": "a day", "day": "a week", "date": "a month", "month": "a year"}
_OR_TIMER = dict.fromkeys(("minute", "hour"), ", or any by a timer")
_WITHOUT_INTERVAL = ("quarter", "year")


def cron(
    every: str | None = None,
    *,
    minute: Values = None,
    hour: Values = None,
    date: Values = None,
    month: Values = None,
    day: Values = None,
    interval: int = 0,
) -> str:
    """Build a cron expression (Pode: ``New-PodeCron``).

    ``cron("day", hour=5, minute=15)`` is ``15 5 * * *``. Without ``every``, what is not given matches always:
    ``cron(day="Tuesday")`` is each minute of each Tuesday.

    Args:
        every: ``minute``, ``hour``, ``day`` (of the week), ``date`` (of the month), ``month``, ``quarter`` or
            ``year``. Smaller units that are not given stand at their beginning.
        minute: one value or several, 0-59.
        hour: one value or several, 0-23.
        date: one day of the month or several, 1-31.
        month: one month or several, 1-12 or a name (``June``, ``jun``).
        day: one weekday or several, 0-7 with 0 and 7 for Sunday, or a name (``Tuesday``, ``tue``).
        interval: each so many minutes, hours, …, as ``every`` says, beginning at the one value of that field if there
            is one; 0 is none. The field begins anew with each hour, day, week, month or year: every 7 minutes is at 0,
            7, … 56 of each hour, with 4 minutes between 56 and 0, as in Pode.

    Returns:
        The expression: ``minute hour day month weekday``.

    Raises:
        ValueError: a value that is out of range or no name; an unknown ``every``; an interval without ``every``, with
            ``quarter`` or ``year``, below 0, with several values of the field that it counts, or one that the field
            can't keep, since it ends before: 90 minutes, 36 hours, 8 weekdays, 40 days, 18 months, or 15 minutes from
            minute 50 on.
    """
    unit = None if every is None else str(every).lower()
    if unit is not None and unit not in _EVERY:
        raise ValueError(f"every has to be one of {', '.join(_EVERY)}, not {every!r}")
    values = {
        name: _numbers(name, given)
        for name, given in {"minute": minute, "hour": hour, "date": date, "month": month, "day": day}.items()
    }
    fields = dict.fromkeys(_FIELDS, "*")
    if unit is not None:
        fields.update(_EVERY[unit])
        if unit == "month" and values["day"]:
            # "month" means the 1st otherwise. With a weekday it means each of these weekdays of the month, and not only
            # a 1st that is such a weekday.
            fields["date"] = "*"
    fields.update({name: ",".join(map(str, given)) for name, given in values.items() if given})
    if _checked_interval(unit, interval):
        assert unit is not None
        start = _start(unit, values[unit])
        _check_kept(unit, start, interval)
        fields[unit] = f"{start}/{interval}"
    return " ".join(fields.values())


def _checked_interval(unit: str | None, interval: int) -> int:
    if isinstance(interval, bool) or not isinstance(interval, int) or interval < 0:
        raise ValueError(f"interval has to be a whole number of 0 or more, not {interval!r}")
    if interval and unit is None:
        raise ValueError("an interval needs every: every so many of what?")
    if interval and unit in _WITHOUT_INTERVAL:
        raise ValueError(f"every {unit} has no interval")
    return interval


def _check_kept(unit: str, start: str, interval: int) -> None:
    """Raise unless the field has a second value so much later, or the interval is the field itself."""
    least, most = _RANGES[unit]
    size = most - least + 1
    first = least if start in ("*", _OTHER_SUNDAY.get(unit)) else int(start)
    longest = most - first
    if interval > longest and interval != size:
        from_start = "" if start == "*" else f", {longest or 'none'} from {start} on"
        raise ValueError(
            f"every {interval} {_PLURAL[unit]} can't be kept: {_PARENT[unit]} has {size}, and the next one begins anew;"
            f" an interval of {size} at most can be had{from_start}{_OR_TIMER.get(unit, '')}"
        )


def _start(unit: str, values: Sequence[int]) -> str:
    if len(values) > 1:
        raise ValueError(f"with an interval the {unit} it begins at is one value, not {len(values)}")
    return str(values[0]) if values else "*"


def _numbers(name: str, given: Values) -> list[int]:
    if given is None:
        return []
    if isinstance(given, (int, str)):
        given = (given,)
    return [_number(name, value) for value in given]


def _number(name: str, value: Value) -> int:
    least, most = _FIELDS[name]
    number = _named(name, value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise ValueError(f"{name} has to be within {least}-{most}{_OR_NAME.get(name, '')}, not {value!r}")
    return number


def _named(name: str, text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    return _NAMES.get(name, {}).get(text.lower())


_NAMES: Mapping[str, Mapping[str, int]] = {
    name: {text: number for number, full in enumerate(names, first) for text in (full.lower(), full[:3].lower())}
    for name, names, first in (("month", MONTHS, 1), ("day", WEEKDAYS, 0))
}
_OR_NAME = {"month": " or the name of a month", "day": " or the name of a weekday"}
