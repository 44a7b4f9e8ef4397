"""Pings and overdue messages: one sweep over all connections, no timer per connection.

The deadline of a pong runs only while the client's socket is read; a sweep that comes late, because this process itself
was held up, postpones every deadline by as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from .connection import ConnectionState
from .core.counters import Counters
from .core.model import ClosedBy
from .core.settings import Settings
from .reports import Reports

if TYPE_CHECKING:
    from .connection import SignalConnection

__all__ = ["SWEEP_SECONDS", "Heartbeat"]

SWEEP_SECONDS = 1.0
_POLICY_VIOLATION = 1008


class _Hub(Protocol):
    """What the heartbeat needs of its hub."""

    settings: Settings
    counters: Counters
    reports: Reports

    @property
    def clock(self) -> IReactorTime: ...
    def open_connections(self) -> tuple[SignalConnection, ...]: ...


class Heartbeat:
    """Pings every open connection, and gives up on those that do not answer or never end a message.

    Args:
        hub: whose connections.
    """

    def __init__(self, hub: _Hub) -> None:
        self._hub = hub
        self._next: IDelayedCall | None = None
        self._due = 0.0

    def begin(self) -> None:
        """Sweep from now on, unless it does already."""
        if self._next is None:
            self._plan()

    def end(self) -> None:
        """Sweep no longer: there is nobody."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _plan(self) -> None:
        self._due = self._hub.clock.seconds() + SWEEP_SECONDS
        self._next = self._hub.clock.callLater(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        now = self._hub.clock.seconds()
        late_seconds = now - self._due
        if late_seconds < SWEEP_SECONDS:  # else we were held up, and nobody else is to blame
            late_seconds = 0.0
        self._plan()
        for connection in self._hub.open_connections():
            if connection.state is ConnectionState.OPEN:
                self._look_for_pong(connection, now, late_seconds)
            if connection.state is ConnectionState.OPEN:
                self._look_at_message(connection, now - late_seconds)

    def _look_for_pong(self, connection: SignalConnection, now: float, late_seconds: float) -> None:
        if connection.pong_due is None:
            if now >= connection.ping_due:
                connection.ping(now + self._hub.settings.pong_timeout_seconds)
        elif connection.reading_paused:
            connection.pong_due += SWEEP_SECONDS + late_seconds
        elif late_seconds:
            connection.pong_due += late_seconds
        elif now >= connection.pong_due:
            self._count("pong_timeout_seconds", connection, "is gone: no pong in time")
            connection.vanished()

    def _look_at_message(self, connection: SignalConnection, now: float) -> None:
        began = connection.message_began
        if began is None or connection.reading_paused:
            return
        if now - began > self._hub.settings.message_timeout_seconds:
            self._count("message_timeout_seconds", connection, "takes too long over a message")
            connection.shut(_POLICY_VIOLATION, "the message took too long", ClosedBy.TIMEOUT)

    def _count(self, setting: str, connection: SignalConnection, what: str) -> None:
        self._hub.counters.limits_hit[setting] += 1
        self._hub.reports.write(setting, "connection {client_id} {what}", client_id=connection.client_id, what=what)
