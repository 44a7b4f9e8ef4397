"""Broadcast levels: how narrow a send to a name has to be. Never sends."""

from __future__ import annotations

from .model import BroadcastLevel

__all__ = ["BroadcastLevels"]


class BroadcastLevels:
    """The level of each name, and the one for names that have none of their own (at first ``NAME``)."""

    __slots__ = ("_by_name", "_default")

    def __init__(self) -> None:
        self._default = BroadcastLevel.NAME
        self._by_name: dict[str, BroadcastLevel] = {}

    def set(self, level: BroadcastLevel, name: str | None = None) -> None:
        """Set a level.

        Args:
            level: the level.
            name: the name it is for; None is every name that has no level of its own, now and later.

        Raises:
            TypeError: the level is no :class:`BroadcastLevel`.
        """
        if not isinstance(level, BroadcastLevel):
            raise TypeError(f"the level has to be a BroadcastLevel, not {level!r}")
        if name is None:
            self._default = level
        else:
            self._by_name[name] = level

    def get(self, name: str | None = None) -> BroadcastLevel:
        """The level of a name; without one, of those that have none of their own."""
        return self._default if name is None else self._by_name.get(name, self._default)

    def allows(self, name: str, groups: tuple[str, ...], client_ids: tuple[str, ...]) -> bool:
        """Whether a send to a name may go ahead.

        Args:
            name: the name.
            groups: the groups that the send gave; empty counts as none.
            client_ids: the client ids that the send gave; empty counts as none.
        """
        level = self.get(name)
        if level is BroadcastLevel.NAME:
            return True
        return bool(client_ids) or (level is BroadcastLevel.GROUP and bool(groups))
