"""Values and enumerations that the whole package shares. Nothing here acts."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any, Final

from attrs import define, field, frozen

__all__ = [
    "EVERY_NAME",
    "BroadcastLevel",
    "ClientMessage",
    "ClosedBy",
    "Closure",
    "ConnectionState",
    "DuplicateClientId",
    "EventType",
    "EveryName",
    "Identity",
    "Scope",
    "SendMode",
    "Target",
    "Unrouted",
]


class Scope(Enum):
    """How long a connection lives and who can address it (Pode: ``-Scope``)."""

    GLOBAL = "global"
    """Outlives the route that converted it, is in the registry, gets broadcasts."""
    LOCAL = "local"
    """Belongs to the route that converted it and is closed when that route ends."""


class SendMode(Enum):
    """Whether a send goes to the current connection alone (Pode: ``-Mode``)."""

    AUTO = "auto"
    """Direct where the client's message said ``direct`` or the route's connection is local, else broadcast."""
    DIRECT = "direct"
    BROADCAST = "broadcast"


class BroadcastLevel(Enum):
    """How narrow a send has to be (Pode: ``Set-PodeSignalBroadcastLevel``)."""

    NAME = "name"
    """A name is enough."""
    GROUP = "group"
    """A name, and a group or a client id."""
    CLIENT_ID = "client_id"
    """A name and a client id."""


class EventType(Enum):
    """What happened to a connection (Pode: ``Register-PodeSignalEvent -Type``)."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"


class Unrouted(Enum):
    """What becomes of a client's message for whose path there is no signal route."""

    BROADCAST = "broadcast"
    """It is sent again to what it names, and to every connection if it names nothing (Pode's default)."""
    SAME_NAME = "same_name"
    """As BROADCAST, but never beyond the name of the connection that sent it."""
    DROP = "drop"


class DuplicateClientId(StrEnum):
    """What happens when a client connects with the name and client id of an open connection."""

    REPLACE = "replace"
    """The older connection is closed with 4409."""
    REFUSE = "refuse"
    """The newer request is answered with 409."""


class ClosedBy(Enum):
    """Who ended a connection."""

    CLIENT = "client"
    SERVER = "server"
    TIMEOUT = "timeout"
    ERROR = "error"
    SHUTDOWN = "shutdown"


class ConnectionState(Enum):
    """Where a connection is in its life."""

    OPEN = "open"
    CLOSING = "closing"
    """A close frame was sent or received; it is in no registry any more."""
    CLOSED = "closed"
    """The transport is gone."""


class EveryName(Enum):
    """The type of :data:`EVERY_NAME`."""

    EVERY_NAME = "every name"


EVERY_NAME: Final = EveryName.EVERY_NAME
"""``signals.send(data, name=EVERY_NAME)``: every global connection, whatever its name."""


@frozen
class Identity:
    """Who a connection is, checked.

    Attributes:
        name: what it joins.
        group: its group within the name, or None.
        client_id: the id as issued: signed where signing is on.
    """

    name: str
    group: str | None
    client_id: str


@frozen
class Target:
    """Which connections a send or a close is for.

    Attributes:
        names: the names; None is every name.
        groups: a connection has to be in one of these; empty is any group and none.
        client_ids: a connection has to have one of these; empty is any.
    """

    names: tuple[str, ...] | None
    groups: tuple[str, ...] = ()
    client_ids: tuple[str, ...] = ()


@define
class ClientMessage:
    """What a client sent, decoded. Not frozen, which would double the time to make one; each event has its own.

    Attributes:
        message: any JSON value.
        path: the name it is meant for, percent-decoded; None where the client gave none.
        group: the groups it is meant for; empty where the client gave none.
        client_id: the client ids it is meant for; empty where the client gave none.
        direct: whether the answer goes to the sender alone.
    """

    message: Any
    path: str | None = None
    group: tuple[str, ...] = ()
    client_id: tuple[str, ...] = ()
    direct: bool = False


@frozen
class Closure:
    """How a connection ended.

    Attributes:
        code: the WebSocket close code (RFC 6455 section 7.4): the client's where it closed, else ours;
            1005 where the close frame had none, 1006 where the transport was lost without one.
        reason: the text that came with the code, or ``""``.
        by: who closed.
    """

    code: int
    reason: str = field(default="")
    by: ClosedBy = ClosedBy.CLIENT
