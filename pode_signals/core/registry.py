"""The registry of global connections, by name, group and client id. It never opens, closes or sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, filterfalse
from typing import Generic, Protocol, TypeVar

from pode_signals.errors import UnknownName

from .model import Target

__all__ = ["Entry", "Registry"]


class Entry(Protocol):
    """What the registry has to know of a connection. Name and client id never change."""

    @property
    def name(self) -> str:
        """The name that the connection has joined."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups within the name; while the entry is in the registry they change with ``join`` and ``leave``."""

    @property
    def client_id(self) -> str:
        """The client id as it was issued, with its signature where signing is on."""


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """The entries by name, by group and by client id. A name or group is forgotten when its last entry leaves.

    Every selection is a tuple, so entries may leave while a caller goes over it. The time to find a selection grows
    with its entries and with the texts of the target, and not with the number of names: clients choose the groups and
    client ids of a message, and must not make the server search all names.
    """

    __slots__ = ("_by_client_id", "_by_group", "_count", "_everyone", "_known_names", "_names")

    def __init__(self) -> None:
        self._names: dict[str, _Name[E]] = {}
        # Mostly a client id is used within one name only. Then the entry itself stands here, without a container.
        self._by_client_id: dict[str, E | _Namesakes[E]] = {}
        # The same for a group.
        self._by_group: dict[str, _Members[E] | _Alike[E]] = {}
        self._count = 0
        # Tuples that were made for a caller, and None after a change that made them wrong.
        self._everyone: tuple[E, ...] | None = None
        self._known_names: tuple[str, ...] | None = None

    def add(self, entry: E) -> None:
        """Add an entry.

        Raises:
            ValueError: the registry has an entry with this name and client id.
        """
        name = self._names.get(entry.name)
        if name is None:
            name = self._names[entry.name] = _Name(entry.name)
            self._known_names = None
        elif entry.client_id in name.members.by_client_id:
            raise ValueError("this name and client id are in the registry already")
        name.members.add(entry)
        for group in entry.groups:
            self._join_group(name, entry, group)
        self._index(entry)
        self._count += 1
        self._everyone = None

    def remove(self, entry: E) -> bool:
        """Remove an entry.

        Returns:
            Whether this very object was there. An entry with the same name and client id that has replaced it stays.
        """
        name = self._names.get(entry.name)
        if name is None or name.members.by_client_id.get(entry.client_id) is not entry:
            return False
        for group in entry.groups:
            self._leave_group(name, entry, group)
        if name.members.remove(entry):
            del self._names[entry.name]
            self._known_names = None
        self._unindex(entry)
        self._count -= 1
        self._everyone = None
        return True

    def join(self, entry: E, group: str) -> None:
        """Have an entry in one more group, which the caller has added to the entry's own groups.

        The audience of the name stays the same tuple; that of the group is a new one.
        """
        self._join_group(self._names[entry.name], entry, group)

    def leave(self, entry: E, group: str) -> None:
        """Have an entry in one group less, which the caller has taken out of the entry's own groups."""
        self._leave_group(self._names[entry.name], entry, group)

    def get(self, name: str, client_id: str) -> E | None:
        """The entry with this name and client id."""
        found = self._names.get(name)
        return None if found is None else found.members.by_client_id.get(client_id)

    def select(self, target: Target) -> tuple[E, ...]:
        """The entries that a target means, each once.

        The entries of one name, or of one group of a name, stand in the order of joining, and are the same tuple until
        an entry joins or leaves. Several names, groups or client ids come in the order in which the target has them.
        Where the target excludes one of the entries, the tuple is a new one each time.
        """
        names, groups, exclude = target.names, target.groups, target.exclude
        if target.client_ids:
            found = self._with_client_ids(target)
            if not groups:
                return tuple(found)
            wanted = frozenset(groups)
            return tuple(entry for entry in found if not wanted.isdisjoint(entry.groups))
        if names is None and not groups and not exclude:
            return self._of_all_names()
        if names is not None and len(names) == 1:
            return self.audience(names[0], groups, exclude)
        return tuple(chain.from_iterable(audience for _, audience in self.audiences(names, groups, exclude)))

    def audience(self, name: str, groups: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> tuple[E, ...]:
        """The entries of a name, apart from the excluded client ids; with groups, only those in one of the groups."""
        found = self._names.get(name)
        if found is None:
            return ()
        if not groups:
            everyone = found.members.everyone()
        else:
            everyone = _joined([found.groups[group] for group in dict.fromkeys(groups) if group in found.groups])
        if not exclude:
            return everyone
        by_client_id = found.members.by_client_id
        return _without(everyone, {by_client_id[each] for each in exclude if each in by_client_id})

    def audiences(
        self, names: Iterable[str] | None, groups: tuple[str, ...] = (), exclude: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, tuple[E, ...]]]:
        """Each of these names with its entries; with groups, only with the entries that are in one of the groups.

        Args:
            names: the names; None is every name. With groups, a name without an entry in any of them is left out.
            groups: the groups; empty means any group and no group.
            exclude: client ids of which the entries are left out.
        """
        wanted = None if names is None else dict.fromkeys(names)
        found = self._audiences_of_groups(wanted, groups) if groups else self._audiences(wanted)
        if not exclude:
            return found
        # Looked up once for all names. The loops over many names and many excluded ids must not multiply.
        excluded = set(chain.from_iterable(self._of_names(each, wanted) for each in exclude))
        return ((name, _without(audience, excluded)) for name, audience in found)

    def with_client_id(self, client_id: str) -> tuple[E, ...]:
        """The entries with this client id, whatever their names."""
        found = self._by_client_id.get(client_id)
        if found is None:
            return ()
        return tuple(found.values()) if isinstance(found, _Namesakes) else (found,)

    def names(self, groups: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The names that have an entry; with groups, the names that have an entry in one of these groups."""
        if groups:
            return tuple(dict.fromkeys(members.name for group in groups for members in self._of_each_name(group)))
        if self._known_names is None:
            self._known_names = tuple(self._names)
        return self._known_names

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups of a name that have an entry.

        Raises:
            UnknownName: no entry has this name.
        """
        return tuple(self._known(name).groups)

    def client_ids(self, name: str, group: str | None = None) -> tuple[str, ...]:
        """The client ids of a name, or of one of its groups; an unknown group has no client ids.

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
        """Whether an entry has this name and client id and, where a group is given, this group."""
        entry = self.get(name, client_id)
        return entry is not None and (group is None or group in entry.groups)

    def count(self, name: str | None = None) -> int:
        """How many entries a name has, which is 0 for an unknown name; without a name, how many entries there are."""
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

    def _join_group(self, name: _Name[E], entry: E, group: str) -> None:
        members = name.groups.get(group)
        if members is not None:
            members.add(entry)
            return
        members = name.groups[group] = _Members(entry.name)
        members.add(entry)
        found = self._by_group.get(group)
        if found is None:
            self._by_group[group] = members
        elif isinstance(found, _Alike):
            found[entry.name] = members
        else:
            self._by_group[group] = _Alike({found.name: found, entry.name: members})

    def _leave_group(self, name: _Name[E], entry: E, group: str) -> None:
        if not name.groups[group].remove(entry):
            return
        del name.groups[group]
        found = self._by_group[group]
        if isinstance(found, _Alike) and len(found) > 1:
            del found[entry.name]
        else:
            del self._by_group[group]

    def _of_each_name(self, group: str) -> Iterable[_Members[E]]:
        """The members of a group with this name, for each name of connections that has such a group."""
        found = self._by_group.get(group)
        if found is None:
            return ()
        return found.values() if isinstance(found, _Alike) else (found,)

    def _known(self, name: str) -> _Name[E]:
        try:
            return self._names[name]
        except KeyError:
            raise UnknownName(name) from None

    def _audiences(self, names: dict[str, None] | None) -> Iterator[tuple[str, tuple[E, ...]]]:
        for name in dict.fromkeys(self._names) if names is None else names:
            yield name, self.audience(name)

    def _audiences_of_groups(
        self, names: dict[str, None] | None, groups: tuple[str, ...]
    ) -> Iterator[tuple[str, tuple[E, ...]]]:
        found: dict[str, list[_Members[E]]] = {}
        for group in dict.fromkeys(groups):
            for members in self._of_each_name(group):
                found.setdefault(members.name, []).append(members)
        for name in found if names is None else names:
            if name in found:
                yield name, _joined(found[name])

    def _with_client_ids(self, target: Target) -> Iterator[E]:
        client_ids = dict.fromkeys(target.client_ids)
        for each in target.exclude:
            client_ids.pop(each, None)
        if target.names is None:
            return chain.from_iterable(map(self.with_client_id, client_ids))
        names = dict.fromkeys(target.names)
        if len(names) == 1:
            known = self._names.get(target.names[0])
            by_client_id = {} if known is None else known.members.by_client_id
            return (by_client_id[client_id] for client_id in client_ids if client_id in by_client_id)
        by_name: dict[str, list[E]] = {}
        for client_id in client_ids:
            for entry in self._of_names(client_id, names):
                by_name.setdefault(entry.name, []).append(entry)
        return chain.from_iterable(by_name[name] for name in names if name in by_name)

    def _of_names(self, client_id: str, names: dict[str, None] | None) -> Iterable[E]:
        """The entries with a client id and with one of the names; None is every name.

        The loop goes over the names of the client id or over the given names, whichever are fewer.
        """
        if names is None:
            return self.with_client_id(client_id)
        found = self._by_client_id.get(client_id)
        if found is None:
            return ()
        if not isinstance(found, _Namesakes):
            return (found,) if found.name in names else ()
        if len(found) <= len(names):
            return (entry for name, entry in found.items() if name in names)
        return (found[name] for name in names if name in found)

    def _of_all_names(self) -> tuple[E, ...]:
        if self._everyone is None:
            self._everyone = tuple(chain.from_iterable(audience for _, audience in self.audiences(None)))
        return self._everyone


def _joined(several: list[_Members[E]]) -> tuple[E, ...]:
    if len(several) == 1:
        return several[0].everyone()
    # An entry that is in several of the groups stands here once, where it stands first.
    return tuple(dict.fromkeys(chain.from_iterable(members.everyone() for members in several)))


def _without(audience: tuple[E, ...], excluded: set[E]) -> tuple[E, ...]:
    left = tuple(filterfalse(excluded.__contains__, audience))
    # Fan-out joins the messages of a turn where the audience is the same object.
    return audience if len(left) == len(audience) else left


class _Namesakes(dict[str, E]):
    """Several entries with one client id, by their names."""

    __slots__ = ()


class _Members(Generic[E]):
    """The entries of a name or of one of its groups. Their tuple is kept until an entry joins or leaves."""

    __slots__ = ("_everyone", "by_client_id", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.by_client_id: dict[str, E] = {}
        self._everyone: tuple[E, ...] | None = None

    def add(self, entry: E) -> None:
        self.by_client_id[entry.client_id] = entry
        self._everyone = None

    def remove(self, entry: E) -> bool:
        """Remove an entry, and tell whether no entry is left."""
        del self.by_client_id[entry.client_id]
        self._everyone = None
        return not self.by_client_id

    def everyone(self) -> tuple[E, ...]:
        if self._everyone is None:
            self._everyone = tuple(self.by_client_id.values())
        return self._everyone


class _Alike(dict[str, _Members[E]]):
    """The groups with one name that several names of connections have, by these names of connections."""

    __slots__ = ()


class _Name(Generic[E]):
    """The entries of a name; an entry without a group stands in no index of groups."""

    __slots__ = ("groups", "members")

    def __init__(self, name: str) -> None:
        self.members: _Members[E] = _Members(name)
        self.groups: dict[str, _Members[E]] = {}
