"""What every part of a hub is given first: settings, counters, clock, contexts, reports. It does no work itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context
from datetime import datetime
from functools import cached_property
from random import Random, SystemRandom
from threading import get_ident
from typing import cast

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python import threadable
from zope.interface import implementer

from ..core.contracts import ClockLike
from ..core.counters import Counters
from ..core.settings import Settings
from ..errors import NotInReactorThread
from .clocks import clock_for, wall_time
from .reports import Reports
from .stalls import Stalls
from .turns import Turns

__all__ = ["Runtime"]


@implementer(IReactorTime)
class _LateClock:
    """The clock of a runtime, which is not asked for before it is used: to ask for a reactor would install one."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def seconds(self) -> float:
        return self._runtime.clock.seconds()

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object) -> IDelayedCall:
        return self._runtime.clock.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return self._runtime.clock.getDelayedCalls()


class Runtime:
    """The surroundings that all parts of one hub share.

    Args:
        settings: limits and defaults.
        clock: what time is taken from; None is the reactor that runs when it is first needed. Of a reactor the hub
            uses a clock that holds when the machine's clock is set.
        random: where client ids, payloads of pings and random schedule times come from; None is the system's source.
        fresh_context: gives the context of each function of the user: no current event, no current route.

    Attributes:
        settings: limits and defaults.
        counters: what happened so far.
        random: as above.
        reports: log lines that clients can cause.
        turns: how much of a turn of the reactor a client gets.
        stalls: tells of turns that took too long.
        fresh_context: as above.
        late_clock: the clock, for parts that need one before anything may ask for a reactor.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: ClockLike | None = None,
        random: Random | None = None,
        fresh_context: Callable[[], Context] = Context,
    ) -> None:
        self.settings = settings
        self.counters = Counters()
        self.random = random or SystemRandom()
        if clock is not None:
            self.clock = clock_for(cast(IReactorTime, clock))
        # Before the reactor runs, its thread is taken to be the one that makes the hub.
        self._thread = get_ident()
        self.fresh_context = fresh_context
        self.reports = Reports(lambda: self.clock, self.counters)
        self.turns = Turns(lambda: self.clock)
        self.stalls = Stalls(self.turns, self.reports)
        self.late_clock: IReactorTime = _LateClock(self)

    @cached_property
    def clock(self) -> IReactorTime:
        """The source of the time, which is the given clock, or on a real reactor a clock that nobody sets."""
        from twisted.internet import reactor

        return clock_for(reactor)

    def wall_time(self, seconds: float | None = None) -> datetime:
        """When the hub's clock showed so many seconds, as the wall clock is set now (aware, UTC); None is now."""
        return wall_time(self.clock, self.clock.seconds() if seconds is None else seconds)

    def check_thread(self, call: str) -> None:
        """Raise NotInReactorThread unless this is the reactor's thread; before the reactor runs, the hub's maker's.

        Args:
            call: the name of the method that was called, for the error.
        """
        wanted = threadable.ioThread
        if get_ident() != (self._thread if wanted is None else wanted):
            raise NotInReactorThread(call)
