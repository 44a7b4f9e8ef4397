"""What a signal route is given: the event of a message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from fakes import connected, new_signals, turn
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from pode_signals import SignalEvent, Signals


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


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
