"""The table of the numbers of a hub, by the names that their metrics have: what each means, and where it is read.

Whatever counts, counts where something happens, in plain integers; here the counts are read when somebody looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import define, field, frozen

from ..core.counters import Counters
from ..core.registry import Registry
from ..hub.hub import Hub
from ..hub.link import Link
from ..hub.node import UP
from ..hub.traffic import NameTraffic
from ..scheduling.planning import ScheduleState
from ..scheduling.schedules import Schedules
from ..scheduling.timers import Timers, TimerState

__all__ = ["NUMBERS", "Number", "Numbers", "Sources"]

Numbers: TypeAlias = int | float | Mapping[str, int | float] | Mapping[tuple[str, ...], int | float] | None
"""One number; or numbers by the value of a label, or by the values of several. None where nobody counts."""


@define
class Sources:
    """Where numbers are read.

    Attributes:
        hub: the hub.
        schedules: its schedules.
        timers: its timers.
        traffic: what goes to which name; None where nobody wants it counted.
    """

    hub: Hub
    schedules: Schedules
    timers: Timers
    traffic: NameTraffic | None = None


@frozen
class Number:
    """One entry of :data:`NUMBERS`.

    Attributes:
        text: what is counted, in a sentence.
        read: reads the number.
        labels: what it is split by; none where it is one number.
    """

    text: str
    read: Callable[[Sources], Numbers]
    labels: tuple[str, ...] = field(default=(), kw_only=True)


def _names(sources: Sources) -> Mapping[str, int]:
    registry: Registry[Link] = sources.hub.registry
    return {name: registry.count(name) for name in registry.names()}


def _open(sources: Sources) -> Mapping[tuple[str, ...], int]:
    # A protocol that was there once shows 0.
    gone = sources.hub.capacity.gone_by
    return {(*kind,): count - gone.get(kind, 0) for kind, count in sources.hub.capacity.opened_by.items()}


def _opened(sources: Sources) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for (protocol, _), count in sources.hub.capacity.opened_by.items():
        found[protocol] += count
    return dict(found)


def _groups(sources: Sources) -> int:
    registry: Registry[Link] = sources.hub.registry
    return sum(len(registry.groups(name)) for name in registry.names())


def _rejected(sources: Sources) -> Mapping[str, int]:
    counters = sources.hub.counters
    return {
        "bad": counters.messages_bad,
        "refused": counters.messages_refused,
        "unrouted": counters.messages_unrouted_dropped,
    }


def _sends(sources: Sources) -> Mapping[str, int]:
    counters = sources.hub.counters
    return {"code": counters.sends - counters.messages_sent_on, "client": counters.messages_sent_on}


def _deliveries(sources: Sources) -> Mapping[str, int]:
    counters = sources.hub.counters
    return {
        "sent": counters.recipients_sent,
        "queued": counters.recipients_queued,
        "dropped": counters.recipients_dropped,
    }


def _failures(sources: Sources) -> Mapping[str, int]:
    counters = sources.hub.counters
    return {"raised": counters.functions_failed, "timed_out": counters.functions_timed_out}


def _resumes(sources: Sources) -> Mapping[str, int]:
    counters = sources.hub.counters
    return {
        "recovered": counters.resumes["recovered"],
        "lost": counters.resumes["lost"],
        "refused": counters.resume_tokens_refused.total(),
    }


def _posts(sources: Sources) -> Mapping[str, int]:
    counters = sources.hub.counters
    return {"202": counters.posts_taken, **{str(status): count for status, count in counters.posts_refused.items()}}


def _acknowledgements(sources: Sources) -> Mapping[str, int]:
    found = sources.hub.counters.acknowledgements
    return {outcome: found[outcome] for outcome in ("acknowledged", "unanswered", "gone")}


def _refused(sources: Sources) -> Mapping[tuple[str, ...], int]:
    found = sources.hub.counters.upgrades_refused.items()
    return {(reason, str(status)): count for (reason, status), count in found}


def _of_jobs(
    read: Callable[[ScheduleState | TimerState], int | float | None],
) -> Callable[[Sources], Mapping[tuple[str, ...], int | float]]:
    """Reads one number of each job, by its name and kind; a job that has none is left out."""

    def numbers(sources: Sources) -> Mapping[tuple[str, ...], int | float]:
        states: list[tuple[ScheduleState | TimerState, str]] = [
            *((each, "schedule") for each in sources.schedules.states()),
            *((each, "timer") for each in sources.timers.states()),
        ]
        found = {(each.name, kind): read(each) for each, kind in states}
        return {labels: number for labels, number in found.items() if number is not None}

    return numbers


def _next(job: ScheduleState | TimerState) -> float | None:
    return None if job.next is None else job.next.timestamp()


def _counted(read: Callable[[Counters], int]) -> Callable[[Sources], int | None]:
    """Reads a counter that counts only where the traffic is counted."""
    return lambda sources: None if sources.traffic is None else read(sources.hub.counters)


def _replies(sources: Sources) -> Mapping[str, int]:
    counters = sources.hub.counters
    return {"ok": counters.replies_given, "error": counters.replies_failed}


def _between_nodes(read: Callable[[Hub], int | Mapping[str, int]]) -> Callable[[Sources], Numbers]:
    """Reads what only a node has that is not alone."""
    return lambda sources: None if sources.hub.node.is_alone else read(sources.hub)


def _lost(hub: Hub) -> Mapping[str, int]:
    """What was lost on the way between nodes, by the cause."""
    counts = hub.backplane.counters
    return {cause: sum(counts.get(each, 0) for each in events) for cause, events in _LOST.items()}


_LOST: Mapping[str, tuple[str, ...]] = {
    "not_passed_on": ("sends_not_passed_on",),
    "refused": ("appends_refused",),
    "unknown": ("appends_unknown",),
    "break": ("breaks",),
    "forged": ("envelopes_forged", "envelopes_misplaced"),
    "version": ("envelopes_version",),
    "malformed": ("envelopes_malformed", "logs_malformed", "members_malformed"),
    "replayed": ("envelopes_replayed",),
}


def _changes(sources: Sources) -> Mapping[str, int]:
    found = sources.hub.counters.presence_changes
    return {change: found[change] for change in ("join", "leave")}


def _refreshes(sources: Sources) -> Mapping[str, int]:
    found = sources.hub.counters.refreshes
    return {outcome: found[outcome] for outcome in ("accepted", "refused", "expired")}


_JOB = ("job", "kind")

NUMBERS: Mapping[str, Number] = {
    "pode_signals_connections": Number("Open global connections.", _names, labels=("name",)),
    "pode_signals_connections_open": Number(
        "All connections whose transport is not gone yet.",
        _open,
        labels=("protocol", "scope"),
    ),
    "pode_signals_connections_lingering": Number(
        "Connections that are gone while functions for them go on; each counts for the limit.",
        lambda sources: len(sources.hub.capacity.lingering),
    ),
    "pode_signals_connections_limit": Number(
        "How many connections there may be.", lambda sources: sources.hub.capacity.max_connections
    ),
    "pode_signals_connections_opened_total": Number("Requests that became connections.", _opened, labels=("protocol",)),
    "pode_signals_connections_closed_total": Number(
        "Connections that ended, by the side that closed.",
        lambda sources: dict(sources.hub.counters.connections_closed),
        labels=("by",),
    ),
    "pode_signals_handshakes_refused_total": Number(
        "WebSocket handshakes that were refused. Heads that can't be read are in the numbers of requests alone.",
        _refused,
        labels=("reason", "status"),
    ),
    "pode_signals_handshakes_pending": Number(
        "Requests on the ports of services that are not complete.",
        lambda sources: sum(map(len, sources.hub.pending_requests)),
    ),
    "pode_signals_names": Number("Names that have connections.", lambda sources: sources.hub.registry.name_count()),
    "pode_signals_groups": Number("Groups that have connections, in all names.", _groups),
    "pode_signals_messages_received_total": Number(
        "Text messages of clients.", lambda sources: sources.hub.counters.messages_received
    ),
    "pode_signals_messages_rejected_total": Number(
        "Messages of clients that no function got and that went nowhere.", _rejected, labels=("reason",)
    ),
    "pode_signals_received_bytes_total": Number(
        "Bytes of the text messages of clients, without compression and frames; counted while there are metrics.",
        _counted(lambda counters: counters.received_bytes),
    ),
    "pode_signals_messages_waiting": Number(
        "Connections whose messages wait for a function, or for their rate.",
        lambda sources: sources.hub.inboxes.waiting_connections,
    ),
    "pode_signals_sends_total": Number(
        "Sends that had something to say: of the program, and messages of clients that were sent on.",
        _sends,
        labels=("origin",),
    ),
    "pode_signals_deliveries_total": Number(
        "Recipients of sends; what was queued and given up later counts under both.", _deliveries, labels=("outcome",)
    ),
    "pode_signals_dropped_total": Number(
        "Deliveries that were given up.", lambda sources: dict(sources.hub.counters.dropped_by), labels=("cause",)
    ),
    "pode_signals_sent_bytes_total": Number(
        "Bytes of frames that transports took, without pings and closes; counted while there are metrics.",
        _counted(lambda counters: counters.sent_bytes),
    ),
    "pode_signals_name_sends_total": Number(
        "Messages for a name or groups of it that had recipients on this node, whichever node has sent them; those for"
        " single clients are left out. Counted while there are metrics.",
        lambda sources: None if sources.traffic is None else dict(sources.traffic.sends),
        labels=("name",),
    ),
    "pode_signals_name_deliveries_total": Number(
        "Recipients of these messages.",
        lambda sources: None if sources.traffic is None else dict(sources.traffic.deliveries),
        labels=("name",),
    ),
    "pode_signals_handler_failures_total": Number(
        "Functions of the program that raised, or were cancelled at their time limit.", _failures, labels=("outcome",)
    ),
    "pode_signals_queue_bytes": Number("What waits for slow clients.", lambda sources: sources.hub.queues.queued_bytes),
    "pode_signals_queue_limit_bytes": Number(
        "How much may wait for slow clients.", lambda sources: sources.hub.settings.total_queue_bytes
    ),
    "pode_signals_slow_connections": Number(
        "Connections whose transport holds data that the client has not read.",
        lambda sources: len(sources.hub.fan_out.congested),
    ),
    "pode_signals_limits_hit_total": Number(
        "How often a limit acted, by its setting.",
        lambda sources: dict(sources.hub.counters.limits_hit),
        labels=("limit",),
    ),
    "pode_signals_resumes_total": Number(
        "Clients that came back with a position, by whether they got all that they missed; and as refused, resume"
        " tokens that did not count.",
        _resumes,
        labels=("outcome",),
    ),
    "pode_signals_posts_total": Number(
        "POSTs of clients of server-sent events, by the HTTP status, and DELETEs that were refused.",
        _posts,
        labels=("status",),
    ),
    "pode_signals_history_messages": Number(
        "Messages that histories hold, for all names.", lambda sources: sources.hub.backplane.history.held[0]
    ),
    "pode_signals_history_bytes": Number(
        "How much histories hold, for all names, as their limit counts it.",
        lambda sources: sources.hub.backplane.history.held[1],
    ),
    "pode_signals_acknowledgements_total": Number(
        "Recipients of acknowledged sends, by whether they have answered.", _acknowledgements, labels=("outcome",)
    ),
    "pode_signals_replies_total": Number(
        "Answers to messages of clients that had an id.", _replies, labels=("outcome",)
    ),
    "pode_signals_presence_changes_total": Number(
        "Clients of which others were told that they came or went, after the grace.", _changes, labels=("change",)
    ),
    "pode_signals_refreshes_total": Number(
        "Connections that were to be renewed, and those that expired since nobody did.", _refreshes, labels=("outcome",)
    ),
    "pode_signals_backplane_up": Number(
        "1 where this node reaches the others, else 0.", _between_nodes(lambda hub: int(hub.node.state == UP))
    ),
    "pode_signals_backplane_queue_messages": Number(
        "Messages of histories that wait until the backplane has them.",
        _between_nodes(lambda hub: hub.backplane.history.held[0]),
    ),
    "pode_signals_backplane_queue_bytes": Number(
        "How much these messages have.", _between_nodes(lambda hub: hub.backplane.history.held[1])
    ),
    "pode_signals_backplane_lost_total": Number(
        "What did not get from node to node: messages that were not passed on, refused by the log or of unknown fate;"
        " breaks of logs; and what was dropped since it was not to be trusted.",
        _between_nodes(_lost),
        labels=("cause",),
    ),
    "pode_signals_backplane_reconnects_total": Number(
        "How often the other nodes could be reached again.",
        _between_nodes(lambda hub: hub.counters.backplane_reconnects),
    ),
    "pode_signals_requests_total": Number(
        "HTTP answers on the ports of services, by the class of their status.",
        lambda sources: dict(sources.hub.counters.requests_answered),
        labels=("class",),
    ),
    "pode_signals_requests_malformed_total": Number(
        "Requests that can't be read.", lambda sources: sources.hub.counters.requests_malformed
    ),
    "pode_signals_references_refused_total": Number(
        "Requests with a bad X-PODE-SIGNAL-CLIENT-ID header.", lambda sources: sources.hub.counters.references_refused
    ),
    "pode_signals_defects_total": Number(
        "Exceptions in callbacks of this package: each is a defect of it.",
        lambda sources: (
            sources.hub.counters.callbacks_failed + sources.hub.backplane.counters.get("callbacks_failed", 0)
        ),
    ),
    "pode_signals_job_runs_total": Number(
        "Triggers of schedules and timers that ran a function.", _of_jobs(lambda job: job.count), labels=_JOB
    ),
    "pode_signals_job_failures_total": Number("Runs that raised.", _of_jobs(lambda job: job.failed), labels=_JOB),
    "pode_signals_job_skipped_total": Number(
        "Triggers that did not run their function.", _of_jobs(lambda job: job.skipped), labels=_JOB
    ),
    "pode_signals_job_next_run_timestamp_seconds": Number(
        "When the next trigger comes, in seconds since 1970; a job that has none is left out.",
        _of_jobs(_next),
        labels=_JOB,
    ),
    "pode_signals_job_running": Number(
        "1 while a run is under way, else 0.", _of_jobs(lambda job: int(job.running)), labels=_JOB
    ),
    "pode_signals_log_lines_suppressed_total": Number(
        "Log lines that the limit on lines left out.",
        lambda sources: dict(sources.hub.counters.lines_suppressed),
        labels=("kind",),
    ),
}
"""Each number by its name. Those that end in ``_total`` only grow."""
