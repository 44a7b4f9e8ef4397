"""One open WebSocket connection as the application sees it: who it is, how it is, sending to it and closing it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred, succeed

from ..core.model import ClosedBy, Closure, Scope
from ..core.signing import bare_client_id
from ..wire.frames import CloseCode, check_close_code
from .delivery import Delivery
from .link import ConnectionState, Lifecycle
from .waiters import Waiters

__all__ = ["ConnectionState", "SignalConnection"]


class SignalConnection(Lifecycle):
    """A connection (Pode: ``$WebEvent.Signal``). ``signals.convert`` makes it; applications only use it.

    Attributes:
        name: what it joined.
        group: its group within the name, or None.
        client_id: the id as issued: signed where signing is on.
        scope: global or local.
        state: open, closing or closed.
        address: the client's address: the socket's, or the one that trusted proxies report.
        request: a read-only record of the handshake.
        endpoint_name: the name of the endpoint it came in by; None where that has none.
        subprotocol: the agreed WebSocket subprotocol, or None.
        closure: how it ended; None while it is open.
    """

    __slots__ = ()

    @property
    def is_global(self) -> bool:
        """Whether its scope is global."""
        return self.scope is Scope.GLOBAL

    @property
    def is_local(self) -> bool:
        """Whether its scope is local."""
        return self.scope is Scope.LOCAL

    @property
    def hub(self) -> Any:
        """The ``Signals`` object that it belongs to."""
        return self._hub

    @property
    def connected_at(self) -> datetime:
        """When it was converted (aware, UTC), by the wall clock as it is set now."""
        return self._hub.wall_time(self._connected_seconds)

    @property
    def last_activity(self) -> datetime:
        """When its client last sent a message, or when it was converted (aware, UTC), as ``connected_at``."""
        return self._hub.wall_time(self.last_activity_seconds)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict for whatever the application wants to keep with the connection."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    def send(self, data: object, *, depth: int | None = None, key: str | None = None) -> Delivery:
        """Send to this connection alone, whatever its scope and whatever event is current.

        Args:
            data: as for ``signals.send``.
            depth: how deep the data may be nested; None is any depth.
            key: as for ``signals.send``.

        Returns:
            The delivery, with one recipient; none where the connection is not open any more.

        Raises:
            TypeError, ValueError: the data can't be encoded.
            MessageTooBig: it is larger than ``max_outgoing_bytes``.
            NotInReactorThread: called from another thread.
        """
        return self._hub.send_to(self, data, depth, key)

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection; nothing happens where it is closing or closed.

        Args:
            code: a :class:`~pode_signals.CloseCode`, or a number of the application's own from 3000 to 4999.
            reason: text for the client, cut to 123 bytes of UTF-8.

        Raises:
            ValueError: the code may not be sent: 1005, 1006, 1015, under 1000, 5000 and up.
            NotInReactorThread: called from another thread.
        """
        self._hub.check_thread("close")
        self.shut(check_close_code(code), reason, ClosedBy.SERVER)

    def when_disconnected(self) -> Deferred[Closure]:
        """Wait for the end.

        Returns:
            A new Deferred that fires once with the :class:`Closure` when the transport is gone, at once if it is.
            Cancelling it affects no other.
        """
        if self.state is ConnectionState.CLOSED:
            assert self.closure is not None
            return succeed(self.closure)
        if self._disconnect_waiters is None:
            self._disconnect_waiters = Waiters()
        return self._disconnect_waiters.wait()

    def __repr__(self) -> str:
        return f"<SignalConnection {self.name!r} {bare_client_id(self.client_id)!r} {self.state.value}>"
