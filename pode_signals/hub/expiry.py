"""When connections expire, and what becomes of them then. It renews none by itself: ``signals.refresh_check`` does."""

from __future__ import annotations

from datetime import datetime

from ..core.model import ClosedBy
from ..wire.frames import CloseCode
from .link import Link
from .profile import Profile
from .runtime import Runtime

__all__ = ["Expiry"]


class Expiry:
    """The expiries of one hub.

    Args:
        runtime: the surroundings.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def seconds_left(self, expires: datetime) -> float:
        """The seconds until an expiry; below 0 where it has passed."""
        return (expires - self._runtime.wall_time()).total_seconds()

    def look(self, link: Link, profile: Profile) -> None:
        """Close a connection that was not renewed in time: called once a second."""
        if profile.expires is None:
            return
        if self.seconds_left(profile.expires) <= -self._runtime.settings.expiry_grace_seconds:
            self._runtime.counters.refreshes["expired"] += 1
            self._runtime.reports.limit(
                "expiry_grace_seconds",
                "connection {client_id} has expired and was not renewed: closed",
                client_id=link.client_id,
            )
            link.shut(CloseCode.EXPIRED, "expired", ClosedBy.SERVER)
