"""Time zones: by name, and the machine's own with its changes of the clock. No schedules in here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["MachineZone", "zone_of"]


def zone_of(timezone: tzinfo | str | None) -> tzinfo:
    """The time zone that a user means.

    Args:
        timezone: a zone, its name in the time zone database (``Europe/Berlin``), or None for the machine's own.

    Raises:
        ValueError: there is no zone of this name.
    """
    if timezone is None:
        return MachineZone()
    if isinstance(timezone, tzinfo):
        return timezone
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, OSError):  # OSError: a folder of the database, "Europe"
        raise ValueError(f"there is no time zone {timezone!r}") from None


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
