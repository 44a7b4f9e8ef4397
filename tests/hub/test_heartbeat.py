from __future__ import annotations

from random import Random, SystemRandom
from typing import Any

import pytest
from fakes import Close, FakeTransport, clock_of, connected, new_signals, turn
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from pode_signals import Scope, Signals
from pode_signals.core.model import ClosedBy, Closure
from pode_signals.hub.connection import ConnectionState
from pode_signals.hub.heartbeat import SWEEP_SECONDS
from pode_signals.signals import hub_of


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


def wait(signals: Signals, seconds: float) -> None:
    """Let time pass as it does in a reactor that is not held up: in small steps."""
    for _ in range(round(seconds * 10)):
        turn(signals, seconds=0.1)


def sweeps(signals: Signals) -> list[Any]:
    """The sweeps that are planned."""
    return [call for call in clock_of(signals).getDelayedCalls() if "Heartbeat._sweep" in str(call.func)]


def silent(signals: Signals, **details: Any) -> FakeTransport:
    """A client that answers no pings."""
    client = connected(signals, **details)
    client.answers_pings = False
    return client


class TestPings:
    def test_after_25_seconds(self, signals: Signals) -> None:
        """S16.1: a client is pinged 25 s after its handshake, and 25 s after each pong."""
        client = connected(signals)
        wait(signals, 24.5)
        assert client.pings == []
        wait(signals, 1.5)
        assert len(client.pings) == 1
        wait(signals, 24)
        assert len(client.pings) == 1
        wait(signals, 2)
        assert len(client.pings) == 2
        assert len(set(client.pings)) == 2

    def test_who_answers_stays(self, signals: Signals) -> None:
        """S16.1: a client that answers stays for good, whether it says anything or not."""
        client = connected(signals)
        wait(signals, 300)
        assert client.connection.state is ConnectionState.OPEN
        assert 10 <= len(client.pings) <= 12

    def test_each_by_its_own_time(self, signals: Signals) -> None:
        """S16.1: clients are pinged by the time of their own handshake, not all at once; local ones too."""
        first = connected(signals)
        wait(signals, 10)
        second = connected(signals, scope=Scope.LOCAL)
        wait(signals, 16)
        assert (len(first.pings), len(second.pings)) == (1, 0)
        wait(signals, 10)
        assert (len(first.pings), len(second.pings)) == (1, 1)

    def test_settings(self) -> None:
        """S16.1: the interval and the time for the pong are settings."""
        signals = new_signals(ping_interval_seconds=3, pong_timeout_seconds=2)
        client = silent(signals)
        wait(signals, 4)
        assert len(client.pings) == 1
        wait(signals, 3)
        assert client.aborts == 1

    def test_nobody_is_pinged_while_it_closes(self, signals: Signals) -> None:
        """S16.1: a connection that is closing is pinged no more."""
        client = connected(signals, answers_close=False)
        wait(signals, 23)
        client.connection.close()
        wait(signals, 4)
        assert client.pings == []


class TestPongs:
    def test_none_within_10_seconds(self, signals: Signals) -> None:
        """S16.1: a client whose pong has not come 10 s after the ping is gone, without a close frame, once."""
        ended: list[Closure | None] = []
        signals.on_disconnect("Msg")(lambda event: ended.append(event.connection.closure))
        client = silent(signals)
        wait(signals, 35)
        assert client.connection.state is ConnectionState.OPEN
        wait(signals, 2)
        assert (client.aborts, client.got) == (1, [])
        assert ended == [Closure(1006, "no pong in time", ClosedBy.TIMEOUT)]
        assert signals.open_connections() == ()

    def test_messages_are_no_pongs(self, signals: Signals) -> None:
        """S16.1: a client that sends messages all the time and never a pong is gone."""
        client = silent(signals)
        for _ in range(37):
            client.says("I am here")
            wait(signals, 1)
        assert client.aborts == 1

    def test_wrong_pongs(self, signals: Signals) -> None:
        """S16.1: a pong with another payload, and one that nobody asked for, do not count."""
        client = silent(signals)
        client.link.pong(b"")
        wait(signals, 26)
        (ping,) = client.pings
        for payload in (b"", b"\0", ping + b"\0", ping[:-1], ping[::-1], b"\xff\xff\xff\xff"):
            client.link.pong(payload)
        wait(signals, 11)
        assert client.aborts == 1

    def test_a_client_that_guesses(self, signals: Signals) -> None:
        """S16.1: pongs sent blindly do not count: no ping says what the next one, or another client's, will hold."""
        first, second = connected(signals), connected(signals)
        wait(signals, 26 * 20)
        payloads = first.pings + second.pings
        assert len(payloads) >= 38
        assert len(set(payloads)) == len(payloads)
        assert {len(each) for each in payloads} == {8}
        # Payloads that count, up or down, or that differ in a few bits, have a first byte in common.
        assert len({each[:2] for each in payloads}) > len(payloads) // 2

    def test_payloads_are_drawn_from_the_hubs_source(self) -> None:
        """S16.1: what pings hold is drawn from the random source of the hub, which is the system's unless given."""
        drawn = []
        for _ in range(2):
            signals = Signals(clock=Clock(), random=Random(7))
            client = connected(signals)
            wait(signals, 60)
            drawn.append(client.pings)
        assert drawn[0] == drawn[1] != []
        assert isinstance(hub_of(Signals(clock=Clock())).runtime.random, SystemRandom)

    def test_a_pong_that_comes_twice(self, signals: Signals) -> None:
        """S16.1: a pong answers one ping: sent again, it answers no later one."""
        client = connected(signals)
        wait(signals, 26)
        client.answers_pings = False
        for _ in range(60):
            client.link.pong(client.pings[0])
            wait(signals, 1)
        assert client.aborts == 1

    def test_an_earlier_pong(self, signals: Signals) -> None:
        """S16.1: the pong of an earlier ping does not answer a later one."""
        client = connected(signals)
        wait(signals, 26)
        client.answers_pings = False
        wait(signals, 26)
        assert len(client.pings) == 2
        client.link.pong(client.pings[0])
        wait(signals, 11)
        assert client.aborts == 1

    def test_a_late_pong_in_time(self, signals: Signals) -> None:
        """S16.1: a pong that comes before the deadline counts."""
        client = silent(signals)
        wait(signals, 34)
        client.link.pong(client.pings[0])
        wait(signals, 10)
        assert client.connection.state is ConnectionState.OPEN

    def test_others_stay(self, signals: Signals) -> None:
        """S16.1: one who is gone takes nobody along, even where its end is reported at once."""
        others = [connected(signals), connected(signals)]
        gone = [silent(signals, at_once=True), silent(signals)]
        others.append(connected(signals))
        wait(signals, 40)
        assert [each.aborts for each in gone] == [1, 1]
        assert [each.connection.state for each in others] == [ConnectionState.OPEN] * 3


class TestWhoseFaultItIs:
    def test_our_own_pause_postpones(self) -> None:
        """S16.1: while we do not read from a client its deadline stands still, and runs on afterwards."""
        signals = new_signals()
        client = silent(signals)
        wait(signals, 30)
        client.link.pause_reading()
        wait(signals, 100)
        assert client.connection.state is ConnectionState.OPEN
        client.link.resume_reading()
        wait(signals, 4)
        assert client.connection.state is ConnectionState.OPEN
        wait(signals, 4)
        assert client.aborts == 1

    def test_a_late_sweep_of_our_own(self, signals: Signals) -> None:
        """S16.1: where this process was held up, every deadline is later by as much, and nobody is blamed."""
        clients = [silent(signals) for _ in range(3)]
        wait(signals, 30)
        turn(signals, seconds=100)
        wait(signals, 4)
        assert [each.connection.state for each in clients] == [ConnectionState.OPEN] * 3
        wait(signals, 4)
        assert [each.aborts for each in clients] == [1, 1, 1]

    def test_held_up_again_and_again(self, signals: Signals) -> None:
        """S16.1: a process that is always late blames nobody while it is."""
        client = silent(signals)
        for _ in range(50):
            turn(signals, seconds=3)
        assert client.connection.state is ConnectionState.OPEN

    def test_a_clock_that_is_set_forward(self, signals: Signals) -> None:
        """S16.1: a clock that jumps makes nobody gone."""
        client = connected(signals)
        wait(signals, 26)
        turn(signals, seconds=86_400)
        wait(signals, 60)
        assert client.connection.state is ConnectionState.OPEN

    def test_a_late_sweep_and_a_pause(self) -> None:
        """S16.1: held up while we do not read anyway: the time counts once."""
        signals = new_signals()
        client = silent(signals)
        wait(signals, 30)
        client.link.pause_reading()
        turn(signals, seconds=100)
        client.link.resume_reading()
        wait(signals, 9)
        assert client.aborts == 1


class TestMessages:
    def test_one_that_takes_too_long(self, signals: Signals) -> None:
        """S16.3: a message that is not complete after 10 s closes its connection with 1008."""
        client = connected(signals)
        client.link.message_begins()
        wait(signals, 9.5)
        assert client.got == []
        wait(signals, 2)
        assert client.got == [Close(1008, "the message took too long")]
        assert client.connection.closure == Closure(1008, "the message took too long", ClosedBy.TIMEOUT)

    def test_one_that_ends(self, signals: Signals) -> None:
        """S16.3: a message that ends in time is none of the next one's time, nor is the time between them."""
        client = connected(signals)
        for _ in range(5):
            client.link.message_begins()
            wait(signals, 8)
            client.link.message_ended()
            wait(signals, 20)
        assert client.connection.state is ConnectionState.OPEN

    def test_one_that_never_ends_since_we_close(self, signals: Signals) -> None:
        """S16.7: a message that is not complete when its connection closes breaks no limit."""
        client = connected(signals, answers_close=False)
        client.link.message_begins()
        wait(signals, 8)
        client.connection.close()
        wait(signals, 4)
        assert (client.got, signals.counters.limits_hit) == ([Close(1000)], {})

    def test_a_setting(self) -> None:
        """S16.3: the time for a message is a setting."""
        signals = new_signals(message_timeout_seconds=2)
        client = connected(signals)
        client.link.message_begins()
        wait(signals, 4)
        assert client.got == [Close(1008, "the message took too long")]

    def test_our_own_pause_postpones(self) -> None:
        """S16.3: while we do not read from a client, its message has time, and goes on having it."""
        signals = new_signals()
        client = connected(signals)
        client.link.message_begins()
        wait(signals, 5)
        client.link.pause_reading()
        wait(signals, 60)
        client.link.resume_reading()
        wait(signals, 3)
        assert client.connection.state is ConnectionState.OPEN
        wait(signals, 5)
        assert client.got == [Close(1008, "the message took too long")]

    def test_a_late_sweep_of_our_own(self, signals: Signals) -> None:
        """S16.3: where this process was held up, a message has as much more time, in the next sweeps too."""
        client = connected(signals)
        client.link.message_begins()
        wait(signals, 5)
        turn(signals, seconds=60)
        wait(signals, 3)
        assert client.connection.state is ConnectionState.OPEN
        wait(signals, 5)
        assert client.got == [Close(1008, "the message took too long")]


class TestSweeping:
    def test_one_sweep_for_all(self, signals: Signals) -> None:
        """S16.1: however many connections there are, one timer looks after them."""
        for _ in range(50):
            connected(signals)
        wait(signals, 3)
        assert len(sweeps(signals)) == 1

    @pytest.mark.parametrize("at_once", [False, True])
    def test_it_ends_with_the_last(self, signals: Signals, at_once: bool) -> None:
        """S16.1: when nobody is left nothing runs, and the sweep begins again with the next connection."""
        for _ in range(3):
            assert sweeps(signals) == []
            clients = [connected(signals, at_once=at_once), connected(signals, at_once=at_once)]
            assert len(sweeps(signals)) == 1
            clients[0].connection.close()
            wait(signals, 1.5)
            assert len(sweeps(signals)) == 1
            clients[1].vanishes()
            assert sweeps(signals) == []
        assert clock_of(signals).getDelayedCalls() == []

    @pytest.mark.parametrize("at_once", [False, True])
    def test_it_ends_with_the_last_that_it_drops_itself(self, signals: Signals, at_once: bool) -> None:
        """S16.1: the sweep that drops the last connection is the last one, until somebody comes."""
        client = silent(signals, at_once=at_once)
        wait(signals, 40)
        assert client.aborts == 1
        assert sweeps(signals) == []
        newcomer = connected(signals)
        wait(signals, 26)
        assert len(newcomer.pings) == 1

    def test_how_often(self) -> None:
        """S16.1: a sweep a second is often enough for every deadline."""
        assert SWEEP_SECONDS == 1.0


class TestReports:
    @pytest.mark.parametrize("setting", ["pong_timeout_seconds", "message_timeout_seconds"])
    def test_a_deadline_that_acts(self, signals: Signals, setting: str) -> None:
        """S16.7: each client that goes is counted under the setting and told in one line."""
        clients = [silent(signals, client_id=number) for number in (1, 2)]
        with capturedLogs() as logs:
            if setting == "message_timeout_seconds":
                for client in clients:
                    client.link.message_begins()
            wait(signals, 40)
        assert signals.counters.limits_hit == {setting: 2}
        assert [event["kind"] for event in logs] == [setting, setting]
        assert {formatEvent(event).split(" ")[1] for event in logs} == {"1", "2"}
        assert signals.counters.connections_closed == {"timeout": 2}
