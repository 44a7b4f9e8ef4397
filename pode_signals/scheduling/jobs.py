"""Jobs: what schedules and timers have in common; one run of each at a time. It never decides when a job is due."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import Attribute, define, field
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from ..errors import ScheduleAlreadyExists, UnknownSchedule
from ..hub.fence import Failed, Fence, Place
from ..hub.runtime import Runtime

__all__ = ["Job", "Jobs", "Runs", "check_count"]


def check_count(_job: Any, attribute: Attribute[Any], value: object) -> None:
    """Raise a ValueError unless the value is a whole number of 0 or more."""
    # For Python True is the number 1, but a user who writes True does not mean a number.
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{attribute.name} has to be a whole number of 0 or more, not {value!r}")


def _check_name(_job: Any, _attribute: Attribute[Any], name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a name is text that is not empty, not {name!r}")


def _check_function(_job: Any, _attribute: Attribute[Any], function: object) -> None:
    if not callable(function):
        raise TypeError(f"{function!r} is no function")


def _named(arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(arguments or {})


@define(kw_only=True, eq=False)
class Job:
    """A function that is to run again and again.

    Attributes:
        kind: ``schedule`` or ``timer``, for the log.
        name: the job's name.
        function: called with ``args`` and ``kwargs``, and with nothing else.
        limit: how many triggers run the function until the job is completed; 0 is no limit.
        count: how many triggers have run the function.
        skipped: how many triggers were due and have not run the function.
        failed: how many runs have raised.
    """

    kind: str
    name: str = field(validator=_check_name)
    function: Callable[..., Any] = field(validator=_check_function)
    args: tuple[Any, ...] = field(converter=tuple)
    kwargs: dict[str, Any] = field(converter=_named)
    limit: int = field(default=0, validator=check_count)
    count: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def where(self) -> str:
        """The job's name in the log."""
        return f"{self.kind} {self.name}"

    @property
    def is_used_up(self) -> bool:
        """Whether the job has run as often as its limit allows."""
        return 0 < self.limit <= self.count

    def edit(
        self,
        function: Callable[..., Any] | None,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
    ) -> None:
        """Replace the values that are not None. A run that is under way keeps the arguments that it was called with."""
        if function is not None:
            self.function = function
        if args is not None:
            self.args = tuple(args)
        if kwargs is not None:
            self.kwargs = dict(kwargs)


J = TypeVar("J", bound=Job)


class Jobs(Generic[J]):
    """The jobs of one kind, by their names, in the order in which they were added."""

    def __init__(self) -> None:
        self._by_name: dict[str, J] = {}

    def __iter__(self) -> Iterator[J]:
        """All jobs, as they are now: a function that runs meanwhile may add and remove jobs."""
        return iter(tuple(self._by_name.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def check_free(self, name: str) -> None:
        """Raise ScheduleAlreadyExists where a job has the name."""
        if name in self._by_name:
            raise ScheduleAlreadyExists(name)

    def add(self, job: J) -> None:
        """Add a job, whose name must be free."""
        self._by_name[job.name] = job

    def get(self, name: str) -> J:
        """The job of a name.

        Raises:
            UnknownSchedule: there is none.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownSchedule(name) from None

    def has(self, job: J) -> bool:
        """Whether this very job is there. A job of the same name that was added later is another one."""
        return self._by_name.get(job.name) is job

    def remove(self, name: str) -> J:
        """Forget the job of a name.

        Raises:
            UnknownSchedule: there is none.
        """
        job = self.get(name)
        del self._by_name[name]
        return job

    def clear(self) -> None:
        """Forget all."""
        self._by_name.clear()


@define
class _Run:
    # None until the function is known to go on.
    pending: Deferred[Any] | None = None
    # One line is enough for a long run, however many triggers it skips.
    skip_logged: bool = False


class Runs:
    """Runs jobs inside the fence, and knows which runs are under way.

    Args:
        runtime: the surroundings; each run has a fresh context.
        fence: runs the functions. The functions of jobs have no time limit.
    """

    def __init__(self, runtime: Runtime, fence: Fence) -> None:
        self._fence = fence
        self._reports = runtime.reports
        self._counters = runtime.counters
        self._context = runtime.fresh_context
        self._under_way: dict[Job, _Run] = {}
        self._waiting: list[Deferred[None]] = []

    def is_running(self, job: Job) -> bool:
        """Whether a run of this job is not over."""
        return job in self._under_way

    def trigger(self, job: Job) -> None:
        """A trigger is due: run the job and count the trigger, or skip the trigger where the last run is not over."""
        if self.invoke(job, counts=True):
            return
        self.skip(job, 1)
        run = self._under_way[job]
        if not run.skip_logged:
            run.skip_logged = True
            self._reports.write(
                f"{job.where} skipped",
                "{where}: a trigger was skipped, the last run is not over",
                event="job.skipped",
                where=job.where,
            )

    def skip(self, job: Job, triggers: int) -> None:
        """Count triggers that did not run the job."""
        job.skipped += triggers
        self._counters.schedule_triggers_skipped += triggers

    def invoke(self, job: Job, *, counts: bool = False) -> bool:
        """Run the job now; False where its last run is not over."""
        if job in self._under_way:
            return False
        # Both before the call: the function sees its own run counted, and a trigger within the call is skipped.
        job.count += counts
        run = self._under_way[job] = _Run()

        def goes_on(pending: Deferred[Any]) -> None:
            run.pending = pending

        ended = self._fence.run(
            Place(job.where, kind="job"),
            job.function,
            job.args,
            kwargs=job.kwargs,
            context=self._context(),
            later=lambda outcome: self._ended(job, outcome),
            timeout_seconds=math.inf,
            on_pending=goes_on,
        )
        if ended is not None:
            self._ended(job, ended[0])
        return True

    def when_over(self) -> Deferred[None]:
        """Wait for the runs that are under way.

        Returns:
            Fires with None when no run is left. Cancelling this Deferred cancels the functions that still run, and
            fires the Deferred with None.
        """
        if not self._under_way:
            return succeed(None)
        over: Deferred[None] = Deferred(self._give_up)
        self._waiting.append(over)
        return over

    def _give_up(self, over: Deferred[None]) -> None:
        # First, so that the end of the last run does not fire this Deferred as well.
        self._waiting.remove(over)
        for job, run in tuple(self._under_way.items()):
            if run.pending is not None:
                maybeDeferred(run.pending.cancel).addErrback(partial(self._cancelling_failed, job))
        # A Deferred that is fired by its canceller does not raise CancelledError.
        over.callback(None)

    def _cancelling_failed(self, job: Job, failure: Failure) -> None:
        self._reports.failure(
            f"{job.where} raised", "{where}: cancelling it raised", failure, event="job.failed", where=job.where
        )

    def _ended(self, job: Job, outcome: Any) -> None:
        job.failed += isinstance(outcome, Failed)
        del self._under_way[job]
        if not self._under_way:
            waiting, self._waiting = self._waiting, []
            for over in waiting:
                over.callback(None)
