"""A log observer that limits lines of the libraries below this package to a few a minute. It writes no line itself.

Some of these lines come from what clients do: an unhandled error, or a route of Klein that raises. Without a limit each
would be a line or a traceback each time. Lines of this package and of the application pass. This package limits its own
lines where it writes them, and the application means its lines to be written.
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
# The namespace of all events that are logged by twisted.python.log.
_OLDER_LOGGING = "log_legacy"
# The modules whose frames lie between the line that logs and an observer.
_OF_LOGGING = ("twisted.logger.", "twisted.python.log", "twisted.python.context", "twisted.python.threadable", __name__)


@implementer(ILogObserver)
class LibraryLines:
    """Passes events on to an observer, but not more than a few a minute of each kind.

    Events are of one kind where the function that logs, the text before fields are filled in, and the exception with
    the line that raised it are the same.

    Args:
        observer: gets the events that pass.
        reports: counts the events, and logs how many did not pass.
        is_serving: whether clients may have caused an event. While the service does not serve, all events pass.
    """

    def __init__(self, observer: ILogObserver, reports: Reports, is_serving: Callable[[], bool]) -> None:
        self._observer = observer
        self._reports = reports
        self._is_serving = is_serving

    def __call__(self, event: LogEvent) -> None:
        """Pass an event on, or count it."""
        # All lines that clients cause are logged in the reactor's thread. Only that thread may use the hub's clock.
        kind = _kind(event) if self._is_serving() and isInIOThread() else None
        if kind is not None:
            if not self._reports.admits(kind, event.get("log_level")):
                return
            event = _printable_event(event)
        self._observer(event)


def _kind(event: LogEvent) -> str | None:
    """The kind of an event; None for an event that passes without being counted."""
    place = _place_in_library()
    if place is None:
        return None
    # The older logging has filled the fields into its text already, so that text is no part of the kind.
    text = "" if event.get("log_namespace") == _OLDER_LOGGING else str(event.get("log_format") or "").strip()
    kind = f"{place}: {text}" if text else place
    failure = _failure(event)
    return kind if failure is None else f"{kind} {_raised(failure)}"


def _place_in_library() -> str | None:
    """The function that logs, where that is a library's; None otherwise."""
    # The namespace of an event does not tell: a library logs for a subclass of the application in the namespace of the
    # subclass.
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(_OF_LOGGING):
        frame = frame.f_back
    module = str(frame.f_globals.get("__name__", ""))
    return f"{module}.{frame.f_code.co_qualname}" if module.partition(".")[0] in _LIBRARIES else None


def _failure(event: LogEvent) -> Failure | None:
    failure = event.get("log_failure", event.get("failure"))
    return failure if isinstance(failure, Failure) else None


def _raised(failure: Failure) -> str:
    """The type of an exception, and the line that raised it."""
    where = ""
    if failure.frames:
        function, file, line = failure.frames[-1][:3]
        where = f" in {function} ({file}:{line})"
    return f"{getattr(failure.type, '__name__', failure.type)}{where}"


def _printable_event(event: LogEvent) -> LogEvent:
    """The event with the text of its exception escaped, so that the text can't be taken for other log lines."""
    failure = _failure(event)
    if failure is None:
        return event
    shown: dict[str, Any] = {**event}
    shown_failure = printable_failure(failure)
    for key in ("log_failure", "failure"):
        if key in shown:
            shown[key] = shown_failure
    # The older logging has put the traceback into its text.
    if "log_text" in shown:
        shown["log_text"] = f"{printable(str(event.get('why') or 'Unhandled Error'))}\n{shown_failure.getTraceback()}"
    return shown
