from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from fakes import FakeTransport, connect, connected, new_signals, result_of, timers, turn
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs

from pode_signals import EventType, Scope, SignalConnection, SignalEvent, Signals, TriggeredEvent
from pode_signals.core.model import ClosedBy
from pode_signals.errors import EventAlreadyRegistered, EventNotRegistered
from pode_signals.hub.connection import ConnectionState
from pode_signals.hub.context import RouteSlot, current_event, current_route
from pode_signals.hub.draining import send_away

CONNECT, DISCONNECT = EventType.CONNECT, EventType.DISCONNECT


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


def counted(_event: TriggeredEvent, _number: int) -> None:
    """A function to register with a further argument."""


def nothing(_event: TriggeredEvent) -> None:
    """A function to register."""


class TestRegistrations:
    def test_arguments(self, signals: Signals) -> None:
        """S9.1: a function is registered for a name and a type, under an event name, with further arguments."""
        seen: list[Any] = []
        signals.register_event("Msg", CONNECT, "first", lambda event, *args: seen.append((event.type, args)), 1, "two")
        connected(signals)
        connected(signals, "Other")
        assert seen == [(CONNECT, (1, "two"))]

    def test_several_names(self, signals: Signals) -> None:
        """S9.1: one registration may be for several names; each is asked for and undone like one of its own."""
        seen: list[str] = []
        signals.register_event(["A", "B", "A"], CONNECT, "e", lambda event: seen.append(event.name))
        for name in ("A", "B", "C"):
            connected(signals, name)
        assert seen == ["A", "B"]
        signals.unregister_event(["A", "A"], CONNECT, "e")
        for name in ("A", "B"):
            connected(signals, name)
        assert seen == ["A", "B", "B"]
        assert [each.name for each in signals.events()] == ["B"]

    def test_decorators(self, signals: Signals) -> None:
        """S9.1: on_connect and on_disconnect register under the function's name, and leave the function as it is."""

        def came(event: TriggeredEvent) -> None:
            """A function."""

        assert signals.on_connect("Msg")(came) is came
        assert signals.on_disconnect(["Msg", "Other"])(came) is came
        assert [(each.name, each.type, each.event_name, each.function) for each in signals.events()] == [
            ("Msg", CONNECT, "came", came),
            ("Msg", DISCONNECT, "came", came),
            ("Other", DISCONNECT, "came", came),
        ]

    def test_asking(self, signals: Signals) -> None:
        """S9.1: has_event and events have an optional name, type and event name each."""
        assert not signals.has_event()
        signals.register_event(["A", "B"], CONNECT, "one", nothing)
        signals.register_event("A", CONNECT, "two", counted, 7)
        signals.register_event("A", DISCONNECT, "one", nothing)
        for question, count in (
            ((), 4),
            (("A",), 3),
            (("B",), 1),
            (("C",), 0),
            ((None, CONNECT), 3),
            (("A", CONNECT), 2),
            ((None, None, "one"), 3),
            (("A", None, "one"), 2),
            (("A", CONNECT, "two"), 1),
            (("B", CONNECT, "two"), 0),
        ):
            assert len(signals.events(*question)) == count, question
            assert signals.has_event(*question) is (count > 0), question
        (two,) = signals.events(event_name="two")
        assert (two.name, two.type, two.function, two.args) == ("A", CONNECT, counted, (7,))

    def test_twice(self, signals: Signals) -> None:
        """S9.1: the same name, type and event name twice is EventAlreadyRegistered; with several names none is made."""
        signals.register_event("A", CONNECT, "e", nothing)
        with pytest.raises(EventAlreadyRegistered) as raised:
            signals.register_event(["B", "A"], CONNECT, "e", nothing)
        assert (raised.value.name, raised.value.type_name, raised.value.event_name) == ("A", "connect", "e")
        assert len(signals.events()) == 1
        signals.register_event("A", DISCONNECT, "e", nothing)
        signals.register_event("A", CONNECT, "f", nothing)
        signals.unregister_event("A", CONNECT, "e")
        signals.register_event("A", CONNECT, "e", nothing)

    def test_unknown(self, signals: Signals) -> None:
        """S9.1: undoing an unknown one is EventNotRegistered; with several names none is undone."""
        signals.register_event("A", CONNECT, "e", nothing)
        for question in (("B", CONNECT, "e"), ("A", DISCONNECT, "e"), ("A", CONNECT, "f"), (["A", "B"], CONNECT, "e")):
            with pytest.raises(EventNotRegistered):
                signals.unregister_event(*question)  # type: ignore[arg-type]
        assert signals.has_event("A", CONNECT, "e")

    def test_types(self, signals: Signals) -> None:
        """S9.1: a type that is none is refused rather than never fired; its text is as good as it."""
        with pytest.raises(ValueError, match="connected"):
            signals.register_event("A", "connected", "e", nothing)  # type: ignore[arg-type]
        signals.register_event("A", "connect", "e", nothing)  # type: ignore[arg-type]
        assert signals.has_event("A", CONNECT, "e")
        signals.unregister_event("A", "connect", "e")  # type: ignore[arg-type]
        assert not signals.has_event()

    def test_changes_while_it_fires(self, signals: Signals) -> None:
        """S9.1: what a function registers or undoes while an event fires holds from the next one on."""
        seen: list[str] = []

        def first(event: TriggeredEvent) -> None:
            seen.append("first")
            signals.unregister_event("Msg", CONNECT, "first")
            signals.unregister_event("Msg", CONNECT, "second")
            signals.register_event("Msg", CONNECT, "third", lambda _: seen.append("third"))

        signals.register_event("Msg", CONNECT, "first", first)
        signals.register_event("Msg", CONNECT, "second", lambda _: seen.append("second"))
        connected(signals)
        assert seen == ["first", "second"]
        connected(signals)
        assert seen == ["first", "second", "third"]


class TestTriggeredEvents:
    def test_on_connect(self, signals: Signals) -> None:
        """S9.2: the function gets the connection, name, type, time, lockable and metadata."""
        seen: list[TriggeredEvent] = []
        signals.on_connect("Msg")(seen.append)
        client = connect(signals, group="red", client_id="me", scope=Scope.LOCAL)
        turn(signals, seconds=2)
        (event,) = seen
        assert (event.name, event.type, event.connection) == ("Msg", CONNECT, client.connection)
        assert event.timestamp == datetime.fromtimestamp(1_700_000_002, UTC)
        assert event.timestamp.tzinfo is UTC
        assert event.lockable is signals.lockable
        connection = event.connection
        assert (connection.name, connection.group, connection.client_id) == ("Msg", "red", "me")
        assert connection.scope is Scope.LOCAL
        assert connection.connected_at == connection.last_activity == datetime.fromtimestamp(1_700_000_000, UTC)
        assert connection.closure is None

    def test_on_disconnect(self, signals: Signals) -> None:
        """S9.2: at the end the connection also has the close code, the reason and who closed."""
        seen: list[TriggeredEvent] = []
        signals.on_disconnect("Msg")(seen.append)
        client = connected(signals)
        turn(signals, seconds=3)
        client.closes(4321, "enough")
        client.vanishes()
        (event,) = seen
        assert (event.type, event.connection) == (DISCONNECT, client.connection)
        assert event.timestamp == datetime.fromtimestamp(1_700_000_003, UTC)
        closure = event.connection.closure
        assert closure is not None
        assert (closure.code, closure.reason, closure.by) == (4321, "enough", ClosedBy.CLIENT)

    def test_metadata(self, signals: Signals) -> None:
        """S9.2: metadata is a dict that the functions of one firing add to, fresh each time."""
        seen: list[dict[str, Any]] = []

        async def adds(event: TriggeredEvent) -> None:
            event.metadata["who"] = event.connection.client_id

        signals.register_event("Msg", CONNECT, "adds", adds)
        signals.register_event("Msg", CONNECT, "reads", lambda event: seen.append(event.metadata))
        signals.register_event("Msg", DISCONNECT, "reads", lambda event: seen.append(event.metadata))
        client = connected(signals, client_id="a")
        client.vanishes()
        connected(signals, client_id="b")
        assert seen == [{"who": "a"}, {}, {"who": "b"}]


def by_client(client: FakeTransport, _: Signals) -> None:
    client.closes(1000, "bye")
    client.vanishes()


def by_client_without_a_code(client: FakeTransport, _: Signals) -> None:
    client.closes(1005)
    client.vanishes()


def by_a_client_that_waits(client: FakeTransport, signals: Signals) -> None:
    client.closes(1001)
    turn(signals, seconds=5)


def by_loss(client: FakeTransport, _: Signals) -> None:
    client.vanishes()


def by_server(client: FakeTransport, _: Signals) -> None:
    client.connection.close(4000, "out")


def by_server_twice(client: FakeTransport, signals: Signals) -> None:
    client.connection.close(4000, "out")
    client.connection.close(4001, "again")
    signals.close("Msg", code=4002)


def by_both(client: FakeTransport, _: Signals) -> None:
    client.connection.close(4000, "out")
    client.closes(1000)
    client.vanishes()


def by_replacement(_: FakeTransport, signals: Signals) -> None:
    connect(signals, client_id="me")


def by_shutdown(client: FakeTransport, signals: Signals) -> None:
    send_away(client.link)


def by_abort(client: FakeTransport, _: Signals) -> None:
    client.link.abort()


def by_a_broken_wire(client: FakeTransport, _: Signals) -> None:
    client.raises = OSError()
    client.connection.send("x")


def by_bad_messages(client: FakeTransport, _: Signals) -> None:
    for _number in range(12):
        client.writes(b"bad")


ENDS: dict[str, tuple[Callable[[FakeTransport, Signals], None], int, str, ClosedBy]] = {
    "client": (by_client, 1000, "bye", ClosedBy.CLIENT),
    "client, no code": (by_client_without_a_code, 1005, "", ClosedBy.CLIENT),
    "client, keeps TCP open": (by_a_client_that_waits, 1001, "", ClosedBy.CLIENT),
    "lost": (by_loss, 1006, "", ClosedBy.CLIENT),
    "server": (by_server, 4000, "out", ClosedBy.SERVER),
    "server, twice": (by_server_twice, 4000, "out", ClosedBy.SERVER),
    "both": (by_both, 4000, "out", ClosedBy.SERVER),
    "replaced": (by_replacement, 4409, "replaced by a newer connection", ClosedBy.SERVER),
    "shutdown": (by_shutdown, 1001, "the server is going away", ClosedBy.SHUTDOWN),
    "aborted": (by_abort, 1006, "", ClosedBy.SERVER),
    "broken wire": (by_a_broken_wire, 1006, "the transport failed", ClosedBy.ERROR),
    "bad messages": (by_bad_messages, 1008, "too many bad messages", ClosedBy.ERROR),
}
CASES = [
    (way, scope, moment)
    for way in ENDS
    for scope in Scope
    for moment in ("before Connect", "during Connect", "after Connect")
    if not (way == "replaced" and scope is Scope.LOCAL)  # local connections are not
    and not (way == "bad messages" and moment != "after Connect")  # messages wait for Connect
]


class TestOnceEach:
    @pytest.mark.parametrize(("way", "scope", "moment"), CASES)
    @pytest.mark.parametrize("answers_close", [True, False])
    @pytest.mark.parametrize("at_once", [False, True])
    def test_one_connect_and_one_disconnect(
        self, signals: Signals, way: str, answers_close: bool, at_once: bool, scope: Scope, moment: str
    ) -> None:
        """S9.3: exactly one Connect and one Disconnect, in this order, whatever way and whenever it ends, even if the
        client answers no close frame.
        """
        log: list[tuple[str, SignalConnection]] = []
        waits: list[Deferred[None]] = []
        ends, code, reason, by = ENDS[way]

        async def came(event: TriggeredEvent) -> None:
            log.append(("connect", event.connection))
            if moment == "during Connect":
                waits.append(Deferred())
                await waits[-1]

        signals.on_connect("Msg")(came)
        signals.on_disconnect("Msg")(lambda event: log.append(("disconnect", event.connection)))
        with capturedLogs():
            client = connect(signals, client_id="me", scope=scope, answers_close=answers_close, at_once=at_once)
            closures: list[Any] = []
            client.connection.when_disconnected().addCallback(closures.append)
            if moment != "before Connect":
                turn(signals)
            ends(client, signals)
            turn(signals, seconds=5)
            assert client.connection.state is ConnectionState.CLOSED
            for wait in waits:
                wait.callback(None)
            turn(signals, seconds=60)
        assert [what for what, who in log if who is client.connection] == ["connect", "disconnect"]
        assert len(log) == (3 if way == "replaced" else 2)
        (closure,) = closures
        assert closure is client.connection.closure
        assert (closure.code, closure.reason, closure.by) == (code, reason, by)
        assert signals.counters.connections_closed == {by.value: 1}
        assert len(signals.open_connections()) == (1 if way == "replaced" else 0)
        if way != "replaced":
            assert (signals.names(), timers(signals)) == ((), [])

    def test_late_reports_change_nothing(self, signals: Signals) -> None:
        """S9.3: what the transport reports after the end is nothing: no second Disconnect, no other closure."""
        seen: list[Any] = []
        signals.on_disconnect("Msg")(seen.append)
        client = connected(signals)
        client.closes(1000, "bye")
        client.vanishes()
        client.vanishes()
        client.closes(4000)
        client.connection.close(4001)
        client.link.abort()
        client.says("x")
        turn(signals, seconds=60)
        assert client.connection.closure is not None
        assert (len(seen), client.connection.closure.code, client.got, client.aborts) == (1, 1000, [], 0)
        assert signals.counters.messages_received == 0


class TestOrder:
    def test_connect_in_the_turn_after(self, signals: Signals) -> None:
        """S9.3: Connect runs in the turn after the conversion, with the connection open and in the registry."""
        seen: list[Any] = []

        def came(event: TriggeredEvent) -> None:
            seen.append(signals.connection("Msg", event.connection.client_id) is event.connection)
            event.connection.send("welcome")

        signals.on_connect("Msg")(came)
        client = connect(signals)
        assert seen == []
        signals.send("first", name="Msg")
        turn(signals)
        assert (seen, client.got) == ([True], ["first", "welcome"])

    def test_all_run_in_order(self, signals: Signals) -> None:
        """S9.3: all functions run, one after the other, in order of registration; one that raises is logged and stops
        no other.
        """
        seen: list[str] = []
        waits: dict[str, Deferred[None]] = {}

        async def slow(event: TriggeredEvent, name: str) -> None:
            waits[name] = Deferred()
            await waits[name]
            seen.append(name)

        def raises(event: TriggeredEvent) -> None:
            seen.append("raises")
            raise LookupError

        for each in EventType:
            signals.register_event("Msg", each, "slow", slow, f"slow {each.value}")
            signals.register_event("Msg", each, "raises", raises)
            signals.register_event("Msg", each, "last", lambda event: seen.append("last"))
        with capturedLogs() as logs:
            client = connected(signals, client_id="me")
            assert seen == []
            waits["slow connect"].callback(None)
            client.vanishes()
            waits["slow disconnect"].callback(None)
        assert seen == ["slow connect", "raises", "last", "slow disconnect", "raises", "last"]
        assert [event["where"] for event in logs if "log_failure" in event] == [
            "connect event raises of Msg, connection me",
            "disconnect event raises of Msg, connection me",
        ]
        assert signals.counters.functions_failed == 2

    def test_the_first_message_waits(self, signals: Signals) -> None:
        """S9.3: the first message is dispatched when the last Connect function has ended."""
        seen: list[str] = []
        waits: list[Deferred[None]] = [Deferred(), Deferred()]
        for number, wait in enumerate(waits):
            signals.register_event("Msg", CONNECT, str(number), lambda _, wait: wait, wait)
        signals.add_route("/ws", lambda event: seen.append(event.data.message))
        client = connect(signals)
        client.says("a")
        turn(signals)
        client.says("b")
        waits[0].callback(None)
        assert seen == []
        waits[1].callback(None)
        assert seen == ["a", "b"]

    def test_connect_that_hangs(self, signals: Signals) -> None:
        """S9.3: a Connect function that hangs is cancelled after 30 s; then messages and Disconnect have their turn."""
        seen: list[str] = []
        cancelled: list[Any] = []
        signals.register_event("Msg", CONNECT, "hangs", lambda _: Deferred(cancelled.append))
        signals.register_event("Msg", CONNECT, "after", lambda _: seen.append("after"))
        signals.on_disconnect("Msg")(lambda _: seen.append("disconnect"))
        signals.add_route("/ws", lambda event: seen.append(event.data.message))
        client = connected(signals)
        client.says("a")
        client.vanishes()
        with capturedLogs():
            turn(signals, seconds=29.9)
            assert (seen, cancelled) == ([], [])
            turn(signals, seconds=0.1)
        assert (seen, len(cancelled)) == (["after", "a", "disconnect"], 1)
        assert signals.counters.functions_timed_out == 1
        assert timers(signals) == []

    def test_connect_that_swallows_its_cancellation(self, signals: Signals) -> None:
        """S9.3: a Connect function that goes on after its cancellation holds up nothing and repeats nothing."""
        seen: list[str] = []
        second: Deferred[None] = Deferred()

        async def stubborn(_event: TriggeredEvent) -> None:
            try:
                await Deferred()
            except CancelledError:
                await second

        signals.register_event("Msg", CONNECT, "stubborn", stubborn)
        signals.register_event("Msg", CONNECT, "after", lambda _: seen.append("after"))
        signals.on_disconnect("Msg")(lambda _: seen.append("disconnect"))
        client = connected(signals)
        client.vanishes()
        with capturedLogs():
            turn(signals, seconds=30)
        second.callback(None)
        turn(signals, seconds=100)
        assert seen == ["after", "disconnect"]

    @pytest.mark.parametrize("at_once", [False, True])
    def test_a_message_that_ends_it(self, signals: Signals, at_once: bool) -> None:
        """S9.3: a connection that is closed by its first message, which waited for Connect, has one Disconnect."""
        seen: list[str] = []
        signals.on_connect("Msg")(lambda _: seen.append("connect"))
        signals.on_disconnect("Msg")(lambda _: seen.append("disconnect"))
        signals.add_route("/ws", lambda event: event.connection.close())
        client = connect(signals, at_once=at_once)
        client.says("end")
        turn(signals)
        assert seen == ["connect", "disconnect"]

    def test_messages_of_a_client_that_came_and_went(self, signals: Signals) -> None:
        """S9.3: what a client sent before it went, all within its Connect functions, is handled after them."""
        seen: list[str] = []
        signals.on_connect("Msg")(lambda _: seen.append("connect"))
        signals.add_route("/ws", lambda event: seen.append(event.data.message))
        client = connect(signals)
        client.says("a")
        client.says("b")
        client.vanishes()
        turn(signals)
        assert seen == ["connect", "a", "b"]

    def test_fresh_contexts(self, signals: Signals) -> None:
        """S9.3: event functions run in a fresh context: no current event, whoever caused what."""
        seen: list[Any] = []

        def note(event: TriggeredEvent) -> None:
            seen.append((event.type.value, current_event.get(), current_route.get()))

        signals.on_connect("New")(note)
        signals.on_disconnect("Old")(note)
        connected(signals, "Old", client_id="1", at_once=True)

        def route(_event: Any) -> None:
            signals.close("Old")
            connect(signals, "New")
            turn(signals)

        signals.add_route("/ws", route)
        connected(signals).says("x", direct=True)
        assert seen == [("disconnect", None, None), ("connect", None, None)]

    def test_replacement(self, signals: Signals) -> None:
        """S9.3: a replaced connection leaves before the newcomer enters; its Disconnect may come after the newcomer's
        Connect, and evicts nobody.
        """
        seen: list[Any] = []
        signals.on_connect("Msg")(lambda event: seen.append(("connect", event.connection)))
        signals.on_disconnect("Msg")(lambda event: seen.append(("disconnect", event.connection)))
        old = connected(signals, client_id="me", answers_close=False)
        new = connected(signals, client_id="me")
        assert signals.connections("Msg") == (new.connection,)
        assert seen == [("connect", old.connection), ("connect", new.connection)]
        signals.send("x", name="Msg")
        old.vanishes()
        assert seen[2:] == [("disconnect", old.connection)]
        assert signals.connection("Msg", "me") is new.connection
        assert (new.got, [getattr(each, "code", each) for each in old.got]) == (["x"], [4409])

    def test_auto_upgrade(self, signals: Signals) -> None:
        """S9.5: with auto-upgrade the name is the path, also for events."""
        seen: list[str] = []
        signals.on_connect("/messages")(lambda event: seen.append(event.name))
        connected(signals, "/messages", path="/messages")
        connected(signals, "Msg", path="/messages")
        assert seen == ["/messages"]


class TestWhenConnected:
    def test_the_next_connection(self, signals: Signals) -> None:
        """S9.4: it fires with the next connection of the name, once."""
        connected(signals)
        fired: list[Any] = []
        signals.when_connected("Msg").addCallback(fired.append)
        connected(signals, "Other")
        assert fired == []
        client = connected(signals)
        connected(signals)
        assert fired == [client.connection]

    def test_each_has_its_own(self, signals: Signals) -> None:
        """S9.4: each call gives a Deferred of its own: cancelling or changing one affects no other."""
        first, second, third = (signals.when_connected("Msg") for _ in range(3))
        errors: list[Any] = []
        second.addErrback(errors.append)
        second.cancel()
        first.addCallback(lambda _: "changed")
        client = connected(signals)
        assert (result_of(first), result_of(third)) == ("changed", client.connection)
        assert errors[0].check(CancelledError)

    def test_a_callback_cancels_another(self, signals: Signals) -> None:
        """S9.4: a callback may cancel the others, itself, and wait anew: for the connection after this one."""
        first, second, third = (signals.when_connected("Msg") for _ in range(3))
        errors: list[Any] = []
        again: list[Any] = []
        second.addErrback(errors.append)

        def cancels(connection: Any) -> None:
            second.cancel()
            first.cancel()
            signals.when_connected("Msg").addCallback(again.append)

        first.addCallback(cancels)
        client = connected(signals)
        assert errors[0].check(CancelledError)
        assert (result_of(third), again) == (client.connection, [])
        other = connected(signals)
        assert again == [other.connection]

    def test_a_new_wait_outlives_the_old_ones(self, signals: Signals) -> None:
        """S9.4: a wait that begins in a callback is not affected by the end of those before it."""
        first, second = signals.when_connected("Msg"), signals.when_connected("Msg")
        again: list[Any] = []
        second.addErrback(lambda _: None)

        def waits_anew(_connection: Any) -> None:
            signals.when_connected("Msg").addCallback(again.append)
            second.cancel()

        first.addCallback(waits_anew)
        connected(signals)
        other = connected(signals)
        assert again == [other.connection]

    def test_all_cancelled(self, signals: Signals) -> None:
        """S9.4: nothing is left of those that were cancelled."""
        left = []
        for _ in range(3):
            waiter = signals.when_connected("Msg")
            waiter.addErrback(lambda _: None)
            waiter.cancel()
            left.append(weakref.ref(waiter))
        del waiter
        gc.collect()
        assert [each() for each in left] == [None] * 3
        connected(signals)

    def test_a_callback_that_raises(self, signals: Signals) -> None:
        """S9.4: a callback that raises keeps neither the others nor the Connect functions from running."""
        seen: list[Any] = []
        signals.on_connect("Msg")(lambda _: seen.append("connect"))
        raising = signals.when_connected("Msg").addCallback(lambda _: 1 / 0)
        signals.when_connected("Msg").addCallback(lambda _: seen.append("second"))
        connected(signals)
        raising.addErrback(lambda failure: failure.trap(ZeroDivisionError))
        assert seen == ["second", "connect"]

    def test_fresh_contexts(self, signals: Signals) -> None:
        """S9.4: a plain callback sees no current event or route, whoever's context the turn happens to run in."""
        seen: list[Any] = []

        def note(_result: Any) -> None:
            seen.append((current_event.get(), current_route.get()))

        client = connect(signals)
        signals.when_connected("Msg").addCallback(note)
        client.connection.when_disconnected().addCallback(note)
        context = copy_context()
        context.run(current_event.set, cast(SignalEvent, "somebody's"))
        context.run(current_route.set, RouteSlot())
        context.run(turn, signals)
        context.run(client.vanishes)
        assert seen == [(None, None), (None, None)]

    def test_await(self, signals: Signals) -> None:
        """S9.4: it can be awaited."""
        seen: list[Any] = []

        async def waits() -> None:
            seen.append(await signals.when_connected("Msg"))
            seen.append(await seen[0].when_disconnected())

        Deferred.fromCoroutine(waits())
        client = connected(signals)
        client.closes(4000)
        assert seen == [client.connection]
        client.vanishes()
        assert seen[1].code == 4000
