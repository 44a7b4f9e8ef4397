"""When a schedule is due, by its expressions, bounds and time zone. The time is an argument, and nothing runs here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from random import Random
from typing import Any

from attrs import Attribute, define, field, frozen

from ..errors import CronInvalid
from .cron import CronExpression
from .jobs import Job
from .zones import check_offset

__all__ = ["Schedule", "ScheduleState", "expressions"]

# After a long sleep of the machine, triggers are counted one by one up to the minutes of a day. The rest is passed over
# in one step, so that the count takes a short time.
_MOST_PASSED_OVER = 1_440
# A trigger is looked for after a time, and a time as near as this finds the trigger at that very time.
_BEFORE = timedelta(microseconds=1)


@frozen
class ScheduleState:
    """The state of a schedule. Times are aware, in the schedule's time zone.

    Attributes:
        name: the schedule's name.
        cron: its cron expressions.
        last: the last trigger; None where there was no trigger yet.
        next: the next trigger; None where no trigger will come.
        count: how many triggers have run the function, with ``once_per_cluster`` on whatever node; a call of
            ``invoke_schedule`` is no trigger.
        skipped: how many triggers have not run the function, because its last run was not over or because the clock
            passed over them.
        failed: how many runs have raised.
        running: whether a run is under way.
        completed: whether no trigger will come: the schedule has reached its limit or its end, or its expressions never
            fire.
    """

    name: str
    cron: tuple[str, ...]
    last: datetime | None
    next: datetime | None
    count: int
    skipped: int
    failed: int
    running: bool
    completed: bool


def expressions(cron: str | Iterable[str], random: Random) -> tuple[CronExpression, ...]:
    """Read one cron expression or several."""
    texts = (cron,) if isinstance(cron, str) else tuple(cron)
    if not texts:
        raise CronInvalid("expression", "there is none")
    return tuple(CronExpression.parse(text, random=random) for text in texts)


def _check_aware(_schedule: Any, attribute: Attribute[Any], value: datetime | None) -> None:
    if value is None:
        return
    if value.utcoffset() is None:
        raise ValueError(f"{attribute.name} has to be aware, such as datetime(…, tzinfo=ZoneInfo('Europe/Berlin'))")
    check_offset(attribute.name, value)


def _check_end(schedule: Schedule, attribute: Attribute[Any], end: datetime | None) -> None:
    _check_aware(schedule, attribute, end)
    if schedule.start is not None and end is not None and end <= schedule.start:
        raise ValueError("the end has to be after the start")


@define(kw_only=True, eq=False)
class Schedule(Job):
    """A function and the times at which it is to run.

    Attributes:
        crons: the expressions; each of them triggers the schedule.
        zone: the time zone of the expressions.
        start: no trigger comes before this time; None is no bound.
        end: no trigger comes after this time; None is no bound.
        on_start: whether the function also runs once when schedules start.
        once_per_cluster: whether each trigger runs on one node alone.
        last: the last trigger, in UTC.
        next: the next trigger, in UTC. Times are compared in UTC alone: Python takes no time within a repeated hour for
            equal to a time in another zone (PEP 495).
    """

    crons: tuple[CronExpression, ...]
    zone: tzinfo
    start: datetime | None = field(default=None, validator=_check_aware)
    end: datetime | None = field(default=None, validator=_check_end)
    on_start: bool = False
    once_per_cluster: bool = False
    last: datetime | None = None
    next: datetime | None = None

    @property
    def never_fires(self) -> bool:
        """Whether no expression can fire on any date."""
        return all(expression.never_fires for expression in self.crons)

    def check_once(self, crons: tuple[CronExpression, ...]) -> None:
        """Raise a ValueError where each node would draw triggers of its own, and each trigger is to run on one."""
        if self.once_per_cluster and any(cron.random_fields for cron in crons):
            raise ValueError("with once_per_cluster no field can be R: each node would draw another value")

    def is_over(self, now: datetime) -> bool:
        """Whether its limit is reached or its end has passed."""
        return self.is_used_up or (self.end is not None and self.end < now)

    def trigger_after(self, after: datetime) -> datetime | None:
        """The first trigger after a time, in UTC; None where there is none."""
        if self.is_used_up:
            return None
        if self.start is not None:
            after = max(after, self.start - _BEFORE)
        first = min(filter(None, (self._fires_after(cron, after) for cron in self.crons)), default=None)
        return None if first is None or (self.end is not None and first > self.end) else first

    def plan(self, now: datetime) -> None:
        """Find the next trigger, which comes after now and after the last trigger.

        Where the machine's clock was put back, the last trigger lies in the future, and must not run twice.
        """
        self.next = self.trigger_after(now if self.last is None else max(now, self.last))

    def pass_over(self, minute: datetime) -> int:
        """Drop the triggers that lie before a minute.

        Returns:
            How many were dropped; at most 1,440 are counted.
        """
        passed = 0
        while self.next is not None and self.next < minute:
            if passed == _MOST_PASSED_OVER:
                self.next = self.trigger_after(minute - _BEFORE)
                break
            passed += 1
            self.next = self.trigger_after(self.next)
        return passed

    def take(self, minute: datetime, random: Random) -> bool:
        """Take the trigger of this minute, and find the next one.

        Returns:
            Whether there was a trigger in this minute.
        """
        if self.next != minute:
            return False
        self.last = minute
        # Of several expressions, only those that fire in this minute get new values for their random fields.
        self.crons = tuple(
            cron.after_trigger(random)
            if cron.random_fields and self._fires_after(cron, minute - _BEFORE) == minute
            else cron
            for cron in self.crons
        )
        self.next = self.trigger_after(minute)
        return True

    def state(self, *, running: bool) -> ScheduleState:
        """The state as a user sees it."""
        return ScheduleState(
            name=self.name,
            cron=tuple(cron.text for cron in self.crons),
            last=self.local(self.last),
            next=self.local(self.next),
            count=self.count,
            skipped=self.skipped,
            failed=self.failed,
            running=running,
            completed=self.next is None,
        )

    def local(self, time: datetime | None) -> datetime | None:
        """A time in the schedule's zone."""
        return None if time is None else time.astimezone(self.zone)

    def _fires_after(self, cron: CronExpression, after: datetime) -> datetime | None:
        found = cron.next_after(after.astimezone(self.zone))
        return None if found is None else found.astimezone(UTC)
