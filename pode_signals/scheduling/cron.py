"""Cron expressions as Pode reads them, and the times at which they fire. It never asks what time it is.

Randomness and instants are arguments. `cronsim` finds the next matching time on a wall clock. This module finds the
instants at which the clock of a time zone shows that time. It does not leave that to cronsim, whose answer can lie
before the given start (within a repeated hour), and which misses minutes in zones that change their clocks by half an
hour.
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
    """A cron expression, with the values that were drawn for its random fields; made by :meth:`parse`.

    Attributes:
        text: the expression as it was written.
        fields: the values that match. Day of month **and** weekday have to match.
        random_fields: the names of the fields that are drawn anew after each trigger.
        follows_elapsed_time: whether the minute or the hour field starts with ``*``. Where the zone's clock is changed,
            such an expression fires at other times than one without ``*`` (see :meth:`next_after`).
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

        A whole field may be random. ``R`` is drawn now. ``n/R`` is ``n`` until the first trigger, and ``*/R`` is the
        field's least value until then. All three are drawn anew after each trigger (:meth:`after_trigger`).

        Args:
            text: the expression.
            random: the random source that ``R`` is drawn with.

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
        """Whether no date can match, as in ``* * 31 2 *``, the 31st of February."""
        return min(self.fields.day) > self.fields.longest_month

    def after_trigger(self, random: Random) -> CronExpression:
        """The expression after a trigger: each random field has a new value, with which some date still matches.

        A field is drawn from all its values, so the next time may lie within the same hour or on the same day.
        """
        return evolve(self, fields=draw(self.fields, self.random_fields, random))

    def next_after(self, instant: datetime) -> datetime | None:
        """The first time after an instant at which the expression fires, on the clock of the instant's zone.

        Where that clock is changed, there are two kinds of expressions, as in Debian's cron. With ``*`` at the
        beginning of the minute or the hour field, each minute that the clock shows is compared with the expression: the
        minutes of a repeated hour twice, those of a skipped hour never. Any other expression means times of the day. A
        time that the clock skips fires right after the gap, and several such times fire once together. A time that the
        clock shows twice fires the first time.

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
        # If the clock will be put back within the next day, it will show once more some times that lie before the time
        # that it shows at the instant. The search begins that much earlier.
        offset = _offset(instant, zone)
        put_back = offset - _offset(instant + _DAY, zone)
        walls = self._wall_times_after(_wall_clock(instant, offset) - max(put_back, timedelta(0)))
        found: list[datetime] = []
        shown: tuple[datetime, ...] = ()
        # A wall time may be shown before the instant, after the instant, or both. The search can end at the first wall
        # time that is shown only after the instant: all later wall times are shown later than that one.
        while not shown or shown[0] <= instant:
            shown = _shown_at(next(walls), zone)
            found.extend(time for time in shown if time > instant)
        return min(found)

    def _next_time_of_day(self, instant: datetime, zone: tzinfo) -> datetime:
        walls = self._wall_times_after(_wall_clock(instant, _offset(instant, zone)))
        shown: tuple[datetime, ...] = ()
        # shown[0] alone counts: a time that comes twice fires the first time.
        while not shown or shown[0] <= instant:
            wall = next(walls)
            shown = _shown_at(wall, zone)
            # The clock skips this time, so it fires at the first minute behind the gap.
            while not shown:
                wall += timedelta(minutes=1)
                shown = _shown_at(wall, zone)
        return shown[0]

    def _wall_times_after(self, wall: datetime) -> Iterator[datetime]:
        # The iterator never ends: cronsim gives up after 50 years, and the rarest date (29 February on one weekday)
        # comes within 40 years.
        times = CronSim(" ".join(_plain(*both) for both in zip(self.fields, ANY, strict=True)), wall)
        times.day_and = True
        return times


def _plain(values: frozenset[int], all_values: frozenset[int]) -> str:
    """A field as cronsim reads it."""
    return "*" if values == all_values else ",".join(map(str, sorted(values)))


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    """How far a zone's clock is ahead of UTC at an instant.

    It is measured by the time that the clock shows, since the ``utcoffset`` of some tzinfos is another one.
    """
    return instant.astimezone(zone).replace(tzinfo=None) - instant.replace(tzinfo=None)


def _wall_clock(instant: datetime, offset: timedelta) -> datetime:
    """The time that a clock with this offset shows at an instant; naive."""
    return (instant + offset).replace(tzinfo=None)


def _shown_at(wall: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """The instants, in UTC, at which a zone's clock shows this time.

    Mostly there is one; there are two where the clock is put back, and none where it is put forward. The zone is only
    asked what its clock shows at an instant. The other way round (PEP 495) some tzinfos have no answer where clocks are
    put forward (dateutil), or answer for another century (pytz).
    """
    as_utc = wall.replace(tzinfo=UTC)
    # The clock is changed at most once within two days, so it has one of these two offsets.
    candidates = {as_utc - _offset(as_utc + days, zone) for days in (-_DAY, _DAY)}
    return tuple(sorted(each for each in candidates if _wall_clock(each, _offset(each, zone)) == wall))
