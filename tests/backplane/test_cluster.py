"""The backplane of several nodes in one process keeps the contract, and does to messages what a test says."""

from __future__ import annotations

from typing import TypeVar

import pytest
from backplane.backplane_behaviour import BackplaneBehaviour
from backplane.cluster import Cluster
from backplane.history_behaviour import HistoryBehaviour
from backplane.machines import HistoryMachine, PresenceMachine, machine_of
from backplane.node import ADA, BOB, FEW, ROOM, Node, not_broken
from backplane.presence_behaviour import PresenceBehaviour
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from pode_signals.backplane.contract import Answers, Member, PresenceChange, Question
from pode_signals.errors import BackplaneUnavailable
from pode_signals.wire.message import Message, Outgoing

T = TypeVar("T")


class ClusterNode(Node):
    """A node of a cluster. What it promises has come once the ways have brought it."""

    def __init__(self, cluster: Cluster | None = None, *, remembered_bytes: int = 1 << 20) -> None:
        self.cluster = cluster or Cluster(Clock(), None, remembered_bytes=remembered_bytes)
        self.there = self.cluster.node()
        super().__init__(self.there)

    def result(self, deferred: Deferred[T]) -> T:
        """What it fires with, after a turn."""
        results: list[T] = []
        failures: list[Exception] = []
        deferred.addCallbacks(results.append, lambda failure: failures.append(failure.value))
        if not results and not failures:
            self.advance(0)
        # Nodes that are gone are missed after a moment.
        for _ in range(200):
            if results or failures:
                break
            self.advance(0.1)
        if failures:
            raise failures[0]
        return results[0]

    def advance(self, seconds: float) -> None:
        self.cluster.clock.advance(seconds)


@pytest.fixture
def node() -> ClusterNode:
    """A node that has been started, of a cluster without others."""
    return ClusterNode()


@pytest.fixture
def full_node() -> ClusterNode:
    """One whose store remembers little."""
    return ClusterNode(remembered_bytes=2_000)


class TestHistory(HistoryBehaviour):
    pass


class TestPresence(PresenceBehaviour):
    pass


class TestBackplane(BackplaneBehaviour):
    pass


class TestHistoryAgreesWithAList(machine_of(HistoryMachine, ClusterNode)):  # type: ignore[misc]
    """The machine as a test."""


class TestPresenceAgreesWithADict(machine_of(PresenceMachine, ClusterNode)):  # type: ignore[misc]
    """The machine as a test."""


def pair(late_seconds: float | None = 0.0) -> tuple[ClusterNode, ClusterNode]:
    """Two nodes of a cluster."""
    cluster = Cluster(Clock(), late_seconds)
    return ClusterNode(cluster), ClusterNode(cluster)


def texts(node: ClusterNode) -> list[bytes]:
    """The payloads that were delivered on a node."""
    return [each.message.payload for each in node.delivered]


def test_publish_to_others() -> None:
    """S17.1: what a node publishes comes to the others once, in order, without the tally of the node that sent it."""
    one, other = pair(0.1)
    tally = object()
    for text in (b"1", b"2"):
        one.backplane.publish(Outgoing(ROOM, Message(text, "price", is_text=True, groups=("red",)), tally))
    assert (texts(one), texts(other)) == ([b"1", b"2"], [])
    one.advance(0.1)
    assert texts(other) == []
    one.advance(0.1)
    assert texts(other) == [b"1", b"2"]
    got = other.delivered[0]
    assert (got.target, got.tally, got.message.key, got.message.groups) == (ROOM, None, "price", ("red",))
    assert len(one.delivered) == 2


@pytest.mark.parametrize("how", ["deaf", "held", "cut"])
def test_messages_that_do_not_come(how: str) -> None:
    """S17.2: what is on its way to a node can be lost, or come late, and the node that sent delivers at once."""
    one, other = pair()
    if how == "cut":
        other.there.cut()
    other.there.is_deaf = how == "deaf"
    other.there.messages.is_held = how == "held"
    one.backplane.publish(Outgoing(ROOM, Message(b"1")))
    one.advance(5)
    assert (texts(one), texts(other)) == ([b"1"], [])
    other.there.messages.release()
    assert texts(other) == ([b"1"] if how == "held" else [])


def test_logs_of_several_nodes() -> None:
    """S17.2: each node gets the entries of a log in the same order, also those that it missed while it was cut off."""
    one, other = pair()
    rooms = one.follow(), other.follow()
    one.append(b"1")
    other.append(b"2")
    other.there.cut()
    one.append(b"3")
    assert other.now_at() != one.now_at()
    other.there.mend()
    one.advance(0)
    assert rooms == ([b"1", b"2", b"3"], [b"1", b"2", b"3"])
    assert other.now_at() == one.now_at()


def test_entries_that_come_before_the_answer() -> None:
    """S17.2: an entry that comes before a node knows its position is delivered after that, once."""
    one, other = pair()
    one.follow()
    other.there.answers.late_seconds = 1
    got: list[bytes] = []
    other.backplane.history.follow("Room", FEW, lambda signal: got.append(signal.data), not_broken)
    one.advance(0)
    one.append(b"1")
    assert got == []
    one.advance(1)
    assert got == [b"1"]


def test_a_log_that_goes_back() -> None:
    """S17.2: each node that follows a log that went back is told its new position."""
    one, other = pair()
    told: list[object] = []
    one.result(one.backplane.history.follow("Room", FEW, lambda signal: None, told.append))
    other.follow("Hall")
    before = one.now_at()
    one.cluster.break_log("Room", FEW)
    one.advance(0)
    assert told == [one.now_at()]
    assert one.now_at().epoch != before.epoch


def test_a_name_that_can_not_be_followed() -> None:
    """S17.3: a node that could not follow a name is told its first position as a break."""
    one, other = pair()
    other.there.cut()
    told: list[object] = []
    with pytest.raises(BackplaneUnavailable):
        other.result(other.backplane.history.follow("Room", FEW, lambda signal: None, told.append))
    other.there.mend()
    one.advance(0)
    assert told == [other.now_at()]


def test_a_client_id_that_another_node_takes() -> None:
    """S17.1: who joins with the client id of another node is told, and so is that node; its leave does nothing then."""
    one, other = pair()
    one.join(ADA)
    assert other.result(other.backplane.presence.join(ADA)) is True
    assert (one.taken, other.taken) == ([("Room", "ada")], [])
    one.leave("ada")
    one.advance(60)
    assert one.ids() == ["ada"]
    other.leave("ada")
    assert one.ids() == other.ids() == []


def test_a_client_id_that_is_not_taken() -> None:
    """S17.1: a join that may replace nobody's changes nothing where another node holds the client id."""
    one, other = pair()
    one.join(Member("Room", "ada", ("red",)))
    join = other.backplane.presence.join
    assert other.result(join(ADA, replace=False)) is True
    assert (one.taken, other.ids("red")) == ([], ["ada"])
    assert one.result(one.backplane.presence.join(ADA, replace=False)) is False
    assert other.ids("red") == []
    one.leave("ada", 15)
    assert other.result(join(ADA, replace=False)) is False
    other.leave("bob")
    assert other.ids() == ["ada"]


def test_who_took_last() -> None:
    """S17.1: a node that has joined a client id again is not told of the take before that."""
    one, other = pair()
    one.join(ADA)
    one.there.messages.is_held = True
    other.backplane.presence.join(ADA)
    other.advance(0)
    one.there.answers.is_held = True
    one.backplane.presence.join(ADA)
    one.advance(0)
    one.there.messages.release()
    assert one.taken == []
    one.there.answers.release()
    one.advance(0)
    assert (one.taken, other.taken) == ([], [("Room", "ada")])


def test_a_take_that_was_not_heard() -> None:
    """S17.1: a node that was cut off is told once it is back whose client ids it holds no more."""
    one, other = pair()
    one.join(ADA, BOB)
    one.there.cut()
    assert other.result(other.backplane.presence.join(ADA)) is True
    assert one.taken == []
    one.there.mend()
    one.advance(0)
    assert one.taken == [("Room", "ada")]


def test_watches_of_several_nodes() -> None:
    """S17.1: who watches on one node is told of members of another, and of those of a node that dies."""
    one, other = pair()
    _, changes = one.watch()
    other.join(ADA)
    assert changes == [PresenceChange(joined=(ADA,))]
    one.cluster.kill(other.there)
    one.advance(14)
    assert len(changes) == 1
    one.advance(2)
    assert changes[1:] == [PresenceChange(left=(ADA,))]


def test_questions_to_several_nodes() -> None:
    """S17.1: each node answers; those that are silent are missing, and those that are gone are told apart."""
    one, other = pair()
    one.answer = other.answer = lambda question: succeed(question.body + b"!")
    names = one.there.node, other.there.node
    ask = one.backplane.ask
    assert one.result(ask(Question("count", b"a"), 2)) == Answers(dict.fromkeys(names, b"a!"))
    other.there.is_deaf = True
    assert one.result(ask(Question("count"), 2)) == Answers({names[0]: b"!"}, (names[1],))
    asked = ask(Question("count"), 2)
    one.cluster.kill(other.there)
    assert one.result(asked) == Answers({names[0]: b"!"}, (names[1],), (names[1],))
    assert one.result(ask(Question("count"), 2)) == Answers({names[0]: b"!"})


def test_a_store_that_is_away() -> None:
    """S17.3: what a node that is cut off asks of the store fails in time."""
    one, other = pair()
    other.there.cut()
    backplane = other.backplane
    for call in (
        lambda: backplane.once("a", 60),
        lambda: backplane.recall("a"),
        lambda: backplane.remember("a", b"", 60),
        lambda: backplane.presence.members("Room"),
        lambda: backplane.ask(Question("count"), 5),
    ):
        with pytest.raises(BackplaneUnavailable):
            other.result(call())
    assert one.result(one.backplane.once("a", 60)) is True
    other.there.mend()
    other.advance(0)
    assert other.result(backplane.once("a", 60)) is False
