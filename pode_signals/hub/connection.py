"""One connection as the application sees it: its identity, its state, sending to it and closing it. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Never, Protocol, overload

from twisted.internet.defer import Deferred

from ..backplane.contract import Member
from ..core.counters import Counters
from ..core.model import BroadcastLevel, ClosedBy, Closure, ConnectionState, Scope, SendMode
from ..core.names import check_name
from ..core.request_record import RequestRecord
from ..core.settings import Settings
from ..core.signing import bare_client_id
from ..core.targets import Names, Several
from ..wire.frames import CloseCode, check_close_code
from .delivery import Delivery
from .link import Link
from .profile import Profile, checked_expiry, checked_info

__all__ = ["ConnectionHub", "SignalConnection", "view_of"]


class ConnectionHub(Protocol):
    """The ``Signals`` object that a connection belongs to, as :attr:`SignalConnection.hub` gives it.

    Each method is the method of ``Signals`` with the same name, and is described there.
    """

    @property
    def settings(self) -> Settings:
        """Limits and defaults."""

    @property
    def counters(self) -> Counters:
        """What happened so far."""

    @property
    def lockable(self) -> Mapping[str, Any]:
        """A mapping with a lock that all functions share."""

    def send(
        self,
        data: object,
        *misplaced: Never,
        name: Names = None,
        group: Several = None,
        client_id: Several = None,
        exclude: Several = None,
        mode: SendMode | str = SendMode.AUTO,
        depth: int | None = None,
        ignore_event: bool = False,
        key: str | None = None,
        acknowledge: bool = False,
        timeout: float = 5.0,
    ) -> Delivery:
        """Send to all connections of a name, to a group of it, or to single clients."""

    def close(
        self,
        name: str,
        *,
        group: Several = None,
        client_id: Several = None,
        code: int = CloseCode.NORMAL,
        reason: str = "",
    ) -> Deferred[int]:
        """Close every connection of a name that matches."""

    @overload
    def names(self, *, cluster: Literal[False] = False) -> tuple[str, ...]: ...
    @overload
    def names(self, *, cluster: Literal[True]) -> Deferred[tuple[str, ...]]: ...
    def names(self, *, cluster: bool = False) -> tuple[str, ...] | Deferred[tuple[str, ...]]:
        """The names that have connections."""

    @overload
    def groups(self, name: str, *, cluster: Literal[False] = False) -> tuple[str, ...]: ...
    @overload
    def groups(self, name: str, *, cluster: Literal[True]) -> Deferred[tuple[str, ...]]: ...
    def groups(self, name: str, *, cluster: bool = False) -> tuple[str, ...] | Deferred[tuple[str, ...]]:
        """The groups within a name that have connections."""

    @overload
    def client_ids(
        self, name: str, group: str | None = None, *, cluster: Literal[False] = False
    ) -> tuple[str, ...]: ...
    @overload
    def client_ids(
        self, name: str, group: str | None = None, *, cluster: Literal[True]
    ) -> Deferred[tuple[str, ...]]: ...
    def client_ids(
        self, name: str, group: str | None = None, *, cluster: bool = False
    ) -> tuple[str, ...] | Deferred[tuple[str, ...]]:
        """The client ids within a name."""

    @overload
    def has_name(self, name: str, *, cluster: Literal[False] = False) -> bool: ...
    @overload
    def has_name(self, name: str, *, cluster: Literal[True]) -> Deferred[bool]: ...
    def has_name(self, name: str, *, cluster: bool = False) -> bool | Deferred[bool]:
        """Whether a connection has the name."""

    @overload
    def has_client_id(
        self, name: str, client_id: str | int, group: str | None = None, *, cluster: Literal[False] = False
    ) -> bool: ...
    @overload
    def has_client_id(
        self, name: str, client_id: str | int, group: str | None = None, *, cluster: Literal[True]
    ) -> Deferred[bool]: ...
    def has_client_id(
        self, name: str, client_id: str | int, group: str | None = None, *, cluster: bool = False
    ) -> bool | Deferred[bool]:
        """Whether a connection of the name has the id."""

    @overload
    def connection(
        self, name: str, client_id: str | int, *, cluster: Literal[False] = False
    ) -> SignalConnection | None: ...
    @overload
    def connection(self, name: str, client_id: str | int, *, cluster: Literal[True]) -> Deferred[Member | None]: ...
    def connection(
        self, name: str, client_id: str | int, *, cluster: bool = False
    ) -> SignalConnection | Deferred[Member | None] | None:
        """The connection of a name with a client id."""

    @overload
    def connections(
        self, name: str, group: str | None = None, *, cluster: Literal[False] = False
    ) -> tuple[SignalConnection, ...]: ...
    @overload
    def connections(
        self, name: str, group: str | None = None, *, cluster: Literal[True]
    ) -> Deferred[tuple[Member, ...]]: ...
    def connections(
        self, name: str, group: str | None = None, *, cluster: bool = False
    ) -> tuple[SignalConnection, ...] | Deferred[tuple[Member, ...]]:
        """The connections of a name."""

    @overload
    def count(self, name: str | None = None, *, cluster: Literal[False] = False) -> int: ...
    @overload
    def count(self, name: str | None = None, *, cluster: Literal[True]) -> Deferred[int]: ...
    def count(self, name: str | None = None, *, cluster: bool = False) -> int | Deferred[int]:
        """How many connections a name has."""

    def broadcast_level(self, name: str) -> BroadcastLevel:
        """The broadcast level of a name."""


class SignalConnection:
    """A connection (Pode: ``$WebEvent.Signal``). ``signals.convert`` makes connections; applications only use them."""

    __slots__ = ("__weakref__", "_link", "_metadata")

    def __init__(self, link: Link) -> None:
        self._link = link
        # Made when it is first asked for: many programs never use it, and an empty dict takes 64 bytes of each client.
        self._metadata: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The name that the connection has joined."""
        return self._link.name

    @property
    def group(self) -> str | None:
        """The first of the connection's groups within the name; None where it has no group."""
        return self._link.group

    @property
    def groups(self) -> tuple[str, ...]:
        """The connection's groups within the name, in the order of joining; of an ended connection, the last ones."""
        return self._link.groups

    @property
    def client_id(self) -> str:
        """The client id as it was issued, with its signature where signing is on."""
        return self._link.client_id

    @property
    def scope(self) -> Scope:
        """Global or local."""
        return self._link.scope

    @property
    def is_global(self) -> bool:
        """Whether its scope is global."""
        return self._link.scope is Scope.GLOBAL

    @property
    def is_local(self) -> bool:
        """Whether its scope is local."""
        return self._link.scope is Scope.LOCAL

    @property
    def state(self) -> ConnectionState:
        """Open, closing or closed."""
        return self._link.state

    @property
    def closure(self) -> Closure | None:
        """How the connection ended; None while it is open."""
        return self._link.closure

    @property
    def address(self) -> str:
        """The address of the client's socket, or the one that trusted proxies report; ``""`` for a UNIX socket."""
        return self._link.address

    @property
    def request(self) -> RequestRecord:
        """A read-only record of the handshake."""
        return self._link.request

    @property
    def endpoint_name(self) -> str | None:
        """The name of the endpoint that the connection came in by; None where the endpoint has no name."""
        return self._link.endpoint_name

    @property
    def subprotocol(self) -> str | None:
        """The agreed WebSocket subprotocol, or None."""
        return self._link.subprotocol

    @property
    def is_signals(self) -> bool:
        """Whether its client speaks ``pode.signals.v1``, and so is told where it is in a history."""
        return self._link.is_signals

    @property
    def transport(self) -> Literal["websocket", "sse"]:
        """``"websocket"``, or ``"sse"`` for a stream of server-sent events (``allow_sse``)."""
        return self._link.encoding.transport

    @property
    def recovered(self) -> bool | None:
        """Whether its client came back and gets all that it missed; False where messages may be lost.

        False for each new client as well, which has to be given the state of things either way. None for a plain
        client of a WebSocket, of which nobody knows, and until a slow history has said what it has.
        """
        dialogue = self._link.dialogue
        return None if dialogue is None else dialogue.recovered

    @property
    def user(self) -> str | None:
        """The label of the login that ``convert(user=…)`` gave; None is none."""
        profile = self._link.profile
        return None if profile is None else profile.user

    @property
    def info(self) -> Any:
        """The JSON value that other clients may see; None is none. It can be set, and is not to be changed in place."""
        profile = self._link.profile
        return None if profile is None else profile.info

    @info.setter
    def info(self, info: object) -> None:
        self._link.runtime.check_thread("info")
        checked = checked_info(info)
        self._own_profile().info = checked
        self._link.hub.shows(self._link)

    @property
    def expires(self) -> datetime | None:
        """The time at which it has to be renewed (aware), None for never. Its client is told of a new one."""
        profile = self._link.profile
        return None if profile is None else profile.expires

    @expires.setter
    def expires(self, expires: datetime | None) -> None:
        self._link.runtime.check_thread("expires")
        checked = None if expires is None else checked_expiry(expires)
        self._own_profile().expires = checked
        self._link.hub.expires(self._link)

    @property
    def hub(self) -> ConnectionHub:
        """The ``Signals`` object that the connection belongs to."""
        face: ConnectionHub = self._link.hub.face
        return face

    @property
    def connected_at(self) -> datetime:
        """When the connection was converted (aware, UTC), by the wall clock as it is set now."""
        return self._link.runtime.wall_time(self._link.connected_seconds)

    @property
    def last_activity(self) -> datetime:
        """When the client last sent a message (aware, UTC); before its first message, when it was converted.

        The wall clock counts as it is set now, as for ``connected_at``.
        """
        return self._link.runtime.wall_time(self._link.last_activity_seconds)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict for whatever the application wants to keep with the connection."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    def join(self, group: str) -> None:
        """Be in a group too, beside the others. Who may join a group is the application's to decide.

        Nothing happens where the connection is in the group already, or is not open any more.

        Raises:
            NameInvalid: the text can't be a group.
            TypeError: the group is no ``str``.
            ValueError: the connection is in ``max_groups`` groups already.
            NotInReactorThread: called from another thread.
        """
        self._link.runtime.check_thread("join")
        self._link.join(check_name("group", group))

    def leave(self, group: str) -> None:
        """Be in a group no longer. What was sent to the group before still arrives.

        A client that lost this connection does not come back into the group either. Nothing happens where the
        connection is not in the group.

        Raises:
            NameInvalid: the text can't be a group.
            TypeError: the group is no ``str``.
            NotInReactorThread: called from another thread.
        """
        self._link.runtime.check_thread("leave")
        self._link.leave(check_name("group", group))

    def send(self, data: object, *, depth: int | None = None, key: str | None = None) -> Delivery:
        """Send to this connection alone. Its scope and the current event make no difference.

        Args:
            data: as for ``signals.send``.
            depth: how deep the data may be nested; None is any depth.
            key: as for ``signals.send``.

        Returns:
            The delivery. It has one recipient, or no recipient where the connection is not open any more.

        Raises:
            TypeError, ValueError: the data can't be encoded.
            MessageTooBig: the message is larger than ``max_outgoing_bytes``.
            NotInReactorThread: called from another thread.
        """
        link = self._link
        link.runtime.check_thread("send")
        return link.hub.send_to(link, data, depth, key)

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection; nothing happens where it is closing or closed.

        Args:
            code: a :class:`~pode_signals.CloseCode`, or a number of the application's own from 3000 to 4999.
            reason: text for the client, cut to 123 bytes of UTF-8.

        Raises:
            ValueError: the code may not be sent: 1005, 1006, 1015, under 1000, 5000 and up.
            NotInReactorThread: called from another thread.
        """
        self._link.runtime.check_thread("close")
        self._link.shut(check_close_code(code), reason, ClosedBy.SERVER)

    def when_disconnected(self) -> Deferred[Closure]:
        """Wait for the end.

        Returns:
            A new Deferred that fires with the closure when the transport is gone; at once where it is gone already.
            Cancelling this Deferred affects no other.
        """
        return self._link.when_disconnected()

    def _own_profile(self) -> Profile:
        if self._link.profile is None:
            self._link.profile = Profile()
        return self._link.profile

    def __repr__(self) -> str:
        return f"<SignalConnection {self.name!r} {bare_client_id(self.client_id)!r} {self.state.value}>"


def view_of(link: Link) -> SignalConnection:
    """The connection as users hold it: made when it is first asked for, and the same object from then on."""
    view: SignalConnection | None = link.view
    if view is None:
        view = link.view = SignalConnection(link)
    return view
