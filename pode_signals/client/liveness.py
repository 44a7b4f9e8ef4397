"""Whether the server still lives, by the time of what came from it. It sets no timer, and a late one fools it not."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["Check", "Liveness"]

_CHECK_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 5.0
# A check that comes so much later than it was due comes after a sleep of the machine.
_LATE_SECONDS: Final = 10.0
# A turn of the reactor runs timers before it reads: what answers a probe may be there and not be read yet.
_LAST_LOOK_SECONDS: Final = 0.5


class Check(Enum):
    """What a check comes to."""

    GOOD = "good"
    PROBE = "probe"
    """Ask the server for a sign of life."""
    DEAD = "dead"
    """Give the connection up."""


class Liveness:
    """The rule for one connection.

    Where nothing came for the server's heartbeat and some seconds, or a check comes late, the server is asked. Only
    where no answer comes is the connection given up, so a late timer alone never ends a good one.

    Args:
        heartbeat_seconds: a frame of the server comes at least this often.
        now: the time.
    """

    def __init__(self, heartbeat_seconds: float, now: float) -> None:
        self.heartbeat_seconds = heartbeat_seconds
        self.begin(now)

    @property
    def due(self) -> float:
        """When the next check is due."""
        return self._due

    def begin(self, now: float) -> None:
        """Nothing was to be heard until now."""
        self._heard_at = now
        self._due = now + _CHECK_SECONDS
        self._is_probing = False
        self._had_last_look = False

    def heard(self, now: float) -> None:
        """A frame has come, of whatever type."""
        self._heard_at = now
        if self._is_probing:
            self._is_probing = self._had_last_look = False
            self._due = now + _CHECK_SECONDS

    def check(self, now: float) -> Check:
        """Look, at the time that is due or later."""
        late_seconds = now - self._due
        if late_seconds < 0:
            return Check.GOOD
        if self._is_probing:
            if self._had_last_look:
                return Check.DEAD
            self._had_last_look = True
            self._due = now + _LAST_LOOK_SECONDS
            return Check.GOOD
        if now - self._heard_at > self.heartbeat_seconds + _PATIENCE_SECONDS or late_seconds > _LATE_SECONDS:
            self._is_probing = True
            self._due = now + _PROBE_SECONDS
            return Check.PROBE
        self._due = now + _CHECK_SECONDS
        return Check.GOOD
