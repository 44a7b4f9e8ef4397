"""What an operator asks for after something went wrong: the last refusals and log lines. It writes none of them."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from attrs import frozen

__all__ = ["MOST_CHARACTERS", "MOST_LINE_CHARACTERS", "MOST_RECENT", "LogLine", "Recent", "Refusal"]

MOST_RECENT = 100
"""Of each kind so many are kept; each newer one takes the place of the oldest."""
MOST_CHARACTERS = 256
"""A client's text is cut to so many characters, so that what is kept of it stays small."""
MOST_LINE_CHARACTERS = 1_000
"""A line of the log is kept up to so many characters."""


@frozen
class Refusal:
    """A WebSocket handshake that became no connection.

    Attributes:
        at: when it was refused (aware, UTC).
        reason: the error, as in ``counters.upgrades_refused``: ``OriginRefused``.
        status: the HTTP status of the answer.
        address: the client's address; ``""`` where it has none.
        path: the path of the request, without the query; at most 256 characters.
        origin: the Origin header, at most 256 characters; None where there was none.
    """

    at: datetime
    reason: str
    status: int
    address: str
    path: str
    origin: str | None


@frozen
class LogLine:
    """A log line of this package, of the level ``warn`` or above.

    Attributes:
        at: when it was written (aware, UTC).
        level: ``warn``, ``error`` or ``critical``.
        kind: what the limit on lines counts it by: mostly the name of a setting.
        text: the line, without a traceback; at most 1,000 characters.
    """

    at: datetime
    level: str
    kind: str
    text: str


class Recent:
    """The last of both kinds, the oldest first.

    Attributes:
        refusals: handshakes that became no connection.
        lines: log lines.
    """

    def __init__(self) -> None:
        self.refusals: deque[Refusal] = deque(maxlen=MOST_RECENT)
        self.lines: deque[LogLine] = deque(maxlen=MOST_RECENT)
