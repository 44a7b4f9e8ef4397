"""How many lines of a kind a log has: those that begin alike, numbers aside. It reads what twistd wrote."""

from __future__ import annotations

import re
from collections import Counter

from pode_signals.hub.reports import LINES_PER_WINDOW, WINDOW_SECONDS

__all__ = ["kinds", "most_lines"]

_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+ \[(?P<source>[^\]]*)\] (?P<text>.*)")
_ACCESS = re.compile(r'\S+ "[^"]*" \d{3} \d+')  # one for each request, which is not limited
_VARIES = re.compile(r"[0-9a-f-]{36}|[0-9.:]+")
_BEGIN = 20  # characters


def kinds(text: str) -> Counter[str]:
    """How often each kind of line is there; lines that go on with another one, as tracebacks do, are none."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        whole = _LINE.fullmatch(line)
        if whole is not None and not _ACCESS.fullmatch(whole["text"]):
            found[f"{whole['source']}: {_VARIES.sub('#', whole['text'])[:_BEGIN]}"] += 1
    return found


def most_lines(seconds: float) -> int:
    """How many lines of a kind there may be in so many seconds, which may begin within a window."""
    return LINES_PER_WINDOW * (2 + int(seconds // WINDOW_SECONDS))
