"""What of a turn of the reactor one client gets, and who goes on in the next one. Nothing is run at once here.

All clients wait for the end of a turn. So whatever way a client's bytes take, it gets :data:`SHARE_SECONDS`, or one
call of a function of the user where that takes longer; the rest of its bytes and messages waits for the next turn.
Those who wait are called for :data:`TURN_SECONDS` in a turn, one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

__all__ = ["SHARE_SECONDS", "TURN_SECONDS", "Turns"]

SHARE_SECONDS = 0.001
"""What one client gets. In one turn its bytes may come by two ways (what waits, and what is read), and Autobahn may
parse what the quick way left; so a client may have a few shares of a turn, and never 5 ms."""

TURN_SECONDS = 0.02
"""What all that wait for a turn get, and again all whose sockets are read together; the others come first in the next
turn."""


class Turns:
    """The turns of one hub's clock.

    Args:
        clock: gives the clock, which is not asked for before it is used.

    Attributes:
        seconds: what shares are measured by: the hub's clock, which nobody sets.
    """

    def __init__(self, clock: Callable[[], IReactorTime]) -> None:
        self._clock = clock
        self._waiting: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_planned = False
        self._number = 0
        self._spent_seconds = 0.0
        self.seconds: Callable[[], float] = self._first_seconds

    def share_ends(self) -> float:
        """When a share that begins now is over, by :attr:`seconds`."""
        return self.seconds() + SHARE_SECONDS

    @property
    def number(self) -> int:
        """That of this turn; another one in the next turn."""
        self._plan()
        return self._number

    def is_over(self, began: float) -> bool:
        """Whether a share is used up that began at a time."""
        return self.seconds() - began >= SHARE_SECONDS

    def spend(self, began: float) -> None:
        """A client that did not wait in the line has been served since a time: the turn has so much less for others."""
        self._spent_seconds += self.seconds() - began
        # A turn that is planned each time would cost more than most requests do.
        if self._spent_seconds >= SHARE_SECONDS:
            self._plan()

    @property
    def is_used_up(self) -> bool:
        """Whether who comes now has to wait in the line: those before have taken what a turn has."""
        return self._spent_seconds >= TURN_SECONDS

    def later(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function in a turn to come, after those that wait already."""
        self._waiting.append((function, args))
        self._plan()

    def _first_seconds(self) -> float:
        self.seconds = self._clock().seconds
        return self.seconds()

    def _plan(self) -> None:
        if not self._is_planned:
            self._is_planned = True
            self._clock().callLater(0, self._run)

    def _run(self) -> None:
        self._is_planned = False
        self._number += 1
        self._spent_seconds = 0.0
        end = self.seconds() + TURN_SECONDS
        try:
            for _ in range(len(self._waiting)):  # who comes to wait meanwhile has had a turn
                function, args = self._waiting.popleft()
                function(*args)
                if self.seconds() >= end:
                    break
        finally:
            if self._waiting:
                self._plan()
