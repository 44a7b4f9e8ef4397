"""What a hub counts. Plain numbers that only grow; whoever shows them reads them from here."""

from __future__ import annotations

from collections import Counter

from attrs import define, field

__all__ = ["Counters"]


@define
class Counters:
    """Everything that happened since the hub was made.

    Attributes:
        connections_opened: conversions that succeeded.
        connections_closed: connections that ended, by who closed (``client``, ``server``, …).
        upgrades_refused: upgrades that became no connection, by the error and the HTTP status.
        requests_refused: requests that are no upgrades and were refused, by the HTTP status: 421 for a Host that is
            not served, 426 where only upgrades are taken.
        messages_received: text messages of clients.
        messages_bad: messages that were no messages.
        messages_refused: messages for which a broadcast level or a signature stood in the way.
        messages_unrouted_dropped: messages without a signal route under ``Unrouted.DROP``.
        recipients_sent: deliveries taken by a transport with nothing waiting ahead.
        recipients_queued: deliveries that wait behind unsent data.
        recipients_dropped: deliveries that were given up.
        limits_hit: how often a limit acted, by the name of its setting.
        functions_failed: functions of the user that raised.
        functions_timed_out: functions of the user that were cancelled at their time limit.
        callbacks_failed: protocol callbacks that raised; each is a defect of this package.
        requests_malformed: requests that got 400, because they could not be read, because of their Host (unless they
            are upgrades), or because their path is not UTF-8.
        forms_too_large: forms that got 413 for their number of fields, or for the heads of their parts.
        references_refused: requests with a bad X-PODE-SIGNAL-CLIENT-ID.
        schedule_triggers_skipped: triggers passed over, because the clock jumped or the last run was not over.
    """

    connections_opened: int = 0
    connections_closed: Counter[str] = field(factory=Counter)
    upgrades_refused: Counter[tuple[str, int]] = field(factory=Counter)
    requests_refused: Counter[int] = field(factory=Counter)
    messages_received: int = 0
    messages_bad: int = 0
    messages_refused: int = 0
    messages_unrouted_dropped: int = 0
    recipients_sent: int = 0
    recipients_queued: int = 0
    recipients_dropped: int = 0
    limits_hit: Counter[str] = field(factory=Counter)
    functions_failed: int = 0
    functions_timed_out: int = 0
    callbacks_failed: int = 0
    requests_malformed: int = 0
    forms_too_large: int = 0
    references_refused: int = 0
    schedule_triggers_skipped: int = 0
