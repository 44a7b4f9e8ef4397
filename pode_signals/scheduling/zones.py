"""Time zones: by name, and the machine's own zone with its clock changes. It knows nothing of schedules."""

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
# A zone is tried out between these years. A zone whose clock is changed at all has changes in this time, and a table of
# zones may end in 2037.
_FROM, _TO = datetime(2015, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)
_TWO_SEASONS = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
_good: deque[tzinfo] = deque(maxlen=16)
"""The zones that were found good last. The check takes a while, and a thousand schedules may share one zone."""
# The form that the variable TZ may have without a file: STD offset [DST …] (POSIX.1 section 8.3).
_POSIX_ZONE = re.compile(r"(<[A-Za-z0-9+-]{3,}>|[A-Za-z]{3,})[+-]?\d")
_BAD_ZONE = (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)


def zone_of(given: tzinfo | str | None) -> tzinfo:
    """The time zone that a user means.

    Args:
        given: a zone, its name in the time zone database (``Europe/Berlin``), or None for the machine's own.

    Raises:
        ValueError: there is no zone with this name. Or schedules would go wrong with this tzinfo: it raises, its offset
            is not in whole minutes, or it can't tell the two passes of a repeated hour apart (PEP 495).
        TypeError: ``given`` is neither a zone nor a name.
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
    """Raise a ValueError where an aware time has an offset that its own zone does not have on the days around it.

    For instance, ``datetime(…, tzinfo=pytz.timezone(…))`` has the zone's offset of the 19th century.
    """
    assert time.tzinfo is not None
    try:
        around = [(time.astimezone(UTC) + days).astimezone(time.tzinfo) for days in (-_DAY, timedelta(0), _DAY)]
    # datetime.max, which users take for "never", has no day after it.
    except OverflowError:
        return
    if time.utcoffset() not in {each.utcoffset() for each in around}:
        raise ValueError(
            f"{name} has the offset {time.utcoffset()}, which its time zone has not at that time: with pytz it is "
            "zone.localize(…), or take zoneinfo.ZoneInfo"
        )


def _named(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    # zoneinfo raises the other two for a folder of the database ("Europe"), for a path, and for a file that is no zone.
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return None


def _checked(zone: tzinfo) -> tzinfo:
    """The zone, if it is good.

    A good zone gives back each instant when the time that its clock shows is turned into UTC again, and its clock
    differs from UTC by whole minutes.
    """
    # By identity, since comparing may run code of a zone that was not checked.
    if any(each is zone for each in _good):
        return zone
    # Zones of the standard library and of the C library follow PEP 495, so two instants are enough for them.
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
    """One instant a week, and the last minute before and the first minute after each change of a zone's clock.

    A change that lasts less than a week may be missed.
    """

    def offset(instant: datetime) -> timedelta:
        return instant.astimezone(zone).replace(tzinfo=None) - instant.replace(tzinfo=None)

    before = _FROM
    yield before
    while before < _TO:
        after = before + _WEEK
        yield after
        if offset(before) != offset(after):
            early, late = before, after
            # A search by halves, in whole minutes.
            while late - early > _MINUTE:
                middle = early + (late - early) // _MINUTE // 2 * _MINUTE
                early, late = (middle, late) if offset(middle) == offset(before) else (early, middle)
            yield from (early, late)
        before = after


@lru_cache(maxsize=16)
def _say_once(name: str, kind: str) -> None:
    _log.warn(
        "the variable TZ names no {kind}, so the machine's time zone is UTC: {name}",
        event="zone.unknown",
        kind=kind,
        name=name,
    )


def _machine_zone() -> tzinfo:
    """The C library's zone.

    Where the variable TZ names a zone for which the C library has no file, the library silently takes UTC. Then the
    zone comes from Python's own time zone database.
    """
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
    """The machine's own time zone on any date, by the C library, which follows the variable ``TZ``.

    ``datetime.astimezone()`` is no such zone: it has one fixed offset, which is wrong after the next clock change.
    """

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        """The offset at this time of the wall clock; where the time comes twice, ``fold`` decides (PEP 495)."""
        if when is None:
            return None
        # Without microseconds: in the floats of a timestamp these are not exact.
        wall = when.replace(tzinfo=None, microsecond=0)
        return wall.replace(tzinfo=UTC) - datetime.fromtimestamp(wall.timestamp(), UTC)

    def dst(self, when: datetime | None) -> timedelta | None:
        """Unknown (None): the C library does not tell how much of the offset is daylight saving time."""
        return None

    def tzname(self, when: datetime | None) -> str | None:
        """The zone's abbreviation at this time, such as ``CEST``."""
        return None if when is None else when.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, when: datetime) -> datetime:
        """The time that the wall clock shows at a time in UTC."""
        wall = datetime.fromtimestamp(when.replace(tzinfo=UTC, microsecond=0).timestamp())  # noqa: DTZ006 (local is meant)
        return wall.replace(tzinfo=self, microsecond=when.microsecond)

    def __repr__(self) -> str:
        return "MachineZone()"
