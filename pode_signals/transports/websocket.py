"""Autobahn's WebSocket protocol as the wire of a SignalConnection. It has no rules of its own.

Autobahn validates and parses frames, answers pings and runs the closing handshake. Its timers are off, since they use
the real reactor whatever clock a hub has; the connection's own take their place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from twisted.internet.interfaces import ITransport
from twisted.python.failure import Failure

from ..core.limits import TokenBucket
from ..core.model import ClosedBy, Closure
from ..wire.frames import CloseCode
from .inflate import Inflater
from .pace import PacedServerProtocol

if TYPE_CHECKING:
    from ..hub.hub import Hub
    from ..hub.link import Link

__all__ = ["SignalFactory", "SignalProtocol"]

_CLOSED = WebSocketServerProtocol.STATE_CLOSED
# Opcodes (RFC 6455 section 5.2).
_CLOSE, _PING = 8, 9
# How many bytes a control frame may have (RFC 6455 section 5.5).
_MOST_CONTROL = 125
_INTERNAL_ERROR = CloseCode.INTERNAL_ERROR
_NO_STATUS = CloseCode.NO_STATUS
_POLICY_VIOLATION = CloseCode.POLICY_VIOLATION
_UNSUPPORTED_DATA = CloseCode.UNSUPPORTED_DATA


class _Silence:
    """In place of Autobahn's logger: what matters is logged by the hub, once, and never with what a client sent."""

    def _drop(self, *_args: Any, **_fields: Any) -> None:
        """Nothing."""

    trace = debug = info = warn = error = critical = failure = _drop


class SignalProtocol(PacedServerProtocol):
    """One client's wire; :class:`~pode_signals.hub.transport.ClientTransport` on one side, Autobahn on the other.

    Attributes:
        connection: what it is the wire of; set before the handshake.
        response_headers: raw header lines for the 101, each with its line end; emptied when they are sent.
        deliver: takes the connection and a text message.
    """

    log = _Silence()
    connection: Link
    deliver: Callable[[Link, bytes], None]
    response_headers: bytes = b""
    # An ITCPTransport, or TLS around one.
    transport: Any
    # Autobahn's own: the limit on messages, and what a frame of which nothing is left has.
    maxMessagePayloadSize: int
    current_frame: Any
    # Autobahn sets it with each message, and we ask for it before the first one.
    _isMessageCompressed = False
    _control_bucket: TokenBucket | None = None
    _fragments = 0
    # How much has come of a message that is not complete.
    _incomplete_bytes = 0
    # The setting for which the connection is failed.
    _broken_limit: str | None = None

    def shake_hands(self, key: bytes, subprotocol: str | None, deflate: bytes) -> bool:
        """Answer a handshake that was checked.

        Autobahn gets a head of nothing but what it needs, since its own parser splits lines where HTTP does not.

        Args:
            key: Sec-WebSocket-Key.
            subprotocol: the agreed one; None is none.
            deflate: offers of permessage-deflate; empty is none.

        Returns:
            Whether the connection is open.
        """
        lines = [
            b"GET / HTTP/1.1",
            b"Host: localhost",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: " + key,
        ]
        if subprotocol is not None:
            lines.append(b"Sec-WebSocket-Protocol: " + subprotocol.encode("ascii"))
        if deflate:
            lines.append(b"Sec-WebSocket-Extensions: " + deflate)
        self.parse(b"\r\n".join(lines) + b"\r\n\r\n")
        return bool(self.state == self.STATE_OPEN)

    # What the connection calls.

    def write(self, data: bytes) -> bool:
        """Send whole frames."""
        self.transport.write(data)
        return True

    def write_close(self, code: int, reason: bytes) -> None:
        """Send a close frame; its answer, or the connection's timer, ends the transport. What came before is let go."""
        if self.inside_message:
            self.message_data = self.frame_data = []
        WebSocketServerProtocol.sendCloseFrame(self, code=code, reasonUtf8=reason)

    def write_ping(self, payload: bytes) -> None:
        """Send a ping."""
        self.sendFrame(opcode=_PING, payload=payload)

    def abort(self) -> None:
        """Drop the transport now."""
        if self._end is None:
            self.transport.abortConnection()
        else:
            self.ended(self._end)

    # What the transport calls.

    def take(self, data: bytes) -> None:
        """The fence around all that runs for a client's bytes: an exception would make Twisted drop what is unsent."""
        # After the end Autobahn would collect what comes, and the end of a TLS connection can take a while.
        if self.state == _CLOSED:
            return
        try:
            self.parse(data)
            if self.inside_message or self._incomplete_bytes:
                self._count_incomplete()
        except Exception:
            self._callback_raised()

    def _callback_raised(self) -> None:
        """In an ``except``: a defect of our own ends this connection, with a close frame that the client can read."""
        self.connection.runtime.reports.failure(
            "callbacks_failed",
            "connection {client_id}: a protocol callback raised",
            client_id=self.connection.client_id,
        )
        self.connection.runtime.counters.callbacks_failed += 1
        self.connection.shut(_INTERNAL_ERROR, "", ClosedBy.ERROR)

    def _count_incomplete(self) -> None:
        size = 0
        if self.inside_message and self.state == self.STATE_OPEN:
            frame = self.current_frame
            is_data = frame is not None and frame.opcode < _CLOSE
            missing = frame.length - self.current_frame_masker.pointer() if is_data else 0
            size = self.message_data_total_length - missing
        if size != self._incomplete_bytes:
            self._incomplete_bytes = size
            self.connection.message_grows(size)

    def ended(self, reason: Failure) -> None:
        """The transport is gone, and so is all that came by it."""
        super().ended(reason)
        self.connection.lost()

    # What Autobahn calls.

    def onConnect(self, request: Any) -> str | None:
        """Accept: everything was checked before. Synchronous, so the connection is open when the handshake is fed."""
        return self.connection.subprotocol

    def onOpen(self) -> None:
        """The handshake is over."""
        if self._perMessageCompress is not None:
            self._perMessageCompress = Inflater(self._perMessageCompress)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message, its UTF-8 validated."""
        if isBinary:
            self.connection.shut(_UNSUPPORTED_DATA, "text messages only", ClosedBy.ERROR)
        else:
            self.deliver(self.connection, payload)

    def onPing(self, payload: bytes) -> None:
        """A ping: answered, unless the client sends too many, or reads nothing."""
        if self._may_control() and not self._congested:
            super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        """A pong, maybe that of our ping."""
        if self._may_control():
            self.connection.pong(payload)

    def onMessageBegin(self, isBinary: bool) -> None:
        """The first frame of a message has begun."""
        self.connection.message_begins()
        self._fragments = 0
        super().onMessageBegin(isBinary)

    def onMessageFrameBegin(self, length: int) -> None:
        """A frame of a message has begun; what it would hold is known, and not kept where it is too much."""
        self._fragments += 1
        if self._fragments > self.connection.runtime.settings.max_fragments:
            self._break_limit("max_fragments", "too many fragments")
        super().onMessageFrameBegin(length)

    def onMessageEnd(self) -> None:
        """The message is complete."""
        self.connection.message_ended()
        super().onMessageEnd()

    # Once our close frame is out, all that comes before the client's is skipped. Autobahn goes on: it would inflate it,
    # or keep what is a control frame, however long; and a frame of which a callback raised would never be over.

    def onFrameBegin(self) -> None:
        """A frame has begun."""
        if self.state == self.STATE_OPEN or self.current_frame.opcode == _CLOSE:
            super().onFrameBegin()

    def onFrameData(self, payload: bytes) -> None:
        """A part of a frame."""
        frame = self.current_frame
        if self.state != self.STATE_OPEN and (frame.opcode != _CLOSE or frame.length > _MOST_CONTROL):
            return
        missing = 0
        if self._isMessageCompressed:
            # Autobahn has counted the whole frame, as it is compressed. Only what has come, inflated, makes a message
            # too large; else one that is not might be, by where the network cuts it.
            missing = frame.length - self.current_frame_masker.pointer()
            self.message_data_total_length -= missing
        # Its False, where the frame was bad, would stop Autobahn within this frame.
        super().onFrameData(payload)
        if missing:
            self.message_data_total_length += missing

    def onFrameEnd(self) -> None:
        """The end of a frame, for Autobahn also of one that it finds to be bad."""
        if self.state == self.STATE_OPEN or self.current_frame.opcode == _CLOSE:
            super().onFrameEnd()
        self.current_frame = None

    def _may_control(self) -> bool:
        settings, now = self.connection.runtime.settings, self.connection.runtime.clock.seconds()
        if self._control_bucket is None:
            self._control_bucket = TokenBucket(settings.control_frames_per_second, settings.control_frame_burst, now)
        if self._control_bucket.take(now):
            return True
        self._break_limit("control_frames_per_second", "too many control frames")
        return False

    def _break_limit(self, setting: str, reason: str) -> None:
        self._broken_limit = setting
        self._fail_connection(_POLICY_VIOLATION, reason)

    def _max_message_size_exceeded(self, msg_size: int, max_msg_size: int, reason: str) -> None:
        """A message is larger than it may be: by the heads of its frames, or once it is inflated."""
        self._broken_limit = "max_message_bytes"
        super()._max_message_size_exceeded(msg_size, max_msg_size, reason)

    def _invalid_payload(self, reason: str) -> bool:
        """Bad UTF-8 or bad compressed data, for which Autobahn's reason has the text of zlib's exception."""
        return super()._invalid_payload("invalid UTF-8 or compressed data")

    def _fail_connection(self, code: int = 1001, reason: str = "") -> None:
        """A failure; later ones do not count: Autobahn would hang up before the client has read our close frame."""
        if self.state == self.STATE_OPEN:
            super()._fail_connection(code, reason)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """All of Autobahn's output, of which the 101 is the first: it takes the route's own header lines along.

        They go out byte for byte. Given to Autobahn, they would be text that it encodes.
        """
        if self.response_headers:
            status, end, rest = data.partition(b"\r\n")
            data = status + end + self.response_headers + rest
            # They are sent once, and not kept.
            self.response_headers = b""
        super().sendData(data, sync, chopsize)

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Autobahn is about to answer a close frame, or to fail the connection: it leaves the hub first."""
        if isReply:
            closure = Closure(self.remoteCloseCode or _NO_STATUS, self.remoteCloseReason or "", ClosedBy.CLIENT)
        else:
            closure = Closure(code or _NO_STATUS, (reasonUtf8 or b"").decode("utf-8", "replace"), ClosedBy.ERROR)
            if self.state == self.STATE_OPEN:
                self.connection.runtime.reports.write(
                    "connections_failed",
                    "connection {client_id}: failed with {code}: {reason}",
                    client_id=self.connection.client_id,
                    code=closure.code,
                    reason=closure.reason,
                    limit=self._broken_limit,
                )
        self.connection.left(closure)
        super().sendCloseFrame(code=code, reasonUtf8=reasonUtf8, isReply=isReply)

    def dropConnection(self, abort: bool = False) -> None:
        """End TCP; never by a reset after a clean close, which browsers would report as not clean."""
        if self._end is None:
            super().dropConnection(abort=abort and not self.wasClean)


class SignalFactory(WebSocketServerFactory):
    """Makes the protocols of one hub.

    Args:
        hub: whose settings hold.
    """

    protocol = SignalProtocol

    def __init__(self, hub: Hub) -> None:
        # Without its name and version in the 101.
        super().__init__(reactor=hub.clock, server="")  # type: ignore[no-untyped-call]  # Autobahn
        self._hub = hub
        self.setProtocolOptions(  # type: ignore[no-untyped-call]  # Autobahn
            # Without an upgrade nobody gets here, and Autobahn's page would be an open redirect.
            webStatus=False,
            maxMessagePayloadSize=hub.settings.max_message_bytes,
            # A client learns from a close frame why it is failed.
            failByDrop=False,
            echoCloseCodeReason=True,
            # Autobahn's timers use the real reactor. The connection has its own, and the heartbeat is the hub's.
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            perMessageCompressionAccept=_accept_deflate if hub.settings.compression else None,
        )

    def protocol_for(self, connection: Link, transport: ITransport, response_headers: bytes) -> SignalProtocol:
        """A protocol that has its transport and waits for :meth:`SignalProtocol.shake_hands`."""
        protocol = self.protocol()
        protocol.factory = self
        protocol.connection = connection
        protocol.deliver = self._hub.received
        protocol.response_headers = response_headers
        protocol.makeConnection(transport)  # type: ignore[no-untyped-call]  # Autobahn
        return protocol


def _accept_deflate(offers: list[Any]) -> PerMessageDeflateOfferAccept | None:
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(offer)
    return None
