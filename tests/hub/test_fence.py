from __future__ import annotations

import asyncio
import math
from collections.abc import Generator
from contextvars import ContextVar, copy_context
from typing import Any, cast

import pytest
from fakes import new_runtime
from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from pode_signals.hub.context import current_event
from pode_signals.hub.fence import FAILED, TIMED_OUT, Fence, Place

colour: ContextVar[str] = ContextVar("colour", default="none")


class Fenced:
    """A fence with a clock, and what it reports later."""

    def __init__(self) -> None:
        self.clock = Clock()
        runtime = new_runtime(self.clock)
        self.counters = runtime.counters
        self.fence = Fence(runtime)
        self.later: list[Any] = []

    def run(self, function: Any, *args: Any, **options: Any) -> tuple[Any] | None:
        return self.fence.run(Place("the test"), function, args, later=self.later.append, **options)

    @property
    def counted(self) -> tuple[int, int]:
        """Failed, timed out."""
        return (self.counters.functions_failed, self.counters.functions_timed_out)


@pytest.fixture
def fenced() -> Fenced:
    """A fence with 30 s."""
    return Fenced()


def raises(*_args: object) -> None:
    raise LookupError("secret")


async def raises_too() -> None:
    raise LookupError("secret")


@inlineCallbacks
def old_style(value: int) -> Generator[Any, Any, int]:
    yield succeed(None)
    return value


class Waits:
    """Awaitable, and neither a coroutine nor a Deferred."""

    def __init__(self, deferred: Deferred[Any]) -> None:
        self._deferred = deferred

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._deferred.__await__())


async def at_once(value: int) -> int:
    return value


async def stubborn(first: Deferred[str], then: Deferred[str]) -> str:
    """Waits for one, and goes on with another where it is cancelled."""
    try:
        return await first
    except CancelledError:
        return await then


class TestAtOnce:
    @pytest.mark.parametrize(
        "function", [lambda value: value, at_once, succeed, old_style, lambda value: Waits(succeed(value))]
    )
    def test_kinds_of_functions(self, fenced: Fenced, function: Any) -> None:
        """S5.6: functions may be plain, async def or give a Deferred; one that ends at once gives its result."""
        assert fenced.run(function, 7) == (7,)
        assert (fenced.later, fenced.counted, fenced.clock.getDelayedCalls()) == ([], (0, 0), [])

    @pytest.mark.parametrize("function", [raises, raises_too, lambda: fail(LookupError("secret"))])
    def test_kinds_of_failures(self, fenced: Fenced, function: Any) -> None:
        """S5.7: one that raises is logged once with what ran, and counted."""
        with capturedLogs() as logs:
            assert fenced.run(function) == (FAILED,)
        assert fenced.counted == (1, 0)
        assert [(event["where"], event["log_failure"].type) for event in logs] == [("the test", LookupError)]
        assert logs[0]["log_level"] is LogLevel.critical

    def test_arguments(self, fenced: Fenced) -> None:
        """S9.1: arguments and keyword arguments reach the function."""
        assert fenced.run(lambda *args, **kwargs: (args, kwargs), 1, 2, kwargs={"a": 3}) == (((1, 2), {"a": 3}),)

    def test_other_things_are_results(self, fenced: Fenced) -> None:
        """S5.6: what is no awaitable is a result, None and a generator too."""
        generator = (number for number in ())
        assert fenced.run(lambda: None) == (None,)
        assert fenced.run(lambda: generator) == (generator,)


class TestPending:
    def test_it_ends_later(self, fenced: Fenced) -> None:
        """S5.6: one that goes on reports its end, once, and leaves no timer."""
        deferred: Deferred[str] = Deferred()
        assert fenced.run(lambda: deferred) is None
        assert fenced.later == []
        deferred.callback("end")
        assert fenced.later == ["end"]
        assert (fenced.counted, fenced.clock.getDelayedCalls()) == ((0, 0), [])

    def test_it_fails_later(self, fenced: Fenced) -> None:
        """S5.7: one that raises later is logged and counted once."""
        deferred: Deferred[None] = Deferred()

        async def function() -> None:
            await deferred
            raise LookupError

        assert fenced.run(function) is None
        with capturedLogs() as logs:
            deferred.callback(None)
        assert (fenced.later, fenced.counted, len(logs)) == ([FAILED], (1, 0), 1)
        assert fenced.clock.getDelayedCalls() == []

    def test_on_pending(self, fenced: Fenced) -> None:
        """S5.7: who may have to cancel it gets the Deferred of one that goes on, and of no other."""
        pending: list[Deferred[Any]] = []
        fenced.run(lambda: 1, on_pending=pending.append)
        assert pending == []
        fenced.run(Deferred, on_pending=pending.append)
        with capturedLogs():
            pending[0].cancel()
        assert fenced.later == [FAILED]


class TestTimeouts:
    @pytest.mark.parametrize("kind", ["Deferred", "async def", "inlineCallbacks", "awaitable"])
    def test_cancelled_at_the_limit(self, fenced: Fenced, kind: str) -> None:
        """S5.7: past the limit it is cancelled, once, logged and counted, and its end is reported as failed."""
        cancelled: list[Deferred[Any]] = []
        waiting: Deferred[None] = Deferred(cancelled.append)

        async def waits() -> None:
            await waiting

        @inlineCallbacks
        def waits_too() -> Generator[Any, Any, None]:
            yield waiting

        kinds = {
            "Deferred": lambda: waiting,
            "async def": waits,
            "inlineCallbacks": waits_too,
            "awaitable": lambda: Waits(waiting),
        }
        fenced.run(kinds[kind])
        fenced.clock.advance(29.9)
        assert (fenced.later, cancelled) == ([], [])
        with capturedLogs() as logs:
            fenced.clock.advance(0.1)
        assert (fenced.later, cancelled, fenced.counted) == ([TIMED_OUT], [waiting], (0, 1))
        assert [(event["where"], event["seconds"]) for event in logs] == [("the test", 30.0)]
        fenced.clock.advance(1_000)
        assert (fenced.later, cancelled) == ([TIMED_OUT], [waiting])

    def test_it_swallows_the_cancellation(self, fenced: Fenced) -> None:
        """S5.7: one that goes on after its cancellation is over all the same; what it gives at last is ignored."""
        waits: list[Deferred[str]] = [Deferred(), Deferred()]
        fenced.run(lambda: stubborn(*waits))
        with capturedLogs():
            fenced.clock.advance(30)
        assert (fenced.later, fenced.counted) == ([TIMED_OUT], (0, 1))
        waits[1].callback("late")
        fenced.clock.advance(1_000)
        assert (fenced.later, fenced.counted) == ([TIMED_OUT], (0, 1))

    def test_it_fails_after_its_time(self, fenced: Fenced) -> None:
        """S5.7: what goes on after its cancellation and then raises reports nothing a second time."""
        waits: list[Deferred[str]] = [Deferred(), Deferred()]
        fenced.run(lambda: stubborn(*waits))
        with capturedLogs():
            fenced.clock.advance(30)
        with capturedLogs() as logs:
            waits[1].errback(LookupError())
        assert (fenced.later, logs) == ([TIMED_OUT], [])

    def test_it_answers_the_cancellation(self, fenced: Fenced) -> None:
        """S5.7: a result that is given because of the cancellation is ignored: its time was over."""

        async def answers() -> str:
            try:
                await Deferred()
            except CancelledError:
                return "too late"
            return "never"

        fenced.run(answers)
        with capturedLogs():
            fenced.clock.advance(30)
        assert fenced.later == [TIMED_OUT]

    def test_it_raises_while_it_is_cancelled(self, fenced: Fenced) -> None:
        """S5.7: an error of its own on the way out is logged too, and the end reported once."""

        async def careless() -> None:
            try:
                await Deferred()
            finally:
                raise LookupError

        fenced.run(careless)
        with capturedLogs():
            fenced.clock.advance(30)
        assert (fenced.later, fenced.counted) == ([TIMED_OUT], (1, 1))

    def test_a_canceller_that_raises(self, fenced: Fenced) -> None:
        """S5.7: a Deferred whose canceller raises is over too: whatever waits behind it goes on."""
        deferred: Deferred[None] = Deferred(raises)
        fenced.run(lambda: deferred)
        with capturedLogs():
            fenced.clock.advance(30)
        assert fenced.later == [TIMED_OUT]
        deferred.callback(None)
        assert (fenced.later, fenced.counted[1]) == ([TIMED_OUT], 1)

    def test_limits_of_its_own(self, fenced: Fenced) -> None:
        """S5.7: a function may have a limit of its own, or none."""
        fenced.run(Deferred, timeout_seconds=2.0)
        fenced.run(Deferred, timeout_seconds=math.inf)
        with capturedLogs():
            fenced.clock.advance(2)
            assert len(fenced.later) == 1
            assert fenced.clock.getDelayedCalls() == []
            fenced.clock.advance(1_000_000)
        assert (len(fenced.later), fenced.counted) == (1, (0, 1))


class TestContext:
    def test_what_it_sets_stays_inside(self, fenced: Fenced) -> None:
        """S9.3: a function runs in a context of its own: what it sets there reaches no other."""

        async def paints(waiting: Deferred[None] | None) -> str:
            colour.set("red")
            if waiting is not None:
                await waiting
            return colour.get()

        assert fenced.run(paints, None) == ("red",)
        assert fenced.run(lambda: colour.set("blue")) is not None
        waiting: Deferred[None] = Deferred()
        fenced.run(paints, waiting)
        assert colour.get() == "none"
        waiting.callback(None)
        assert (fenced.later, colour.get()) == (["red"], "none")

    def test_a_given_context(self, fenced: Fenced) -> None:
        """S9.3: it runs in the context that it is given, else in a copy of the caller's."""
        given = copy_context()
        given.run(colour.set, "green")
        assert fenced.run(colour.get, context=given) == ("green",)
        token = colour.set("yellow")
        try:
            assert fenced.run(colour.get) == ("yellow",)
        finally:
            colour.reset(token)


class TestInTwoSteps:
    def test_it_gives_at_once(self, fenced: Fenced) -> None:
        """S5.6: what a plain function gives needs no following, and following it gives the same."""
        given = copy_context()
        event: Any = "the test"
        result = fenced.fence.call(event, given, lambda gets: (gets, current_event.get()))
        assert result == (event, event)
        assert current_event.get() is None
        assert fenced.fence.follow(event, given, result, fenced.later.append) == ((event, event),)
        assert fenced.fence.call(event, given, lambda _: None) is None
        assert (fenced.later, fenced.counted, fenced.clock.getDelayedCalls()) == ([], (0, 0), [])

    def test_it_raises_at_once(self, fenced: Fenced) -> None:
        """S5.7: one that raises is logged and counted by the first step, and not again by the second."""
        given, event = copy_context(), cast(Any, Place("the test"))
        with capturedLogs() as logs:
            result = fenced.fence.call(event, given, lambda _: raises())
            assert result is FAILED
            assert fenced.fence.follow(Place("the test"), given, result, fenced.later.append) == (FAILED,)
        assert [(event["where"], event["log_failure"].type) for event in logs] == [("the test", LookupError)]
        assert (fenced.later, fenced.counted) == ([], (1, 0))

    @pytest.mark.parametrize("wrap", [lambda coroutine: coroutine, Deferred.fromCoroutine], ids=["async", "Deferred"])
    def test_one_context_for_both(self, fenced: Fenced, wrap: Any) -> None:
        """S9.3: both steps run in the context that is given, before and after a wait, and leave the caller's alone."""
        given = copy_context()
        given.run(colour.set, "green")
        waiting: Deferred[None] = Deferred()
        seen: list[str] = []

        async def paints() -> None:
            seen.append(colour.get())
            colour.set("red")
            await waiting
            seen.append(colour.get())

        pending: list[Deferred[Any]] = []
        result = fenced.fence.call(cast(Any, "the test"), given, lambda _: wrap(paints()))
        ended = fenced.fence.follow(Place("the test"), given, result, fenced.later.append, on_pending=pending.append)
        assert (ended, len(pending), colour.get()) == (None, 1, "none")
        waiting.callback(None)
        assert (seen, fenced.later, colour.get()) == (["green", "red"], [None], "none")
        assert fenced.clock.getDelayedCalls() == []

    def test_the_hubs_limit(self, fenced: Fenced) -> None:
        """S5.7: following without a limit of its own keeps to the hub's, with one of its own to that."""
        given = copy_context()
        fenced.fence.follow(Place("the test"), given, Deferred(), fenced.later.append)
        fenced.fence.follow(Place("the test"), given, Waits(Deferred()), fenced.later.append, timeout_seconds=2.0)
        with capturedLogs() as logs:
            fenced.clock.advance(2)
            assert fenced.later == [TIMED_OUT]
            fenced.clock.advance(28)
        assert fenced.later == [TIMED_OUT, TIMED_OUT]
        assert [event["seconds"] for event in logs] == [2.0, 30.0]


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("way", ["plain", "async", "Deferred", "cancelled", "a message"])
def test_exits_are_kept(fenced: Fenced, way: str, error: type[BaseException]) -> None:
    """S5.7: what no reactor lets through ends the function, and not what was begun for it."""

    def leaves(*_: Any) -> None:
        raise error

    async def leaves_later() -> None:
        leaves()

    with capturedLogs() as logs:
        if way == "plain":
            assert fenced.run(leaves) == (FAILED,)
        elif way == "async":
            assert fenced.run(leaves_later) == (FAILED,)
        elif way == "Deferred":
            assert fenced.run(lambda: succeed(None).addCallback(leaves)) == (FAILED,)
        elif way == "cancelled":
            fenced.run(lambda: Deferred(leaves))
            fenced.clock.advance(30)
            assert fenced.later == [TIMED_OUT]
        else:
            assert fenced.fence.call(cast(Any, Place("the test")), copy_context(), leaves) is FAILED
    assert [event["log_failure"].type for event in logs if "log_failure" in event] == [error]
    assert fenced.counted[0] == 1


def test_an_interrupt_is_not_kept(fenced: Fenced) -> None:
    """S5.7: whoever interrupts the program from the keyboard means the program."""

    def leaves() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fenced.run(leaves)


def test_asyncio_without_its_reactor(fenced: Fenced) -> None:
    """S20.6: awaiting what belongs to asyncio on another reactor is one line that says what to do."""

    async def naps() -> None:
        await asyncio.sleep(1)

    with capturedLogs() as events:
        assert fenced.run(naps) == (FAILED,)
    assert [formatEvent(each) for each in events if each["log_level"] is LogLevel.warn] == [
        "the test: asyncio can be used on its own reactor alone (twistd --reactor=asyncio);"
        " on any other, await Deferreds, such as twisted.internet.task.deferLater(reactor, seconds)"
    ]
