"""HTTP/1.1 connections whose request heads are bounded: in size, in time, and in how many are incomplete at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from ..core.pending import PendingHandshakes

__all__ = ["MAX_HEADERS", "BoundedChannel", "HeadLimits"]

MAX_HEADERS = 100
"""How many headers a request may have."""


class HeadLimits:
    """What all connections of one hub share.

    Args:
        max_pending: how many connections may have an incomplete request.
        head_bytes: the largest head of a request.
        dropped: called when a connection was dropped because there were too many.
    """

    def __init__(self, max_pending: int, head_bytes: int, dropped: Callable[[], None]) -> None:
        self.pending: PendingHandshakes[BoundedChannel] = PendingHandshakes(max_pending)
        self.head_bytes = head_bytes
        self.dropped = dropped


class BoundedChannel(HTTPChannel):
    """One connection. Twisted's own timeout starts anew with every byte; here it runs over the whole head.

    Attributes:
        limits: what it shares with others; set by the site.
    """

    maxHeaders = MAX_HEADERS
    limits: HeadLimits
    _in_head = False
    _address = ""

    def connectionMade(self) -> None:
        """A client is there, and its first request is not."""
        super().connectionMade()  # type: ignore[no-untyped-call]  # Twisted
        self.totalHeadersSize = self.limits.head_bytes
        self._address = getattr(self.getPeer(), "host", "") or ""  # type: ignore[no-untyped-call]  # Twisted
        self._begin_head()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of a request. Those of a head win it no time, those of a body do."""
        if not self._in_head:
            self.resetTimeout()  # type: ignore[no-untyped-call]  # Twisted
        LineReceiver.dataReceived(self, data)

    def allHeadersReceived(self) -> None:
        """The head is complete."""
        self._end_head()
        super().allHeadersReceived()  # type: ignore[no-untyped-call]  # Twisted

    def requestDone(self, request: Any) -> None:
        """The answer is complete: another request may come, or never."""
        self._begin_head()
        super().requestDone(request)  # type: ignore[no-untyped-call]  # Twisted

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self._end_head()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted

    def _begin_head(self) -> None:
        self._in_head = True
        crowded_out = self.limits.pending.add(self, self._address)
        if crowded_out is not None:
            self.limits.dropped()
            crowded_out.forceAbortClient()  # type: ignore[no-untyped-call]  # Twisted

    def _end_head(self) -> None:
        self._in_head = False
        self.limits.pending.discard(self, self._address)
