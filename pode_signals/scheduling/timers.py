"""Timers: functions that run every so many seconds. A part of the hub; it knows no cron."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..errors import ScheduleAlreadyExists, UnknownSchedule
from ..hub.clocks import wall_seconds, wall_time
from .jobs import Job, Runs, check_count

__all__ = ["TimerState", "Timers"]

F = TypeVar("F", bound=Callable[..., Any])


@frozen
class TimerState:
    """What a timer is doing.

    Attributes:
        name: its name.
        interval: seconds from one trigger to the next.
        last: when it was triggered last (aware, UTC), None if never.
        next: when it will be (aware, UTC); None while timers are not started, and for a completed one.
        count: the triggers that ran it; ``invoke_timer`` is none.
        skipped: the triggers that did not, because its last run was not over or the clock passed over them.
        running: whether a run is under way.
        completed: whether it reached its limit.
    """

    name: str
    interval: float
    last: datetime | None
    next: datetime | None
    count: int
    skipped: int
    running: bool
    completed: bool


@define(kw_only=True, eq=False)
class _Timer(Job):
    interval: float
    skip: int = field(default=0, validator=check_count)
    on_start: bool = False
    skips_left: int = 0
    loop: LoopingCall | None = None
    begun_seconds: float = 0.0
    last: datetime | None = None


class Timers:
    """The timers of one hub; a part of :class:`~pode_signals.Signals`. Everything here is for the reactor's thread.

    Args:
        clock: gives the clock; it is not asked for before timers start.
        runs: runs the functions.
        check_thread: raises where the caller is in the wrong thread.
    """

    _timer_log = Logger()

    def __init__(self, clock: Callable[[], IReactorTime], runs: Runs, check_thread: Callable[[str], None]) -> None:
        self._timer_clock = clock
        self._timer_runs = runs
        self._timer_check_thread = check_thread
        self._timer_jobs: dict[str, _Timer] = {}
        self._timer_started = False

    def timer(
        self, name: str, interval: float, *, limit: int = 0, skip: int = 0, on_start: bool = False
    ) -> Callable[[F], F]:
        """Register the decorated function as a timer; see :meth:`add_timer`.

        Returns:
            A decorator that gives the function back as it is.
        """

        def register(function: F) -> F:
            self.add_timer(name, interval, function, limit=limit, skip=skip, on_start=on_start)
            return function

        return register

    def add_timer(
        self,
        name: str,
        interval: float,
        function: Callable[..., Any],
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        limit: int = 0,
        skip: int = 0,
        on_start: bool = False,
    ) -> None:
        """Run a function every so many seconds, from the start of the service on (Pode: ``Add-PodeTimer``).

        One run at a time: a trigger that comes while the last run is not over is skipped and counted. A function that
        raises is logged and goes on at its next trigger. Where the clock jumps forward or the reactor was busy, the
        triggers that were passed over are counted as skipped too.

        Args:
            name: the timer's name.
            interval: seconds between two triggers, above 0; fractions are fine.
            function: plain, ``async def`` or giving a Deferred; it has no time limit.
            args: what the function is called with.
            kwargs: what else it is called with, by name.
            limit: after so many runs the timer is completed; 0 is no limit.
            skip: so many of the first triggers do nothing: with an interval of 10 and ``skip=5`` it first runs after
                60 seconds.
            on_start: whether it also runs once when timers start, at once if they run already; that counts as a run.

        Raises:
            ScheduleAlreadyExists: there is a timer of this name.
            ValueError: an empty name, an interval that is no number above 0, a negative limit or skip.
            NotInReactorThread: called from another thread.
        """
        self._timer_check_thread("add_timer")
        if name in self._timer_jobs:
            raise ScheduleAlreadyExists(name)
        job = _Timer(
            kind="timer",
            name=name,
            interval=_checked_interval(interval),
            function=function,
            args=args,
            kwargs=kwargs,
            limit=limit,
            skip=skip,
            on_start=on_start,
        )
        self._timer_jobs[name] = job
        if self._timer_started:
            self._timer_begin(job)

    def remove_timer(self, name: str) -> None:
        """Forget a timer; a run that is under way goes on to its end (Pode: ``Remove-PodeTimer``).

        Raises:
            UnknownSchedule: there is none of this name.
            NotInReactorThread: called from another thread.
        """
        self._timer_check_thread("remove_timer")
        self._timer_halt(self._timer(name))
        del self._timer_jobs[name]

    def clear_timers(self) -> None:
        """Forget all timers (Pode: ``Clear-PodeTimers``)."""
        self._timer_check_thread("clear_timers")
        for name in tuple(self._timer_jobs):
            self.remove_timer(name)

    def edit_timer(
        self,
        name: str,
        *,
        interval: float | None = None,
        function: Callable[..., Any] | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what is given and keep the rest (Pode: ``Edit-PodeTimer``).

        A new interval counts from now. A run that is under way is not touched.

        Raises:
            UnknownSchedule: there is no timer of this name.
            ValueError: the interval is no number above 0.
            NotInReactorThread: called from another thread.
        """
        self._timer_check_thread("edit_timer")
        job = self._timer(name)
        if interval is not None:
            job.interval = _checked_interval(interval)
        job.edit(function, args, kwargs)
        if interval is not None and job.loop is not None:
            self._timer_halt(job)
            self._timer_loop(job)

    def has_timer(self, name: str) -> bool:
        """Whether there is a timer of this name (Pode: ``Test-PodeTimer``)."""
        return name in self._timer_jobs

    def timers(self) -> tuple[TimerState, ...]:
        """All timers, completed ones too, in the order in which they were added (Pode: ``Get-PodeTimer``)."""
        return tuple(
            TimerState(
                name=job.name,
                interval=job.interval,
                last=job.last,
                next=self._timer_next(job),
                count=job.count,
                skipped=job.skipped,
                running=self._timer_runs.is_running(job),
                completed=job.is_used_up,
            )
            for job in self._timer_jobs.values()
        )

    def invoke_timer(self, name: str) -> bool:
        """Run a timer's function now; it does not count against the limit (Pode: ``Invoke-PodeTimer``).

        Returns:
            False where it did not run, because its last run is not over.

        Raises:
            UnknownSchedule: there is no timer of this name.
            NotInReactorThread: called from another thread.
        """
        self._timer_check_thread("invoke_timer")
        return self._timer_runs.invoke(self._timer(name))

    def _timer(self, name: str) -> _Timer:
        try:
            return self._timer_jobs[name]
        except KeyError:
            raise UnknownSchedule(name) from None

    def _timer_start_all(self) -> None:
        self._timer_started = True
        for job in tuple(self._timer_jobs.values()):
            self._timer_begin(job)

    def _timer_stop_all(self) -> None:
        self._timer_started = False
        for job in self._timer_jobs.values():
            self._timer_halt(job)

    def _timer_begin(self, job: _Timer) -> None:
        if job.is_used_up or not self._timer_started or self._timer_jobs.get(job.name) is not job:
            return  # the function of another timer may have stopped them or removed this one
        job.skips_left = job.skip
        self._timer_loop(job)
        if job.on_start:
            self._timer_trigger(job)

    def _timer_loop(self, job: _Timer) -> None:
        clock = self._timer_clock()
        job.begun_seconds = clock.seconds()
        job.loop = LoopingCall.withCount(partial(self._timer_due, job))
        job.loop.clock = clock
        failed = partial(self._timer_log.failure, "{where} stopped", where=job.where)
        job.loop.start(job.interval, now=False).addErrback(failed)

    def _timer_halt(self, job: _Timer) -> None:
        if job.loop is not None:
            job.loop.stop()
            job.loop = None

    def _timer_due(self, job: _Timer, triggers: int) -> None:
        """So many triggers came since the last call: one, or more where the clock jumped or the reactor was busy."""
        wanted = min(triggers, job.skips_left)
        job.skips_left -= wanted
        if triggers == wanted:
            return
        self._timer_runs.skip(job, triggers - wanted - 1)
        self._timer_trigger(job)

    def _timer_trigger(self, job: _Timer) -> None:
        job.last = datetime.fromtimestamp(wall_seconds(self._timer_clock()), UTC)
        self._timer_runs.trigger(job)
        if job.is_used_up:
            self._timer_halt(job)

    def _timer_next(self, job: _Timer) -> datetime | None:
        if job.loop is None:
            return None
        elapsed = max(0.0, self._timer_clock().seconds() - job.begun_seconds)
        intervals = math.floor(elapsed / job.interval) + 1 + job.skips_left
        return wall_time(self._timer_clock(), job.begun_seconds + intervals * job.interval)


def _checked_interval(interval: float) -> float:
    good = isinstance(interval, (int, float)) and not isinstance(interval, bool)
    if not good or not math.isfinite(interval) or interval <= 0:
        raise ValueError(f"interval has to be a number of seconds above 0, not {interval!r}")
    return interval
