"""Log lines that clients can cause: escaped, and never more than a few a minute of each kind.

The log tells how many lines were left out. A hub has one :class:`Reports`, and every part of the hub writes such lines
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

from ..core.counters import Counters
from ..core.signing import bare_client_id
from ..core.text import printable
from .clocks import call_in_background, wall_time
from .recent import MOST_LINE_CHARACTERS, LogLine, Recent

__all__ = ["LINES_PER_WINDOW", "MOST_KINDS", "WINDOW_SECONDS", "Reports", "printable_failure"]

LINES_PER_WINDOW = 10
"""How many lines of one kind are written within :data:`WINDOW_SECONDS`."""
WINDOW_SECONDS = 60.0
MOST_KINDS = 1_000
"""How many kinds have a window of their own at a time. All further kinds share one window."""

_OTHERS = "others"


class _Window:
    __slots__ = ("began", "level", "lines", "suppressed")

    def __init__(self, began: float) -> None:
        self.began = began
        self.lines = 0
        self.suppressed = 0
        self.level = LogLevel.warn

    def is_over(self, now: float) -> bool:
        # Where an injected clock was put back, the window is over, so that no lines are left out for it.
        return not 0 <= now - self.began < WINDOW_SECONDS


class Reports:
    """Writes log lines that clients can cause, for one hub.

    The number of lines that were left out is told when the minute of their kind is over, or by :meth:`tell`. Only while
    there is such a number to tell, a call waits on the hub's clock, in the background.

    Args:
        clock: gives the clock.
        counters: counts the limits that act.

    Attributes:
        recent: keeps the last lines.
    """

    _log = Logger()

    def __init__(self, clock: Callable[[], IReactorTime], counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._windows: dict[str, _Window] = {}
        self._telling: IDelayedCall | None = None
        self.recent = Recent()

    def limit(
        self, setting: str, text: str, *, event: str = "limit.acted", level: Any = LogLevel.warn, **fields: Any
    ) -> None:
        """A limit acted: :meth:`write` with the name of its setting as kind and as ``limit``."""
        self.write(setting, text, event=event, limit=setting, level=level, **fields)

    def write(
        self, kind: str, text: str, *, event: str, limit: str | None = None, level: Any = LogLevel.warn, **fields: Any
    ) -> None:
        """Write a line, unless its kind had enough lines lately.

        Args:
            kind: the kind of line, by which lines are counted. There are few kinds, and none is made of texts that
                clients send.
            text: a format string, a literal.
            event: what happened, one of :data:`~pode_signals.core.log_events.EVENTS`.
            limit: the name of the setting that acted. The name is counted, is the kind in place of ``kind``, and ends
                the line. None where no setting acted.
            level: the level.
            fields: the fields of the format string. Texts are escaped, and a ``client_id`` loses its signature.
        """
        if limit is not None:
            self._counters.limits_hit[limit] += 1
            kind, text = limit, text + " ({kind})"
        if self.admits(kind, level):
            shown = _shown(fields)
            self._keep(kind, level, text, shown)
            named = shown if limit is None else {"limit": limit, **shown}
            self._log.emit(level, text, event=event, kind=kind, **named)

    def failure(
        self, kind: str, text: str, failure: Failure | None = None, *, event: str = "defect", **fields: Any
    ) -> None:
        """Write a line and a traceback, unless its kind had enough lines lately.

        Args:
            kind: as for :meth:`write`. Each function that can raise has a kind of its own, so that the tracebacks of
                one do not hide those of another.
            text: a format string, a literal.
            failure: the failure; None is the exception that is being handled.
            event: as for :meth:`write`.
            fields: as for :meth:`write`.
        """
        if self.admits(kind, LogLevel.critical):
            shown = _shown(fields)
            self._keep(kind, LogLevel.critical, text, shown)
            self._log.failure(text, printable_failure(failure or Failure()), event=event, kind=kind, **shown)

    def admits(self, kind: str, level: Any = LogLevel.warn) -> bool:
        """Whether a line of a kind may be written now. The line is counted as written, or as left out."""
        now = self._clock().seconds()
        window = self._windows.get(kind)
        if window is None or window.is_over(now):
            kind, window = self._open(kind, now)
        if window.lines < LINES_PER_WINDOW:
            window.lines += 1
            return True
        window.suppressed += 1
        suppressed = self._counters.lines_suppressed
        # A program may name its jobs after what comes and goes.
        suppressed[kind if kind in suppressed or len(suppressed) < MOST_KINDS else _OTHERS] += 1
        window.level = level
        if self._telling is None:
            self._tell_at(window.began + WINDOW_SECONDS)
        return False

    def tell(self) -> None:
        """Tell now how many lines were left out, since the hub may write no more."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        for kind in tuple(self._windows):
            self._close(kind)

    def _keep(self, kind: str, level: Any, text: str, shown: dict[str, Any]) -> None:
        if level >= LogLevel.warn:
            clock = self._clock()
            said = formatEvent({"log_format": text, "kind": kind, **shown})
            at = wall_time(clock, clock.seconds())
            self.recent.lines.append(LogLine(at, level.name, kind, said[:MOST_LINE_CHARACTERS]))

    def _open(self, kind: str, now: float) -> tuple[str, _Window]:
        """A new window for a kind, or the window that all kinds share for which there is none of their own."""
        self._close(kind)
        if len(self._windows) >= MOST_KINDS:
            self._close_those_over(now)
        if len(self._windows) >= MOST_KINDS:
            kind = _OTHERS
        window = self._windows.get(kind)
        if window is None or window.is_over(now):
            self._close(kind)
            window = self._windows[kind] = _Window(now)
        return kind, window

    def _close(self, kind: str) -> None:
        """Forget the window of a kind, and tell how many lines were left out in it."""
        window = self._windows.pop(kind, None)
        if window is not None and window.suppressed:
            self._log.emit(
                window.level,
                "{kind}: {suppressed} more lines of this kind were left out",
                event="lines.suppressed",
                kind=kind,
                suppressed=window.suppressed,
            )

    def _close_those_over(self, now: float) -> None:
        for kind in [kind for kind, window in self._windows.items() if window.is_over(now)]:
            self._close(kind)

    def _tell_at(self, seconds: float) -> None:
        clock = self._clock()
        self._telling = call_in_background(clock, max(0.0, seconds - clock.seconds()), self._tell_those_over)

    def _tell_those_over(self) -> None:
        self._telling = None
        self._close_those_over(self._clock().seconds())
        ends = [window.began + WINDOW_SECONDS for window in self._windows.values() if window.suppressed]
        if ends:
            self._tell_at(min(ends))


def printable_failure(failure: Failure) -> Failure:
    """A failure whose traceback can be written to a log: the text of the exception is escaped, on one line."""
    return _PrintableFailure(failure)  # type: ignore[no-untyped-call]  # Twisted


class _PrintableFailure(Failure):
    """A copy of another failure, with the same exception and frames."""

    def getTraceback(self, *args: Any, **kwargs: Any) -> str:
        """The traceback as text."""
        text: str = super().getTraceback(*args, **kwargs)
        said = safe_str(self.value)
        if said and not said.isprintable():
            text = text.replace(said, printable(said))
        return "\n".join(printable(line) for line in text.split("\n"))


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    shown = {key: printable(value) if isinstance(value, str) else value for key, value in fields.items()}
    if isinstance(client_id := fields.get("client_id"), str):
        shown["client_id"] = printable(bare_client_id(client_id))
    return shown
