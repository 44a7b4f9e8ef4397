"""Members as they are in Redis, and differences among them as they are published. It asks nothing.

A value is ``<incarnation> <h or l><member>``: which node holds the member, whether it is held or leaving, and the rest
of it as JSON. A difference is a JSON array of texts: the version, and for each client id its new value, ``""`` where it
has left. Everybody who may write to Redis can write these, so nothing is believed that does not look like them.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

from ...core.names import check_name
from ...errors import MessageInvalid, NameInvalid
from ...wire.json import decode, decode_unbounded, encode_value
from ..contract import Member

__all__ = ["INCARNATION", "VERSION", "Change", "Seen", "read_change", "read_members", "written"]

INCARNATION = re.compile(rb"([a-z0-9]{1,16})-[0-9]{1,15}")
"""The name of a node, and a number that counts up."""
VERSION = re.compile(rb"0|[1-9][0-9]{0,15}")
_VALUE = re.compile(rb"([a-z0-9]{1,16})-[0-9]{1,15} [hl](\{.*\})", re.DOTALL)
_MOST_BYTES = 1_048_576
_MOST_DEPTH = 256
_KEYS = frozenset({"g", "u", "i"})


@frozen
class Seen:
    """A member as Redis has it.

    Attributes:
        node: the name of the node that holds it.
        member: the member.
    """

    node: str
    member: Member


@frozen
class Change:
    """A difference among the members of a name.

    Attributes:
        version: the version of the members with this difference; the one before is lower by 1.
        members: the members that came or were replaced; None for each client id that has left.
        malformed: how many values were none. Such a client id counts as one that has left.
    """

    version: int
    members: dict[str, Seen | None]
    malformed: int


def written(member: Member) -> str:
    """The part of a value that is the member."""
    fields: dict[str, Any] = {"g": member.groups, "u": member.user, "i": member.info}
    return encode_value({key: value for key, value in fields.items() if value not in (None, ())}).decode()


def read_change(name: str, content: bytes) -> Change | None:
    """Read a difference; None where it is none."""
    try:
        version, *rest = _texts(decode_unbounded(content))
    except (MessageInvalid, ValueError):
        return None
    if not VERSION.fullmatch(version.encode("utf-8", "replace")) or len(rest) % 2:
        return None
    members = {
        client_id: _read(name, client_id, value.encode("utf-8", "replace")) if value else None
        for client_id, value in zip(rest[::2], rest[1::2], strict=True)
    }
    return Change(int(version), members, sum(1 for value in rest[1::2] if value) - _number(members))


def read_members(name: str, flat: list[bytes]) -> tuple[dict[str, Seen], int]:
    """Read the fields and values of a hash.

    Returns:
        The members by their client ids, and how many values were none.
    """
    members: dict[str, Seen] = {}
    for field, value in zip(flat[::2], flat[1::2], strict=True):
        try:
            client_id = field.decode()
        except UnicodeDecodeError:
            continue
        seen = _read(name, client_id, value)
        if seen is not None:
            members[client_id] = seen
    return members, len(flat) // 2 - len(members)


def _read(name: str, client_id: str, value: bytes) -> Seen | None:
    found = _VALUE.fullmatch(value) if len(value) <= _MOST_BYTES else None
    if found is None:
        return None
    try:
        # All of it goes on to clients: what can't be written for them would keep all other members from them.
        fields = decode(found[2], _MOST_DEPTH, _MOST_BYTES)
        if not fields.keys() <= _KEYS:
            return None
        groups, user = tuple(_texts(fields.get("g", []))), fields.get("u")
        check_name("client id", client_id)
        for group in groups:
            check_name("group", group)
    except (MessageInvalid, NameInvalid, ValueError):
        return None
    if user is not None and type(user) is not str:
        return None
    return Seen(found[1].decode(), Member(name, client_id, groups, user, fields.get("i")))


def _texts(value: Any) -> list[str]:
    if type(value) is not list or not {str}.issuperset(map(type, value)):
        raise ValueError
    return value


def _number(members: dict[str, Seen | None]) -> int:
    return sum(1 for seen in members.values() if seen is not None)
