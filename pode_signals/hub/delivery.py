"""The result of one send: how many recipients got the message. It keeps no record of each recipient."""

from __future__ import annotations

from collections.abc import Generator
from contextvars import Context
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from ..core.history import Position
from .waiters import Waiters

__all__ = ["Answers", "Delivery", "Writer"]


class Writer(Protocol):
    """Holds the messages of this turn until they are written; fan-out is one."""

    def when_written(self) -> Deferred[None]:
        """A new Deferred that fires when all that was sent up to now has been written."""


class Answers(Protocol):
    """Who has answered an acknowledged send, as client ids. A collection is one, of this node's clients or of all."""

    @property
    def acknowledged(self) -> list[str]:
        """Those that have answered."""

    @property
    def unanswered(self) -> list[str]:
        """Those that were connected and have not answered."""

    @property
    def gone(self) -> list[str]:
        """Those that were not connected any more."""

    @property
    def silent_nodes(self) -> int:
        """How many nodes did not report the answers of their clients."""

    def when_settled(self) -> Deferred[None]:
        """A new Deferred that fires when no answer counts any more."""


class _Rest:
    """What only some deliveries have: those of acknowledged sends, and those to names that keep a history."""

    __slots__ = ("answers", "failure", "pending", "positions", "waiters")

    def __init__(self) -> None:
        self.answers: Answers | None = None
        # How many logs have not said yet that they have the message.
        self.pending = 0
        self.positions: list[Position] = []
        self.failure: Failure | None = None
        self.waiters: Waiters[None] = Waiters()

    def when_logged(self) -> Deferred[None]:
        return self.waiters.wait() if self.pending else succeed(None)


class Delivery:
    """The result of ``signals.send``: numbers that are final when ``send`` returns.

    ``await delivery`` waits for this turn's writing; of an acknowledged send, until each recipient has answered or is
    gone, or the timeout is over. A caller need not wait for it.

    ::

        delivery = await signals.send("soup", name="Rooms", acknowledge=True, timeout=3)
        print(len(delivery.acknowledged), "have it")

    Attributes:
        recipients: how many connections the message was for.
        sent: how many of these get it at once, with no other data waiting before it.
        queued: how many get it behind data that their client has not read yet.
        dropped: how many will not get it.
        refused: the names that a send to every name left out, because their broadcast level refused the send. Of a send
            to groups, only names that have one of these groups.
    """

    __slots__ = ("_rest", "_writer", "dropped", "queued", "recipients", "refused", "sent")

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._rest: _Rest | None = None
        self.recipients = 0
        self.sent = 0
        self.queued = 0
        self.dropped = 0
        self.refused: tuple[str, ...] = ()

    @property
    def logged(self) -> bool | None:
        """Whether the message is in the history of each of its names that keeps one; None where none of them does.

        It is known once the delivery was awaited; in memory, when ``send`` returns.
        """
        rest = self._rest
        if rest is None or not (rest.pending or rest.positions or rest.failure):
            return None
        return not rest.pending and rest.failure is None

    @property
    def position(self) -> str | None:
        """The message's place in the history of its one name, ``<epoch>.<offset>``; None where it is in no history."""
        rest = self._rest
        if rest is None or len(rest.positions) != 1:
            return None
        return f"{rest.positions[0].epoch}.{rest.positions[0].offset}"

    @property
    def acknowledged(self) -> tuple[str, ...]:
        """The client ids that have answered an acknowledged send, in the order of answering."""
        answers = self._answers
        return () if answers is None else tuple(answers.acknowledged)

    @property
    def unanswered(self) -> tuple[str, ...]:
        """The client ids of an acknowledged send that were connected at its end and have not answered.

        Clients of the plain protocol can't answer.
        """
        answers = self._answers
        return () if answers is None else tuple(answers.unanswered)

    @property
    def gone(self) -> tuple[str, ...]:
        """The client ids of an acknowledged send that have not answered and were not connected at its end."""
        answers = self._answers
        return () if answers is None else tuple(answers.gone)

    @property
    def silent_nodes(self) -> int:
        """How many other nodes did not report in time who has answered there.

        Their clients are among :attr:`unanswered`, as far as the nodes have said who these are.
        """
        answers = self._answers
        return 0 if answers is None else answers.silent_nodes

    def when_written(self) -> Deferred[Delivery]:
        """Wait for the end of this turn's writing, and for nobody's answer.

        Returns:
            A new Deferred that fires with this delivery once the frames were given to the transports; at once where
            they were given already. Cancelling this Deferred affects nothing else.
        """
        return self._writer.when_written().addCallback(lambda _: self)

    def __await__(self) -> Generator[Any, None, Delivery]:
        if self._rest is None:
            return self.when_written().__await__()
        return self._when_done(self._rest).__await__()

    def __repr__(self) -> str:
        return (
            f"<Delivery recipients={self.recipients} sent={self.sent} queued={self.queued} "
            f"dropped={self.dropped} refused={list(self.refused)}>"
        )

    # What sends call.

    def collects(self, answers: Answers) -> None:
        """The send is acknowledged."""
        self._more().answers = answers

    def follows_log(self, logged: Deferred[Position | None]) -> None:
        """The message was given to the log of a name.

        Args:
            logged: fires with the message's place; with None where the name keeps no history after all.
        """
        rest = self._more()
        rest.pending += 1
        logged.addCallbacks(self._is_logged, self._is_not_logged)

    def adds(self, other: Delivery) -> None:
        """Recipients were counted elsewhere."""
        self.recipients += other.recipients
        self.sent += other.sent
        self.queued += other.queued
        self.dropped += other.dropped

    @property
    def _answers(self) -> Answers | None:
        return None if self._rest is None else self._rest.answers

    def _more(self) -> _Rest:
        if self._rest is None:
            self._rest = _Rest()
        return self._rest

    def _is_logged(self, position: Position | None) -> None:
        if position is not None:
            self._more().positions.append(position)
        self._log_ended()

    def _is_not_logged(self, failure: Failure) -> None:
        # It goes to those who wait for the delivery, and to nobody else.
        self._more().failure = failure
        self._log_ended()

    def _log_ended(self) -> None:
        rest = self._more()
        rest.pending -= 1
        if not rest.pending:
            rest.waiters.fire(None, Context)

    async def _when_done(self, rest: _Rest) -> Delivery:
        await self._writer.when_written()
        await rest.when_logged()
        if rest.failure is not None:
            rest.failure.raiseException()
        if rest.answers is not None:
            await rest.answers.when_settled()
        return self
