"""The result of one send: how many recipients got the message. It keeps no record of each recipient."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

from twisted.internet.defer import Deferred

__all__ = ["Delivery", "Writer"]


class Writer(Protocol):
    """Holds the messages of this turn until they are written; fan-out is one."""

    def when_written(self) -> Deferred[None]:
        """A new Deferred that fires when all that was sent up to now has been written."""


class Delivery:
    """The result of ``signals.send``: numbers that are final when ``send`` returns.

    ``await delivery`` waits for this turn's writing. A caller need not wait for it.

    Attributes:
        recipients: how many connections the message was for.
        sent: how many of these get it at once, with no other data waiting before it.
        queued: how many get it behind data that their client has not read yet.
        dropped: how many will not get it.
        refused: the names that a send to every name left out, because their broadcast level refused the send. Of a send
            to groups, only names that have one of these groups.
    """

    __slots__ = ("_writer", "dropped", "queued", "recipients", "refused", "sent")

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.recipients = 0
        self.sent = 0
        self.queued = 0
        self.dropped = 0
        self.refused: tuple[str, ...] = ()

    def when_written(self) -> Deferred[Delivery]:
        """Wait for the end of this turn's writing.

        Returns:
            A new Deferred that fires with this delivery once the frames were given to the transports; at once where
            they were given already. Cancelling this Deferred affects nothing else.
        """
        return self._writer.when_written().addCallback(lambda _: self)

    def __await__(self) -> Generator[Any, None, Delivery]:
        return self.when_written().__await__()

    def __repr__(self) -> str:
        return (
            f"<Delivery recipients={self.recipients} sent={self.sent} queued={self.queued} "
            f"dropped={self.dropped} refused={list(self.refused)}>"
        )
