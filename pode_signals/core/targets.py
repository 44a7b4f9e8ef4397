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
        said: the client's message of the current event. Where the send has no name, the message's name, groups and
            client ids stand in for those that the send does not have. None where there is no current event.
        name: the name as the user gave it.
        groups: the groups, by :func:`groups_of`.
        client_ids: the client ids, by :func:`client_ids_of`.

    Raises:
        NameRequired: there is no name, and no current event.
        TypeError: a name is no text.
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
    """The groups of a send, each once; None, ``""`` and an empty list mean no groups.

    An empty text in a list is kept, and matches no group. Without it, a list of empty texts alone would become a send
    to everybody.

    Raises:
        TypeError: a group is neither a text nor an ``int``.
    """
    return _texts(group, "group", "a text or several texts", (str, int))


def client_ids_of(client_id: Several) -> tuple[str, ...]:
    """The client ids of a send, by the same rules as :func:`groups_of`.

    Raises:
        TypeError: an id is neither a text nor an ``int``.
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
