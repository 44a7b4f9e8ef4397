"""From what a function of the user gives to a Deferred, where that is something to wait for. It catches nothing.

A coroutine may await Deferreds on each reactor. Under asyncio's reactor it may await asyncio's futures as well, which
Twisted's own way to run a coroutine does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from functools import partial
from inspect import isawaitable
from types import coroutine
from typing import Any

from twisted.internet.defer import Deferred

__all__ = ["pending_of"]


def pending_of(context: Context, result: Any) -> Deferred[Any] | None:
    """A Deferred for what a function gave, where that is something to wait for; None where it is the outcome.

    Args:
        context: the context in which a coroutine runs.
        result: what the function gave.
    """
    if isinstance(result, Deferred):
        return result
    if not isinstance(result, Coroutine):
        # Deferred.fromCoroutine takes coroutines alone.
        if not isawaitable(result):
            return None
        result = _awaited(result)
    # The body of a coroutine runs here and not in the call, so it needs the context once more.
    return context.run(Deferred.fromCoroutine, _with_futures(result) if _runs_in_asyncio() else result)


def _runs_in_asyncio() -> bool:
    """Whether this is a call of asyncio's loop, as all calls of asyncio's reactor are."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


@coroutine
def _with_futures(inner: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """A coroutine that gives Twisted a Deferred for each future that another coroutine awaits."""
    step, value = inner.send, None
    while True:
        try:
            awaited = step(value)
        except StopIteration as stop:
            return stop.value
        try:
            value = yield from _deferred_for(awaited)
        except GeneratorExit:
            inner.close()
            raise
        except BaseException as raised:
            step, value = inner.throw, raised
        else:
            step = inner.send


def _deferred_for(awaited: Any) -> Generator[Any, Any, Any]:
    if awaited is None:
        # A bare yield, as in asyncio.sleep(0), is one turn of the loop.
        awaited = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(_set, awaited)
    if not asyncio.isfuture(awaited):
        return (yield awaited)
    # Says that the future was taken, as asyncio's own tasks do; asyncio checks it.
    awaited._asyncio_future_blocking = False
    done: Deferred[None] = Deferred(partial(_cancel, awaited))
    awaited.add_done_callback(partial(_fire, done))
    # The coroutine asks the future itself for its result, or for its exception, when it goes on.
    yield done
    return None


def _cancel(future: asyncio.Future[Any], _deferred: Deferred[None]) -> None:
    future.cancel()


def _fire(deferred: Deferred[None], _future: asyncio.Future[Any]) -> None:
    # Cancelling has fired it.
    if not deferred.called:
        deferred.callback(None)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
