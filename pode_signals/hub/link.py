"""The machine's side of one connection, from open to gone. Hub, dispatch, fan-out and transport work with it.

It decides nothing about messages or audiences; the hub does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import LogLevel

from ..core.model import ClosedBy, Closure, ConnectionState, Identity, Scope
from ..core.outbox import Outbox
from ..core.request_record import RequestRecord
from ..wire.frames import CloseCode, close_reason
from ..wire.message import PLAIN_WEBSOCKET, Encoding
from .delivery import Delivery
from .dialogue import Dialogue
from .profile import Profile
from .records import Inbox, Intake, Pulse, Replacements
from .runtime import Runtime
from .transport import ClientTransport
from .waiters import Waiters

__all__ = ["Link", "LinkHub"]


class LinkHub(Protocol):
    """What a link needs of the hub that opened it; :class:`~pode_signals.hub.hub.Hub` is one.

    Attributes:
        face: the object that users get from ``connection.hub``.
        send_to: sends data to one link.
        ponged, shook_hands: are told of pongs and of handshakes, and how long each took; None tells nobody.
    """

    face: Any
    send_to: Callable[[Link, object, int | None, str | None], Delivery]
    ponged: Callable[[Link, float], None] | None
    shook_hands: Callable[[Link, float], None] | None

    @property
    def runtime(self) -> Runtime:
        """The surroundings."""

    def leaves(self, link: Link) -> None:
        """The connection is about to close: messages that were sent before are written, and it gets no later ones."""

    def gone(self, link: Link) -> None:
        """The transport is gone."""

    def close(self, link: Link, code: int, reason: bytes) -> None:
        """Write a close frame; a transport that raises is given up, and the exception goes no further."""

    def congested(self, link: Link) -> None:
        """The transport's buffer is full."""

    def drained(self, link: Link) -> None:
        """The transport is empty again."""

    def route_ended(self, link: Link, *, failed: bool) -> None:
        """The route that converted a connection has ended."""

    def grows(self, link: Link, size_bytes: int) -> None:
        """So many bytes have come of a message that is not complete; 0 where no message is incomplete."""

    def expires(self, link: Link) -> None:
        """The connection has another expiry."""

    def shows(self, link: Link) -> None:
        """Others see something new of the connection."""

    def join_group(self, link: Link, group: str) -> None:
        """Have an open connection in one more group."""

    def leave_group(self, link: Link, group: str) -> None:
        """Have an open connection in one group less."""


class Link:
    """The machine's side of one connection; :class:`~pode_signals.SignalConnection` is the user's view of it.

    The heartbeat, dispatch and fan-out each keep a record with each connection. The module that made a record writes
    it, and others only read it.

    Args:
        hub: the hub that the connection belongs to.
        identity: name, groups and client id.
        request: a read-only record of the request.
        scope: global or local.
        endpoint_name: the name of the endpoint that the connection came in by; None where the endpoint has no name.
        subprotocol: the agreed WebSocket subprotocol; None where none was agreed on.
        encoding: how its client gets messages.
        dialogue: what is kept of a client that is told where in the log it is; None for any other.
        profile: its user; None where ``convert`` said nothing of one.

    Attributes:
        state: open, closing or closed.
        closure: how the connection ended; None while it is open.
        connected_seconds: when the connection was opened, by the hub's clock.
        last_activity_seconds: when its client last sent a message, or when the connection was opened.
        write: writes whole encoded messages. It returns False, and writes nothing, where the connection is not open.
        is_connecting: whether its Connect functions have not ended yet.
        is_disconnected: its Disconnect functions have ended.
        reading_paused: whether nothing is read from the client.
        pulse: the heartbeat's record: when a ping, a pong or the end of a message is due.
        intake: dispatch's record of a client that has sent a message; None where the client has sent none.
        inbox: messages that wait for functions; None where there are none.
        replacements: how often connections have taken each other's place, up to this one; None for the first one.
        runtime: the surroundings of the hub.
        view: the object that users hold, kept here by ``connection.py``; None where nobody has asked for it yet.
        outbox: messages that wait because the client reads too slowly; None where no message waits.
    """

    __slots__ = (
        "_close_timer",
        "_disconnect_waiters",
        "_groups",
        "_transport",
        "client_id",
        "closure",
        "connected_seconds",
        "dialogue",
        "encoding",
        "endpoint_name",
        "hub",
        "inbox",
        "intake",
        "is_connecting",
        "is_disconnected",
        "last_activity_seconds",
        "name",
        "outbox",
        "profile",
        "pulse",
        "reading_paused",
        "replacements",
        "request",
        "runtime",
        "scope",
        "state",
        "subprotocol",
        "view",
        "write",
    )

    def __init__(
        self,
        hub: LinkHub,
        identity: Identity,
        request: RequestRecord,
        *,
        scope: Scope = Scope.GLOBAL,
        endpoint_name: str | None = None,
        subprotocol: str | None = None,
        encoding: Encoding = PLAIN_WEBSOCKET,
        dialogue: Dialogue | None = None,
        profile: Profile | None = None,
    ) -> None:
        self.hub = hub
        self.name = identity.name
        self._groups: str | tuple[str, ...]
        self.groups = identity.groups
        self.client_id = identity.client_id
        self.request = request
        self.scope = scope
        self.endpoint_name = endpoint_name
        self.subprotocol = subprotocol
        self.encoding = encoding
        self.dialogue = dialogue
        self.profile = profile
        self.state = ConnectionState.OPEN
        self.closure: Closure | None = None
        self.runtime = runtime = hub.runtime
        self.connected_seconds = self.last_activity_seconds = runtime.clock.seconds()
        # The transport's own method while the connection is open, and _not_open before and afterwards. So a write needs
        # no look at the state, which a fan-out to thousands of connections would take thousands of times.
        self.write: Callable[[bytes], bool] = _not_open
        self.is_connecting = True
        self.is_disconnected = False
        self.reading_paused = False
        self.pulse = Pulse(self.connected_seconds + runtime.settings.ping_interval_seconds)
        self.intake: Intake | None = None
        self.inbox: Inbox | None = None
        self.outbox: Outbox | None = None
        self.replacements: Replacements | None = None
        self._transport: ClientTransport | None = None
        self.view: Any = None
        self._disconnect_waiters: Waiters[Closure] | None = None
        self._close_timer: IDelayedCall | None = None

    @property
    def address(self) -> str:
        """The address of the client's socket, or the one that trusted proxies report."""
        return self.request.address

    @property
    def is_global(self) -> bool:
        """Whether its scope is global."""
        return self.scope is Scope.GLOBAL

    @property
    def is_local(self) -> bool:
        """Whether its scope is local."""
        return self.scope is Scope.LOCAL

    @property
    def is_signals(self) -> bool:
        """Whether its client speaks ``pode.signals.v1``."""
        return self.encoding.protocol == "signals"

    @property
    def groups(self) -> tuple[str, ...]:
        """Its groups within the name, in the order of joining. The hub alone sets them."""
        found = self._groups
        return (found,) if isinstance(found, str) else found

    @groups.setter
    def groups(self, groups: tuple[str, ...]) -> None:
        # A connection with one group keeps the text alone: a tuple of one would take 64 bytes of each such client. All
        # connections without a group have the same empty tuple.
        self._groups = groups[0] if len(groups) == 1 else groups

    @property
    def group(self) -> str | None:
        """The first of its groups; None where it has no group."""
        return next(iter(self.groups), None)

    # What users call, by way of their view.

    def join(self, group: str) -> None:
        """Be in a group too; nothing happens where the connection is in the group already, or is not open.

        Raises:
            ValueError: the connection would be in more than ``max_groups`` groups.
        """
        if self.state is ConnectionState.OPEN and group not in self.groups:
            self.hub.join_group(self, group)

    def leave(self, group: str) -> None:
        """Be in a group no longer; nothing happens where the connection is not in the group."""
        if group in self.groups:
            self.hub.leave_group(self, group)

    # What hub, dispatch and fan-out call.

    def attach(self, transport: ClientTransport) -> None:
        """Take the transport, once."""
        self._transport = transport
        self.write = transport.write

    def write_close(self, code: int, reason: bytes) -> None:
        """Write a close frame. The connection must have left the hub before, so that nothing is written behind it."""
        assert self._transport is not None
        self._transport.write_close(code, reason)

    def shut(self, code: int, reason: str, by: ClosedBy, *, timeout_seconds: float | None = None) -> None:
        """Leave the hub, then send the close frame; nothing happens where the connection is not open.

        Args:
            code: the close code.
            reason: text for the client.
            by: who closes.
            timeout_seconds: how long the client may take to answer with a close frame before the transport is aborted;
                None is the hub's ``close_timeout_seconds``.
        """
        text = close_reason(reason)
        closure = Closure(code, text.decode("utf-8"), by)
        self.left(closure, timeout_seconds=timeout_seconds)
        # Otherwise the connection had left before, or has failed while it left: it gets no second close frame.
        if self.closure is closure:
            self.hub.close(self, code, text)

    def fail(self) -> None:
        """Give the connection up, whose transport raised."""
        self.left(Closure(CloseCode.ABNORMAL, "the transport failed", ClosedBy.ERROR))
        self.abort()

    def abort(self, by: ClosedBy = ClosedBy.SERVER) -> None:
        """Drop the transport; a connection that is open leaves the hub first."""
        self.left(Closure(CloseCode.ABNORMAL, "", by))
        if self.state is not ConnectionState.CLOSED:
            assert self._transport is not None
            self._transport.abort()

    def ping(self, payload: bytes) -> None:
        """Ping the client."""
        assert self._transport is not None
        self._transport.write_ping(payload)

    def vanished(self) -> None:
        """The client does not answer any more."""
        self.left(Closure(CloseCode.ABNORMAL, "no pong in time", ClosedBy.TIMEOUT))
        self.abort()

    def pause_reading(self) -> None:
        """Stop reading from the client, while the connection is open."""
        # A connection that is closing has to read its client's close frame.
        if self.state is not ConnectionState.OPEN:
            return
        self.reading_paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self.reading_paused = False
        if self._transport is not None and self.state is not ConnectionState.CLOSED:
            self._transport.resume_reading()

    # What the transport calls.

    def message_begins(self) -> None:
        """The first frame of a message has begun: the last frame of that message has to end in time."""
        runtime = self.runtime
        self.pulse.message_begins(runtime.clock.seconds() + runtime.settings.message_timeout_seconds)

    def took_long(self, began_seconds: float) -> None:
        """What the client has sent keeps the reactor busy since a time, by the hub's clock: its signal route does."""
        route = None if self.intake is None else self.intake.route
        where = "messages of a client" if route is None else f"signal route {route.route.path}"
        self.runtime.stalls.blame(where, began_seconds)

    def message_ended(self) -> None:
        """A message is complete."""
        self.pulse.message_ended()

    def message_grows(self, size_bytes: int) -> None:
        """So many bytes have come of a message that is not complete; 0 where no message is incomplete any more."""
        # After the end only a 0 is passed on: the hub must not count bytes of a connection that has left it.
        if self.state is ConnectionState.OPEN or not size_bytes:
            self.hub.grows(self, size_bytes)

    def pong(self, payload: bytes) -> None:
        """A pong came in."""
        settings, now = self.runtime.settings, self.runtime.clock.seconds()
        due = self.pulse.pong(payload, now + settings.ping_interval_seconds)
        if due is not None and self.hub.ponged is not None:
            self.hub.ponged(self, now - (due - settings.pong_timeout_seconds))

    def congested(self) -> None:
        """The transport's buffer is full."""
        # Fan-out would keep a connection that has left the hub for ever.
        if self.state is ConnectionState.OPEN:
            self.hub.congested(self)

    def drained(self) -> None:
        """The transport's buffer is empty again."""
        self.hub.drained(self)

    def left(self, closure: Closure, *, timeout_seconds: float | None = None) -> None:
        """A close frame is about to be sent, or was received: the connection leaves the hub, once."""
        # The state is still OPEN while the hub writes the messages that were sent before.
        if self.state is ConnectionState.OPEN:
            self.hub.leaves(self)
        # Either the connection had left before this call, or one of those writes failed: then this method has been
        # called once more meanwhile, and the first reason counts.
        if self.closure is not None:
            return
        self.state = ConnectionState.CLOSING
        self.write = _not_open
        self.closure = closure
        # Without reading, the client's close frame would never be seen.
        if self.reading_paused:
            self.resume_reading()
        seconds = self.runtime.settings.close_timeout_seconds if timeout_seconds is None else timeout_seconds
        self._close_timer = self.runtime.clock.callLater(seconds, self._close_timed_out)

    def lost(self) -> None:
        """The transport is gone."""
        if self.state is ConnectionState.CLOSED:
            return
        # This comes first: the hub, which is called below, must not write to a transport that is gone.
        self.state = ConnectionState.CLOSED
        self.write = _not_open
        self._transport = None
        # The client went away without a close frame (RFC 6455 section 7.1.5: code 1006).
        if self.closure is None:
            self.closure = Closure(CloseCode.ABNORMAL, "", ClosedBy.CLIENT)
            self.hub.leaves(self)
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self.hub.gone(self)
        waiters, self._disconnect_waiters = self._disconnect_waiters, None
        if waiters is not None:
            waiters.fire(self.closure, self.runtime.fresh_context)

    def when_disconnected(self) -> Deferred[Closure]:
        """A new Deferred that fires with the closure when the transport is gone; at once where it is gone already."""
        if self.state is ConnectionState.CLOSED:
            assert self.closure is not None
            return succeed(self.closure)
        if self._disconnect_waiters is None:
            self._disconnect_waiters = Waiters()
        return self._disconnect_waiters.wait()

    def _close_timed_out(self) -> None:
        self._close_timer = None
        self.runtime.reports.limit(
            "close_timeout_seconds",
            "connection {client_id} did not answer the close frame: dropped",
            level=LogLevel.info,
            client_id=self.client_id,
        )
        self.abort()


def _not_open(_frames: bytes) -> bool:
    return False
