"""How much time of a turn of the reactor one client gets, and the line of those who wait for the next turn.

Nothing that is put in the line is called at once. While one client is served, all others wait. So each client gets
:data:`SHARE_SECONDS` in a turn, or one call of a function of the user where that call takes longer. The rest of its
bytes and messages waits for another turn. The line is called for :data:`TURN_SECONDS` in each turn, in the order of
coming.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

__all__ = ["SHARE_SECONDS", "TURN_SECONDS", "Turns"]

SHARE_SECONDS = 0.001
"""The time that one client gets in a turn. A client may get a few shares in one turn, though never 5 ms: bytes that
waited and bytes that are read have a share each, and so has Autobahn's parser for bytes that the fast way left."""

TURN_SECONDS = 0.02
"""The time that all who wait in the line get together in a turn. All sockets that are read together get the same time
once more. Those who are left come first in the next turn."""


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
        """A number for this turn; the next turn has another one."""
        # The number changes in _run, so that has to be called.
        self._plan()
        return self._number

    def is_over(self, began: float) -> bool:
        """Whether a share that began at this time is used up."""
        return self.seconds() - began >= SHARE_SECONDS

    def spend(self, began: float) -> None:
        """Count the time in which a client was served that did not wait in the line. The turn has less time for others.

        Args:
            began: when that client's service began, by :attr:`seconds`.
        """
        self._spent_seconds += self.seconds() - began
        # A delayed call for each request would cost more than most requests do. So the sum may hold the time of more
        # than one turn, until it has grown to a share.
        if self._spent_seconds >= SHARE_SECONDS:
            self._plan()

    @property
    def is_used_up(self) -> bool:
        """Whether the time of this turn is used up, so that a client that comes now has to wait in the line."""
        return self._spent_seconds >= TURN_SECONDS

    def later(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function in a later turn, after the functions that wait already."""
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
            # A function that is put in the line meanwhile belongs to a client that has just had its share.
            for _ in range(len(self._waiting)):
                function, args = self._waiting.popleft()
                function(*args)
                if self.seconds() >= end:
                    break
        # Also where a function raised: the others must not wait for ever.
        finally:
            if self._waiting:
                self._plan()
