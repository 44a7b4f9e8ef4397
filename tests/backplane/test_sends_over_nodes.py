"""Sends, closes and questions over several nodes."""

from __future__ import annotations

from typing import Any

import pytest
from dialogues import Talker
from nodes import Nodes
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs, formatEvent
from web_fakes import failures_in

from pode_signals import EVERY_NAME, Member
from pode_signals.core.history import HistoryLimits
from pode_signals.errors import BackplaneUnavailable, BroadcastRefused, HistoryUnavailable
from pode_signals.signals import hub_of


def data_of(talker: Talker) -> list[Any]:
    """The data of the signals that have come."""
    return talker.signals()


# Sends.


def test_a_live_send() -> None:
    """S17.1: a send reaches the clients of all nodes that match, here at once and elsewhere once it is there."""
    nodes = Nodes(3, late_seconds=0.1)
    clients = [nodes.plain(number, f"/room?group={color}") for number, color in enumerate(("red", "red", "blue"))]
    delivery = nodes.signals[0].send("soup", name="Room", group="red")
    assert delivery.recipients == 1
    nodes.turn()
    assert [each.texts for each in clients] == [["soup"], [], []]
    nodes.turn(1)
    assert [each.texts for each in clients] == [["soup"], ["soup"], []]
    assert delivery.recipients == 1
    assert nodes.signals[1].counters.recipients_sent == 1


def test_a_client_id_and_an_exclusion() -> None:
    """S17.1: client ids that get it, or do not, are those of all nodes."""
    nodes = Nodes(2)
    ada, bob = nodes.plain(0, "/room?id=ada"), nodes.plain(1, "/room?id=bob")
    nodes.signals[0].send("1", name="Room", client_id="bob")
    nodes.signals[0].send("2", name="Room", exclude="bob")
    nodes.turn()
    nodes.signals[1].send("3", name=EVERY_NAME)
    nodes.turn()
    assert (ada.texts, bob.texts) == (["2", "3"], ["1", "3"])


def test_a_message_of_a_client() -> None:
    """S17.1: what a client says for all is sent on to the clients of other nodes."""
    nodes = Nodes(2, unrouted="broadcast")
    for world in nodes.worlds:
        world.signals.clear_routes()
    talker, other = nodes.talk(0), nodes.plain(1)
    talker.says(type="send", message="soup")
    nodes.turn()
    assert other.texts == ["soup"]


def test_levels_hold_where_it_is_sent() -> None:
    """S17.1: the broadcast level of the node that sends decides; the other one's does not."""
    nodes = Nodes(2)
    here, there = nodes.plain(0), nodes.plain(1)
    nodes.signals[1].set_broadcast_level("client_id", name="Room")
    nodes.signals[0].send("soup", name="Room")
    with pytest.raises(BroadcastRefused):
        nodes.signals[1].send("no", name="Room")
    nodes.turn()
    assert (here.texts, there.texts) == (["soup"], ["soup"])


def test_a_store_that_is_away() -> None:
    """S17.2: a node that reaches nobody delivers to its own clients at once, and the others miss it."""
    nodes = Nodes(2)
    here, there = nodes.plain(0), nodes.plain(1)
    nodes.backplanes[0].cut()
    nodes.signals[0].send("soup", name="Room")
    nodes.turn()
    nodes.backplanes[0].mend()
    nodes.turn(10)
    assert (here.texts, there.texts) == (["soup"], [])


# Logged names.


@pytest.mark.parametrize("answers", [0.0, 3.0])
def test_a_logged_send(answers: float) -> None:
    """S17.2: each node delivers an entry once; recipients are those of this node, final once it is awaited."""
    nodes = Nodes(2)
    for signals in nodes:
        signals.keep_history("Room")
    nodes.turn()
    here, there = nodes.plain(0), nodes.plain(1)
    nodes.backplanes[0].answers.late_seconds = answers
    delivery = nodes.signals[0].send("soup", name="Room")
    assert (delivery.recipients, delivery.logged) == (0, False)
    done: list[Any] = []
    Deferred.fromCoroutine(_awaited(delivery)).addCallback(done.append)
    nodes.turn()
    assert (here.texts, there.texts) == (["soup"], ["soup"])
    assert bool(done) is (answers == 0)
    nodes.turn(3)
    assert done == [delivery]
    assert (delivery.recipients, delivery.sent, delivery.logged) == (1, 1, True)
    assert delivery.position == ".".join(nodes.backplanes[0].history.position("Room") or ())


def test_a_logged_send_whose_answer_comes_first() -> None:
    """S17.2: where the log says the position before the entry comes back, awaiting waits for the entry."""
    nodes = Nodes(1)
    nodes.signals[0].keep_history("Room")
    nodes.turn()
    client = nodes.plain(0)
    nodes.backplanes[0].messages.late_seconds = 1
    delivery = nodes.signals[0].send("soup", name="Room")
    done: list[Any] = []
    Deferred.fromCoroutine(_awaited(delivery)).addCallback(done.append)
    nodes.turn(0.5)
    assert (client.texts, done) == ([], [])
    nodes.turn(1)
    assert (client.texts, done) == (["soup"], [delivery])
    assert delivery.recipients == 1


def test_entries_of_others_are_not_counted() -> None:
    """S17.2: entries of other nodes that come meanwhile are in no delivery of this one."""
    nodes = Nodes(2)
    for signals in nodes:
        signals.keep_history("Room")
    nodes.turn()
    client = nodes.plain(0)
    nodes.backplanes[0].answers.late_seconds = 1
    mine = nodes.signals[0].send("mine", name="Room")
    nodes.signals[1].send("others", name="Room")
    nodes.turn(2)
    assert client.texts == ["mine", "others"]
    assert mine.recipients == 1
    assert not hub_of(nodes.signals[0]).histories._appends._came


def test_an_entry_that_does_not_come() -> None:
    """S17.2: an entry of a name that this node does not follow any more is not waited for."""
    nodes = Nodes(2)
    for signals in nodes:
        signals.keep_history(EVERY_NAME)
    client = nodes.plain(0)
    nodes.plain(1)
    client.leave()
    nodes.turn()
    delivery = nodes.signals[0].send("soup", name="Room")
    assert nodes.settled(Deferred.fromCoroutine(_awaited(delivery))).recipients == 0
    assert delivery.logged


def test_an_entry_that_a_break_takes() -> None:
    """S17.2: an entry that a break has passed over is not waited for."""
    nodes = Nodes(1)
    nodes.signals[0].keep_history("Room")
    nodes.turn()
    nodes.plain(0)
    nodes.backplanes[0].messages.is_held = True
    delivery = nodes.signals[0].send("soup", name="Room")
    awaited = Deferred.fromCoroutine(_awaited(delivery))
    nodes.turn()
    nodes.backplanes[0].messages.lose()
    nodes.cluster.break_log("Room", HistoryLimits())
    nodes.backplanes[0].messages.release()
    assert nodes.settled(awaited) is delivery


def test_a_log_that_is_away() -> None:
    """S17.2: a send to a logged name waits for the log, and fails loudly where it waits too long."""
    nodes = Nodes(1)
    nodes.signals[0].keep_history("Room")
    nodes.turn()
    client = nodes.plain(0)
    nodes.backplanes[0].cut()
    first = nodes.signals[0].send("1", name="Room")
    nodes.turn(20)
    nodes.backplanes[0].mend()
    nodes.turn()
    assert client.texts == ["1"]
    assert first.recipients == 1
    nodes.backplanes[0].cut()
    second = Deferred.fromCoroutine(_awaited(nodes.signals[0].send("2", name="Room")))
    nodes.turn(31)
    with pytest.raises(HistoryUnavailable):
        nodes.settled(second)


def test_a_live_message_for_a_logged_name_is_a_break() -> None:
    """P56: a message that another node has sent past the log is delivered, and clients are told of a loss."""
    nodes = Nodes(2)
    nodes.signals[0].keep_history("Room")
    nodes.turn()
    talker = nodes.talk(0)
    talker.frames()
    with capturedLogs() as logs:
        nodes.signals[1].send("soup", name="Room")
        nodes.turn()
    hello, signal = sorted(talker.frames(), key=lambda each: str(each["type"]))
    assert (hello["type"], hello["recovered"], signal["data"]) == ("hello", False, "soup")
    assert "offset" not in signal
    assert any("another node keeps no history of Room" in (formatEvent(each) or "") for each in logs)


def test_every_name_keeps_a_history() -> None:
    """S17.2: where every name keeps a history, a node logs for names that only others have, and not past a log."""
    nodes = Nodes(2)
    for signals in nodes:
        signals.keep_history(EVERY_NAME)
    talker = nodes.talk(1)
    talker.frames()
    nodes.signals[0].send("1", name="Room")
    delivery = nodes.signals[0].send("2", name=EVERY_NAME)
    assert nodes.settled(Deferred.fromCoroutine(_awaited(delivery))).logged
    assert [(each["data"], "offset" in each) for each in talker.frames()] == [("1", True), ("2", True)]
    nodes.signals[0].send("3", name="Nobody")
    nodes.turn()
    assert nodes.backplanes[1].history.position("Nobody") is None


def test_names_of_a_silent_node() -> None:
    """S17.2: a send to every name whose logs are not all known is told to have an unknown outcome."""
    nodes = Nodes(2)
    for signals in nodes:
        signals.keep_history(EVERY_NAME)
    nodes.talk(1)
    nodes.backplanes[1].is_deaf = True
    awaited = Deferred.fromCoroutine(_awaited(nodes.signals[0].send("2", name=EVERY_NAME)))
    nodes.turn(2)
    with pytest.raises(HistoryUnavailable) as raised:
        nodes.settled(awaited)
    assert raised.value.outcome == "unknown"


def test_a_deserted_name_of_one_node() -> None:
    """S17.2: a node that drops a name of which it has no clients any more leaves the log to the others."""
    nodes = Nodes(2)
    for signals in nodes:
        signals.keep_history(EVERY_NAME)
    client, talker = nodes.plain(0), nodes.talk(1)
    nodes.signals[1].send("1", name="Room")
    nodes.turn()
    client.leave()
    nodes.turn()
    hub_of(nodes.signals[0]).histories._end("Room")
    nodes.signals[1].send("2", name="Room")
    nodes.turn()
    assert talker.signals() == ["1", "2"]


# Closes.


def test_close() -> None:
    """S10.2, S17.1: a close reaches all nodes, and its number is that of all of them."""
    nodes = Nodes(3)
    clients = [nodes.plain(number, "/room?group=red") for number in (0, 1, 1)]
    other = nodes.plain(2, "/room?group=blue")
    closing = nodes.signals[0].close("Room", group="red", code=4000, reason="bye")
    assert clients[0].closed == (4000, "bye")
    assert nodes.settled(closing) == 3
    assert [each.closed for each in clients] == [(4000, "bye")] * 3
    assert other.closed is None
    assert nodes.settled(nodes.signals[2].close("Room", client_id=[])) == 0
    assert nodes.settled(nodes.signals[0].close("Room")) == 1


def test_close_and_a_silent_node() -> None:
    """S17.1: silent nodes are not counted, and a node that reaches nobody closes its own."""
    nodes = Nodes(2)
    nodes.plain(0), nodes.plain(1)
    nodes.backplanes[1].is_deaf = True
    closing = nodes.signals[0].close("Room")
    nodes.turn(2)
    assert nodes.settled(closing) == 1
    nodes.backplanes[1].cut()
    closing = nodes.signals[1].close("Room")
    nodes.turn(2)
    assert nodes.settled(closing) == 1


def _raises(*_: object) -> Deferred[Any]:
    raise OSError("a defect")


@pytest.mark.parametrize("ask", [_raises, lambda *_: fail(OSError("a defect"))], ids=["raises", "fails"])
def test_close_and_a_defect(ask: Any) -> None:
    """S17.3: a backplane that raises, or fails, is told in the log; the node closes its own connections."""
    nodes = Nodes(2)
    client = nodes.plain(0)
    nodes.backplanes[0].ask = ask  # type: ignore[method-assign]
    with capturedLogs() as logs:
        assert nodes.settled(nodes.signals[0].close("Room", code=4000)) == 1
    assert client.closed == (4000, "")
    assert [str(each.value) for each in failures_in(logs)] == ["a defect"]


def test_a_client_that_comes_after_a_close() -> None:
    """S17.1: a close means those that are connected when it is called, not those that connect to the node after it."""
    nodes = Nodes(2, late_seconds=0.5)
    closing = nodes.signals[0].close("Room")
    client = nodes.plain(0)
    nodes.turn(2)
    assert nodes.settled(closing) == 0
    assert client.closed is None


# Questions.


def test_questions() -> None:
    """S10.1, S17.1: who is connected can be asked over all nodes; each name, group and id is there once."""
    nodes = Nodes(2)
    nodes.plain(0, "/room?id=ada&group=red&user=lovelace")
    nodes.plain(1, "/room?id=bob&group=red&group=blue")
    nodes.plain(1, "/hall?id=ada")
    ask = nodes.signals[0]
    assert nodes.settled(ask.names(cluster=True)) == ("Room", "Hall")
    assert nodes.settled(ask.groups("Room", cluster=True)) == ("red", "blue")
    assert nodes.settled(ask.client_ids("Room", cluster=True)) == ("ada", "bob")
    assert nodes.settled(ask.client_ids("Room", "blue", cluster=True)) == ("bob",)
    assert nodes.settled(ask.connections("Room", "red", cluster=True)) == (
        Member("Room", "ada", ("red",), "lovelace"),
        Member("Room", "bob", ("red", "blue")),
    )
    bob = nodes.settled(ask.connection("Room", "bob", cluster=True))
    assert bob is not None
    assert (bob.client_id, bob.groups) == ("bob", ("red", "blue"))
    assert nodes.settled(ask.connection("Room", "nobody", cluster=True)) is None
    assert [nodes.settled(ask.has_name(each, cluster=True)) for each in ("Hall", "Nobody")] == [True, False]
    assert [nodes.settled(ask.has_client_id("Room", "bob", each, cluster=True)) for each in ("blue", "no")] == [
        True,
        False,
    ]
    assert nodes.settled(ask.count("Room", cluster=True)) == 2
    assert nodes.settled(ask.count(cluster=True)) == 3
    assert nodes.settled(ask.groups("Nobody", cluster=True)) == ()
    assert nodes.settled(ask.client_ids("Nobody", cluster=True)) == ()
    assert (ask.names(), ask.count(), ask.has_name("Hall")) == (("Room",), 1, False)


def test_questions_alone() -> None:
    """S17.1: with one node the same questions give the same answers."""
    nodes = Nodes(1)
    nodes.plain(0, "/room?id=ada")
    assert nodes.settled(nodes.signals[0].client_ids("Room", cluster=True)) == ("ada",)


def test_silent_nodes() -> None:
    """S17.1: silent nodes are left out after 2 seconds; where the nodes can't be reached the answer fails."""
    nodes = Nodes(2)
    nodes.plain(0), nodes.plain(1)
    nodes.backplanes[1].is_deaf = True
    asked = nodes.signals[0].count(cluster=True)
    nodes.turn(2)
    assert nodes.settled(asked) == 1
    nodes.backplanes[0].cut()
    asked = nodes.signals[0].count(cluster=True)
    nodes.turn(2)
    with pytest.raises(BackplaneUnavailable):
        nodes.settled(asked)


def test_nobody_answers() -> None:
    """S17.1: a question that no node answers fails."""
    nodes = Nodes(1)
    hub_of(nodes.signals[0]).node.answers.clear()
    with pytest.raises(BackplaneUnavailable, match="no node"):
        nodes.settled(nodes.signals[0].count(cluster=True))


def test_a_question_of_a_newer_node() -> None:
    """S17.1: a question that a node does not know has no answer of it."""
    nodes = Nodes(1)
    hub = hub_of(nodes.signals[0])
    assert nodes.settled(hub.node.ask("query", b'["colors","Room"]', 2)).given == {}


async def _awaited(delivery: Any) -> Any:
    return await delivery
