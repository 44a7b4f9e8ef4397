"""Triggers that one node of several runs: each node asks at each trigger whether it is the one. It plans nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ..errors import BackplaneUnavailable
from ..hub.clocks import wall_seconds
from ..hub.node import Node
from ..hub.runtime import Runtime
from .jobs import Runs
from .planning import Schedule

__all__ = ["SharedTriggers"]

_KEPT_SECONDS = 3_600.0
"""How long it is known which node runs a trigger, and how long is asked where no other trigger comes."""
_RETRY_SECONDS = 1.0


class SharedTriggers:
    """The triggers of one hub for which the nodes are asked.

    Args:
        runtime: the surroundings.
        runs: runs the functions.
        node: asks the others.
        is_live: whether a schedule may still run.
        completed: is told of a schedule of which another trigger has run.
    """

    def __init__(
        self,
        runtime: Runtime,
        runs: Runs,
        node: Node,
        is_live: Callable[[Schedule], bool],
        completed: Callable[[Schedule], None],
    ) -> None:
        self._runtime = runtime
        self._runs = runs
        self._node = node
        self._is_live = is_live
        self._completed = completed
        self._retries: set[IDelayedCall] = set()

    def trigger(self, job: Schedule, minute: datetime) -> None:
        """A trigger is due on each node: run the job if this is the one.

        Args:
            job: the schedule, which has found its next trigger.
            minute: the trigger.
        """
        seconds = minute.timestamp()
        end_seconds = seconds + _KEPT_SECONDS if job.next is None else job.next.timestamp()
        self._ask(job, f"schedule:{quote(job.name, safe='')}:{int(seconds // 60)}", end_seconds)

    def stop(self) -> None:
        """Ask no more."""
        for call in self._retries:
            call.cancel()
        self._retries.clear()

    def _ask(self, job: Schedule, key: str, end_seconds: float) -> None:
        def chosen(is_the_one: bool) -> None:
            if not self._is_live(job):
                return
            if is_the_one:
                self._runs.trigger(job)
            else:
                # It counts for the limit, wherever it runs.
                job.count += 1
            self._completed(job)

        def unknown(failure: Failure) -> None:
            if failure.check(BackplaneUnavailable) is None:
                self._runtime.reports.failure(
                    f"{job.where} asks",
                    "{where}: which node is to run it can't be asked",
                    failure,
                    event="job.failed",
                    where=job.where,
                )
            if self._is_live(job):
                self._ask_later(job, key, end_seconds)

        self._node.backplane.once(key, _KEPT_SECONDS).addCallbacks(chosen, unknown)

    def _ask_later(self, job: Schedule, key: str, end_seconds: float) -> None:
        if wall_seconds(self._runtime.clock) + _RETRY_SECONDS >= end_seconds:
            self._runs.skip(job, 1)
            self._runtime.reports.write(
                f"{job.where} not chosen",
                "{where}: a trigger was skipped, no node could be chosen to run it",
                event="job.skipped",
                where=job.where,
            )
            return

        def again() -> None:
            self._retries.discard(call)
            self._ask(job, key, end_seconds)

        call = self._runtime.clock.callLater(_RETRY_SECONDS, again)
        self._retries.add(call)
