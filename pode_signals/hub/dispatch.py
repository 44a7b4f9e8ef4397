"""From a client's message to the signal route that wants it: one at a time per connection, in order.

It knows no sockets: bytes of whole text messages come in, the hub's ``send`` goes out.
"""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Protocol

from ..core.counters import Counters
from ..core.limits import TokenBucket, WindowCounter
from ..core.model import ClosedBy, EveryName, Unrouted
from ..core.routes import RouteMatch, SignalRoutes
from ..core.settings import Settings
from ..errors import BroadcastRefused, MessageInvalid, MessageTooBig
from ..wire.frames import CloseCode
from ..wire.plain import decode_client_message
from .fence import Fence
from .inboxes import Inboxes
from .link import ConnectionState
from .reports import Reports
from .signal_event import SignalEvent
from .turns import Turns

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from .connection import SignalConnection
    from .delivery import Delivery

__all__ = ["Dispatch"]

_POLICY_VIOLATION = CloseCode.POLICY_VIOLATION
_OPEN = ConnectionState.OPEN  # a name, which is quicker to look up


class _Hub(Protocol):
    """What dispatch needs of its hub."""

    settings: Settings
    counters: Counters
    fence: Fence
    reports: Reports
    turns: Turns
    inboxes: Inboxes
    unrouted: Unrouted

    @property
    def clock(self) -> IReactorTime: ...
    def fresh_context(self) -> Context: ...
    def client_ids_hold(self, client_ids: tuple[str, ...]) -> bool: ...
    def send_within(
        self,
        event: SignalEvent,
        data: object,
        *,
        name: str | EveryName | None = None,
        group: tuple[str, ...] = (),
        client_id: tuple[str, ...] = (),
    ) -> Delivery: ...


class Dispatch:
    """Hands the messages of each connection to its signal route.

    Args:
        hub: what it sends through and what it counts in.
        routes: the signal routes.
    """

    def __init__(self, hub: _Hub, routes: SignalRoutes) -> None:
        self._hub = hub
        self._counters = hub.counters
        self._call = hub.fence.call
        self._follow = hub.fence.follow
        self._fresh_context = hub.fresh_context
        self._routes = routes
        self._max_depth = hub.settings.max_json_depth
        self._max_keys = hub.settings.max_json_keys
        self._turns = hub.turns
        self._inboxes = hub.inboxes

    def received(self, connection: SignalConnection, payload: bytes) -> None:
        """A text message came in: it is handled now, or waits for those before it. After a close nobody wants it."""
        if connection.state is not _OPEN:
            return
        self._counters.messages_received += 1
        now = connection.last_activity_seconds = self._hub.clock.seconds()
        if not connection.busy:
            bucket = connection.message_bucket or self._new_bucket(connection, now)
            if bucket.take(now):
                connection.busy = True
                if self._handle(connection, payload, now):
                    if connection.inbox is None and not connection.reading_paused:
                        connection.busy = False
                    else:
                        self.next(connection)  # what came while the function ran
                elif self._inboxes.is_full:
                    self._inboxes.is_busy(connection)
                return
            self._wait(connection, bucket)
        self._inboxes.put(connection, payload)

    def next(self, connection: SignalConnection) -> None:
        """Whatever kept the connection busy has ended: go on with what waits, for the client's share of this turn."""
        inbox = connection.inbox
        end = self._turns.share_ends() if inbox else 0.0
        while inbox:
            now = self._hub.clock.seconds()
            bucket = connection.message_bucket or self._new_bucket(connection, now)
            if not bucket.take(now):
                self._wait(connection, bucket)
                return
            if not self._handle(connection, self._inboxes.take(connection, inbox), now):
                self._inboxes.is_busy(connection)
                return
            if self._turns.seconds() >= end:
                self._turns.later(self.next, connection)
                return
        self._inboxes.is_idle(connection)

    def _new_bucket(self, connection: SignalConnection, now: float) -> TokenBucket:
        settings = self._hub.settings
        bucket = connection.message_bucket = TokenBucket(settings.messages_per_second, settings.message_burst, now)
        return bucket

    def _wait(self, connection: SignalConnection, bucket: TokenBucket) -> None:
        """The client sends faster than it may: its messages go on by themselves when its rate allows."""
        self._limit_acts(connection, "messages_per_second", "its messages have to wait")
        connection.busy = True
        self._hub.clock.callLater(bucket.wait_seconds, self._turns.later, self.next, connection)

    def _handle(self, connection: SignalConnection, payload: bytes, now: float) -> bool:
        """Whether the message was done with at once."""
        try:
            message = decode_client_message(payload, max_depth=self._max_depth, max_keys=self._max_keys)
        except MessageInvalid as invalid:
            self._bad_message(connection, invalid)
            return True
        if message.client_id and not self._hub.client_ids_hold(message.client_id):
            self._refused(connection, "a client id that is not valid")
            return True
        match = connection.route if connection.route_version == self._routes.version else self._match(connection)
        event = SignalEvent(connection, message, match, now)
        if match is None:
            self._resend(event)
            return True
        context = self._fresh_context()
        result = self._call(event, context, match.route.function)
        if result is None:  # the quick way for what most functions give
            return True
        return self._follow(event, context, result, lambda _: self.next(connection)) is not None

    def _match(self, connection: SignalConnection) -> RouteMatch | None:
        request = connection.request
        connection.route = self._routes.match(request.path, connection.endpoint_name, request.http_route)
        connection.route_version = self._routes.version
        return connection.route

    def _resend(self, event: SignalEvent) -> None:
        """Without a route: what Pode does, or what ``unrouted`` says."""
        hub, connection = self._hub, event.connection
        name: str | EveryName | None = None
        if hub.unrouted is Unrouted.DROP:
            hub.counters.messages_unrouted_dropped += 1
            return
        if hub.unrouted is Unrouted.SAME_NAME:
            if not event.data.direct and event.data.path not in (None, connection.name):
                hub.counters.messages_unrouted_dropped += 1
                return
            name = connection.name
        try:
            delivery = hub.send_within(
                event, event.data.message, name=name, group=event.data.group, client_id=event.data.client_id
            )
            if delivery.refused:
                self._refused(connection, "a message that the broadcast levels of some names stop there")
        except BroadcastRefused as refused:
            self._refused(connection, f"a message that the broadcast level {refused.level.name} stops")
        except MessageTooBig as too_big:  # JSON that grows on its way out, for instance by escapes
            self._bad_message(connection, too_big)

    def _refused(self, connection: SignalConnection, what: str) -> None:
        self._hub.counters.messages_refused += 1
        self._hub.reports.write(
            "messages_refused", "connection {client_id}: refused {what}", client_id=connection.client_id, what=what
        )

    def _bad_message(self, connection: SignalConnection, invalid: MessageInvalid) -> None:
        settings = self._hub.settings
        self._hub.counters.messages_bad += 1
        self._hub.reports.write(
            "messages_bad",
            "connection {client_id}: bad message: {reason}",
            client_id=connection.client_id,
            reason=invalid.reason,
            limit=invalid.limit,
        )
        if connection.bad_messages is None:
            connection.bad_messages = WindowCounter(settings.bad_messages_limit, settings.bad_messages_window_seconds)
        if connection.bad_messages.hit(self._hub.clock.seconds()):
            self._limit_acts(connection, "bad_messages_limit", "too many bad messages: closed")
            connection.shut(_POLICY_VIOLATION, "too many bad messages", ClosedBy.ERROR)

    def _limit_acts(self, connection: SignalConnection, setting: str, what: str) -> None:
        self._hub.reports.limit(setting, "connection {client_id}: {what}", client_id=connection.client_id, what=what)
