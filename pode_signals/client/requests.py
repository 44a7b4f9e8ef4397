"""What a client wants to send, and the answers that it waits for. Nothing that was written is ever written again.

It knows no connection: the session asks for what is to be written, and tells what came.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen

from ..errors import MessageTooBig, ReplyError

__all__ = ["MOST_WAITING", "Requests", "Settled"]

MOST_WAITING: Final = 100
"""How many sends may wait while they can't be written."""

_TEXTS: Final = {
    "lost": "The connection ended before the answer came.",
    "timeout": "The answer did not come in time.",
    "closed": "The client is closed.",
}
# A list of ends may have so many that belong to nothing any more.
_MOST_STALE: Final = 64


@frozen
class Settled:
    """A send or a request has ended.

    Attributes:
        ticket: which one.
        data: the data of the reply; None for a send.
        error: why it failed; None where it did not.
    """

    ticket: int
    data: Any = None
    error: ReplyError | MessageTooBig | None = None


@frozen
class _Frame:
    """A frame that waits to be written. Its id is None where no answer is wanted."""

    text: bytes
    id: str | None


class Requests:
    """The sends and requests of one client, over all its connections.

    Args:
        settle: told of each that ends, once.
    """

    def __init__(self, settle: Callable[[Settled], object]) -> None:
        self._settle = settle
        # In the order of sending.
        self._waiting: dict[int, _Frame] = {}
        self._open: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._ends: list[tuple[float, int]] = []
        self._tickets = 0

    def __len__(self) -> int:
        """How many have not ended."""
        return len(self._waiting) + len(self._open)

    @property
    def due(self) -> float | None:
        """When the patience for one of them is over; None where there is none."""
        while self._ends and not self._is_under_way(self._ends[0][1]):
            heapq.heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def add(self, text: bytes, id: str | None, end: float) -> int:
        """Keep a frame that is to be written.

        Args:
            text: the frame.
            id: the id in it; None where no answer is wanted.
            end: until when the caller waits.

        Returns:
            The ticket, with which its end is told.

        Raises:
            ReplyError: too many frames wait already.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise ReplyError("lost", f"The connection takes nothing now, and {MOST_WAITING} sends wait already.")
        self._tickets += 1
        self._waiting[self._tickets] = _Frame(text, id)
        if len(self._ends) > 2 * len(self) + _MOST_STALE:
            self._ends = [each for each in self._ends if self._is_under_way(each[1])]
            heapq.heapify(self._ends)
        heapq.heappush(self._ends, (end, self._tickets))
        return self._tickets

    def to_write(self, max_message_bytes: int) -> bytes | None:
        """The next frame that is to be written now; None where none waits. A frame is given out once.

        Args:
            max_message_bytes: how large a frame the server takes. A larger one fails, and the next one is given.
        """
        while self._waiting:
            ticket = next(iter(self._waiting))
            frame = self._waiting.pop(ticket)
            if len(frame.text) > max_message_bytes:
                self._settle(Settled(ticket, error=MessageTooBig(len(frame.text), max_message_bytes)))
                continue
            if frame.id is None:
                self._settle(Settled(ticket))
            else:
                self._open[frame.id] = ticket
                self._ids[ticket] = frame.id
            return frame.text
        return None

    def answered(self, id: str, data: Any) -> bool:
        """A reply has come.

        Returns:
            Whether somebody waits for it. A reply that comes late is nobody's.
        """
        return self._answer(id, data, None)

    def refused(self, id: str, code: str, text: str) -> bool:
        """An error has come.

        Returns:
            Whether somebody waits for it.
        """
        return self._answer(id, None, ReplyError(code, text))

    def forget(self, ticket: int) -> None:
        """Nobody waits for this any more. If it is not written yet, it is not going to be."""
        self._waiting.pop(ticket, None)
        frame_id = self._ids.pop(ticket, None)
        if frame_id is not None:
            del self._open[frame_id]

    def expire(self, now: float) -> None:
        """End those whose time is over."""
        while (due := self.due) is not None and due <= now:
            _, ticket = heapq.heappop(self._ends)
            self._fail(ticket, "timeout")

    def lose_open(self) -> None:
        """The connection has ended. What is not written waits for the next one."""
        for ticket in list(self._ids):
            self._fail(ticket, "lost")

    def close(self) -> None:
        """The client is closed."""
        for ticket in [*self._ids, *self._waiting]:
            self._fail(ticket, "closed")
        self._ends.clear()

    def _is_under_way(self, ticket: int) -> bool:
        return ticket in self._waiting or ticket in self._ids

    def _answer(self, id: str, data: Any, error: ReplyError | None) -> bool:
        ticket = self._open.pop(id, None)
        if ticket is None:
            return False
        del self._ids[ticket]
        self._settle(Settled(ticket, data, error))
        return True

    def _fail(self, ticket: int, code: str) -> None:
        self.forget(ticket)
        self._settle(Settled(ticket, error=ReplyError(code, _TEXTS[code])))
