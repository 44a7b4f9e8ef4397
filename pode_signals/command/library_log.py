"""A log observer in front of the command's own: a few lines a minute of each kind that the libraries below write.

What they log for a client (an unhandled error, a route of Klein that raises) would be a line or a traceback each time.
Lines of this package and of the application pass: the former are limited where they are written, the latter are meant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.logger import ILogObserver, LogEvent
from twisted.python.failure import Failure
from twisted.python.threadable import isInIOThread
from zope.interface import implementer

from ..core.text import printable
from ..hub.reports import Reports, printable_failure

__all__ = ["LibraryLines"]

_LIBRARIES = frozenset({"autobahn", "klein", "OpenSSL", "treq", "twisted", "txaio", "werkzeug"})
_OLDER_LOGGING = "log_legacy"  # the namespace of all that is logged by twisted.python.log
# Whose frames lie between the line that logs and an observer.
_OF_LOGGING = ("twisted.logger.", "twisted.python.log", "twisted.python.context", "twisted.python.threadable", __name__)


@implementer(ILogObserver)
class LibraryLines:
    """Passes events on to an observer, but not more than a few a minute of each kind.

    A kind is the function that logs, its text before fields are filled in, and what was raised in which line.

    Args:
        observer: gets what passes.
        reports: counts the lines, and tells how many did not pass.
        is_serving: whether clients can have caused a line; what is logged before or after they come passes.
    """

    def __init__(self, observer: ILogObserver, reports: Reports, is_serving: Callable[[], bool]) -> None:
        self._observer = observer
        self._reports = reports
        self._is_serving = is_serving

    def __call__(self, event: LogEvent) -> None:
        """Pass an event on, or count it."""
        # The hub's clock is for the reactor's thread alone, in which all that clients cause is logged.
        kind = _kind(event) if self._is_serving() and isInIOThread() else None
        if kind is not None:
            if not self._reports.admits(kind, event.get("log_level")):
                return
            event = _printable_event(event)
        self._observer(event)


def _kind(event: LogEvent) -> str | None:
    """What an event is counted by; None for those that pass."""
    place = _place_in_library()
    if place is None:
        return None
    # The text of the older logging is filled in already.
    text = "" if event.get("log_namespace") == _OLDER_LOGGING else str(event.get("log_format") or "").strip()
    kind = f"{place}: {text}" if text else place
    failure = _failure(event)
    return kind if failure is None else f"{kind} {_raised(failure)}"


def _place_in_library() -> str | None:
    """The function that logs, where it is a library's: what is logged for a subclass is logged in its namespace."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(_OF_LOGGING):
        frame = frame.f_back
    module = str(frame.f_globals.get("__name__", ""))
    return f"{module}.{frame.f_code.co_qualname}" if module.partition(".")[0] in _LIBRARIES else None


def _failure(event: LogEvent) -> Failure | None:
    failure = event.get("log_failure", event.get("failure"))
    return failure if isinstance(failure, Failure) else None


def _raised(failure: Failure) -> str:
    """What was raised, and in which line."""
    where = ""
    if failure.frames:
        function, file, line = failure.frames[-1][:3]
        where = f" in {function} ({file}:{line})"
    return f"{getattr(failure.type, '__name__', failure.type)}{where}"


def _printable_event(event: LogEvent) -> LogEvent:
    """The same, and what an exception says in it can't be taken for other lines."""
    failure = _failure(event)
    if failure is None:
        return event
    shown: dict[str, Any] = {**event}
    shown_failure = printable_failure(failure)
    for key in ("log_failure", "failure"):
        if key in shown:
            shown[key] = shown_failure
    if "log_text" in shown:  # of the older logging, which has the traceback in the text
        shown["log_text"] = f"{printable(str(event.get('why') or 'Unhandled Error'))}\n{shown_failure.getTraceback()}"
    return shown
