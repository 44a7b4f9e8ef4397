"""How many steps Python takes over something: the same on every machine, however busy it is. Never measures time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["steps"]

# A test's clock sorts its calls with each that is planned; reactors have a heap.
_OF_THE_TEST = {"twisted.internet.base", "twisted.internet.task"}


def steps(function: Callable[[], object]) -> int:
    """Call a function, and count the lines that it runs in all its frames, each round of a loop anew."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        if frame.f_globals.get("__name__") in _OF_THE_TEST:
            return None
        count += event in ("call", "line")
        return trace

    before, collects = sys.gettrace(), gc.isenabled()
    # A collection comes when it likes, and runs code of its own: hypothesis measures each.
    gc.disable()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return count
