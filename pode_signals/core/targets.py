"""Whom a send is for, from the arguments that users give. It never knows who is connected."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import NameRequired
from .model import EVERY_NAME, ClientMessage, EveryName, Target

__all__ = ["Names", "Several", "client_ids_of", "groups_of", "target_of"]

Names = str | Sequence[str] | EveryName | None
"""A name, several names, every name, or None."""

Several = str | int | Sequence[str | int] | None
"""A group or client id, several of them, or None. An ``int`` is taken as its decimal text."""


def target_of(said: ClientMessage | None, name: Names, groups: tuple[str, ...], client_ids: tuple[str, ...]) -> Target:
    """The target of a send.

    Args:
        said: the client's message in whose event the send happens: what the send leaves open, the message says.
            None is outside of an event.
        name: as given.
        groups: as :func:`groups_of` gives them.
        client_ids: as :func:`client_ids_of` gives them.

    Raises:
        NameRequired: no name, and no event.
        TypeError: a name that is no text.
    """
    if name is EVERY_NAME:
        return Target(None, groups, client_ids)
    names = _texts(name, "name", "a text, several texts or EVERY_NAME", str)
    if names:
        return Target(names, groups, client_ids)
    if said is None:
        raise NameRequired
    return Target(None if said.path is None else (said.path,), groups or said.group, client_ids or said.client_id)


def groups_of(group: Several) -> tuple[str, ...]:
    """The groups of a send, each once; None, ``""`` and an empty list are none.

    An empty text in a list stays, and means nobody: a list of nothing else must not become everybody.

    Raises:
        TypeError: a group that is neither a text nor an ``int``.
    """
    return _texts(group, "group", "a text or several texts", (str, int))


def client_ids_of(client_id: Several) -> tuple[str, ...]:
    """The client ids of a send, as :func:`groups_of`.

    Raises:
        TypeError: an id that is neither a text nor an ``int``.
    """
    return _texts(client_id, "client_id", "a text, a whole number or several of them", (str, int))


def _texts(value: object, argument: str, wanted: str, types: type | tuple[type, ...]) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, types):
        return (str(value),)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        if all(isinstance(each, types) for each in value):
            return tuple(dict.fromkeys(str(each) for each in value))
    raise TypeError(f"{argument} has to be {wanted}, not {value!r}")
