"""Closing what matches, on all nodes, and how many that were. Each node closes its own connections."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from ..backplane.contract import Answers
from ..core.model import Target
from ..wire.nodes import from_bytes, target_of, target_to, to_bytes
from .deliveries import Deliveries
from .node import Node

__all__ = ["Closes"]

_KIND = "close"
_PATIENCE_SECONDS = 2.0
"""How long the numbers of other nodes are waited for."""


class Closes:
    """The closes of one hub.

    Args:
        deliveries: closes connections of this node.
        node: asks the others.
    """

    def __init__(self, deliveries: Deliveries, node: Node) -> None:
        self._deliveries = deliveries
        self._node = node
        node.answers[_KIND] = self._answer

    def close(self, target: Target, code: int, reason: str) -> Deferred[int]:
        """Close connections, those of this node now.

        Args:
            target: the connections.
            code: the close code (RFC 6455 section 7.4).
            reason: text for the clients.

        Returns:
            Fires with how many were closed on all nodes, and never fails. Nodes that are silent for two seconds are not
            counted.
        """
        closed = self._deliveries.close(target, code, reason)
        if self._node.is_alone:
            return succeed(closed)
        # The question comes to this node too, which must not close those that have come in between.
        body = to_bytes([self._node.backplane.node, target_to(target), code, reason])

        def counted(answers: Answers) -> int:
            return sum((int(from_bytes(body)) for body in answers.given.values()), closed)

        return self._node.gather(_KIND, body, _PATIENCE_SECONDS).addCallback(counted)

    def _answer(self, body: bytes) -> Deferred[bytes | None]:
        asks, target, code, reason = from_bytes(body)
        own = asks == self._node.backplane.node
        return succeed(to_bytes(0 if own else self._deliveries.close(target_of(target), code, reason)))
