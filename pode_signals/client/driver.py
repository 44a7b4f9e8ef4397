"""Runs a session on a reactor: connects, writes, sets its timer, wakes who waits. It decides nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from typing import Any, TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..awaiting import pending_of
from ..errors import ReplyError
from ..wire.frames import CloseCode
from ..wire.v1 import Hello
from .actions import Abort, Action, AskForToken, Close, Connect, Greeted, Reading, Settled, Tell, Write
from .comebacks import End
from .events import ClientEvent, Closed
from .inbox import Acknowledgement
from .outcome import Outcome
from .session import Session, State
from .targets import Target, endpoint_for, read_url
from .websocket import ClientFactory, ClientProtocol

__all__ = ["Driver", "Ways"]

# What a refresh frame takes.
_MAX_TOKEN_CHARACTERS = 8_192
_log = Logger()
_T = TypeVar("_T")


@frozen
class Ways:
    """What the application gave to connect by.

    Attributes:
        url: the URL, or a function that gives it.
        refresh: a function that gives new credentials; None where there is none.
        headers: further headers of the handshake, checked.
        connect: a function that gives the endpoint for a URL; None where the URL says all.
    """

    url: str | Callable[[], str | Awaitable[str]] = field(repr=False)
    refresh: Callable[[], str | Awaitable[str]] | None
    headers: Mapping[str, str] = field(repr=False)
    connect: Callable[[str], IStreamClientEndpoint] | None


class Driver:
    """Runs one session.

    Args:
        session: the session.
        ways: how to connect.
        reactor: the reactor; None is Twisted's own, when it is needed first.
    """

    def __init__(self, session: Session, ways: Ways, reactor: Any) -> None:
        self._session = session
        self._ways = ways
        self._given_reactor = reactor
        self._attempt: _Attempt | None = None
        self._target: Target | None = None
        self._timer: IDelayedCall | None = None
        self._is_acting = False
        self._sent: dict[int, Outcome[Any]] = {}
        self._for_hello: list[Outcome[Hello]] = []
        self._for_event: list[Outcome[None]] = []
        self._for_end: list[Outcome[None]] = []

    # What the client asks for.

    def start(self) -> None:
        """Connect."""
        self._session.start()
        self.act()

    def stop(self) -> Outcome[None]:
        """Close. Gives what fires when the connection has ended."""
        stopped = _added(self._for_end)
        self._session.close(self.now())
        self.act()
        if self._session.state in (State.IDLE, State.CLOSED):
            self._tell_of_the_end()
        return stopped

    def when_open(self) -> Outcome[Hello]:
        """Gives what fires with the hello."""
        waiting = _added(self._for_hello)
        if self._session.state in (State.CLOSING, State.CLOSED):
            _fire(self._for_hello, _closed())
        elif self._session.hello is not None:
            _fire(self._for_hello, self._session.hello)
        return waiting

    def send(self, text: bytes, id: str | None, seconds: float) -> Outcome[Any]:
        """Send a frame. Gives what fires with the reply's data, or with None when a frame without an id is written.

        Args:
            text: the frame.
            id: its id; None where no answer is wanted.
            seconds: how long the caller waits.
        """
        ticket = self._session.send(text, id, self.now() + seconds)
        outcome = self._sent[ticket] = Outcome(lambda _: self._forget(ticket))
        self.act()
        return outcome

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """The application has taken a signal."""
        self._session.acknowledge(acknowledgement)
        self.act()

    async def event(self) -> tuple[ClientEvent, Acknowledgement | None] | None:
        """The next event, as soon as there is one, with the answer that it asks for; None where none comes any more."""
        while True:
            found = self._session.take_event(self.now())
            self.act()
            if found is not None or self._session.state is State.CLOSED:
                return found
            # The loop takes the event when it goes on, not before: a loop that is cancelled meanwhile takes none.
            await _added(self._for_event)

    # What an attempt tells.

    def now(self) -> float:
        """The time."""
        seconds: float = self.reactor.seconds()
        return seconds

    @property
    def reactor(self) -> Any:
        """The reactor."""
        if self._given_reactor is None:
            from twisted.internet import reactor

            self._given_reactor = reactor
        return self._given_reactor

    def connecting(self, generation: int, url: str, told: _Attempt) -> ClientFactory | None:
        """The URL is known. Gives what makes the protocol; None where the attempt was given up meanwhile."""
        offer = self._session.connecting(generation, self.now())
        self._target = read_url(url)
        self.act()
        return None if offer is None else ClientFactory(self.reactor, self._target, self._ways.headers, offer, told)

    def endpoint(self, url: str) -> IStreamClientEndpoint:
        """The way to the server of a URL."""
        connect = self._ways.connect
        return endpoint_for(self.reactor, read_url(url)) if connect is None else connect(url)

    def url(self) -> Deferred[str]:
        """The URL, from the application where it gave a function."""
        url = self._ways.url
        return _given_by(url) if callable(url) else maybeDeferred(lambda: url)

    def received(self, generation: int, payload: bytes) -> None:
        """A text has come."""
        self._session.received(generation, payload, self.now())
        self.act()

    def congested(self, generation: int, is_congested: bool) -> None:
        """The socket takes no more bytes for now, or takes them again."""
        self._session.congested(generation, is_congested)
        self.act()

    def ended(self, generation: int, end: End) -> None:
        """The connection is gone, or the attempt has failed."""
        self._session.ended(generation, end, self.now())
        self.act()

    # What the session wants to have done.

    def act(self) -> None:
        """Do what the session wants, wake who waits for events, and set the timer for what is due next."""
        # What is done here may lead back to here. The outer call then does that, too, in order.
        if self._is_acting:
            return
        self._is_acting = True
        try:
            while self._session.actions:
                self._do(self._session.actions.popleft())
        finally:
            self._is_acting = False
        if self._session.has_events or self._session.state is State.CLOSED:
            _fire(self._for_event, None)
        self._set_timer()

    def _do(self, action: Action) -> None:
        match action:
            case Connect(generation):
                self._attempt = _Attempt(self, generation)
                self._attempt.begin()
            case Write() | Reading() | Close() | Abort():
                assert self._attempt is not None
                self._attempt.do(action)
            case Settled():
                self._settle(action)
            case Greeted(hello):
                _fire(self._for_hello, hello)
            case AskForToken(generation):
                self._ask_for_token(generation)
            case Tell(text, is_warning):
                tell = _log.warn if is_warning else _log.info
                tell(
                    "{target}: {text}",
                    event="client.state",
                    target="the client" if self._target is None else str(self._target),
                    text=text,
                )
            case Closed():
                self._tell_of_the_end()

    def _settle(self, settled: Settled) -> None:
        # Nobody waits for one that was cancelled.
        outcome = self._sent.pop(settled.ticket, None)
        if outcome is not None and settled.error is None:
            outcome.callback(settled.data)
        elif outcome is not None:
            outcome.errback(settled.error)

    def _forget(self, ticket: int) -> None:
        self._sent.pop(ticket, None)
        self._session.requests.forget(ticket)

    def _tell_of_the_end(self) -> None:
        _fire(self._for_hello, _closed())
        _fire(self._for_end, None)

    def _ask_for_token(self, generation: int) -> None:
        assert self._ways.refresh is not None

        def got(token: object) -> None:
            if not isinstance(token, str) or not 0 < len(token) <= _MAX_TOKEN_CHARACTERS:
                raise ValueError(f"refresh has to give a text of 1 to {_MAX_TOKEN_CHARACTERS} characters")
            self._session.got_token(generation, token, self.now())
            self.act()

        def failed(failure: Failure) -> None:
            _log.failure("the function refresh failed; it is asked again", failure, event="client.refresh_failed")
            self._session.got_no_token(generation, self.now())
            self.act()

        _given_by(self._ways.refresh).addCallback(got).addErrback(failed)

    # Time.

    def _set_timer(self) -> None:
        due = self._session.due()
        if self._timer is not None:
            # A timer that comes too early finds nothing to do, and is set again: most frames move the time that is due
            # to a later one.
            if due is not None and self._timer.getTime() <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self.reactor.callLater(max(0.0, due - self.now()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._session.tick(self.now())
        self.act()


class _Attempt:
    """One attempt to connect, and the connection that came of it.

    Args:
        driver: who is told.
        generation: the number of the attempt.
    """

    def __init__(self, driver: Driver, generation: int) -> None:
        self._driver = driver
        self._generation = generation
        # What the attempt waits for before it has a protocol.
        self._pending: Deferred[Any] | None = None
        self._protocol: ClientProtocol | None = None
        self._is_over = False

    def begin(self) -> None:
        """Ask for the URL, and connect."""
        self._pending = pending = self._driver.url().addCallback(self._connect)
        pending.addCallbacks(self._connected, self._failed)

    def do(self, action: Write | Reading | Close | Abort) -> None:
        """Do what the session wants from the connection."""
        protocol = self._protocol
        match action:
            case Abort(code):
                self._is_over = True
                if protocol is not None:
                    protocol.abort(code)
                elif self._pending is not None:
                    self._pending.cancel()
            case Close(code) if protocol is not None:
                protocol.close(code)
            case Close() if self._pending is not None:
                self._pending.cancel()
            case Write(text) if protocol is not None:
                protocol.write(text)
            case Reading(on) if protocol is not None:
                protocol.read(on)

    def received(self, payload: bytes) -> None:
        """A text has come."""
        self._driver.received(self._generation, payload)

    def congested(self, is_congested: bool) -> None:
        """The socket takes no more bytes for now, or takes them again."""
        self._driver.congested(self._generation, is_congested)

    def ended(self, end: End) -> None:
        """The connection has ended, or the handshake has failed."""
        self._driver.ended(self._generation, end)

    def _connect(self, url: str) -> Any:
        factory = self._driver.connecting(self._generation, url, self)
        return None if factory is None else self._driver.endpoint(url).connect(factory)

    def _connected(self, protocol: ClientProtocol | None) -> None:
        self._pending = None
        self._protocol = protocol
        if self._is_over and protocol is not None:
            protocol.abort(None)

    def _failed(self, failure: Failure) -> None:
        self._pending = None
        if not self._is_over:
            kind = type(failure.value).__name__
            self.ended(End(CloseCode.ABNORMAL, f"{kind}: {failure.getErrorMessage()}"))


def _added(waiting: list[Outcome[_T]]) -> Outcome[_T]:
    """One more who waits, until it is cancelled."""

    def left(outcome: Deferred[_T]) -> None:
        if outcome in waiting:
            waiting.remove(outcome)

    outcome: Outcome[_T] = Outcome(left)
    waiting.append(outcome)
    return outcome


def _fire(waiting: list[Outcome[_T]], result: _T | Failure) -> None:
    """Tell all who wait by now. Those who begin to wait meanwhile wait for the next time."""
    now = list(waiting)
    waiting.clear()
    for each in now:
        # What one does may have cancelled another.
        if not each.called:
            each.callback(result)


def _closed() -> Failure:
    return Failure(ReplyError("closed", "The client is closed."))


def _given_by(function: Callable[[], Any]) -> Deferred[Any]:
    """What a function of the application gives, itself or later. Where it raises, the Deferred fails."""

    def call() -> Any:
        given = function()
        pending = pending_of(copy_context(), given)
        return given if pending is None else pending

    return maybeDeferred(call)
