"""The one door for messages to the connections of this node, whichever node has sent them. It never publishes."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..core.levels import BroadcastLevels
from ..core.model import ClosedBy, ConnectionState, Target
from ..core.registry import Registry
from ..wire.message import Message, Outgoing
from .delivery import Delivery
from .fanout import FanOut, Sent
from .link import Link
from .runtime import Runtime

__all__ = ["Deliveries"]

# An attribute of an enumeration takes several times as long to look up as a name.
_OPEN, _SENT, _QUEUED = ConnectionState.OPEN, Sent.SENT, Sent.QUEUED


class Deliveries:
    """Finds the connections that a target means, and gives each of them the message.

    Args:
        runtime: the surroundings.
        registry: the global connections.
        fan_out: writes to them.

    Attributes:
        to_one: delivers an encoded message to one connection, and counts in a delivery whether it was sent.
        levels: how narrow sends have to be. A send to every name leaves out the names whose level refuses such a send.
        logged: the names that keep a history. What is sent to every name reaches these by way of their logs.
        asked: is told of an acknowledged send of another node, before it is delivered.
        misplaced: is told of a name that keeps a history here, and to which another node has sent past its log.
    """

    def __init__(self, runtime: Runtime, registry: Registry[Link], fan_out: FanOut) -> None:
        self._counters = runtime.counters
        self._registry = registry
        self._fan_out = fan_out
        self.levels = BroadcastLevels()
        self.logged: Collection[str] = ()
        self.asked: Callable[[Target, str], None] = lambda _target, _id: None
        self.misplaced: Callable[[str], None] = lambda _name: None
        self.to_one: Callable[[Link, bytes, str | None, Delivery], None] = self._to_one

    def deliver(self, outgoing: Outgoing) -> None:
        """Deliver a message. Its tally is final when this method returns."""
        target, message = outgoing.target, outgoing.message
        delivery: Delivery | None = outgoing.tally
        if delivery is None:
            delivery = self._from_elsewhere(target, message)
        # The registry finds single clients by their ids, without a look at the other connections of the name.
        if target.client_ids:
            for link in self._registry.select(target):
                if target.names is not None or link.name not in self.logged:
                    self.to_one(link, message.encoded(link.encoding), message.key, delivery)
            return
        names = self._names(target, delivery)
        if len(names) == 1:
            self.to_all(self._registry.audience(names[0], target.groups, target.exclude), message, delivery)
        else:
            for _, audience in self._registry.audiences(names, target.groups, target.exclude):
                self.to_all(audience, message, delivery)

    def close(self, target: Target, code: int, reason: str) -> int:
        """Close connections of this node, and tell how many were open."""
        found = [link for link in self._registry.select(target) if link.state is _OPEN]
        for link in found:
            link.shut(code, reason, ClosedBy.SERVER)
        return len(found)

    def recipients(self, target: Target) -> tuple[Link, ...]:
        """The connections of this node that a message with a target is for."""
        if target.names is None:
            allowed, _ = self.levels.divide(self._registry.names(target.groups), target.groups)
            if not target.client_ids:
                target = Target(allowed, target.groups, (), target.exclude)
        return tuple(each for each in self._registry.select(target) if each.state is _OPEN)

    def _from_elsewhere(self, target: Target, message: Message) -> Delivery:
        """A send of another node has no tally, since nobody on this node asks how it went; the counters count it."""
        if message.acknowledgement is not None:
            self.asked(target, message.acknowledgement)
        if message.position is None:
            for name in target.names or ():
                if name in self.logged:
                    self.misplaced(name)
        return self.new_tally()

    def new_tally(self) -> Delivery:
        """A delivery in which nobody has been counted."""
        return Delivery(self._fan_out)

    def _to_one(self, link: Link, data: bytes, key: str | None, delivery: Delivery) -> None:
        if link.state is not _OPEN:
            return
        delivery.recipients += 1
        sent = self._fan_out.send_one(link, data, key)
        if sent is _SENT:
            delivery.sent += 1
            self._counters.recipients_sent += 1
        elif sent is _QUEUED:
            delivery.queued += 1
            self._counters.recipients_queued += 1
        else:
            # Fan-out has counted it, by its cause.
            delivery.dropped += 1

    def _names(self, target: Target, delivery: Delivery) -> tuple[str, ...]:
        """The names to send to.

        A target without names means every name. Where that target has groups, only names with one of these groups are
        looked at: clients choose the groups of a message freely, and a group that nobody has must cost little.
        """
        if target.names is not None:
            return target.names
        allowed, delivery.refused = self.levels.divide(self._registry.names(target.groups), target.groups)
        return tuple(each for each in allowed if each not in self.logged) if self.logged else allowed

    def to_all(self, audience: tuple[Link, ...], message: Message, delivery: Delivery) -> None:
        """Give a message to connections of one name, and count them in a delivery."""
        # For a single connection a batch costs more than it saves.
        if len(audience) == 1:
            link = audience[0]
            self.to_one(link, message.encoded(link.encoding), message.key, delivery)
            return
        if not audience:
            return
        queued, dropped = self._fan_out.send(audience[0].name, audience, message)
        sent = len(audience) - queued - dropped
        delivery.recipients += len(audience)
        delivery.sent += sent
        delivery.queued += queued
        delivery.dropped += dropped
        self._counters.recipients_sent += sent
        self._counters.recipients_queued += queued
