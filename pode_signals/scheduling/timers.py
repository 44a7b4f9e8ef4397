"""Timers: functions that run at a fixed interval of seconds, on the hub's clock. It knows no cron."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from attrs import define, field, frozen
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..hub.clocks import wall_seconds, wall_time
from ..hub.runtime import Runtime
from .jobs import Job, Jobs, Runs, check_count

__all__ = ["TimerState", "Timers"]


# More than thirty years. The next trigger of a timer is a date, and dates end with the year 9999.
_LONGEST_SECONDS = 1_000_000_000


@frozen
class TimerState:
    """The state of a timer.

    Attributes:
        name: the timer's name.
        interval: seconds from one trigger to the next.
        last: the last trigger (aware, UTC); None where there was no trigger yet.
        next: the next trigger (aware, UTC); None while timers are not started, and where the timer is completed.
        count: how many triggers have run the function; a call of ``invoke_timer`` is no trigger.
        skipped: how many triggers have not run the function, because its last run was not over or because the clock
            passed over them.
        failed: how many runs have raised.
        running: whether a run is under way.
        completed: whether the timer has reached its limit.
    """

    name: str
    interval: float
    last: datetime | None
    next: datetime | None
    count: int
    skipped: int
    failed: int
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
    """The timers of one hub. The methods for users are described at :class:`~pode_signals.Signals`.

    Args:
        runtime: the surroundings. The runtime's clock is not asked for before timers start.
        runs: runs the functions.
    """

    _log = Logger()

    def __init__(self, runtime: Runtime, runs: Runs) -> None:
        self._runtime = runtime
        self._runs = runs
        self._jobs: Jobs[_Timer] = Jobs()
        self._started = False

    def add(
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
        """``signals.add_timer``."""
        self._jobs.check_free(name)
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
        self._jobs.add(job)
        if self._started:
            self._begin(job)

    def remove(self, name: str) -> None:
        """``signals.remove_timer``."""
        self._halt(self._jobs.remove(name))

    def clear(self) -> None:
        """``signals.clear_timers``."""
        for job in self._jobs:
            self.remove(job.name)

    def edit(
        self,
        name: str,
        *,
        interval: float | None = None,
        function: Callable[..., Any] | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """``signals.edit_timer``."""
        job = self._jobs.get(name)
        if interval is not None:
            job.interval = _checked_interval(interval)
        job.edit(function, args, kwargs)
        # A new interval begins now; the rest of the old one is not waited for.
        if interval is not None and job.loop is not None:
            self._halt(job)
            self._loop(job)

    def has(self, name: str) -> bool:
        """``signals.has_timer``."""
        return name in self._jobs

    def states(self) -> tuple[TimerState, ...]:
        """``signals.timers``."""
        return tuple(
            TimerState(
                name=job.name,
                interval=job.interval,
                last=job.last,
                next=self._next(job),
                count=job.count,
                skipped=job.skipped,
                failed=job.failed,
                running=self._runs.is_running(job),
                completed=job.is_used_up,
            )
            for job in self._jobs
        )

    def invoke(self, name: str) -> bool:
        """``signals.invoke_timer``."""
        return self._runs.invoke(self._jobs.get(name))

    def start(self) -> None:
        """Start all timers. The first trigger of each comes one interval from now."""
        self._started = True
        for job in self._jobs:
            self._begin(job)

    def stop(self) -> None:
        """Stop triggering until the next start. Runs that are under way go on."""
        self._started = False
        for job in self._jobs:
            self._halt(job)

    def _begin(self, job: _Timer) -> None:
        # The function of a timer that was begun before this one may have stopped all timers, or removed this one.
        if job.is_used_up or not self._started or not self._jobs.has(job):
            return
        job.skips_left = job.skip
        self._loop(job)
        if job.on_start:
            self._trigger(job)

    def _loop(self, job: _Timer) -> None:
        clock = self._runtime.clock
        job.begun_seconds = clock.seconds()
        job.loop = LoopingCall.withCount(partial(self._due, job))
        job.loop.clock = clock
        failed = partial(self._log.failure, "{where} stopped", event="defect", where=job.where)
        job.loop.start(job.interval, now=False).addErrback(failed)

    def _halt(self, job: _Timer) -> None:
        if job.loop is not None:
            job.loop.stop()
            job.loop = None

    def _due(self, job: _Timer, triggers: int) -> None:
        """Some triggers came since the last call.

        Args:
            job: the timer.
            triggers: how many; mostly one, and more where the clock jumped or the reactor was busy.
        """
        # ``skip`` leaves out the first triggers after the start on purpose, so these do not count as skipped.
        wanted = min(triggers, job.skips_left)
        job.skips_left -= wanted
        if triggers == wanted:
            return
        # The last trigger runs the job, and those between were passed over.
        self._runs.skip(job, triggers - wanted - 1)
        self._trigger(job)

    def _trigger(self, job: _Timer) -> None:
        job.last = datetime.fromtimestamp(wall_seconds(self._runtime.clock), UTC)
        self._runs.trigger(job)
        if job.is_used_up:
            self._halt(job)

    def _next(self, job: _Timer) -> datetime | None:
        if job.loop is None:
            return None
        elapsed = max(0.0, self._runtime.clock.seconds() - job.begun_seconds)
        intervals = math.floor(elapsed / job.interval) + 1 + job.skips_left
        return wall_time(self._runtime.clock, job.begun_seconds + intervals * job.interval)


def _checked_interval(interval: float) -> float:
    good = isinstance(interval, (int, float)) and not isinstance(interval, bool)
    if not good or not math.isfinite(interval) or interval <= 0:
        raise ValueError(f"interval has to be a number of seconds above 0, not {interval!r}")
    if interval > _LONGEST_SECONDS:
        raise ValueError(f"interval has to be at most {_LONGEST_SECONDS:,} seconds, not {interval!r}")
    return interval
