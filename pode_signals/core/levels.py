"""Broadcast levels: how narrow a send to a name has to be. It never sends."""

from __future__ import annotations

from .model import BroadcastLevel

__all__ = ["BroadcastLevels"]


class BroadcastLevels:
    """The levels of names, and the default level of names without a level of their own, which is ``NAME`` at first."""

    __slots__ = ("_by_name", "_default", "_unusual")

    def __init__(self) -> None:
        self._default = BroadcastLevel.NAME
        self._by_name: dict[str, BroadcastLevel] = {}
        # The names whose level decides otherwise than the default level: for sends without groups (False) and for sends
        # with groups (True). A send to every name has to look only at these, not at the level of each name.
        self._unusual: dict[bool, set[str]] = {False: set(), True: set()}

    def set(self, level: BroadcastLevel, name: str | None = None) -> None:
        """Set a level.

        Args:
            level: the level.
            name: the name; None sets the default level, for all names without a level of their own, now and later.

        Raises:
            TypeError: the level is no :class:`BroadcastLevel`.
        """
        if not isinstance(level, BroadcastLevel):
            raise TypeError(f"the level has to be a BroadcastLevel, not {level!r}")
        if name is None:
            self._default = level
            for each, own in self._by_name.items():
                self._sort_in(each, own)
        else:
            self._by_name[name] = level
            self._sort_in(name, level)

    def get(self, name: str | None = None) -> BroadcastLevel:
        """The level of a name; without a name (None), the default level."""
        return self._default if name is None else self._by_name.get(name, self._default)

    def all(self) -> dict[str | None, BroadcastLevel]:
        """Each level that was set, by name; None is the default level."""
        return {name: self.get(name) for name in (None, *self._by_name)}

    def allows(self, name: str, groups: tuple[str, ...], client_ids: tuple[str, ...]) -> bool:
        """Whether a send to a name may go ahead.

        Args:
            name: the name.
            groups: the groups that the send gave; empty counts as none.
            client_ids: the client ids that the send gave; empty counts as none.
        """
        return bool(client_ids) or _lets_pass(self.get(name), bool(groups))

    def _sort_in(self, name: str, level: BroadcastLevel) -> None:
        for with_groups, unusual in self._unusual.items():
            if _lets_pass(level, with_groups) is _lets_pass(self._default, with_groups):
                unusual.discard(name)
            else:
                unusual.add(name)

    def divide(self, names: tuple[str, ...], groups: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Divide names into those whose level allows a send without client ids, and those whose level refuses it.

        Args:
            names: the names.
            groups: the groups that the send gave; empty counts as none.

        Returns:
            The names that allow the send, and the names that refuse it, both in the order of ``names``.
        """
        with_groups = bool(groups)
        usual, unusual = _lets_pass(self._default, with_groups), self._unusual[with_groups]
        some = tuple(name for name in names if name in unusual) if unusual else ()
        others = tuple(name for name in names if name not in unusual) if some else names
        return (others, some) if usual else (some, others)


def _lets_pass(level: BroadcastLevel, with_groups: bool) -> bool:
    return level is BroadcastLevel.NAME or (level is BroadcastLevel.GROUP and with_groups)
