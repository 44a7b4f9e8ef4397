"""Sending: finds out whom a message is for, asks the broadcast levels, and publishes. It writes to no client."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..backplane.contract import Backplane
from ..core.choices import chosen
from ..core.levels import BroadcastLevels
from ..core.model import EVERY_NAME, ClientMessage, SendMode, Target
from ..core.targets import Names, Several, client_ids_of, groups_of, target_of
from ..errors import BroadcastRefused, MessageTooBig, NoCurrentConnection
from ..wire.json import encode
from ..wire.message import Message, Outgoing, encoded_once
from .acknowledgements import Acknowledgements
from .deliveries import Deliveries
from .delivery import Delivery, Writer
from .histories import Histories
from .link import Link
from .runtime import Runtime
from .shared_acknowledgements import SharedAcknowledgements

__all__ = ["Sender"]


class Sender:
    """How one hub sends.

    Args:
        runtime: the surroundings.
        deliveries: delivers messages for single connections of this node.
        writer: holds the messages of this turn until they are written.
        backplane: hands a send to all nodes, this one among them.
        histories: the names that keep a history, to which a send goes by way of their logs.
        acknowledgements: the acknowledged sends.
        shared: those whose recipients are on several nodes.

    Attributes:
        sent: is told of each send that had something to say; None tells nobody.
        logs: whether any name may keep a history, so that sends go by way of logs.
    """

    def __init__(
        self,
        runtime: Runtime,
        deliveries: Deliveries,
        writer: Writer,
        backplane: Backplane,
        histories: Histories,
        acknowledgements: Acknowledgements,
        shared: SharedAcknowledgements,
    ) -> None:
        self._reports = runtime.reports
        self._counters = runtime.counters
        self._max_bytes = runtime.settings.max_outgoing_bytes
        self._deliveries = deliveries
        self._levels: BroadcastLevels = deliveries.levels
        self._writer = writer
        self._backplane = backplane
        self._histories = histories
        self._logged = histories.names
        self._acknowledgements = acknowledgements
        self._shared = shared
        self.sent: Callable[[Target, bytes, Delivery], None] | None = None
        self.logs = False
        histories.logs = partial(setattr, self, "logs")

    def send(
        self,
        said: ClientMessage | None,
        sender: Link | None,
        converted: Link | None,
        data: object,
        name: Names,
        group: Several,
        client_id: Several,
        exclude: Several,
        mode: SendMode | str,
        depth: int | None,
        key: str | None,
        timeout_seconds: float | None = None,
    ) -> Delivery:
        """Do the work of ``signals.send``, which has found the current event and the current connection.

        Args:
            said: the client's message of the current event; None where there is no current event.
            sender: the connection that sent that message.
            converted: the connection that the current HTTP route has converted; None where the route has not converted
                any, or where there is no current route.
            data, name, group, client_id, exclude, mode, depth, key: as ``signals.send`` takes them.
            timeout_seconds: how long the answers of an acknowledged send are waited for; None asks for no answers.
        """
        # Most sends exclude nobody, and do not pay for the look at the argument.
        excluded = () if exclude is None else client_ids_of(exclude, "exclude")
        direct = self._direct(said, sender, converted, mode)
        if direct is None:
            target = target_of(said, name, groups_of(group), client_ids_of(client_id), excluded)
        elif direct.client_id not in excluded:
            return self.send_to(direct, data, depth, key, timeout_seconds)
        else:
            # A direct send must not become a broadcast because its one recipient is excluded: it reaches nobody.
            target = Target(())
        # All levels are asked before anything is sent: a refusal raises, and then nobody has got the message. A target
        # without names means every name; Deliveries leaves out the names whose level refuses.
        for each in target.names or ():
            if not self._levels.allows(each, target.groups, target.client_ids):
                raise BroadcastRefused(each, self._levels.get(each))
        delivery = Delivery(self._writer)
        payload = self._payload(data, depth)
        if payload is not None:
            self._counters.sends += 1
            message = Message(payload, key, is_text=isinstance(data, str), groups=target.groups)
            if timeout_seconds is not None:
                self._ask(target, message, delivery, timeout_seconds)
            if self.logs:
                asked_by_client = said is not None and target.names is None and name is not EVERY_NAME
                self._histories.send(
                    target, message, delivery, self._backplane.publish, asked_by_client=asked_by_client
                )
            else:
                self._backplane.publish(Outgoing(target, message, delivery))
            if self.sent is not None:
                self.sent(target, payload, delivery)
        return delivery

    def send_to(
        self,
        link: Link,
        data: object,
        depth: int | None = None,
        key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Delivery:
        """Send to one connection, which is on this node: no other node has to hear of the message."""
        delivery = Delivery(self._writer)
        payload = self._payload(data, depth)
        if payload is not None:
            self._counters.sends += 1
            if timeout_seconds is None:
                encoded = encoded_once(payload, link.encoding, data)
            else:
                answers = self._acknowledgements.begin([link], timeout_seconds, logged=())
                delivery.collects(answers)
                encoded = Message(payload, is_text=isinstance(data, str), acknowledgement=answers.id).encoded(
                    link.encoding
                )
            self._deliveries.to_one(link, encoded, key, delivery)
            if self.sent is not None:
                self.sent(Target((link.name,), (), (link.client_id,)), payload, delivery)
        return delivery

    def _ask(self, target: Target, message: Message, delivery: Delivery, timeout_seconds: float) -> None:
        """Ask the recipients of a message to answer. The message names the answer, so this comes before it is sent."""
        links = self._deliveries.recipients(target)
        answers = self._acknowledgements.begin(links, timeout_seconds, logged=self._logged)
        message.acknowledgement = answers.id
        delivery.collects(self._shared.begin(answers, target, timeout_seconds))

    def _direct(
        self, said: ClientMessage | None, sender: Link | None, converted: Link | None, mode: SendMode | str
    ) -> Link | None:
        """The one connection that this send is for, or None where it is a broadcast."""
        # A text that names no mode raises here. Taken for AUTO, a misspelled "direct" would be a broadcast.
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
        """The data as a text for clients; None for None, an empty text or an empty list, which are not sent.

        Raises:
            MessageTooBig: the text is larger than ``max_outgoing_bytes``.
        """
        payload = encode(data, depth=depth)
        if payload is None:
            return None
        if len(payload) > self._max_bytes:
            self._reports.limit(
                "max_outgoing_bytes", "a message of {size_bytes} bytes was not sent", size_bytes=len(payload)
            )
            raise MessageTooBig(len(payload), self._max_bytes)
        return payload
