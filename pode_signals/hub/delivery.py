"""What became of one send. It counts recipients; it keeps no record of each."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

from twisted.internet.defer import Deferred

__all__ = ["Delivery", "Writer"]


class Writer(Protocol):
    """What has the messages of this turn; fan-out is one."""

    def when_written(self) -> Deferred[None]:
        """A new Deferred that fires when all that was sent up to now has been written."""


class Delivery:
    """The result of ``signals.send``: numbers that are final when ``send`` returns.

    ``await delivery`` waits for this turn's writing; nobody has to.

    Attributes:
        recipients: how many connections the message was for.
        sent: of these, how many transports took it with nothing waiting ahead.
        queued: how many have it behind data that their client has not read yet.
        dropped: how many will not get it.
        refused: names left out of a send to every name because their broadcast level refused; of a send to groups,
            names that have one of these.
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
            A new Deferred that fires with this delivery once the frames were handed to the transports; at once where
            that is done. Cancelling it affects nothing else.
        """
        return self._writer.when_written().addCallback(lambda _: self)

    def __await__(self) -> Generator[Any, None, Delivery]:
        return self.when_written().__await__()

    def __repr__(self) -> str:
        return (
            f"<Delivery recipients={self.recipients} sent={self.sent} queued={self.queued} "
            f"dropped={self.dropped} refused={list(self.refused)}>"
        )
