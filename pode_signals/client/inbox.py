"""The events that wait for the application, and the answers that signals ask for. It reads and writes nothing."""

from __future__ import annotations

from collections import deque
from typing import Final

from attrs import frozen

from .events import ClientEvent, Closed

__all__ = ["Acknowledgement", "Inbox"]

# Senders wait for a minute at most, so many older answers are worth nothing.
_MOST_OWED: Final = 100


@frozen
class Acknowledgement:
    """The answer that a signal asks for, once the application has taken the signal.

    Attributes:
        id: the ``ack`` of the signal.
        client_id: the client that the signal came to. The server counts clients, so another connection of the same
            client can give the answer.
    """

    id: str
    client_id: str


class Inbox:
    """The events of one client, over all its connections. None is lost with a connection.

    Args:
        limit: how many may wait until the client reads no further; with 0 none is kept but the last, that it is closed.

    Attributes:
        is_full: whether the client reads no further. It reads again when half of the events have been taken.
    """

    def __init__(self, limit: int) -> None:
        self.is_full = False
        self._limit = limit
        self._waiting: deque[tuple[ClientEvent, Acknowledgement | None]] = deque()
        self._owed: deque[Acknowledgement] = deque(maxlen=_MOST_OWED)

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._waiting)

    def put(self, event: ClientEvent, acknowledgement: Acknowledgement | None = None) -> None:
        """Keep an event, with the answer that it asks for."""
        if self._limit or isinstance(event, Closed):
            self._waiting.append((event, acknowledgement))
            self.is_full = self.is_full or len(self._waiting) >= self._limit > 0

    def take(self) -> tuple[ClientEvent, Acknowledgement | None] | None:
        """The next event; None where none waits."""
        if not self._waiting:
            return None
        taken = self._waiting.popleft()
        if len(self._waiting) <= self._limit // 2:
            self.is_full = False
        return taken

    def owe(self, acknowledgement: Acknowledgement) -> None:
        """Keep an answer that no connection can take now."""
        self._owed.append(acknowledgement)

    def take_owed(self) -> list[Acknowledgement]:
        """The answers that could not be given yet."""
        owed = list(self._owed)
        self._owed.clear()
        return owed
