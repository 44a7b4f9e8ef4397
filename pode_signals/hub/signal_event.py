"""The event that a signal route gets: a client's message, its sender, and ways to answer. It handles no message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Never, Protocol

from attrs import frozen
from twisted.internet.defer import DeferredLock

from ..core.mistakes import answer_seconds, misplaced_argument
from ..core.model import ClientMessage, SendMode
from ..core.request_record import RequestRecord
from ..core.routes import RouteMatch, SignalRoute
from ..core.signing import bare_client_id
from ..core.targets import Names, Several
from .connection import SignalConnection
from .delivery import Delivery

__all__ = ["EventEndpoint", "EventParts", "Lockable", "SignalEvent"]

_NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class Lockable(dict[str, Any]):
    """A mapping that all functions of one hub share, with a lock: ``async with event.lockable.lock:``.

    Attributes:
        lock: a ``DeferredLock``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lock = DeferredLock()


@frozen
class EventEndpoint:
    """The endpoint by which the sender's connection came in.

    Attributes:
        protocol: ``ws`` or ``wss``.
        address: the Host that the client asked for, with its port where it gave one.
        name: the endpoint's name; None where the endpoint has no name, or where the hub is embedded in a foreign
            server.
    """

    protocol: str
    address: str
    name: str | None


class EventParts(Protocol):
    """What an event needs of the hub."""

    lockable: Lockable

    def wall_time(self, seconds: float | None = None) -> datetime:
        """The wall time at which the hub's clock showed these seconds; None is now."""

    def send_within(
        self,
        event: SignalEvent,
        data: object,
        name: Names,
        group: Several,
        client_id: Several,
        exclude: Several,
        mode: SendMode | str,
        depth: int | None,
        key: str | None,
        timeout_seconds: float | None = None,
    ) -> Delivery:
        """``signals.send`` with an event as the current one."""


class SignalEvent:
    """A message of a client (Pode: ``$SignalEvent``).

    Attributes:
        connection: the connection that sent it.
        data: the message: ``message``, ``path``, ``group``, ``client_id``, ``direct``.
        streamed: True, as in Pode on servers that stream.
    """

    __slots__ = ("_match", "_metadata", "_parts", "_seconds", "connection", "data")

    streamed = True

    def __init__(
        self,
        parts: EventParts,
        connection: SignalConnection,
        data: ClientMessage,
        match: RouteMatch | None,
        seconds: float,
    ) -> None:
        self._parts = parts
        self.connection = connection
        self.data = data
        self._match = match
        self._seconds = seconds
        self._metadata: dict[str, Any] | None = None

    @property
    def client_id(self) -> str:
        """The sender's client id."""
        return self.connection.client_id

    @property
    def endpoint(self) -> EventEndpoint:
        """The endpoint by which the sender's connection came in."""
        request = self.connection.request
        protocol = "wss" if request.is_secure else "ws"
        return EventEndpoint(protocol, request.header("host") or "", self.connection.endpoint_name)

    @property
    def lockable(self) -> Lockable:
        """The hub's shared mapping with a lock."""
        return self._parts.lockable

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict of this event alone."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    @property
    def route(self) -> SignalRoute | None:
        """The signal route that runs; None where there is none."""
        return None if self._match is None else self._match.route

    @property
    def params(self) -> Mapping[str, Any]:
        """The path parameters of the route, read-only, since the connection's messages share them."""
        return _NO_PARAMS if self._match is None else MappingProxyType(self._match.params)

    @property
    def path(self) -> str:
        """The path of the sender's WebSocket URL, as the HTTP side read it when it chose a route."""
        return self.connection.request.path

    @property
    def request(self) -> RequestRecord:
        """A read-only record of the sender's handshake."""
        return self.connection.request

    @property
    def response(self) -> SignalConnection:
        """The sender's connection, to which an answer goes."""
        return self.connection

    @property
    def timestamp(self) -> datetime:
        """When the message was dispatched (aware, UTC)."""
        return self._parts.wall_time(self._seconds)

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
        key: str | None = None,
        acknowledge: bool = False,
        timeout: float = 5.0,
    ) -> Delivery:
        """``signals.send`` with this event as the current one, from any callback.

        The arguments, result and errors are those of ``signals.send``.
        """
        if misplaced:
            raise misplaced_argument("event.send", misplaced)
        seconds = answer_seconds(timeout) if acknowledge else None
        return self._parts.send_within(self, data, name, group, client_id, exclude, mode, depth, key, seconds)

    def __repr__(self) -> str:
        # Without the signature of the id: with it, a reader of a log could send to the client.
        return f"<SignalEvent {self.path!r} of {bare_client_id(self.client_id)!r}>"
