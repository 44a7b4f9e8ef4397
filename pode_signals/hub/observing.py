"""Who wants to be told of each thing that happens in a hub, and how that comes about: functions are bound anew.

A hub that nobody observes runs none of this, and makes no call for it. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from time import perf_counter
from typing import Any

from ..core.model import Closure, ConnectionState, Target
from ..wire.message import PLAIN_WEBSOCKET
from .connection import SignalConnection, view_of
from .delivery import Delivery
from .fence import RAISED, SAMPLE
from .hub import Hub
from .link import Link
from .reports import Reports

__all__ = ["SAMPLE", "Observer", "observe"]

_OPEN = ConnectionState.OPEN
Told = Callable[..., None]


class Observer:
    """What an observer may be told of: a subclass has those methods that it wants, and costs nothing by the others.

    ::

        class Bytes(Observer):
            total = 0

            def received(self, connection, payload):
                self.total += len(payload)

        signals.insight.attach(Bytes())

    Each method is called at once, in the reactor's thread, and has to return at once. What a method raises is logged,
    and goes no further.
    """

    def opened(self, connection: SignalConnection) -> None:
        """A connection is open, and its Connect functions come next."""

    def closed(self, connection: SignalConnection, closure: Closure, seconds: float) -> None:
        """A connection's transport is gone; ``seconds`` is how long the connection was there."""

    def shook_hands(self, connection: SignalConnection, seconds: float) -> None:
        """A handshake was answered with 101, ``seconds`` after the client was accepted.

        On a connection that had other requests before: after the first byte of this one. A foreign ``Site`` does not
        tell.
        """

    def pong(self, connection: SignalConnection, seconds: float) -> None:
        """A pong came in, ``seconds`` after the ping."""

    def received(self, connection: SignalConnection, payload: bytes) -> None:
        """A text message of a client came in; the payload is not checked yet."""

    def sent(self, target: Target, payload: bytes, delivery: Delivery) -> None:
        """A send went out, and was delivered on this node; the payload is what Pode's own clients get, in UTF-8."""

    def batch(self, name: str, recipients: int, size_bytes: int, seconds: float) -> None:
        """The messages of one turn were written to an audience.

        Args:
            name: the name.
            recipients: how many transports took them.
            size_bytes: how much each of those got that Pode's own clients get.
            seconds: how long the writing has taken.
        """

    def wrote(self, connection: SignalConnection, size_bytes: int) -> None:
        """So much was written to one connection alone, or has to wait for its client to read."""

    def handled(self, kind: str, seconds: float) -> None:
        """A function of the user has ended; one in :data:`SAMPLE` is told of.

        Args:
            kind: ``route``, ``connect``, ``disconnect``, ``job`` or ``check``.
            seconds: from its call to its end, a time in which it waited included.
        """


def observe(hub: Hub, observer: Observer) -> None:
    """Bind an observer's methods into the parts of a hub, around what is bound there already."""
    for name, bind in _BINDINGS.items():
        told = _told(hub.runtime.reports, observer, name)
        if told is not None:
            bind(hub, told)


def _told(reports: Reports, observer: Observer, name: str) -> Told | None:
    """One method of an observer, in a fence; None where the observer has none of its own."""
    method = getattr(observer, name)
    if getattr(method, "__func__", None) is getattr(Observer, name):
        return None

    def told(*args: Any) -> None:
        try:
            method(*args)
        # A fence: who looks on must not hurt those who are looked at.
        except RAISED:
            reports.failure(
                f"observer {name}",
                "{observer}.{name} raised",
                event="function.raised",
                observer=type(observer).__name__,
                name=name,
            )

    return told


def _both(first: Told | None, then: Told) -> Told:
    """Both functions, one after the other."""
    if first is None:
        return then
    before = first

    def both(*args: Any) -> None:
        before(*args)
        then(*args)

    return both


def _bind_opened(hub: Hub, told: Told) -> None:
    hub.opened = _both(hub.opened, lambda link: told(view_of(link)))


def _bind_closed(hub: Hub, told: Told) -> None:
    hub.closed = _both(hub.closed, lambda link, seconds: told(view_of(link), link.closure, seconds))


def _bind_shook_hands(hub: Hub, told: Told) -> None:
    hub.shook_hands = _both(hub.shook_hands, lambda link, seconds: told(view_of(link), seconds))


def _bind_pong(hub: Hub, told: Told) -> None:
    hub.ponged = _both(hub.ponged, lambda link, seconds: told(view_of(link), seconds))


def _bind_received(hub: Hub, told: Told) -> None:
    inner = hub.received

    def received(link: Link, payload: bytes) -> None:
        # After a close nobody wants it, and nothing counts it.
        if link.state is _OPEN:
            told(view_of(link), payload)
        inner(link, payload)

    hub.received = received


def _bind_sent(hub: Hub, told: Told) -> None:
    hub.sender.sent = _both(hub.sender.sent, told)


def _bind_batch(hub: Hub, told: Told) -> None:
    fan_out, inner = hub.fan_out, hub.fan_out.flush

    def flush(name: str) -> Collection[Link]:
        batch = fan_out.batch_of(name)
        if batch is None:
            return ()
        began = perf_counter()
        failed = inner(name)
        seconds = perf_counter() - began
        written = len(batch.audience) - len(batch.waiting) - len(failed)
        told(name, written, batch.written_bytes(PLAIN_WEBSOCKET), seconds)
        return failed

    fan_out.flush = flush


def _bind_wrote(hub: Hub, told: Told) -> None:
    inner = hub.deliveries.to_one

    def to_one(link: Link, data: bytes, key: str | None, delivery: Delivery) -> None:
        before = delivery.sent + delivery.queued
        inner(link, data, key, delivery)
        if delivery.sent + delivery.queued > before:
            told(view_of(link), len(data))

    hub.deliveries.to_one = to_one


def _bind_handled(hub: Hub, told: Told) -> None:
    # One sample for all observers.
    hub.fence.measured_by(_both(hub.fence.measure, told))


_BINDINGS: Mapping[str, Callable[[Hub, Told], None]] = {
    "opened": _bind_opened,
    "closed": _bind_closed,
    "shook_hands": _bind_shook_hands,
    "pong": _bind_pong,
    "received": _bind_received,
    "sent": _bind_sent,
    "batch": _bind_batch,
    "wrote": _bind_wrote,
    "handled": _bind_handled,
}
