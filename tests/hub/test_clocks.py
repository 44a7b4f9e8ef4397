from __future__ import annotations

import gc
import select
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from fakes import FakeTransport, connect
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory import grown_bytes
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.task import Clock, LoopingCall

from pode_signals import Signals
from pode_signals.hub.clocks import TICK_SECONDS, SteadyClock, call_in_background, clock_for, wall_seconds, wall_time

HOUR = 3_600.0
STEPS = [-HOUR, -2.0, 0.0, 2.0, HOUR]


class FakeReactor(Clock):
    """A reactor that compares its timers with a wall clock that can be set, and which nobody runs: no thread starts.

    Attributes:
        real: seconds that have passed, whatever the wall clock shows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = 1_700_000_000.0
        self.real = 500.0
        self.to_start: list[partial[object]] = []

    def callWhenRunning(self, function: Callable[..., object], *args: Any) -> None:
        self.to_start.append(partial(function, *args))

    def step(self, seconds: float) -> None:
        """The wall clock is set; a reactor looks at its timers when it is woken."""
        self.rightNow += seconds

    def wake(self) -> None:
        """A turn, after an event or the end of a wait: the timers that are due at its beginning come."""
        for call in [each for each in self.calls if each.getTime() <= self.rightNow]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class Machine:
    """A steady clock on such a reactor, and time that passes for both."""

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.clock = SteadyClock(self.reactor, lambda: self.reactor.real, self.reactor.seconds)
        self.called: list[Any] = []

    def later(self, delay: float, what: Any = "called") -> Any:
        return self.clock.callLater(delay, self.called.append, what)

    def pass_seconds(self, seconds: float, *, ticking: bool = True) -> None:
        """Let time pass in steps of a tenth of a second, with a tick each second."""
        for _ in range(round(seconds * 10)):
            self.reactor.real = round(self.reactor.real + 0.1, 6)
            self.reactor.rightNow = round(self.reactor.rightNow + 0.1, 6)
            self.reactor.wake()
            if ticking and round(self.reactor.real * 10) % 10 == 0:
                self.clock.tick()

    @property
    def ticker(self) -> Any:
        """The thread that ticks, which the reactor is told to start last."""
        (thread,) = self.reactor.to_start[-1].args
        return thread

    @property
    def timers(self) -> int:
        """How many timers the reactor has."""
        return len(self.reactor.getDelayedCalls())


@pytest.fixture
def machine() -> Machine:
    return Machine()


class TestSteps:
    @pytest.mark.parametrize("delay", [0, 0.1, 3.0])
    @pytest.mark.parametrize("step", STEPS)
    def test_a_call_that_waits(self, machine: Machine, step: float, delay: float) -> None:
        """S16.1: whatever the wall clock is set to, a call that waits comes when it is due, and not before."""
        machine.later(delay)
        machine.reactor.step(step)
        machine.pass_seconds(delay - 0.1 if delay else 0)
        if delay:
            assert machine.called == []
        machine.pass_seconds(0.1 + TICK_SECONDS)
        assert machine.called == ["called"]

    @pytest.mark.parametrize("step", STEPS)
    def test_afterwards_they_are_on_time_again(self, machine: Machine, step: float) -> None:
        """S16.1: a second after the wall clock was set, calls that have waited before come on time."""
        machine.later(10)
        machine.reactor.step(step)
        machine.pass_seconds(2)
        machine.pass_seconds(7.9, ticking=False)
        assert machine.called == []
        machine.pass_seconds(0.1, ticking=False)
        assert machine.called == ["called"]

    @pytest.mark.parametrize("delay", [0, 0.1])
    def test_calls_that_take_their_time(self, machine: Machine, delay: float) -> None:
        """S16.1: what a call makes for the next turn comes, however long that call took."""

        def slow() -> None:
            machine.reactor.real += 0.05
            machine.later(0, "of the next turn")
            machine.reactor.real += 0.05

        machine.clock.callLater(delay, slow)
        machine.later(delay, "beside it")
        machine.pass_seconds(0.2, ticking=False)
        machine.pass_seconds(0.2, ticking=False)
        assert sorted(machine.called) == ["beside it", "of the next turn"]

    def test_without_ticks(self, machine: Machine) -> None:
        """S16.1: where the wall clock is not set, the reactor's own timer makes calls come on time."""
        machine.later(0.5)
        machine.later(0, "at once")
        machine.reactor.wake()
        assert machine.called == ["at once"]
        machine.pass_seconds(0.4, ticking=False)
        assert machine.called == ["at once"]
        machine.pass_seconds(0.1, ticking=False)
        assert machine.called == ["at once", "called"]

    def test_a_loop(self, machine: Machine) -> None:
        """S13.6: a LoopingCall runs once for each interval while the wall clock is set back and forth."""
        loop = LoopingCall(machine.called.append, "round")
        loop.clock = machine.clock
        loop.start(1.0, now=False)
        for step in (-HOUR, HOUR, -HOUR):
            machine.reactor.step(step)
            machine.pass_seconds(10)
        assert 29 <= len(machine.called) <= 30
        loop.stop()
        assert machine.timers == 0

    @example([("later", 0), ("delay", -1), ("reset", 2), ("pass", 1)])
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("later"), st.integers(0, 60)),
                st.tuples(st.just("step"), st.sampled_from(STEPS)),
                st.tuples(st.just("cancel"), st.integers(0, 9)),
                st.tuples(st.just("reset"), st.integers(0, 60)),
                st.tuples(st.just("delay"), st.integers(-60, 60)),
                st.tuples(st.just("pass"), st.integers(1, 30)),
            ),
            max_size=40,
        )
    )
    @settings(max_examples=200, deadline=None)
    def test_whatever_is_done(self, todo: list[tuple[str, Any]]) -> None:
        """S16.1: any calls, put off, made earlier or cancelled, come once, never too early, a second late at most."""
        machine = Machine()
        pending: list[tuple[Any, list[float]]] = []
        made_due = 0.0  # when a call was last given a time that may have passed
        for action, number in todo:
            if action == "later":
                came: list[float] = []
                delay = number / 10
                call = machine.clock.callLater(
                    delay,
                    lambda came=came: came.append(machine.reactor.real),  # type: ignore[misc]
                )
                pending.append((call, came))
            elif action == "step":
                machine.reactor.step(number)
            elif action == "pass":
                machine.pass_seconds(number / 10)
            elif pending:
                call, came = pending[number % len(pending)]
                if not call.active():
                    continue
                if action == "cancel":
                    call.cancel()
                elif action == "reset":
                    call.reset(number / 10)
                else:
                    call.delay(number / 10)
                    made_due = max(made_due, machine.reactor.real)
            for call, came in pending:
                assert len(came) <= 1
                assert not came or came[0] >= call.getTime() - 1e-6
                late = machine.reactor.real - max(call.getTime(), made_due)
                assert not call.active() or late < TICK_SECONDS + 0.11
        machine.reactor.real += 300
        machine.clock.tick()
        assert all(came or not call.active() for call, came in pending)
        assert (machine.timers, machine.clock.getDelayedCalls()) == (0, [])


class TestCalls:
    def test_the_order(self, machine: Machine) -> None:
        """S4.6: calls of one turn come in the order in which they were asked for."""
        for number in range(5):
            machine.later(0, number)
        machine.reactor.wake()
        assert machine.called == [0, 1, 2, 3, 4]

    def test_the_next_turn_is_not_this_one(self, machine: Machine) -> None:
        """S4.6: what a call asks for without a delay comes in the next turn."""
        machine.clock.callLater(0, machine.later, 0, "second")
        machine.reactor.wake()
        assert machine.called == []
        machine.reactor.wake()
        assert machine.called == ["second"]

    def test_one_that_raises(self, machine: Machine) -> None:
        """S4.5: a call that raises keeps no other from coming; the reactor gets to know of the error."""

        def fails() -> None:
            raise LookupError("of the call")

        machine.clock.callLater(0, fails)
        machine.later(0, "next turn")
        machine.clock.callLater(0.1, fails)
        machine.later(0.1, "timer")
        for _ in range(2):
            with pytest.raises(LookupError):
                machine.pass_seconds(0.1)
        machine.pass_seconds(0.2)
        assert sorted(machine.called) == ["next turn", "timer"]
        assert machine.timers == 0

    def test_cancelled(self, machine: Machine) -> None:
        """S4.7: a cancelled call does not come, and cancelling it twice raises, as with a reactor."""
        call = machine.later(1)
        call.cancel()
        with pytest.raises(AlreadyCancelled):
            call.cancel()
        machine.pass_seconds(2)
        assert machine.called == []
        done = machine.later(0)
        machine.reactor.wake()
        with pytest.raises(AlreadyCalled):
            done.cancel()

    @pytest.mark.parametrize("delay", [-1, float("nan")])
    def test_no_delay(self, machine: Machine, delay: float) -> None:
        """S16.1: a delay that is none is a ValueError."""
        with pytest.raises(ValueError, match="delay"):
            machine.later(delay)

    def test_calls_that_cancel_each_other(self, machine: Machine) -> None:
        """S4.7: a call may cancel all the others of its turn."""
        others: list[Any] = []
        machine.clock.callLater(0, lambda: [each.cancel() for each in others])
        others += [machine.later(0), machine.later(0), machine.later(0.1)]
        machine.reactor.wake()
        machine.pass_seconds(2)
        assert (machine.called, machine.timers) == ([], 0)

    def test_one_timer_in_the_reactor(self, machine: Machine) -> None:
        """S16.1: however many calls wait, the reactor has one timer for them, and none when they are cancelled."""
        calls = [machine.later(seconds) for seconds in (30, 5, 20, 5)]
        assert (machine.timers, len(machine.clock.getDelayedCalls())) == (1, 4)
        for call in calls:
            call.cancel()
        assert (machine.timers, machine.clock.getDelayedCalls()) == (0, [])

    def test_memory_of_cancelled_calls(self, machine: Machine) -> None:
        """S16.5: timers that are set and cancelled for ever, as HTTP does, leave nothing behind."""

        def set_and_cancel(_round: int) -> None:
            for _ in range(10_000):
                machine.later(60).cancel()

        machine.later(1_000)
        assert grown_bytes(set_and_cancel) < 100_000


class TestBackground:
    def test_no_timer_in_the_reactor(self, machine: Machine) -> None:
        """S16.7: what is called in the background comes within a second, and leaves no timer for tests to find."""
        call_in_background(machine.clock, 60, lambda: machine.called.append("told"))
        assert machine.timers == 0
        machine.pass_seconds(59.8)
        assert machine.called == []
        machine.pass_seconds(1.2)
        assert machine.called == ["told"]

    def test_cancelled(self, machine: Machine) -> None:
        """S16.7: a call in the background can be cancelled, by another one too."""
        calls: list[Any] = []
        call_in_background(machine.clock, 1, lambda: [each.cancel() for each in calls])
        calls.append(call_in_background(machine.clock, 1, lambda: machine.called.append("told")))
        machine.pass_seconds(3)
        assert machine.called == []

    def test_on_another_clock(self) -> None:
        """S16.7: an injected clock calls in the background as it calls anything."""
        clock, called = Clock(), list[str]()
        call_in_background(clock, 60, lambda: called.append("told"))
        clock.advance(60)
        assert called == ["told"]


class TestTheThread:
    def test_only_on_a_reactor_that_runs(self, machine: Machine) -> None:
        """S16.1: the thread that ticks is started once the reactor runs, for a daemon forks before."""
        machine.later(5)
        machine.later(0)
        assert len(machine.reactor.to_start) == 1

    def test_it_ends_where_nothing_waits(self, machine: Machine) -> None:
        """S16.1: where nothing waits any more the thread ends; the next call has a new one."""
        machine.later(5)
        ticker = machine.ticker
        machine.pass_seconds(4)
        assert not ticker.is_over
        machine.pass_seconds(3)
        assert ticker.is_over
        machine.later(5)
        assert len(machine.reactor.to_start) == 2

    def test_without_a_thread(self, machine: Machine) -> None:
        """S16.1: where the system has no thread to give, calls come all the same, and the next one asks again."""

        def fails() -> None:
            raise RuntimeError("can't start new thread")

        machine.later(0.1)
        machine.ticker.start = fails
        machine.reactor.to_start[0]()
        machine.later(0.2)
        assert len(machine.reactor.to_start) == 2
        machine.pass_seconds(1, ticking=False)
        assert machine.called == ["called", "called"]

    def test_a_reactor_that_takes_no_ticks(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        """S16.1: a reactor that is held up, or has stopped, is not given more and more to do."""
        given: list[Any] = []
        machine.reactor.callFromThread = given.append  # type: ignore[attr-defined]
        machine.later(5)
        ticker = machine.ticker
        naps: list[float] = []

        def nap(_read: Any, _write: Any, _errors: Any, seconds: float) -> None:
            naps.append(seconds)
            ticker.is_over = len(naps) == 100

        # The system's sleep, of which the thread has as much as it likes.
        monkeypatch.setattr(select, "select", nap)
        ticker.run()
        assert 1 <= len(given) <= 3
        given[0]()
        ticker.is_over = False
        naps.clear()
        ticker.run()
        assert 2 <= len(given) <= 6

    def test_a_reactor_that_is_closed(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        """S16.1: an event loop that is closed for good ends the thread without a word."""

        def closed(_function: object) -> None:
            raise RuntimeError("Event loop is closed")

        machine.reactor.callFromThread = closed  # type: ignore[attr-defined]
        machine.later(5)
        # The system's sleep.
        monkeypatch.setattr(select, "select", lambda *_: None)
        ticker = machine.ticker
        ticker.run()
        assert ticker.daemon


class TestWallTime:
    def test_of_a_steady_clock(self, machine: Machine) -> None:
        """S5.3: what happened so many seconds ago is so long ago by the wall clock as it is set now."""
        then = machine.clock.seconds()
        machine.pass_seconds(10)
        for step in (0, HOUR, -HOUR):
            machine.reactor.step(step)
            assert wall_time(machine.clock, then).timestamp() == pytest.approx(machine.reactor.rightNow - 10)
        assert wall_seconds(machine.clock) == machine.reactor.rightNow

    def test_it_does_not_tremble(self, machine: Machine) -> None:
        """S5.3: asked twice, the time of one thing is the same to the last digit."""
        before = wall_time(machine.clock, 490.0)
        machine.reactor.rightNow += 0.000_7
        assert wall_time(machine.clock, 490.0) == before

    def test_of_an_injected_clock(self) -> None:
        """S5.3: an injected clock is the wall clock as well."""
        clock = Clock()
        clock.advance(1_700_000_000)
        assert wall_seconds(clock) == 1_700_000_000
        assert wall_time(clock, 86_400.0) == datetime(1970, 1, 2, tzinfo=UTC)


class TestWhichClock:
    def test_a_reactor_has_one(self) -> None:
        """S0.1: all that is given the same reactor shares one clock; it goes with the last of them."""
        reactor = EPollReactor()
        try:
            clock = clock_for(reactor)
            assert isinstance(clock, SteadyClock)
            assert clock_for(reactor) is clock
            assert Signals(clock=reactor).clock is clock
        finally:
            reactor.disconnectAll()
            for reader in reactor.removeAll():
                reader.connectionLost(None)  # type: ignore[arg-type]
            gc.collect()

    def test_anything_else_is_taken_as_it_is(self) -> None:
        """S0.1: an injected clock is asked as it is."""
        clock = Clock()
        assert clock_for(clock) is clock
        assert Signals(clock=clock).clock is clock


class OnAMachine:
    """Signals on a machine whose wall clock can be set."""

    def __init__(self, **settings: Any) -> None:
        self.machine = Machine()
        self.signals = Signals(clock=self.machine.clock, **settings)


def connected_on(on: OnAMachine) -> FakeTransport:
    """A connection whose Connect functions have run."""
    client = connect(on.signals)
    on.machine.reactor.wake()
    return client


class TestOfTheHub:
    @pytest.mark.parametrize("step", STEPS)
    def test_pings_and_pongs(self, step: float) -> None:
        """S16.1: whatever the wall clock is set to, a client that answers no ping is gone in time, and no other is."""
        on = OnAMachine()
        clients = []
        for answers in (True, False):
            client = connected_on(on)
            client.answers_pings = answers
            clients.append(client)
        on.machine.pass_seconds(5)
        on.machine.reactor.step(step)
        on.machine.pass_seconds(26)
        assert [len(client.pings) for client in clients] == [1, 1]
        on.machine.pass_seconds(12)
        assert [client.aborts for client in clients] == [0, 1]

    @pytest.mark.parametrize("step", STEPS)
    def test_a_message_that_never_ends(self, step: float) -> None:
        """S16.3: whatever the wall clock is set to, a message that takes too long ends the connection in time."""
        on = OnAMachine()
        client = connected_on(on)
        client.link.message_begins()
        on.machine.reactor.step(step)
        on.machine.pass_seconds(9)
        assert client.got == []
        on.machine.pass_seconds(3)
        assert [each.code for each in client.got] == [1008]  # type: ignore[union-attr]

    def test_times_that_applications_see(self) -> None:
        """S2.5: after the wall clock was set, connections and events tell times by it."""
        on = OnAMachine()
        events: list[Any] = []
        on.signals.route("/ws")(events.append)
        on.signals.on_disconnect("Msg")(events.append)
        client = connected_on(on)
        on.machine.reactor.step(-HOUR)
        on.machine.pass_seconds(5)
        client.says("hello")
        client.vanishes()
        now = on.machine.reactor.rightNow
        assert client.connection.connected_at.timestamp() == pytest.approx(now - 5)
        assert client.connection.last_activity.timestamp() == pytest.approx(now)
        assert [event.timestamp.timestamp() for event in events] == pytest.approx([now, now])

    @pytest.mark.parametrize("step", [-HOUR, HOUR])
    def test_schedules_follow_the_wall_clock(self, step: float) -> None:
        """S13.4: cron goes by the wall clock: what is passed over is skipped, what has run does not run again."""
        on = OnAMachine()
        runs: list[float] = []
        on.signals.add_schedule("each minute", "* * * * *", lambda: runs.append(on.machine.reactor.rightNow))
        on.signals.start_schedules()
        on.machine.pass_seconds(70)
        assert len(runs) == 1
        on.machine.reactor.step(step)
        on.machine.pass_seconds(130)
        (state,) = on.signals.schedules()
        assert (len(runs), state.skipped) == ((1, 0) if step < 0 else (4, 59))
        on.signals.stop_schedules()
        assert on.machine.timers == 0

    @pytest.mark.parametrize("step", STEPS)
    def test_timers_do_not(self, step: float) -> None:
        """S13.6: timers count seconds that pass, and tell when they ran and will run by the wall clock."""
        on = OnAMachine()
        runs: list[float] = []
        on.signals.add_timer("tick", 2.0, lambda: runs.append(on.machine.reactor.real))
        on.signals.start_schedules()
        on.machine.pass_seconds(5)
        on.machine.reactor.step(step)
        on.machine.pass_seconds(10)
        assert len(runs) == 7
        (state,) = on.signals.timers()
        now = on.machine.reactor.rightNow
        assert state.last is not None
        assert state.next is not None
        assert state.skipped == 0
        assert state.last.timestamp() == pytest.approx(now - 1, abs=0.2)
        assert state.next.timestamp() == pytest.approx(now + 1, abs=0.2)
        on.signals.stop_schedules()

    def test_nothing_is_left(self) -> None:
        """S0.1: when the last connection is gone, no timer of the hub is left in the reactor."""
        on = OnAMachine()
        client = connected_on(on)
        assert on.machine.timers == 1
        client.vanishes()
        on.machine.reactor.wake()
        assert on.machine.timers == 0
