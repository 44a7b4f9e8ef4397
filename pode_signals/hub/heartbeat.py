"""Pings and overdue messages: one sweep over all connections, no timer per connection.

Deadlines run only while the client's socket is read; a sweep that comes late, because this process itself was held up,
postpones every deadline by as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..core.model import ClosedBy
from ..core.settings import Settings
from ..wire.frames import CloseCode
from .connection import ConnectionState
from .reports import Reports

if TYPE_CHECKING:
    from .connection import SignalConnection

__all__ = ["SWEEP_SECONDS", "Heartbeat"]

SWEEP_SECONDS = 1.0
_POLICY_VIOLATION = CloseCode.POLICY_VIOLATION


class _Hub(Protocol):
    """What the heartbeat needs of its hub."""

    settings: Settings
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
        self._swept_at = 0.0

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
        self._swept_at = self._hub.clock.seconds()
        self._next = self._hub.clock.callLater(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        now = self._hub.clock.seconds()
        passed = now - self._swept_at
        # A whole sweep was missed: we were held up, and nobody else is to blame.
        held_up = passed - SWEEP_SECONDS if passed >= 2 * SWEEP_SECONDS else 0.0
        self._plan()
        for connection in self._hub.open_connections():
            # Their deadlines do not run while we do not read.
            postponed = passed if connection.reading_paused else held_up
            if connection.state is ConnectionState.OPEN:
                self._look_for_pong(connection, now, postponed)
            if connection.state is ConnectionState.OPEN:
                self._look_at_message(connection, now, postponed)

    def _look_for_pong(self, connection: SignalConnection, now: float, postponed: float) -> None:
        if connection.pong_due is None:
            if now >= connection.ping_due:
                connection.ping(now + self._hub.settings.pong_timeout_seconds)
        elif postponed:
            connection.pong_due += postponed
        elif now >= connection.pong_due:
            self._hub.reports.limit(
                "pong_timeout_seconds",
                "connection {client_id} is gone: no pong in time",
                client_id=connection.client_id,
            )
            connection.vanished()

    def _look_at_message(self, connection: SignalConnection, now: float, postponed: float) -> None:
        if connection.message_due is None:
            return
        if postponed:
            connection.message_due += postponed
        elif now >= connection.message_due:
            self._hub.reports.limit(
                "message_timeout_seconds",
                "connection {client_id} takes too long over a message: closed",
                client_id=connection.client_id,
            )
            connection.shut(_POLICY_VIOLATION, "the message took too long", ClosedBy.TIMEOUT)
