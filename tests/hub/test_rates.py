from __future__ import annotations

from typing import Any

import pytest
from fakes import Close, FakeTransport, clock_of, connected, new_signals, timers, turn
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from pode_signals import Signals


class Heard:
    """What a signal route has heard, by client."""

    def __init__(self, **settings: Any) -> None:
        self.signals = new_signals(**settings)
        self.messages: list[tuple[str, Any]] = []
        self.signals.add_route("/ws", self.hear)

    def hear(self, event: Any) -> None:
        self.messages.append((event.client_id, event.data.message))

    def of(self, client: FakeTransport) -> list[Any]:
        """What one client said."""
        return [message for client_id, message in self.messages if client_id == client.client_id]

    def wait(self, seconds: float) -> None:
        """Let time pass in steps of 10 ms."""
        for _ in range(round(seconds * 100)):
            turn(self.signals, seconds=0.01)


def says(client: FakeTransport, *numbers: int) -> None:
    """A client sends messages in one go, whether it is read or not: what was read already is dispatched."""
    for number in numbers:
        client.says(number)


class TestRate:
    def test_a_burst_then_a_rate(self) -> None:
        """S16.3: 200 messages are handled at once, then 100 a second; none is lost, and their order is kept."""
        heard = Heard()
        client = connected(heard.signals)
        says(client, *range(1_000))
        assert heard.of(client) == list(range(200))
        heard.wait(1)
        assert 298 <= len(heard.messages) <= 300
        heard.wait(4)
        assert 697 <= len(heard.messages) <= 700
        heard.wait(4)
        assert heard.of(client) == list(range(1_000))

    def test_a_client_that_keeps_to_it(self) -> None:
        """S16.3: a client that sends 100 messages a second, for as long as it likes, waits for nothing."""
        heard = Heard()
        client = connected(heard.signals)
        for number in range(2_000):
            client.says(number)
            assert len(heard.messages) == number + 1
            turn(heard.signals, seconds=0.01)
        assert heard.signals.counters.limits_hit == {}

    def test_the_bucket_fills_again(self) -> None:
        """S16.3: a client that was quiet may send a burst again."""
        heard = Heard()
        client = connected(heard.signals)
        says(client, *range(200))
        heard.wait(3)
        says(client, *range(200, 500))
        assert heard.of(client) == list(range(400))

    def test_settings(self) -> None:
        """S16.3: rate and burst are settings; a slow rate is kept to as well."""
        heard = Heard(messages_per_second=0.5, message_burst=3)
        client = connected(heard.signals)
        says(client, *range(5))
        assert len(heard.messages) == 3
        heard.wait(1.9)
        assert len(heard.messages) == 3
        heard.wait(0.2)
        assert len(heard.messages) == 4
        heard.wait(2)
        assert heard.of(client) == [0, 1, 2, 3, 4]

    def test_others_are_not_held_up(self) -> None:
        """S16.3: each client has a rate of its own: one that sends too much holds up nobody else."""
        heard = Heard()
        greedy, modest = connected(heard.signals), connected(heard.signals)
        says(greedy, *range(500))
        says(modest, *range(150))
        assert (len(heard.of(greedy)), heard.of(modest)) == (200, list(range(150)))

    def test_the_socket_is_read_no_faster(self) -> None:
        """S16.3: reading pauses when 64 messages wait, and goes on when 16 do."""
        heard = Heard()
        client = connected(heard.signals)
        says(client, *range(200 + 63))
        assert client.reading == []
        says(client, 263)
        assert client.reading == ["pause"]
        heard.wait(0.45)
        assert client.reading == ["pause"]
        heard.wait(0.05)
        assert client.reading == ["pause", "resume"]

    def test_functions_that_go_on(self) -> None:
        """S16.3: the rate holds as well where functions take their time; one at a time, in order."""
        heard = Heard(messages_per_second=10, message_burst=2)
        waiting: list[Deferred[None]] = []

        def slowly(event: Any) -> Deferred[None]:
            heard.hear(event)
            waiting.append(Deferred())
            return waiting[-1]

        heard.signals.add_route("/ws", slowly, if_exists="overwrite")
        client = connected(heard.signals)
        says(client, *range(4))
        assert heard.of(client) == [0]
        waiting[0].callback(None)
        waiting[1].callback(None)
        assert heard.of(client) == [0, 1]
        heard.wait(0.2)
        assert heard.of(client) == [0, 1, 2]
        heard.wait(10)
        assert heard.of(client) == [0, 1, 2]
        waiting[2].callback(None)
        assert heard.of(client) == [0, 1, 2, 3]

    def test_bad_messages_count(self) -> None:
        """S16.3: what is no message takes its time as well, and the tenth closes the connection."""
        heard = Heard(messages_per_second=1, message_burst=3)
        client = connected(heard.signals)
        for _ in range(10):
            client.writes(b"no JSON")
        assert heard.signals.counters.messages_bad == 3
        heard.wait(8)
        assert client.got == [Close(1008, "too many bad messages")]

    def test_a_client_that_leaves(self) -> None:
        """S16.3: what a client said before it left is heard all the same, and then nothing is left to do."""
        heard = Heard()
        client = connected(heard.signals)
        says(client, *range(250))
        client.vanishes()
        heard.wait(1)
        assert heard.of(client) == list(range(250))
        assert timers(heard.signals) == []

    @pytest.mark.parametrize("per_second", [3, 7, 30, 333, 5_000, 100_000])
    def test_a_clock_that_rounds(self, per_second: float) -> None:
        """S16.3: a wait that the clock rounds is no reason to wait for ever, or to spin."""
        signals = new_signals(messages_per_second=per_second, message_burst=1, max_pending_messages=10_000)
        heard: list[Any] = []
        signals.add_route("/ws", lambda event: heard.append(event.data.message))
        client = connected(signals)
        says(client, *range(50))
        calls = 0
        while len(heard) < 50:
            due = min(call.getTime() for call in clock_of(signals).getDelayedCalls())
            clock_of(signals).advance(max(0.0, due - clock_of(signals).seconds()))
            calls += 1
            assert calls < 200
        assert heard == list(range(50))


class TestReports:
    def test_rate(self, signals: Signals) -> None:
        """S16.7: each message that has to wait is counted, and few are told."""
        signals.add_route("/ws", lambda event: None)
        client = connected(signals, client_id="ada")
        with capturedLogs() as logs:
            says(client, *range(230))
            for _ in range(300):
                turn(signals, seconds=0.001)
        assert 25 <= signals.counters.limits_hit["messages_per_second"] <= 31
        lines = [formatEvent(event) for event in logs if event["kind"] == "messages_per_second"]
        assert lines == ["connection ada: its messages have to wait (messages_per_second)"] * 10

    @pytest.fixture
    def signals(self) -> Signals:
        """Signals with the defaults."""
        return new_signals()
