"""The table of the metrics: what each is called and means, its labels and what it costs. It reads no number."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from ..insight.numbers import NUMBERS

__all__ = ["METRICS", "Cost", "Metric", "Source", "Type"]


class Type(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Cost(StrEnum):
    """When a metric costs something."""

    READ = "read"
    """At the scrape alone."""
    COUNTED = "counted"
    """For each connection, send, batch, tick or HTTP request."""
    MESSAGE = "message"
    """For each message; counted while there are metrics, and not at all without them."""


class Source(StrEnum):
    """Where a metric is read."""

    HUB = "hub"
    """In the numbers of ``signals.insight``."""
    OBSERVER = "observer"
    """In what an observer of the hub has counted."""
    OPERATIONS = "operations"
    """In the part of the operations that has it; a metric that no part has is left out."""


@frozen
class Metric:
    """One row of the table.

    Attributes:
        name: the name, with the ending ``_total`` of a counter.
        type: what it is to Prometheus.
        text: what it means, in a sentence.
        cost: when it costs something.
        source: where it is read.
        labels: what it is split by.
        known: the values of its one label, where they are known beforehand. Each has a series from the start, so that
            Prometheus sees the first increase.
        bound: which values the labels may have where they are not known, and how many at most.
        buckets: the bounds of a histogram.
    """

    name: str
    type: Type
    text: str
    cost: Cost
    source: Source
    labels: tuple[str, ...] = field(default=(), kw_only=True)
    known: tuple[str, ...] = field(default=(), kw_only=True)
    bound: str = field(default="", kw_only=True)
    buckets: tuple[float, ...] = field(default=(), kw_only=True)


def _number(name: str, cost: Cost, *known: str, bound: str = "") -> Metric:
    """A number of the hub, whose meaning and labels stand in the table of the numbers."""
    number = NUMBERS[name]
    type_ = Type.COUNTER if name.endswith("_total") else Type.GAUGE
    return Metric(name, type_, number.text, cost, Source.HUB, labels=number.labels, known=known, bound=bound)


def _histogram(name: str, text: str, buckets: tuple[float, ...], cost: Cost = Cost.COUNTED) -> Metric:
    return Metric(name, Type.HISTOGRAM, text, cost, Source.OBSERVER, buckets=buckets)


_READ, _COUNTED, _MESSAGE = Cost.READ, Cost.COUNTED, Cost.MESSAGE
_TO_10_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_JOBS = "the program's; at most 100, and `<other>`"
_NAMES = "the program's; at most 100, and `<other>`"

_ROWS = (
    _number("pode_signals_connections", _READ, bound=_NAMES),
    _number("pode_signals_connections_open", _COUNTED, bound="`plain`, `signals`, `sse`; `global`, `local`"),
    _number("pode_signals_connections_lingering", _READ),
    _number("pode_signals_connections_limit", _READ),
    _number("pode_signals_connections_opened_total", _COUNTED, "plain", "signals", "sse"),
    _number("pode_signals_connections_closed_total", _COUNTED, "client", "server", "timeout", "error", "shutdown"),
    _histogram(
        "pode_signals_connection_duration_seconds",
        "How long connections were there that have ended.",
        (1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400),
    ),
    _number("pode_signals_handshakes_refused_total", _COUNTED, bound="the errors of this package; their statuses"),
    _histogram("pode_signals_handshake_seconds", "From the accept of a client to the 101 that it got.", _TO_10_SECONDS),
    _number("pode_signals_handshakes_pending", _READ),
    _number("pode_signals_names", _READ),
    Metric(
        "pode_signals_names_unlabelled",
        Type.GAUGE,
        "Names that have connections and no series of their own: they are in the series `<other>`.",
        _READ,
        Source.OPERATIONS,
    ),
    _number("pode_signals_groups", _READ),
    _number("pode_signals_messages_received_total", _COUNTED),
    _number("pode_signals_messages_rejected_total", _COUNTED, "bad", "refused", "unrouted"),
    _number("pode_signals_received_bytes_total", _MESSAGE),
    _number("pode_signals_messages_waiting", _COUNTED),
    _number("pode_signals_sends_total", _COUNTED, "code", "client"),
    _number("pode_signals_deliveries_total", _COUNTED, "sent", "queued", "dropped"),
    _number(
        "pode_signals_dropped_total",
        _COUNTED,
        "slow_closed",
        "shed",
        "displaced",
        "newest",
        "closed",
        "write_failed",
    ),
    _number("pode_signals_sent_bytes_total", _MESSAGE),
    _number("pode_signals_name_sends_total", _COUNTED, bound=_NAMES),
    _number("pode_signals_name_deliveries_total", _COUNTED, bound=_NAMES),
    _histogram(
        "pode_signals_fan_out_seconds",
        "How long it took to write the messages of a turn to the connections of a name.",
        (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
    ),
    _histogram(
        "pode_signals_fan_out_recipients",
        "To how many connections of a name the messages of a turn were written.",
        (1, 10, 100, 1_000, 10_000, 100_000),
    ),
    Metric(
        "pode_signals_handler_seconds",
        Type.HISTOGRAM,
        "How long functions of the program took, the time in which they waited included: a sample of one in eight.",
        _MESSAGE,
        Source.OBSERVER,
        labels=("kind",),
        known=("route", "connect", "disconnect", "job", "check"),
        buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
    ),
    _number("pode_signals_handler_failures_total", _COUNTED, "raised", "timed_out"),
    _number("pode_signals_queue_bytes", _READ),
    _number("pode_signals_queue_limit_bytes", _READ),
    _number("pode_signals_slow_connections", _READ),
    _histogram(
        "pode_signals_pong_seconds",
        "From a ping to its pong.",
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    ),
    _number("pode_signals_limits_hit_total", _COUNTED, bound="the settings that are limits"),
    _number("pode_signals_resumes_total", _COUNTED, "recovered", "lost", "refused"),
    _number("pode_signals_posts_total", _COUNTED, bound="HTTP statuses"),
    _number("pode_signals_history_messages", _READ),
    _number("pode_signals_history_bytes", _READ),
    _number("pode_signals_acknowledgements_total", _COUNTED, "acknowledged", "unanswered", "gone"),
    _number("pode_signals_replies_total", _COUNTED, "ok", "error"),
    _number("pode_signals_presence_changes_total", _COUNTED, "join", "leave"),
    _number("pode_signals_refreshes_total", _COUNTED, "accepted", "refused", "expired"),
    _number("pode_signals_requests_total", _COUNTED, "1xx", "2xx", "3xx", "4xx", "5xx"),
    _number("pode_signals_requests_malformed_total", _COUNTED),
    _number("pode_signals_references_refused_total", _COUNTED),
    _number("pode_signals_defects_total", _COUNTED),
    _number("pode_signals_job_runs_total", _READ, bound=_JOBS),
    _number("pode_signals_job_failures_total", _READ, bound=_JOBS),
    _number("pode_signals_job_skipped_total", _READ, bound=_JOBS),
    _number("pode_signals_job_next_run_timestamp_seconds", _READ, bound=_JOBS),
    _number("pode_signals_job_running", _READ, bound=_JOBS),
    _number("pode_signals_backplane_up", _READ),
    _number(
        "pode_signals_backplane_lost_total",
        _COUNTED,
        "not_passed_on",
        "refused",
        "unknown",
        "break",
        "forged",
        "version",
        "malformed",
        "replayed",
    ),
    _number("pode_signals_backplane_queue_messages", _READ),
    _number("pode_signals_backplane_queue_bytes", _READ),
    _number("pode_signals_backplane_reconnects_total", _COUNTED),
    Metric(
        "pode_signals_reactor_lag_seconds",
        Type.HISTOGRAM,
        "How late a call came that is due every quarter of a second: how long others may have had to wait.",
        _COUNTED,
        Source.OPERATIONS,
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    ),
    Metric(
        "pode_signals_state",
        Type.GAUGE,
        "1 for the state that the service is in, 0 for the others.",
        _READ,
        Source.OPERATIONS,
        labels=("state",),
        known=("starting", "ready", "draining"),
    ),
    Metric(
        "pode_signals_ready",
        Type.GAUGE,
        "1 where new clients may be sent here, as `/readyz` says; else 0.",
        _READ,
        Source.OPERATIONS,
    ),
    Metric(
        "pode_signals_certificate_expiry_timestamp_seconds",
        Type.GAUGE,
        "When the certificate of an endpoint ends, in seconds since 1970.",
        _READ,
        Source.OPERATIONS,
        labels=("endpoint",),
        bound="the program's",
    ),
    _number("pode_signals_log_lines_suppressed_total", _COUNTED, bound="the program's; at most 60, and `<other>`"),
    Metric(
        "pode_signals_api_refused_total",
        Type.COUNTER,
        "Requests of operators that were refused.",
        _COUNTED,
        Source.OPERATIONS,
        labels=("reason",),
        known=("no_token", "unknown", "expired", "scope", "name", "rate"),
    ),
)

METRICS: Mapping[str, Metric] = {each.name: each for each in _ROWS}
"""Each metric by its name, in the order of the scrape."""
