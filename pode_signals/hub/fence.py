"""The fence around functions of the user: plain, ``async def`` or giving a Deferred, each run the same way.

Whatever such a function raises is logged and counted here and goes no further.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from time import perf_counter
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from ..awaiting import pending_of
from ..core.signing import bare_client_id
from ..errors import ReplyRefused
from .context import current_event
from .runtime import Runtime
from .signal_event import SignalEvent
from .stalls import STALL_SECONDS

__all__ = ["FAILED", "RAISED", "SAMPLE", "TIMED_OUT", "Call", "Failed", "Fence", "Measure", "Place"]


@frozen
class Place:
    """The name of what runs, for the log.

    Attributes:
        what: the name of the registration, such as ``signal route /msg``. Log lines are limited by this name, so it
            must have nothing that a client can choose.
        client_id: the client for which the function runs; None where the function runs for no client.
        kind: the kind of function, for those who measure: ``route``, ``connect``, ``disconnect``, ``job`` or ``check``.
    """

    what: str
    client_id: str | None = None
    kind: str = "route"

    def __str__(self) -> str:
        return self.what if self.client_id is None else f"{self.what}, connection {bare_client_id(self.client_id)}"


class Failed:
    """The type of the outcomes of functions that gave no result: :data:`FAILED` and :data:`TIMED_OUT`."""


# The text of the RuntimeError that asyncio.get_running_loop raises where no loop of asyncio runs.
_NO_LOOP = "no running event loop"

RAISED = (Exception, asyncio.CancelledError, SystemExit, GeneratorExit)
"""The exceptions of a function of the user that go no further: all but KeyboardInterrupt.

A reactor keeps SystemExit to itself, and a cancelled future of asyncio raises a BaseException as well. If these got
through, what was begun for the function, its run or its connection, would never end.
"""

SAMPLE = 8
"""One in so many functions of the user is measured; a power of two."""
# These bits of the number of a call are 0 for those that are measured.
_NOT_MEASURED = SAMPLE - 1
Call = Callable[[SignalEvent, Context, Callable[[SignalEvent], Any]], Any]
Measure = Callable[[str, float], None]

FAILED = Failed()
"""The outcome of a function that raised."""
TIMED_OUT = Failed()
"""The outcome of a function that was cancelled at its time limit."""


class Fence:
    """Runs functions of the user.

    Args:
        runtime: the surroundings. After ``handler_timeout_seconds`` a function that has not ended is cancelled, once.

    Attributes:
        call: the first half of :meth:`run`, for a signal route, whose event is current in its context and in no other.
            It takes the event, the context and the function; it gives what the function gives, which may have to be
            followed, a :class:`~pode_signals.errors.ReplyRefused` that the function raised, or :data:`FAILED`. How long
            the function keeps the turn, whoever has read the message measures.
        measure: is told of one function in :data:`SAMPLE`, when it has ended: its kind, and how many seconds it took;
            None measures nothing. Which function is measured is decided when it is called, so that functions that wait
            have their share of the sample.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._turns = runtime.turns
        self._stalls = runtime.stalls
        self.call: Call = self._call
        self.measure: Measure | None = None
        # How many functions were called while some are measured.
        self._called = 0
        self._counters = runtime.counters
        self._reports = runtime.reports
        self._timeout_seconds = runtime.settings.handler_timeout_seconds

    def run(
        self,
        where: Place | SignalEvent,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        later: Callable[[Any], None],
        context: Context | None = None,
        kwargs: dict[str, Any] | None = None,
        timeout_seconds: float | None = None,
        on_pending: Callable[[Deferred[Any]], None] | None = None,
    ) -> tuple[Any] | None:
        """Call a function in a context of its own.

        Args:
            where: what runs, for the log.
            function: the function, with its ``args`` and ``kwargs``.
            later: called with the outcome when the function did not end at once.
            context: the context to run in; None is a copy of the current one.
            timeout_seconds: None is the hub's ``handler_timeout_seconds``, ``math.inf`` is no limit.
            on_pending: called with the Deferred of a function that goes on, for a caller who may have to cancel it.

        Returns:
            ``(outcome,)`` when the function ended at once, where the outcome is its result, :data:`FAILED` or
            :data:`TIMED_OUT`; None when it goes on: ``later`` will be called, exactly once.
        """
        if context is None:
            context = copy_context()
        ended = None if self.measure is None else self._sampled(self.measure, _place(where).kind)
        if ended is not None:
            later = _after(ended, later)
        outcome = self._run(
            where, context, partial(function, *args, **kwargs or {}), later, timeout_seconds, on_pending
        )
        if ended is not None and outcome is not None:
            ended()
        return outcome

    def _run(
        self,
        where: Place | SignalEvent,
        context: Context,
        function: Callable[[], Any],
        later: Callable[[Any], None],
        timeout_seconds: float | None,
        on_pending: Callable[[Deferred[Any]], None] | None,
    ) -> tuple[Any] | None:
        began = self._turns.seconds()
        try:
            result = context.run(function)
        except RAISED:
            self._failed(where, Failure())
            result = FAILED
        outcome = self.follow(where, context, result, later, timeout_seconds=timeout_seconds, on_pending=on_pending)
        # The body of a coroutine has begun within follow.
        if self._turns.seconds() - began >= STALL_SECONDS:
            self._stalls.blame(_place(where).what, began)
        return outcome

    def measured_by(self, measure: Measure) -> None:
        """Have functions measured, from now on and for good."""
        self.measure = measure
        self.call = self._call_measured

    def _sampled(self, measure: Measure, kind: str) -> Callable[[], None] | None:
        self._called += 1
        if self._called & _NOT_MEASURED:
            return None
        began = perf_counter()
        return lambda: measure(kind, perf_counter() - began)

    def _call_measured(self, event: SignalEvent, context: Context, function: Callable[[SignalEvent], Any]) -> Any:
        # As _call, which is not called here: that would cost more than the sample does.
        self._called = called = self._called + 1
        if not called & _NOT_MEASURED:
            return self._timed(event, context, function)
        try:
            return context.run(_enter, event, function)
        except ReplyRefused as refused:
            return refused
        except RAISED:
            self._failed(event, Failure())
            return FAILED

    def _timed(self, event: SignalEvent, context: Context, function: Callable[[SignalEvent], Any]) -> Any:
        measure = self.measure
        assert measure is not None
        began = perf_counter()
        result = self._call(event, context, function)
        pending = None if result is None else pending_of(context, result)
        if pending is None:
            measure("route", perf_counter() - began)
            return result

        def over(value: Any) -> Any:
            measure("route", perf_counter() - began)
            return value

        return pending.addBoth(over)

    def _call(self, event: SignalEvent, context: Context, function: Callable[[SignalEvent], Any]) -> Any:
        try:
            return context.run(_enter, event, function)
        except ReplyRefused as refused:
            return refused
        except RAISED:
            self._failed(event, Failure())
            return FAILED

    def follow(
        self,
        where: Place | SignalEvent,
        context: Context,
        result: Any,
        later: Callable[[Any], None],
        *,
        timeout_seconds: float | None = None,
        on_pending: Callable[[Deferred[Any]], None] | None = None,
    ) -> tuple[Any] | None:
        """The second half of :meth:`run`: wait for a result that is a Deferred, a coroutine or another awaitable."""
        pending = pending_of(context, result)
        if pending is None:
            return (result,)
        ended = self._wait(where, pending, later, timeout_seconds or self._timeout_seconds)
        if ended is None and on_pending is not None:
            on_pending(pending)
        return ended

    def _wait(
        self, where: Place | SignalEvent, pending: Deferred[Any], later: Callable[[Any], None], timeout_seconds: float
    ) -> tuple[Any] | None:
        # Empty until the function has an outcome, and never longer than one.
        outcome: list[Any] = []
        # False while this method has not returned: a Deferred that has fired already calls ``ended`` within addBoth.
        waiting = False
        timed_out = False

        def ended(value: Any) -> None:
            # The time limit came first, and ``later`` has been called. None also ends the chain of the Deferred, so
            # that Twisted logs no failure of a cancelled function as unhandled.
            if outcome:
                return
            outcome.append(self._outcome(where, value, timed_out))
            if waiting:
                if timer is not None and timer.active():
                    timer.cancel()
                later(outcome[0])

        def expire() -> None:
            nonlocal timed_out
            timed_out = True
            # Mostly this calls ``ended`` at once, with a CancelledError.
            self._cancel(where, pending, timeout_seconds)
            # A function may swallow the cancellation and go on. The connection does not wait for it any longer, and its
            # result is ignored.
            if not outcome:
                outcome.append(TIMED_OUT)
                later(TIMED_OUT)

        pending.addBoth(ended)
        if outcome:
            return (outcome[0],)
        waiting = True
        timer = None if timeout_seconds == math.inf else self._runtime.clock.callLater(timeout_seconds, expire)
        return None

    def _outcome(self, where: Place | SignalEvent, value: Any, timed_out: bool) -> Any:
        failed = isinstance(value, Failure)
        # A signal route that refuses has an answer for its client, and has not failed. Elsewhere nobody asked.
        if failed and isinstance(where, SignalEvent) and value.check(ReplyRefused) and not timed_out:
            return value.value
        # The time limit has its own log line and its own counter, so its CancelledError is not counted as a failure.
        if failed and not (timed_out and value.check(CancelledError)):
            self._failed(where, value)
        # A function that returns a result when it is cancelled has returned that result too late.
        if timed_out:
            return TIMED_OUT
        return FAILED if failed else value

    def _cancel(self, where: Place | SignalEvent, pending: Deferred[Any], seconds: float) -> None:
        self._counters.functions_timed_out += 1
        self._reports.limit(
            "handler_timeout_seconds",
            "{where}: cancelled after {seconds} s",
            event="function.timed_out",
            level=LogLevel.error,
            where=str(_place(where)),
            seconds=seconds,
        )
        try:
            pending.cancel()
        except RAISED:
            # The canceller raised.
            self._failed(where, Failure())

    def _failed(self, where: Place | SignalEvent, failure: Failure) -> None:
        self._counters.functions_failed += 1
        place = _place(where)
        event = "job.failed" if place.kind == "job" else "function.raised"
        self._reports.failure(f"{place.what} raised", "{where} raised", failure, event=event, where=str(place))
        if isinstance(failure.value, RuntimeError) and str(failure.value) == _NO_LOOP:
            self._reports.write(
                "asyncio",
                "{where}: asyncio can be used on its own reactor alone (twistd --reactor=asyncio); on any other, await"
                " Deferreds, such as twisted.internet.task.deferLater(reactor, seconds)",
                event="function.needs_asyncio",
                where=str(place),
            )


def _after(ended: Callable[[], None], later: Callable[[Any], None]) -> Callable[[Any], None]:
    def both(outcome: Any) -> None:
        ended()
        later(outcome)

    return both


def _place(where: Place | SignalEvent) -> Place:
    """The name of what runs. For an event it is made only where something went wrong, and not for each message."""
    if isinstance(where, Place):
        return where
    path = "-" if where.route is None else where.route.path
    return Place(f"signal route {path}", where.client_id)


def _enter(event: SignalEvent, function: Callable[[SignalEvent], Any]) -> Any:
    # This runs within the context of the function, so the context takes the event along and ends with it.
    current_event.set(event)
    return function(event)
