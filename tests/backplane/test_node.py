"""A node from start to stop: it works before others are reached, and tells of each change of its state once."""

from __future__ import annotations

from typing import Any

import pytest
from backplane.cluster import Cluster
from fakes import clock_of, connected, new_signals, result_of
from nodes import Nodes
from served import Root
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from web_fakes import failures_in

from pode_signals import Signals
from pode_signals.backplane.contract import Question
from pode_signals.backplane.memory import MemoryBackplane
from pode_signals.core.model import Target
from pode_signals.service import SignalsService
from pode_signals.signals import hub_of
from pode_signals.wire.message import Message, Outgoing


def of_cluster(*, cut: bool = False) -> tuple[Signals, Any]:
    """A hub that is a node of a cluster, not started, and its backplane."""
    clock = Clock()
    clock.advance(1_700_000_000)
    backplane = Cluster(clock).node()
    if cut:
        backplane.is_cut = True
    return Signals(clock=clock, backplane=backplane), backplane


def test_alone() -> None:
    """S17.1: without a backplane a node is alone and always up; nothing has to be started or stopped."""
    signals = new_signals()
    node = hub_of(signals).node
    assert (node.is_alone, signals.insight.backplane_state) == (True, "up")
    client = connected(signals)
    for _ in range(2):
        signals.start_backplane()
        result_of(signals.stop_backplane())
    signals.send("soup", name="Msg")
    clock_of(signals).advance(0)
    assert client.got == ["soup"]


def test_any_backplane() -> None:
    """S17.1: ``Signals`` takes any backplane, one that is alone too."""
    clock = Clock()
    backplane = MemoryBackplane(clock)
    signals = Signals(clock=clock, backplane=backplane)
    assert hub_of(signals).backplane is backplane
    client = connected(signals)
    signals.send("soup", name="Msg")
    clock.advance(0)
    assert client.got == ["soup"]


def test_local_delivery_before_others_are_reached() -> None:
    """S17.3: a node whose backplane does not come up delivers to its own clients at once, and tells what is wrong."""
    signals, backplane = of_cluster(cut=True)
    assert signals.insight.backplane_state == "not started"
    signals.start_backplane()
    client = connected(signals)
    signals.send("soup", name="Msg")
    clock_of(signals).advance(60)
    assert client.got == ["soup"]
    backplane.cut("no route to the store")
    assert signals.insight.backplane_state == "no route to the store"


def test_one_line_for_each_change() -> None:
    """S17.3: each change of the state is one line in the log, and the state can be asked for."""
    signals, backplane = of_cluster()
    with capturedLogs() as logs:
        signals.start_backplane()
        clock_of(signals).advance(0)
        backplane.cut("away")
        backplane.cut("away")
        assert signals.insight.backplane_state == "away"
        backplane.mend()
        clock_of(signals).advance(0)
    lines = [formatEvent(each) for each in logs if "hub.node" in each["log_namespace"]]
    assert lines == ["backplane: up", "backplane: away", "backplane: up"]
    assert [each["log_level"].name for each in logs] == ["info", "warn", "info"]
    assert signals.insight.backplane_state == "up"


def test_the_service_starts_and_stops_it() -> None:
    """S12.2: a service starts the backplane before it serves, and stops it when its clients are gone."""
    reactor = MemoryReactorClock()
    cluster = Cluster(reactor)  # type: ignore[arg-type]
    signals = Signals(clock=reactor, backplane=cluster.node())
    states: list[str] = []

    @signals.on_disconnect("Msg")
    def gone(_event: Any) -> None:
        states.append(signals.insight.backplane_state)

    service = SignalsService(signals, Root(signals), [], reactor=reactor)
    service.startService()
    reactor.advance(0)
    assert signals.insight.backplane_state == "up"
    connected(signals)
    stopped: list[object] = []
    service.stopService().addCallback(stopped.append)
    for _ in range(40):
        reactor.advance(1)
    assert stopped == [None]
    assert states == ["up"]
    assert signals.insight.backplane_state == "not started"
    assert cluster.nodes == []


def test_two_services_of_one_hub() -> None:
    """S12.2: the backplane stops with the last service of its hub, and can be started again with its histories."""
    signals, backplane = of_cluster()
    signals.keep_history("Room")
    clock = clock_of(signals)
    for _ in range(2):
        signals.start_backplane()
    clock.advance(0)
    result_of(signals.stop_backplane())
    assert signals.insight.backplane_state == "up"
    result_of(signals.stop_backplane())
    assert signals.insight.backplane_state == "not started"
    assert backplane.history.position("Room") is None
    signals.start_backplane()
    clock.advance(0)
    assert signals.insight.backplane_state == "up"
    assert backplane.history.position("Room") is not None


def test_a_stop_that_takes_too_long() -> None:
    """S17.3: nobody waits longer than some seconds for a backplane that does not end, or fails at it."""
    signals, backplane = of_cluster()
    for stop in (Deferred, lambda: fail(OSError("a defect"))):
        signals.start_backplane()
        backplane.stop = stop
        stopped: list[object] = []
        with capturedLogs() as logs:
            signals.stop_backplane().addCallback(stopped.append)
            clock_of(signals).advance(5)
        assert stopped == [None]
        assert len(failures_in(logs)) == (stop is not Deferred)


def test_what_fails_here_hurts_no_backplane() -> None:
    """S17.3: a function of the hub that raises for another node is logged and counted, and raises into no backplane."""
    nodes = Nodes(2)
    hub = hub_of(nodes.signals[1])

    def failing(*_: object) -> Any:
        raise ValueError("a defect")

    hub.node._deliver = hub.node._taken = failing
    hub.node.answers["odd"] = failing
    with capturedLogs() as logs:
        nodes.signals[0].send("soup", name="Room")
        nodes.turn()
        nodes.backplanes[1].taken("Room", "ada")
        hub.node.fenced(failing)("x")
        answers = nodes.settled(nodes.backplanes[0].ask(Question("odd"), 2))
    assert answers.given == {}
    assert [str(each.value) for each in failures_in(logs)] == ["a defect"] * 4
    assert nodes.signals[1].counters.callbacks_failed == 4


def test_a_question_of_another_version() -> None:
    """S17.1: a node that does not know a kind of question gives no answer to it."""
    nodes = Nodes(2)
    hub_of(nodes.signals[1]).node.answers["new"] = succeed
    answers = nodes.settled(hub_of(nodes.signals[0]).node.ask("new", b"1", 2))
    assert answers.given == {"n2": b"1"}
    assert answers.missing == ("n1",)


def test_a_failure_of_the_own_node_is_told() -> None:
    """S17.3: a send of this node that fails here raises where it was sent."""
    nodes = Nodes(1)
    hub = hub_of(nodes.signals[0])
    outgoing = Outgoing(Target(("Room",)), Message(b"1"), object())
    hub.node._deliver = lambda _outgoing: 1 / 0
    try:
        hub.backplane.publish(outgoing)
    except ZeroDivisionError:
        return
    raise AssertionError("nothing was raised")


def test_a_start_while_it_stops() -> None:
    """S12.2: a node that is started while it stops begins again afterwards, unless it is stopped again by then."""
    signals, backplane = of_cluster()
    clock, stopping, stop = clock_of(signals), Deferred[None](), backplane.stop
    backplane.stop = lambda: stopping.addCallback(lambda _: stop())
    signals.start_backplane()
    clock.advance(0)
    stopped = [signals.stop_backplane()]
    signals.start_backplane()
    stopped.append(signals.stop_backplane())
    signals.start_backplane()
    clock.advance(0)
    assert signals.insight.backplane_state == "not started"
    stopping.callback(None)
    clock.advance(0)
    assert [result_of(each) for each in stopped] == [None, None]
    assert signals.insight.backplane_state == "up"
    backplane.stop = stop
    result_of(signals.stop_backplane())
    assert signals.insight.backplane_state == "not started"


def test_a_start_that_fails() -> None:
    """S17.3: a hub whose start has failed stops no backplane."""
    signals, backplane = of_cluster()
    backplane.start = lambda *_: fail(OSError("a defect")).result.raiseException()
    with pytest.raises(OSError, match="a defect"):
        signals.start_backplane()
    backplane.stop = None
    assert result_of(signals.stop_backplane()) is None


def test_a_stop_before_others_are_reached() -> None:
    """S17.3: a node that is stopped before it has reached the others has no failure in its log."""
    signals, backplane = of_cluster()
    started: Deferred[None] = Deferred()
    backplane.start = lambda *_: started
    signals.start_backplane()
    with capturedLogs() as logs:
        started.cancel()
    assert failures_in(logs) == []


def test_a_program_that_starts_no_backplane() -> None:
    """S20.2: a program that gets clients and has not started its backplane is told so, by the log."""
    signals, _ = of_cluster()
    with capturedLogs() as logs:
        connected(signals)
    assert [each for each in map(formatEvent, logs) if "signals.start_backplane()" in str(each)]
    signals.start_backplane()
    with capturedLogs() as logs:
        connected(signals)
    assert not [each for each in map(formatEvent, logs) if "signals.start_backplane()" in str(each)]
