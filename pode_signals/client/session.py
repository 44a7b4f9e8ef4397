"""What one client does about all that happens to it: frames, ends, times. It has no socket and sets no timer.

Whoever has the socket tells the session what happened and when, and then does the session's
:attr:`~Session.actions`, in their order. Each attempt to connect has a number, its generation: whatever an older one
still tells is passed over.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Final

from ..core.text import printable
from ..errors import MessageTooBig, ReplyError
from ..wire.client_texts import BEAT, ack_text, refresh_text, watch_text
from ..wire.frames import CloseCode
from ..wire.server_frames import (
    ErrorFrame,
    PresenceFrame,
    Reply,
    ServerBeat,
    ServerFrame,
    ServerFrameInvalid,
    Signal,
    read_server_frame,
)
from ..wire.v1 import Hello
from .actions import Abort, Action, AskForToken, Close, Connect, Greeted, Reading, Tell, Write
from .comebacks import Comebacks, End
from .events import ClientEvent, Closed, Lost, Opened, SignalReceived
from .inbox import Acknowledgement, Inbox
from .liveness import Check, Liveness
from .place import Place
from .presence import PresenceViews
from .renewal import Renewal
from .requests import Requests

__all__ = ["Session", "State"]

_HANDSHAKE_SECONDS: Final = 10.0
_CLOSING_SECONDS: Final = 5.0


class State(Enum):
    """What a client is doing."""

    IDLE = "idle"
    """It was not started yet."""
    CONNECTING = "connecting"
    """It is on the way to its hello."""
    OPEN = "open"
    """It had its hello."""
    WAITING = "waiting"
    """It waits until it connects again."""
    CLOSING = "closing"
    """It was stopped, and its connection is about to end."""
    CLOSED = "closed"
    """It does not come back."""


class Session:
    """One client, over all its connections.

    Args:
        place: where it begins.
        comebacks: decides whether it comes back.
        watch: whether it asks who is connected.
        renews: whether the application can be asked for credentials.
        max_waiting_events: how many events may wait for the application before the client reads no further.

    Attributes:
        state: what it is doing.
        generation: the number of the last attempt to connect.
        hello: the last hello of the connection that is open; None where none is.
        actions: what is to be done, in this order. Whoever does it takes it out.
    """

    def __init__(
        self, place: Place, comebacks: Comebacks, *, watch: bool, renews: bool, max_waiting_events: int
    ) -> None:
        self.state = State.IDLE
        self.generation = 0
        self.hello: Hello | None = None
        self.actions: deque[Action] = deque()
        self.requests = Requests(self.actions.append)
        self._place = place
        self._comebacks = comebacks
        self._watch = watch
        self._renews = renews
        self._inbox = Inbox(max_waiting_events)
        self._has_been_full = False
        # When the state ends by itself: an attempt, a wait, a closing handshake.
        self._until: float | None = None
        # These belong to one connection.
        self._opened_at: float | None = None
        self._is_replaying = False
        self._is_congested = False
        self._liveness = Liveness(0, 0)
        self._renewal = Renewal()
        self._presence = PresenceViews()

    @property
    def has_events(self) -> bool:
        """Whether an event waits."""
        return len(self._inbox) > 0

    # What the application does.

    def start(self) -> None:
        """Connect, unless that was done before. A closed client begins anew, at its place."""
        if self.state in (State.IDLE, State.CLOSED):
            self._connect()

    def close(self, now: float) -> None:
        """Come back no more. A connection that is there ends with 1000."""
        if self.state in (State.IDLE, State.CLOSING, State.CLOSED):
            return
        self.requests.close()
        if self.state is State.WAITING:
            self._finish(Closed(CloseCode.NORMAL))
            return
        self.state, self._until = State.CLOSING, now + _CLOSING_SECONDS
        self.actions += (Close(CloseCode.NORMAL), Reading(True))

    def send(self, text: bytes, id: str | None, end: float) -> int:
        """Send a frame, now or as soon as a connection takes it, once.

        Args:
            text: the frame.
            id: the id in it; None where no answer is wanted.
            end: until when the caller waits.

        Returns:
            The ticket of the frame, with which its end is told.

        Raises:
            ReplyError: the client is closed, or too many frames wait.
            MessageTooBig: the frame is larger than the server takes.
        """
        if self.state in (State.CLOSING, State.CLOSED):
            raise ReplyError("closed", "The client is closed.")
        if self.hello is not None and len(text) > self.hello.max_message_bytes:
            raise MessageTooBig(len(text), self.hello.max_message_bytes)
        ticket = self.requests.add(text, id, end)
        self._write_waiting()
        return ticket

    def take_event(self, now: float) -> tuple[ClientEvent, Acknowledgement | None] | None:
        """The next event, with the answer that it asks for; None where none waits."""
        was_full = self._inbox.is_full
        taken = self._inbox.take()
        if was_full and not self._inbox.is_full:
            self._liveness.begin(now)
            self.actions.append(Reading(True))
            if self.state is State.WAITING and self._until is None:
                self._connect()
        return taken

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """The application has taken a signal that asks for an answer."""
        if self.hello is None:
            self._inbox.owe(acknowledgement)
        elif self.hello.client_id == acknowledgement.client_id:
            self.actions.append(Write(ack_text(acknowledgement.id)))

    def got_token(self, generation: int, token: str, now: float) -> None:
        """The application has given new credentials."""
        if self._is_current(generation) and self.state is State.OPEN:
            self.actions.append(Write(refresh_text(self._renewal.sent(now), token)))

    def got_no_token(self, generation: int, now: float) -> None:
        """The application could not give credentials."""
        if self._is_current(generation) and self.state is State.OPEN:
            self._renewal.failed(now)

    # What the connection tells.

    def connecting(self, generation: int, now: float) -> tuple[str, ...] | None:
        """The attempt begins, and its time runs.

        Returns:
            The subprotocols that it offers; None where the attempt has been given up.
        """
        if not self._is_current(generation) or self.state is not State.CONNECTING:
            return None
        self._until = now + _HANDSHAKE_SECONDS
        return self._place.subprotocols()

    def received(self, generation: int, payload: bytes, now: float) -> None:
        """A text has come."""
        if not self._is_current(generation) or self.state not in (State.CONNECTING, State.OPEN):
            return
        try:
            frame = read_server_frame(payload)
        except ServerFrameInvalid as invalid:
            self._break_off(f"a frame of the server is not valid: {invalid.reason}", now)
            return
        if self.state is State.CONNECTING and not isinstance(frame, Hello):
            # A type that is not known yet may come first in a later version.
            if frame is not None:
                self._break_off("the first frame of the server is no hello", now)
            return
        if frame is not None:
            self._take(frame, now)
        self._liveness.heard(now)

    def _take(self, frame: ServerFrame, now: float) -> None:
        match frame:
            case Signal():
                self._signal(frame)
            case ServerBeat():
                self._is_replaying = False
                self._place.moved(frame.offset)
            case Reply():
                if self._renewal.is_answer(frame.id):
                    self._renewal.taken(frame.data, now)
                else:
                    self.requests.answered(frame.id, frame.data)
            case ErrorFrame():
                self._error(frame, now)
            case PresenceFrame():
                self._present(frame)
            case Hello():
                self._hello(frame, now)

    def congested(self, generation: int, is_congested: bool) -> None:
        """The connection takes no more bytes for now, or takes them again."""
        if self._is_current(generation):
            self._is_congested = is_congested
            self._write_waiting()

    def ended(self, generation: int, end: End, now: float) -> None:
        """The connection is gone, or the attempt has failed."""
        if not self._is_current(generation):
            return
        if self.state is State.CLOSING:
            self._finish(Closed(CloseCode.NORMAL))
        elif self.state in (State.CONNECTING, State.OPEN):
            self._over(end, now)

    # Time.

    def due(self) -> float | None:
        """When :meth:`tick` has something to do next; None where only an event has."""
        times = [self._until, self.requests.due]
        if self.state is State.OPEN:
            times += [self._renewal.due if self._renews else None, None if self._inbox.is_full else self._liveness.due]
        return min((each for each in times if each is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self.requests.expire(now)
        if self._until is not None and now >= self._until:
            self._time_is_over(now)
        elif self.state is State.OPEN:
            self._check(now)

    def _time_is_over(self, now: float) -> None:
        match self.state:
            case State.WAITING if self._inbox.is_full:
                # What a connection would bring has no room. The application connects by taking events.
                self._until = None
            case State.WAITING:
                self._connect()
            case State.CONNECTING:
                self._give_up("the server did not say hello in time", now)
            case State.CLOSING:
                self.actions.append(Abort())
                self._finish(Closed(CloseCode.NORMAL))

    def _check(self, now: float) -> None:
        if self._renews and self._renewal.is_due(now):
            self.actions.append(AskForToken(self.generation))
        # While the client itself does not read, it can't tell whether the server lives.
        if self._inbox.is_full:
            return
        match self._liveness.check(now):
            case Check.PROBE:
                self.actions.append(Write(BEAT))
            case Check.DEAD:
                self._give_up("the server is silent", now)

    # Frames.

    def _hello(self, hello: Hello, now: float) -> None:
        is_first, was_offered = self.state is State.CONNECTING, self._place.is_offered
        self._place.greeted(hello)
        self.hello = hello
        self._liveness.heartbeat_seconds = hello.heartbeat_seconds
        self._renewal.expires(hello.expires_in_seconds, now)
        self._presence.keep(hello.groups)
        if is_first:
            self.state, self._until, self._opened_at = State.OPEN, None, now
            self._is_replaying = hello.recovered
            self._liveness = Liveness(hello.heartbeat_seconds, now)
            self._emit(Opened(hello))
        # A first connection has lost nothing, since it had nothing.
        if not hello.recovered and (was_offered or not is_first):
            self._emit(Lost(hello))
        if is_first:
            self.actions.append(Greeted(hello))
            if self._watch and hello.presence is not None:
                self.actions.append(Write(watch_text(True)))
            for each in self._inbox.take_owed():
                self.acknowledge(each)
            self._write_waiting()

    def _signal(self, frame: Signal) -> None:
        # The position moves before anybody sees the message: what fails in the application is not sent again.
        self._place.moved(frame.offset)
        group = frame.groups[0] if len(frame.groups) == 1 else frame.groups or None
        assert self.hello is not None
        acknowledgement = None if frame.ack is None else Acknowledgement(frame.ack, self.hello.client_id)
        self._emit(SignalReceived(frame.data, group, frame.offset, self._is_replaying), acknowledgement)

    def _error(self, frame: ErrorFrame, now: float) -> None:
        if self._renewal.is_answer(frame.id):
            self._renewal.refused(now)
            text = f"the server did not take the new credentials: {printable(frame.code)}"
            self.actions.append(Tell(text, is_warning=True))
        elif frame.id is None:
            self.actions.append(Tell(f"the server did not take a frame: {printable(frame.code)}", is_warning=True))
        else:
            self.requests.refused(frame.id, frame.code, frame.text)

    def _present(self, frame: PresenceFrame) -> None:
        changed, is_missing = self._presence.apply(frame)
        if changed is not None:
            self._emit(changed)
        if is_missing:
            self.actions.append(Write(watch_text(True)))

    def _emit(self, event: ClientEvent, acknowledgement: Acknowledgement | None = None) -> None:
        was_full = self._inbox.is_full
        self._inbox.put(event, acknowledgement)
        if self._inbox.is_full and not was_full and self.state is State.OPEN:
            self.actions.append(Reading(False))
            if not self._has_been_full:
                text = f"{len(self._inbox)} events wait for the application, and the client reads no further"
                self.actions.append(Tell(text, is_warning=True))
            self._has_been_full = True

    def _write_waiting(self) -> None:
        while self.state is State.OPEN and not self._is_congested and self.hello is not None:
            text = self.requests.to_write(self.hello.max_message_bytes)
            if text is None:
                return
            self.actions.append(Write(text))

    # Connections.

    def _is_current(self, generation: int) -> bool:
        return generation == self.generation

    def _connect(self) -> None:
        self.generation += 1
        self.state, self._until = State.CONNECTING, None
        self._is_replaying = self._is_congested = False
        self._presence = PresenceViews()
        self.actions.append(Connect(self.generation))

    def _break_off(self, why: str, now: float) -> None:
        """The server does not keep the protocol. To come back soon would hardly be of use."""
        self.actions.append(Abort(CloseCode.PROTOCOL_ERROR))
        self._over(End(CloseCode.ABNORMAL, why, client_is_wrong=True), now)

    def _give_up(self, why: str, now: float) -> None:
        self.actions.append(Abort())
        self._over(End(CloseCode.ABNORMAL, why), now)

    def _over(self, end: End, now: float) -> None:
        """The connection is over, and nothing more of it is taken."""
        self.requests.lose_open()
        seconds = self._comebacks.seconds_after(end, self._opened_at, now)
        self.hello = self._opened_at = None
        said = "" if end.status is None else f", HTTP status {end.status}"
        reason = f" ({printable(end.reason)})" if end.reason else ""
        why = f"the connection ended with {int(end.code)}{said}{reason}"
        if seconds is None:
            self.actions.append(Tell(f"{why}: closed for good", is_warning=True))
            self._finish(Closed(end.code, end.reason, end.status))
            return
        self.actions.append(Tell(f"{why}: connecting again in {seconds:.1f} s"))
        self.state, self._until = State.WAITING, now + seconds

    def _finish(self, closed: Closed) -> None:
        self.requests.close()
        self.state, self._until, self.hello, self._opened_at = State.CLOSED, None, None, None
        self._emit(closed)
        self.actions.append(closed)
