"""Connect and Disconnect: the functions that are registered for them, and their calls, once for each connection.

It does not find out by itself that connections come and go; the hub calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from ..core.choices import chosen
from ..core.model import Closure, EventType
from ..errors import EventAlreadyRegistered, EventNotRegistered
from .connection import SignalConnection, view_of
from .fence import Fence, Place
from .link import Link
from .runtime import Runtime
from .signal_event import Lockable
from .waiters import Waiters

__all__ = ["ClosedConnection", "DisconnectEvent", "EventRegistration", "Events", "TriggeredEvent", "name_for"]


@frozen
class EventRegistration:
    """One function that is called when connections of a name come or go.

    Attributes:
        name: the name of the connections.
        type: connect or disconnect.
        event_name: the name of this registration, unique among the registrations of the same name and type.
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
    """The event that a registered function is called with (Pode: ``$TriggeredEvent``).

    Attributes:
        name: the connection's name.
        type: connect or disconnect.
        connection: the connection; on disconnect ``connection.closure`` has the code, the reason and who closed.
        timestamp: when the event was fired (aware, UTC).
        lockable: the hub's shared mapping with a lock.
        metadata: a dict that all functions called with this one event share.
    """

    name: str
    type: EventType
    connection: SignalConnection
    timestamp: datetime
    lockable: Lockable = field(repr=False)
    metadata: dict[str, Any] = field(factory=dict)


class ClosedConnection(SignalConnection):
    """The connection of a Disconnect event, for type checkers: its closure is never None."""

    __slots__ = ()

    @property
    def closure(self) -> Closure:
        """How it ended."""
        closure = super().closure
        assert closure is not None
        return closure


class DisconnectEvent(TriggeredEvent):
    """The event that a Disconnect function is called with: a :class:`TriggeredEvent` whose connection has a closure.

    Attributes:
        connection: the connection; ``connection.closure`` has the code, the reason and who closed.
    """

    __slots__ = ()

    connection: ClosedConnection


class Events:
    """The registrations of one hub; a part of :class:`~pode_signals.Signals`.

    Args:
        runtime: the surroundings.
        fence: runs the functions.

    Attributes:
        lockable: the mapping that all functions of the hub share.
    """

    def __init__(self, runtime: Runtime, fence: Fence) -> None:
        self._runtime = runtime
        self._fence = fence
        self._fresh_context = runtime.fresh_context
        self._registrations: dict[tuple[str, EventType], dict[str, EventRegistration]] = {}
        self._connect_waiters: dict[str, Waiters[SignalConnection]] = {}
        self.lockable = Lockable()

    def register(
        self,
        name: str | Iterable[str],
        type: EventType | str,
        event_name: str,
        function: Callable[..., Any],
        *args: Any,
    ) -> None:
        """``signals.register_event``."""
        names, known_type = _several(name), chosen(EventType, type, "type")
        # All names are checked before the first one is registered: an error leaves nothing behind.
        for each in names:
            if event_name in self._registrations.get((each, known_type), ()):
                raise EventAlreadyRegistered(each, known_type.value, event_name)
        for each in names:
            registration = EventRegistration(each, known_type, event_name, function, args)
            self._registrations.setdefault((each, known_type), {})[event_name] = registration

    def unregister(self, name: str | Iterable[str], type: EventType | str, event_name: str) -> None:
        """``signals.unregister_event``."""
        names, known_type = _several(name), chosen(EventType, type, "type")
        for each in names:
            if event_name not in self._registrations.get((each, known_type), ()):
                raise EventNotRegistered(each, known_type.value, event_name)
        for each in names:
            registrations = self._registrations[each, known_type]
            del registrations[event_name]
            if not registrations:
                del self._registrations[each, known_type]

    def matching(
        self, name: str | None, type: EventType | str | None, event_name: str | None
    ) -> Iterator[EventRegistration]:
        """The registrations with this name, type and event name; None for one of these matches all."""
        wanted = None if type is None else chosen(EventType, type, "type")
        for registrations in self._registrations.values():
            for each in registrations.values():
                if name in (None, each.name) and wanted in (None, each.type) and event_name in (None, each.event_name):
                    yield each

    def when_connected(self, name: str) -> Deferred[SignalConnection]:
        """``signals.when_connected``."""

        # A name for which nobody waits any more is forgotten. By then others may wait for a later connection of the
        # same name, and they are kept.
        def nobody_waits() -> None:
            if self._connect_waiters.get(name) is waiters:
                del self._connect_waiters[name]

        waiters = self._connect_waiters.get(name)
        if waiters is None:
            waiters = self._connect_waiters[name] = Waiters(nobody_waits)
        return waiters.wait()

    def fire_connect(self, link: Link, done: Callable[[], None]) -> None:
        """Fire Connect; ``done`` is called when the last function has ended."""
        # Taken out before they are fired: a function that waits again then gets the next connection, not this one.
        waiters = self._connect_waiters.pop(link.name, None)
        if waiters is not None:
            waiters.fire(view_of(link), self._fresh_context)
        self._fire(EventType.CONNECT, link, done)

    def fire_disconnect(self, link: Link, done: Callable[[], None]) -> None:
        """Fire Disconnect; ``done`` is called when the last function has ended."""
        self._fire(EventType.DISCONNECT, link, done)

    def _fire(self, type: EventType, link: Link, done: Callable[[], None]) -> None:
        registrations = self._registrations.get((link.name, type))
        if not registrations:
            done()
            return
        event_class: Any = TriggeredEvent if type is EventType.CONNECT else DisconnectEvent
        event = event_class(link.name, type, view_of(link), self._runtime.wall_time(), self.lockable)
        # A copy: a function may register others or unregister itself, which counts from the next event on.
        self._run_each(iter(tuple(registrations.values())), event, done)

    def _run_each(self, rest: Iterator[EventRegistration], event: TriggeredEvent, done: Callable[[], None]) -> None:
        """Call the functions one after the other, each when the one before has ended; go on where one has failed."""
        for registration in rest:
            what = f"{event.type.value} event {registration.event_name} of {event.name}"
            where = Place(what, event.connection.client_id, event.type.value)
            ended = self._fence.run(
                where,
                registration.function,
                (event, *registration.args),
                later=lambda _: self._run_each(rest, event, done),
                context=self._fresh_context(),
            )
            # The function goes on. When it ends, ``later`` calls this method for the rest of the functions.
            if ended is None:
                return
        done()


def name_for(function: Callable[..., Any], is_taken: Callable[[str], bool]) -> str:
    """A name for a function.

    A lambda, a ``functools.partial`` or an object that can be called has no name that could be written in code. Its
    name is made of what it is and of the first number that is not taken.
    """
    name = getattr(function, "__name__", None)
    if isinstance(name, str) and name.isidentifier():
        return name
    while isinstance(function, partial):
        function = function.func
    base = getattr(function, "__name__", type(function).__name__)
    return next(each for number in count(1) if not is_taken(each := f"{base} {number}"))


def _several(name: str | Iterable[str]) -> tuple[str, ...]:
    return (name,) if isinstance(name, str) else tuple(dict.fromkeys(name))
