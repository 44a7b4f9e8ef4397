"""The backplane of a node that is alone, which a hub has by default. It sends nothing out of the process."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
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
    """Follows the contract :class:`~pode_signals.backplane.contract.Backplane` for one node, and never has to wait.

    It keeps logs, members and values from the first call on, also before :meth:`start`, and forgets them all at
    :meth:`stop`. Afterwards it can be started again.

    Args:
        clock: gives the time and the timers.
        total_history_bytes: how many bytes the logs of all names may keep, with their places: see
            :class:`~pode_signals.backplane.memory_history.MemoryHistoryLog`.
        call_in_background: gives timers that a test does not find in the reactor; None is the clock.
        remembered_bytes: how many bytes :meth:`remember` may keep, with 400 bytes for the place of each key.

    Attributes:
        node: the random name of this node.
        history: the logs of names.
        presence: the connected clients.
        publish: gives a send or a close to this node; from :meth:`start` to :meth:`stop` it is ``deliver`` itself.
        is_alone: True.
        secret: None.
        counters: nothing: a node that is alone loses nothing on the way to others.
    """

    publish: Callable[[Outgoing], None]
    is_alone = True
    secret = None
    counters: Mapping[str, int] = MappingProxyType({})

    def __init__(
        self,
        clock: ClockLike,
        *,
        total_history_bytes: int = 67_108_864,
        remembered_bytes: int = 16_777_216,
        call_in_background: Callable[..., IDelayedCall] | None = None,
    ) -> None:
        self._clock = clock
        self._values = KeptValues(remembered_bytes)
        self._answer: Callable[[Question], Deferred[bytes | None]] | None = None
        # The Deferreds of questions without an answer yet, in the order of asking.
        self._waiting: dict[Deferred[Answers], None] = {}
        self.node = secrets.token_hex(_NODE_BYTES)
        self.history = MemoryHistoryLog(clock, total_bytes=total_history_bytes)
        self.presence = MemoryPresence(clock, call_in_background)
        self.publish = _to_nobody

    def start(
        self,
        deliver: Callable[[Outgoing], None],
        changed: Callable[[str], None],
        answer: Callable[[Question], Deferred[bytes | None]],
        taken: Callable[[str, str], None],
    ) -> Deferred[None]:
        """Begin. A node that is alone has always the same state, and nobody takes its members."""
        self.publish = deliver
        self._answer = answer
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """End, and forget all logs, members and values."""
        self.publish = _to_nobody
        self._answer = None
        for waiting in tuple(self._waiting):
            waiting.cancel()
        self.history.clear()
        self.presence.clear()
        self._values.clear()
        return succeed(None)

    def ask(self, question: Question, timeout_seconds: float) -> Deferred[Answers]:
        """Ask this node itself. All other nodes that are asked are gone: there are none."""
        asked = (self.node,) if question.nodes is None else question.nodes
        others = tuple(node for node in asked if node != self.node)
        if self._answer is None or self.node not in asked:
            return succeed(Answers({}, asked, others))

        def answered(body: bytes | None) -> Answers:
            return Answers({}, asked, others) if body is None else Answers({self.node: body}, others, others)

        def failed(failure: Failure) -> Answers:
            # A caller that cancels gets the CancelledError. A question that stop() cancels is one whose answer did not
            # come in time.
            if failure.check(CancelledError) and self._answer is not None:
                failure.raiseException()
            if not failure.check(CancelledError, defer.TimeoutError):
                log.failure("A question of the kind {kind} has no answer.", failure, event="defect", kind=question.kind)
            return Answers({}, asked, others)

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
        """True: there is no other node, so this node is always the one, and nothing has to be kept for that."""
        return succeed(True)

    def remember(self, key: str, value: bytes, seconds: float) -> Deferred[None]:
        """Keep a value, if there is room."""
        if self._values.put(key, value, seconds, self._clock.seconds()):
            return succeed(None)
        return fail(BackplaneUnavailable("there is no room for another value"))

    def recall(self, key: str) -> Deferred[bytes | None]:
        """The value of a key."""
        return succeed(self._values.get(key, self._clock.seconds()))


def _to_nobody(outgoing: Outgoing) -> None:
    """Stands in place of ``deliver`` while no hub is there."""
