"""Who is connected: names, groups and client ids of the global connections. Never opens, closes or sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Generic, Protocol, TypeVar

from pode_signals.errors import UnknownName

from .model import Target

__all__ = ["Entry", "Registry"]


class Entry(Protocol):
    """What the registry has to know of a connection. None of it ever changes."""

    @property
    def name(self) -> str:
        """The name that it joined."""

    @property
    def group(self) -> str | None:
        """The group within the name, or None."""

    @property
    def client_id(self) -> str:
        """The client id as issued (signed, where ids are)."""


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """The entries by name, by group and by client id; nothing is left of a name or group when its last entry leaves.

    Every selection is a tuple, so members may leave while someone goes over it.
    """

    __slots__ = ("_by_client_id", "_count", "_everyone", "_names")

    def __init__(self) -> None:
        self._names: dict[str, _Name[E]] = {}
        # An id mostly has one name: then the entry itself stands here, and no container for each of them.
        self._by_client_id: dict[str, E | _Namesakes[E]] = {}
        self._count = 0
        self._everyone: tuple[E, ...] | None = None

    def add(self, entry: E) -> None:
        """Take an entry in.

        Raises:
            ValueError: the registry has an entry with this name and client id.
        """
        name = self._names.get(entry.name)
        if name is None:
            name = self._names[entry.name] = _Name()
        elif entry.client_id in name.members.by_client_id:
            raise ValueError("this name and client id are in the registry already")
        name.members.add(entry)
        if entry.group is not None:
            name.groups.setdefault(entry.group, _Members()).add(entry)
        self._index(entry)
        self._count += 1
        self._everyone = None

    def remove(self, entry: E) -> bool:
        """Let an entry go.

        Returns:
            Whether it was there: this very object, not one that replaced it.
        """
        name = self._names.get(entry.name)
        if name is None or name.members.by_client_id.get(entry.client_id) is not entry:
            return False
        if name.members.remove(entry):
            del self._names[entry.name]
        elif entry.group is not None and name.groups[entry.group].remove(entry):
            del name.groups[entry.group]
        self._unindex(entry)
        self._count -= 1
        self._everyone = None
        return True

    def get(self, name: str, client_id: str) -> E | None:
        """The entry with this name and client id."""
        found = self._names.get(name)
        return None if found is None else found.members.by_client_id.get(client_id)

    def select(self, target: Target) -> tuple[E, ...]:
        """The entries that a target means, each once.

        Those of one name, or of one group of it, stand in the order of joining, and are the same tuple until
        one joins or leaves. Several names, groups or client ids come in the order in which the target has them.
        """
        if target.client_ids:
            found = self._with_client_ids(target)
            return tuple(found if not target.groups else (entry for entry in found if entry.group in target.groups))
        if target.names is None:
            return self._of_all_names() if not target.groups else self._joined(self._names, target.groups)
        if len(target.names) == 1:
            return self._of_name(target.names[0], target.groups)
        return self._joined(target.names, target.groups)

    def with_client_id(self, client_id: str) -> tuple[E, ...]:
        """The entries with this client id, whatever their names."""
        found = self._by_client_id.get(client_id)
        if found is None:
            return ()
        return tuple(found.values()) if isinstance(found, _Namesakes) else (found,)

    def names(self) -> tuple[str, ...]:
        """The names that have an entry."""
        return tuple(self._names)

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups of a name that have an entry.

        Raises:
            UnknownName: no entry has this name.
        """
        return tuple(self._known(name).groups)

    def client_ids(self, name: str, group: str | None = None) -> tuple[str, ...]:
        """The client ids of a name, or of one of its groups; an unknown group has none.

        Raises:
            UnknownName: no entry has this name.
        """
        known = self._known(name)
        members = known.members if group is None else known.groups.get(group)
        return () if members is None else tuple(members.by_client_id)

    def has_name(self, name: str) -> bool:
        """Whether an entry has this name."""
        return name in self._names

    def has_client_id(self, name: str, client_id: str, group: str | None = None) -> bool:
        """Whether an entry has this name, this client id and, unless that is None, this group."""
        entry = self.get(name, client_id)
        return entry is not None and (group is None or entry.group == group)

    def count(self, name: str | None = None) -> int:
        """How many entries a name has, 0 for an unknown one; without a name, how many there are."""
        if name is None:
            return self._count
        found = self._names.get(name)
        return 0 if found is None else len(found.members.by_client_id)

    def name_count(self) -> int:
        """How many names have an entry."""
        return len(self._names)

    def _index(self, entry: E) -> None:
        found = self._by_client_id.get(entry.client_id)
        if found is None:
            self._by_client_id[entry.client_id] = entry
        elif isinstance(found, _Namesakes):
            found[entry.name] = entry
        else:
            self._by_client_id[entry.client_id] = _Namesakes({found.name: found, entry.name: entry})

    def _unindex(self, entry: E) -> None:
        found = self._by_client_id[entry.client_id]
        if isinstance(found, _Namesakes) and len(found) > 1:
            del found[entry.name]
        else:
            del self._by_client_id[entry.client_id]

    def _known(self, name: str) -> _Name[E]:
        try:
            return self._names[name]
        except KeyError:
            raise UnknownName(name) from None

    def _with_client_ids(self, target: Target) -> Iterator[E]:
        client_ids = dict.fromkeys(target.client_ids)
        if target.names is None:
            return chain.from_iterable(map(self.with_client_id, client_ids))
        found = (self.get(name, client_id) for name in dict.fromkeys(target.names) for client_id in client_ids)
        return (entry for entry in found if entry is not None)

    def _of_all_names(self) -> tuple[E, ...]:
        if self._everyone is None:
            self._everyone = self._joined(self._names, ())
        return self._everyone

    def _joined(self, names: Iterable[str], groups: tuple[str, ...]) -> tuple[E, ...]:
        return tuple(chain.from_iterable(self._of_name(name, groups) for name in dict.fromkeys(names)))

    def _of_name(self, name: str, groups: tuple[str, ...]) -> tuple[E, ...]:
        found = self._names.get(name)
        if found is None:
            return ()
        if not groups:
            return found.members.everyone()
        if len(groups) == 1:
            return found.of_group(groups[0])
        return tuple(chain.from_iterable(map(found.of_group, dict.fromkeys(groups))))


class _Namesakes(dict[str, E]):
    """Several entries with one client id, by their names."""

    __slots__ = ()


class _Members(Generic[E]):
    """The entries of a name or a group, and the tuple of them while nobody joins or leaves."""

    __slots__ = ("_everyone", "by_client_id")

    def __init__(self) -> None:
        self.by_client_id: dict[str, E] = {}
        self._everyone: tuple[E, ...] | None = None

    def add(self, entry: E) -> None:
        self.by_client_id[entry.client_id] = entry
        self._everyone = None

    def remove(self, entry: E) -> bool:
        """Whether nobody is left."""
        del self.by_client_id[entry.client_id]
        self._everyone = None
        return not self.by_client_id

    def everyone(self) -> tuple[E, ...]:
        if self._everyone is None:
            self._everyone = tuple(self.by_client_id.values())
        return self._everyone


class _Name(Generic[E]):
    """The entries of a name; an entry without a group stands in no index of groups."""

    __slots__ = ("groups", "members")

    def __init__(self) -> None:
        self.members: _Members[E] = _Members()
        self.groups: dict[str, _Members[E]] = {}

    def of_group(self, group: str) -> tuple[E, ...]:
        members = self.groups.get(group)
        return () if members is None else members.everyone()
