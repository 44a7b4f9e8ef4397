"""How far clients are behind the log of their name, since messages went to a part of it. It reads no log, writes none.

A client that gets none of these messages keeps an old place in the log, which the log may drop. It is told of the new
place before that.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from ..core.history import HistoryLimits
from ..core.registry import Registry
from .link import Link
from .runtime import Runtime

__all__ = ["Progress"]

_SECONDS = 1.0
"""How often the clients of a name are told at most."""


class _Behind:
    """What was logged for a part of a name since all of its clients knew the place in the log.

    Args:
        since: when the first of these messages was logged, by the hub's clock.

    Attributes:
        entries, size_bytes: how much was logged.
        call: the call that will tell the clients; None where none is planned.
    """

    __slots__ = ("call", "entries", "since", "size_bytes")

    def __init__(self, since: float) -> None:
        self.since = since
        self.entries = 0
        self.size_bytes = 0
        self.call: IDelayedCall | None = None

    def is_due(self, limits: HistoryLimits, now: float) -> bool:
        """Whether a client that gets none of these messages is so far behind that it has to be told of the place."""
        return (
            2 * self.entries >= limits.messages
            or 2 * self.size_bytes >= limits.max_bytes
            or 2 * (now - self.since) >= limits.seconds
        )


class Progress:
    """The names of one hub whose clients may be behind their logs.

    Args:
        runtime: the surroundings.
        registry: the global connections.
        limits: how much the log of each name keeps.

    Attributes:
        behind: what was logged for a part of each of these names.
        tell: is told of a name whose clients have to be told of the place in its log.
    """

    def __init__(self, runtime: Runtime, registry: Registry[Link], limits: dict[str, HistoryLimits]) -> None:
        self._runtime = runtime
        self._registry = registry
        self._limits = limits
        self.behind: dict[str, _Behind] = {}
        self.tell: Callable[[str], None] = lambda _name: None
        # When clients were told, for the names whose clients may not be told again yet.
        self._told_at: dict[str, float] = {}

    def logged_for_part(self, name: str, size_bytes: int) -> None:
        """A message for a part of a name was logged."""
        now = self._runtime.clock.seconds()
        behind = self.behind.get(name)
        if behind is None:
            behind = self.behind[name] = _Behind(now)
        behind.entries += 1
        behind.size_bytes += size_bytes
        if behind.is_due(self._limits[name], now):
            self._plan(name, behind, now)

    def everybody_knows(self, name: str) -> None:
        """All clients of a name have a message, or a beat, that is the last of the log; or there are no clients."""
        behind = self.behind.pop(name, None)
        if behind is not None and behind.call is not None:
            behind.call.cancel()

    def look(self, now: float) -> None:
        """Tell of the names whose clients are too far behind: called once a second."""
        for name in [each for each, told_at in self._told_at.items() if told_at + _SECONDS <= now]:
            del self._told_at[name]
        for name, behind in tuple(self.behind.items()):
            if behind.is_due(self._limits[name], now):
                self._plan(name, behind, now)

    def _plan(self, name: str, behind: _Behind, now: float) -> None:
        # At the end of the turn, so that one beat tells of all that this turn logs; and at most once a second.
        if behind.call is None and self._registry.has_name(name):
            told_at = self._told_at.get(name)
            delay = 0.0 if told_at is None else max(0.0, told_at + _SECONDS - now)
            behind.call = self._runtime.clock.callLater(delay, self._tell, name)

    def _tell(self, name: str) -> None:
        self._told_at[name] = self._runtime.clock.seconds()
        del self.behind[name]
        self.tell(name)
