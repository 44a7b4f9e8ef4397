"""Log events as flat JSON lines, for ``--log-format json``. It writes no field that is no plain value."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import IO, Any

from twisted.logger import FileLogObserver, LogEvent, formatEvent

__all__ = ["json_file_log_observer", "json_line"]

# The fields that the older logging of Twisted adds to each event.
_LEGACY = frozenset({"format", "isError", "message", "system", "time", "why"})


def json_file_log_observer(file: IO[str]) -> FileLogObserver:
    """An observer that writes a line for each event to a file."""
    return FileLogObserver(file, json_line)


def json_line(event: LogEvent) -> str:
    """An event as a line.

    It has ``time``, ``level``, ``namespace``, ``event``, ``text``, the ``traceback`` of a failure, and the fields.
    """
    record: dict[str, Any] = {
        "time": _rfc_3339(event.get("log_time", 0)),
        "level": getattr(event.get("log_level"), "name", "info"),
        "namespace": event.get("log_namespace", ""),
    }
    # The lines of other libraries have none.
    if "event" in event:
        record["event"] = event["event"]
    record["text"] = formatEvent(event)
    if "log_failure" in event:
        record["traceback"] = event["log_failure"].getTraceback()
    for key, value in event.items():
        if not key.startswith("log_") and key not in _LEGACY and _is_plain(value):
            record.setdefault(key, value)
    return json.dumps(record) + "\n"


def _rfc_3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
