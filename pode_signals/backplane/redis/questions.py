"""Questions of one node to others, and their answers, by the channels of the nodes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferTimeout
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ...core.envelope import Envelope, Unopened
from ...core.model import Target
from ..contract import Answers, Question
from .node import RedisNode
from .presence import RedisPresence

__all__ = ["Questions"]

_NOBODY = Target(())


@define(eq=False)
class _Asked:
    """A question without all its answers."""

    waiting: set[str]
    answer: Deferred[Answers]
    # How often this node had asked before who lives.
    looks: int
    until: float
    given: dict[str, bytes] = field(factory=dict)
    without_answer: set[str] = field(factory=set)
    timer: IDelayedCall | None = None
    # Whether it is not known yet which nodes there are.
    is_open: bool = False
    # The answer of this node itself, while it is not there.
    own: Deferred[Any] | None = None

    def end(self) -> None:
        """Nobody waits any more."""
        if self.timer is not None and self.timer.active():
            self.timer.cancel()
        if self.own is not None:
            self.own.cancel()


class Questions:
    """What this node asks others, and what others ask this one.

    Args:
        node: this node.
        presence: knows which nodes live.
        reactor: measures the time that is waited.
    """

    def __init__(
        self,
        node: RedisNode,
        presence: RedisPresence,
        reactor: Any,
    ) -> None:
        self._node = node
        self._presence = presence
        self._reactor = reactor
        self._numbers = count(1)
        self._asked: dict[int, _Asked] = {}
        # The answers to other nodes that are not there yet.
        self._answering: set[Deferred[Any]] = set()
        self._answer: Callable[[Question], Deferred[bytes | None]] | None = None

    def start(self, answer: Callable[[Question], Deferred[bytes | None]]) -> None:
        """Answer from now on."""
        self._answer = answer
        channel = self._node.keys.node_channel(self._node.name)
        # Without a connection it is subscribed to with the next one.
        self._node.client.subscribe(channel, self._received).addErrback(lambda _: None)

    def stop(self) -> None:
        """Answer nothing any more; what was asked has the answers that have come."""
        self._answer = None
        for number in tuple(self._asked):
            self._settle(number)
        for answering in tuple(self._answering):
            answering.cancel()

    def ask(self, question: Question, timeout_seconds: float) -> Deferred[Answers]:
        """Ask nodes."""
        number = next(self._numbers)
        until = self._node.now() + timeout_seconds
        answer: Deferred[Answers] = Deferred(lambda _: self._forget(number))
        asked = _Asked(set(question.nodes or ()), answer, self._presence.looks, until)
        self._asked[number] = asked
        asked.timer = self._reactor.callLater(timeout_seconds, self._settle, number)
        if question.nodes is not None:
            # Whoever does not answer is gone, or only slow. The answer to this comes before that of any node.
            self._presence.nodes().addErrback(lambda _: ())
            self._send(number, question, question.nodes)
            return asked.answer
        asked.is_open = True

        def known(names: tuple[str, ...]) -> None:
            asked.is_open = False
            self._send(number, question, tuple({*names} - {self._node.name}))

        self._send(number, question, (self._node.name,))
        # Where nobody can tell which nodes there are, this one answers alone.
        self._presence.nodes().addErrback(lambda _: ()).addCallback(known)
        return asked.answer

    def _send(self, number: int, question: Question, names: tuple[str, ...]) -> None:
        asked = self._asked.get(number)
        if asked is None:
            return
        asked.waiting.update(names)
        if not asked.waiting and not asked.is_open:
            self._settle(number)
        left_ms = round((asked.until - self._node.now()) * 1_000)
        for name in names:
            if name == self._node.name:
                self._ask_own(number, asked, question)
                continue
            _, sealed = self._node.seal("ask", _NOBODY, question.body, more=[name, number, question.kind, left_ms])
            self._node.client.call("PUBLISH", self._node.keys.node_channel(name), sealed).addCallbacks(
                # Nobody listens to the channel of a node that is gone.
                lambda heard, name=name: None if heard else self._given(number, name, None),
                lambda failure: self._node.failed(failure, "a node can't be asked"),
            )

    def _ask_own(self, number: int, asked: _Asked, question: Question) -> None:
        if self._answer is None:
            return
        asked.own = self._answer(question)

        def done(body: bytes | Failure | None) -> None:
            asked.own = None
            self._given(number, self._node.name, None if isinstance(body, Failure) else body)

        asked.own.addErrback(self._not_answered, question.kind).addBoth(done)

    def _received(self, content: bytes) -> None:
        where = "the channel of this node"
        found = self._node.opened(content, ("ask", "answer"), where)
        if found is None:
            return
        if not self._is_for_this_node(found):
            self._node.refuse(Unopened.MISPLACED, where)
        elif not self._node.is_new(found, where):
            return
        elif found.kind == "ask":
            self._asked_by(found)
        else:
            _, number, has_answer = found.more
            self._given(number, found.sender, found.payload if has_answer else None)

    def _is_for_this_node(self, envelope: Envelope) -> bool:
        types = [str, int, str, int] if envelope.kind == "ask" else [str, int, bool]
        more = envelope.more
        return type(more) is list and [*map(type, more)] == types and more[0] == self._node.name

    def _asked_by(self, envelope: Envelope) -> None:
        """Another node asks."""
        if self._answer is None:
            return
        _, number, kind, left_ms = envelope.more
        sender = envelope.sender
        answering = self._answer(Question(kind, envelope.payload))
        self._answering.add(answering)

        def done(body: bytes | Failure | None) -> None:
            self._answering.discard(answering)
            if self._answer is None:
                return
            found = None if isinstance(body, Failure) else body
            _, sealed = self._node.seal("answer", _NOBODY, found or b"", more=[sender, number, found is not None])
            self._node.client.call("PUBLISH", self._node.keys.node_channel(sender), sealed).addErrback(
                lambda failure: self._node.failed(failure, "a node can't be answered")
            )

        answering.addTimeout(max(0, left_ms) / 1_000, self._reactor)
        answering.addErrback(self._not_answered, kind).addBoth(done)

    def _not_answered(self, failure: Failure, kind: str) -> None:
        if failure.check(CancelledError, DeferTimeout) is None:
            self._node.failed(failure, "a question of the kind {kind} has no answer", kind=kind)

    def _given(self, number: int, name: str, body: bytes | None) -> None:
        asked = self._asked.get(number)
        if asked is None or name not in asked.waiting:
            return
        asked.waiting.discard(name)
        if body is None:
            asked.without_answer.add(name)
        else:
            asked.given[name] = body
        if not asked.waiting and not asked.is_open:
            self._settle(number)

    def _settle(self, number: int) -> None:
        asked = self._asked.pop(number, None)
        if asked is None:
            return
        asked.end()
        if not asked.answer.called:
            missing = asked.waiting | asked.without_answer
            # A node that lives may only be slow.
            alive = self._presence.alive(asked.looks)
            gone = set() if alive is None else missing - alive
            asked.answer.callback(Answers(asked.given, tuple(sorted(missing)), tuple(sorted(gone))))

    def _forget(self, number: int) -> None:
        asked = self._asked.pop(number, None)
        if asked is not None:
            asked.end()
