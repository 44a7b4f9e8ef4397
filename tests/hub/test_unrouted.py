"""Messages that no signal route is for: who gets them, which client ids they may name, and what the log tells."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeTransport, connect, connected, new_signals, turn
from twisted.logger import LogLevel, capturedLogs, formatEvent

from pode_signals import BroadcastLevel, Signals, Unrouted
from pode_signals.hub.connection import ConnectionState

SECRET = "a secret of thirty-two bytes or so"


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


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
            "there is no signal route for /mesage, so its messages go to the clients that they name, or to everybody"
            " (unrouted=broadcast); did you mean /message?"
        ]

    def test_nothing_near(self) -> None:
        """S5.4: no route is guessed that is not near."""
        signals = new_signals(unrouted="drop")
        signals.add_route("/message", lambda event: None)
        assert self.lines(signals, "/x") == [
            "there is no signal route for /x, so its messages are dropped (unrouted=drop)"
        ]

    def test_without_any_route(self) -> None:
        """S5.4: a program without signal routes means it."""
        assert self.lines(new_signals(), "/x") == []

    def test_many_paths(self) -> None:
        """S5.4: paths that clients choose do not fill the memory."""
        signals = new_signals()
        signals.add_route("/message", lambda event: None)
        assert self.lines(signals, "/" + "x" * 256) == []
        told = []
        for start in range(0, 150, 10):
            told += self.lines(signals, *(f"/{number}" for number in range(start, start + 10)))
            # The log has no more than ten such lines in a minute.
            turn(signals, seconds=61)
        assert len(told) == 100
