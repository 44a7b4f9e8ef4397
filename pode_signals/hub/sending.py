"""Sending: whom a message is for, whether the broadcast level allows it, and publishing it. It writes to no client."""

from __future__ import annotations

from collections.abc import Callable

from ..backplane.contract import Backplane
from ..core.choices import chosen
from ..core.levels import BroadcastLevels
from ..core.model import ClientMessage, SendMode, Target
from ..core.targets import Names, Several, client_ids_of, groups_of, target_of
from ..errors import BroadcastRefused, MessageTooBig, NoCurrentConnection
from ..wire.json import encode
from ..wire.message import Message, Outgoing, encoded_once
from .deliveries import Deliveries
from .delivery import Delivery, Writer
from .link import Link
from .runtime import Runtime

__all__ = ["Sender"]


class Sender:
    """How one hub sends.

    Args:
        runtime: the surroundings.
        deliveries: where messages for single connections of this node go.
        writer: what has the messages of a turn.
        backplane: hands a send to all nodes, this one among them.

    Attributes:
        sent: is told of each send that had something to say; None tells nobody.
    """

    def __init__(self, runtime: Runtime, deliveries: Deliveries, writer: Writer, backplane: Backplane) -> None:
        self._reports = runtime.reports
        self._counters = runtime.counters
        self._max_bytes = runtime.settings.max_outgoing_bytes
        self._deliveries = deliveries
        self._levels: BroadcastLevels = deliveries.levels
        self._writer = writer
        self._backplane = backplane
        self.sent: Callable[[Target, bytes, Delivery], None] | None = None

    def send(
        self,
        said: ClientMessage | None,
        sender: Link | None,
        converted: Link | None,
        data: object,
        name: Names,
        group: Several,
        client_id: Several,
        mode: SendMode | str,
        depth: int | None,
        key: str | None,
    ) -> Delivery:
        """What ``signals.send`` does once it knows what is current.

        Args:
            said: the message of the current event; None where there is no event.
            sender: who sent that message.
            converted: the connection that the current route has converted; None where there is none.
            data, name, group, client_id, mode, depth, key: as ``signals.send`` takes them.
        """
        direct = self._direct(said, sender, converted, mode)
        if direct is not None:
            return self.send_to(direct, data, depth, key)
        target = target_of(said, name, groups_of(group), client_ids_of(client_id))
        for each in target.names or ():
            if not self._levels.allows(each, target.groups, target.client_ids):
                raise BroadcastRefused(each, self._levels.get(each))
        delivery = Delivery(self._writer)
        payload = self._payload(data, depth)
        if payload is not None:
            self._counters.sends += 1
            self._backplane.publish(Outgoing(target, Message(payload, key), delivery))
            if self.sent is not None:
                self.sent(target, payload, delivery)
        return delivery

    def send_to(self, link: Link, data: object, depth: int | None = None, key: str | None = None) -> Delivery:
        """Send to one connection, which is on this node."""
        delivery = Delivery(self._writer)
        payload = self._payload(data, depth)
        if payload is not None:
            self._counters.sends += 1
            self._deliveries.to_one(link, encoded_once(payload, link.encoding, key), key, delivery)
            if self.sent is not None:
                self.sent(Target((link.name,), (), (link.client_id,)), payload, delivery)
        return delivery

    def _direct(
        self, said: ClientMessage | None, sender: Link | None, converted: Link | None, mode: SendMode | str
    ) -> Link | None:
        """The one connection that this send is for, or None where it is a broadcast."""
        # A text that is none of them must not become a broadcast.
        if not isinstance(mode, SendMode):
            mode = chosen(SendMode, mode, "mode")
        if mode is SendMode.BROADCAST:
            return None
        forced = mode is SendMode.DIRECT
        if said is not None and (forced or said.direct):
            return sender
        if converted is not None and (forced or converted.is_local):
            return converted
        if forced:
            raise NoCurrentConnection
        return None

    def _payload(self, data: object, depth: int | None) -> bytes | None:
        """None where there is nothing to send."""
        payload = encode(data, depth=depth)
        if payload is None:
            return None
        if len(payload) > self._max_bytes:
            self._reports.limit(
                "max_outgoing_bytes", "a message of {size_bytes} bytes was not sent", size_bytes=len(payload)
            )
            raise MessageTooBig(len(payload), self._max_bytes)
        return payload
