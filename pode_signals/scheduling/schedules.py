"""Schedules: functions that run when a cron expression says so, on the hub's clock. It reads no cron itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from datetime import UTC, datetime, tzinfo
from functools import partial
from random import Random
from typing import Any, TypedDict, TypeVar, Unpack

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..core.counters import Counters
from ..errors import ScheduleAlreadyExists, UnknownSchedule
from ..hub.clocks import wall_seconds
from ..hub.fence import Fence
from .jobs import Runs
from .planning import Schedule, ScheduleState, expressions
from .timers import Timers
from .zones import check_offset, zone_of

__all__ = ["ScheduleOptions", "ScheduleState", "Schedules"]

F = TypeVar("F", bound=Callable[..., Any])

_MINUTE_SECONDS = 60


class ScheduleOptions(TypedDict, total=False):
    """What :meth:`Schedules.schedule` passes on to :meth:`Schedules.add_schedule`, for type checkers."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any] | None
    start: datetime | None
    end: datetime | None
    limit: int
    on_start: bool
    timezone: tzinfo | str | None


class Schedules(Timers):
    """The schedules and timers of one hub; a part of :class:`~pode_signals.Signals`.

    Args:
        clock: gives the clock; it is not asked for before schedules start, unless someone asks for a next trigger.
        fence: runs the functions.
        counters: skipped triggers are counted here.
        random: what ``R`` in cron expressions is drawn with.
        check_thread: raises where the caller is in the wrong thread.
        context: gives each run a fresh context.
    """

    _schedule_log = Logger()

    def __init__(
        self,
        clock: Callable[[], IReactorTime],
        fence: Fence,
        counters: Counters,
        random: Random,
        check_thread: Callable[[str], None],
        context: Callable[[], Context] = Context,
    ) -> None:
        self._schedule_clock = clock
        self._schedule_random = random
        self._schedule_check_thread = check_thread
        self._schedule_reports = fence.reports
        self._schedule_runs = Runs(fence, counters, context)
        self._schedule_jobs: dict[str, Schedule] = {}
        self._schedule_loop: LoopingCall | None = None
        self._schedule_minute = 0
        Timers.__init__(self, clock, self._schedule_runs, check_thread)

    def schedule(self, name: str, cron: str | Iterable[str], **options: Unpack[ScheduleOptions]) -> Callable[[F], F]:
        """Register the decorated function as a schedule; see :meth:`add_schedule` for the options.

        Returns:
            A decorator that gives the function back as it is.
        """

        def register(function: F) -> F:
            self.add_schedule(name, cron, function, **options)
            return function

        return register

    def add_schedule(
        self,
        name: str,
        cron: str | Iterable[str],
        function: Callable[..., Any],
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 0,
        on_start: bool = False,
        timezone: tzinfo | str | None = None,
    ) -> None:
        """Run a function whenever a cron expression fires (Pode: ``Add-PodeSchedule``).

        One run at a time: a trigger that comes while the last run is not over is skipped and counted. A function that
        raises is logged and goes on at its next trigger. Where the clock jumps forward or the reactor was busy for
        minutes, the triggers that were passed over are counted as skipped (at most 1,440 of them at once); where it
        jumps back, nothing that ran runs again.

        Args:
            name: the schedule's name.
            cron: a cron expression (:func:`pode_signals.cron` builds them), or several, each of which triggers it;
                two in the same minute are one trigger.
            function: plain, ``async def`` or giving a Deferred; it has no time limit.
            args: what the function is called with.
            kwargs: what else it is called with, by name.
            start: no trigger before this time; aware.
            end: no trigger after this time; aware.
            limit: after so many runs the schedule is completed; 0 is no limit.
            on_start: whether it also runs once when schedules start, at once if they run already, whatever ``cron``
                and ``start`` say; that counts as a run.
            timezone: the time zone of the expression, or its name (``Europe/Berlin``); None is the machine's. Zones of
                pytz and dateutil do as well.

        Raises:
            ScheduleAlreadyExists: there is a schedule of this name.
            CronInvalid: an expression that can't be read; one that never fires is logged, not refused.
            ValueError: an empty name, a naive time, an end that is not after the start, a negative limit, an unknown
                time zone, one whose offset has seconds, or a tzinfo that can't tell the two passes of a repeated hour
                apart (PEP 495).
            NotInReactorThread: called from another thread.
        """
        self._schedule_check_thread("add_schedule")
        if name in self._schedule_jobs:
            raise ScheduleAlreadyExists(name)
        job = Schedule(
            kind="schedule",
            name=name,
            crons=expressions(cron, self._schedule_random),
            function=function,
            args=args,
            kwargs=kwargs,
            start=start,
            end=end,
            limit=limit,
            on_start=on_start,
            zone=zone_of(timezone),
        )
        self._schedule_jobs[name] = job
        self._schedule_say_if_never(job)
        if self._schedule_loop is not None:
            job.plan(self._schedule_now())
            self._schedule_on_start(job)

    def remove_schedule(self, name: str) -> None:
        """Forget a schedule; a run that is under way goes on to its end (Pode: ``Remove-PodeSchedule``).

        Raises:
            UnknownSchedule: there is none of this name.
            NotInReactorThread: called from another thread.
        """
        self._schedule_check_thread("remove_schedule")
        self._schedule(name)
        del self._schedule_jobs[name]

    def clear_schedules(self) -> None:
        """Forget all schedules (Pode: ``Clear-PodeSchedules``)."""
        self._schedule_check_thread("clear_schedules")
        self._schedule_jobs.clear()

    def edit_schedule(
        self,
        name: str,
        *,
        cron: str | Iterable[str] | None = None,
        function: Callable[..., Any] | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what is given and keep the rest (Pode: ``Edit-PodeSchedule``). A run under way is not touched.

        Raises:
            UnknownSchedule: there is no schedule of this name.
            CronInvalid: an expression that can't be read; then nothing changes.
            NotInReactorThread: called from another thread.
        """
        self._schedule_check_thread("edit_schedule")
        job = self._schedule(name)
        crons = job.crons if cron is None else expressions(cron, self._schedule_random)
        job.edit(function, args, kwargs)
        if cron is not None:
            job.crons = crons
            self._schedule_say_if_never(job)
            if self._schedule_loop is not None:
                job.plan(self._schedule_now())

    def has_schedule(self, name: str) -> bool:
        """Whether there is a schedule of this name (Pode: ``Test-PodeSchedule``)."""
        return name in self._schedule_jobs

    def schedules(self) -> tuple[ScheduleState, ...]:
        """All schedules, completed ones too, in the order in which they were added (Pode: ``Get-PodeSchedule``)."""
        if self._schedule_loop is None:
            for job in self._schedule_jobs.values():
                job.plan(self._schedule_now())
        return tuple(job.state(running=self._schedule_runs.is_running(job)) for job in self._schedule_jobs.values())

    def next_trigger(self, name: str, after: datetime | None = None) -> datetime | None:
        """When a schedule is triggered next (Pode: ``Get-PodeScheduleNextTrigger``).

        Args:
            name: the schedule's name.
            after: the first trigger after this time, aware; None is now. What a random field draws later is not
                known: the answer is for the values that it has now.

        Returns:
            A time in the schedule's time zone; None where there is none.

        Raises:
            UnknownSchedule: there is no schedule of this name.
            ValueError: ``after`` is naive, or has an offset that its time zone has not.
        """
        job = self._schedule(name)
        if after is None:
            after = self._schedule_now()
        elif after.utcoffset() is None:
            raise ValueError("after has to be aware")
        else:
            check_offset("after", after)
        return job.local(job.trigger_after(after))

    def invoke_schedule(self, name: str) -> bool:
        """Run a schedule's function now; it does not count against the limit (Pode: ``Invoke-PodeSchedule``).

        Returns:
            False where it did not run, because its last run is not over.

        Raises:
            UnknownSchedule: there is no schedule of this name.
            NotInReactorThread: called from another thread.
        """
        self._schedule_check_thread("invoke_schedule")
        return self._schedule_runs.invoke(self._schedule(name))

    def start_schedules(self) -> None:
        """Start schedules and timers; the service does it. The first trigger is in the next minute. Twice is once."""
        self._schedule_check_thread("start_schedules")
        if self._schedule_loop is not None:
            return
        clock, now = self._schedule_clock(), self._schedule_now()
        self._schedule_loop = LoopingCall(self._schedule_tick)
        self._schedule_loop.clock = clock
        failed = partial(self._schedule_log.failure, "schedules stopped")
        self._schedule_loop.start(1.0, now=False).addErrback(failed)
        jobs = tuple(self._schedule_jobs.values())
        for job in jobs:
            job.plan(now)
        self._timer_start_all()
        for job in jobs:
            self._schedule_on_start(job)

    def stop_schedules(self) -> Deferred[None]:
        """Stop schedules and timers; the service does it. They can be started again.

        Returns:
            Fires with None when the functions that still run have ended. Cancelling it cancels them, and fires it.
        """
        self._schedule_check_thread("stop_schedules")
        if self._schedule_loop is not None:
            self._schedule_loop.stop()
            self._schedule_loop = None
            self._timer_stop_all()
        return self._schedule_runs.when_over()

    def _schedule(self, name: str) -> Schedule:
        try:
            return self._schedule_jobs[name]
        except KeyError:
            raise UnknownSchedule(name) from None

    def _schedule_now(self) -> datetime:
        return datetime.fromtimestamp(wall_seconds(self._schedule_clock()), UTC)

    def _schedule_say_if_never(self, job: Schedule) -> None:
        if job.never_fires:
            text = ", ".join(expression.text for expression in job.crons)
            self._schedule_log.warn("{where} never fires: {cron}", where=job.where, cron=text)

    def _schedule_on_start(self, job: Schedule) -> None:
        now = self._schedule_now()
        if job.on_start and self._schedule_is_live(job) and not job.is_over(now):
            job.last = now
            self._schedule_trigger(job)

    def _schedule_is_live(self, job: Schedule) -> bool:
        # A function that ran in this very turn may have removed it, or stopped them all.
        return self._schedule_loop is not None and self._schedule_jobs.get(job.name) is job

    def _schedule_tick(self) -> None:
        now = self._schedule_now()
        minute = _minute(now)
        if minute == self._schedule_minute:
            return
        self._schedule_minute = minute
        this_minute = datetime.fromtimestamp(minute * _MINUTE_SECONDS, UTC)
        for job in tuple(self._schedule_jobs.values()):
            if self._schedule_is_live(job):
                self._schedule_due(job, this_minute)

    def _schedule_due(self, job: Schedule, minute: datetime) -> None:
        passed = job.pass_over(minute)
        if passed:
            self._schedule_runs.skip(job, passed)
            self._schedule_reports.write(
                f"{job.where} passed over",
                "{where}: {passed} triggers were passed over",
                where=job.where,
                passed=passed,
            )
        if job.take(minute, self._schedule_random):
            self._schedule_trigger(job)

    def _schedule_trigger(self, job: Schedule) -> None:
        self._schedule_runs.trigger(job)
        if job.is_used_up:
            job.next = None


def _minute(now: datetime) -> int:
    return int(now.timestamp() // _MINUTE_SECONDS)
