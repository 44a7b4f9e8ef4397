"""What clients have sent and no function has taken yet: bounded for each of them, and for all together.

Nothing of it is ever lost: whose messages wait is read no further. Only a message that is not complete can be given up,
with its connection, since nobody but its client can end it.
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
        waiting_bytes: what waits in all inboxes.
        waiting_connections: how many connections have messages that wait.
        incomplete_bytes: what has come of messages that are not complete.
        is_full: whether whoever keeps the hub busy is read no further, because both together were too much; until a
            quarter of the bound is free again.
    """

    def __init__(self, runtime: Runtime, links: Callable[[], Iterable[Link]]) -> None:
        settings = runtime.settings
        self._max_messages = settings.max_pending_messages
        self._max_bytes = settings.inbox_bytes
        self._max_total_bytes = settings.total_inbox_bytes
        self._reports = runtime.reports
        self._links = links
        # Connections whose message is not complete, by how long it has been coming, and what there is of it.
        self._incomplete: OrderedDict[Link, int] = OrderedDict()
        self.waiting_bytes = 0
        self.waiting_connections = 0
        self.incomplete_bytes = 0
        self.is_full = False

    def put(self, link: Link, payload: bytes) -> None:
        """A message has to wait. It always can; where that is enough for now, nothing more is read."""
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
            elif inbox.size_bytes + len(payload) > self._max_bytes:  # another one like this would be too much
                self._read_no_further(link, "inbox_bytes")
            elif self.is_full:
                link.pause_reading()
        self._look_at_total()

    def take(self, link: Link, inbox: Inbox) -> bytes:
        """The message that waits longest in an inbox that has one; its connection is read on where few are left."""
        payload = inbox.popleft()
        if not inbox:
            self.waiting_connections -= 1
        inbox.size_bytes -= len(payload)
        self.waiting_bytes -= len(payload)
        self._look_at_total()
        few = len(inbox) <= self._max_messages // 4 and inbox.size_bytes <= self._max_bytes // 4
        if link.reading_paused and few and not self.is_full:
            link.resume_reading()
        return payload

    def is_busy(self, link: Link) -> None:
        """A function goes on: while there is no room, nothing is read that would have to wait for its end."""
        if self.is_full and not link.reading_paused:
            link.pause_reading()

    def is_idle(self, link: Link) -> None:
        """Nothing waits any more, and no function runs."""
        link.inbox = None
        if link.reading_paused:
            link.resume_reading()

    def incomplete(self, link: Link, size_bytes: int) -> None:
        """So much has come of a message that is not complete; 0 where it is, or will not be any more."""
        self.incomplete_bytes += size_bytes - self._incomplete.get(link, 0)
        if size_bytes:
            self._incomplete[link] = size_bytes
        else:
            self._incomplete.pop(link, None)
        self._look_at_total()
        # Half of the room is theirs even where inboxes fill the rest: those will be emptied by functions.
        while self.is_full and self.incomplete_bytes > self._max_total_bytes // 2 and len(self._incomplete) > 1:
            self._give_up(next(iter(self._incomplete)))

    def _look_at_total(self) -> None:
        total_bytes = self.waiting_bytes + self.incomplete_bytes
        if not self.is_full and total_bytes > self._max_total_bytes:
            self.is_full = True
            self._reports.limit(
                "total_inbox_bytes",
                "{size_bytes} bytes of clients wait: no client is read further whose messages wait or are handled",
                size_bytes=total_bytes,
            )
            for link in self._links():
                busy = link.is_connecting if link.intake is None else link.intake.busy
                if busy and not link.reading_paused:
                    link.pause_reading()
        elif self.is_full and total_bytes <= self._max_total_bytes // 4 * 3:
            self.is_full = False

    def _read_no_further(self, link: Link, setting: str) -> None:
        self._reports.limit(
            setting,
            "connection {client_id}: read no further until its functions have ended",
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
