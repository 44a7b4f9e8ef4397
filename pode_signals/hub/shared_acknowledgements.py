"""Acknowledged sends over nodes: each node collects the answers of its own clients, and reports them to the sender's.

Two questions go to all nodes before the message. The first has each node begin to collect, and is answered at once with
its recipients; the second is answered when all of them have answered or are gone, at the latest after the timeout. So
of a node that falls silent in between it is known whose answers are missing.
"""

from __future__ import annotations

from typing import NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ..backplane.contract import Answers
from ..core.model import Target
from ..errors import TooManyAcknowledgements
from ..wire.nodes import from_bytes, target_of, target_to, to_bytes
from .acknowledgements import Acknowledgements, Collection
from .deliveries import Deliveries
from .link import Link
from .node import Node
from .runtime import Runtime
from .waiters import Waiters

__all__ = ["SharedAcknowledgements", "SharedCollection"]

_BEGIN, _REPORT, _ANSWERED = "acknowledge", "acknowledged", "answered"
_MORE_SECONDS = 1.0
"""How much longer than for clients is waited for the reports of nodes."""
_LONGEST_SECONDS = 60.0
"""The longest timeout of a send: how long answers are collected before it is known what the sender's is."""
_FORWARD_SECONDS = 2.0


class SharedCollection:
    """The answers to one send, of the clients of all nodes.

    Args:
        own: the answers of this node's clients.
        names: the names that the send is for; None is every name.

    Attributes:
        acknowledged, unanswered, gone: the client ids, as far as it is known.
        silent_nodes: how many nodes did not report, and are still nodes.
    """

    def __init__(self, own: Collection, names: tuple[str, ...] | None) -> None:
        self._own = own
        self._names = names
        self.acknowledged: list[str] = own.acknowledged
        self.unanswered: list[str] = own.unanswered
        self.gone: list[str] = own.gone
        self.silent_nodes = 0
        self.is_settled = False
        # Clients that have answered on another node than the one that they were connected to.
        self.moved: set[str] = set()
        self._waiters: Waiters[None] = Waiters()

    def moves(self, name: str, client_id: str) -> None:
        """A client has answered that this node has not asked. Clients of other names may have the same client id."""
        if self._names is None or name in self._names:
            self.moved.add(client_id)

    def when_settled(self) -> Deferred[None]:
        """A new Deferred that fires when no answer counts any more."""
        return succeed(None) if self.is_settled else self._waiters.wait()

    def settle(self, runtime: Runtime, begun: Answers, reports: Answers) -> None:
        """All nodes have reported that will.

        Args:
            runtime: the surroundings.
            begun: the recipients of each node.
            reports: what has become of them.
        """
        acknowledged, unanswered, gone = list(self._own.acknowledged), list(self._own.unanswered), list(self._own.gone)
        for body in reports.given.values():
            reported = from_bytes(body)
            acknowledged += reported[0]
            unanswered += reported[1]
            gone += reported[2]
        for node in {**begun.given, **dict.fromkeys((*begun.missing, *reports.missing), b"[]")}:
            if node not in reports.given:
                recipients = from_bytes(begun.given.get(node, b"[]"))
                if node in reports.gone or node in begun.gone:
                    gone += recipients
                else:
                    unanswered += recipients
                    self.silent_nodes += 1
        acknowledged += [each for each in (*unanswered, *gone) if each in self.moved]
        self.acknowledged = acknowledged
        self.unanswered = [each for each in unanswered if each not in self.moved]
        self.gone = [each for each in gone if each not in self.moved]
        self.is_settled = True
        self._waiters.fire(None, runtime.fresh_context)


class _Foreign(NamedTuple):
    """What this node collects for another one.

    Attributes:
        collection: the answers.
        recipients: the client ids.
        end: forgets it at the end of the timeout.
    """

    collection: Collection
    recipients: tuple[str, ...]
    end: IDelayedCall


class SharedAcknowledgements:
    """The acknowledged sends over nodes that are under way.

    Args:
        runtime: the surroundings.
        acknowledgements: collects the answers of this node's clients.
        deliveries: knows which of them a message is for.
        node: asks the others.
    """

    def __init__(
        self,
        runtime: Runtime,
        acknowledgements: Acknowledgements,
        deliveries: Deliveries,
        node: Node,
    ) -> None:
        self._runtime = runtime
        self._acknowledgements = acknowledgements
        self._deliveries = deliveries
        self._node = node
        self._name = node.backplane.node
        # Those of this node's sends, and those that this node collects for others, by their ids.
        self._own: dict[str, SharedCollection] = {}
        self._foreign: dict[str, _Foreign] = {}
        if not node.is_alone:
            node.answers.update({_BEGIN: self._begin, _REPORT: self._report, _ANSWERED: self._has_answered})
            deliveries.asked = self._came
            acknowledgements.elsewhere = self._elsewhere
            acknowledgements.ended = self._end

    def begin(self, own: Collection, target: Target, timeout_seconds: float) -> Collection | SharedCollection:
        """Collect the answers of the clients of all nodes to a send that is about to be sent.

        Args:
            own: collects those of this node's clients.
            target: whom the send is for.
            timeout_seconds: how long to wait for answers.
        """
        if self._node.is_alone:
            return own
        shared = self._own[own.id] = SharedCollection(own, target.names)
        body = to_bytes([own.id, target_to(target), timeout_seconds])
        begun = self._ask(_BEGIN, body, timeout_seconds)
        reports = self._ask(_REPORT, to_bytes([own.id]), timeout_seconds)

        async def settle() -> None:
            answers = await begun, await reports
            await own.when_settled()
            del self._own[own.id]
            shared.settle(self._runtime, *answers)

        Deferred.fromCoroutine(settle()).addErrback(self._failed)
        return shared

    def _ask(self, kind: str, body: bytes, timeout_seconds: float) -> Deferred[Answers]:
        def of_others(answers: Answers) -> Answers:
            given = {node: body for node, body in answers.given.items() if node != self._name}
            return Answers(given, tuple(each for each in answers.missing if each != self._name), answers.gone)

        # Whatever goes wrong, the send ends with the answers of this node's clients.
        return self._node.gather(kind, body, timeout_seconds + _MORE_SECONDS).addCallback(of_others)

    def _failed(self, failure: Failure) -> None:
        self._runtime.reports.failure("acknowledgements", "answers to a send can't be put together", failure)

    # What other nodes ask.

    def _begin(self, body: bytes) -> Deferred[bytes | None]:
        wanted, target, timeout_seconds = from_bytes(body)
        if self._is_own(wanted):
            return succeed(None)
        foreign = self._collect(wanted, target_of(target), timeout_seconds)
        return succeed(None if foreign is None else to_bytes(foreign.recipients))

    def _report(self, body: bytes) -> Deferred[bytes | None]:
        foreign = self._foreign.get(from_bytes(body)[0])
        if foreign is None:
            return succeed(None)
        collection = foreign.collection

        def report(_settled: None) -> bytes:
            return to_bytes([collection.acknowledged, collection.unanswered, collection.gone])

        return collection.when_settled().addCallback(report)

    def _has_answered(self, body: bytes) -> Deferred[bytes | None]:
        self._answers(*from_bytes(body))
        return succeed(b"")

    def _came(self, target: Target, id: str) -> None:
        """A message of another node is delivered now; the sender's question may be on its way still."""
        if id not in self._foreign and not self._is_own(id):
            self._collect(id, target, _LONGEST_SECONDS)

    def _collect(self, id: str, target: Target, timeout_seconds: float) -> _Foreign | None:
        """Collect the answers of this node's clients, or change for how long; None where there are too many."""
        known = self._foreign.get(id)
        if known is not None:
            known.end.reset(timeout_seconds)
            self._acknowledgements.wait_for(known.collection, timeout_seconds)
            return known
        if len(self._foreign) >= self._runtime.settings.max_pending_acknowledgements:
            return None
        links = self._deliveries.recipients(target)
        try:
            collection = self._acknowledgements.begin(links, timeout_seconds, logged=self._deliveries.logged, id=id)
        except TooManyAcknowledgements:
            return None
        end = self._runtime.clock.callLater(timeout_seconds, self._foreign.pop, id)
        # It stays until the timeout, since a client of another node may come here and answer.
        foreign = self._foreign[id] = _Foreign(collection, tuple(each.client_id for each in links), end)
        return foreign

    # Clients that answer on another node than the one that they got the message on.

    def _elsewhere(self, link: Link, id: str) -> bool:
        """A client has answered that this node has not asked; False where no node has asked it."""
        if not link.is_global:
            return False
        if self._is_own(id):
            return self._answers(id, link.name, link.client_id)
        foreign = self._foreign.get(id)
        if foreign is None or link.client_id in foreign.recipients:
            return False
        body = to_bytes([id, link.name, link.client_id])
        # Where that node can't be reached the answer is lost, as one that comes too late.
        self._node.gather(_ANSWERED, body, _FORWARD_SECONDS, (id.partition(".")[0],))
        return True

    def _answers(self, id: str, name: str, client_id: str) -> bool:
        """A client has answered somewhere else."""
        shared = self._own.get(id)
        if shared is None:
            return False
        if not self._acknowledgements.answered_elsewhere(id, name, client_id):
            shared.moves(name, client_id)
        return True

    def _is_own(self, id: str) -> bool:
        return id.partition(".")[0] == self._name

    def _end(self) -> None:
        for foreign in self._foreign.values():
            foreign.end.cancel()
        self._foreign.clear()
