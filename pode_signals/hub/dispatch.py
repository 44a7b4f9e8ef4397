"""Brings each message of a client to its signal route: one message of a connection at a time, in order.

It knows no sockets. A transport gives it the bytes of whole text messages, and it answers through the hub's ``send``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Protocol

from ..core.limits import TokenBucket, WindowCounter
from ..core.model import ClosedBy, ConnectionState, EveryName, SendMode, Unrouted
from ..core.nearest import nearest
from ..core.routes import RouteMatch, SignalRoutes
from ..errors import BroadcastRefused, MessageInvalid, MessageTooBig
from ..wire.frames import CloseCode
from ..wire.plain import EXPECTED, decode_client_message
from ..wire.v1 import EXPECTED_FRAME, ErrorCode
from .answers import Answers
from .connection import view_of
from .fence import Fence
from .inboxes import Inboxes
from .link import Link
from .records import Intake
from .runtime import Runtime
from .signal_event import EventParts, SignalEvent
from .stalls import STALL_SECONDS

__all__ = ["Dispatch", "DispatchHub"]

_POLICY_VIOLATION = CloseCode.POLICY_VIOLATION
# The log tells of this many paths without a signal route. An HTTP route with a parameter in its path has any number of
# paths, which clients choose; without a bound they could fill the log and the memory.
_MOST_TOLD = 100
# The log tells of no path that is longer: such a path is hardly a spelling mistake, and would be kept in memory.
_LONGEST_TOLD = 256
_UNROUTED = {
    Unrouted.BROADCAST: "go to the clients that they name, or to everybody",
    Unrouted.SAME_NAME: "go to the clients that they name, within the name of the sender",
    Unrouted.DROP: "are dropped",
}
# Names are quicker to look up than attributes of an enumeration.
_OPEN, _CLOSED, _AUTO = ConnectionState.OPEN, ConnectionState.CLOSED, SendMode.AUTO


class DispatchHub(EventParts, Protocol):
    """What dispatch needs of its hub, beside what each event needs.

    Attributes:
        answers: reads and answers the frames of clients that speak ``pode.signals.v1``.
        fence: runs functions of the user.
        inboxes: the messages that wait for a function.
        received: what is called with each text message of a client.
        routes: the signal routes.
        unrouted: what is done with messages without a signal route.
    """

    answers: Answers
    fence: Fence
    inboxes: Inboxes
    received: Callable[[Link, bytes], None]
    routes: SignalRoutes
    unrouted: Unrouted

    def idle(self, link: Link) -> None:
        """No function runs, and no message waits, for a connection that is gone."""

    def client_ids_hold(self, client_ids: tuple[str, ...]) -> bool:
        """Whether the client ids of a client's message are valid."""


class Dispatch:
    """Hands the messages of each connection to its signal route.

    Args:
        runtime: the surroundings.
        hub: the hub whose connections send the messages, and through which messages without a route are sent on.
    """

    def __init__(self, runtime: Runtime, hub: DispatchHub) -> None:
        self._runtime = runtime
        self._hub = hub
        self._counters = runtime.counters
        self._reports = runtime.reports
        self._fence = hub.fence
        self._answers = hub.answers
        hub.answers.is_bad = self._bad_frame
        self._fresh_context = runtime.fresh_context
        self._routes = hub.routes
        self._max_depth = runtime.settings.max_json_depth
        self._max_keys = runtime.settings.max_json_keys
        self._turns = runtime.turns
        self._inboxes = hub.inboxes
        # Paths without a signal route that the log has told of.
        self._told: set[str] = set()

    def received(self, link: Link, payload: bytes) -> None:
        """A text message came in: it is handled now, or waits for the messages before it."""
        # Messages of a connection that is closing are not handled any more.
        if link.state is not _OPEN:
            return
        self._counters.messages_received += 1
        now = link.last_activity_seconds = self._turns.seconds()
        intake = link.intake or self._begin(link, now)
        if not intake.busy:
            if intake.bucket.take(now):
                # Set before the function runs, so that a message that comes in meanwhile waits for its end.
                intake.busy = True
                if self._handle(link, intake, payload, now):
                    # The common case ends here, without a call: nothing waits.
                    if link.inbox is None and not link.reading_paused and link.state is _OPEN:
                        intake.busy = False
                    else:
                        # Messages came in while the function ran, reading was paused, or the connection has ended.
                        self.next(link)
                elif self._inboxes.is_full:
                    self._inboxes.is_busy(link)
                return
            self._wait(link, intake)
        elif link.dialogue is not None and self._answers.take_out_of_turn(
            link, payload, is_allowed=lambda: intake.bucket.take(now)
        ):
            return
        # It waits as bytes, undecoded: decoded, a message can take many times the memory that the bounds count.
        self._inboxes.put(link, payload)

    def received_counted(self, link: Link, payload: bytes) -> None:
        """The same as :meth:`received`, and count the bytes: a function around the other would cost more than that."""
        if link.state is not _OPEN:
            return
        self._counters.messages_received += 1
        self._counters.received_bytes += len(payload)
        now = link.last_activity_seconds = self._turns.seconds()
        intake = link.intake or self._begin(link, now)
        if not intake.busy:
            if intake.bucket.take(now):
                intake.busy = True
                if self._handle(link, intake, payload, now):
                    if link.inbox is None and not link.reading_paused and link.state is _OPEN:
                        intake.busy = False
                    else:
                        self.next(link)
                elif self._inboxes.is_full:
                    self._inboxes.is_busy(link)
                return
            self._wait(link, intake)
        elif link.dialogue is not None and self._answers.take_out_of_turn(
            link, payload, is_allowed=lambda: intake.bucket.take(now)
        ):
            return
        self._inboxes.put(link, payload)

    def received_together(self, link: Link, payloads: Sequence[bytes]) -> None:
        """Text messages came in together: those that do not fit into the client's share of this turn wait."""
        end = self._turns.share_ends()
        for payload in payloads:
            intake = link.intake
            if intake is not None and not intake.busy and link.state is _OPEN and self._turns.seconds() >= end:
                intake.busy = True
                self._turns.later(self.next, link)
            # By way of the hub, where observers are told.
            self._hub.received(link, payload)

    def next(self, link: Link) -> None:
        """What kept the connection busy has ended: handle messages that wait, for the client's share of this turn.

        It was kept busy by its Connect functions, by the function of a message, by its rate or by the end of its share.
        """
        intake, inbox = link.intake, link.inbox
        # The client has sent no message, so none waits. Reading may have been paused all the same while its Connect
        # functions ran, and goes on now.
        if intake is None:
            self._inboxes.is_idle(link)
            return
        # The clock is not asked where nothing waits.
        end = self._turns.share_ends() if inbox else 0.0
        while inbox:
            now = self._turns.seconds()
            if not intake.bucket.take(now):
                self._wait(link, intake)
                return
            try:
                is_done = self._handle(link, intake, self._inboxes.take(link, inbox), now)
            except (KeyboardInterrupt, GeneratorExit):
                # What the fence lets pass ends the connection and is logged: by the reactor where bytes are read, and
                # here, since this may be called by a Deferred, which would keep it.
                self._runtime.reports.failure("functions", "what a signal route raised ended its connection")
                link.abort(ClosedBy.ERROR)
                return
            after = self._turns.seconds()
            if after - now >= STALL_SECONDS:
                link.took_long(now)
            # The function goes on, and calls this method again when it ends.
            if not is_done:
                self._inboxes.is_busy(link)
                return
            if after >= end:
                self._turns.later(self.next, link)
                return
        intake.busy = False
        self._inboxes.is_idle(link)
        if link.state is _CLOSED:
            self._hub.idle(link)

    def drop(self, link: Link) -> None:
        """No function gets what a connection has sent, whose Connect functions will not run."""
        while link.inbox:
            self._inboxes.take(link, link.inbox)
        if link.intake is not None:
            link.intake.busy = False
        link.inbox = None

    def _begin(self, link: Link, now: float) -> Intake:
        """Make the record of a client that sends its first message. It begins busy while its Connect functions run."""
        settings = self._runtime.settings
        bucket = TokenBucket(settings.messages_per_second, settings.message_burst, now)
        intake = link.intake = Intake(bucket, busy=link.is_connecting)
        return intake

    def _wait(self, link: Link, intake: Intake) -> None:
        """The client sends faster than it may: its messages wait until its rate allows the next one."""
        self._limit_acts(link, "messages_per_second", "its messages have to wait")
        intake.busy = True
        # By way of the line of those who wait for a turn: many clients may come to the end of their waiting together.
        self._runtime.clock.callLater(intake.bucket.wait_seconds, self._turns.later, self.next, link)

    def _handle(self, link: Link, intake: Intake, payload: bytes, now: float) -> bool:
        """Decode a message and run the function of its signal route.

        Returns:
            Whether the message is done with. False means that the function goes on, and that :meth:`next` is called
            when it ends.
        """
        # None where the client wants no answer, as no client of the plain protocol does.
        reply_id = None
        if link.dialogue is None:
            try:
                message = decode_client_message(payload, max_depth=self._max_depth, max_keys=self._max_keys)
            except MessageInvalid as invalid:
                self._bad_message(link, intake, invalid)
                return True
        else:
            send = self._answers.take(link, payload)
            if send is None:
                return True
            message, reply_id = send.said, send.id
        if message.client_id and not self._hub.client_ids_hold(message.client_id):
            self._refused(link, "a client id that is not valid")
            self._say(link, reply_id, ErrorCode.REFUSED)
            return True
        # The path of a connection never changes, so its route is looked up again only when the routes have changed.
        match = intake.route if intake.route_version == self._routes.version else self._match(link, intake)
        event = SignalEvent(self._hub, link.view or view_of(link), message, match, now)
        if match is None:
            self._say(link, reply_id, self._resend(link, intake, event))
            return True
        context = self._fresh_context()
        result = self._fence.call(event, context, match.route.function)
        if reply_id is not None:
            return self._reply(link, reply_id, event, context, result)
        # Most functions return None, and have ended.
        if result is None:
            return True
        return self._fence.follow(event, context, result, lambda _: self.next(link)) is not None

    def _match(self, link: Link, intake: Intake) -> RouteMatch | None:
        request = link.request
        intake.route = self._routes.match(request.path, link.endpoint_name, request.http_route)
        intake.route_version = self._routes.version
        if intake.route is None:
            self._say_unrouted(request.path)
        return intake.route

    def _say_unrouted(self, path: str) -> None:
        """Tell once of each path without a signal route, where the program has signal routes at all.

        Without this line a misspelled path would look as if the client sent nothing.
        """
        routes = self._routes.all()
        if not routes or len(path) > _LONGEST_TOLD or path in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(path)
        near = nearest(path, [each.path for each in routes])
        self._reports.write(
            "unrouted",
            "there is no signal route for {path}, so its messages {go} (unrouted={unrouted})"
            + ("" if near is None else "; did you mean {near}?"),
            event="message.unrouted",
            path=path,
            go=_UNROUTED[self._hub.unrouted],
            unrouted=self._hub.unrouted.value,
            near=near,
        )

    def _reply(self, link: Link, id: str, event: SignalEvent, context: Context, result: object) -> bool:
        """Answer with what the function gives; False where the function goes on."""

        def later(outcome: object) -> None:
            self._answers.reply(link, id, outcome, event)
            self.next(link)

        ended = self._fence.follow(event, context, result, later)
        if ended is None:
            return False
        self._answers.reply(link, id, ended[0], event)
        return True

    def _say(self, link: Link, id: str | None, code: ErrorCode | None) -> None:
        """Answer a message that no function got; None for the code is that it was sent on."""
        if id is None:
            return
        if code is None:
            self._answers.done(link, id)
        else:
            self._answers.refuse(link, id, code)

    def _resend(self, link: Link, intake: Intake, event: SignalEvent) -> ErrorCode | None:
        """Send a message without a route on to other clients, as Pode does, or do what ``unrouted`` says instead.

        Returns:
            Why it was not sent on; None where it was.
        """
        hub, said = self._hub, event.data
        # None is the name that the client's message has, and every name where the message has none.
        name: str | EveryName | None = None
        if hub.unrouted is Unrouted.DROP:
            self._counters.messages_unrouted_dropped += 1
            return ErrorCode.NO_ROUTE
        if hub.unrouted is Unrouted.SAME_NAME:
            # The client asks for another name than its own. A direct message comes back to its sender, whatever name
            # it has.
            if not said.direct and said.path not in (None, link.name):
                self._counters.messages_unrouted_dropped += 1
                return ErrorCode.NO_ROUTE
            name = link.name
        try:
            sends = self._counters.sends
            delivery = hub.send_within(event, said.message, name, said.group, said.client_id, None, _AUTO, None, None)
            # A message may have nothing to say.
            self._counters.messages_sent_on += self._counters.sends - sends
            if delivery.refused:
                self._refused(link, "a message for some names, whose broadcast levels stop it")
                return None if delivery.recipients else ErrorCode.REFUSED
        except BroadcastRefused as refused:
            self._refused(link, f"a message that the broadcast level {refused.level.name} stops")
            return ErrorCode.REFUSED
        except MessageTooBig as too_big:
            # A message of a size that may come in can be too large to go out: JSON grows by escapes, for instance.
            self._bad_message(link, intake, too_big)
            return ErrorCode.FAILED
        return None

    def _refused(self, link: Link, what: str) -> None:
        self._counters.messages_refused += 1
        self._reports.write(
            "messages_refused",
            "connection {client_id}: refused {what}",
            event="message.refused",
            client_id=link.client_id,
            what=what,
        )

    def _bad_frame(self, link: Link, invalid: MessageInvalid) -> None:
        if link.intake is not None:
            self._bad_message(link, link.intake, invalid)

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
            event="message.bad",
            client_id=link.client_id,
            reason=invalid.reason,
            expected=EXPECTED if link.dialogue is None else EXPECTED_FRAME,
            limit=invalid.limit,
        )

    def _limit_acts(self, link: Link, setting: str, what: str) -> None:
        self._reports.limit(setting, "connection {client_id}: {what}", client_id=link.client_id, what=what)
