"""What clients have sent and no function has taken yet: bounded for each of them, and for all together.

Nothing of it is ever lost: whose messages wait is read no further. Only a message that is not complete can be given up,
with its connection, since nobody but its client can end it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..core.model import ClosedBy
from ..core.settings import Settings
from ..wire.frames import CloseCode
from .reports import Reports

if TYPE_CHECKING:
    from .connection import SignalConnection

__all__ = ["Inbox", "Inboxes"]

_TRY_AGAIN_LATER = CloseCode.TRY_AGAIN_LATER


class Inbox(deque[bytes]):
    """The messages of one connection that wait, undecoded.

    Attributes:
        size_bytes: how much they are.
    """

    __slots__ = ("size_bytes",)

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = 0


class Inboxes:
    """The inboxes of one hub.

    Args:
        settings: ``max_pending_messages``, ``inbox_bytes`` and ``total_inbox_bytes``.
        reports: where limits that act are counted and logged.
        open_connections: gives all connections.

    Attributes:
        waiting_bytes: what waits in all inboxes.
        incomplete_bytes: what has come of messages that are not complete.
        is_full: whether whoever keeps the hub busy is read no further, because both together were too much; until a
            quarter of the bound is free again.
    """

    def __init__(
        self, settings: Settings, reports: Reports, open_connections: Callable[[], Iterable[SignalConnection]]
    ) -> None:
        self._max_messages = settings.max_pending_messages
        self._max_bytes = settings.inbox_bytes
        self._max_total_bytes = settings.total_inbox_bytes
        self._reports = reports
        self._open_connections = open_connections
        # Connections whose message is not complete, by how long it has been coming, and what there is of it.
        self._incomplete: OrderedDict[SignalConnection, int] = OrderedDict()
        self.waiting_bytes = 0
        self.incomplete_bytes = 0
        self.is_full = False

    def put(self, connection: SignalConnection, payload: bytes) -> None:
        """A message has to wait. It always can; where that is enough for now, nothing more is read."""
        inbox = connection.inbox
        if inbox is None:
            inbox = connection.inbox = Inbox()
        inbox.append(payload)
        inbox.size_bytes += len(payload)
        self.waiting_bytes += len(payload)
        if not connection.reading_paused:
            if len(inbox) >= self._max_messages:
                self._read_no_further(connection, "max_pending_messages")
            elif inbox.size_bytes + len(payload) > self._max_bytes:  # another one like this would be too much
                self._read_no_further(connection, "inbox_bytes")
            elif self.is_full:
                connection.pause_reading()
        self._look_at_total()

    def take(self, connection: SignalConnection, inbox: Inbox) -> bytes:
        """The message that waits longest in an inbox that has one; its connection is read on where few are left."""
        payload = inbox.popleft()
        inbox.size_bytes -= len(payload)
        self.waiting_bytes -= len(payload)
        self._look_at_total()
        few = len(inbox) <= self._max_messages // 4 and inbox.size_bytes <= self._max_bytes // 4
        if connection.reading_paused and few and not self.is_full:
            connection.resume_reading()
        return payload

    def is_busy(self, connection: SignalConnection) -> None:
        """A function goes on: while there is no room, nothing is read that would have to wait for its end."""
        if self.is_full and not connection.reading_paused:
            connection.pause_reading()

    def is_idle(self, connection: SignalConnection) -> None:
        """Nothing waits any more, and no function runs."""
        connection.inbox = None
        connection.busy = False
        if connection.reading_paused:
            connection.resume_reading()

    def incomplete(self, connection: SignalConnection, size_bytes: int) -> None:
        """So much has come of a message that is not complete; 0 where it is, or will not be any more."""
        self.incomplete_bytes += size_bytes - self._incomplete.get(connection, 0)
        if size_bytes:
            self._incomplete[connection] = size_bytes
        else:
            self._incomplete.pop(connection, None)
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
            for connection in self._open_connections():
                if connection.busy and not connection.reading_paused:
                    connection.pause_reading()
        elif self.is_full and total_bytes <= self._max_total_bytes // 4 * 3:
            self.is_full = False

    def _read_no_further(self, connection: SignalConnection, setting: str) -> None:
        self._reports.limit(
            setting,
            "connection {client_id}: read no further until its functions have ended",
            client_id=connection.client_id,
        )
        connection.pause_reading()

    def _give_up(self, connection: SignalConnection) -> None:
        self.incomplete_bytes -= self._incomplete.pop(connection)
        self._reports.limit(
            "total_inbox_bytes",
            "connection {client_id}: no room for the rest of its message: closed",
            client_id=connection.client_id,
        )
        connection.shut(_TRY_AGAIN_LATER, "no room for messages", ClosedBy.ERROR)
