"""Which signal route gets a message: by the path of the connection, at the time when the message is handled."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import connected, new_signals, turn

from pode_signals import Scope, SignalEvent, Signals


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


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
