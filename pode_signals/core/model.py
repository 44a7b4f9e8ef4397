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
    """The connection outlives the route that converted it, is in the registry, and gets broadcasts."""
    LOCAL = "local"
    """The connection belongs to the route that converted it, and is closed when that route ends."""


class SendMode(Enum):
    """Whether a send goes to the current connection alone (Pode: ``-Mode``)."""

    AUTO = "auto"
    """Direct where the client's message said ``direct`` or the route's connection is local; otherwise broadcast."""
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
    """What is done with a client's message where there is no signal route for the path of its connection."""

    BROADCAST = "broadcast"
    """The message is sent on to the connections that it names, and to all connections if it names none (as in Pode)."""
    SAME_NAME = "same_name"
    """As BROADCAST, but only within the name of the connection that sent the message."""
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
    """A close frame was sent or received; the connection is in no registry any more."""
    CLOSED = "closed"
    """The transport is gone."""


class EveryName(Enum):
    """The type of :data:`EVERY_NAME`."""

    EVERY_NAME = "every name"


EVERY_NAME: Final = EveryName.EVERY_NAME
"""Every global connection, whatever its name, as in ``signals.send(data, name=EVERY_NAME)``."""


@frozen
class Identity:
    """The name, groups and client id of a connection, after they were checked.

    Attributes:
        name: the name that the connection joins.
        groups: its groups within the name, in the order of joining.
        client_id: the client id as it was issued: with its signature where signing is on.
    """

    name: str
    groups: tuple[str, ...]
    client_id: str


@frozen
class Target:
    """Which connections a send or a close is for.

    Attributes:
        names: the names; None is every name.
        groups: the groups, of which a connection has to be in one. Empty means any group and no group.
        client_ids: the client ids, of which a connection has to have one. Empty means any client id.
        exclude: the client ids of which a connection must have none.
    """

    names: tuple[str, ...] | None
    groups: tuple[str, ...] = ()
    client_ids: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def is_everybody(self) -> bool:
        """Whether it is for all connections of its names."""
        return not (self.groups or self.client_ids or self.exclude)


@define
class ClientMessage:
    """A decoded message of a client. Each event has a message of its own.

    Attributes:
        message: any JSON value.
        path: the name that the message is for, percent-decoded; None where the client gave none.
        group: the groups that the message is for; empty where the client gave none.
        client_id: the client ids that the message is for; empty where the client gave none.
        direct: whether the answer goes to the sender alone.
    """

    # Not frozen as the other values are: that would double the time to make one, and one is made for each message.

    message: Any
    path: str | None = None
    group: tuple[str, ...] = ()
    client_id: tuple[str, ...] = ()
    direct: bool = False


@frozen
class Closure:
    """How a connection ended.

    Attributes:
        code: the WebSocket close code (RFC 6455 section 7.4): the client's code where the client closed, otherwise the
            server's; 1005 where the close frame had no code, 1006 where the transport was lost without a close frame.
        reason: the text that came with the code, or ``""``.
        by: who closed.
    """

    code: int
    reason: str = field(default="")
    by: ClosedBy = ClosedBy.CLIENT
