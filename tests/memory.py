"""How much memory something keeps, for tests that nothing of what is over stays. Nothing in here is a test."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

__all__ = ["grown_bytes"]


def grown_bytes(function: Callable[[int], object]) -> int:
    """How many bytes more are kept after a call than before it, when all garbage has gone.

    The function is called with 0, which fills what is bounded anyhow, and with 1, which is what counts.
    """
    tracemalloc.start()
    try:
        function(0)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        function(1)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
