"""Connections as an operator sees them: values, made when somebody asks. Nothing here reads a hub."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from ..core.model import ConnectionState, Scope

__all__ = ["ConnectionRow", "ConnectionRows"]


@frozen
class ConnectionRow:
    """One connection, as an operator sees it.

    Attributes:
        client_id: its id as issued, so with its signature where ids are signed: a secret of the client.
        name: what it joined.
        groups: its groups within the name, in the order of joining.
        scope: global or local.
        protocol: ``plain`` for Pode's own clients.
        state: open, or closing.
        connected_at: when it was converted (aware, UTC).
        last_activity_at: when its client last sent a message, or when it was converted (aware, UTC).
        address: the client's address; ``""`` for a UNIX socket.
        queued_bytes: how much waits for it, the places in its queue included.
        slow: whether its transport holds data that the client has not read.
        node: the name of the node that it is on.
    """

    client_id: str
    name: str
    groups: tuple[str, ...]
    scope: Scope
    protocol: str
    state: ConnectionState
    connected_at: datetime
    last_activity_at: datetime
    address: str
    queued_bytes: int
    slow: bool
    node: str

    @property
    def group(self) -> str | None:
        """The first of its groups; None where it has no group."""
        return next(iter(self.groups), None)


@frozen
class ConnectionRows:
    """Some connections, in the order of their coming.

    Attributes:
        items: the rows.
        next: what ``after`` has to be for the rows that follow; None where these are the last.
    """

    items: tuple[ConnectionRow, ...]
    next: str | None
