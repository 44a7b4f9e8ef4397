"""Broadcast levels: how narrow a send to a name has to be. Never sends."""

from __future__ import annotations

from .model import BroadcastLevel

__all__ = ["BroadcastLevels"]


class BroadcastLevels:
    """The level of each name, and the one for names that have none of their own (at first ``NAME``)."""

    __slots__ = ("_by_name", "_default", "_unusual")

    def __init__(self) -> None:
        self._default = BroadcastLevel.NAME
        self._by_name: dict[str, BroadcastLevel] = {}
        # The names that do otherwise than the default; without groups, and with some.
        self._unusual: dict[bool, set[str]] = {False: set(), True: set()}

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
            for each, own in self._by_name.items():
                self._sort_in(each, own)
        else:
            self._by_name[name] = level
            self._sort_in(name, level)

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
        return bool(client_ids) or _lets_pass(self.get(name), bool(groups))

    def _sort_in(self, name: str, level: BroadcastLevel) -> None:
        for with_groups, unusual in self._unusual.items():
            if _lets_pass(level, with_groups) is _lets_pass(self._default, with_groups):
                unusual.discard(name)
            else:
                unusual.add(name)

    def divide(self, names: tuple[str, ...], groups: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those of some names to which a send without client ids may go, and the others; each in their order.

        Args:
            names: the names.
            groups: the groups that the send gave; empty counts as none.
        """
        with_groups = bool(groups)
        usual, unusual = _lets_pass(self._default, with_groups), self._unusual[with_groups]
        some = tuple(name for name in names if name in unusual) if unusual else ()
        others = tuple(name for name in names if name not in unusual) if some else names
        return (others, some) if usual else (some, others)


def _lets_pass(level: BroadcastLevel, with_groups: bool) -> bool:
    return level is BroadcastLevel.NAME or (level is BroadcastLevel.GROUP and with_groups)
