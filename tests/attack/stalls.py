"""The times in which this process could not run: the machine stood still, or ran others. It judges no server.

A process cannot see that it does not run, but it sees how much later than asked a sleep ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from types import TracebackType

TICK_SECONDS = 0.005

Span = tuple[float, float]


class Stalls:
    """Notes, while it is entered, each time in which this process could not run.

    Attributes:
        spans: begin and end of each, by ``time.monotonic``.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Stalls:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def charged_seconds(self, began: float, ended: float) -> float:
        """How long something took that others have to answer for. Ask at the end: a stall is noted when it is over."""
        return charged_seconds(self.spans, began, ended)

    def _watch(self) -> None:
        while not self._over.is_set():
            due = time.monotonic() + TICK_SECONDS
            time.sleep(TICK_SECONDS)
            woke = time.monotonic()
            # A machine that is busy oversleeps a little all the time, which is no stall.
            if woke - due > TICK_SECONDS:
                self.spans.append((due, woke))


def charged_seconds(spans: Iterable[Span], began: float, ended: float) -> float:
    """The time from ``began`` to ``ended`` without the spans, none of which overlaps another."""
    stalled = sum(max(0.0, min(ended, end) - max(began, begin)) for begin, end in spans)
    return ended - began - stalled
