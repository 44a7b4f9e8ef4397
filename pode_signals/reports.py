"""Log lines about what clients do: escaped, and a few a minute of each kind; the number of the others is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from .core.counters import Counters

__all__ = ["LINES_PER_WINDOW", "WINDOW_SECONDS", "Reports", "printable"]

LINES_PER_WINDOW = 10
"""So many lines of one kind are written within :data:`WINDOW_SECONDS`."""
WINDOW_SECONDS = 60.0

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(text: str) -> str:
    """Text for a log line: no control character, nor anything else that ends a line or that UTF-8 can't hold."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Kind:
    __slots__ = ("began", "lines", "suppressed")

    def __init__(self, began: float) -> None:
        self.began = began
        self.lines = 0
        self.suppressed = 0


class Reports:
    """Writes such lines for one hub.

    Args:
        clock: gives the clock.
        counters: where the limits that acted are counted.
    """

    _log = Logger()

    def __init__(self, clock: Callable[[], IReactorTime], counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._kinds: dict[str, _Kind] = {}

    def limit(self, setting: str, text: str, *, level: Any = LogLevel.warn, **fields: Any) -> None:
        """A limit acted: :meth:`write` with the name of its setting as kind and as ``limit``."""
        self.write(setting, text, limit=setting, level=level, **fields)

    def write(
        self, kind: str, text: str, *, limit: str | None = None, level: Any = LogLevel.warn, **fields: Any
    ) -> None:
        """Write a line, unless its kind had enough lines lately.

        Args:
            kind: what the lines are counted by; one of few, never made of what a client sent.
            text: a format string, a literal.
            limit: the setting that acted, which is counted, and is the kind; None is none.
            level: the level.
            fields: what the format names; texts are escaped.
        """
        if limit is not None:
            self._counters.limits_hit[limit] += 1
            kind = limit
        now = self._clock().seconds()
        state = self._kinds.get(kind)
        suppressed = 0
        if state is None or not 0 <= now - state.began < WINDOW_SECONDS:
            suppressed = 0 if state is None else state.suppressed
            state = self._kinds[kind] = _Kind(now)
        if state.lines == LINES_PER_WINDOW:
            state.suppressed += 1
            return
        state.lines += 1
        if suppressed:
            text += " ({suppressed} lines like this were left out before)"
        escaped = {key: printable(value) if isinstance(value, str) else value for key, value in fields.items()}
        self._log.emit(level, text, suppressed=suppressed, kind=kind, **escaped)
