from __future__ import annotations

import gc
import tracemalloc
import weakref
from random import Random
from typing import TypeVar

import pytest
from backplane.backplane_behaviour import BackplaneBehaviour
from backplane.history_behaviour import HistoryBehaviour
from backplane.machines import HistoryMachine, PresenceMachine, machine_of
from backplane.node import ADA, BOB, FEW, ROOM, Node, not_broken
from backplane.presence_behaviour import PresenceBehaviour
from memory import grown_bytes
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from pode_signals.backplane.contract import HistoryLimits, LoggedSignal, Member, Question
from pode_signals.backplane.memory import MemoryBackplane
from pode_signals.backplane.memory_history import MemoryHistoryLog
from pode_signals.backplane.memory_presence import MemoryPresence
from pode_signals.core.model import Target
from pode_signals.wire.message import Message, Outgoing

T = TypeVar("T")

PLACE_BYTES = 700


class MemoryNode(Node):
    """A node in memory, with a clock of its own. What it promises has come at once."""

    def __init__(self, remembered_bytes: int = 1 << 20) -> None:
        self.clock = Clock()
        super().__init__(MemoryBackplane(self.clock, remembered_bytes=remembered_bytes))

    def result(self, deferred: Deferred[T]) -> T:
        """What it fired with."""
        results: list[T] = []
        failures: list[Exception] = []
        deferred.addCallbacks(results.append, lambda failure: failures.append(failure.value))
        assert len(results) + len(failures) == 1
        if failures:
            raise failures[0]
        return results[0]

    def advance(self, seconds: float) -> None:
        """Set the clock forward."""
        self.clock.advance(seconds)


@pytest.fixture
def node() -> MemoryNode:
    """A node that has been started."""
    return MemoryNode()


@pytest.fixture
def full_node() -> MemoryNode:
    """One that remembers little."""
    return MemoryNode(remembered_bytes=2_000)


class TestHistory(HistoryBehaviour):
    pass


class TestPresence(PresenceBehaviour):
    pass


class TestBackplane(BackplaneBehaviour):
    pass


class TestHistoryAgreesWithAList(machine_of(HistoryMachine, MemoryNode)):  # type: ignore[misc]
    """The machine as a test."""


class TestPresenceAgreesWithADict(machine_of(PresenceMachine, MemoryNode)):  # type: ignore[misc]
    """The machine as a test."""


def kept(log: MemoryHistoryLog, name: str) -> list[bytes]:
    """The payloads that the log of a name has."""
    found: list[tuple[LoggedSignal, ...]] = []
    log.read(name, None, 1_000_000).addCallbacks(found.append, lambda failure: None)
    return [signal.data for signal in found[0]] if found else []


def follow(log: MemoryHistoryLog, name: str, limits: HistoryLimits = FEW) -> str:
    """Follow a name; the epoch of its log."""
    log.follow(name, limits, lambda signal: None, not_broken)
    position = log.position(name)
    assert position is not None
    return position.epoch


def append(log: MemoryHistoryLog, name: str, data: bytes = b"1") -> None:
    """Append an entry."""
    log.append(Target((name,)), data, None)


class TestMemoryHistory:
    def test_delivered_when_append_returns(self, node: MemoryNode) -> None:
        """S17.2: in memory an entry has been delivered, and its position is the node's, when ``append`` returns."""
        seen: list[object] = []
        history = node.backplane.history
        history.follow("Room", FEW, lambda signal: seen.append((signal.position, history.position("Room"))), not_broken)
        fired = history.append(ROOM, b"1", None)
        assert fired.called
        assert seen == [(history.position("Room"),) * 2]

    def test_what_deliver_does(self, node: MemoryNode) -> None:
        """S17.2: the function that an entry is delivered to may append, and may drop the log."""
        history = node.backplane.history
        delivered: list[bytes] = []

        def deliver(signal: LoggedSignal) -> None:
            delivered.append(signal.data)
            if signal.data == b"1":
                history.append(ROOM, b"2", None)
            elif signal.data == b"3":
                history.forget("Room")

        history.follow("Room", FEW, deliver, not_broken)
        positions = [node.append(b"1"), node.append(b"3")]
        assert delivered == [b"1", b"2", b"3"]
        assert [position.offset.partition("-")[0] for position in positions] == ["1", "3"]
        assert history.position("Room") is None

    def test_the_total(self) -> None:
        """S17.2: all logs together keep no more than the total, places included; the largest lose their oldest."""
        log = MemoryHistoryLog(Clock(), total_bytes=10_000)
        for name in ("Large", "Small"):
            follow(log, name, HistoryLimits(messages=1_000))
        append(log, "Small", b"s" * 300)
        for number in range(20):
            append(log, "Large", b"%03d" % number + b"." * 997)
        room = (10_000 - 300 - 2 * PLACE_BYTES - PLACE_BYTES) // (1_000 + PLACE_BYTES)
        assert kept(log, "Small") == [b"s" * 300]
        assert [int(data[:3]) for data in kept(log, "Large")] == list(range(20))[-room:]

    def test_larger_than_the_total(self, node: MemoryNode) -> None:
        """S17.2: the total holds for one entry too: it is delivered and not kept, and its position holds."""
        log = MemoryHistoryLog(Clock(), total_bytes=1_000)
        delivered: list[LoggedSignal] = []
        log.follow("Room", FEW, delivered.append, not_broken)
        append(log, "Room", b"x" * 1_000)
        assert [len(signal.data) for signal in delivered] == [1_000]
        assert (kept(log, "Room"), log.position("Room")) == ([], delivered[0].position)
        assert node.result(log.missed("Room", delivered[0].position, delivered[0].position)).complete

    def test_what_is_forgotten_makes_room(self) -> None:
        """S17.2: a log that was dropped, or got old, takes nothing of the total any more."""
        clock = Clock()
        log = MemoryHistoryLog(clock, total_bytes=10_000)
        for name in ("First", "Second", "Third"):
            follow(log, name)
        append(log, "First", b"1" * 8_000)
        log.forget("First")
        append(log, "Second", b"2" * 8_000)
        assert len(kept(log, "Second")) == 1
        clock.advance(61)
        append(log, "Third", b"3" * 8_000)
        assert len(kept(log, "Third")) == 1

    def test_the_total_after_the_largest_was_forgotten(self) -> None:
        """S17.2: a log that was dropped is none of those that lose entries, so that the total holds for the others."""
        log = MemoryHistoryLog(Clock(), total_bytes=10_000)
        names = ("Largest", "First", "Second")
        for name in names:
            follow(log, name, HistoryLimits(messages=1_000))
        append(log, "Largest", b"1" * 8_000)
        log.forget("Largest")
        for number in range(20):
            append(log, names[1 + number % 2], b"x" * 1_000)
        room = (10_000 - 2 * PLACE_BYTES) // (1_000 + PLACE_BYTES)
        assert sum(len(kept(log, name)) for name in names) == room

    @pytest.mark.parametrize(("size", "count"), [(2_000 - 2 * PLACE_BYTES, 1), (2_001 - 2 * PLACE_BYTES, 0)])
    def test_up_to_the_total(self, size: int, count: int) -> None:
        """S17.2: what takes exactly the total is kept, and one byte more is not."""
        log = MemoryHistoryLog(Clock(), total_bytes=2_000)
        follow(log, "Room")
        append(log, "Room", b"x" * size)
        assert len(kept(log, "Room")) == count

    def test_what_is_held_in_memory(self) -> None:
        """S17.2: what is held is the sum over all logs, places included, whatever made entries go."""
        clock, random = Clock(), Random(7)
        log = MemoryHistoryLog(clock, total_bytes=20_000, max_empty_names=2)
        names = [f"Name {number}" for number in range(6)]
        for _ in range(2_000):
            name = random.choice(names)
            act = random.random()
            if act < 0.1:
                follow(log, name, HistoryLimits(messages=8, seconds=random.choice((5, 60))))
            elif act < 0.15:
                log.unfollow(name)
            elif act < 0.2:
                log.forget(name)
            elif act < 0.3:
                clock.advance(random.uniform(0, 10))
            else:
                append(log, name, b"x" * random.randrange(3_000))
            # A read of each log has what is too old dropped from all of them.
            held = [entries for each in names if (entries := kept(log, each))]
            size_bytes = sum(PLACE_BYTES + sum(PLACE_BYTES + len(data) for data in entries) for entries in held)
            assert log.held == (sum(map(len, held)), size_bytes)
        log.clear()
        assert log.held == (0, 0)

    def test_what_is_too_old_is_not_read(self, node: MemoryNode) -> None:
        """S17.2: in memory what is too old is gone for every reader, without another append."""
        node.follow()
        begin, first = node.now_at(), node.append(b"1")
        node.advance(61)
        assert node.missed(begin, first) is None
        assert node.result(node.backplane.history.size("Room")) == (0, 0)
        assert node.result(node.backplane.history.read("Room", None, 9)) == ()

    @pytest.mark.parametrize("followed", [True, False])
    def test_quiet_logs_take_no_room(self, followed: bool) -> None:
        """S17.2: what is too old goes when any log is used, and no timer waits for it."""
        clock = Clock()
        log = MemoryHistoryLog(clock)
        for number in range(200):
            follow(log, f"Room{number}", HistoryLimits(seconds=60))
            append(log, f"Room{number}", b"x" * 10_000)
            if not followed:
                log.unfollow(f"Room{number}")
        follow(log, "Busy", HistoryLimits(seconds=600))
        tracemalloc.start()
        try:
            # What was allocated before is not traced, so what goes is what the payloads made now take.
            for number in range(200):
                append(log, f"Room{number}", bytes([number]) * 10_000)
            taken = tracemalloc.get_traced_memory()[0]
            clock.advance(61)
            append(log, "Busy")
            gc.collect()
            left = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert taken > 2_000_000
        assert left < 200_000
        assert clock.getDelayedCalls() == []

    def test_a_log_that_gets_old_in_parts(self) -> None:
        """S17.2: a log whose first entries have gone is looked at again when the last one is too old, not before."""
        clock = Clock()
        log = MemoryHistoryLog(clock, max_empty_names=0)
        follow(log, "Other")
        epoch = follow(log, "Room")
        append(log, "Room", b"1")
        log.unfollow("Room")
        clock.advance(50)
        append(log, "Room", b"2")
        # The first entry is too old, then the second one is 60 s old to the point.
        for seconds in (11, 49):
            clock.advance(seconds)
            append(log, "Other")
        assert kept(log, "Room") == [b"2"]
        clock.advance(1)
        append(log, "Other")
        assert follow(log, "Room") != epoch

    def test_logs_that_are_made_and_dropped(self) -> None:
        """S17.2: of logs that are made and dropped again and again nothing stays, and others get old as they would."""
        clock = Clock()
        log = MemoryHistoryLog(clock, max_empty_names=0)
        names = [f"{seconds} s" for seconds in range(2, 100)]
        Random(1).shuffle(names)
        epochs = {}
        for name in names:
            epochs[name] = follow(log, name, HistoryLimits(seconds=int(name[:-2])))
            append(log, name)

        def make_and_drop(_round: int) -> None:
            for _ in range(2_000):
                follow(log, "Room", HistoryLimits(seconds=1))
                append(log, "Room")
                log.forget("Room")

        assert grown_bytes(make_and_drop) < 50_000
        for name in names:
            log.unfollow(name)
        follow(log, "Other")
        clock.advance(60.5)
        append(log, "Other")
        gone = {name for name in names if follow(log, name) != epochs[name]}
        assert gone == {f"{seconds} s" for seconds in range(2, 61)}

    def test_logs_with_limits_of_their_own(self) -> None:
        """S17.2: a log that is kept for long keeps no other from going, and stays itself."""
        clock = Clock()
        log = MemoryHistoryLog(clock, max_empty_names=0)
        epochs = {}
        for name, seconds in (("Long", 600.0), ("Short", 60.0)):
            epochs[name] = follow(log, name, HistoryLimits(seconds=seconds))
            append(log, name)
            log.unfollow(name)
        clock.advance(61)
        assert follow(log, "Short") != epochs["Short"]
        assert kept(log, "Long") == [b"1"]
        append(log, "Long", b"2")
        clock.advance(601)
        follow(log, "Other")
        assert follow(log, "Long") != epochs["Long"]

    def test_names_that_nobody_follows(self) -> None:
        """S17.2: of so many names without entries the epoch is remembered; the one empty for longest is forgotten."""
        log = MemoryHistoryLog(Clock(), max_empty_names=3)
        names = ["first", "second", "third", "fourth", "fifth"]
        epochs = {name: follow(log, name) for name in names}
        for name in names[:4]:
            log.unfollow(name)
        assert follow(log, "second") == epochs["second"]
        log.unfollow("fifth")
        assert follow(log, "first") != epochs["first"]
        assert [follow(log, name) == epochs[name] for name in names[1:]] == [True] * 4

    def test_names_with_entries(self) -> None:
        """S17.2: a name that nobody follows is forgotten once it has had no entries for longest, and not before."""
        clock = Clock()
        log = MemoryHistoryLog(clock, max_empty_names=1)
        epochs = {name: follow(log, name) for name in ("first", "second", "third")}
        append(log, "first")
        for name in ("first", "second", "third"):
            log.unfollow(name)
        assert kept(log, "first") == [b"1"]
        append(log, "third", b"3")
        clock.advance(61)
        # Now "first" and "third" are empty, in this order, and one place is there for both.
        append(log, "first")
        assert follow(log, "third") == epochs["third"]
        assert follow(log, "first") != epochs["first"]
        assert follow(log, "second") != epochs["second"]

    def test_a_log_that_goes_as_it_is_appended_to(self, node: MemoryNode) -> None:
        """S17.2: an append to a log that is forgotten at this moment fails, rather than go to a log that nobody has."""
        clock = Clock()
        log = MemoryHistoryLog(clock, max_empty_names=0)
        follow(log, "Room")
        append(log, "Room")
        log.unfollow("Room")
        clock.advance(61)
        with pytest.raises(LookupError):
            node.result(log.append(ROOM, b"2", None))

    def test_many_names(self) -> None:
        """S17.2: however many names come and go, with an entry each, the logs take little more than the total."""
        log = MemoryHistoryLog(Clock(), total_bytes=500_000, max_empty_names=100)
        tracemalloc.start()
        try:
            for number in range(10_000):
                follow(log, f"Room{number}")
                append(log, f"Room{number}", b"%d" % number)
                log.unfollow(f"Room{number}")
            taken = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert taken < 1_000_000


class TestMemoryPresence:
    def test_timers(self) -> None:
        """S17.1: a timer is there while somebody leaves or something is to be told, and else none."""
        clock = Clock()
        presence = MemoryPresence(clock)
        presence.join(ADA)
        assert clock.getDelayedCalls() == []
        presence.watch("Room", lambda change: None)
        presence.leave("Room", "ada", 15)
        assert len(clock.getDelayedCalls()) == 1
        presence.join(BOB)
        presence.join(ADA)
        assert len(clock.getDelayedCalls()) == 1
        clock.advance(0)
        assert clock.getDelayedCalls() == []
        presence.join(Member("Room", "eve"))
        presence.unwatch("Room")
        assert clock.getDelayedCalls() == []

    def test_nothing_is_left(self) -> None:
        """S17.1: of a name whose members have left nothing is kept, however many there were."""
        clock = Clock()
        presence = MemoryPresence(clock)

        def come_and_go(number: int) -> None:
            for each in range(number * 1_000, number * 1_000 + 1_000):
                presence.join(Member(f"Room{each}", "ada"))
                presence.leave(f"Room{each}", "ada", each % 2)
            clock.advance(1)

        assert grown_bytes(come_and_go) < 50_000


class TestMemoryBackplane:
    def test_publish_is_deliver(self) -> None:
        """S17.1: in memory ``publish`` is the function that ``start`` was given, at the cost of one call."""
        backplane = MemoryBackplane(Clock())
        backplane.publish(Outgoing(ROOM, Message(b"1")))
        delivered: list[Outgoing] = []
        deliver = delivered.append
        backplane.start(deliver, lambda state: None, lambda question: succeed(None), lambda *taken: None)
        assert backplane.publish is deliver

    def test_each_has_a_name(self) -> None:
        """S17.1: each node has a name of its own."""
        names = {MemoryBackplane(Clock()).node for _ in range(10)}
        assert len(names) == 10
        assert all(name.isalnum() and name == name.lower() and len(name) <= 16 for name in names)

    def test_all_that_it_says_has_come(self, node: MemoryNode) -> None:
        """S17.1: in memory every Deferred has fired when it is returned."""
        backplane = node.backplane
        node.follow()
        position = node.now_at()
        fired = [
            backplane.history.missed("Room", position, position),
            backplane.history.size("Room"),
            backplane.presence.join(ADA),
            backplane.presence.members("Room"),
            backplane.ask(Question("count"), 2),
            backplane.once("key", 1),
            backplane.remember("key", b"1", 1),
            backplane.recall("key"),
            backplane.stop(),
        ]
        assert all(deferred.called for deferred in fired)

    def test_no_timers(self, node: MemoryNode) -> None:
        """S17.1: nothing is left of a question that is over, and no timer of a value."""
        node.answer = lambda question: succeed(b"1")
        answered = node.backplane.ask(Question("count"), 60)
        node.result(answered)
        node.answer = lambda question: Deferred()
        cancelled = node.backplane.ask(Question("count"), 60).addErrback(lambda failure: None)
        cancelled.cancel()
        node.result(node.backplane.remember("key", b"1", 60))
        assert node.clock.getDelayedCalls() == []
        left = weakref.ref(answered), weakref.ref(cancelled)
        del answered, cancelled
        gc.collect()
        assert [each() for each in left] == [None, None]

    def test_the_end(self, node: MemoryNode) -> None:
        """S17.1: after ``stop`` no timer is left and nothing is kept; started again, it is as new."""
        node.answer = lambda question: Deferred()
        node.follow()
        node.append(b"1")
        epoch = node.now_at().epoch
        node.join(ADA, BOB)
        node.watch()
        node.leave("ada", 15)
        node.leave("bob")
        node.backplane.ask(Question("count"), 60)
        node.result(node.backplane.remember("key", b"1", 60))
        node.result(node.backplane.stop())
        assert node.clock.getDelayedCalls() == []
        assert node.ids() == []
        assert node.result(node.backplane.recall("key")) is None
        node.join(ADA, BOB)
        assert node.ids() == ["ada", "bob"]
        node.follow()
        assert node.now_at().epoch != epoch
        node.backplane.start(
            node.delivered.append, lambda state: None, lambda question: succeed(b"again"), lambda *taken: None
        )
        node.backplane.publish(Outgoing(ROOM, Message(b"1")))
        assert len(node.delivered) == 1
        assert node.result(node.backplane.ask(Question("count"), 2)).given == {node.backplane.node: b"again"}

    def test_a_defect_is_logged(self, node: MemoryNode) -> None:
        """S17.1: an answer that fails is a line in the log, and one that takes too long or is cancelled is none."""
        lines: list[str] = []

        def observe(event: dict[str, object]) -> None:
            lines.append(str(event["log_namespace"]))

        def failing(question: Question) -> Deferred[bytes | None]:
            answer: Deferred[bytes | None] = Deferred()
            answer.errback(ValueError("a defect"))
            return answer

        globalLogPublisher.addObserver(observe)
        try:
            node.answer = failing
            node.backplane.ask(Question("count"), 2)
            assert lines == ["pode_signals.backplane.memory"]
            node.answer = lambda question: Deferred()
            node.backplane.ask(Question("count"), 2)
            node.advance(3)
            node.backplane.ask(Question("count"), 2)
            node.backplane.stop()
        finally:
            globalLogPublisher.removeObserver(observe)
        assert len(lines) == 1
