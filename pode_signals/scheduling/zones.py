"""Time zones: by name, and the machine's own with its changes of the clock. No schedules in here."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from twisted.logger import Logger

__all__ = ["MachineZone", "check_offset", "zone_of"]

_log = Logger()

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
# A zone is looked at from and to these years: what changes at all does so within them.
_FROM, _TO = datetime(2015, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
_TWO_SEASONS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
_good: deque[tzinfo] = deque(maxlen=16)
"""Those that were looked at last and found good: a thousand schedules may have one zone."""
# What TZ may be without a file: STD offset [DST …] (POSIX.1 section 8.3).
_POSIX_ZONE = re.compile(r"(<[A-Za-z0-9+-]{3,}>|[A-Za-z]{3,})[+-]?\d")
_BAD_ZONE = (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)


def zone_of(given: tzinfo | str | None) -> tzinfo:
    """The time zone that a user means.

    Args:
        given: a zone, its name in the time zone database (``Europe/Berlin``), or None for the machine's own.

    Raises:
        ValueError: there is no zone of this name; or it is a tzinfo that schedules would go wrong with: one that fails,
            whose offset is no whole minutes, or that can't tell the two passes of a repeated hour (PEP 495).
        TypeError: it is neither a zone nor a name.
    """
    if given is None:
        return _checked(_machine_zone())
    if isinstance(given, tzinfo):
        return _checked(given)
    if not isinstance(given, str):
        raise TypeError(f"a time zone is a tzinfo, or a name such as 'Europe/Berlin', not {given!r}")
    zone = _named(given)
    if zone is None:
        near = get_close_matches(given, available_timezones(), 1)
        hint = f"; the nearest name is {near[0]!r}" if near else ""
        raise ValueError(f"there is no time zone {given!r}{hint}")
    return zone


def check_offset(name: str, time: datetime) -> None:
    """Raise a ValueError where an aware time has an offset that its own zone never has around it.

    So it is with ``datetime(…, tzinfo=pytz.timezone(…))``, whose offset is that of the 19th century.
    """
    assert time.tzinfo is not None
    try:
        around = [(time.astimezone(UTC) + days).astimezone(time.tzinfo) for days in (-_DAY, timedelta(0), _DAY)]
    except OverflowError:  # datetime.max, for "never"
        return
    if time.utcoffset() not in {each.utcoffset() for each in around}:
        raise ValueError(
            f"{name} has the offset {time.utcoffset()}, which its time zone has not at that time: with pytz it is "
            "zone.localize(…), or take zoneinfo.ZoneInfo"
        )


def _named(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):  # a folder of the database, "Europe"; a path; another file
        return None


def _checked(zone: tzinfo) -> tzinfo:
    """The zone, if what its clock shows at an instant is that instant again, and differs from UTC by whole minutes."""
    if any(each is zone for each in _good):
        return zone
    # Zones of the standard library and the C library's follow PEP 495.
    instants = iter(_TWO_SEASONS) if type(zone) in (ZoneInfo, timezone, MachineZone) else _instants(zone)
    try:
        for instant in instants:
            shown = instant.astimezone(zone)
            if (shown.replace(tzinfo=None) - instant.replace(tzinfo=None)) % _MINUTE:
                raise ValueError("its offset has seconds, and schedules are triggered at whole minutes of UTC")
            if shown.astimezone(UTC) != instant:
                raise ValueError(
                    f"the time that it shows at {instant:%Y-%m-%d %H:%M} UTC is another instant: it does not tell the"
                    " two passes of a repeated hour apart by fold (PEP 495); take its name, or zoneinfo.ZoneInfo"
                )
    except _BAD_ZONE as error:
        reason = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"the time zone {zone!r} can't be used: {reason}") from error
    _good.append(zone)
    return zone


def _instants(zone: tzinfo) -> Iterator[datetime]:
    """Some instants, and the minutes before and after each change of a zone's clock, for those that last a week."""

    def offset(instant: datetime) -> timedelta:
        return instant.astimezone(zone).replace(tzinfo=None) - instant.replace(tzinfo=None)

    before = _FROM
    yield before
    while before < _TO:
        after = before + _WEEK
        yield after
        if offset(before) != offset(after):
            early, late = before, after
            while late - early > _MINUTE:
                middle = early + (late - early) // _MINUTE // 2 * _MINUTE
                early, late = (middle, late) if offset(middle) == offset(before) else (early, middle)
            yield from (early, late)
        before = after


@lru_cache(maxsize=16)
def _say_once(name: str, kind: str) -> None:
    _log.warn("the variable TZ names no {kind}, so the machine's time zone is UTC: {name}", kind=kind, name=name)


def _machine_zone() -> tzinfo:
    """The C library's zone, or that which the variable TZ names where the library itself has no file of that name."""
    machine = MachineZone()
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name or name.startswith("/") or _POSIX_ZONE.match(name):
        if name.startswith("/") and not Path(name).is_file():
            _say_once(name, "file")
        return machine
    zone = _named(name)
    if zone is None:
        _say_once(name, "time zone")
        return machine
    months = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 13)]
    agree = all(each.astimezone(machine).utcoffset() == each.astimezone(zone).utcoffset() for each in months)
    return machine if agree else zone


class MachineZone(tzinfo):
    """What the machine's clock on the wall shows, on any date: as the C library has it, variable ``TZ`` included.

    ``datetime.astimezone()`` gives one fixed offset, which is wrong after the next change of the clock.
    """

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        """The offset at this time of the wall clock; ``fold`` decides where it comes twice (PEP 495)."""
        if when is None:
            return None
        wall = when.replace(tzinfo=None, microsecond=0)
        return wall.replace(tzinfo=UTC) - datetime.fromtimestamp(wall.timestamp(), UTC)

    def dst(self, when: datetime | None) -> timedelta | None:
        """Not known."""
        return None

    def tzname(self, when: datetime | None) -> str | None:
        """The abbreviation in use then, such as ``CEST``."""
        return None if when is None else when.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, when: datetime) -> datetime:
        """What the wall clock shows at a time in UTC."""
        wall = datetime.fromtimestamp(when.replace(tzinfo=UTC, microsecond=0).timestamp())  # noqa: DTZ006 (local is meant)
        return wall.replace(tzinfo=self, microsecond=when.microsecond)

    def __repr__(self) -> str:
        return "MachineZone()"
