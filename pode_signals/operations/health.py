"""Whether new clients should be sent here: what is wrong, and since when. It asks nothing outside of the process."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet.task import LoopingCall

from .. import Signals
from ..core.operated import Operated
from .causes import BEAT_SECONDS, Cause, FailingJobs, Fullness, ReactorLag, away, expired, queues

__all__ = ["Health"]

_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")
_BEATS_A_LOOK = int(1 / BEAT_SECONDS)
# What the state of the service says of itself, before anything is looked at.
_STATES = {
    "stopped": "the service does not run",
    "starting": "the service has not started yet",
    "draining": "the service is stopping",
}
_MOST_DETAIL_CHARACTERS = 500
_STATUS = {"backplane_away": "backplane"}


@frozen
class _Check:
    code: str
    look: Callable[[], str | None]
    blocking: bool


class Health:
    """The causes of one service.

    Args:
        ready_needs_backplane: whether no new clients should be sent here while the other nodes are not reached.
    """

    def __init__(self, *, ready_needs_backplane: bool) -> None:
        self._ready_needs_backplane = ready_needs_backplane
        self._operated: Operated | None = None
        self._lag = ReactorLag()
        self._checks: list[_Check] = []
        self._of_the_program: dict[str, _Check] = {}
        self._found: dict[str, Cause] = {}
        self._state_since: tuple[str, datetime] | None = None
        self._beats = 0
        self._beating: LoopingCall | None = None

    def add_cause(self, code: str, function: Callable[[], Any], *, blocking: bool = False) -> None:
        """Have a function of the program looked at once a second.

        Raises:
            ValueError: the code is no word of ``[a-z0-9_]``, or is taken.
            TypeError: the function can't be called.
        """
        if not isinstance(code, str) or _CODE.fullmatch(code) is None:
            raise ValueError(f"the code of a cause is a word of a to z, 0 to 9 and _, not {code!r}")
        if code in self._of_the_program or code in _OWN_CODES:
            raise ValueError(f"there is a cause {code} already")
        if not callable(function):
            raise TypeError(f"the function of the cause {code} can't be called: {function!r}")
        self._of_the_program[code] = _Check(code, partial(self._ask, code, function), blocking)

    def start(self, signals: Signals, operated: Operated) -> None:
        """Look once a second from now on."""
        self._operated = operated
        insight = signals.insight
        self._checks = [
            _Check("full", Fullness(insight), True),
            _Check("backplane_away", partial(away, insight), self._ready_needs_backplane),
            _Check("reactor_lag", self._lag, False),
            _Check("queues_full", partial(queues, insight), False),
            _Check("certificate_expired", lambda: expired(operated.certificates, operated.wall_time()), False),
            _Check("job_failing", FailingJobs(signals), False),
        ]
        self._beating = LoopingCall(self._beat)
        self._beating.clock = operated.clock  # type: ignore[assignment]  # a reactor's time
        self._beating.start(BEAT_SECONDS)

    def stop(self) -> None:
        """Look no more."""
        if self._beating is not None and self._beating.running:
            self._beating.stop()
        self._beating = None
        self._found = {}

    def causes(self) -> tuple[Cause, ...]:
        """What is wrong, the causes first for which no new clients should be sent here."""
        own = self._state_cause()
        found = [*(() if own is None else (own,)), *self._found.values()]
        return tuple(sorted(found, key=lambda cause: not cause.blocking))

    def status(self, causes: tuple[Cause, ...]) -> str:
        """One word for some causes: ``ready``, ``degraded``, or why no new clients should be sent here."""
        if not causes:
            return "ready"
        first = causes[0]
        return _STATUS.get(first.code, first.code) if first.blocking else "degraded"

    @property
    def is_ready(self) -> bool:
        """Whether new clients should be sent here."""
        return not any(each.blocking for each in self.causes())

    def _state_cause(self) -> Cause | None:
        """The cause that the state of the service is: it counts at once, and not only after a second."""
        state = "stopped" if self._operated is None else self._operated.state()
        if self._operated is None or state not in _STATES:
            return None
        if self._state_since is None or self._state_since[0] != state:
            self._state_since = (state, self._operated.wall_time())
        return Cause(state, True, self._state_since[1], _STATES[state])

    def _beat(self) -> None:
        assert self._operated is not None
        self._lag.beat(self._operated.clock.seconds())
        self._beats += 1
        if self._beats % _BEATS_A_LOOK == 1:
            self._look(self._operated.wall_time())
        # So that its beginning is known even where nobody asks.
        self._state_cause()

    def _look(self, now: datetime) -> None:
        found: dict[str, Cause] = {}
        for check in (*self._checks, *tuple(self._of_the_program.values())):
            detail = check.look()
            if detail is not None:
                before = self._found.get(check.code)
                since = now if before is None else before.since
                found[check.code] = Cause(check.code, check.blocking, since, detail)
        self._found = found

    def _ask(self, code: str, function: Callable[[], Any]) -> str | None:
        assert self._operated is not None
        answer = self._operated.call(f"cause {code}", function)
        # Who can't say whether something is wrong has something wrong. The log has the exception.
        if answer is None:
            return "the function of this cause raised"
        (detail,) = answer
        if isinstance(detail, str):
            return detail[:_MOST_DETAIL_CHARACTERS] or None
        return "the program says so" if detail else None


_OWN_CODES = frozenset(
    {
        *_STATES,
        "full",
        "backplane_away",
        "backplane_queue_full",
        "reactor_lag",
        "queues_full",
        "certificate_expired",
        "job_failing",
    }
)
