"""Cron expressions as Pode reads them, and the times at which they fire. It never asks what time it is.

Randomness and instants are arguments. `cronsim` finds the next matching time of a wall clock; what a time zone makes of
that time is decided here: cronsim's own answer can lie before the start that it was given (within a repeated hour), and
misses minutes in zones that change their clocks by half an hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from random import Random

from attrs import evolve, field, frozen
from cronsim import CronSim

from .cron_fields import ANY, CronFields, draw, read_fields, split_fields

__all__ = ["CronExpression"]

_DAY = timedelta(days=1)


@frozen
class CronExpression:
    """A cron expression with what its random fields have drawn; made by :meth:`parse`.

    Attributes:
        text: the expression as it was written.
        fields: the values that match. Day of month **and** weekday have to match.
        random_fields: the names of the fields that are drawn anew after each trigger.
        follows_elapsed_time: whether the minute or the hour field starts with ``*``, which decides what a change of
            the clock means (see :meth:`next_after`).
    """

    text: str
    fields: CronFields = field(repr=False)
    random_fields: frozenset[str] = field(default=frozenset(), repr=False)
    follows_elapsed_time: bool = field(default=False, repr=False)

    @classmethod
    def parse(cls, text: str, *, random: Random) -> CronExpression:
        """Read an expression: ``minute hour day month weekday``, or one of Pode's macros (``@daily``).

        A field is a list (``1,5-10,*/20``) of ``*``, a value, a range ``a-b``, or one of these with a step ``/n``;
        ``a/n`` begins at ``a`` and goes on to the end of the field. The field begins anew with each hour, day, month or
        year, and the steps with it: ``*/7`` minutes are 0, 7, … 56, and then 0 again, as in Pode and in any cron. A
        step that is larger than the field is refused. Months and weekdays have names (``JAN``, ``mon``); Sunday is 0
        or 7, and a range of weekdays may end with it (``FRI-SUN``).

        A whole field may be random: ``R`` is drawn now, ``n/R`` is ``n`` first and ``*/R`` the field's least value
        first; each is drawn anew after each trigger (:meth:`after_trigger`).

        Args:
            text: the expression.
            random: what ``R`` is drawn with.

        Raises:
            CronInvalid: naming the field that can't be read or kept.
        """
        fields, random_now, random_later = read_fields(text)
        minute, hour, *_ = split_fields(text)
        return cls(
            text,
            draw(fields, random_now, random),
            random_fields=random_now | random_later,
            follows_elapsed_time=minute.startswith("*") or hour.startswith("*"),
        )

    @property
    def never_fires(self) -> bool:
        """Whether no date can match, as in ``* * 31 2 *``."""
        return min(self.fields.day) > self.fields.longest_month

    def after_trigger(self, random: Random) -> CronExpression:
        """The expression after it fired: each random field has a new value, one with which it can fire.

        A field is drawn from all its values, so the next time may lie within the same hour or on the same day.
        """
        return evolve(self, fields=draw(self.fields, self.random_fields, random))

    def next_after(self, instant: datetime) -> datetime | None:
        """The first time after an instant at which the expression fires, on the clock of the instant's zone.

        Where that clock changes: with ``*`` at the beginning of the minute or the hour field, real time counts: each
        minute that the clock shows is matched, in the repeated hour twice, in the skipped one never. Any other
        expression means times of the day: one that is skipped fires right after the gap (several of them once),
        one that comes twice fires the first time. Debian's cron does the same.

        Args:
            instant: an aware datetime.

        Returns:
            A whole minute in the zone of ``instant``; None if the expression never fires.

        Raises:
            ValueError: ``instant`` is naive.
        """
        zone = instant.tzinfo
        if zone is None or instant.utcoffset() is None:
            raise ValueError("the instant has to be aware")
        if self.never_fires:
            return None
        find = self._next_elapsed if self.follows_elapsed_time else self._next_time_of_day
        return find(instant.astimezone(UTC), zone).astimezone(zone)

    def _next_elapsed(self, instant: datetime, zone: tzinfo) -> datetime:
        # A clock that is put back within the next day may show times before the instant once more.
        offset = _offset(instant, zone)
        put_back = offset - _offset(instant + _DAY, zone)
        walls = self._wall_times_after(_wall_clock(instant, offset) - max(put_back, timedelta(0)))
        found: list[datetime] = []
        shown: tuple[datetime, ...] = ()
        while not shown or shown[0] <= instant:
            shown = _shown_at(next(walls), zone)
            found.extend(time for time in shown if time > instant)
        return min(found)  # whatever comes later on the wall clock is shown later

    def _next_time_of_day(self, instant: datetime, zone: tzinfo) -> datetime:
        walls = self._wall_times_after(_wall_clock(instant, _offset(instant, zone)))
        shown: tuple[datetime, ...] = ()
        while not shown or shown[0] <= instant:
            wall = next(walls)
            shown = _shown_at(wall, zone)
            while not shown:
                wall += timedelta(minutes=1)
                shown = _shown_at(wall, zone)
        return shown[0]

    def _wall_times_after(self, wall: datetime) -> Iterator[datetime]:
        # It has no end: cronsim gives up after 50 years, the rarest date, 29 February on a given weekday, needs 40.
        times = CronSim(" ".join(_plain(*both) for both in zip(self.fields, ANY, strict=True)), wall)
        times.day_and = True
        return times


def _plain(values: frozenset[int], all_values: frozenset[int]) -> str:
    """A field as cronsim reads it."""
    return "*" if values == all_values else ",".join(map(str, sorted(values)))


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    """How far a zone's clock is ahead of UTC, by what it shows: not every tzinfo tells the same of a time shown."""
    return instant.astimezone(zone).replace(tzinfo=None) - instant.replace(tzinfo=None)


def _wall_clock(instant: datetime, offset: timedelta) -> datetime:
    """What a clock with this offset shows; naive."""
    return (instant + offset).replace(tzinfo=None)


def _shown_at(wall: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """When a zone's clock shows this time, in UTC: once; twice where it is put back, never where it is put forward.

    The zone is only asked for what its clock shows at an instant. What an instant is for a time shown (PEP 495) some
    tzinfos leave out where clocks are put forward (dateutil), or answer for another century (pytz).
    """
    as_utc = wall.replace(tzinfo=UTC)
    candidates = {as_utc - _offset(as_utc + days, zone) for days in (-_DAY, _DAY)}
    return tuple(sorted(each for each in candidates if _wall_clock(each, _offset(each, zone)) == wall))
