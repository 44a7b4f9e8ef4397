"""The counters of a hub: plain numbers that only grow. Nothing here counts by itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import define

from .descriptions import described, with_descriptions

__all__ = ["Counters"]


def _number(text: str) -> Any:
    return described(text, default=0)


def _numbers(text: str) -> Any:
    return described(text, factory=Counter)


@with_descriptions
@define
class Counters:
    """Everything that happened since the hub was made."""

    connections_opened: int = _number("Requests that became connections.")
    connections_closed: Counter[str] = _numbers(
        "Connections that ended, by the side that closed: ``client``, ``server``, ``timeout``, ``error``, ``shutdown``."
    )
    upgrades_refused: Counter[tuple[str, int]] = _numbers(
        "WebSocket handshakes that became no connection, by the error and the HTTP status."
    )
    requests_refused: Counter[int] = _numbers(
        "Refused requests that were no WebSocket handshakes, by the HTTP status: 421 for a Host that is not served, 426"
        " where only WebSocket handshakes are served."
    )
    messages_received: int = _number("Text messages of clients.")
    received_bytes: int = _number("Bytes of these messages. They are counted only while there are metrics.")
    messages_bad: int = _number("Texts of clients that could not be read as messages.")
    messages_refused: int = _number(
        "Messages of clients that a broadcast level, or the signature of a client id, did not allow."
    )
    messages_unrouted_dropped: int = _number("Messages without a signal route that ``Unrouted.DROP`` dropped.")
    messages_sent_on: int = _number("Messages of clients without a signal route that were sent to others.")
    recipients_sent: int = _number("Deliveries that the transport took at once, with nothing waiting ahead of them.")
    recipients_queued: int = _number("Deliveries that wait behind unsent data.")
    sent_bytes: int = _number(
        "Bytes of frames that transports took, without pings and closes. They are counted only while there are metrics."
    )
    dropped_by: Counter[str] = _numbers(
        "Deliveries that were given up, by cause: ``slow_closed`` and ``shed`` where a client was closed because its"
        " own queue or all queues together were full, ``displaced`` and ``newest`` where a full queue dropped older"
        " messages or the new one, ``closed`` where the connection had ended, ``write_failed`` where its transport"
        " failed. ``recipients_dropped`` is their sum."
    )
    sends: int = _number("Sends that had something to say, ``messages_sent_on`` among them.")
    limits_hit: Counter[str] = _numbers("How often a limit acted, by the name of its setting.")
    functions_failed: int = _number("Functions of yours that raised an exception.")
    functions_timed_out: int = _number("Functions of yours that were cancelled at their time limit.")
    callbacks_failed: int = _number(
        "Callbacks of the protocol, or of a backplane, that raised an exception. Each is a defect of this package."
    )
    requests_malformed: int = _number(
        "Requests that were answered with 400: unreadable ones, those with a bad Host (WebSocket handshakes excepted),"
        " and those whose path is not UTF-8."
    )
    forms_too_large: int = _number(
        "Forms that were answered with 413 because they have too many fields, or because the heads of their parts are"
        " too large."
    )
    accepts_failed: int = _number(
        "Clients that the server could not accept, because no file descriptor was left or the operating system reported"
        " another error."
    )
    posts_taken: int = _number("POSTs of clients of server-sent events whose frames were taken.")
    posts_refused: Counter[int] = _numbers(
        "POSTs and DELETEs of clients of server-sent events that were refused, by the HTTP status."
    )
    resumes: Counter[str] = _numbers(
        "Clients that came back with a position: ``recovered`` where they get all that they missed, ``lost`` where they"
        " were told that messages may be lost."
    )
    resume_tokens_refused: Counter[str] = _numbers("Resume tokens that did not count, by the reason.")
    resume_tokens_left_out: int = _number("Resume tokens that would have been too long, and were not given.")
    signals_replayed: int = _number("Messages of a history that were sent to a client that had missed them.")
    acknowledgements: Counter[str] = _numbers(
        "Recipients of acknowledged sends, by the outcome: ``acknowledged``, ``unanswered``, ``gone``."
    )
    acknowledgements_ignored: int = _number("Acknowledgements of clients that were unknown, late, or came twice.")
    replies_given: int = _number("Answers to messages of clients that had an id, errors left out.")
    replies_failed: int = _number("Messages of clients that had an id, and that were answered with an error.")
    refreshes: Counter[str] = _numbers(
        "Connections that were to be renewed: ``accepted`` and ``refused`` by ``refresh_check``, and ``expired`` where"
        " nobody renewed the connection in time."
    )
    presence_changes: Counter[str] = _numbers(
        "Clients of which others were told, after the grace: ``join`` and ``leave``."
    )
    references_refused: int = _number("Requests with a bad X-PODE-SIGNAL-CLIENT-ID header.")
    backplane_reconnects: int = _number("How often the other nodes could be reached again.")
    requests_answered: Counter[str] = _numbers(
        "Answers on the ports of ``SignalsService``, by the class of their status: ``1xx`` (connections) to ``5xx``."
    )
    lines_suppressed: Counter[str] = _numbers(
        "Log lines that were left out, by their kind: of each kind ten a minute are written."
    )
    schedule_triggers_skipped: int = _number(
        "Runs of schedules that were left out, because the clock had jumped or the run before was not over."
    )

    @property
    def recipients_dropped(self) -> int:
        """Deliveries that were given up, whatever the cause."""
        return self.dropped_by.total()
