"""What a client tells its application, as values. They do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from ..wire.v1 import Hello, PresentMember

__all__ = ["ClientEvent", "Closed", "Lost", "Opened", "PresenceChanged", "SignalReceived"]


@frozen
class SignalReceived:
    """A message has come.

    Attributes:
        data: the payload: a ``str``, or what its JSON says.
        group: the group that the send named, or all of them where it named several; None where it named none.
        offset: the place of the message in the history of the name; None where it is in none.
        replayed: whether the client missed the message while it was not connected, and gets it now.
    """

    data: Any
    group: str | tuple[str, ...] | None = None
    offset: str | None = None
    replayed: bool = False


@frozen
class Opened:
    """A connection is open, the first one or another one.

    Attributes:
        hello: who the client is. ``hello.recovered`` says whether it gets all that it missed meanwhile.
    """

    hello: Hello


@frozen
class Lost:
    """Messages may be lost: the server can't tell which. The application loads its state anew.

    It follows :class:`Opened` where a client came back and could not go on where it was, and comes alone where the
    history of the name broke while the client was connected.

    Attributes:
        hello: who the client is now.
    """

    hello: Hello


@frozen
class PresenceChanged:
    """Who is connected has changed.

    Attributes:
        members: all members by their client ids; None where they are too many to be listed.
        count: how many they are.
        group: the group that they are in; None where presence is shared for the whole name.
        joined: the members that came with this change. It is empty where ``members`` was told anew.
        left: the client ids of the members that went with this change.
    """

    members: Mapping[str, PresentMember] | None
    count: int
    group: str | None = None
    joined: tuple[PresentMember, ...] = field(default=(), kw_only=True)
    left: tuple[str, ...] = field(default=(), kw_only=True)


@frozen
class Closed:
    """The client is closed, and does not come back. It is the last event.

    Attributes:
        code: the close code, 1000 where the client was stopped; 1006 where a handshake was refused.
        reason: a text for people; often empty.
        status: the HTTP status by which the server refused the handshake; None where it did not.
    """

    code: int
    reason: str = ""
    status: int | None = None


ClientEvent = SignalReceived | Opened | Lost | PresenceChanged | Closed
