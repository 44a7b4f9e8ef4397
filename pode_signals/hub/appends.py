"""The sends of this node to logs that other nodes share: where their recipients are counted. It appends nothing.

Over a network an entry comes back from its log some time after it was sent, before or after the log says which position
the entry has got. The recipients of this node are counted when it comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..core.history import Position
from .delivery import Delivery

__all__ = ["Appends"]

Place = tuple[str, Position]


class Appends:
    """The appends of one hub that are under way.

    Args:
        new_tally: makes a delivery for an entry that may be one of these.
        position: this node's position in the log of a name; None where the node does not follow it.
    """

    def __init__(self, new_tally: Callable[[], Delivery], position: Callable[[str], Position | None]) -> None:
        self._new_tally = new_tally
        self._position = position
        # How many appends to each name have no position yet; and the entries of the name that came since the first of
        # them, with their recipients here.
        self._unplaced: Counter[str] = Counter()
        self._came: dict[str, dict[Position, Delivery]] = {}
        # Those with a position whose entry has not come.
        self._expected: dict[Place, tuple[Delivery, Deferred[Position]]] = {}

    def under(self, name: str, delivery: Delivery, append: Callable[[], Deferred[Position]]) -> Deferred[Position]:
        """Give a send to the log of a name.

        Args:
            name: the name.
            delivery: counts its recipients on this node.
            append: appends it, and gives a Deferred of its position.

        Returns:
            Fires with the position once the entry was delivered here as well. It fails as that of ``append`` does.
        """
        done: Deferred[Position] = Deferred()
        # First, since the entry may come before the call returns.
        self._unplaced[name] += 1

        def placed(position: Position) -> None:
            counted = self._came.get(name, {}).pop(position, None)
            self._is_placed(name)
            here = self._position(name)
            if counted is None and here is not None and here.epoch == position.epoch:
                self._expected[name, position] = delivery, done
            else:
                if counted is not None:
                    delivery.adds(counted)
                done.callback(position)

        def failed(failure: Failure) -> None:
            self._is_placed(name)
            done.errback(failure)

        append().addCallbacks(placed, failed)
        return done

    def tally(self, name: str, position: Position) -> Delivery | None:
        """What counts the recipients of an entry that has come; None where the entry is surely another node's."""
        expected = self._expected.get((name, position))
        if expected is not None:
            return expected[0]
        if name not in self._unplaced:
            return None
        tally = self._came.setdefault(name, {})[position] = self._new_tally()
        return tally

    def delivered(self, name: str, position: Position) -> None:
        """An entry was delivered."""
        expected = self._expected.pop((name, position), None)
        if expected is not None:
            expected[1].callback(position)

    def give_up(self, name: str) -> None:
        """No entries of a name that were expected will come."""
        for place in [each for each in self._expected if each[0] == name]:
            self._expected.pop(place)[1].callback(place[1])

    def _is_placed(self, name: str) -> None:
        self._unplaced[name] -= 1
        if not self._unplaced[name]:
            del self._unplaced[name]
            self._came.pop(name, None)
