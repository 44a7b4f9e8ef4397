"""The messages of one connection are handled in order, one at a time, and what waits is bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes import WaitingRoute, connect, connected, new_signals, turn
from twisted.internet.defer import Deferred

from pode_signals import SignalEvent, Signals


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


class TestOneAtATime:
    def test_in_order_one_at_a_time(self, signals: Signals) -> None:
        """S5.6: messages of one connection are handled in order, one at a time."""
        waiting = WaitingRoute(signals)
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
        waiting = WaitingRoute(signals)
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
        waiting = WaitingRoute(signals)
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
        waiting = WaitingRoute(signals)
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
        waiting = WaitingRoute(signals)
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
        WaitingRoute(signals)
        client = connected(signals, answers_close=False)
        for number in range(70):
            client.says(number)
        client.connection.close()
        assert client.reading == ["pause", "resume"]
