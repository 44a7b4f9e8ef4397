"""Pings and overdue messages: one sweep over all connections each second. It sets no timer for a single connection.

A deadline runs only while the client's socket is read. Where a sweep comes late, because this process was held up, all
deadlines are postponed by the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall

from ..core.model import ClosedBy, ConnectionState
from ..wire.frames import CloseCode
from .continuity import Continuity
from .expiry import Expiry
from .histories import Histories
from .link import Link
from .runtime import Runtime

__all__ = ["SWEEP_SECONDS", "Heartbeat"]

SWEEP_SECONDS = 1.0
_POLICY_VIOLATION = CloseCode.POLICY_VIOLATION
_PING_BYTES = 8


class Heartbeat:
    """Pings every open connection, and gives up on those that do not answer or never end a message.

    Args:
        runtime: the surroundings.
        links: gives all connections.
        continuity: sends beats and fresh tokens to signals clients.
        expiry: closes connections that have expired.
        histories: tells of clients that are too far behind.
    """

    def __init__(
        self,
        runtime: Runtime,
        links: Callable[[], Iterable[Link]],
        continuity: Continuity,
        expiry: Expiry,
        histories: Histories,
    ) -> None:
        self._runtime = runtime
        self._links = links
        self._continuity = continuity
        self._expiry = expiry
        self._histories = histories
        self._next: IDelayedCall | None = None
        self._swept_at = 0.0

    def begin(self) -> None:
        """Sweep from now on; nothing happens where the sweeps have begun already."""
        if self._next is None:
            self._plan()

    def end(self) -> None:
        """Sweep no longer, since there are no connections."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _plan(self) -> None:
        self._swept_at = self._runtime.clock.seconds()
        self._next = self._runtime.clock.callLater(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        now = self._runtime.clock.seconds()
        passed = now - self._swept_at
        # A whole sweep was missed. This process was held up, so its clients are not to blame for missing answers.
        held_up = passed - SWEEP_SECONDS if passed >= 2 * SWEEP_SECONDS else 0.0
        self._runtime.stalls.noticed(held_up, self._swept_at)
        self._plan()
        for link in self._links():
            # The answer of a client whose socket is not read may have come, and not have been seen.
            postponed = passed if link.reading_paused else held_up
            if link.state is ConnectionState.OPEN:
                self._look_for_pong(link, now, postponed)
            if link.state is ConnectionState.OPEN:
                self._look_at_message(link, now, postponed)
            if link.dialogue is not None and link.state is ConnectionState.OPEN:
                self._continuity.renew(link, now)
            if link.profile is not None and link.state is ConnectionState.OPEN:
                self._expiry.look(link, link.profile)
        self._histories.progress.look(now)

    def _look_for_pong(self, link: Link, now: float, postponed: float) -> None:
        if link.pulse.pong_due is None:
            if now >= link.pulse.ping_due and not link.encoding.answers_pings:
                link.pulse.ping_due = now + self._runtime.settings.ping_interval_seconds
                self._continuity.beat(link)
            elif now >= link.pulse.ping_due:
                # A random payload, which a client can only know by reading the ping. With a known payload a client that
                # reads nothing would pass for alive by sending pongs.
                payload = self._runtime.random.randbytes(_PING_BYTES)
                link.pulse.pinged(payload, now + self._runtime.settings.pong_timeout_seconds)
                link.ping(payload)
                # Beside the ping, for clients that can't see pings.
                self._continuity.beat(link)
        elif postponed:
            link.pulse.pong_due += postponed
        elif now >= link.pulse.pong_due:
            self._runtime.reports.limit(
                "pong_timeout_seconds",
                "connection {client_id} is gone: no pong in time",
                client_id=link.client_id,
            )
            link.vanished()

    def _look_at_message(self, link: Link, now: float, postponed: float) -> None:
        if link.pulse.message_due is None:
            return
        if postponed:
            link.pulse.message_due += postponed
        elif now >= link.pulse.message_due:
            self._runtime.reports.limit(
                "message_timeout_seconds",
                "connection {client_id} takes too long over a message: closed",
                client_id=link.client_id,
            )
            link.shut(_POLICY_VIOLATION, "the message took too long", ClosedBy.TIMEOUT)
