"""Sending: who a message is for, whether the broadcast level allows it, and how it gets there: encoded and framed once.

What is written to clients is written by ``fanout.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..core.counters import Counters
from ..core.levels import BroadcastLevels
from ..core.model import EVERY_NAME, BroadcastLevel, EveryName, SendMode, Target
from ..core.registry import Registry
from ..errors import BroadcastRefused, MessageTooBig, NameRequired, NoCurrentConnection
from ..wire.frames import text_frame
from ..wire.json import encode
from .connection import ConnectionState
from .context import RouteSlot, current_event, current_route
from .delivery import Delivery
from .fanout import FanOut, Sent
from .reports import Reports

if TYPE_CHECKING:
    from .connection import SignalConnection
    from .signal_event import SignalEvent

__all__ = ["Names", "Sending", "Several", "several"]

Names = str | Sequence[str] | EveryName | None
Several = str | int | Sequence[str | int] | None

# An attribute of an enumeration takes several times as long to look up as a name.
_OPEN, _SENT, _QUEUED = ConnectionState.OPEN, Sent.SENT, Sent.QUEUED


class Sending:
    """How one hub sends; a part of :class:`~pode_signals.Signals`.

    Args:
        registry: the global connections.
        fan_out: writes to them.
        counters: recipients are counted here.
        reports: messages that are too large are counted and logged here.
        max_outgoing_bytes: larger messages are refused.
        check_thread: raises where the caller is in the wrong thread.
    """

    def __init__(
        self,
        registry: Registry[SignalConnection],
        fan_out: FanOut,
        counters: Counters,
        reports: Reports,
        max_outgoing_bytes: int,
        check_thread: Callable[[str], None],
    ) -> None:
        self._send_registry = registry
        self._fan_out = fan_out
        self._send_counters = counters
        self._send_reports = reports
        self._max_outgoing_bytes = max_outgoing_bytes
        self._send_check_thread = check_thread
        self._levels = BroadcastLevels()

    def send(
        self,
        data: object,
        *,
        name: Names = None,
        group: Several = None,
        client_id: Several = None,
        mode: SendMode = SendMode.AUTO,
        depth: int | None = None,
        ignore_event: bool = False,
        key: str | None = None,
    ) -> Delivery:
        """Send to all connections of a name, to a group of it, or to single clients (Pode: ``Send-PodeSignal``).

        Args:
            data: a ``str`` is sent as it is, anything else as compact JSON; None, ``""`` and ``[]`` send nothing.
            name: the name or names; ``EVERY_NAME`` is every name. None is, within a signal event, what the client's
                message names, and with it the group and client id that are not given here.
            group: only connections in this group or one of these.
            client_id: only connections with this client id or one of these.
            mode: whether to send to the current connection alone.
            depth: how deep the data may be nested; None is any depth.
            ignore_event: send as if outside of the current event and route.
            key: what this message tells the latest of, such as ``"price"``: with ``slow_client="latest"`` it replaces
                an older one with the same key that still waits for a slow client. None replaces nothing.

        Returns:
            The delivery; its numbers are final.

        Raises:
            NameRequired: no name, and no current event.
            NoCurrentConnection: ``SendMode.DIRECT``, and there is none.
            BroadcastRefused: the broadcast level of a name asks for more; nothing was sent to anyone.
            TypeError, ValueError: the data can't be encoded, or there is no such mode; nothing was sent.
            MessageTooBig: it is larger than ``max_outgoing_bytes``; nothing was sent.
            NotInReactorThread: called from another thread.
        """
        self._send_check_thread("send")
        event = slot = None
        if not ignore_event:
            event, slot = current_event.get(), current_route.get()
            if event is not None and event.connection.hub is not self:
                event = None
        return self._send(event, slot, data, name, group, client_id, mode, depth, key)

    def send_within(
        self,
        event: SignalEvent,
        data: object,
        *,
        name: Names = None,
        group: Several = None,
        client_id: Several = None,
        mode: SendMode = SendMode.AUTO,
        depth: int | None = None,
        key: str | None = None,
    ) -> Delivery:
        """:meth:`send` with an event as the current one; applications use ``event.send``."""
        self._send_check_thread("send")
        return self._send(event, None, data, name, group, client_id, mode, depth, key)

    def send_to(
        self, connection: SignalConnection, data: object, depth: int | None = None, key: str | None = None
    ) -> Delivery:
        """Send to one connection; applications use ``connection.send``."""
        self._send_check_thread("send")
        delivery = Delivery(self._fan_out)
        frame = self._frame(data, depth)
        if frame is not None:
            self._deliver_to(delivery, connection, frame, key)
        return delivery

    def set_broadcast_level(self, level: BroadcastLevel, name: str | None = None) -> None:
        """Say how narrow sends have to be (Pode: ``Set-PodeSignalBroadcastLevel``).

        Args:
            level: the level.
            name: the name it is for; None is every name that has no level of its own.
        """
        self._send_check_thread("set_broadcast_level")
        self._levels.set(level, name)

    def broadcast_level(self, name: str) -> BroadcastLevel:
        """The level that holds for a name."""
        return self._levels.get(name)

    def allows(self, name: str, group: Several = None, client_id: Several = None) -> bool:
        """Whether a send with these arguments would pass the broadcast level of the name."""
        return self._levels.allows(name, several(group), several(client_id))

    def _send(
        self,
        event: SignalEvent | None,
        slot: RouteSlot | None,
        data: object,
        name: Names,
        group: Several,
        client_id: Several,
        mode: SendMode,
        depth: int | None,
        key: str | None,
    ) -> Delivery:
        direct = self._direct(event, slot, mode)
        delivery = Delivery(self._fan_out)
        if direct is not None:
            frame = self._frame(data, depth)
            if frame is not None:
                self._deliver_to(delivery, direct, frame, key)
            return delivery
        target = _target(event, name, several(group), several(client_id))
        names = self._allowed(target, delivery)
        frame = self._frame(data, depth)
        if frame is None:
            return delivery
        if target.client_ids:  # single clients: they are looked up, and nobody else is looked at
            for connection in self._send_registry.select(target):
                self._deliver_to(delivery, connection, frame, key)
        elif names is not None and len(names) == 1:
            self._deliver(delivery, self._send_registry.audience(names[0], target.groups), frame, key)
        else:
            for _, audience in self._send_registry.audiences(names, target.groups):
                self._deliver(delivery, audience, frame, key)
        return delivery

    def _direct(self, event: SignalEvent | None, slot: RouteSlot | None, mode: SendMode) -> SignalConnection | None:
        """The one connection that this send is for, or None where it is a broadcast."""
        mode = SendMode(mode)  # a text that is none of them must not become a broadcast
        if mode is SendMode.BROADCAST:
            return None
        forced = mode is SendMode.DIRECT
        if event is not None and (forced or event.data.direct):
            return event.connection
        if slot is not None and slot.connection is not None and slot.connection.hub is self:
            if forced or slot.connection.is_local:
                return slot.connection
        if forced:
            raise NoCurrentConnection
        return None

    def _allowed(self, target: Target, delivery: Delivery) -> tuple[str, ...] | None:
        """The names to send to; None for client ids of every name, which satisfy every level.

        Of every name only those are looked at that have one of the groups: a client may name what nobody has.
        """
        if target.names is None:
            if target.client_ids:
                return None
            allowed, delivery.refused = self._levels.divide(self._send_registry.names(target.groups), target.groups)
            return allowed
        for each in target.names:
            if not self._levels.allows(each, target.groups, target.client_ids):
                raise BroadcastRefused(each, self._levels.get(each))
        return target.names

    def _frame(self, data: object, depth: int | None) -> bytes | None:
        payload = encode(data, depth=depth)
        if payload is None:
            return None
        if len(payload) > self._max_outgoing_bytes:
            self._send_reports.limit(
                "max_outgoing_bytes", "a message of {size_bytes} bytes was not sent", size_bytes=len(payload)
            )
            raise MessageTooBig(len(payload), self._max_outgoing_bytes)
        return text_frame(payload)

    def _deliver(
        self, delivery: Delivery, audience: tuple[SignalConnection, ...], frame: bytes, key: str | None
    ) -> None:
        if len(audience) == 1:
            self._deliver_to(delivery, audience[0], frame, key)
            return
        if not audience:
            return
        queued, dropped = self._fan_out.send(audience[0].name, audience, frame, key)
        sent = len(audience) - queued - dropped
        delivery.recipients += len(audience)
        delivery.sent += sent
        delivery.queued += queued
        delivery.dropped += dropped
        self._send_counters.recipients_sent += sent
        self._send_counters.recipients_queued += queued
        self._send_counters.recipients_dropped += dropped

    def _deliver_to(self, delivery: Delivery, connection: SignalConnection, frame: bytes, key: str | None) -> None:
        if connection.state is not _OPEN:
            return
        delivery.recipients += 1
        what = self._fan_out.send_one(connection, frame, key)
        if what is _SENT:
            delivery.sent += 1
            self._send_counters.recipients_sent += 1
        elif what is _QUEUED:
            delivery.queued += 1
            self._send_counters.recipients_queued += 1
        else:
            delivery.dropped += 1
            self._send_counters.recipients_dropped += 1


def _target(event: SignalEvent | None, name: Names, groups: tuple[str, ...], client_ids: tuple[str, ...]) -> Target:
    if name is EVERY_NAME:
        return Target(None, groups, client_ids)
    names = several(name)
    if names:
        return Target(names, groups, client_ids)
    if event is None:
        raise NameRequired
    said = event.data
    return Target(None if said.path is None else (said.path,), groups or said.group, client_ids or said.client_id)


def several(value: Several) -> tuple[str, ...]:
    """One or several as a tuple, each once; None, ``""`` and an empty list are none.

    An empty text in a list stays, and means nobody: a list of nothing else must not become everybody.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, (str, int)):
        return (str(value),)
    return tuple(dict.fromkeys(str(each) for each in value))
