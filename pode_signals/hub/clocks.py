"""The clock of a hub, whose timers are right on a real reactor when the wall clock is set. It plans nothing by itself.

Twisted compares its timers with the wall clock. After a step back of an hour, a timer that waits is an hour late, and
an idle reactor sleeps an hour longer.
"""

from __future__ import annotations

import math
import os
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Thread
from typing import Any
from weakref import WeakValueDictionary

from twisted.internet.base import DelayedCall, ReactorBase
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

__all__ = ["TICK_SECONDS", "SteadyClock", "call_in_background", "clock_for", "wall_seconds", "wall_time"]

TICK_SECONDS = 1.0
"""How late a timer may be right after the wall clock was set."""

# A reactor that has not taken this many ticks gets no further ones: it is held up, or has stopped.
_MOST_UNANSWERED = 3
# The offset of the clocks varies by less from one reading to the next. Where it varies by more, the wall clock was set.
_STEP_SECONDS = 0.005
# The shortest timer. With a wall clock that runs a little fast, a shorter one would have the reactor look again and
# again before the time has come.
_LEAST_SECONDS = 0.001
# As in Twisted's reactor.
_MANY_CANCELLED = 50


def clock_for(reactor: Any) -> IReactorTime:
    """The clock to use where a reactor, or any other ``IReactorTime``, was given.

    Returns:
        For a reactor that can run, its one :class:`SteadyClock`. Any other clock, such as a ``task.Clock``, itself.
    """
    if not isinstance(reactor, ReactorBase):
        clock: IReactorTime = reactor
        return clock
    steady = _clocks.get(reactor)
    if steady is None:
        steady = _clocks[reactor] = SteadyClock(reactor)
    return steady


def wall_seconds(clock: IReactorTime) -> float:
    """The time of the wall clock now, in seconds since 1970. An injected clock is its own wall clock."""
    return clock.wall_seconds() if isinstance(clock, SteadyClock) else clock.seconds()


def wall_time(clock: IReactorTime, seconds: float) -> datetime:
    """The wall time at which a clock showed these seconds, by the wall clock as it is set now (aware, UTC)."""
    if isinstance(clock, SteadyClock):
        seconds += clock.wall_offset()
    return datetime.fromtimestamp(seconds, UTC)


def call_in_background(clock: IReactorTime, delay: float, function: Callable[[], object]) -> IDelayedCall:
    """Call a function later, to within a second, without a timer that a test would find in the reactor.

    In an injected clock the call is a timer like others, since tests do not look for timers that are left there.
    """
    if isinstance(clock, SteadyClock):
        return clock.call_in_background(delay, function)
    return clock.callLater(delay, function)


@implementer(IReactorTime)
class SteadyClock:
    """Time and timers on a real reactor, counted from some time in the past by a clock that is never set.

    The reactor has a timer for the earliest call alone, which is right as long as nobody sets the wall clock. In case
    the wall clock was set, a thread wakes the reactor each second. Then calls that are due run, and the timer is
    planned anew. The thread only sleeps and wakes, and is there only while calls wait and the reactor runs.

    Args:
        reactor: the reactor.
        seconds: the clock that is never set.
        wall_seconds: the wall clock.
    """

    def __init__(
        self,
        reactor: Any,
        seconds: Callable[[], float] = time.monotonic,
        wall_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self.seconds = seconds
        self.wall_seconds = wall_seconds
        self._wall_offset = wall_seconds() - seconds()
        self._heap: list[tuple[float, int, DelayedCall]] = []
        self._order = count()
        # Calls without a delay, which most calls are. They need no heap.
        self._next_turn: deque[DelayedCall] = deque()
        self._background: list[DelayedCall] = []
        # How many calls in the heap and of the next turn are not cancelled.
        self._active = 0
        # About how many calls in the heap are cancelled.
        self._cancelled = 0
        # The reactor's timer for the next turn.
        self._turn: IDelayedCall | None = None
        # The reactor's timer for the earliest call of the heap, and the time of that call.
        self._alarm: IDelayedCall | None = None
        self._alarm_seconds = math.inf
        self._ticker: _Ticker | None = None

    def wall_offset(self) -> float:
        """How far the wall clock is ahead. The value changes only when the wall clock was set, not at each reading."""
        offset = self.wall_seconds() - self.seconds()
        if abs(offset - self._wall_offset) > _STEP_SECONDS:
            self._wall_offset = offset
        return self._wall_offset

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> DelayedCall:
        """Call a function after a delay in seconds, or in the next turn where the delay is 0, as a reactor does."""
        if not delay >= 0:
            raise ValueError(f"a delay has to be 0 s or more, not {delay!r}")
        at = self.seconds() + delay
        call = DelayedCall(at, callable, args, kwargs, self._cancelling, self._made_earlier, self.seconds)
        self._active += 1
        if delay == 0:
            self._next_turn.append(call)
            if self._turn is None:
                self._turn = self._reactor.callLater(0, self._turn_comes)
        else:
            heappush(self._heap, (at, next(self._order), call))
            if at < self._alarm_seconds:
                self._set_alarm(at)
        if self._ticker is None:
            self._begin_ticking()
        return call

    def call_in_background(self, delay: float, function: Callable[[], object]) -> DelayedCall:
        """Call a function after a delay, to within a second. The reactor has no timer for the call."""
        call = DelayedCall(
            self.seconds() + delay, function, (), {}, self._background.remove, lambda _: None, self.seconds
        )
        self._background.append(call)
        if self._ticker is None:
            self._begin_ticking()
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """The calls that wait, without those in the background."""
        waiting = [*self._next_turn, *(call for _, _, call in self._heap)]
        return [call for call in dict.fromkeys(waiting) if call.active()]

    def tick(self) -> None:
        """A second has passed, whatever the wall clock says: run calls that are due, and plan the timers anew."""
        if self._ticker is not None:
            self._ticker.unanswered = 0
        self._drop_timers()
        try:
            self._run_due()
        finally:
            if not self._active and not self._background and self._ticker is not None:
                self._ticker.is_over = True
                self._ticker = None

    def _begin_ticking(self) -> None:
        self._ticker = _Ticker(self._reactor, self.tick)
        # A thread would not survive the forks of a daemon, which come before the reactor runs.
        self._reactor.callWhenRunning(self._start, self._ticker)

    def _start(self, ticker: _Ticker) -> None:
        try:
            ticker.start()
        # The system has no more threads. The next call of callLater tries again.
        except RuntimeError:
            self._ticker = None

    def _turn_comes(self) -> None:
        self._turn = None
        self._run_due()

    def _alarm_comes(self) -> None:
        self._alarm, self._alarm_seconds = None, math.inf
        self._run_due()

    def _run_due(self) -> None:
        """Run calls that are due. An exception goes to the reactor, which logs it; the other calls run next turn."""
        now = self.seconds()
        try:
            while self._heap and self._heap[0][0] <= now:
                at, _, call = heappop(self._heap)
                if not call.active():
                    self._cancelled -= 1
                elif call.getTime() > now:
                    self._postpone(call, at)
                # A call that was moved to an earlier time has another entry in the heap, by which it runs.
                elif call.time == at:
                    self._run(call)
            # Read again: the calls that have run took their time, and may have made calls of the next turn.
            now = self.seconds()
            self._run_next_turn(now)
            if self._background:
                self._run_background(now)
        finally:
            self._plan()

    def _run_next_turn(self, now: float) -> None:
        """Run the calls that wait for the next turn now. Where one of them raises, the others stay in the line."""
        waiting = self._next_turn
        for _ in range(len(waiting)):
            # A call that ran before has cancelled all others, which empties the line.
            if not waiting:
                return
            call = waiting.popleft()
            if call.cancelled or call.called:
                continue
            if call.getTime() <= now:
                self._run(call)
            # Without a delayed_time the time was changed twice, and the call has an entry in the heap already.
            elif call.delayed_time:
                self._postpone(call, call.time)

    def _run_background(self, now: float) -> None:
        for call in [each for each in self._background if each.getTime() <= now]:
            # A call that ran before may have cancelled this one.
            if call.active():
                self._background.remove(call)
                call.called = 1
                call.func()

    def _run(self, call: DelayedCall) -> None:
        self._active -= 1
        call.called = 1
        call.func(*call.args, **call.kw)

    def _postpone(self, call: DelayedCall, at: float) -> None:
        """A call that was due at a time has been put off: give it a new entry in the heap."""
        if call.time == at:
            call.activate_delay()
            heappush(self._heap, (call.time, next(self._order), call))

    def _plan(self) -> None:
        """Have the reactor wake us in the next turn, for the earliest call, or not at all."""
        if self._next_turn and self._turn is None:
            self._turn = self._reactor.callLater(0, self._turn_comes)
        heap = self._heap
        while heap:
            at, _, call = heap[0]
            if call.cancelled or call.called:
                heappop(heap)
                self._cancelled -= 1
                continue
            if at < self._alarm_seconds:
                self._set_alarm(at)
            return

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_seconds = at
        self._alarm = self._reactor.callLater(max(_LEAST_SECONDS, at - self.seconds()), self._alarm_comes)

    def _drop_timers(self) -> None:
        for timer in (self._turn, self._alarm):
            if timer is not None:
                timer.cancel()
        self._turn = self._alarm = None
        self._alarm_seconds = math.inf

    def _cancelling(self, _call: DelayedCall) -> None:
        self._active -= 1
        self._cancelled += 1
        # No call waits any more, so no timer of this clock may be left in the reactor.
        if not self._active:
            self._drop_timers()
            self._heap.clear()
            self._next_turn.clear()
            self._cancelled = 0
        elif self._cancelled > max(_MANY_CANCELLED, len(self._heap) / 2):
            # The call that is about to be cancelled is still active, so it stays in the heap until its time comes.
            self._heap = [each for each in self._heap if each[2].active() and each[0] == each[2].time]
            heapify(self._heap)
            self._cancelled = 0

    def _made_earlier(self, call: DelayedCall) -> None:
        heappush(self._heap, (call.time, next(self._order), call))
        if call.time < self._alarm_seconds:
            self._set_alarm(call.time)


class _Ticker(Thread):
    """Wakes a reactor each second. This thread only sleeps; all else runs in the reactor's own thread.

    Args:
        reactor: the reactor.
        tick: called in the reactor's thread.

    Attributes:
        unanswered: the ticks that the reactor has not taken yet.
        is_over: set to True to end the thread.
    """

    def __init__(self, reactor: Any, tick: Callable[[], None]) -> None:
        super().__init__(name="pode_signals clock", daemon=True)
        self._reactor = reactor
        self._tick = tick
        self.unanswered = 0
        self.is_over = False

    def run(self) -> None:
        """Sleep and wake the reactor, until the thread is over."""
        # callFromThread raises these where the reactor is closed for good.
        with suppress(RuntimeError, OSError):
            while not self.is_over:
                _sleep(TICK_SECONDS)
                if self.unanswered < _MOST_UNANSWERED:
                    self.unanswered += 1
                    self._reactor.callFromThread(self._tick)


def _sleep(seconds: float) -> None:
    """Wait for a length of time.

    time.sleep waits until a point in time instead, and tools that fake the clock (libfaketime) move that point.
    """
    if os.name == "posix":
        select.select([], [], [], seconds)
    else:
        time.sleep(seconds)


_clocks: WeakValueDictionary[Any, SteadyClock] = WeakValueDictionary()
