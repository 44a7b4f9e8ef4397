"""Entries of logs that single connections do not get where the log hands them out. It delivers nothing.

Where nodes share logs, the client of a connection may come from a node that was quicker than this one, and has some
entries already. And a connection that still waits for its hello gets entries by its replay, which begins later.
"""

from __future__ import annotations

from attrs import evolve

from ..core.history import LoggedSignal, Position
from ..core.model import Target
from .link import Link

__all__ = ["Withheld"]


class Withheld:
    """The connections of one hub that get no entries for a while.

    Attributes:
        names: the names of these connections; with each connection the position up to which it gets none. None is every
            position.
    """

    def __init__(self) -> None:
        self.names: dict[str, dict[Link, Position | None]] = {}
        # For connections that wait for their hello, the last entry up to a position that was withheld.
        self._last: dict[Link, Position] = {}

    def withhold(self, link: Link, until: Position | None = None) -> None:
        """Withhold entries from a connection: those up to a position, or all until :meth:`forget`."""
        self.names.setdefault(link.name, {})[link] = until

    def forget(self, link: Link) -> None:
        """Withhold nothing from a connection any more."""
        self._last.pop(link, None)
        self._passed(link)

    def forget_positions(self, name: str) -> None:
        """The log of a name begins anew: what clients had of the old one is in no entry."""
        for link, until in tuple(self.names.get(name, {}).items()):
            if until is not None:
                self.forget(link)

    def take_last(self, link: Link) -> Position | None:
        """The last entry that was withheld from a connection before its hello; None for none."""
        return self._last.pop(link, None)

    def place(self, link: Link) -> Position | None:
        """How far a client is that is ahead of this node; None where it is not."""
        return self.names.get(link.name, {}).get(link)

    def target(self, signal: LoggedSignal) -> Target:
        """The target of an entry, without the connections that do not get it."""
        target = signal.target
        assert target.names is not None
        excluded = []
        for link, until in tuple(self.names.get(target.names[0], {}).items()):
            if until is None or _number(signal.position) <= _number(until):
                excluded.append(link.client_id)
                if until is not None and link.dialogue is not None and link.dialogue.recovered is None:
                    self._last[link] = signal.position
            if until is not None and _number(signal.position) >= _number(until):
                self._passed(link)
        return evolve(target, exclude=(*target.exclude, *excluded)) if excluded else target

    def _passed(self, link: Link) -> None:
        links = self.names.get(link.name, {})
        links.pop(link, None)
        if not links:
            self.names.pop(link.name, None)


def _number(position: Position) -> int:
    return int(position.offset.partition("-")[0])
