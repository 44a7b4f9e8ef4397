"""The current event: that of the function that runs, in whatever it awaits, and nowhere else."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from fakes import connected, new_signals
from twisted.internet.defer import Deferred

from pode_signals import EventType, Scope, SignalEvent, Signals
from pode_signals.errors import NameRequired
from pode_signals.hub.connection import ConnectionState
from pode_signals.hub.context import RouteSlot, current_event, current_route


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


class TestContexts:
    """The current event is that of the function that runs, and of nobody else."""

    def test_each_function_has_its_own(self, signals: Signals) -> None:
        """S4.2: the current event is this message's in plain and async functions, and none outside of them."""
        seen: list[tuple[Any, Any]] = []

        async def route(event: SignalEvent) -> None:
            seen.append((current_event.get(), event))
            await Deferred.fromCoroutine(later(event))

        async def later(event: SignalEvent) -> None:
            seen.append((current_event.get(), event))

        signals.add_route("/ws", route)
        for client in (connected(signals), connected(signals)):
            client.says("x")
            client.says("y")
            assert current_event.get() is None
        assert len(seen) == 8
        assert all(current is event for current, event in seen)

    def test_it_never_leaks(self, signals: Signals) -> None:
        """S9.3: functions that are started by the end of another, or within it, see neither its event nor its route."""
        seen: list[tuple[str, Any, Any]] = []
        waits: list[Deferred[None]] = []

        def note(what: str) -> None:
            seen.append((what, current_event.get(), current_route.get()))

        def waits_for_it(event: SignalEvent) -> Any:
            note(f"waits {event.data.message}" if event is current_event.get() else "leak")
            if event.data.message == 1:
                waits.append(Deferred())
                return waits[0]
            return None

        def fires(event: SignalEvent) -> None:
            signals.close("Victim")
            waits[0].callback(None)

        signals.add_route("/waits", waits_for_it)
        signals.add_route("/fires", fires)
        signals.on_disconnect("Victim")(lambda _: note("disconnect"))
        signals.register_event("Slow", EventType.CONNECT, "first", lambda _: waits[0])
        signals.register_event("Slow", EventType.CONNECT, "second", lambda _: note("connect"))
        victim = connected(signals, "Victim", at_once=True)
        first, second = connected(signals, path="/waits"), connected(signals, path="/fires")
        first.says(1)
        first.says(2)
        connected(signals, "Slow")
        slot = RouteSlot()
        context = copy_context()
        context.run(current_route.set, slot)
        context.run(second.says, "now")
        assert victim.connection.state is ConnectionState.CLOSED
        events = {what: (event, route) for what, event, route in seen}
        assert list(events) == ["waits 1", "disconnect", "waits 2", "connect"]
        assert events["disconnect"] == events["connect"] == (None, None)
        assert events["waits 2"][0].data.message == 2
        assert events["waits 2"][1] is None

    def test_what_a_function_sets_is_gone(self, signals: Signals) -> None:
        """S4.2: a context variable that a plain function sets reaches neither the next message nor others."""
        variable: ContextVar[str] = ContextVar("variable", default="none")
        seen: list[str] = []

        def route(event: SignalEvent) -> None:
            seen.append(variable.get())
            variable.set(event.data.message)

        signals.add_route("/ws", route)
        client, other = connected(signals), connected(signals)
        client.says("a")
        client.says("b")
        other.says("c")
        assert (seen, variable.get()) == (["none"] * 3, "none")

    def test_a_hub_that_is_made_within_an_event(self, signals: Signals) -> None:
        """S9.3: a hub that was made in a function of another hub has neither its event nor its route."""
        made: list[Signals] = []
        seen: list[Any] = []
        signals.add_route("/ws", lambda _: made.append(new_signals()))
        context = copy_context()
        context.run(current_route.set, RouteSlot())
        context.run(connected(signals).says, "x")
        made[0].on_connect("Msg")(lambda _: seen.append((current_event.get(), current_route.get())))
        connected(made[0])
        assert seen == [(None, None)]

    def test_messages_from_within_a_route(self, signals: Signals) -> None:
        """S4.3: what a client's message makes a signal route send does not go to the route that feeds it."""
        local = connected(signals, scope=Scope.LOCAL)
        client = connected(signals)
        slot = RouteSlot()
        slot.link = local.link
        context = copy_context()
        context.run(current_route.set, slot)
        errors: list[Any] = []

        def route(event: SignalEvent) -> None:
            signals.send("answer", name="Msg")
            try:
                signals.send("x", ignore_event=True)
            except NameRequired as error:
                errors.append(error)

        signals.add_route("/ws", route)
        context.run(client.says, "question")
        assert (client.got, local.got, len(errors)) == (["answer"], [], 1)
