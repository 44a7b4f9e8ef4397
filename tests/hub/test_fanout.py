from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from fakes import Close, FakeTransport, connect, connected, new_signals, timers, turn
from twisted.logger import capturedLogs

from pode_signals import EVERY_NAME, Signals
from pode_signals.core.model import ClosedBy
from pode_signals.hub.connection import ConnectionState
from pode_signals.hub.draining import send_away


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


class Mixture:
    """Random steps, and what each client has to get of them.

    Attributes:
        expected: by client, in order.
    """

    def __init__(self, signals: Signals, random: Random) -> None:
        self.expected: dict[FakeTransport, list[Any]] = {}
        self._signals = signals
        self._random = random

    def step(self, text: str) -> None:
        """Do one thing; what it sends, if anything, is this text."""
        steps = [self.join, self.leave, self.send_to_one, self.send_to_some, self.turn, self.regroup]
        steps += [self.broadcast] * 4
        here = [each for each in self.expected if each.connection.state is ConnectionState.OPEN]
        self._random.choice(steps)(text, here)

    def join(self, text: str, _here: list[FakeTransport]) -> None:
        name, group = self._random.choice(["A", "B"]), self._random.choice([None, "g", "h", ["h", "g"]])
        self.expected[connect(self._signals, name, group=group, client_id=text)] = []

    def regroup(self, _text: str, here: list[FakeTransport]) -> None:
        for one in self._random.sample(here, min(3, len(here))):
            group = self._random.choice("gh")
            change = one.connection.leave if group in one.connection.groups else one.connection.join
            change(group)

    def leave(self, _text: str, here: list[FakeTransport]) -> None:
        if len(here) < 4:
            return
        gone = self._random.choice(here)
        if self._random.random() < 0.5:
            gone.connection.close(4000)
            self.expected[gone].append(Close(4000))
        else:
            turn(self._signals)  # what this turn has for it would be lost with it
            gone.vanishes()

    def send_to_one(self, text: str, here: list[FakeTransport]) -> None:
        for one in self._random.sample(here, min(1, len(here))):
            one.connection.send(text)
            self.expected[one].append(text)

    def send_to_some(self, text: str, here: list[FakeTransport]) -> None:
        some = self._random.sample(here, min(3, len(here)))
        if some:
            self._signals.send(text, name=EVERY_NAME, client_id=[each.client_id for each in some])
        for each in some:
            self.expected[each].append(text)

    def turn(self, _text: str, _here: list[FakeTransport]) -> None:
        turn(self._signals)

    def broadcast(self, text: str, here: list[FakeTransport]) -> None:
        names = self._random.choice([["A"], ["B"], ["B", "A"], None])
        groups = self._random.choice([[], [], ["g"], ["h", "g"]])
        left_out = [
            each.client_id for each in self._random.sample(here, min(self._random.choice([0, 0, 2]), len(here)))
        ]
        self._signals.send(text, name=EVERY_NAME if names is None else names, group=groups, exclude=left_out)
        for each in here:
            connection = each.connection
            if (names is None or connection.name in names) and connection.client_id not in left_out:
                if not groups or set(connection.groups) & set(groups):
                    self.expected[each].append(text)


class TestOrder:
    def test_mixed_sends_of_one_turn(self, signals: Signals) -> None:
        """S4.6: broadcasts, groups, single clients, joins and leaves in one turn arrive in the order of sending."""
        red = connected(signals, group="red", client_id="red")
        red_too = connected(signals, group="red", client_id="red too")
        blue = connected(signals, group="blue", client_id="blue")
        signals.send("1 all", name="Msg")
        signals.send("2 red", name="Msg", group="red")
        signals.send("3 blue", name="Msg", client_id="blue")
        signals.send("4 all", name="Msg")
        late = connect(signals, client_id="late")
        signals.send("5 all", name="Msg")
        red_too.connection.send("6 red too")
        red_too.vanishes()
        signals.send("7 red", name="Msg", group=["red"])
        signals.send("8 all", name=EVERY_NAME)
        turn(signals)
        assert red.got == ["1 all", "2 red", "4 all", "5 all", "7 red", "8 all"]
        assert red_too.got == ["1 all", "2 red", "4 all", "5 all", "6 red too"]
        assert blue.got == ["1 all", "3 blue", "4 all", "5 all", "8 all"]
        assert late.got == ["5 all", "8 all"]

    def test_one_who_comes_gets_nothing_from_before(self, signals: Signals) -> None:
        """S4.6: a connection that joins in the turn of a broadcast does not get what was sent before it joined."""
        connected(signals)
        connected(signals)
        signals.send("before", name="Msg")
        late = connect(signals)
        turn(signals)
        assert late.got == []

    @pytest.mark.parametrize("count", [1, 2])
    @pytest.mark.parametrize("close", ["connection", "signals", "client", "replaced", "shutdown"])
    def test_close_right_after_send(self, signals: Signals, count: int, close: str) -> None:
        """S4.6: what was sent before a close in the same turn goes out before the close frame, and nothing after it."""
        clients = [connected(signals, client_id=number) for number in range(count)]
        first = clients[0]
        signals.send("before", name="Msg")
        ways: dict[str, Callable[[], Any]] = {
            "connection": first.connection.close,
            "signals": lambda: signals.close("Msg", client_id=0),
            "client": first.closes,
            "replaced": lambda: connect(signals, client_id=0),
            "shutdown": lambda: send_away(first.link),
        }
        ways[close]()
        signals.send("after", name="Msg")
        signals.send("after", name="Msg", client_id=0)
        first.connection.send("after")
        turn(signals)
        codes = {"client": [], "replaced": [4409], "shutdown": [1001]}.get(close, [1000])
        assert [getattr(item, "code", item) for item in first.got] == ["before", *codes]
        assert all(other.got == ["before", "after"] for other in clients[1:])

    @pytest.mark.parametrize("seed", range(20))
    def test_any_mixture(self, signals: Signals, seed: int) -> None:
        """S4.6: whatever is sent, in whatever mixture with joins, closes, turns and changes of groups: each gets its
        own, in order.
        """
        mixture = Mixture(signals, Random(seed))
        for number in range(400):
            mixture.step(str(number))
        turn(signals)
        assert len(mixture.expected) > 20
        for client, texts in mixture.expected.items():
            assert client.got == texts

    def test_much_in_one_turn(self, signals: Signals) -> None:
        """S4.6: more than one turn may collect goes out early, in order and once."""
        clients = [connected(signals), connected(signals)]
        texts = [f"{number} " + "x" * 60_000 for number in range(20)]
        for text in texts:
            signals.send(text, name="Msg")
        assert clients[0].got
        turn(signals)
        assert all(client.got == texts for client in clients)

    def test_sizes(self, signals: Signals) -> None:
        """S4.6: a message is delivered whole, whatever its size."""
        clients = [connected(signals), connected(signals)]
        texts = ["x" * size for size in (1, 125, 126, 127, 65_535, 65_536, 1_000_000)]
        for text in texts:
            signals.send(text, name="Msg")
        turn(signals)
        assert all(client.got == texts for client in clients)

    def test_names_do_not_wait_for_each_other(self, signals: Signals) -> None:
        """S4.6: what one name collected is not lost or repeated when another is written at once."""
        clients = [connected(signals, name) for name in ("A", "A", "B", "B")]
        signals.send("a", name="A")
        signals.send("b", name="B")
        signals.send("a1", name="A", client_id=clients[0].client_id)
        assert [client.got for client in clients] == [["a", "a1"], ["a"], [], []]
        turn(signals)
        assert [client.got for client in clients] == [["a", "a1"], ["a"], ["b"], ["b"]]

    def test_frames_of_a_turn_are_joined(self, signals: Signals) -> None:
        """S4.5: what one turn sends to the same audience is one write to each."""
        clients = [connected(signals), connected(signals)]
        for number in range(10):
            signals.send(number, name="Msg")
        turn(signals)
        assert [len(client.written) for client in clients] == [1, 1]


class TestFailures:
    def test_isolation(self, signals: Signals) -> None:
        """S4.5: 100 connections, one whose delivery raises, 10,000 messages: the other 99 have all, in order."""
        clients = [connect(signals, client_id=number) for number in range(100)]
        turn(signals)
        bad, others = clients[57], clients[:57] + clients[58:]
        bad.raises = RuntimeError("broken wire")
        for number in range(10_000):
            signals.send(str(number), name="Msg")
            if number % 50 == 0:
                turn(signals)
        turn(signals)
        assert others[0].got == [str(number) for number in range(10_000)]
        wires = {b"".join(client.written) for client in others}  # type: ignore[arg-type]
        assert len(wires) == 1
        assert bad.got == []

    @pytest.mark.parametrize("at_once", [False, True])
    @pytest.mark.parametrize("count", [1, 2])
    def test_a_wire_that_raises_ends_its_connection(self, signals: Signals, count: int, at_once: bool) -> None:
        """S4.5: a recipient whose wire raises is given up, logged, and ends once, as an error."""
        ended: list[Any] = []
        signals.on_disconnect("Msg")(lambda event: ended.append(event.connection))
        bad, *others = [connected(signals, client_id=number, at_once=at_once) for number in range(count)]
        bad.raises = RuntimeError("broken wire")
        with capturedLogs() as logs:
            signals.send("x", name="Msg")
            turn(signals)
        failures = [event["log_failure"] for event in logs if "log_failure" in event]
        assert [str(failure.value) for failure in failures] == ["broken wire"]
        assert (bad.aborts, ended, bad.connection.state) == (1, [bad.connection], ConnectionState.CLOSED)
        assert bad.connection.closure is not None
        assert (bad.connection.closure.code, bad.connection.closure.by) == (1006, ClosedBy.ERROR)
        assert (signals.count("Msg"), len(signals.open_connections())) == (len(others), len(others))
        assert all(other.got == ["x"] for other in others)
        assert timers(signals) == []

    def test_all_raise(self, signals: Signals) -> None:
        """S4.5: a send to nothing but broken wires raises nothing."""
        clients = [connected(signals) for _ in range(3)]
        for client in clients:
            client.raises = OSError()
        with capturedLogs():
            signals.send("x", name="Msg")
            turn(signals)
        assert (signals.names(), signals.open_connections()) == ((), ())

    @pytest.mark.parametrize("at_once", [False, True])
    def test_a_wire_that_raises_while_it_is_closed(self, signals: Signals, at_once: bool) -> None:
        """S9.3: a wire that raises for what goes out before the close frame: one Disconnect, no error of close."""
        ended: list[Any] = []
        signals.on_disconnect("Msg")(ended.append)
        bad, other = connected(signals, at_once=at_once), connected(signals)
        bad.raises = OSError()
        signals.send("x", name="Msg")
        with capturedLogs():
            signals.close("Msg")
            turn(signals)
        assert bad.connection.state is ConnectionState.CLOSED
        assert other.got == ["x", Close(1000)]
        assert len(ended) == 2
        assert timers(signals) == []

    @pytest.mark.parametrize("at_once", [False, True])
    def test_a_wire_that_raises_while_it_is_lost(self, signals: Signals, at_once: bool) -> None:
        """S9.3: a wire that raises for what is written while its loss is reported: still one Disconnect."""
        ended: list[Any] = []
        signals.on_disconnect("Msg")(ended.append)
        bad, other = connected(signals, at_once=at_once), connected(signals)
        bad.raises = OSError()
        signals.send("x", name="Msg")
        with capturedLogs():
            bad.vanishes()
            turn(signals)
        assert len(ended) == 1
        assert (other.got, signals.open_connections()) == (["x"], (other.connection,))
        assert timers(signals) == []

    def test_a_close_frame_that_raises(self, signals: Signals) -> None:
        """S10.2: a connection whose close frame can't be written is dropped; the others are closed all the same."""
        clients = [connected(signals) for _ in range(3)]
        clients[0].close_raises = OSError()
        with capturedLogs() as logs:
            signals.close("Msg")
            turn(signals)
        assert [client.got for client in clients] == [[], [Close(1000)], [Close(1000)]]
        assert clients[0].aborts == 1
        assert signals.open_connections() == ()
        assert len([event for event in logs if "log_failure" in event]) == 1

    def test_a_newcomer_does_not_suffer(self, signals: Signals) -> None:
        """S2.4: a replaced connection whose wire is broken does not keep the newcomer out."""
        old = connected(signals, client_id="1")
        old.close_raises = OSError()
        with capturedLogs():
            new = connected(signals, client_id="1")
        assert signals.connection("Msg", "1") is new.connection
        assert old.connection.state is ConnectionState.CLOSED
