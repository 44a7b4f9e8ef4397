"""Messages that are none: they are dropped and counted, and too many of them end the connection."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import Close, WaitingRoute, connected, new_signals, turn
from twisted.logger import capturedLogs, formatEvent

from pode_signals import Signals
from pode_signals.core.model import ClosedBy
from pode_signals.hub.connection import ConnectionState


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


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
        waiting = WaitingRoute(signals)
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
