"""A Deferred that coroutines can await under Twisted and under asyncio alike. It decides nothing."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Generator
from types import FrameType
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

__all__ = ["Outcome"]

_T = TypeVar("_T")

_OF_COROUTINES = (
    inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR
)


class Outcome(Deferred[_T]):
    """What will happen.

    A task of asyncio takes futures alone, and a coroutine that Twisted runs takes Deferreds alone. Under the reactor of
    asyncio both are there, in one thread.
    """

    def __await__(self) -> Generator[Any, Any, _T]:
        """Wait, in the way of whoever runs the coroutine that waits."""
        loop = _loop_of_task()
        if loop is None:
            return super().__iter__()
        return self.asFuture(loop).__await__()

    __iter__ = __await__


def _loop_of_task() -> asyncio.AbstractEventLoop | None:
    """The loop whose task runs the coroutine that awaits here; None where Twisted runs the coroutine."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    task = asyncio.current_task(loop)
    if task is None:
        return None
    # From the coroutine that awaits up to the task's own there are coroutines only. A task may also have called a
    # function that has Twisted run a coroutine: then that function stands in between.
    coroutine = task.get_coro()
    outermost = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_flags & _OF_COROUTINES:
        if frame is outermost:
            return loop
        frame = frame.f_back
    return None
