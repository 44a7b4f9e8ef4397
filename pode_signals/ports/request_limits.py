"""The bounds of requests, which all connections of one hub share, and their counters. It closes no connection."""

from __future__ import annotations

from typing import Any

from twisted.logger import LogLevel

from ..core.addresses import TrustedProxies
from ..core.counters import Counters
from ..core.pending import PendingHandshakes
from ..hub.hub import Hub

__all__ = ["RequestLimits"]


class RequestLimits:
    """The limits of one hub on requests, for all of its ports.

    Args:
        hub: the hub.
        counters: what counts the requests; None is what the hub counts.

    Attributes:
        proxies: the proxies whose headers count.
        pending: the connections whose request is not complete.
        head_bytes: how large the head of a request may be.
        body_bytes: how large its body may be.
        form_bytes: how large an urlencoded form may be.
        request_timeout_seconds: how long a body may take.
        response_timeout_seconds: how long a client may leave 64 KiB of an answer unread.
        counters: the counters of the hub.
        reports: the log lines that clients can cause.
        turns: the turns of the hub's clock.
    """

    def __init__(self, hub: Hub, counters: Counters | None = None) -> None:
        settings = hub.settings
        self.proxies = TrustedProxies(settings.trusted_proxies)
        self._hub = hub
        self.pending: PendingHandshakes[Any] = PendingHandshakes(hub.max_pending_handshakes)
        self.head_bytes = settings.handshake_head_bytes
        self.body_bytes = settings.max_request_body_bytes
        self.form_bytes = settings.max_form_bytes
        self.request_timeout_seconds = settings.request_timeout_seconds
        self.response_timeout_seconds = settings.response_timeout_seconds
        self.counters = hub.counters if counters is None else counters
        self.reports = hub.reports
        self.turns = hub.turns

    def seconds(self) -> float:
        """The time of the hub's clock. The hub is asked each time: it has no clock before there is a reactor."""
        return self._hub.clock.seconds()

    def limit_acted(self, setting: str, text: str, address: str) -> None:
        """Count and log that a limit acted.

        Args:
            setting: the name of the setting.
            text: the line in the log, with a place for the ``{address}``.
            address: the address of the client.
        """
        self.reports.limit(setting, text, address=address)

    def say_malformed(self, text: str, address: str, why: str) -> None:
        """Log that a request is malformed. The caller, which refuses the request, counts it.

        Args:
            text: the line in the log, with places for the ``{address}`` and for ``{why}``.
            address: the address of the client.
            why: what is wrong with the request.
        """
        self.reports.write(
            "requests_malformed", text, event="request.malformed", level=LogLevel.info, address=address, why=why
        )
