"""Autobahn's WebSocket protocol as the wire of a Link. It has no rules of its own.

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
from ..fast.reading import SharedReader
from ..fast.shortcuts import QUICK_FRAMES, can_write_directly, unmasked_text, unmasked_texts
from ..wire.frames import CloseCode
from .inflate import Inflater
from .pace import PacedServerProtocol

if TYPE_CHECKING:
    from ..hub.hub import Hub
    from ..hub.link import Link

__all__ = ["SignalFactory", "SignalProtocol"]

_OPEN, _CLOSED = WebSocketServerProtocol.STATE_OPEN, WebSocketServerProtocol.STATE_CLOSED
_CLOSE, _PING = 8, 9  # opcodes
_MOST_CONTROL = 125  # bytes of a control frame (RFC 6455 section 5.5)
_INTERNAL_ERROR = CloseCode.INTERNAL_ERROR
_NO_STATUS = CloseCode.NO_STATUS
_POLICY_VIOLATION = CloseCode.POLICY_VIOLATION
_UNSUPPORTED_DATA = CloseCode.UNSUPPORTED_DATA


class SignalProtocol(PacedServerProtocol):
    """One client's wire; :class:`~pode_signals.hub.transport.ClientTransport` on one side, Autobahn on the other.

    Attributes:
        connection: what it is the wire of; set before the handshake.
        response_headers: raw header lines for the 101, each with its line end; emptied when they are sent.
        deliver: takes the connection and a text message.
    """

    connection: Link
    deliver: Callable[[Link, bytes], None]
    response_headers: bytes = b""
    transport: Any  # an ITCPTransport, or TLS around one
    _isMessageCompressed = False  # Autobahn's
    _control_bucket: TokenBucket | None = None
    _fragments = 0
    _incomplete_bytes = 0  # of a message of which more has to come
    _broken_limit: str | None = None  # the setting for which the connection is failed

    # What the connection calls.

    @property
    def write_frames(self) -> Callable[[bytes], bool]:
        """What sends whole frames; a connection asks once."""
        return self._write_directly if can_write_directly(self.transport) else self._write

    def _write(self, frames: bytes) -> bool:
        self.transport.write(frames)
        return True

    def _write_directly(self, frames: bytes) -> bool:
        transport = self.transport
        if transport.dataBuffer or transport._tempDataLen or transport.disconnecting or not transport.connected:
            transport.write(frames)
            return True
        try:
            taken = transport.socket.send(frames)
        except OSError:  # full, which BlockingIOError says; or gone, which the reactor will find out as well
            taken = 0
        if taken != len(frames):
            transport.write(frames[taken:])
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
        self._stop_shared_reading()
        if self._end is None:
            self.transport.abortConnection()
        else:
            self.ended(self._end)

    # What the transport calls.

    def take(self, data: bytes) -> None:
        """The fence around all that runs for a client's bytes: an exception would make Twisted drop what is unsent."""
        state = self.state
        if state == _CLOSED:
            return  # Autobahn would collect it, and the end of a TLS connection can take a while
        try:
            is_between = state == _OPEN and self.current_frame is None and not self.inside_message and not self.data
            if QUICK_FRAMES and is_between and not self._behind:
                payload = unmasked_text(data, self.maxMessagePayloadSize)
                if payload is not None:
                    self.deliver(self.connection, payload)
                    return
                data = self._take_texts(data)
            if data or self.current_frame is not None:  # a frame without a payload may wait for its end
                self.parse(data)
                if self.inside_message or self._incomplete_bytes:
                    self._count_incomplete()
        except Exception:
            self.connection.runtime.reports.failure(
                "callbacks_failed",
                "connection {client_id}: a protocol callback raised",
                client_id=self.connection.client_id,
            )
            self.connection.runtime.counters.callbacks_failed += 1
            self.connection.shut(_INTERNAL_ERROR, "", ClosedBy.ERROR)

    def _count_incomplete(self) -> None:
        size = 0
        if self.inside_message and self.state == _OPEN:
            frame = self.current_frame
            is_data = frame is not None and frame.opcode < _CLOSE
            missing = frame.length - self.current_frame_masker.pointer() if is_data else 0
            size = self.message_data_total_length - missing
        if size != self._incomplete_bytes:
            self._incomplete_bytes = size
            self.connection.message_grows(size)

    def _take_texts(self, data: bytes) -> bytes:
        """Hand on what small text frames hold, for a short time. The rest is for Autobahn, or waits."""
        payloads, taken = unmasked_texts(data, self.maxMessagePayloadSize)
        if not taken:
            return data
        self.data = data[taken:]  # where Autobahn goes on, also where a callback raises
        connection, turns = self.connection, self.connection.runtime.turns
        seconds, end = turns.seconds, turns.share_ends()
        for number, payload in enumerate(payloads):
            if connection.reading_paused or (number and seconds() >= end):
                done = sum(_small_frame_bytes(each) for each in payloads[:number])
                self.data = data[done:]
                self._fall_behind()
                return b""
            self.onMessage(payload, False)
        if self.data and seconds() >= end:
            self._fall_behind()
            return b""
        rest, self.data = self.data, b""
        return rest

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
        super().onFrameData(payload)  # its False, where the frame was bad, would stop Autobahn within this frame
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

    def _fail_connection(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """A failure; later ones do not count: Autobahn would hang up before the client has read our close frame."""
        if self.state == self.STATE_OPEN:
            super()._fail_connection(code, reason)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """All of Autobahn's output: control frames, and the 101, which takes the route's own headers along."""
        if not self.response_headers:
            self.transport.write(data)
            return
        status, end, rest = data.partition(b"\r\n")
        headers = self.response_headers
        del self.response_headers  # sent once, and not kept
        self.write_frames(status + end + headers + rest)

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
        self._stop_shared_reading()
        if self._end is None:
            super().dropConnection(abort=abort and not self.wasClean)


class SignalFactory(WebSocketServerFactory):
    """Makes the protocols of one hub.

    Args:
        hub: whose settings hold.
    """

    def __init__(self, hub: Hub) -> None:
        super().__init__(reactor=hub.clock, server="")  # type: ignore[no-untyped-call]  # Autobahn
        options: dict[str, Any] = {
            "deliver": staticmethod(hub.received),
            "maxMessagePayloadSize": hub.settings.max_message_bytes,
        }
        if hub.settings.compression:
            options["perMessageCompressionAccept"] = staticmethod(_accept_deflate)
        self.reader = SharedReader(hub.reports, hub.turns.seconds)
        self._protocol_class: type[Any] = type("SignalProtocol", (SignalProtocol,), options)

    def protocol_for(self, connection: Link, transport: ITransport, response_headers: bytes) -> SignalProtocol:
        """A protocol that has its transport and waits for the head of the handshake."""
        protocol: SignalProtocol = self._protocol_class()
        protocol.factory = self
        protocol.connection = connection
        protocol.response_headers = response_headers
        protocol.makeConnection(transport)  # type: ignore[no-untyped-call]  # Autobahn
        return protocol


def _small_frame_bytes(payload: bytes) -> int:
    """The size of the frame that :func:`unmasked_texts` has found a payload in: such a frame is as short as can be."""
    size = len(payload)
    return size + (6 if size < 126 else 8)


def _accept_deflate(offers: list[Any]) -> PerMessageDeflateOfferAccept | None:
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(offer)
    return None
