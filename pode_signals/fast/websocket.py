"""The plain protocol with less work for each connection and each message. It has no behaviour of its own.

Each shorter way past Twisted and Autobahn is tried out when this package is imported
(:mod:`~pode_signals.fast.probes`, :mod:`~pode_signals.fast.comparison`). A way that does not have the same results as
the plain way is not taken.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from typing import TYPE_CHECKING, Any

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ..core.environment import FAST
from ..transports.websocket import SignalFactory, SignalProtocol
from .attributes import light_class, settled
from .comparison import LIGHT_ATTRIBUTES, QUIET_READS, QUIET_WRITES, behaves_alike, ends_alike, opens_alike
from .frames import small_frame_bytes, unmasked_text, unmasked_texts
from .probes import SMALL_FRAMES, can_write_directly
from .reading import SharedReader

if TYPE_CHECKING:
    from ..hub.hub import Hub
    from .reading import Reading

__all__ = ["FastFactory", "FastProtocol"]

_OPEN = SignalProtocol.STATE_OPEN
# RFC 6455 section 1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"
_UPGRADE = b"Upgrade: WebSocket\r\nConnection: Upgrade\r\n"


class FastProtocol(SignalProtocol):
    """One client's wire, by shorter ways.

    Attributes:
        is_light: whether the class has the attributes that Autobahn would otherwise give to each protocol. Then neither
            Autobahn's constructor nor its handshake has to run.
    """

    is_light = False
    state = SignalProtocol.STATE_CONNECTING
    # The transport, where frames may be written to its socket; None where they go through the transport.
    _direct: Any = None
    # Whether the shared reader was not asked yet to read in place of the transport.
    _may_share = True
    # Reads in place of the transport; None where the transport reads itself.
    _shared: Reading | None = None

    def __init__(self) -> None:
        if not self.is_light:
            super().__init__()

    def shake_hands(self, key: bytes, subprotocol: str | None, deflate: bytes) -> bool:
        """Answer a handshake that was checked: without Autobahn, where no extension is offered."""
        if not self.is_light:
            return super().shake_hands(key, subprotocol, deflate)
        if not deflate:
            # The part of the plain connectionMade that is needed here.
            self.transport.registerProducer(self, True)
            self.open_at_once(key, subprotocol)
            return True
        # Autobahn has to agree on the extension. So its constructor and connectionMade, which a light protocol has left
        # out so far, run now.
        super().__init__()
        super().connectionMade()
        is_open = super().shake_hands(key, subprotocol, deflate)
        if is_open:
            # Keeps only the attributes that differ from those of the class.
            self.__dict__ = settled(self)
        return is_open

    def open_at_once(self, key: bytes, subprotocol: str | None) -> None:
        """Write the 101 that Autobahn would write (RFC 6455 section 4.2.2), and be open. With hello it is one write."""
        self.factory.countConnections += 1
        agreed = b"" if subprotocol is None else b"Sec-WebSocket-Protocol: " + subprotocol.encode("ascii") + b"\r\n"
        accept = b"Sec-WebSocket-Accept: " + b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
        headers = self.response_headers
        # The lines are sent once. Afterwards the empty ones of the class hold.
        del self.response_headers
        answer = _SWITCHING + headers + _UPGRADE + agreed + accept + b"\r\n\r\n"
        dialogue = self.connection.dialogue
        if dialogue is None:
            self.write(answer)
        else:
            dialogue.opening = answer
        self.state = _OPEN

    # What the connection calls.

    def write(self, data: bytes) -> bool:
        """Send whole frames: straight to the socket, where the transport holds nothing that is unsent."""
        transport = self._direct
        # Frames must not overtake bytes that the transport holds; dataBuffer and _tempDataLen are Twisted's. A
        # transport that ends decides itself whether it still writes.
        if (
            transport is None
            or transport.dataBuffer
            or transport._tempDataLen
            or transport.disconnecting
            or not transport.connected
        ):
            self.transport.write(data)
            return True
        try:
            taken = transport.socket.send(data)
        except OSError:
            # The socket is full (BlockingIOError), or the client is gone, which the reactor will find out as well.
            taken = 0
        # The transport holds the rest, and writes it when the socket can take more.
        if taken != len(data):
            transport.write(data[taken:])
        return True

    def abort(self) -> None:
        """Drop the transport now."""
        self._stop_shared_reading()
        super().abort()

    # What the transport calls.

    def connectionMade(self) -> None:
        """The transport is there."""
        if can_write_directly(self.transport):
            self._direct = self.transport
        if not self.is_light:
            super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Data that the transport has read itself. With the first data the shared reader is asked to read from then on.

        Not earlier, so that a handshake and a connection that sends nothing cost the epoll nothing.
        """
        if self._may_share:
            self._may_share = False
            self._shared = self.factory.reader.adopt(self.transport, self.take, self.connection.took_long)
        super().dataReceived(data)

    def take(self, data: bytes) -> None:
        """Hand on the payloads of small text frames at once, and give all other bytes to Autobahn."""
        # True between two messages, where Autobahn holds no part of a frame.
        is_between = self.state == _OPEN and self.current_frame is None and not self.inside_message and not self.data
        if SMALL_FRAMES and is_between and not self._behind:
            # A fence, as around Autobahn's parser.
            try:
                payload = unmasked_text(data, self.maxMessagePayloadSize)
                if payload is not None:
                    self.deliver(self.connection, payload)
                    return
                data = self._take_texts(data)
            except Exception:
                self._callback_raised()
                return
            if not data:
                return
        super().take(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone."""
        self._stop_shared_reading()
        super().connectionLost(reason)

    def ended(self, reason: Failure) -> None:
        """The transport is gone, and all its data has been parsed or dropped."""
        if not QUICK_ENDS:
            super().ended(reason)
            return
        self._end = None
        self.end_quietly(reason)
        self.connection.lost()

    def end_quietly(self, reason: Failure) -> None:
        """Tell Autobahn that the transport is gone, without its three log lines about the end."""
        WebSocketProtocol._connectionLost(self, reason)  # type: ignore[arg-type]  # Autobahn's annotation is wrong
        self.factory.countConnections -= 1

    def stopProducing(self) -> None:
        """IPushProducer: the transport ends."""
        self._stop_shared_reading()
        super().stopProducing()

    # Between Autobahn and the transport.

    def feed(self, data: bytes) -> None:
        """Give Autobahn a piece, without its log line about it."""
        if QUIET_READS:
            self._dataReceived(data)
        else:
            super().feed(data)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """All of Autobahn's output, without its log line about it."""
        if QUIET_WRITES and not self.response_headers:
            self.transport.write(data)
        else:
            super().sendData(data, sync, chopsize)

    def dropConnection(self, abort: bool = False) -> None:
        """End TCP."""
        self._stop_shared_reading()
        super().dropConnection(abort)

    @property
    def _reading(self) -> Any:
        """The object that pauses and resumes reading."""
        return self._shared or self.transport

    def _stop_shared_reading(self) -> None:
        """Stop the shared reading of this connection for good, before its socket is closed.

        An epoll forgets a closed socket by itself only where no child process has a copy of the descriptor.
        """
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.stopProducing()

    def _take_texts(self, data: bytes) -> bytes:
        """Hand on the payloads of small text frames, until the client's share of the turn is over.

        Returns:
            The bytes behind these frames, for Autobahn; empty where the rest waits for another turn.
        """
        payloads, taken = unmasked_texts(data, self.maxMessagePayloadSize)
        if not taken:
            return data
        # Set before the first callback: also where a callback raises, Autobahn goes on behind these frames.
        self.data = data[taken:]
        connection, turns = self.connection, self.connection.runtime.turns
        seconds, end = turns.seconds, turns.share_ends()
        for number, payload in enumerate(payloads):
            # The first one is handed on without a look at the clock, so that each call gets on. When the rest waits,
            # frames that were not handed on go into ``data`` again, and are read again in another turn.
            if connection.reading_paused or (number and seconds() >= end):
                done = sum(small_frame_bytes(each) for each in payloads[:number])
                self.data = data[done:]
                self._fall_behind()
                return b""
            self.onMessage(payload, False)
        if self.data and seconds() >= end:
            self._fall_behind()
            return b""
        rest, self.data = self.data, b""
        return rest


class FastFactory(SignalFactory):
    """Makes the fast protocols of one hub.

    Args:
        hub: the hub whose settings the protocols follow.

    Attributes:
        reader: reads for all protocols whose sockets can be read together.
    """

    protocol: type[FastProtocol] = FastProtocol

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.reader = SharedReader(hub.reports, hub.clock.seconds)
        if IS_LIGHT and LIGHT_ATTRIBUTES is not None:
            self.protocol = light_class(FastProtocol, LIGHT_ATTRIBUTES, self)


QUICK_ENDS = FAST and bool(ends_alike(FastProtocol))
"""Whether Autobahn can be told of the end of a transport without the three texts that it makes about the end."""

IS_LIGHT = bool(LIGHT_ATTRIBUTES and opens_alike(FastProtocol) and behaves_alike(FastProtocol))
"""Whether protocols can leave all attributes that are the same for each to their class, and answer handshakes without
Autobahn."""
