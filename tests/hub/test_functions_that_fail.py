"""A function of a signal route that raises or hangs: it is logged and counted, and the next message runs."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import WaitingRoute, connected, new_signals, timers, turn
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs

from pode_signals import SignalEvent, Signals
from pode_signals.hub.connection import ConnectionState


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


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
        waiting = WaitingRoute(signals)
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
        waiting = WaitingRoute(signals)
        client = connected(signals)
        client.says(0)
        client.says(1)
        with capturedLogs():
            turn(signals, seconds=1)
        assert waiting.messages == [0, 1]
