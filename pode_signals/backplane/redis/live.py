"""Sends to names that keep no history: at once on this node, at most once on the others."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from ...core.envelope import MOST_ENVELOPE_BYTES, Envelope, Unopened
from ...core.model import Target
from ...wire.message import Message, Outgoing
from .channels import ENVELOPE
from .node import RedisNode

__all__ = ["LiveSends"]

_MOST_CHANNELS = 16
"""To how many names a send goes by their channels."""


class LiveSends:
    """What is published and is in no log.

    Args:
        node: this node.
        max_waiting_bytes: how much may wait for the answer of Redis. What comes beyond that is not passed on.
    """

    def __init__(self, node: RedisNode, max_waiting_bytes: int) -> None:
        self._node = node
        self._max_waiting_bytes = max_waiting_bytes
        self._deliver: Callable[[Outgoing], None] = _to_nobody
        node.channels.on(ENVELOPE, self._received)

    def start(self, deliver: Callable[[Outgoing], None]) -> None:
        """Deliver from now on, what this node publishes and what others do."""
        self._deliver = deliver
        self._node.client.subscribe(self._node.keys.every, self._received_for_every).addErrback(_later)

    def stop(self) -> None:
        """Deliver nothing any more."""
        self._deliver = _to_nobody

    def publish(self, outgoing: Outgoing) -> None:
        """Deliver on this node, and pass on to all others; what can't be passed on is counted."""
        deliver = self._deliver
        deliver(outgoing)
        if deliver is _to_nobody:
            return
        node, target, message = self._node, outgoing.target, outgoing.message
        if not node.client.is_up or node.client.pending_bytes > self._max_waiting_bytes:
            node.count("sends_not_passed_on")
            return
        envelope, sealed = node.seal(
            "live",
            target,
            message.payload,
            is_text=message.is_text,
            key=message.key,
            acknowledgement=message.acknowledgement,
        )
        if len(sealed) > MOST_ENVELOPE_BYTES:
            # No other node would open it.
            node.count("sends_not_passed_on")
            return
        node.own.keep(sealed, envelope)
        for channel in [node.keys.every] if _is_for_every_node(target) else map(node.keys.channel, target.names or ()):
            node.client.call("PUBLISH", channel, b"e" + sealed).addErrback(self._not_passed_on)

    def _not_passed_on(self, failure: Failure) -> None:
        self._node.count("sends_not_passed_on")
        self._node.failed(failure, "a message was not passed on to other nodes")

    def _received(self, name: str, content: bytes) -> None:
        envelope = self._opened(content, f"the channel of {name!r}")
        if envelope is None:
            return
        names = envelope.target.names
        if names is None or name not in names:
            self._node.refuse(Unopened.MISPLACED, "the channel of {name}", name=name)
        elif self._is_new(envelope):
            self._take(envelope)

    def _received_for_every(self, content: bytes) -> None:
        envelope = self._opened(content[1:], "the channel of every name")
        if envelope is None:
            return
        if not _is_for_every_node(envelope.target):
            self._node.refuse(Unopened.MISPLACED, "the channel of every name")
        elif self._is_new(envelope):
            self._take(envelope)

    def _opened(self, content: bytes, where: str) -> Envelope | None:
        # What this node has sent it has delivered.
        if self._node.own.take(content) is not None:
            return None
        found = self._node.opened(content, ("live",), where)
        return None if found is None or found.sender == self._node.name else found

    def _is_new(self, envelope: Envelope) -> bool:
        names = envelope.target.names
        # To several names it comes once for each of them, and is delivered to all with the first one.
        return self._node.is_new(envelope, "a channel", is_told=names is None or len(names) == 1)

    def _take(self, envelope: Envelope) -> None:
        message = Message(
            envelope.payload,
            envelope.key,
            is_text=envelope.is_text,
            groups=envelope.target.groups,
            acknowledgement=envelope.acknowledgement,
        )
        self._deliver(Outgoing(envelope.target, message))


def _is_for_every_node(target: Target) -> bool:
    """Whether a send goes by the channel that all nodes hear, and not by those of its names.

    With many names each node gets it once that way; by the channels of the names it would be as many messages, each of
    which has all names.
    """
    return target.names is None or len(target.names) > _MOST_CHANNELS


def _to_nobody(outgoing: Outgoing) -> None:
    """Stands in place of ``deliver`` while no hub is there."""


def _later(failure: Failure) -> None:
    """The channel is subscribed to with the next connect."""
