"""The times in which this process or a server could not run: the machine stood still, or ran others. It judges neither.

A process cannot see that it does not run, but it sees how much later than asked a sleep ends. How long another process
was ready to run and did not is what Linux tells.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

TICK_SECONDS = 0.005
LEAST_WAIT_SECONDS = 0.001

Span = tuple[float, float]


class Stalls:
    """Notes, while it is entered, each time in which this process could not run, or a server could not.

    A server that blocks or computes is not noted: it waits for no processor.

    Args:
        server: the process id of the server; None is this process alone.

    Attributes:
        spans: begin and end of each, by ``time.monotonic``.
    """

    def __init__(self, server: int | None = None) -> None:
        self.spans: list[Span] = []
        self._schedstat = None if server is None else Path(f"/proc/{server}/schedstat")
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
        waited = self._waited_seconds()
        while not self._over.is_set():
            due = time.monotonic() + TICK_SECONDS
            time.sleep(TICK_SECONDS)
            woke = time.monotonic()
            # A machine that is busy oversleeps a little all the time, which is no stall.
            if woke - due > TICK_SECONDS:
                self.spans.append((due, woke))
            before, waited = waited, self._waited_seconds()
            if waited - before >= LEAST_WAIT_SECONDS:
                self.spans.append((woke - (waited - before), woke))

    def _waited_seconds(self) -> float:
        """How long the server was ready and waited for a processor so far, which Linux adds up when it runs again."""
        if self._schedstat is not None:
            with suppress(OSError):
                return int(self._schedstat.read_text().split()[1]) / 1e9
        return 0.0


def charged_seconds(spans: Iterable[Span], began: float, ended: float) -> float:
    """The time from ``began`` to ``ended`` without the spans, which may overlap."""
    charged, at = 0.0, began
    for begin, end in sorted(spans):
        charged += max(0.0, min(begin, ended) - at)
        at = max(at, end)
    return charged + max(0.0, ended - at)
