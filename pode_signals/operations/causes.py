"""What can be wrong with a service, looked at once a second in memory: each thing says so, or nothing. None waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from math import ceil

from attrs import frozen

from .. import Insight, Signals

__all__ = ["BEAT_SECONDS", "Cause", "FailingJobs", "Fullness", "ReactorLag", "away", "expired", "queues"]

BEAT_SECONDS = 0.25
"""How often the lateness of the reactor is looked at."""

_FULL_SHARE, _ROOM_SHARE = 0.95, 0.9
_QUEUED_SHARE = 0.9
_LATE_SECONDS = 1.0
_MINUTE_BEATS = int(60 / BEAT_SECONDS)
_FAILURES_IN_A_ROW = 3


@frozen
class Cause:
    """Why a service is not simply ready.

    Attributes:
        code: a word for programs.
        blocking: whether no new clients should be sent here.
        since: since when (aware, UTC).
        detail: a sentence for people; it has no text of an exception.
    """

    code: str
    blocking: bool
    since: datetime
    detail: str


class Fullness:
    """Whether nearly as many clients are connected as may be; there is room again only when some more have left.

    Args:
        insight: what the hub counts.
    """

    def __init__(self, insight: Insight) -> None:
        self._insight = insight
        self._is_full = False

    def __call__(self) -> str | None:
        """A sentence while it is full; None while there is room."""
        limit = _number(self._insight, "pode_signals_connections_limit")
        count = _number(self._insight, "pode_signals_connections_open")
        count += _number(self._insight, "pode_signals_connections_lingering")
        self._is_full = count >= limit * (_ROOM_SHARE if self._is_full else _FULL_SHARE)
        return f"{count:.0f} of {limit:.0f} connections are there" if self._is_full else None


class ReactorLag:
    """How late the reactor calls what is due, over the last minute."""

    def __init__(self) -> None:
        self._late_seconds: deque[float] = deque(maxlen=_MINUTE_BEATS)
        self._due: float | None = None

    def beat(self, now: float) -> None:
        """A call came that is due each :data:`BEAT_SECONDS`."""
        late_seconds = max(0.0, now - self._due) if self._due is not None else 0.0
        self._due = now + BEAT_SECONDS
        self._late_seconds.append(late_seconds)
        # Each call that did not come meanwhile would have been late as well: else a long stall would be one sample.
        for number in range(1, min(_MINUTE_BEATS, int(late_seconds / BEAT_SECONDS)) + 1):
            self._late_seconds.append(late_seconds - number * BEAT_SECONDS)

    def __call__(self) -> str | None:
        """A sentence where more than one call in a hundred came over a second late; else None."""
        samples = sorted(self._late_seconds)
        p99_seconds = samples[ceil(len(samples) * 0.99) - 1] if samples else 0.0
        if p99_seconds <= _LATE_SECONDS:
            return None
        return f"of the calls of the last minute one in a hundred came {p99_seconds:.1f} s late or later"


class FailingJobs:
    """Whether a schedule or a timer has failed several times in a row.

    Args:
        signals: whose schedules and timers.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._seen: dict[str, tuple[int, int]] = {}
        self._in_a_row: dict[str, int] = {}

    def __call__(self) -> str | None:
        """A sentence with the names of those that fail; None where none does."""
        jobs = [*((f"schedule {each.name}", each) for each in self._signals.schedules())]
        found = {name: (each.count - each.running, each.failed) for name, each in jobs}
        found |= {f"timer {each.name}": (each.count - each.running, each.failed) for each in self._signals.timers()}
        for name, (ended, failed) in found.items():
            ended_before, failed_before = self._seen.get(name, (0, 0))
            new_failures, new_ends = failed - failed_before, ended - ended_before
            if new_failures < new_ends:
                # One of them was good, and nobody knows which one came last.
                self._in_a_row[name] = new_failures
            else:
                self._in_a_row[name] = self._in_a_row.get(name, 0) + new_failures
        self._seen = found
        failing = [name for name in found if self._in_a_row[name] >= _FAILURES_IN_A_ROW]
        return f"failed {_FAILURES_IN_A_ROW} times in a row: {', '.join(failing)}" if failing else None


def away(insight: Insight) -> str | None:
    """A sentence while the other nodes are not reached; else None."""
    return None if insight.backplane_state == "up" else "the other nodes are not reached; sends reach this node alone"


def queues(insight: Insight) -> str | None:
    """A sentence while the queues of slow clients are nearly full; else None."""
    waiting = _number(insight, "pode_signals_queue_bytes")
    limit = _number(insight, "pode_signals_queue_limit_bytes")
    return f"{waiting:.0f} of {limit:.0f} bytes wait for slow clients" if waiting > limit * _QUEUED_SHARE else None


def expired(certificates: Callable[[], Mapping[str, datetime]], now: datetime) -> str | None:
    """A sentence where certificates have expired; else None."""
    found = [endpoint for endpoint, expires in certificates().items() if expires <= now]
    return f"the certificate has expired of: {', '.join(found)}" if found else None


def _number(insight: Insight, name: str) -> float:
    found = insight.number(name)
    return sum(found.values()) if isinstance(found, Mapping) else found or 0
