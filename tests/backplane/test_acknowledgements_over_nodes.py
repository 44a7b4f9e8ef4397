"""Acknowledged sends whose recipients are on several nodes."""

from __future__ import annotations

import gc
from typing import Any

from dialogues import Talker
from nodes import Nodes
from twisted.internet.defer import Deferred, fail
from twisted.logger import capturedLogs
from web_fakes import failures_in

from pode_signals.signals import hub_of


def send(nodes: Nodes, timeout: float = 5, **more: Any) -> tuple[Any, list[Any]]:
    """An acknowledged send of the first node, and what its awaiting gives."""
    delivery = nodes.signals[0].send("soup", name="Room", acknowledge=True, timeout=timeout, **more)
    done: list[Any] = []

    async def awaited() -> None:
        await delivery
        done.append(delivery)

    Deferred.fromCoroutine(awaited())
    nodes.turn()
    return delivery, done


def answer(nodes: Nodes, *talkers: Talker) -> None:
    """Clients acknowledge the last signal."""
    for each in talkers:
        (signal,) = (frame for frame in each.frames() if frame["type"] == "signal")
        each.says(type="ack", id=signal["ack"])
    nodes.turn()


def outcome(delivery: Any) -> tuple[list[str], list[str], list[str], int]:
    return (
        sorted(delivery.acknowledged),
        sorted(delivery.unanswered),
        sorted(delivery.gone),
        delivery.silent_nodes,
    )


def rooms(**settings: Any) -> tuple[Nodes, list[Talker]]:
    """Two nodes, with ada on the first, bob and eve on the second."""
    nodes = Nodes(2, **settings)
    return nodes, [nodes.talk(number, f"/room?id={each}") for number, each in ((0, "ada"), (1, "bob"), (1, "eve"))]


def nothing_is_left(nodes: Nodes) -> bool:
    """Whether no node keeps anything of an acknowledged send, once its timeout is over."""
    nodes.turn(61)
    hubs = [hub_of(each) for each in nodes]
    return not any(
        (len(each.acknowledgements), each.acknowledgements._of, each.acknowledgements._pending, *_shared(each))
        != (0, {}, 0, {}, {})
        for each in hubs
    )


def _shared(hub: Any) -> tuple[Any, Any]:
    return hub.sender._shared._own, hub.sender._shared._foreign


def test_all_answer() -> None:
    """P69, S17.1: awaiting fires as soon as the clients of all nodes have answered."""
    nodes, talkers = rooms()
    delivery, done = send(nodes)
    answer(nodes, *talkers[:2])
    assert done == []
    answer(nodes, talkers[2])
    assert done == [delivery]
    assert outcome(delivery) == (["ada", "bob", "eve"], [], [], 0)
    assert nothing_is_left(nodes)


def test_some_do_not() -> None:
    """P69, P71, S17.1: at the timeout each node reports who has not answered; plain clients are not waited for."""
    nodes, (ada, bob, eve) = rooms()
    nodes.plain(1, "/room?id=plain")
    delivery, done = send(nodes)
    answer(nodes, bob)
    eve.cut()
    nodes.turn(4.9)
    assert done == []
    nodes.turn(0.2)
    assert done == [delivery]
    assert outcome(delivery) == (["bob"], ["ada", "plain"], ["eve"], 0)
    assert ada.is_open
    assert nothing_is_left(nodes)


def test_a_target() -> None:
    """P69, S17.1: the recipients on other nodes are those of the target."""
    nodes, (ada, bob, eve) = rooms()
    delivery, done = send(nodes, client_id=["ada", "eve"])
    answer(nodes, ada, eve)
    assert (done, outcome(delivery)) == ([delivery], (["ada", "eve"], [], [], 0))
    assert bob.signals() == []


def test_nobody_here() -> None:
    """P69, S17.1: recipients on other nodes alone are waited for as well."""
    nodes, (ada, *others) = rooms()
    ada.cut()
    delivery, done = send(nodes)
    assert done == []
    answer(nodes, *others)
    assert (done, outcome(delivery)) == ([delivery], (["bob", "eve"], [], [], 0))
    ids = delivery.acknowledged
    assert sorted(ids) == ["bob", "eve"]


def test_the_message_comes_before_the_question() -> None:
    """S17.1: a node collects from the message on, also where the question of the sender comes later."""
    nodes, talkers = rooms()
    hub = hub_of(nodes.signals[0])
    backplane, asked = nodes.backplanes[0], nodes.backplanes[0].ask
    backplane.ask = lambda *args: _later(nodes, 0.5, asked, *args)  # type: ignore[method-assign]
    delivery, done = send(nodes)
    answer(nodes, *talkers)
    assert done == []
    nodes.turn(1)
    assert (done, outcome(delivery)) == ([delivery], (["ada", "bob", "eve"], [], [], 0))
    assert hub.counters.acknowledgements_ignored == nodes.signals[1].counters.acknowledgements_ignored == 0
    assert nothing_is_left(nodes)


def test_the_question_sets_the_timeout() -> None:
    """S17.1: where the message came first, its sender's timeout holds all the same."""
    nodes, _ = rooms()
    backplane, asked = nodes.backplanes[0], nodes.backplanes[0].ask
    backplane.ask = lambda *args: _later(nodes, 0.5, asked, *args)  # type: ignore[method-assign]
    delivery, done = send(nodes, timeout=2)
    nodes.turn(3)
    assert (done, outcome(delivery)) == ([delivery], ([], ["ada", "bob", "eve"], [], 0))


def _later(nodes: Nodes, seconds: float, function: Any, *arguments: Any) -> Deferred[Any]:
    fired: Deferred[Any] = Deferred()
    nodes.clock.callLater(seconds, lambda: function(*arguments).chainDeferred(fired))
    return fired


def test_a_silent_node() -> None:
    """S17.1: a node that does not report within a second more is counted; its clients are unanswered."""
    nodes, (ada, *_) = rooms()
    delivery, done = send(nodes)
    nodes.backplanes[0].is_deaf = True
    answer(nodes, ada)
    nodes.turn(5.9)
    assert done == []
    nodes.turn(0.2)
    assert (done, outcome(delivery)) == ([delivery], (["ada"], ["bob", "eve"], [], 1))


def test_a_node_that_never_heard() -> None:
    """S17.1: of a node that was silent from the beginning the clients are not known, and it is counted once."""
    nodes, (ada, *_) = rooms()
    nodes.backplanes[1].is_deaf = True
    delivery, done = send(nodes)
    answer(nodes, ada)
    nodes.turn(6.1)
    assert (done, outcome(delivery)) == ([delivery], (["ada"], [], [], 1))


def test_a_node_that_dies() -> None:
    """S17.1: the clients of a node that is no node any more are gone."""
    nodes, (ada, *_) = rooms()
    delivery, done = send(nodes)
    answer(nodes, ada)
    nodes.cluster.kill(nodes.backplanes[1])
    nodes.turn(6.1)
    assert (done, outcome(delivery)) == ([delivery], (["ada"], [], ["bob", "eve"], 0))


def test_a_node_that_reaches_nobody() -> None:
    """S17.3: a node that is cut off waits for its own clients alone."""
    nodes, (ada, *_) = rooms()
    nodes.backplanes[0].cut()
    delivery, done = send(nodes)
    answer(nodes, ada)
    nodes.turn(2.1)
    assert (done, outcome(delivery)) == ([delivery], (["ada"], [], [], 0))


def test_an_answer_after_coming_back_on_another_node() -> None:
    """P72, S17.1: a client that left and comes back to another node may answer the replay there."""
    nodes, (ada, bob, eve) = rooms()
    for signals in nodes:
        signals.keep_history("Room")
    nodes.turn()
    for each in (ada, bob, eve):
        each.frames()
    delivery, done = send(nodes)
    (signal,) = (each for each in bob.frames() if each["type"] == "signal")
    bob.cut()
    back = nodes.talk(0, "/room?id=bob")
    back.says(type="ack", id=signal["ack"])
    answer(nodes, ada, eve)
    assert done == []
    nodes.turn(5.1)
    assert (done, outcome(delivery)) == ([delivery], (["ada", "bob", "eve"], [], [], 0))
    assert nothing_is_left(nodes)


def test_the_own_client_answers_on_another_node() -> None:
    """P72, S17.1: a client of the sender's node that answers on another one is told of there, and not waited for."""
    nodes, (ada, bob, eve) = rooms()
    for signals in nodes:
        signals.keep_history("Room")
    nodes.turn()
    for each in (ada, bob, eve):
        each.frames()
    delivery, done = send(nodes)
    (signal,) = (each for each in ada.frames() if each["type"] == "signal")
    ada.cut()
    back = nodes.talk(1, "/room?id=ada")
    back.says(type="ack", id=signal["ack"])
    answer(nodes, bob, eve)
    assert (done, outcome(delivery)) == ([delivery], (["ada", "bob", "eve"], [], [], 0))
    assert nodes.signals[1].counters.acknowledgements_ignored == 0


def test_a_client_of_another_name_with_the_same_client_id() -> None:
    """P70, S17.1: nobody answers for a client of another name that has the same client id."""
    nodes, (ada, bob, eve) = rooms()
    other = nodes.talk(0, "/hall?id=bob")
    delivery, _ = send(nodes)
    (signal,) = (each for each in bob.frames() if each["type"] == "signal")
    other.says(type="ack", id=signal["ack"])
    answer(nodes, ada, eve)
    nodes.turn(5.1)
    assert outcome(delivery) == (["ada", "eve"], ["bob"], [], 0)


def test_answers_that_nobody_asked_for() -> None:
    """P70: an answer to an unknown send, a second one, and one of a client that was no recipient are ignored."""
    nodes, (ada, bob, eve) = rooms()
    delivery, _ = send(nodes, client_id="bob")
    (signal,) = (each for each in bob.frames() if each["type"] == "signal")
    for talker, ack in ((eve, "n1.99"), (ada, "n1.99"), (eve, "n9.1"), (ada, signal["ack"]), (eve, signal["ack"])):
        talker.says(type="ack", id=ack)
    for _ in range(2):
        bob.says(type="ack", id=signal["ack"])
    nodes.turn(1)
    assert outcome(delivery) == (["bob"], [], [], 0)
    assert [each.counters.acknowledgements_ignored for each in nodes] == [1, 3]
    assert nothing_is_left(nodes)


def test_too_many_on_another_node() -> None:
    """P74: a node that may wait for no more answers is a silent one."""
    nodes, (ada, bob, eve) = rooms()
    nodes.add(max_pending_acknowledgements=1)
    for number in range(2):
        nodes.talk(2, f"/room?id={number}")
    delivery, done = send(nodes)
    answer(nodes, ada, bob, eve)
    nodes.turn(6.1)
    assert (done, outcome(delivery)) == ([delivery], (["ada", "bob", "eve"], [], [], 1))
    first, _ = send(nodes, group="nobody")
    hub = hub_of(nodes.signals[2])
    assert len(_shared(hub)[1]) == 1
    second, done = send(nodes, group="nobody")
    assert len(_shared(hub)[1]) == 1
    assert done == [second]
    assert first.silent_nodes == 0


def test_the_end_of_a_hub() -> None:
    """P73: at the end of a hub nothing is waited for, and no timer is left."""
    nodes, _ = rooms()
    send(nodes)
    hub_of(nodes.signals[1]).acknowledgements.end()
    assert _shared(hub_of(nodes.signals[1])) == ({}, {})
    nodes.turn(6.1)
    assert nothing_is_left(nodes)


def test_a_defect_of_the_backplane() -> None:
    """S17.3: a defect of a backplane is told in the log, and the send ends with the answers of this node's clients."""
    nodes, (ada, *_) = rooms()
    nodes.backplanes[0].ask = lambda *_: fail(OSError("a defect"))  # type: ignore[method-assign]
    with capturedLogs() as logs:
        delivery, done = send(nodes)
        answer(nodes, ada)
        nodes.turn(6.1)
        gc.collect()
    assert {str(each.value) for each in failures_in(logs)} == {"a defect"}
    # One of these comes from a Deferred that nobody has waited for.
    assert not [each for each in logs if each["log_namespace"].startswith("twisted")]
    assert (done, delivery.acknowledged) == ([delivery], ("ada",))
    assert nothing_is_left(nodes)
