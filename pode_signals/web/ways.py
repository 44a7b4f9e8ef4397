"""The ways of a connection once HTTP has let go of its transport: a WebSocket, and a stream of server-sent events."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..transports.event_stream import EventStream
from ..wire.events import retry_line

if TYPE_CHECKING:
    from ..core.upgrade import UpgradeOffer
    from ..hub.link import Link
    from ..transports.websocket import SignalFactory, SignalProtocol

__all__ = ["AsEvents", "AsWebSocket"]

_RETRY_MILLISECONDS = (1_000, 10_000)


class AsWebSocket:
    """The way of a handshake that was checked.

    Args:
        factory: makes the protocol that takes the transport.
        offer: the key, subprotocols and extensions that the handshake asks for.
    """

    __slots__ = ("_factory", "_offer", "_protocol", "status")

    def __init__(self, factory: SignalFactory, offer: UpgradeOffer) -> None:
        self.status = HTTPStatus.SWITCHING_PROTOCOLS.value
        self._factory = factory
        self._offer = offer
        self._protocol: SignalProtocol

    def protocol_for(self, link: Link, transport: Any, header_lines: bytes) -> SignalProtocol:
        """The protocol, which has the transport and waits for :meth:`begin`."""
        self._protocol = self._factory.protocol_for(link, transport, header_lines)
        return self._protocol

    def begin(self, link: Link) -> bool:
        """Answer the handshake."""
        return self._protocol.shake_hands(self._offer.key, link.subprotocol, self._offer.deflate)


class AsEvents:
    """The way of a request for a stream that was checked."""

    __slots__ = ("_stream", "status")

    def __init__(self) -> None:
        self.status = HTTPStatus.OK.value
        self._stream: EventStream

    def protocol_for(self, link: Link, transport: Any, header_lines: bytes) -> EventStream:
        """The stream, which has the transport and waits for :meth:`begin`."""
        # At random, so that clients that lose their server do not all come back at the same moment.
        retry = b"" if link.is_signals else retry_line(link.runtime.random.randint(*_RETRY_MILLISECONDS))
        self._stream = EventStream(link, header_lines, retry)
        self._stream.makeConnection(transport)  # type: ignore[no-untyped-call]  # Twisted
        return self._stream

    def begin(self, link: Link) -> bool:
        """Begin the answer."""
        self._stream.open()
        return True
