"""What a function of the user may await: Deferreds on each reactor, and on asyncio's its futures too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from fakes import fence_of
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from pode_signals.awaiting import pending_of
from pode_signals.hub.fence import TIMED_OUT, Place

pytestmark = pytest.mark.own_event_loop

colour: ContextVar[str] = ContextVar("colour", default="none")


def in_asyncio(function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The outcome of a function that the package runs within asyncio's loop."""

    async def main() -> Any:
        pending = pending_of(copy_context(), function())
        assert pending is not None
        return await pending.asFuture(asyncio.get_running_loop())

    return asyncio.run(asyncio.wait_for(main(), 30))


async def gives(value: str, seconds: float = 0) -> str:
    """Some work of asyncio."""
    await asyncio.sleep(seconds)
    return value


def test_futures_and_deferreds() -> None:
    """S20.6: under asyncio's reactor a function may await futures, tasks, turns of the loop and Deferreds, mixed."""

    async def function() -> list[str]:
        loop = asyncio.get_running_loop()
        later: Deferred[str] = Deferred()
        loop.call_soon(later.callback, "a Deferred")
        found = [await gives("a turn"), await gives("a timer", 0.001), await later, await succeed("at once")]
        found.append(await asyncio.create_task(gives("a task", 0.001)))
        found += await asyncio.gather(gives("one"), gives("two"))
        return found

    wanted = ["a turn", "a timer", "a Deferred", "at once", "a task", "one", "two"]
    assert in_asyncio(function) == wanted


def test_failures_and_cancelled_futures() -> None:
    """S20.6: what a future fails with is raised where it is awaited, and can be caught there."""

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("the task")

    async def function() -> list[str]:
        found = []
        try:
            await asyncio.create_task(fails())
        except LookupError as error:
            found.append(str(error))
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel)
        try:
            await future
        except asyncio.CancelledError:
            found.append("cancelled")
        try:
            await Deferred.fromCoroutine(fails_at_once())
        except ValueError as error:
            found.append(str(error))
        return found

    async def fails_at_once() -> None:
        raise ValueError("a Deferred")

    assert in_asyncio(function) == ["the task", "cancelled", "a Deferred"]


def test_the_context_stays() -> None:
    """S9.3: behind each future the function is in its own context."""

    async def function() -> list[str]:
        colour.set("green")
        found = [colour.get()]
        await asyncio.sleep(0.001)
        return [*found, colour.get()]

    assert in_asyncio(function) == ["green", "green"]
    assert colour.get() == "none"


@pytest.mark.parametrize("awaits", ["future", "turn"])
def test_a_function_that_takes_too_long(awaits: str) -> None:
    """S5.7: at its time limit a function that awaits a future is cancelled there, and so is the future."""
    clock = Clock()
    fence = fence_of(clock)
    outcomes: list[Any] = []
    cleaned: list[str] = []

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()

        async def function() -> None:
            try:
                await (future if awaits == "future" else asyncio.sleep(0))
                await future
            finally:
                cleaned.append("up")

        with capturedLogs() as logs:
            assert fence.run(Place("the test"), function, (), later=outcomes.append) is None
            await asyncio.sleep(0.01)
            clock.advance(30)
            await asyncio.sleep(0.01)
        assert future.cancelled()
        assert [each.get("seconds") for each in logs] == [30.0]

    asyncio.run(main())
    assert (outcomes, cleaned) == ([TIMED_OUT], ["up"])


def test_what_is_nothing_to_wait_for() -> None:
    """S5.6: a plain outcome is the outcome, on whatever reactor."""
    assert [pending_of(copy_context(), each) for each in (None, 0, "text", [], object)] == [None] * 5
