"""Connections that are in several groups, and that join and leave groups."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
from fakes import Close, FakeTransport, connect, connected, new_signals, turn

from pode_signals import BroadcastLevel, Scope, Signals
from pode_signals.errors import BroadcastRefused, NameInvalid
from pode_signals.hub.link import Link
from pode_signals.signals import hub_of


@pytest.fixture
def signals() -> Signals:
    """Signals with a clock that stands still."""
    return new_signals()


@pytest.fixture
def red(signals: Signals) -> list[FakeTransport]:
    """Two connections of a group, so that what is sent to the group waits for the end of the turn."""
    return [connected(signals, group="red", client_id=f"red {number}") for number in range(2)]


class TestWhoGetsIt:
    def test_joining(self, signals: Signals, red: list[FakeTransport]) -> None:
        """P89: one that joins a group gets what is sent to the group from then on, and stays in its other groups."""
        late = connected(signals, group="blue", client_id="late")
        signals.send("1 red", name="Msg", group="red")
        late.connection.join("red")
        signals.send("2 red", name="Msg", group="red")
        signals.send("3 blue", name="Msg", group="blue")
        turn(signals)
        assert late.connection.groups == ("blue", "red")
        assert late.got == ["2 red", "3 blue"]
        assert [each.got for each in red] == [["1 red", "2 red"]] * 2

    def test_leaving(self, signals: Signals, red: list[FakeTransport]) -> None:
        """P89: one that leaves a group gets what was sent to the group before, and nothing that is sent later."""
        signals.send("1 red", name="Msg", group="red")
        red[0].connection.leave("red")
        signals.send("2 red", name="Msg", group="red")
        signals.send("3 all", name="Msg")
        turn(signals)
        assert red[0].got == ["1 red", "3 all"]
        assert red[1].got == ["1 red", "2 red", "3 all"]

    def test_leaving_and_joining_again(self, signals: Signals, red: list[FakeTransport]) -> None:
        """P89: one that leaves a group and joins it again in a turn misses what was sent to the group in between."""
        for text, change in (("1", red[0].connection.leave), ("2", red[0].connection.join), ("3", lambda _: None)):
            signals.send(text, name="Msg", group="red")
            change("red")
        turn(signals)
        assert [each.got for each in red] == [["1", "3"], ["1", "2", "3"]]

    def test_in_two_groups_of_a_send(self, signals: Signals, red: list[FakeTransport]) -> None:
        """P89: one that is in two groups of a send gets the message once, and counts once."""
        blue = connected(signals, group=["blue", "red"], client_id="blue")
        red[1].connection.join("blue")
        for groups in (["red", "blue"], ["blue", "red"]):
            assert signals.send("x", name="Msg", group=groups).recipients == 3
        turn(signals)
        assert [each.got for each in (*red, blue)] == [["x", "x"]] * 3

    def test_a_local_connection(self, signals: Signals, red: list[FakeTransport]) -> None:
        """P89: a local connection has groups too, and no send to a group reaches it."""
        local = connected(signals, group="red", scope=Scope.LOCAL)
        local.connection.join("blue")
        local.connection.leave("red")
        assert local.connection.groups == ("blue",)
        assert signals.groups("Msg") == ("red",)
        assert signals.send("x", name="Msg", group=["red", "blue"]).recipients == 2
        turn(signals)
        assert local.got == []


class TestOrder:
    @pytest.mark.parametrize("change", ["join", "leave"])
    def test_what_was_sent_goes_out_first(self, signals: Signals, red: list[FakeTransport], change: str) -> None:
        """P89: what was sent to a name is written before one of its connections joins or leaves a group."""
        signals.send("before", name="Msg")
        assert red[0].got == []
        seen: list[Any] = []
        hub_of(signals).memberships.changed = lambda link: seen.append((link, link.groups, red[0].got))
        getattr(red[0].connection, change)("blue" if change == "join" else "red")
        groups = ("red", "blue") if change == "join" else ()
        assert seen == [(red[0].link, groups, ["before"])]
        assert red[1].got == ["before"]
        signals.send("after", name="Msg")
        turn(signals)
        assert [each.got for each in red] == [["before", "after"]] * 2

    @pytest.mark.parametrize("change", ["join", "leave"])
    def test_a_connection_that_ends_meanwhile(self, signals: Signals, red: list[FakeTransport], change: str) -> None:
        """P89: where the write of what was sent before ends the connection, nothing of it is left in any group."""
        told: list[Link] = []
        hub_of(signals).memberships.changed = told.append
        signals.send("before", name="Msg")
        red[0].raises = OSError("gone")
        getattr(red[0].connection, change)("blue" if change == "join" else "red")
        assert (signals.groups("Msg"), signals.client_ids("Msg", "red")) == (("red",), ("red 1",))
        assert (red[0].connection.groups, told) == (("red",), [])
        turn(signals)
        assert red[1].got == ["before"]


class TestWhoIsThere:
    def test_asking(self, signals: Signals) -> None:
        """S10.1: each of a connection's groups has it, as long as the connection is in the group."""
        several = connected(signals, group=["red", "blue"], client_id="several").connection
        other = connected(signals, group="blue", client_id="other").connection
        assert signals.groups("Msg") == ("red", "blue")
        other.join("red")
        assert signals.client_ids("Msg", "red") == ("several", "other")
        assert signals.connections("Msg", "blue") == (several, other)
        assert signals.has_client_id("Msg", "several", "blue")
        several.leave("blue")
        assert not signals.has_client_id("Msg", "several", "blue")
        assert signals.connections("Msg", "blue") == (other,)
        assert (signals.count("Msg"), signals.insight.number("pode_signals_groups")) == (2, 2)

    def test_nothing_is_left(self, signals: Signals) -> None:
        """S10.3: nothing is left of a group when its last connection leaves the group, or closes."""
        first, second = (connected(signals, group=["red", "blue"]).connection for _ in range(2))
        first.leave("red")
        second.leave("red")
        assert signals.groups("Msg") == ("blue",)
        second.leave("blue")
        first.close()
        assert signals.groups("Msg") == ()
        second.close()
        assert signals.names() == ()

    def test_the_first_group(self, signals: Signals) -> None:
        """P89: ``group`` is the first of a connection's groups, or None, and ``groups`` has the order of joining."""
        connection = connected(signals).connection
        assert (connection.group, connection.groups) == (None, ())
        for group in ("red", "blue", "green", "red"):
            connection.join(group)
        assert (connection.group, connection.groups) == ("red", ("red", "blue", "green"))
        connection.leave("red")
        assert (connection.group, connection.groups) == ("blue", ("blue", "green"))
        connection.join("red")
        assert connection.groups == ("blue", "green", "red")

    def test_closing_a_group(self, signals: Signals) -> None:
        """S10.2: closing two groups closes a connection that is in both of them once, and none that has left."""
        both = connected(signals, group=["red", "blue"])
        gone = connected(signals, group=["red"])
        gone.connection.leave("red")
        signals.close("Msg", group=["red", "blue"])
        assert (both.got, gone.got) == ([Close(1000)], [])

    def test_levels(self, signals: Signals) -> None:
        """S7.2: a level that asks for a group is content with any of a connection's groups."""
        signals.set_broadcast_level(BroadcastLevel.GROUP, name="Msg")
        client = connected(signals, group=["red", "blue"])
        with pytest.raises(BroadcastRefused):
            signals.send("x", name="Msg")
        signals.send("x", name="Msg", group="blue")
        assert client.got == ["x"]

    def test_at_its_end(self, signals: Signals) -> None:
        """S9.2: Disconnect functions see the groups that the connection was in at its end."""
        seen: list[tuple[str, ...]] = []
        signals.on_disconnect("Msg")(lambda event: seen.append(event.connection.groups))
        client = connected(signals, group=["red", "blue"])
        client.connection.leave("red")
        client.connection.close()
        turn(signals)
        assert seen == [("blue",)]


class TestRefusals:
    @pytest.mark.parametrize(
        "end",
        [lambda client: client.connection.close(), lambda client: client.vanishes(), lambda client: client.closes()],
    )
    def test_ended_connections(self, end: Callable[[FakeTransport], Any]) -> None:
        """P89: joining and leaving do nothing where the connection is closing or closed, not even at the limit."""
        signals = new_signals(max_groups=1)
        client = connected(signals, group="red", answers_close=False)
        others = [connected(signals), connected(signals)]
        end(client)
        signals.send("waits", name="Msg")
        client.connection.join("blue")
        client.connection.leave("red")
        assert client.connection.groups == ("red",)
        assert signals.groups("Msg") == ()
        assert [other.got for other in others] == [[], []]

    def test_nothing_to_do(self, signals: Signals, red: list[FakeTransport]) -> None:
        """P89: joining a group again, and leaving a group that the connection is not in, change and tell nothing."""
        told: list[Link] = []
        hub_of(signals).memberships.changed = told.append
        signals.send("waits", name="Msg")
        red[0].connection.join("red")
        red[0].connection.leave("blue")
        assert (red[0].connection.groups, told, red[0].got) == (("red",), [], [])
        assert signals.client_ids("Msg", "red") == ("red 0", "red 1")

    @pytest.mark.parametrize("group", ["", "x" * 129, "a\nb", "\ud800"])
    def test_bad_names(self, signals: Signals, group: str) -> None:
        """P89: a group that is joined or left has to be as convert takes it, else NameInvalid."""
        connection = connected(signals, group="red").connection
        for change in (connection.join, connection.leave):
            with pytest.raises(NameInvalid, match="group"):
                change(group)
        assert connection.groups == ("red",)

    @pytest.mark.parametrize("group", [None, 7, b"red", ["red"]])
    def test_other_types(self, signals: Signals, group: Any) -> None:
        """S20.1: join and leave take one text."""
        connection = connected(signals).connection
        for change in (connection.join, connection.leave):
            with pytest.raises(TypeError, match="the group has to be a str"):
                change(group)

    def test_too_many(self) -> None:
        """P89: a connection is in at most max_groups groups; one more is a ValueError, which changes nothing."""
        signals = new_signals(max_groups=2)
        connection = connected(signals, group=["red", "blue", "red"]).connection
        with pytest.raises(ValueError, match=r"^a connection may be in 2 groups at most \(max_groups\)$"):
            connection.join("green")
        assert (connection.groups, signals.groups("Msg")) == (("red", "blue"), ("red", "blue"))
        connection.join("red")
        connection.leave("red")
        connection.join("green")
        assert connection.groups == ("blue", "green")
        with pytest.raises(ValueError, match="max_groups"):
            connect(signals, "Other", group=["a", "b", "c"])
        assert (signals.names(), signals.counters.limits_hit) == (("Msg",), {"max_groups": 2})


def test_what_groups_take(signals: Signals) -> None:
    """S16.5: a connection in one group keeps the name of that group and no tuple; one in none keeps nothing."""
    joined = connected(signals)
    joined.connection.join("red")
    left = connected(signals, group=["blue", "red"])
    left.connection.leave("blue")
    converted = connected(signals, group="red")
    assert [client.connection.groups for client in (joined, left, converted)] == [("red",)] * 3
    for client in (joined, left, converted):
        assert ("red",) not in gc.get_referents(client.link)
    converted.connection.leave("red")
    assert converted.connection.groups is connected(signals).connection.groups
