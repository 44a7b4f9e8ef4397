"""Schedules: functions that run at the times of cron expressions, on the hub's clock. It reads no cron itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any, TypedDict

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..hub.clocks import wall_seconds
from ..hub.node import Node
from ..hub.runtime import Runtime
from .jobs import Jobs, Runs
from .planning import Schedule, ScheduleState, expressions
from .shared_triggers import SharedTriggers
from .zones import check_offset, zone_of

__all__ = ["ScheduleOptions", "ScheduleState", "Schedules"]

_MINUTE_SECONDS = 60


class ScheduleOptions(TypedDict, total=False):
    """The arguments that :meth:`Signals.schedule` passes on to :meth:`Signals.add_schedule`, for type checkers."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any] | None
    start: datetime | None
    end: datetime | None
    limit: int
    on_start: bool
    timezone: tzinfo | str | None
    once_per_cluster: bool


class Schedules:
    """The schedules of one hub. The methods for users are described at :class:`~pode_signals.Signals`.

    Args:
        runtime: the surroundings. The runtime's clock is not asked for before schedules start, unless a caller asks for
            a next trigger. ``R`` in cron expressions is drawn with the runtime's random source.
        runs: runs the functions.
        node: asks which node is to run a trigger.
    """

    _log = Logger()

    def __init__(self, runtime: Runtime, runs: Runs, node: Node) -> None:
        self._runtime = runtime
        self._runs = runs
        self._shared = SharedTriggers(runtime, runs, node, self._is_live, self._completed)
        self._jobs: Jobs[Schedule] = Jobs()
        # None while schedules are not started.
        self._loop: LoopingCall | None = None
        # The last minute that was looked at, counted from 1970.
        self._minute = 0

    def add(
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
        once_per_cluster: bool = False,
    ) -> None:
        """``signals.add_schedule``."""
        self._jobs.check_free(name)
        job = Schedule(
            kind="schedule",
            name=name,
            crons=expressions(cron, self._runtime.random),
            function=function,
            args=args,
            kwargs=kwargs,
            start=start,
            end=end,
            limit=limit,
            on_start=on_start,
            zone=zone_of(timezone),
            once_per_cluster=once_per_cluster,
        )
        job.check_once(job.crons)
        self._jobs.add(job)
        self._say_if_never(job)
        if self._loop is not None:
            job.plan(self._now())
            self._run_on_start(job)

    def remove(self, name: str) -> None:
        """``signals.remove_schedule``."""
        self._jobs.remove(name)

    def clear(self) -> None:
        """``signals.clear_schedules``."""
        self._jobs.clear()

    def edit(
        self,
        name: str,
        *,
        cron: str | Iterable[str] | None = None,
        function: Callable[..., Any] | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """``signals.edit_schedule``."""
        job = self._jobs.get(name)
        crons = job.crons if cron is None else expressions(cron, self._runtime.random)
        job.check_once(crons)
        job.edit(function, args, kwargs)
        if cron is not None:
            job.crons = crons
            self._say_if_never(job)
            if self._loop is not None:
                job.plan(self._now())

    def has(self, name: str) -> bool:
        """``signals.has_schedule``."""
        return name in self._jobs

    def states(self) -> tuple[ScheduleState, ...]:
        """``signals.schedules``."""
        # Before the start nothing is planned, and users ask what will come.
        if self._loop is None:
            for job in self._jobs:
                job.plan(self._now())
        return tuple(job.state(running=self._runs.is_running(job)) for job in self._jobs)

    def next_trigger(self, name: str, after: datetime | None = None) -> datetime | None:
        """``signals.next_trigger``."""
        job = self._jobs.get(name)
        if after is None:
            after = self._now()
        elif after.utcoffset() is None:
            raise ValueError("after has to be aware")
        else:
            check_offset("after", after)
        return job.local(job.trigger_after(after))

    def invoke(self, name: str) -> bool:
        """``signals.invoke_schedule``."""
        return self._runs.invoke(self._jobs.get(name))

    def start(self) -> bool:
        """Plan all schedules; the first trigger can come in the next minute.

        Returns:
            False where schedules had been started before.
        """
        if self._loop is not None:
            return False
        now = self._now()
        # A look each second, rather than a timer for each trigger: the wall clock may be set at any time, and a timer
        # would not notice.
        self._loop = LoopingCall(self._tick)
        self._loop.clock = self._runtime.clock
        failed = partial(self._log.failure, "schedules stopped", event="defect")
        self._loop.start(1.0, now=False).addErrback(failed)
        for job in self._jobs:
            job.plan(now)
        return True

    def run_those_on_start(self) -> None:
        """Run the schedules that are to run once when schedules start."""
        for job in self._jobs:
            self._run_on_start(job)

    def stop(self) -> None:
        """Stop triggering until the next start. Runs that are under way go on."""
        if self._loop is not None:
            self._loop.stop()
            self._loop = None
            self._shared.stop()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(wall_seconds(self._runtime.clock), UTC)

    def _say_if_never(self, job: Schedule) -> None:
        if job.never_fires:
            text = ", ".join(expression.text for expression in job.crons)
            self._log.warn("{where} never fires: {cron}", event="job.never_fires", where=job.where, cron=text)

    def _run_on_start(self, job: Schedule) -> None:
        now = self._now()
        # A limit counts this run, too.
        if job.on_start and self._is_live(job) and not job.is_over(now):
            job.last = now
            self._trigger(job)

    def _is_live(self, job: Schedule) -> bool:
        # A function that ran in this very turn may have removed the schedule, or stopped all schedules.
        return self._loop is not None and self._jobs.has(job)

    def _tick(self) -> None:
        now = self._now()
        minute = _minute(now)
        if minute == self._minute:
            return
        self._minute = minute
        this_minute = datetime.fromtimestamp(minute * _MINUTE_SECONDS, UTC)
        for job in self._jobs:
            if self._is_live(job):
                self._due(job, this_minute)

    def _due(self, job: Schedule, minute: datetime) -> None:
        # The machine slept, its clock was put forward, or the reactor was held up for more than a minute.
        passed = job.pass_over(minute)
        if passed:
            self._runs.skip(job, passed)
            self._runtime.reports.write(
                f"{job.where} passed over",
                "{where}: {passed} triggers were passed over",
                event="job.passed_over",
                where=job.where,
                passed=passed,
            )
        if job.take(minute, self._runtime.random):
            if job.once_per_cluster:
                self._shared.trigger(job, minute)
            else:
                self._trigger(job)

    def _trigger(self, job: Schedule) -> None:
        self._runs.trigger(job)
        self._completed(job)

    def _completed(self, job: Schedule) -> None:
        if job.is_used_up:
            job.next = None


def _minute(now: datetime) -> int:
    return int(now.timestamp() // _MINUTE_SECONDS)
