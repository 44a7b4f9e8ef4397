"""Connect and Disconnect: who registered for them, and their firing, once each per connection.

It does not know how connections come and go; the hub says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from datetime import datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from ..core.model import EventType
from ..errors import EventAlreadyRegistered, EventNotRegistered
from .fence import Fence, Place
from .signal_event import Lockable
from .waiters import Waiters

if TYPE_CHECKING:
    from .connection import SignalConnection

__all__ = ["EventRegistration", "Events", "TriggeredEvent", "name_for"]

F = TypeVar("F", bound=Callable[..., Any])


@frozen
class EventRegistration:
    """One function that is called when connections of a name come or go.

    Attributes:
        name: the name of the connections.
        type: connect or disconnect.
        event_name: what tells this registration from others of the same name and type.
        function: called with a :class:`TriggeredEvent`, then ``args``.
        args: further arguments.
    """

    name: str
    type: EventType
    event_name: str
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()


@define
class TriggeredEvent:
    """What a registered function gets (Pode: ``$TriggeredEvent``).

    Attributes:
        name: the connection's name.
        type: connect or disconnect.
        connection: the connection; on disconnect ``connection.closure`` has the code, the reason and who closed.
        timestamp: when it happened (aware, UTC).
        lockable: the hub's shared mapping with a lock.
        metadata: a dict that the functions of this one firing share.
    """

    name: str
    type: EventType
    connection: SignalConnection
    timestamp: datetime
    lockable: Lockable = field(repr=False)
    metadata: dict[str, Any] = field(factory=dict)


class Events:
    """The registrations of one hub; a part of :class:`~pode_signals.Signals`.

    Args:
        fence: runs the functions.
        context: gives each function, and each who waits for a connection, a fresh context.
        check_thread: raises where the caller is in the wrong thread.
        now: gives the time of an event (aware, UTC).
    """

    def __init__(
        self,
        fence: Fence,
        context: Callable[[], Context],
        check_thread: Callable[[str], None],
        now: Callable[[], datetime],
    ) -> None:
        self._event_fence = fence
        self._event_context = context
        self._event_check_thread = check_thread
        self._event_now = now
        self._event_registrations: dict[tuple[str, EventType], dict[str, EventRegistration]] = {}
        self._connect_waiters: dict[str, Waiters[SignalConnection]] = {}
        self.lockable = Lockable()

    def register_event(
        self,
        name: str | Iterable[str],
        type: EventType,
        event_name: str,
        function: Callable[..., Any],
        *args: Any,
    ) -> None:
        """Call a function whenever a connection of a name comes or goes (Pode: ``Register-PodeSignalEvent``).

        Args:
            name: the name, or several; with auto-upgrade the URL's path.
            type: connect or disconnect.
            event_name: tells this registration from others of the same name and type.
            function: plain, ``async def`` or giving a Deferred; gets a :class:`TriggeredEvent`, then ``args``.
            args: further arguments for the function.

        Raises:
            EventAlreadyRegistered: one of the names has such a registration; then none is made.
            ValueError: there is no such type.
            NotInReactorThread: called from another thread.
        """
        self._event_check_thread("register_event")
        names, known_type = _several(name), EventType(type)
        for each in names:
            if event_name in self._event_registrations.get((each, known_type), ()):
                raise EventAlreadyRegistered(each, known_type.value, event_name)
        for each in names:
            registration = EventRegistration(each, known_type, event_name, function, args)
            self._event_registrations.setdefault((each, known_type), {})[event_name] = registration

    def unregister_event(self, name: str | Iterable[str], type: EventType, event_name: str) -> None:
        """Undo :meth:`register_event` (Pode: ``Unregister-PodeSignalEvent``).

        Raises:
            EventNotRegistered: one of the names has no such registration; then none is removed.
            NotInReactorThread: called from another thread.
        """
        self._event_check_thread("unregister_event")
        names, known_type = _several(name), EventType(type)
        for each in names:
            if event_name not in self._event_registrations.get((each, known_type), ()):
                raise EventNotRegistered(each, known_type.value, event_name)
        for each in names:
            registrations = self._event_registrations[each, known_type]
            del registrations[event_name]
            if not registrations:
                del self._event_registrations[each, known_type]

    def has_event(self, name: str | None = None, type: EventType | None = None, event_name: str | None = None) -> bool:
        """Whether there is such a registration (Pode: ``Test-PodeSignalEvent``); None matches all."""
        return any(True for _ in self._matching_events(name, type, event_name))

    def events(
        self, name: str | None = None, type: EventType | None = None, event_name: str | None = None
    ) -> tuple[EventRegistration, ...]:
        """The registrations (Pode: ``Get-PodeSignalEvent``); None matches all."""
        return tuple(self._matching_events(name, type, event_name))

    def on_connect(self, name: str | Iterable[str]) -> Callable[[F], F]:
        """A decorator: :meth:`register_event` for connect, under the function's name.

        What has none of its own (a lambda, a partial, an object that can be called) gets one that is not taken yet.
        """
        return self._registering(name, EventType.CONNECT)

    def on_disconnect(self, name: str | Iterable[str]) -> Callable[[F], F]:
        """A decorator: :meth:`register_event` for disconnect, under the function's name, as :meth:`on_connect`."""
        return self._registering(name, EventType.DISCONNECT)

    def when_connected(self, name: str) -> Deferred[SignalConnection]:
        """Wait for the next connection of a name.

        Returns:
            A new Deferred that fires with it, just before the Connect functions run. Cancelling it affects no other.

        Raises:
            NotInReactorThread: called from another thread.
        """
        self._event_check_thread("when_connected")

        def nobody_waits() -> None:
            if self._connect_waiters.get(name) is waiters:
                del self._connect_waiters[name]

        waiters = self._connect_waiters.get(name)
        if waiters is None:
            waiters = self._connect_waiters[name] = Waiters(nobody_waits)
        return waiters.wait()

    def fire_connect(self, connection: SignalConnection, done: Callable[[], None]) -> None:
        """Fire Connect; ``done`` is called when the last function has ended."""
        waiters = self._connect_waiters.pop(connection.name, None)
        if waiters is not None:
            waiters.fire(connection, self._event_context)
        self._fire(EventType.CONNECT, connection, done)

    def fire_disconnect(self, connection: SignalConnection) -> None:
        """Fire Disconnect."""
        self._fire(EventType.DISCONNECT, connection, lambda: None)

    def _fire(self, type: EventType, connection: SignalConnection, done: Callable[[], None]) -> None:
        registrations = self._event_registrations.get((connection.name, type))
        if not registrations:
            done()
            return
        event = TriggeredEvent(connection.name, type, connection, self._event_now(), self.lockable)
        self._run_each(iter(tuple(registrations.values())), event, done)

    def _run_each(self, rest: Iterator[EventRegistration], event: TriggeredEvent, done: Callable[[], None]) -> None:
        for registration in rest:
            what = f"{event.type.value} event {registration.event_name} of {event.name}"
            where = Place(what, event.connection.client_id)
            ended = self._event_fence.run(
                where,
                registration.function,
                (event, *registration.args),
                later=lambda _: self._run_each(rest, event, done),
                context=self._event_context(),
            )
            if ended is None:
                return
        done()

    def _registering(self, name: str | Iterable[str], type: EventType) -> Callable[[F], F]:
        names = _several(name)

        def is_taken(event_name: str) -> bool:
            return any(event_name in self._event_registrations.get((each, type), ()) for each in names)

        def register(function: F) -> F:
            self.register_event(names, type, name_for(function, is_taken), function)
            return function

        return register

    def _matching_events(
        self, name: str | None, type: EventType | None, event_name: str | None
    ) -> Iterator[EventRegistration]:
        for registrations in self._event_registrations.values():
            for each in registrations.values():
                if name in (None, each.name) and type in (None, each.type) and event_name in (None, each.event_name):
                    yield each


def name_for(function: Callable[..., Any], is_taken: Callable[[str], bool]) -> str:
    """A function's name; for what has none of its own, a name after it with the first number that is not taken."""
    name = getattr(function, "__name__", None)
    if isinstance(name, str) and name.isidentifier():
        return name
    while isinstance(function, partial):
        function = function.func
    base = getattr(function, "__name__", type(function).__name__)
    return next(each for number in count(1) if not is_taken(each := f"{base} {number}"))


def _several(name: str | Iterable[str]) -> tuple[str, ...]:
    return (name,) if isinstance(name, str) else tuple(dict.fromkeys(name))
