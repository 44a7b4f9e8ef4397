from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from typing import Any

import pytest
from fakes import Close, FakeTransport, connect, connected, new_signals, timers, turn
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent

from pode_signals import BroadcastLevel, EventType, Scope, SignalEvent, Signals, Unrouted
from pode_signals.core.model import ClosedBy
from pode_signals.errors import NameRequired
from pode_signals.hub.connection import ConnectionState
from pode_signals.hub.context import RouteSlot, current_event, current_route
from pode_signals.signals import hub_of

SECRET = "a secret of thirty-two bytes or so"


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


class Waiting:
    """A signal route whose runs end when a test says so.

    Attributes:
        runs: the message and the Deferred of each run so far.
        running: how many run at this moment, and at most did.
    """

    def __init__(self, signals: Signals, path: str = "/ws") -> None:
        self.runs: list[tuple[Any, Deferred[None]]] = []
        self.running = self.most = 0
        signals.add_route(path, self.route)

    @property
    def messages(self) -> list[Any]:
        return [message for message, _ in self.runs]

    async def route(self, event: SignalEvent) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        self.runs.append((event.data.message, Deferred()))
        try:
            await self.runs[-1][1]
        finally:
            self.running -= 1

    def end(self, number: int = -1) -> None:
        self.runs[number][1].callback(None)


class TestResults:
    @pytest.mark.parametrize("result", [0, "text", {"message": "x"}, [1]])
    @pytest.mark.parametrize("how", ["plain", "async", "Deferred"])
    def test_nobody_gets_a_result(self, signals: Signals, how: str, result: object) -> None:
        """S20.3: what a signal route returns is ignored: nothing is sent or logged, and the next message goes on."""
        deferred: Deferred[object] = Deferred()

        async def waits(_event: SignalEvent) -> object:
            return await deferred

        routes: dict[str, Callable[[SignalEvent], object]] = {
            "plain": lambda _event: result,
            "async": waits,
            "Deferred": lambda _event: deferred,
        }
        signals.add_route("/ws", routes[how])
        client, other = connected(signals), connected(signals)
        with capturedLogs() as logs:
            client.says("x")
            deferred.callback(result)
            turn(signals)
            assert (client.got, other.got, logs) == ([], [], [])
        signals.add_route("/ws", lambda event: event.connection.send("next"), if_exists="overwrite")
        client.says("y")
        assert client.got == ["next"]


class TestRoutes:
    def test_the_path_of_the_connection_decides(self, signals: Signals) -> None:
        """S5.2: the route for the path of the connection's URL gets the message, whatever path the message names; then
        nothing is sent unless the route sends.
        """
        seen: list[tuple[str, Any]] = []
        signals.add_route("/date", lambda event: seen.append(("date", event.data.message)))
        signals.add_route("/other", lambda event: seen.append(("other", event.data.message)))
        client = connected(signals, path="/date?q=1")
        client.says("x", path="/other")
        client.says("y", direct=True)
        turn(signals)
        assert seen == [("date", "x"), ("date", "y")]
        assert client.got == []

    def test_percent_decoding_and_parameters(self, signals: Signals) -> None:
        """S5.2: paths are compared decoded, and have parameters as Klein writes them."""
        seen: list[Any] = []
        signals.add_route("/räume/<int:number>/<name>", lambda event: seen.append(dict(event.params)))
        connected(signals, path="/r%C3%A4ume/7/a%20b").says("x")
        connected(signals, path="/r%C3%A4ume/seven/a").says("x", path="Nobody")
        assert seen == [{"number": 7, "name": "a b"}]

    def test_parameters_are_read_only(self, signals: Signals) -> None:
        """S5.3: what a function does to its parameters reaches no later message."""
        seen: list[Any] = []

        def route(event: SignalEvent) -> None:
            seen.append(dict(event.params))
            with pytest.raises(TypeError):
                event.params["number"] = 8  # type: ignore[index]

        signals.add_route("/room/<int:number>", route)
        client = connected(signals, path="/room/7")
        client.says("x")
        client.says("x")
        assert seen == [{"number": 7}, {"number": 7}]

    def test_routes_change_under_open_connections(self, signals: Signals) -> None:
        """S5.2: a route that is added, overwritten or removed holds from the next message on."""
        seen: list[str] = []
        client = connected(signals)
        client.says("none", path="Nobody")
        signals.add_route("/ws", lambda _: seen.append("first"))
        client.says("x")
        signals.add_route("/ws", lambda _: seen.append("second"), if_exists="overwrite")
        client.says("x")
        signals.remove_route("/ws")
        client.says("none", path="Nobody")
        signals.add_route("/ws", lambda _: seen.append("third"))
        client.says("x")
        signals.clear_routes()
        client.says("none", path="Nobody")
        assert seen == ["first", "second", "third"]
        assert client.got == []

    def test_routes_of_an_endpoint(self, signals: Signals) -> None:
        """S5.2: a route tied to an endpoint gets the messages of its connections before one tied to none."""
        seen: list[str] = []
        signals.add_route("/ws", lambda _: seen.append("admin"), endpoint="admin")
        signals.add_route("/ws", lambda _: seen.append("any"))
        for endpoint_name in ("admin", "public", None):
            connected(signals, endpoint_name=endpoint_name).says("x")
        assert seen == ["admin", "any", "any"]

    def test_local_connections_too(self, signals: Signals) -> None:
        """S3.2: the messages of local connections reach signal routes."""
        seen: list[Any] = []
        signals.add_route("/ws", lambda event: seen.append((event.connection.is_local, event.data.message)))
        connected(signals, scope=Scope.LOCAL).says("x")
        assert seen == [(True, "x")]


class TestEvents:
    def test_what_an_event_is_called(self, signals: Signals) -> None:
        """S5.3: in a log or a debugger an event tells its path and its client, and nothing of its message."""
        seen: list[str] = []
        signals.add_route("/ws", lambda event: seen.append(repr(event)))
        connected(signals, client_id="me", path="/ws?token=secret").says("hidden")
        assert seen == ["<SignalEvent '/ws' of 'me'>"]

    def test_what_an_event_holds(self, signals: Signals) -> None:
        """S5.3: the data, the endpoint, the handshake, the connection, the route, the parameters and the time."""
        seen: list[SignalEvent] = []
        signals.add_route("/room/<name>", seen.append)
        client = connected(
            signals,
            path="/room/b%C3%A4r?a=1&a=2&b=",
            headers=[("Host", "chat.example:8091"), ("User-Agent", "tester"), ("Cookie", "sid=1; theme=dark")],
            address="198.51.100.7",
            is_secure=True,
            endpoint_name="admin",
            client_id="me",
        )
        turn(signals, seconds=5)
        client.says({"deep": [1]}, path="M%C3%BCll", group=["a", 1], clientId="b", direct=True)
        (event,) = seen
        data = event.data
        assert (data.message, data.path, data.group, data.client_id, data.direct) == (
            {"deep": [1]},
            "Müll",
            ("a", "1"),
            ("b",),
            True,
        )
        endpoint = event.endpoint
        assert (endpoint.protocol, endpoint.address, endpoint.name) == ("wss", "chat.example:8091", "admin")
        assert (event.path, event.client_id, event.connection) == ("/room/bär", "me", client.connection)
        assert event.response is client.connection
        assert (event.route.path if event.route else None, dict(event.params)) == ("/room/<name>", {"name": "bär"})
        assert event.streamed is True
        assert event.timestamp == datetime.fromtimestamp(1_700_000_005, UTC)
        assert event.timestamp.tzinfo is UTC
        request = event.request
        assert (request.method, request.path, request.address, request.is_secure) == (
            "GET",
            "/room/bär",
            "198.51.100.7",
            True,
        )
        assert dict(request.args) == {"a": ["1", "2"], "b": [""]}
        assert request.headers["user-AGENT"] == "tester"
        assert dict(request.cookies) == {"sid": "1", "theme": "dark"}
        with pytest.raises(AttributeError):
            request.path = "/elsewhere"  # type: ignore[misc]

    def test_plain_endpoints(self, signals: Signals) -> None:
        """S5.3: without TLS the protocol is ws; a foreign server's endpoint has no name."""
        seen: list[SignalEvent] = []
        signals.add_route("/ws", seen.append)
        connected(signals).says("x")
        assert (seen[0].endpoint.protocol, seen[0].endpoint.name) == ("ws", None)

    def test_metadata_and_lockable(self, signals: Signals) -> None:
        """S5.3: metadata is each event's own, lockable is the hub's: a mapping that all share."""
        seen: list[SignalEvent] = []
        signals.add_route("/ws", seen.append)
        client = connected(signals)
        client.says("x")
        client.says("y")
        first, second = seen
        first.metadata["a"] = 1
        first.lockable["a"] = 1
        assert (dict(first.metadata), dict(second.metadata)) == ({"a": 1}, {})
        assert second.lockable["a"] == signals.lockable["a"] == 1
        assert "a" not in new_signals().lockable

    def test_the_lock(self, signals: Signals) -> None:
        """S5.3: ``async with event.lockable.lock`` lets one function in at a time."""
        order: list[str] = []
        waits: dict[str, Deferred[None]] = {"a": Deferred(), "b": Deferred()}

        async def route(event: SignalEvent) -> None:
            async with event.lockable.lock:
                order.append("in " + event.data.message)
                await waits[event.data.message]
                order.append("out " + event.data.message)

        signals.add_route("/ws", route)
        connected(signals).says("a")
        connected(signals).says("b")
        waits["b"].callback(None)
        waits["a"].callback(None)
        assert order == ["in a", "out a", "in b", "out b"]

    def test_last_activity(self, signals: Signals) -> None:
        """S2.5: a message is activity."""
        client = connected(signals)
        turn(signals, seconds=7)
        client.says("x", path="Nobody")
        assert client.connection.last_activity == datetime.fromtimestamp(1_700_000_007, UTC)
        assert client.connection.connected_at == datetime.fromtimestamp(1_700_000_000, UTC)


class TestUnrouted:
    @pytest.fixture
    def people(self, signals: Signals) -> dict[str, FakeTransport]:
        """Two names, two groups."""
        found = {
            "msg red": connect(signals, "Msg", group="red", client_id="1"),
            "msg": connect(signals, "Msg", client_id="2"),
            "other red": connect(signals, "Other", group="red", client_id="1"),
        }
        turn(signals)
        return found

    @staticmethod
    def reached(signals: Signals, people: dict[str, FakeTransport]) -> set[str]:
        turn(signals)
        found = {key for key, person in people.items() if person.got}
        for person in people.values():
            person.written.clear()
        return found

    @pytest.mark.parametrize(
        ("said", "broadcast", "same_name"),
        [
            ({}, {"msg red", "msg", "other red"}, {"msg red", "msg"}),
            ({"path": "Msg"}, {"msg red", "msg"}, {"msg red", "msg"}),
            ({"path": "Other"}, {"other red"}, set()),
            ({"path": "Nobody"}, set(), set()),
            ({"group": "red"}, {"msg red", "other red"}, {"msg red"}),
            ({"clientId": "1"}, {"msg red", "other red"}, {"msg red"}),
            ({"path": "Msg", "group": "red", "clientId": ["1", 2]}, {"msg red"}, {"msg red"}),
            ({"path": "", "group": [], "clientId": None}, {"msg red", "msg", "other red"}, {"msg red", "msg"}),
            ({"direct": True}, {"msg"}, {"msg"}),
            ({"direct": True, "path": "Other", "group": "red"}, {"msg"}, {"msg"}),
            ({"direct": False}, {"msg red", "msg", "other red"}, {"msg red", "msg"}),
        ],
    )
    def test_who_gets_it(
        self,
        signals: Signals,
        people: dict[str, FakeTransport],
        said: dict[str, Any],
        broadcast: set[str],
        same_name: set[str],
    ) -> None:
        """S5.4: without a route a message goes to what it names, or to everybody; SAME_NAME keeps it within the
        sender's name, DROP sends nothing.
        """
        people["msg"].says("x", **said)
        assert self.reached(signals, people) == broadcast
        signals.unrouted = Unrouted.SAME_NAME
        people["msg"].says("x", **said)
        assert self.reached(signals, people) == same_name
        signals.unrouted = Unrouted.DROP
        people["msg"].says("x", **said)
        assert self.reached(signals, people) == set()

    def test_the_setting(self) -> None:
        """S5.4: unrouted can be given, changed and read; the default is Pode's."""
        assert new_signals().unrouted is Unrouted.BROADCAST
        signals = new_signals(unrouted=Unrouted.DROP)
        assert signals.unrouted is Unrouted.DROP
        client = connected(signals)
        client.says("x")
        assert client.got == []
        assert signals.counters.messages_unrouted_dropped == 1
        signals.unrouted = Unrouted.SAME_NAME
        client.says("y", path="Other")
        client.says("z")
        assert client.got == ["z"]
        assert signals.counters.messages_unrouted_dropped == 2
        with pytest.raises(ValueError, match="nonsense"):
            signals.unrouted = "nonsense"  # type: ignore[assignment]

    @pytest.mark.parametrize(
        ("message", "text"),
        [("text", "text"), ({"a": [1, None]}, '{"a":[1,null]}'), ([1.5], "[1.5]"), (0, "0"), (False, "false")],
    )
    def test_what_is_sent(self, signals: Signals, message: Any, text: str) -> None:
        """S5.4: it is the message that is sent again, by the rules of send: no envelope, text as it is."""
        client = connected(signals)
        client.says(message)
        assert client.got == [text]

    def test_nobody_is_created(self, signals: Signals) -> None:
        """S5.4: a message for a name that nobody joined creates nothing."""
        client = connected(signals)
        client.says("x", path="Nobody", group="none", clientId="nobody")
        assert signals.names() == ("Msg",)
        assert signals.counters.messages_bad == signals.counters.messages_refused == 0

    def test_order_with_other_sends(self, signals: Signals) -> None:
        """S4.6: messages sent again keep their order with what the server sends."""
        client, other = connected(signals), connected(signals)
        client.says("1")
        signals.send("2", name="Msg")
        client.says("3", clientId=other.client_id)
        client.says("4")
        turn(signals)
        assert other.got == ["1", "2", "3", "4"]

    @pytest.mark.parametrize(
        ("said", "refused", "reached"),
        [
            ({"path": "Msg"}, 1, set()),
            ({"path": "Msg", "group": "red"}, 1, set()),
            ({"path": "Msg", "clientId": "1"}, 0, {"msg red"}),
            ({"path": "Other"}, 0, {"other red"}),
            ({"path": "Msg", "direct": True}, 0, {"msg"}),
            ({}, 1, {"other red"}),
            ({"clientId": "1"}, 0, {"msg red", "other red"}),
        ],
    )
    def test_levels(
        self,
        signals: Signals,
        people: dict[str, FakeTransport],
        said: dict[str, Any],
        refused: int,
        reached: set[str],
    ) -> None:
        """S7.3: levels hold for client messages, S5.4: where one refuses nothing is sent, it is counted, and it is no
        bad message; of every name those that refuse are left out.
        """
        signals.set_broadcast_level(BroadcastLevel.CLIENT_ID, name="Msg")
        for _ in range(20):
            people["msg"].says("x", **said)
        assert signals.counters.messages_refused == refused * 20
        assert signals.counters.messages_bad == 0
        assert people["msg"].connection.state is ConnectionState.OPEN
        assert self.reached(signals, people) == reached

    def test_too_big_to_be_sent_again(self) -> None:
        """S5.4: what is larger than the server sends is dropped and counted; the connection stays."""
        signals = new_signals(max_outgoing_bytes=10)
        client = connected(signals)
        client.says("x" * 11)
        client.says("y")
        assert client.got == ["y"]
        assert signals.counters.messages_bad == 1


class TestSignedIds:
    def test_invalid_ids_are_refused(self, signals: Signals) -> None:
        """S5.5: with signing on a client id in a message has to be valid; one that is not: refused, counted."""
        seen: list[Any] = []
        signals.enable_signing(SECRET)
        client, other = connected(signals, client_id="1"), connected(signals, client_id="2", path="/quiet")
        for bad in ("1", "s:1.forged", other.client_id[:-1], [other.client_id, "2"], 5, ""):
            client.says("x", clientId=bad)
        assert signals.counters.messages_refused == 5
        assert signals.counters.messages_bad == 0
        turn(signals)
        assert other.got == ["x"], 'only clientId "" was no client id'
        other.written.clear()
        client.says("y", clientId=[other.client_id, client.client_id])
        client.says("z", clientId=signals.new_client_id("absent"))
        assert signals.counters.messages_refused == 5
        assert other.got == ["y"]
        signals.add_route("/ws", lambda event: seen.append(event.data.client_id))
        client.says("x", clientId="forged")
        assert (seen, signals.counters.messages_refused) == ([], 6)
        client.says("x", clientId=other.client_id)
        assert seen == [(other.client_id,)]

    def test_without_signing(self, signals: Signals) -> None:
        """S5.5: with signing off ids are taken as they come."""
        client, other = connected(signals, client_id="1"), connected(signals, client_id="2")
        client.says("x", clientId=["2", "nobody"])
        assert (other.got, signals.counters.messages_refused) == (["x"], 0)

    def test_strict(self, signals: Signals) -> None:
        """S5.5: in strict mode an id is checked with the agent and address of the open connection that holds it."""
        signals.enable_signing(SECRET, strict=True)
        client = connected(signals, headers=[("User-Agent", "one")], address="192.0.2.1")
        other = connected(signals, headers=[("User-Agent", "two")], address="192.0.2.2")
        client.says("x", clientId=other.client_id)
        assert other.got == ["x"]
        absent = other.client_id
        other.vanishes()
        client.says("x", clientId=absent)
        client.says("x", clientId=client.client_id[:-2])
        assert signals.counters.messages_refused == 2
        client.says("y", clientId=client.client_id)
        assert client.got == ["y"]


class TestOneAtATime:
    def test_in_order_one_at_a_time(self, signals: Signals) -> None:
        """S5.6: messages of one connection are handled in order, one at a time."""
        waiting = Waiting(signals)
        client = connected(signals)
        for number in range(5):
            client.says(number)
        assert waiting.messages == [0]
        for number in range(5):
            waiting.end(number)
        assert (waiting.messages, waiting.most) == ([0, 1, 2, 3, 4], 1)
        client.says(5)
        assert waiting.messages[-1] == 5

    @pytest.mark.parametrize("kind", ["plain", "async", "Deferred"])
    def test_kinds_of_functions(self, signals: Signals, kind: str) -> None:
        """S5.6: functions may be plain, async def or return a Deferred; all keep the order."""
        seen: list[Any] = []
        wait: Deferred[None] = Deferred()

        async def waits(event: SignalEvent) -> None:
            if event.data.message == 0:
                await wait
            seen.append(event.data.message)

        kinds: dict[str, Callable[[SignalEvent], Any]] = {
            "plain": lambda event: seen.append(event.data.message),
            "async": waits,
            "Deferred": lambda event: Deferred.fromCoroutine(waits(event)),
        }
        signals.add_route("/ws", kinds[kind])
        client = connected(signals)
        for number in range(3):
            client.says(number)
        wait.callback(None)
        assert seen == [0, 1, 2]

    def test_others_are_not_held_up(self, signals: Signals) -> None:
        """S5.6: while one connection's function is pending, other connections' messages run."""
        waiting = Waiting(signals)
        slow, quick = connected(signals), connected(signals)
        for number in range(200):
            slow.says(number)
        quick.says("quick")
        assert waiting.messages == [0, "quick"]
        assert (slow.reading, quick.reading) == (["pause"], [])

    def test_a_message_within_a_message(self, signals: Signals) -> None:
        """S5.6: a message that comes in while a plain function runs waits for its end, even in the same call."""
        order: list[str] = []

        def route(event: SignalEvent) -> None:
            order.append(f"in {event.data.message}")
            if event.data.message == 1:
                client.says(2)
                client.says(3)
            order.append(f"out {event.data.message}")

        signals.add_route("/ws", route)
        client = connected(signals)
        client.says(1)
        client.says(4)
        assert order == [f"{way} {number}" for number in (1, 2, 3, 4) for way in ("in", "out")]

    def test_the_first_waits_for_connect(self, signals: Signals) -> None:
        """S5.6: the first message waits for the Connect functions, also where they are plain or there are none."""
        order: list[Any] = []
        signals.on_connect("Msg")(lambda _: order.append("connected"))
        signals.add_route("/ws", lambda event: order.append(event.data.message))
        for name in ("Msg", "Other"):
            client = connect(signals, name)
            client.says("first")
            client.says("second")
            order.append("turn")
            turn(signals)
            client.says("third")
        assert order == ["turn", "connected", "first", "second", "third", "turn", "first", "second", "third"]

    def test_reading_pauses_at_64_and_goes_on_at_16(self, signals: Signals) -> None:
        """S5.6: reading pauses at 64 waiting messages, what the same read brought is kept, and goes on at 16."""
        waiting = Waiting(signals)
        client = connected(signals)
        for number in range(64):
            client.says(number)
        assert client.reading == [], "63 wait"
        client.says(64)
        assert client.reading == ["pause"]
        for number in range(65, 80):
            client.says(number)
        assert client.reading == ["pause"]
        for number in range(80):
            waiting.end(number)
            left = max(0, 80 - number - 2)
            assert client.reading == (["pause"] if left > 16 else ["pause", "resume"]), f"{left} wait"
        assert waiting.messages == list(range(80))
        for number in range(80, 145):
            client.says(number)
        assert client.reading == ["pause", "resume", "pause"]

    def test_pausing_while_connect_runs(self, signals: Signals) -> None:
        """S5.6: messages that wait for Connect count as well."""
        wait: Deferred[None] = Deferred()
        signals.on_connect("Msg")(lambda _: wait)
        seen: list[Any] = []
        signals.add_route("/ws", lambda event: seen.append(event.data.message))
        client = connected(signals)
        for number in range(70):
            client.says(number)
        assert (client.reading, seen) == (["pause"], [])
        wait.callback(None)
        assert (client.reading, seen) == (["pause", "resume"], list(range(70)))

    @pytest.mark.parametrize(("most", "paused_at", "resumed_at"), [(1, 1, 0), (2, 2, 0), (4, 4, 1), (100, 100, 25)])
    def test_the_setting(self, most: int, paused_at: int, resumed_at: int) -> None:
        """S5.6: max_pending_messages is a setting; reading goes on at a quarter."""
        signals = new_signals(max_pending_messages=most)
        waiting = Waiting(signals)
        client = connected(signals)
        client.says(0)
        pending = 0
        while not client.reading:
            client.says(pending)
            pending += 1
        assert pending == paused_at
        while len(client.reading) == 1:
            waiting.end()
            pending -= 1
        assert pending == resumed_at

    def test_many_wait_without_recursion(self) -> None:
        """S5.6: any number of waiting messages is worked off without deep recursion."""
        signals = new_signals(message_burst=10_000)
        waits: list[Deferred[None]] = []
        seen: list[Any] = []

        def route(event: SignalEvent) -> Any:
            seen.append(event.data.message)
            if event.data.message == 0:
                waits.append(Deferred())
                return waits[0]
            return None

        signals.add_route("/ws", route)
        client = connected(signals)
        for number in range(3_000):
            client.says(number)
        waits[0].callback(None)
        assert seen == list(range(3_000))

    @pytest.mark.parametrize("way", ["vanishes", "closes", "close", "unread"])
    def test_what_a_vanished_client_sent(self, signals: Signals, way: str) -> None:
        """S5.6: what a client sent before it went is still handled, in order; what comes after our close is not."""
        waiting = Waiting(signals)
        client = connected(signals)
        for number in range(70):
            client.says(number)
        {"vanishes": client.vanishes, "closes": client.closes, "close": client.connection.close}.get(way, list)()
        if way != "unread":
            client.says("after the end")
        turn(signals)
        for number in range(70):
            waiting.end(number)
        assert (waiting.messages, waiting.most) == (list(range(70)), 1)
        assert client.reading == (["pause"] if way == "vanishes" else ["pause", "resume"])

    def test_a_pause_does_not_outlive_the_connection(self, signals: Signals) -> None:
        """S5.6: close never waits behind functions: a paused connection that is closed reads on for the answer."""
        Waiting(signals)
        client = connected(signals, answers_close=False)
        for number in range(70):
            client.says(number)
        client.connection.close()
        assert client.reading == ["pause", "resume"]


class TestFunctionsThatFail:
    def test_one_that_raises(self, signals: Signals) -> None:
        """S5.7: logged once with route and connection, counted; the connection stays, the next message runs, and no
        text of the exception reaches a client.
        """
        seen: list[Any] = []

        def route(event: SignalEvent) -> None:
            seen.append(event.data.message)
            if event.data.message == "bad":
                raise LookupError("a secret thing")

        signals.add_route("/ws", route)
        client, other = connected(signals, client_id="me"), connected(signals)
        with capturedLogs() as logs:
            client.says("bad")
        client.says("good")
        turn(signals)
        assert seen == ["bad", "good"]
        assert [(event["where"], event["log_failure"].type) for event in logs] == [
            ("signal route /ws, connection me", LookupError)
        ]
        assert signals.counters.functions_failed == 1
        assert client.connection.state is ConnectionState.OPEN
        assert client.got == other.got == []

    def test_one_that_hangs(self, signals: Signals) -> None:
        """S5.7: past 30 s it is cancelled once, its result ignored, and the next message runs."""
        waiting = Waiting(signals)
        client = connected(signals)
        client.says(0)
        client.says(1)
        turn(signals, seconds=29.99)
        assert waiting.messages == [0]
        with capturedLogs() as logs:
            turn(signals, seconds=0.01)
        assert (waiting.messages, waiting.most) == ([0, 1], 1)
        assert len([event for event in logs if "signal route /ws" in str(event.get("where"))]) == 1
        assert signals.counters.functions_timed_out == 1
        assert client.connection.state is ConnectionState.OPEN
        waiting.end(1)
        client.says(2)
        assert waiting.messages == [0, 1, 2]
        waiting.end(2)
        assert timers(signals) == []
        assert client.got == []

    def test_one_that_swallows_its_cancellation(self, signals: Signals) -> None:
        """S5.7: one that goes on after its cancellation does not hold up the messages behind it, then or at its end."""
        seen: list[Any] = []
        second: Deferred[None] = Deferred()

        async def route(event: SignalEvent) -> str:
            seen.append(event.data.message)
            if event.data.message == 0:
                try:
                    await Deferred()
                except CancelledError:
                    await second
                    seen.append("end of 0")
            return "ignored"

        signals.add_route("/ws", route)
        client = connected(signals)
        client.says(0)
        client.says(1)
        with capturedLogs():
            turn(signals, seconds=30)
        assert seen == [0, 1]
        second.callback(None)
        client.says(2)
        assert seen == [0, 1, "end of 0", 2]
        assert client.got == []

    def test_the_setting(self) -> None:
        """S5.7: handler_timeout_seconds is a setting."""
        signals = new_signals(handler_timeout_seconds=1)
        waiting = Waiting(signals)
        client = connected(signals)
        client.says(0)
        client.says(1)
        with capturedLogs():
            turn(signals, seconds=1)
        assert waiting.messages == [0, 1]


BAD = {
    "no JSON": b"hello",
    "nothing": b"",
    "an array": b"[1]",
    "a text": b'"hello"',
    "no message": b'{"path":"Msg"}',
    "direct as text": b'{"message":"x","direct":"false"}',
    "direct as number": b'{"message":"x","direct":1}',
    "path as number": b'{"message":"x","path":5}',
    "group as object": b'{"message":"x","group":{}}',
    "clientId as float": b'{"message":"x","clientId":1.5}',
    "NaN": b'{"message":NaN}',
    "Infinity": b'{"message":[-Infinity]}',
    "overflow": b'{"message":1e999}',
    "33 levels": b'{"message":' + b"[" * 32 + b"]" * 32 + b"}",
    "deep beyond recursion": b'{"message":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "a lone surrogate": b'{"message":"\\ud800"}',
    "1,001 keys": json.dumps({"message": {str(key): 0 for key in range(1_000)}}).encode(),
    "101 groups": json.dumps({"message": "x", "group": ["g"] * 101}).encode(),
}


class TestBadMessages:
    @pytest.mark.parametrize("payload", BAD.values(), ids=BAD.keys())
    @pytest.mark.parametrize("routed", [True, False])
    def test_they_are_dropped(self, signals: Signals, payload: bytes, routed: bool) -> None:
        """S5.8: nothing of a bad message is dispatched; it is counted, and the connection stays."""
        seen: list[Any] = []
        if routed:
            signals.add_route("/ws", seen.append)
        client = connected(signals)
        client.writes(payload)
        turn(signals)
        assert (seen, client.got, signals.counters.messages_bad) == ([], [], 1)
        assert client.connection.state is ConnectionState.OPEN

    @pytest.mark.parametrize(
        ("payload", "text"),
        [
            (b'{"message":"a","message":"b"}', "b"),
            (b'{"Message":"x","unknown":[1]}', "x"),
            (b'{"message":' + b"[" * 30 + b"0" + b"]" * 30 + b"}", "[" * 30 + "0" + "]" * 30),
            ('{"message":"für"}'.encode(), "für"),
            (b'{"message":"\\ud83d\\ude00"}', "😀"),
        ],
    )
    def test_these_are_good(self, signals: Signals, payload: bytes, text: str) -> None:
        """S5.8: of duplicate keys the last wins, S5.1: keys are found without case, unknown ones are ignored."""
        client = connected(signals)
        client.writes(payload)
        assert (client.got, signals.counters.messages_bad) == ([text], 0)

    def test_ten_in_a_minute(self, signals: Signals) -> None:
        """S5.8: the tenth bad message within 60 s closes with 1008."""
        client, other = connected(signals), connected(signals)
        for _ in range(9):
            client.writes(b"bad")
            other.writes(b"bad")
        assert client.got == []
        turn(signals, seconds=59)
        client.writes(b"bad")
        (close,) = client.got
        assert isinstance(close, Close)
        assert close.code == 1008
        assert client.connection.closure is not None
        assert client.connection.closure.by is ClosedBy.ERROR
        assert (other.got, other.connection.state) == ([], ConnectionState.OPEN)
        turn(signals, seconds=2)
        other.writes(b"bad")
        assert other.connection.state is ConnectionState.OPEN

    def test_good_ones_in_between_do_not_help(self, signals: Signals) -> None:
        """S5.8: the count is of bad messages within the time, whatever is in between."""
        client = connected(signals)
        for _ in range(10):
            client.says("good", path="Nobody")
            client.writes(b"bad")
        assert [getattr(item, "code", item) for item in client.got] == [1008]

    def test_the_settings(self) -> None:
        """S5.8: limit, window, depth and keys are settings."""
        signals = new_signals(bad_messages_limit=2, bad_messages_window_seconds=5, max_json_depth=2, max_json_keys=2)
        client = connected(signals)
        client.writes(b'{"message":[[]]}')
        turn(signals, seconds=6)
        client.writes(b'{"message":{"a":1,"b":1}}')
        assert (signals.counters.messages_bad, client.got) == (2, [])
        client.writes(b"bad")
        assert [getattr(item, "code", item) for item in client.got] == [1008]

    def test_they_wait_their_turn(self, signals: Signals) -> None:
        """S5.6: bad messages keep their place in the order: they are decoded when it is their turn."""
        waiting = Waiting(signals)
        client = connected(signals)
        client.says(0)
        client.writes(b"bad")
        client.says(1)
        assert signals.counters.messages_bad == 0
        waiting.end(0)
        assert (signals.counters.messages_bad, waiting.messages) == (1, [0, 1])

    def test_counted_as_received(self, signals: Signals) -> None:
        """S5.8: every message is counted as received, good or bad."""
        client = connected(signals)
        client.writes(b"bad")
        client.says("x")
        assert (signals.counters.messages_received, signals.counters.messages_bad) == (2, 1)

    @pytest.mark.parametrize(
        ("payload", "reason"),
        [
            (b"hello", "the message is not JSON"),
            (b'"hello"', "the message is not a JSON object"),
            (b'{"text":"hello"}', "there is no message"),
            (b'{"message":null}', "there is no message"),
            (b'{"message":1,"direct":"true"}', "direct has to be true or false"),
        ],
    )
    def test_the_first_one_is_told(self, signals: Signals, payload: bytes, reason: str) -> None:
        """S20.3: the first bad message of a connection is one line that says what was expected, others are counted."""
        clients = connected(signals, client_id="a"), connected(signals, client_id="b")
        with capturedLogs() as logs:
            for client in clients * 3:
                client.writes(payload)
        assert [formatEvent(each) for each in logs] == [
            f'connection {each}: bad message: {reason}; expected is a JSON object with the key "message",'
            ' such as {"message": "hello"}'
            for each in "ab"
        ]
        assert (signals.counters.messages_bad, [client.got for client in clients]) == (6, [[], []])

    def test_a_limit_is_told_and_counted(self) -> None:
        """S20.3: where a limit stands in the way of a message, the line names its setting; each time is counted."""
        signals = new_signals(max_json_depth=2)
        client = connected(signals, client_id="a")
        with capturedLogs() as logs:
            client.writes(b'{"message":[[]]}')
            client.writes(b'{"message":[[]]}')
        said = "connection a: bad message: the message is nested too deep (max_json_depth)"
        assert [formatEvent(each) for each in logs] == [said, said]
        assert signals.counters.limits_hit == {"max_json_depth": 2}


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


class TestPathsWithoutRoute:
    """What the log tells of a path that no signal route is for."""

    def lines(self, signals: Signals, *paths: str) -> list[str]:
        """The warnings while a client on each path says something."""
        with capturedLogs() as events:
            for path in paths:
                client = connected(signals, path=path)
                client.says("one")
                client.says("two")
        return [str(formatEvent(each)) for each in events if each["log_level"] is LogLevel.warn]

    def test_a_misspelled_route(self) -> None:
        """S5.4: the first message on a path without a route is one warning, with the nearest route and the setting."""
        signals = new_signals()
        signals.add_route("/message", lambda event: None)
        assert self.lines(signals, "/mesage", "/mesage") == [
            "there is no signal route for /mesage, so unrouted=broadcast decides on its messages;"
            " did you mean /message?"
        ]

    def test_nothing_near(self) -> None:
        """S5.4: no route is guessed that is not near."""
        signals = new_signals(unrouted="drop")
        signals.add_route("/message", lambda event: None)
        assert self.lines(signals, "/x") == [
            "there is no signal route for /x, so unrouted=drop decides on its messages"
        ]

    def test_without_any_route(self) -> None:
        """S5.4: a program without signal routes means it."""
        assert self.lines(new_signals(), "/x") == []

    def test_many_paths(self) -> None:
        """S5.4: paths that clients choose do not fill the memory."""
        signals = new_signals()
        signals.add_route("/message", lambda event: None)
        self.lines(signals, "/" + "x" * 256, *(f"/{number}" for number in range(150)))
        assert all(len(path) <= 256 for path in hub_of(signals)._dispatch._told)
        assert len(hub_of(signals)._dispatch._told) == 100
