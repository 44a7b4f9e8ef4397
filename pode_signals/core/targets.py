"""Whom a send is for, from the arguments that users give. It never knows who is connected."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import NameRequired
from .model import EVERY_NAME, ClientMessage, EveryName, Target
from .names import check_name

__all__ = ["Names", "Several", "client_ids_of", "groups_of", "history_names", "matches", "target_of"]

Names = str | Sequence[str] | EveryName | None
"""A name, several names, every name, or None."""

Several = str | int | Sequence[str | int] | None
"""A group or client id, several of them, or None. An ``int`` is taken as its decimal text."""


def target_of(
    said: ClientMessage | None,
    name: Names,
    groups: tuple[str, ...],
    client_ids: tuple[str, ...],
    exclude: tuple[str, ...] = (),
) -> Target:
    """The target of a send.

    Args:
        said: the client's message of the current event. Where the send has no name, the message's name, groups and
            client ids stand in for those that the send does not have. None where there is no current event.
        name: the name as the user gave it.
        groups: the groups, by :func:`groups_of`.
        client_ids: the client ids, by :func:`client_ids_of`.
        exclude: the client ids that are left out, by :func:`client_ids_of`. A client's message never says whom to
            leave out.

    Raises:
        NameRequired: there is no name, and no current event.
        TypeError: a name is no text.
    """
    if name is EVERY_NAME:
        return Target(None, groups, client_ids, exclude)
    names = _texts(name, "name", "a text, several texts or EVERY_NAME", str)
    if names:
        return Target(names, groups, client_ids, exclude)
    if said is None:
        raise NameRequired
    named = None if said.path is None else (said.path,)
    return Target(named, groups or said.group, client_ids or said.client_id, exclude)


def matches(target: Target, groups: tuple[str, ...], client_id: str) -> bool:
    """Whether a target of a name means a connection of that name.

    Args:
        target: the target; its names are not looked at.
        groups: the groups that the connection is in now.
        client_id: the connection's client id.
    """
    return (
        (not target.groups or not set(target.groups).isdisjoint(groups))
        and (not target.client_ids or client_id in target.client_ids)
        and client_id not in target.exclude
    )


def history_names(name: Names) -> tuple[str | EveryName, ...]:
    """The names that a call about histories is for.

    Raises:
        ValueError: there is no name.
        NameInvalid: a text can't be a name.
        TypeError: a name is no text.
    """
    if isinstance(name, EveryName):
        return (name,)
    names = _texts(name, "name", "a text, several texts or EVERY_NAME", str)
    if not names:
        raise ValueError("a history is kept of a name, or of EVERY_NAME")
    return tuple(check_name("name", each) for each in names)


def groups_of(group: Several) -> tuple[str, ...]:
    """The groups of a send, each once; None, ``""`` and an empty list mean no groups.

    An empty text in a list is kept, and matches no group. Without it, a list of empty texts alone would become a send
    to everybody.

    Raises:
        TypeError: a group is neither a text nor an ``int``.
    """
    return _texts(group, "group", "a text or several texts", (str, int))


def client_ids_of(client_id: Several, argument: str = "client_id") -> tuple[str, ...]:
    """The client ids of a send, by the same rules as :func:`groups_of`.

    Args:
        client_id: the client ids as the user gave them.
        argument: the name of the argument, for the error.

    Raises:
        TypeError: an id is neither a text nor an ``int``.
    """
    return _texts(client_id, argument, "a text, a whole number or several of them", (str, int))


def _texts(value: object, argument: str, wanted: str, types: type | tuple[type, ...]) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, types):
        return (str(value),)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        if all(isinstance(each, types) for each in value):
            return tuple(dict.fromkeys(str(each) for each in value))
    raise TypeError(f"{argument} has to be {wanted}, not {value!r}")
