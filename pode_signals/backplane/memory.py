"""The backplane of a node that is alone, and the one that a hub has by default. Never leaves the process."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import cast

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..core.contracts import ClockLike
from ..errors import BackplaneUnavailable
from ..wire.message import Outgoing
from .contract import Answers, Question
from .memory_history import MemoryHistoryLog
from .memory_presence import MemoryPresence
from .memory_values import KeptValues

__all__ = ["MemoryBackplane"]

log = Logger()

_NODE_BYTES = 4


class MemoryBackplane:
    """Keeps :class:`~pode_signals.backplane.contract.Backplane` for one node, without waiting for anything.

    What it keeps it has from the first call on and loses with :meth:`stop`; then the backplane can be started again.

    Args:
        clock: has the time and the timers.
        total_history_bytes: the most that the logs of all names keep, places included: see
            :class:`~pode_signals.backplane.memory_history.MemoryHistoryLog`.
        remembered_bytes: the most that :meth:`remember` keeps, with 400 bytes for each key's place.

    Attributes:
        node: the name of this node, a random one.
        history: the logs of names.
        presence: who is connected.
        publish: gives a send or a close to this node: ``deliver`` itself, from :meth:`start` to :meth:`stop`.
    """

    publish: Callable[[Outgoing], None]

    def __init__(
        self, clock: ClockLike, *, total_history_bytes: int = 67_108_864, remembered_bytes: int = 16_777_216
    ) -> None:
        self._clock = clock
        self._values = KeptValues(remembered_bytes)
        self._answer: Callable[[Question], Deferred[bytes | None]] | None = None
        # In the order of asking.
        self._waiting: dict[Deferred[Answers], None] = {}
        self.node = secrets.token_hex(_NODE_BYTES)
        self.history = MemoryHistoryLog(clock, total_bytes=total_history_bytes)
        self.presence = MemoryPresence(clock)
        self.publish = _to_nobody

    def start(
        self,
        deliver: Callable[[Outgoing], None],
        changed: Callable[[str], None],
        answer: Callable[[Question], Deferred[bytes | None]],
    ) -> Deferred[None]:
        """Begin. A node that is alone is up all the time, so ``changed`` is never called."""
        self.publish = deliver
        self._answer = answer
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """End, and keep nothing."""
        self.publish = _to_nobody
        self._answer = None
        for waiting in tuple(self._waiting):
            waiting.cancel()
        self.history.clear()
        self.presence.clear()
        self._values.clear()
        return succeed(None)

    def ask(self, question: Question, timeout_seconds: float) -> Deferred[Answers]:
        """Ask this node itself. Another one that is asked is missing, as one that is gone would be."""
        asked = (self.node,) if question.nodes is None else question.nodes
        if self._answer is None or self.node not in asked:
            return succeed(Answers({}, asked))
        others = tuple(node for node in asked if node != self.node)

        def answered(body: bytes | None) -> Answers:
            return Answers({}, asked) if body is None else Answers({self.node: body}, others)

        def failed(failure: Failure) -> Answers:
            # Where the caller cancelled, the caller is to know; what stop() cancels is an answer that did not come.
            if failure.check(CancelledError) and self._answer is not None:
                failure.raiseException()
            if not failure.check(CancelledError, defer.TimeoutError):
                log.failure("A question of the kind {kind} has no answer.", failure, kind=question.kind)
            return Answers({}, asked)

        def over(result: Answers | Failure) -> Answers | Failure:
            del self._waiting[waiting]
            return result

        waiting = (
            self._answer(question)
            .addTimeout(timeout_seconds, cast(IReactorTime, self._clock))
            .addCallbacks(answered, failed)
        )
        self._waiting[waiting] = None
        return waiting.addBoth(over)

    def once(self, key: str, seconds: float) -> Deferred[bool]:
        """This node is the one, since there is no other; nothing needs to be kept for it."""
        return succeed(True)

    def remember(self, key: str, value: bytes, seconds: float) -> Deferred[None]:
        """Keep a value, where there is room."""
        if self._values.put(key, value, seconds, self._clock.seconds()):
            return succeed(None)
        return fail(BackplaneUnavailable("there is no room for another value"))

    def recall(self, key: str) -> Deferred[bytes | None]:
        """The value of a key."""
        return succeed(self._values.get(key, self._clock.seconds()))


def _to_nobody(outgoing: Outgoing) -> None:
    """No hub is there."""
