"""Clients that come back to another node."""

from __future__ import annotations

from typing import Any

import pytest
from backplane.machines import NIGHTLY
from dialogues import Talker
from hypothesis import given, settings
from hypothesis import strategies as st
from nodes import Nodes
from twisted.internet.defer import fail
from twisted.logger import capturedLogs
from web_fakes import failures_in

from pode_signals.core.history import HistoryLimits
from pode_signals.errors import BackplaneUnavailable, UnknownHistory
from pode_signals.signals import hub_of


def logged(count: int = 2, **settings: Any) -> Nodes:
    """Nodes whose name Room keeps a history."""
    nodes = Nodes(count, **settings)
    for signals in nodes:
        signals.keep_history("Room")
    nodes.turn()
    return nodes


def send(nodes: Nodes, text: str, number: int = 0, **more: Any) -> None:
    nodes.signals[number].send(text, name="Room", **more)
    nodes.turn()


def join(nodes: Nodes, talker: Talker, group: str) -> None:
    talker.says(type="send", message={"join": group})
    nodes.turn()


def leave(nodes: Nodes, talker: Talker, group: str) -> None:
    talker.says(type="send", message={"leave": group})
    nodes.turn()


def cut(nodes: Nodes, talker: Talker) -> str:
    """Cut a client off, and give what it offers next."""
    place = talker.place
    talker.cut()
    nodes.turn()
    return place


# Who the client is, and what it has missed.


def test_what_was_missed() -> None:
    """P36, S17.1: a client that comes back to another node is the same client and gets what it has missed, once."""
    nodes = logged()
    old = nodes.talk(0)
    send(nodes, "1")
    place = cut(nodes, old)
    send(nodes, "2", 1)
    send(nodes, "3")
    new = nodes.talk(1, resume=place)
    hello = new.hello()
    assert (hello["recovered"], hello["clientId"]) == (True, old.connection.client_id)
    assert new.signals() == ["2", "3"]
    assert new.all[-1]["type"] == "beat"
    send(nodes, "4")
    assert new.signals() == ["4"]


def test_a_half_open_connection_on_another_node() -> None:
    """P50, S17.1: the half-open older connection on another node ends with 4409."""
    nodes = logged()
    old = nodes.talk(0)
    new = nodes.talk(1, resume=old.place)
    assert old.closed == (4409, "replaced by a newer connection")
    assert new.hello()["recovered"]


def test_groups_come_back() -> None:
    """P47, S17.1: joined groups come back on another node, and what was sent to them meanwhile is replayed."""
    nodes = logged()
    old = nodes.talk(0, "/room?group=red")
    join(nodes, old, "blue")
    place = cut(nodes, old)
    send(nodes, "for blue", group="blue")
    send(nodes, "for green", group="green")
    new = nodes.talk(1, "/room?group=red", place)
    hello = new.hello()
    assert (hello["recovered"], hello["groups"]) == (True, ["red", "blue"])
    assert new.signals() == ["for blue"]
    send(nodes, "live", group="blue")
    assert new.signals() == ["live"]
    members = nodes.settled(nodes.signals[0].presence("Room", "blue"))
    assert [each.client_id for each in members] == [new.connection.client_id]
    assert new.connection.groups == ("red", "blue")


def test_without_a_history() -> None:
    """P47, S17.1: where a name keeps no history, groups come back as well."""
    nodes = Nodes(2)
    old = nodes.talk(0)
    join(nodes, old, "blue")
    new = nodes.talk(1, resume=cut(nodes, old))
    hello = new.hello()
    assert hello["groups"] == ["blue"]
    send(nodes, "live", group="blue")
    assert new.signals() == ["live"]


def test_a_group_that_was_left_stays_left() -> None:
    """P47, S17.1: no token from before a leave brings a group back, on any node, and the client is told."""
    nodes = logged(3)
    old = nodes.talk(0)
    join(nodes, old, "blue")
    place = old.place
    leave(nodes, old, "blue")
    cut(nodes, old)
    for number in (1, 0, 2):
        new = nodes.talk(number, resume=place)
        hello = new.hello()
        assert (hello["recovered"], hello["groups"]) == (False, [])
        cut(nodes, new)


def test_a_group_that_was_joined_after_a_leave() -> None:
    """P47, S17.1: a token from after a leave brings the groups back that it names, also on a third node."""
    nodes = logged(3)
    talker = nodes.talk(0)
    join(nodes, talker, "blue")
    leave(nodes, talker, "blue")
    join(nodes, talker, "green")
    for number in (1, 2, 0):
        talker = nodes.talk(number, resume=cut(nodes, talker))
        assert talker.all[0]["groups"] == ["green"]
        assert talker.all[0]["recovered"]


def test_a_client_that_was_sent_away() -> None:
    """P47, S17.1: groups of a client that was closed for good come back on no node."""
    nodes = logged()
    old = nodes.talk(0)
    join(nodes, old, "blue")
    place = old.place
    nodes.settled(nodes.signals[1].close("Room", code=4000))
    hello = nodes.talk(1, resume=place).hello()
    assert (hello["recovered"], hello["groups"]) == (False, [])


def test_too_many_groups() -> None:
    """P47: groups that are too many together with those of ``convert`` do not come back."""
    nodes = logged(max_groups=2)
    old = nodes.talk(0)
    join(nodes, old, "1")
    join(nodes, old, "2")
    hello = nodes.talk(1, "/room?group=3", cut(nodes, old)).hello()
    assert (hello["recovered"], hello["groups"]) == (False, ["3"])


def test_the_store_is_away() -> None:
    """S17.3: where nobody says in 2 seconds whether groups hold, none comes back, and the client is told."""
    nodes = logged()
    old = nodes.talk(0)
    join(nodes, old, "blue")
    place = cut(nodes, old)
    nodes.backplanes[1].cut()
    new = nodes.talk(1, resume=place)
    nodes.turn(1.9)
    assert new.frames() == []
    nodes.turn(0.2)
    hello = new.hello()
    assert (hello["recovered"], hello["groups"], "offset" in hello) == (False, [], True)


@pytest.mark.parametrize("answers", [0, 1])
def test_the_log_goes_away(answers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.3: where the log goes away before a client has what it missed, it is told, or closed and comes again; the log
    of the program has no traceback, and does not say that the client is slow.
    """
    nodes = logged()
    old = nodes.talk(0)
    place = cut(nodes, old)
    for number in range(100):
        send(nodes, str(number))
    history = nodes.backplanes[1].history
    missed, left = history.missed, [True] * answers

    def missed_or_away(*asked: Any) -> Any:
        return missed(*asked) if left and left.pop() else fail(BackplaneUnavailable("away"))

    monkeypatch.setattr(history, "missed", missed_or_away)
    with capturedLogs() as logs:
        new = nodes.talk(1, resume=place)
        nodes.turn(2.1)
    assert [each["log_format"] for each in logs] == []
    if answers:
        assert new.closed == (4008, "the replay took too long")
        # It comes again, with what it has by then.
        monkeypatch.undo()
        assert len(new.signals()) + len(nodes.talk(1, resume=new.place).signals()) == 100
    else:
        assert new.hello()["recovered"] is False


def test_a_leave_while_the_store_is_away() -> None:
    """S17.3: a group that was left while the store was away stays left: here at once, elsewhere once it is back."""
    nodes = logged()
    old = nodes.talk(0)
    join(nodes, old, "blue")
    place = old.place
    nodes.backplanes[0].cut()
    leave(nodes, old, "blue")
    leave(nodes, old, "blue")
    cut(nodes, old)
    nodes.turn(3)
    nodes.backplanes[0].mend()
    nodes.turn(0.5)
    here = nodes.talk(0, resume=place)
    assert here.hello()["groups"] == []
    cut(nodes, here)
    nodes.turn(5)
    hello = nodes.talk(1, resume=place).hello()
    assert (hello["recovered"], hello["groups"]) == (False, [])
    assert hub_of(nodes.signals[0]).resumes.shared._pending == {}  # type: ignore[union-attr]


def test_a_version_that_nobody_needs_any_more() -> None:
    """S17.3: a version that the store does not take is given up when no older token is good any more."""
    nodes = logged(1, resume_token_seconds=20)
    talker = nodes.talk(0)
    join(nodes, talker, "blue")
    nodes.backplanes[0].cut()
    leave(nodes, talker, "blue")
    shared = hub_of(nodes.signals[0]).resumes.shared
    assert shared is not None
    nodes.turn(15)
    assert len(shared._pending) == 1
    nodes.turn(15)
    assert shared._pending == {}


def test_most_versions(monkeypatch: Any) -> None:
    """S17.1: a node remembers a bounded number of versions."""
    monkeypatch.setattr("pode_signals.hub.shared_versions.MOST_CLIENT_VERSIONS", 3)
    nodes = Nodes(1)
    shared = hub_of(nodes.signals[0]).resumes.shared
    assert shared is not None
    for number in range(5):
        shared.left("Room", str(number))
    assert [shared.version("Room", str(number)) > 0 for number in range(5)] == [False, False, True, True, True]


def test_one_generation() -> None:
    """P47, S17.1: all nodes have one generation; where the store lost it no group comes back, tokens are new."""
    nodes = logged()
    shared = [hub_of(each).resumes.shared for each in nodes]
    assert shared[0] is not None
    assert shared[1] is not None
    assert shared[0].generation == shared[1].generation
    old, other = nodes.talk(0), nodes.talk(1)
    join(nodes, old, "blue")
    join(nodes, other, "blue")
    place, before = cut(nodes, old), other.all[-1]["resumeToken"]
    nodes.cluster.values = type(nodes.cluster.values)(1 << 20)
    new = nodes.talk(1, resume=place)
    assert (new.hello()["recovered"], new.connection.groups) == (False, ())
    nodes.turn(62)
    assert other.all[-1]["resumeToken"] != before
    assert nodes.talk(0, resume=cut(nodes, other)).hello()["groups"] == ["blue"]
    assert shared[0].generation == shared[1].generation


def test_a_generation_that_no_node_has_made() -> None:
    """P47, S17.1: what somebody writes into the store in place of the generation gives no client a group."""
    nodes = logged()
    old = nodes.talk(0)
    for written in (b"000000000000\n0\n\n\nred", b"\xff", b""):
        join(nodes, old, "blue")
        nodes.cluster.values.put("generation", written, 1e6, nodes.cluster.clock.seconds())
        old = nodes.talk(1, resume=cut(nodes, old))
        nodes.turn(62)
        place = cut(nodes, old)
        nodes.cluster.values.put("generation", b"000000000000", 1e6, nodes.cluster.clock.seconds())
        old = nodes.talk(0, resume=place)
        assert "red" not in old.connection.groups
        nodes.turn(62)


def test_a_defect_of_the_store() -> None:
    """S17.3: a store that fails otherwise is told in the log; groups do not come back."""
    nodes = logged()
    old = nodes.talk(0)
    join(nodes, old, "blue")
    place = cut(nodes, old)
    nodes.backplanes[1].recall = lambda _key: fail(OSError("a defect"))  # type: ignore[method-assign]
    with capturedLogs() as logs:
        hello = nodes.talk(1, resume=place).hello()
    assert (hello["recovered"], hello["groups"]) == (False, [])
    assert [str(each.value) for each in failures_in(logs)] == ["a defect"]


# What comes while other nodes are asked.


def test_what_is_sent_before_hello() -> None:
    """P44, S17.1: what is sent while other nodes are asked comes once and in order, behind the replay."""
    nodes = logged()
    old = nodes.talk(0)
    join(nodes, old, "blue")
    place = cut(nodes, old)
    send(nodes, "1", group="blue")
    nodes.backplanes[1].answers.is_held = True
    new = nodes.talk(1, resume=place)
    send(nodes, "2", group="blue")
    send(nodes, "3")
    new.connection.send("alone")
    assert new.frames() == []
    nodes.backplanes[1].answers.release()
    send(nodes, "4")
    assert new.hello()["recovered"]
    assert new.signals() == ["1", "2", "3", "alone", "4"]
    assert not hub_of(nodes.signals[1]).histories.withheld.names


def test_one_that_leaves_before_hello() -> None:
    """S17.3: a client that goes while other nodes are asked leaves nothing behind."""
    nodes = logged()
    old = nodes.talk(0)
    join(nodes, old, "blue")
    place = cut(nodes, old)
    nodes.backplanes[1].answers.is_held = True
    new = nodes.talk(1, resume=place)
    new.cut()
    nodes.turn()
    nodes.backplanes[1].answers.release()
    nodes.turn(10)
    hub = hub_of(nodes.signals[1])
    assert (hub.fan_out.held, hub.fan_out.congested, hub.histories.withheld.names) == ({}, set(), {})
    assert (hub.capacity.links, hub.capacity.lingering) == ({}, set())
    assert hub.registry.count() == 0


# A node that lags behind its client.


def lagging(nodes: Nodes) -> Talker:
    """A client that has seen three messages of which its new node has only the first."""
    old = nodes.talk(0)
    send(nodes, "1")
    nodes.backplanes[1].messages.is_held = True
    send(nodes, "2")
    send(nodes, "3")
    new = nodes.talk(1, resume=cut(nodes, old))
    hello = new.hello()
    assert (hello["recovered"], hello["offset"]) == (True, old.all[-1]["offset"])
    return new


def test_a_node_that_lags_behind() -> None:
    """P44: a client that is ahead of its node recovers at once, and gets nothing that it has, and all that is new."""
    nodes = logged()
    new = lagging(nodes)
    send(nodes, "4")
    nodes.backplanes[1].messages.release()
    nodes.turn()
    assert new.signals() == ["4"]
    assert not hub_of(nodes.signals[1]).histories.withheld.names
    assert nodes.signals[1].counters.resumes == {"recovered": 1}


def test_beats_of_a_node_that_lags_behind() -> None:
    """P65: a beat, and another hello, of a node that lags behind has the client's own position."""
    nodes = logged()
    new = lagging(nodes)
    ahead = new.all[-1]["offset"]
    hub = hub_of(nodes.signals[1])
    hub.continuity.beat(new.connection._link)
    join(nodes, new, "red")
    assert [each["offset"] for each in new.frames() if "offset" in each] == [ahead, ahead]
    nodes.backplanes[1].messages.release()
    hub.continuity.beat(new.connection._link)
    assert new.frames()[-1]["offset"] == ahead


def test_others_of_a_node_that_lags_behind() -> None:
    """P44: other clients of that node get what the client has already."""
    nodes = logged()
    other = nodes.talk(1)
    new = lagging(nodes)
    other.frames()
    nodes.backplanes[1].messages.release()
    nodes.turn()
    assert (other.signals(), new.signals()) == (["2", "3"], [])


def test_one_that_leaves_a_node_that_lags_behind() -> None:
    """P44: nothing is kept of a client that leaves while it is ahead."""
    nodes = logged()
    lagging(nodes).cut()
    nodes.turn()
    assert not hub_of(nodes.signals[1]).histories.withheld.names


def test_a_break_while_the_client_is_ahead() -> None:
    """P56: where the log breaks while a client is ahead, it is told, and gets all of the new log."""
    nodes = logged()
    new = lagging(nodes)
    nodes.cluster.break_log("Room", HistoryLimits())
    send(nodes, "4")
    nodes.backplanes[1].messages.release()
    nodes.turn()
    assert [(each["type"], each.get("recovered"), each.get("data")) for each in new.frames()] == [
        ("hello", False, None),
        ("signal", None, "4"),
    ]


# A node that does not know its own position.


def test_hello_waits_for_the_position() -> None:
    """S17.1: hello waits until the node knows its position in the log."""
    nodes = Nodes(2)
    nodes.signals[1].keep_history("Room")
    nodes.backplanes[0].answers.is_held = True
    nodes.signals[0].keep_history("Room")
    talker = nodes.talk(0)
    nodes.turn(1)
    assert talker.frames() == []
    nodes.backplanes[0].answers.release()
    nodes.turn()
    (hello,) = talker.frames()
    assert (hello["recovered"], "offset" in hello) == (False, True)


def test_a_position_that_comes_late() -> None:
    """S17.3: after 2 seconds hello comes without a position; once the node has one, another hello tells of a loss."""
    nodes = Nodes(2)
    nodes.backplanes[0].cut()
    nodes.signals[0].keep_history("Room")
    talker = nodes.talk(0)
    nodes.turn(2.1)
    (hello,) = talker.frames()
    assert (hello["recovered"], "offset" in hello) == (False, False)
    late = nodes.talk(0)
    nodes.backplanes[0].mend()
    nodes.turn()
    (hello,) = talker.frames()
    assert (hello["recovered"], "offset" in hello) == (False, True)
    assert [each["type"] for each in late.frames()] == ["hello"]
    send(nodes, "1")
    assert (talker.signals(), late.signals()) == (["1"], ["1"])


def test_a_position_that_is_asked_for() -> None:
    """S17.1: ``signals.position`` waits until the node knows its position, 2 seconds at most."""
    nodes = Nodes(1)
    signals = nodes.signals[0]
    with pytest.raises(UnknownHistory):
        nodes.settled(signals.position("Room"))
    signals.keep_history("Room")
    assert nodes.settled(signals.position("Room")).endswith(".0-0")
    nodes.backplanes[0].cut()
    signals.keep_history(["Hall", "Yard"])
    asked, forgotten = signals.position("Hall"), signals.position("Yard")
    signals.forget_history("Yard")
    with pytest.raises(UnknownHistory):
        nodes.settled(forgotten)
    nodes.turn(2)
    with pytest.raises(BackplaneUnavailable):
        nodes.settled(asked)


def test_a_history_that_begins_with_clients() -> None:
    """S17.1: clients that are there when a history begins are told its position once the node knows it."""
    nodes = Nodes(1)
    talker = nodes.talk(0)
    talker.frames()
    nodes.signals[0].keep_history("Room")
    nodes.turn()
    (hello,) = talker.frames()
    assert (hello["recovered"], "offset" in hello) == (False, True)
    nodes.signals[0].keep_history("Room", messages=5)
    nodes.turn()
    assert talker.frames() == []


# All of it together.


class Hopper:
    """A client that hops between two nodes, and what has to come of that.

    Attributes:
        order: the messages in the order of the log.
    """

    def __init__(self) -> None:
        self.nodes = logged(2)
        self.number = 0
        self.sent = 0
        self.order: list[int] = []
        self.nodes.cluster.logs = lambda signal: self.order.append(int(signal.data))
        self.talker = self.nodes.talk(0)
        join(self.nodes, self.talker, "blue")
        self.read = 0
        # How many messages the client has or was told to have lost, and whether it was told that it may lose some.
        self.seen = 0
        self.may_lose = False
        self.in_blue = True
        self.place = self.talker.place

    def send(self, number: int, *, group: str | None) -> None:
        self.sent += 1
        self.nodes.signals[number].send(self.sent, name="Room", group=group)

    def hop(self, number: int) -> None:
        # A connection that had no hello changes nothing of what the client knows.
        if self.talker.all:
            self.place = self.talker.place
        self.talker.cut()
        self.number = number
        self.talker, self.read = Talker(self.nodes.worlds[number], "/room", self.place), 0

    def breaks(self) -> None:
        self.nodes.cluster.break_log("Room", HistoryLimits())

    def beat(self) -> None:
        hub_of(self.nodes.signals[self.number]).continuity.beat(self.talker.connection._link)

    def check(self) -> None:
        for each in self.talker.all[self.read :]:
            if each["type"] == "hello":
                self.may_lose = self.may_lose or not each["recovered"]
                self.in_blue = "blue" in each["groups"]
            elif each["type"] == "signal":
                place = self.order.index(each["data"])
                # A client that is told of a loss begins anew, and may get again what it had.
                assert self.may_lose or place >= self.seen, "it came twice, or out of order"
                assert self.may_lose or place == self.seen, "one was lost"
                # What goes to a group that it is not in any more is not for it.
                self.seen, self.may_lose = place + 1, not self.in_blue
        self.read = len(self.talker.all)

    def end(self) -> None:
        for node in self.nodes.backplanes:
            node.messages.release()
            node.answers.release()
        self.nodes.turn(10)
        self.check()
        assert self.may_lose or self.seen == self.sent
        assert not hub_of(self.nodes.signals[self.number]).histories.withheld.names


STEPS = ("send", "send", "group", "hop", "hop", "wait", "late", "hold", "release", "beat", "break")


@settings(settings() if NIGHTLY else settings(max_examples=40), deadline=None)
@given(st.data())
def test_never_lost_silently(data: st.DataObject) -> None:
    """S17.2: over any hops, delays and breaks a client gets each message once and in order, or is told of a loss."""
    hopper = Hopper()
    for step in data.draw(st.lists(st.sampled_from(STEPS), min_size=3, max_size=20)):
        number = data.draw(st.integers(0, 1))
        node = hopper.nodes.backplanes[number]
        if step in ("send", "group"):
            hopper.send(number, group="blue" if step == "group" else None)
        elif step == "hop":
            hopper.hop(number)
        elif step == "wait":
            hopper.nodes.turn(data.draw(st.sampled_from([0.0, 0.2, 1.0, 3.0])))
        elif step == "late":
            node.answers.late_seconds, node.messages.late_seconds = data.draw(st.tuples(LATE, LATE))
        elif step == "hold":
            node.messages.is_held = True
        elif step == "release":
            node.messages.release()
        elif step == "beat":
            hopper.beat()
        else:
            hopper.breaks()
        hopper.check()
    hopper.end()


LATE = st.sampled_from([0.0, 0.3, 1.5])
