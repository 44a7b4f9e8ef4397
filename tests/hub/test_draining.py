from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent

from pode_signals.core.model import ClosedBy, Closure
from pode_signals.hub.draining import Drain


class Connection:
    """A connection that knows when it was told to go."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.told_at: float | None = None
        self.aborted_at: float | None = None
        self._waiting: list[Deferred[Closure]] = []

    def shut(self, code: int, _reason: str, by: ClosedBy) -> None:
        assert (code, by) == (1001, ClosedBy.SHUTDOWN)
        if self.told_at is None:
            self.told_at = self.hub.clock.seconds()
            self.hub.answer(self)

    def when_disconnected(self) -> Deferred[Closure]:
        if self not in self.hub.open:
            return succeed(Closure(1001))
        waiter: Deferred[Closure] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def gone(self) -> None:
        self.hub.open.pop(self, None)
        while self._waiting:
            self._waiting.pop().callback(Closure(1001))

    def abort(self, by: ClosedBy) -> None:
        assert by is ClosedBy.SHUTDOWN
        self.aborted_at = self.hub.clock.seconds()
        self.hub.clock.callLater(0, self.gone)


class Hub:
    """Connections whose clients answer a close frame as ``answer`` says."""

    def __init__(self, clock: Clock, answer: Callable[[Connection], None]) -> None:
        self.clock = clock
        self.answer = answer
        self.all: list[Connection] = []
        self.open: dict[Connection, None] = {}

    def connect(self, count: int = 1) -> None:
        new = [Connection(self) for _ in range(count)]
        self.all += new
        self.open.update(dict.fromkeys(new))

    def links(self) -> tuple[Connection, ...]:
        return tuple(self.open)


class Draining:
    """A drain that runs."""

    def __init__(self, count: int, seconds: float = 30, answer: Callable[[Connection], None] | None = None) -> None:
        self.clock = Clock()
        self.hub = Hub(self.clock, answer or (lambda connection: self.clock.callLater(0.01, connection.gone)))
        self.hub.connect(count)
        self.drain = Drain(self.hub, self.clock, Random(7), seconds)  # type: ignore[arg-type]
        self.ended_at: float | None = None

    def start(self) -> None:
        Deferred.fromCoroutine(self.drain.run()).addCallback(self._ended)

    def _ended(self, _result: None) -> None:
        self.ended_at = self.clock.seconds()

    def pass_seconds(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds * 100))


def silent(_connection: Connection) -> None:
    """A client that never answers."""


def test_nobody_there() -> None:
    """S12.2: without clients a stop waits for nothing."""
    draining = Draining(0)
    draining.start()
    assert draining.ended_at == 0


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, []),
        (1, ["closing 1 connection; after 3 s the rest is aborted"]),
        (60, ["closing 60 connections; after 3 s the rest is aborted"]),
    ],
)
def test_what_the_log_says(count: int, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """S12.2: at a stop the log says how many connections are closed, and after what time the rest is aborted."""
    lines: list[str] = []
    monkeypatch.setattr(Drain, "_log", Logger(observer=lambda event: lines.append(formatEvent(event))))
    Draining(count, seconds=3).start()
    assert lines == said


def test_a_few_clients() -> None:
    """S12.2: a few clients are told at once, and the stop ends when they are gone."""
    draining = Draining(25)
    draining.start()
    assert {each.told_at for each in draining.hub.all} == {0}
    assert draining.ended_at is None
    draining.pass_seconds(0.02)
    assert draining.ended_at == pytest.approx(0.01)
    assert draining.clock.getDelayedCalls() == []


def test_many_clients() -> None:
    """S12.2: many clients are told in batches with uneven pauses, in a couple of seconds, and not in their order."""
    draining = Draining(500)
    draining.start()
    draining.pass_seconds(4)
    times = sorted({each.told_at for each in draining.hub.all if each.told_at is not None})
    assert len(times) == 20
    assert 1 < times[-1] < 3
    assert draining.ended_at == pytest.approx(times[-1] + 0.01)
    pauses = [round(later - earlier, 2) for earlier, later in pairwise(times)]
    assert len(set(pauses)) > 3
    assert [each.told_at for each in draining.hub.all] != sorted(each.told_at or 0 for each in draining.hub.all)
    assert all(each.aborted_at is None for each in draining.hub.all)


def test_very_many_clients() -> None:
    """S12.2: however many clients there are, all are told within the first half of the time."""
    draining = Draining(20_000, seconds=4)
    draining.start()
    draining.pass_seconds(2)
    assert all(each.told_at is not None for each in draining.hub.all)
    assert draining.ended_at is not None


def test_clients_that_do_not_answer() -> None:
    """S12.2: those that are left after ``drain_seconds`` are aborted, and the stop ends."""
    draining = Draining(60, seconds=3, answer=silent)
    draining.start()
    draining.pass_seconds(2.9)
    assert all(each.aborted_at is None for each in draining.hub.all)
    assert draining.ended_at is None
    draining.pass_seconds(0.2)
    assert [each.aborted_at for each in draining.hub.all] == [pytest.approx(3, abs=0.02)] * 60
    assert draining.ended_at == pytest.approx(3, abs=0.03)


def test_a_late_client() -> None:
    """S12.2: a connection that comes in meanwhile, by a route that had begun before, is told too."""
    draining = Draining(30)
    draining.start()
    draining.pass_seconds(0.05)
    draining.hub.connect()
    draining.pass_seconds(1)
    assert draining.hub.all[-1].told_at is not None
    assert draining.ended_at is not None


def test_hurry() -> None:
    """S12.2: a second stop aborts those that are left, at once."""
    draining = Draining(60, answer=silent)
    draining.start()
    draining.pass_seconds(1)
    draining.drain.hurry()
    draining.pass_seconds(0.02)
    assert [each.aborted_at for each in draining.hub.all] == [pytest.approx(1)] * 60
    assert draining.ended_at == pytest.approx(1.01)
    assert draining.clock.getDelayedCalls() == []


def test_hurry_before_it_runs() -> None:
    """S12.2: told to hurry before it began, a drain aborts without telling anybody."""
    draining = Draining(60, answer=silent)
    draining.drain.hurry()
    draining.start()
    draining.pass_seconds(0.01)
    assert {each.told_at for each in draining.hub.all} == {None}
    assert draining.ended_at == pytest.approx(0.01)


def test_a_transport_that_does_not_even_abort() -> None:
    """S12.2: a connection that does not go when it is aborted can't keep the stop from ending."""
    draining = Draining(1, seconds=2, answer=silent)
    draining.hub.all[0].abort = lambda by: None  # type: ignore[method-assign]
    draining.start()
    draining.pass_seconds(3.1)
    assert draining.ended_at == pytest.approx(3, abs=0.03)
