"""Asking which connections are open. It changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.model import Target
from ..core.names import client_id_text
from ..core.registry import Registry

if TYPE_CHECKING:
    from .connection import SignalConnection

__all__ = ["Asking"]


class Asking:
    """Questions to the registry of one hub; a part of :class:`~pode_signals.Signals`. Local connections are not in it.

    Args:
        registry: the global connections.
    """

    def __init__(self, registry: Registry[SignalConnection]) -> None:
        self._registry = registry

    def names(self) -> tuple[str, ...]:
        """The names that have connections (Pode: ``Get-PodeSignalNameList``)."""
        return self._registry.names()

    def groups(self, name: str) -> tuple[str, ...]:
        """The groups within a name that have connections (Pode: ``Get-PodeSignalGroupList``).

        Raises:
            UnknownName: no connection has the name.
        """
        return self._registry.groups(name)

    def client_ids(self, name: str, group: str | None = None) -> tuple[str, ...]:
        """The client ids within a name, in order of their coming (Pode: ``Get-PodeSignalClientIdList``).

        A group restricts them.

        Raises:
            UnknownName: no connection has the name.
        """
        return self._registry.client_ids(name, group)

    def has_name(self, name: str) -> bool:
        """Whether a connection has the name (Pode: ``Test-PodeSignalName``)."""
        return self._registry.has_name(name)

    def has_client_id(self, name: str, client_id: str | int, group: str | None = None) -> bool:
        """Whether a connection of the name, and of a given group, has the id (Pode: ``Test-PodeSignalClientId``).

        Raises:
            TypeError: the client id is neither a ``str`` nor an ``int``, which is taken as its text.
        """
        return self._registry.has_client_id(name, client_id_text(client_id), group)

    def connection(self, name: str, client_id: str | int) -> SignalConnection | None:
        """The connection of a name with a client id; None where there is none.

        Raises:
            TypeError: the client id is neither a ``str`` nor an ``int``, which is taken as its text.
        """
        return self._registry.get(name, client_id_text(client_id))

    def connections(self, name: str, group: str | None = None) -> tuple[SignalConnection, ...]:
        """The connections of a name, in order of their coming; a group restricts them. An unknown name has none."""
        return self._registry.select(Target((name,), () if group is None else (group,)))

    def count(self, name: str | None = None) -> int:
        """How many connections a name has; None is all names together."""
        return self._registry.count(name)
