"""From a client's message to the signal route that wants it: one at a time per connection, in order.

It knows no sockets: bytes of whole text messages come in, the hub's ``send`` goes out.
"""

from __future__ import annotations

from typing import Protocol

from ..core.limits import TokenBucket, WindowCounter
from ..core.model import ClosedBy, ConnectionState, EveryName, SendMode, Unrouted
from ..core.nearest import nearest
from ..core.routes import RouteMatch, SignalRoutes
from ..errors import BroadcastRefused, MessageInvalid, MessageTooBig
from ..wire.frames import CloseCode
from ..wire.plain import EXPECTED, decode_client_message
from .connection import view_of
from .fence import Fence
from .inboxes import Inboxes
from .link import Link
from .records import Intake
from .runtime import Runtime
from .signal_event import EventParts, SignalEvent

__all__ = ["Dispatch", "DispatchHub"]

_POLICY_VIOLATION = CloseCode.POLICY_VIOLATION
# Routes of many paths may convert, and a client chooses among these paths.
_MOST_TOLD = 100
# A longer path is no misspelled one, and is not kept.
_LONGEST_TOLD = 256
# Names are quicker to look up than attributes of an enumeration.
_OPEN, _AUTO = ConnectionState.OPEN, SendMode.AUTO


class DispatchHub(EventParts, Protocol):
    """What dispatch needs of its hub, beside what each event needs.

    Attributes:
        fence: runs functions of the user.
        inboxes: what waits.
        routes: the signal routes.
        unrouted: what becomes of messages without a signal route.
    """

    fence: Fence
    inboxes: Inboxes
    routes: SignalRoutes
    unrouted: Unrouted

    def client_ids_hold(self, client_ids: tuple[str, ...]) -> bool:
        """Whether the client ids of a client's message are valid."""


class Dispatch:
    """Hands the messages of each connection to its signal route.

    Args:
        runtime: the surroundings.
        hub: what it sends through.
    """

    def __init__(self, runtime: Runtime, hub: DispatchHub) -> None:
        self._runtime = runtime
        self._hub = hub
        self._counters = runtime.counters
        self._reports = runtime.reports
        self._call = hub.fence.call
        self._follow = hub.fence.follow
        self._fresh_context = runtime.fresh_context
        self._routes = hub.routes
        self._max_depth = runtime.settings.max_json_depth
        self._max_keys = runtime.settings.max_json_keys
        self._turns = runtime.turns
        self._inboxes = hub.inboxes
        # Paths without a signal route that the log has told of.
        self._told: set[str] = set()

    def received(self, link: Link, payload: bytes) -> None:
        """A text message came in: it is handled now, or waits for those before it. After a close nobody wants it."""
        if link.state is not _OPEN:
            return
        self._counters.messages_received += 1
        now = link.last_activity_seconds = self._runtime.clock.seconds()
        intake = link.intake or self._begin(link, now)
        if not intake.busy:
            if intake.bucket.take(now):
                intake.busy = True
                if self._handle(link, intake, payload, now):
                    if link.inbox is None and not link.reading_paused:
                        intake.busy = False
                    else:
                        # There is what came while the function ran.
                        self.next(link)
                elif self._inboxes.is_full:
                    self._inboxes.is_busy(link)
                return
            self._wait(link, intake)
        self._inboxes.put(link, payload)

    def next(self, link: Link) -> None:
        """What kept the connection busy has ended: go on with what waits, for the client's share of this turn."""
        intake, inbox = link.intake, link.inbox
        # A client that has sent nothing has nothing that waits; its socket may be read no further all the same.
        if intake is None:
            self._inboxes.is_idle(link)
            return
        end = self._turns.share_ends() if inbox else 0.0
        while inbox:
            now = self._runtime.clock.seconds()
            if not intake.bucket.take(now):
                self._wait(link, intake)
                return
            if not self._handle(link, intake, self._inboxes.take(link, inbox), now):
                self._inboxes.is_busy(link)
                return
            if self._turns.seconds() >= end:
                self._turns.later(self.next, link)
                return
        intake.busy = False
        self._inboxes.is_idle(link)

    def _begin(self, link: Link, now: float) -> Intake:
        """The first message of a client, which waits for the end of the Connect functions."""
        settings = self._runtime.settings
        bucket = TokenBucket(settings.messages_per_second, settings.message_burst, now)
        intake = link.intake = Intake(bucket, busy=link.is_connecting)
        return intake

    def _wait(self, link: Link, intake: Intake) -> None:
        """The client sends faster than it may: its messages go on by themselves when its rate allows."""
        self._limit_acts(link, "messages_per_second", "its messages have to wait")
        intake.busy = True
        self._runtime.clock.callLater(intake.bucket.wait_seconds, self._turns.later, self.next, link)

    def _handle(self, link: Link, intake: Intake, payload: bytes, now: float) -> bool:
        """Whether the message was done with at once."""
        try:
            message = decode_client_message(payload, max_depth=self._max_depth, max_keys=self._max_keys)
        except MessageInvalid as invalid:
            self._bad_message(link, intake, invalid)
            return True
        if message.client_id and not self._hub.client_ids_hold(message.client_id):
            self._refused(link, "a client id that is not valid")
            return True
        match = intake.route if intake.route_version == self._routes.version else self._match(link, intake)
        event = SignalEvent(self._hub, link.view or view_of(link), message, match, now)
        if match is None:
            self._resend(link, intake, event)
            return True
        context = self._fresh_context()
        result = self._call(event, context, match.route.function)
        # Most functions give nothing: there is nothing to follow.
        if result is None:
            return True
        return self._follow(event, context, result, lambda _: self.next(link)) is not None

    def _match(self, link: Link, intake: Intake) -> RouteMatch | None:
        request = link.request
        intake.route = self._routes.match(request.path, link.endpoint_name, request.http_route)
        intake.route_version = self._routes.version
        if intake.route is None:
            self._say_unrouted(request.path)
        return intake.route

    def _say_unrouted(self, path: str) -> None:
        """Tell once of each path without a signal route while there are some: a route that is misspelled is silent."""
        routes = self._routes.all()
        if not routes or len(path) > _LONGEST_TOLD or path in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(path)
        near = nearest(path, [each.path for each in routes])
        self._reports.write(
            "unrouted",
            "there is no signal route for {path}, so unrouted={unrouted} decides on its messages"
            + ("" if near is None else "; did you mean {near}?"),
            path=path,
            unrouted=self._hub.unrouted.value,
            near=near,
        )

    def _resend(self, link: Link, intake: Intake, event: SignalEvent) -> None:
        """Without a route: what Pode does, or what ``unrouted`` says."""
        hub, said = self._hub, event.data
        # What the client's message names; where it names nothing, every connection.
        name: str | EveryName | None = None
        if hub.unrouted is Unrouted.DROP:
            self._counters.messages_unrouted_dropped += 1
            return
        if hub.unrouted is Unrouted.SAME_NAME:
            if not said.direct and said.path not in (None, link.name):
                self._counters.messages_unrouted_dropped += 1
                return
            name = link.name
        try:
            delivery = hub.send_within(event, said.message, name, said.group, said.client_id, _AUTO, None, None)
            if delivery.refused:
                self._refused(link, "a message that the broadcast levels of some names stop there")
        except BroadcastRefused as refused:
            self._refused(link, f"a message that the broadcast level {refused.level.name} stops")
        except MessageTooBig as too_big:
            # JSON can grow on its way out, for instance by escapes.
            self._bad_message(link, intake, too_big)

    def _refused(self, link: Link, what: str) -> None:
        self._counters.messages_refused += 1
        self._reports.write(
            "messages_refused", "connection {client_id}: refused {what}", client_id=link.client_id, what=what
        )

    def _bad_message(self, link: Link, intake: Intake, invalid: MessageInvalid) -> None:
        settings = self._runtime.settings
        self._counters.messages_bad += 1
        if intake.bad_messages is None:
            intake.bad_messages = WindowCounter(settings.bad_messages_limit, settings.bad_messages_window_seconds)
            self._say_bad(link, invalid)
        elif invalid.limit is not None:
            # Each time that a limit acts is counted, where its line is written.
            self._say_bad(link, invalid)
        if intake.bad_messages.hit(self._runtime.clock.seconds()):
            self._limit_acts(link, "bad_messages_limit", "too many bad messages: closed")
            link.shut(_POLICY_VIOLATION, "too many bad messages", ClosedBy.ERROR)

    def _say_bad(self, link: Link, invalid: MessageInvalid) -> None:
        """Tell the author of a page which form a message has to have: a plain client is told nothing."""
        # A message that a limit stopped has the right form, and its line ends with the name of the setting.
        is_malformed = invalid.limit is None and not isinstance(invalid, MessageTooBig)
        self._reports.write(
            "messages_bad",
            "connection {client_id}: bad message: {reason}" + ("; expected is {expected}" if is_malformed else ""),
            client_id=link.client_id,
            reason=invalid.reason,
            expected=EXPECTED,
            limit=invalid.limit,
        )

    def _limit_acts(self, link: Link, setting: str, what: str) -> None:
        self._reports.limit(setting, "connection {client_id}: {what}", client_id=link.client_id, what=what)
