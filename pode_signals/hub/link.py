"""The life of one connection, from open to gone, as hub, dispatch, fan-out and transport see it.

It decides nothing about messages or audiences; the hub does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import LogLevel

from ..core.limits import TokenBucket, WindowCounter
from ..core.model import ClosedBy, Closure, Scope
from ..core.outbox import Outbox
from ..core.request_record import HandshakeRecord
from ..core.routes import RouteMatch
from ..core.settings import Settings
from ..wire.frames import CloseCode, close_reason
from .delivery import Delivery
from .inboxes import Inbox
from .reports import Reports
from .transport import ClientTransport
from .waiters import Waiters

__all__ = ["ConnectionState", "Lifecycle"]


class ConnectionState(Enum):
    """Where a connection is in its life."""

    OPEN = "open"
    CLOSING = "closing"
    """A close frame was sent or received; it is in no registry any more."""
    CLOSED = "closed"
    """The transport is gone."""


class _Hub(Protocol):
    """What a connection needs of its hub."""

    @property
    def clock(self) -> IReactorTime: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def reports(self) -> Reports: ...
    def wall_time(self, seconds: float) -> datetime: ...
    def check_thread(self, call: str) -> None: ...
    def fresh_context(self) -> Context: ...
    def ping_payload(self) -> bytes: ...
    def send_to(self, connection: Any, data: object, depth: int | None = None, key: str | None = None) -> Delivery: ...
    def congestion_changed(self, connection: Any, congested: bool) -> None: ...
    def connection_leaves(self, connection: Any) -> None: ...
    def message_grows(self, connection: Any, size_bytes: int) -> None: ...
    def send_close(self, connection: Any, code: int, reason: bytes) -> None: ...
    def connection_gone(self, connection: Any) -> None: ...


class Lifecycle:
    """What :class:`~pode_signals.SignalConnection` builds on.

    Attributes:
        last_activity_seconds: when its client last sent a message, or when it was converted.
        write_frames: writes whole frames; False where it is not open, and nothing is written.
        ping_due, pong_due, message_due: when the heartbeat has to look at it; None is never.
        outbox: what waits while the client does not read; None where nothing does.
        busy: a message is being handled, or the Connect functions run.
        inbox: the messages behind that; None where there are none.
        reading_paused: nothing is read from the client.
        bad_messages, message_bucket: how many of its messages were bad, and how many may come.
        route, route_version: its signal route, and the version of the routes that says so.
    """

    __slots__ = (
        "__weakref__",
        "_close_timer",
        "_connected_seconds",
        "_disconnect_waiters",
        "_hub",
        "_metadata",
        "_ping",
        "_transport",
        "address",
        "bad_messages",
        "busy",
        "client_id",
        "closure",
        "endpoint_name",
        "group",
        "inbox",
        "last_activity_seconds",
        "message_bucket",
        "message_due",
        "name",
        "outbox",
        "ping_due",
        "pong_due",
        "reading_paused",
        "request",
        "route",
        "route_version",
        "scope",
        "state",
        "subprotocol",
        "write_frames",
    )

    def __init__(
        self,
        hub: _Hub,
        *,
        name: str,
        group: str | None,
        client_id: str,
        scope: Scope,
        request: HandshakeRecord,
        endpoint_name: str | None = None,
        subprotocol: str | None = None,
    ) -> None:
        self._hub = hub
        self._transport: ClientTransport | None = None
        self.write_frames: Callable[[bytes], bool] = _not_open  # False where it is not open, and nothing is written
        self.name = name
        self.group = group
        self.client_id = client_id
        self.scope = scope
        self.request = request
        self.address = request.address
        self.endpoint_name = endpoint_name
        self.subprotocol = subprotocol
        self.state = ConnectionState.OPEN
        self.closure: Closure | None = None
        self._connected_seconds = self.last_activity_seconds = hub.clock.seconds()
        self._metadata: dict[str, Any] | None = None
        self._disconnect_waiters: Waiters[Closure] | None = None
        self._close_timer: IDelayedCall | None = None
        # What heartbeat and fan-out keep with each connection.
        self.ping_due = self._connected_seconds + hub.settings.ping_interval_seconds
        self.pong_due: float | None = None
        self.message_due: float | None = None
        self._ping: bytes | None = None  # what the pong that is due has to say
        self.outbox: Outbox | None = None
        # What dispatch keeps with each connection; made on first use.
        self.busy = True
        self.inbox: Inbox | None = None
        self.reading_paused = False
        self.bad_messages: WindowCounter | None = None
        self.message_bucket: TokenBucket | None = None
        self.route: RouteMatch | None = None
        self.route_version = -1

    # What hub, dispatch and fan-out call.

    def attach(self, transport: ClientTransport) -> None:
        """Take the transport, once."""
        self._transport = transport
        self.write_frames = transport.write_frames

    def write_close(self, code: int, reason: bytes) -> None:
        """Write a close frame; the connection has left the hub before."""
        assert self._transport is not None
        self._transport.write_close(code, reason)

    def shut(self, code: int, reason: str, by: ClosedBy, *, timeout_seconds: float | None = None) -> None:
        """Leave the hub, then send the close frame; nothing happens where the connection is not open.

        Args:
            code: the close code.
            reason: text for the client.
            by: who closes.
            timeout_seconds: after so long without an answer the transport is aborted; None is the hub's.
        """
        text = close_reason(reason)
        closure = Closure(code, text.decode("utf-8"), by)
        self.left(closure, timeout_seconds=timeout_seconds)
        if self.closure is closure:  # else it had left before
            self._hub.send_close(self, code, text)

    def fail(self) -> None:
        """Give the connection up: its transport raised."""
        self.left(Closure(CloseCode.ABNORMAL, "the transport failed", ClosedBy.ERROR))
        self.abort()

    def abort(self, by: ClosedBy = ClosedBy.SERVER) -> None:
        """Drop the transport; a connection that is open leaves the hub first."""
        self.left(Closure(CloseCode.ABNORMAL, "", by))
        if self.state is not ConnectionState.CLOSED:
            assert self._transport is not None
            self._transport.abort()

    def ping(self, pong_due: float) -> None:
        """Ping the client, whose pong has to come by a time."""
        assert self._transport is not None
        self._ping = payload = self._hub.ping_payload()
        self.pong_due = pong_due
        self._transport.write_ping(payload)

    def vanished(self) -> None:
        """The client answers no more."""
        self.left(Closure(CloseCode.ABNORMAL, "no pong in time", ClosedBy.TIMEOUT))
        self.abort()

    def pause_reading(self) -> None:
        """Stop reading from the client, unless nothing but its close frame is read for any more."""
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
        """The first frame of a message has begun: its last one has to end in time."""
        self.message_due = self._hub.clock.seconds() + self._hub.settings.message_timeout_seconds

    def message_ended(self) -> None:
        """A message is complete."""
        self.message_due = None

    def message_grows(self, size_bytes: int) -> None:
        """So much has come of a message that is not complete; 0 where none is, any more."""
        if self.state is ConnectionState.OPEN or not size_bytes:
            self._hub.message_grows(self, size_bytes)

    def pong(self, payload: bytes) -> None:
        """A pong came in; one that no ping of ours asked for says nothing."""
        if self.pong_due is not None and payload == self._ping:
            self.pong_due = self._ping = None
            self.ping_due = self._hub.clock.seconds() + self._hub.settings.ping_interval_seconds

    def congested(self) -> None:
        """The transport holds more than it likes."""
        self._hub.congestion_changed(self, True)

    def drained(self) -> None:
        """The transport's buffer is empty again."""
        self._hub.congestion_changed(self, False)

    def left(self, closure: Closure, *, timeout_seconds: float | None = None) -> None:
        """A close frame is about to be sent, or was received: the connection leaves the hub, once."""
        if self.state is ConnectionState.OPEN:
            self._hub.connection_leaves(self)
        if self.closure is not None:  # it left before, or because writing what was sent before failed
            return
        self.state = ConnectionState.CLOSING
        self.write_frames = _not_open
        self.closure = closure
        if self.reading_paused:
            self.resume_reading()  # or the client's close frame would never be seen
        seconds = self._hub.settings.close_timeout_seconds if timeout_seconds is None else timeout_seconds
        self._close_timer = self._hub.clock.callLater(seconds, self._close_timed_out)

    def lost(self) -> None:
        """The transport is gone."""
        if self.state is ConnectionState.CLOSED:
            return
        self.state = ConnectionState.CLOSED  # first, so that nothing is written to it any more
        self.write_frames = _not_open
        self._transport = None
        if self.closure is None:
            self.closure = Closure(CloseCode.ABNORMAL, "", ClosedBy.CLIENT)
            self._hub.connection_leaves(self)
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self._hub.connection_gone(self)
        waiters, self._disconnect_waiters = self._disconnect_waiters, None
        if waiters is not None:
            waiters.fire(self.closure, self._hub.fresh_context)

    def _close_timed_out(self) -> None:
        self._close_timer = None
        self._hub.reports.limit(
            "close_timeout_seconds",
            "connection {client_id} did not answer the close frame: dropped",
            level=LogLevel.info,
            client_id=self.client_id,
        )
        self.abort()


def _not_open(_frames: bytes) -> bool:
    return False
