from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from pode_signals import Signals
from pode_signals.hub.turns import SHARE_SECONDS, TURN_SECONDS, Turns
from pode_signals.signals import hub_of


def one_turn(clock: Clock) -> None:
    """Call what is due, and nothing that is planned meanwhile."""
    for call in [each for each in clock.calls if each.getTime() <= clock.rightNow]:
        clock.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)


def test_what_measures() -> None:
    """S16.1: where time is a reactor's, durations are the machine's, which nobody sets; else those of the clock."""
    reactor = SelectReactor()
    try:
        turns = hub_of(Signals(clock=reactor)).turns
        assert turns.seconds() <= time.monotonic()
        assert turns.seconds is time.monotonic
    finally:
        reactor.removeAll()
    for clock in (Clock(), MemoryReactorClock()):
        turns = hub_of(Signals(clock=clock)).turns
        assert turns.seconds() == clock.seconds()
        assert turns.seconds == clock.seconds


def test_bounds() -> None:
    """S5.6: one client's share is a part of what all get, and that is no more than others notice."""
    assert 0 < 3 * SHARE_SECONDS < 0.005
    assert SHARE_SECONDS < TURN_SECONDS <= 0.05


@pytest.mark.parametrize("each_seconds", [0.0, 0.001, 0.006, 1.0])
def test_in_order(each_seconds: float) -> None:
    """S5.6: who waits is called in order, as many in a turn as the time allows, one at least; each once."""
    clock = Clock()
    turns = Turns(lambda: clock)
    called: list[tuple[int, int]] = []
    turn = 0

    def call(number: int) -> None:
        clock.rightNow += each_seconds
        called.append((turn, number))

    for number in range(40):
        turns.later(call, number)
    assert called == []
    while clock.calls:
        assert len(clock.calls) == 1
        turn += 1
        one_turn(clock)
    assert [number for _, number in called] == list(range(40))
    most = max(sum(1 for each, _ in called if each == number) for number in range(1, turn + 1))
    assert most == {0.0: 40, 0.001: 20, 0.006: 4, 1.0: 1}[each_seconds]


def test_who_comes_to_wait_again() -> None:
    """S5.6: who waits again while it is called is called in another turn, behind all others."""
    clock = Clock()
    turns = Turns(lambda: clock)
    called: list[str] = []

    def again() -> None:
        called.append("again")
        if len(called) < 5:
            turns.later(again)

    turns.later(again)
    turns.later(called.append, "other")
    one_turn(clock)
    assert called == ["again", "other"]
    one_turn(clock)
    assert called == ["again", "other", "again"]


def test_one_that_raises() -> None:
    """S16.8: one that raises keeps no other from its turn."""
    clock = Clock()
    turns = Turns(lambda: clock)
    called: list[int] = []

    def fail() -> None:
        raise ZeroDivisionError

    functions: list[Callable[[], object]] = [fail, lambda: called.append(1), fail, lambda: called.append(2)]
    for function in functions:
        turns.later(function)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            one_turn(clock)
    one_turn(clock)
    assert (called, clock.calls) == ([1, 2], [])


def test_the_number_of_a_turn() -> None:
    """S5.6: turns are told apart, and none is planned by itself."""
    clock = Clock()
    turns = Turns(lambda: clock)
    assert clock.calls == []
    first = turns.number
    assert turns.number == first
    one_turn(clock)
    assert clock.calls == []
    assert turns.number != first
