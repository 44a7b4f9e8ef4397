"""This node among the others: its backplane from start to stop, its state, and what nodes ask each other.

It decides nothing about connections. It is the fence around all that a backplane over a network calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from ..backplane.contract import Answers, Backplane, Question
from ..backplane.memory import MemoryBackplane
from ..errors import BackplaneUnavailable
from ..wire.message import Outgoing
from .clocks import call_in_background
from .runtime import Runtime

__all__ = ["NOT_STARTED", "UP", "Node"]

UP = "up"
"""The state of a node that reaches the others, and of one that is alone."""
NOT_STARTED = "not started"
"""The state of a node before its backplane has told another one, and after its stop."""
_STOP_SECONDS = 5.0
"""How long a stop waits until the other nodes know."""

Answer = Callable[[bytes], Deferred[bytes | None]]


class Node:
    """One node of an application.

    Args:
        runtime: the surroundings.
        backplane: what the node shares with others; None is one in memory, with which the node is alone.

    Attributes:
        backplane: as above.
        is_alone: whether there never is another node.
        state: ``"up"``, or why the nodes can't reach each other.
        answers: for each kind of question, the function that gets the body of one and gives the answer.
        started: called when the node has been started, with whether it had been before: then its backplane knows
            nothing of what it knew.
    """

    _log = Logger()

    def __init__(self, runtime: Runtime, backplane: Backplane | None) -> None:
        self._runtime = runtime
        self.backplane: Backplane = backplane or MemoryBackplane(
            runtime.late_clock,
            total_history_bytes=runtime.settings.total_history_bytes,
            call_in_background=lambda delay, function: call_in_background(runtime.clock, delay, function),
        )
        self.is_alone = self.backplane.is_alone
        self.state = UP if self.is_alone else NOT_STARTED
        self.answers: dict[str, Answer] = {}
        self.started: Callable[[bool], None] = lambda _is_restart: None
        self._deliver: Callable[[Outgoing], None] = lambda _outgoing: None
        self._taken: Callable[[str, str], None] = lambda _name, _client_id: None
        # How many have started the node and not stopped it: several services may have one hub.
        self._starts = 0
        self._was_started = False
        self._was_up = False
        # Those who wait for the end of a stop; None where none is under way.
        self._stopping: list[Deferred[None]] | None = None

    def serve(self, deliver: Callable[[Outgoing], None], taken: Callable[[str, str], None]) -> None:
        """Say who gets what other nodes send. A node that is alone has nothing to wait for, and starts now.

        Args:
            deliver: delivers a send or a close here.
            taken: is told of a name and a client id that another node has taken over.
        """
        self._deliver, self._taken = deliver, taken
        if self.is_alone:
            self.backplane.start(deliver, self._changed, self._answer, taken)

    def start(self) -> None:
        """Begin to share with other nodes, which may take a while; this node works meanwhile."""
        # Where a stop is under way, this node begins once that is over.
        if not self._starts and not self.is_alone and self._stopping is None:
            self._begin()
        self._starts += 1

    def _begin(self) -> None:
        backplane = self.backplane
        started = backplane.start(self._delivered, self._changed, self._answer, self._was_taken)
        # A stop ends the wait.
        started.addErrback(lambda failure: failure.trap(CancelledError) and None)
        started.addErrback(self._failed, "the backplane can't be started")
        self.started(self._was_started)
        self._was_started = True

    def stop(self) -> Deferred[None]:
        """End what :meth:`start` began, unless somebody else has started the node too.

        Returns:
            Fires once the other nodes know, after some seconds at the latest.
        """
        was_running = self._starts == 1
        self._starts = max(0, self._starts - 1)
        if self.is_alone or not was_running:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        if self._stopping is not None:
            # It has been started and stopped once more meanwhile.
            self._stopping.append(waiting)
            return waiting
        self._stopping = [waiting]
        self.state = NOT_STARTED

        def failed(failure: Failure) -> None:
            if not failure.check(DeferTimeout):
                self._failed(failure, "the backplane can't be stopped")

        def stopped(_: None) -> None:
            assert self._stopping is not None
            waiting, self._stopping = self._stopping, None
            if self._starts:
                self._begin()
            for each in waiting:
                each.callback(None)

        stopping = self.backplane.stop().addTimeout(_STOP_SECONDS, self._runtime.clock)
        stopping.addErrback(failed).addCallback(stopped)
        return waiting

    def check_started(self) -> None:
        """Tell of a program that has clients and has not started its node: what it sends reaches nobody."""
        if not self._starts and not self._was_started:
            self._runtime.reports.write(
                "not_started",
                "a client has come, and the backplane is not started, so no message reaches anybody: a program without"
                " SignalsService has to call signals.start_backplane()",
                event="backplane.not_started",
            )

    def ask(
        self, kind: str, body: bytes, timeout_seconds: float, nodes: tuple[str, ...] | None = None
    ) -> Deferred[Answers]:
        """Ask nodes; None is every node, this one among them. Fails with BackplaneUnavailable."""
        return maybeDeferred(self.backplane.ask, Question(kind, body, nodes), timeout_seconds)

    def gather(
        self, kind: str, body: bytes, timeout_seconds: float, nodes: tuple[str, ...] | None = None
    ) -> Deferred[Answers]:
        """As :meth:`ask`, and never fails: where no node can be reached, nobody has answered. A defect is logged."""

        def nobody(failure: Failure) -> Answers:
            if failure.check(BackplaneUnavailable, CancelledError) is None:
                self._failed(failure, "a question to other nodes has failed")
            return Answers({})

        return self.ask(kind, body, timeout_seconds, nodes).addErrback(nobody)

    # What the backplane calls.

    def fenced(self, function: Callable[..., Any]) -> Callable[..., None]:
        """A function that a backplane may call: what it raises is logged here, and does no harm to the backplane."""
        if self.is_alone:
            return function

        def called(*args: Any) -> None:
            try:
                function(*args)
            except Exception:
                self._failed(None, "what another node has told failed here")

        return called

    def _delivered(self, outgoing: Outgoing) -> None:
        # A send of this node is delivered in the call that sends it, which has to hear of a failure.
        if outgoing.tally is not None:
            self._deliver(outgoing)
            return
        try:
            self._deliver(outgoing)
        except Exception:
            self._failed(None, "what another node has sent failed here")

    def _was_taken(self, name: str, client_id: str) -> None:
        try:
            self._taken(name, client_id)
        except Exception:
            self._failed(None, "what another node has told failed here")

    def _answer(self, question: Question) -> Deferred[bytes | None]:
        answer = self.answers.get(question.kind)
        if answer is None:
            return succeed(None)
        try:
            return answer(question.body)
        except Exception:
            self._failed(None, "a question of another node failed here")
            return succeed(None)

    def _changed(self, state: str) -> None:
        if state == self.state:
            return
        self.state = state
        if state == UP:
            self._runtime.counters.backplane_reconnects += self._was_up
            self._was_up = True
        level = LogLevel.info if state == UP else LogLevel.warn
        event = "backplane.up" if state == UP else "backplane.away"
        self._log.emit(level, "backplane: {state}", event=event, state=state)

    def _failed(self, failure: Failure | None, text: str) -> None:
        self._runtime.counters.callbacks_failed += 1
        self._runtime.reports.failure("backplane", text, failure)
