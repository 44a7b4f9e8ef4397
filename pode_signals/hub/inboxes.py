"""Messages of clients that wait for a function, bounded for each client and for all together. It never drops a message.

In place of that, the hub stops reading from clients whose messages wait. Only a message that is not complete can be
given up, together with its connection: its client alone could complete it, and perhaps never does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from ..core.model import ClosedBy
from ..wire.frames import CloseCode
from .link import Link
from .records import Inbox
from .runtime import Runtime

__all__ = ["Inboxes"]

_TRY_AGAIN_LATER = CloseCode.TRY_AGAIN_LATER


class Inboxes:
    """The inboxes of one hub.

    Args:
        runtime: the surroundings.
        links: gives all connections.

    Attributes:
        waiting_bytes: the size of all messages that wait in inboxes.
        waiting_connections: how many connections have messages that wait.
        incomplete_bytes: how many bytes have come of messages that are not complete.
        is_full: whether both together have passed ``total_inbox_bytes``. Until a quarter of that bound is free again,
            the hub reads nothing from clients whose messages wait or are being handled.
    """

    def __init__(self, runtime: Runtime, links: Callable[[], Iterable[Link]]) -> None:
        settings = runtime.settings
        self._max_messages = settings.max_pending_messages
        self._max_bytes = settings.inbox_bytes
        self._max_total_bytes = settings.total_inbox_bytes
        self._reports = runtime.reports
        self._links = links
        # How many bytes have come of the incomplete message of a connection. The connection whose message began first
        # is the first one.
        self._incomplete: OrderedDict[Link, int] = OrderedDict()
        self.waiting_bytes = 0
        self.waiting_connections = 0
        self.incomplete_bytes = 0
        self.is_full = False

    def put(self, link: Link, payload: bytes) -> None:
        """Have a message wait, and pause reading where enough messages wait.

        A message that has been read is always taken, since its bytes are in memory already.
        """
        inbox = link.inbox
        if inbox is None:
            inbox = link.inbox = Inbox()
        if not inbox:
            self.waiting_connections += 1
        inbox.append(payload)
        inbox.size_bytes += len(payload)
        self.waiting_bytes += len(payload)
        if not link.reading_paused:
            if len(inbox) >= self._max_messages:
                self._read_no_further(link, "max_pending_messages")
            # Reading pauses one message early: another message of this size would pass the bound.
            elif inbox.size_bytes + len(payload) > self._max_bytes:
                self._read_no_further(link, "inbox_bytes")
            elif self.is_full:
                link.pause_reading()
        self._look_at_total()

    def take(self, link: Link, inbox: Inbox) -> bytes:
        """Take out the message that has waited longest. Reading goes on where few messages are left.

        Args:
            link: the connection.
            inbox: its inbox, which is not empty.
        """
        payload = inbox.popleft()
        if not inbox:
            self.waiting_connections -= 1
        inbox.size_bytes -= len(payload)
        self.waiting_bytes -= len(payload)
        self._look_at_total()
        # A quarter, so that reading is not paused and resumed for each single message.
        few = len(inbox) <= self._max_messages // 4 and inbox.size_bytes <= self._max_bytes // 4
        if link.reading_paused and few and not self.is_full:
            link.resume_reading()
        return payload

    def is_busy(self, link: Link) -> None:
        """A function goes on. Where all inboxes together are full, the client is not read until the function ends."""
        if self.is_full and not link.reading_paused:
            link.pause_reading()

    def is_idle(self, link: Link) -> None:
        """No message waits any more, and no function runs: reading goes on."""
        link.inbox = None
        if link.reading_paused:
            link.resume_reading()

    def incomplete(self, link: Link, size_bytes: int) -> None:
        """Say how much has come of a message that is not complete.

        Args:
            link: the connection.
            size_bytes: how many bytes have come; 0 where the message is complete, or its connection ends.
        """
        self.incomplete_bytes += size_bytes - self._incomplete.get(link, 0)
        if size_bytes:
            self._incomplete[link] = size_bytes
        else:
            self._incomplete.pop(link, None)
        self._look_at_total()
        # Incomplete messages may fill half of the room, even where inboxes fill the other half: functions will empty
        # the inboxes, and the hub can wait for that. The message that began first is given up first. The last one is
        # kept, so that a single large message can always be completed.
        while self.is_full and self.incomplete_bytes > self._max_total_bytes // 2 and len(self._incomplete) > 1:
            self._give_up(next(iter(self._incomplete)))

    def _look_at_total(self) -> None:
        total_bytes = self.waiting_bytes + self.incomplete_bytes
        if not self.is_full and total_bytes > self._max_total_bytes:
            self.is_full = True
            self._reports.limit(
                "total_inbox_bytes",
                "{size_bytes} bytes of messages wait: clients whose messages wait or are handled are not read further",
                size_bytes=total_bytes,
            )
            # Clients whose messages neither wait nor are handled are read on: a message of theirs that comes in is
            # handled at once, and is_busy pauses reading then.
            for link in self._links():
                busy = link.is_connecting if link.intake is None else link.intake.busy
                if busy and not link.reading_paused:
                    link.pause_reading()
        # Three quarters and not the whole, so that this does not change back and forth with each message.
        elif self.is_full and total_bytes <= self._max_total_bytes // 4 * 3:
            self.is_full = False

    def _read_no_further(self, link: Link, setting: str) -> None:
        self._reports.limit(
            setting,
            "connection {client_id}: its socket is not read until its functions have ended",
            client_id=link.client_id,
        )
        link.pause_reading()

    def _give_up(self, link: Link) -> None:
        self.incomplete_bytes -= self._incomplete.pop(link)
        self._reports.limit(
            "total_inbox_bytes",
            "connection {client_id}: no room for the rest of its message: closed",
            client_id=link.client_id,
        )
        link.shut(_TRY_AGAIN_LATER, "no room for messages", ClosedBy.ERROR)
