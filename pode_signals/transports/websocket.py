"""Autobahn's WebSocket protocol as the wire of a connection. It decides nothing about messages or audiences.

Autobahn validates and parses frames, answers pings and runs the closing handshake. Autobahn's timers are off, since
they use the real reactor, whichever clock the hub has. The link and the heartbeat have timers in their place.
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
    """Stands in place of Autobahn's logger, and writes nothing.

    The hub logs what an operator has to know, in one line, and without the bytes that a client has sent.
    """

    def _drop(self, *_args: Any, **_fields: Any) -> None:
        """Nothing."""

    trace = debug = info = warn = error = critical = failure = _drop


class SignalProtocol(PacedServerProtocol):
    """One client's wire: a :class:`~pode_signals.hub.transport.ClientTransport` for its link, Autobahn for its client.

    Attributes:
        connection: the link whose wire this protocol is; set before the handshake.
        response_headers: raw header lines for the 101, each with its line end; emptied when they are sent.
        deliver: called with the link and the payload of each text message.
    """

    log = _Silence()
    connection: Link
    deliver: Callable[[Link, bytes], None]
    response_headers: bytes = b""
    # An ITCPTransport, or TLS around one.
    transport: Any
    # Autobahn's own: the limit on messages, and the head of the frame that is coming; None between two frames.
    maxMessagePayloadSize: int
    current_frame: Any
    # Autobahn sets this with the first message, and onFrameData may ask for it before, for a control frame.
    _isMessageCompressed = False
    _control_bucket: TokenBucket | None = None
    # How many frames of the incomplete message have begun.
    _fragments = 0
    # How many bytes of the incomplete message the connection was told of.
    _incomplete_bytes = 0
    # The name of the setting whose limit the client has passed, for the log.
    _broken_limit: str | None = None

    def shake_hands(self, key: bytes, subprotocol: str | None, deflate: bytes) -> bool:
        """Answer a handshake that was checked.

        Autobahn gets a new head with only the lines that it needs. Its parser splits lines at characters that do not
        end a line in HTTP, so a header of the client's own head could pass as another header.

        Args:
            key: the client's Sec-WebSocket-Key.
            subprotocol: the agreed subprotocol; None where none was agreed on.
            deflate: the client's offers of permessage-deflate; empty where there are none.

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
        """Send a close frame. The client's answer ends the transport, or the link's timer does."""
        # The incomplete message will never be delivered, so its bytes need not stay in memory until the end.
        if self.inside_message:
            self.message_data = self.frame_data = []
        # Not this class's own sendCloseFrame, which would have the link leave the hub: it has left before.
        WebSocketServerProtocol.sendCloseFrame(self, code=code, reasonUtf8=reason)

    def write_ping(self, payload: bytes) -> None:
        """Send a ping."""
        self.sendFrame(opcode=_PING, payload=payload)

    def abort(self) -> None:
        """Drop the transport now."""
        # The transport may have ended already, while data that came before its end waits to be parsed.
        if self._end is None:
            self.transport.abortConnection()
        else:
            self.ended(self._end)

    # What the transport calls.

    def take(self, data: bytes) -> None:
        """Parse a client's bytes inside a fence: for an exception Twisted would drop the transport and unsent data."""
        # After its end Autobahn would keep all bytes that still come, and the end of a TLS connection can take a while.
        if self.state == _CLOSED:
            return
        try:
            self.parse(data)
            if self.inside_message or self._incomplete_bytes:
                self._count_incomplete()
        except Exception:
            self._callback_raised()

    def _callback_raised(self) -> None:
        """This package has a defect: log it, and close this connection with 1011. Called in an ``except``."""
        self.connection.runtime.reports.failure(
            "callbacks_failed",
            "connection {client_id}: a protocol callback raised",
            event="defect",
            client_id=self.connection.client_id,
        )
        self.connection.runtime.counters.callbacks_failed += 1
        self.connection.shut(_INTERNAL_ERROR, "", ClosedBy.ERROR)

    def _count_incomplete(self) -> None:
        """Tell the connection how much of an incomplete message has come, where that has changed."""
        size = 0
        if self.inside_message and self.state == self.STATE_OPEN:
            # message_data_total_length counts a whole frame as soon as its head is there, so the part of that frame
            # that is still missing is taken off. A control frame may come between the frames of a message.
            frame = self.current_frame
            is_data = frame is not None and frame.opcode < _CLOSE
            missing = frame.length - self.current_frame_masker.pointer() if is_data else 0
            size = self.message_data_total_length - missing
        if size != self._incomplete_bytes:
            self._incomplete_bytes = size
            self.connection.message_grows(size)

    def ended(self, reason: Failure) -> None:
        """The transport is gone, and all its data has been parsed or dropped."""
        super().ended(reason)
        self.connection.lost()

    # What Autobahn calls.

    def onConnect(self, request: Any) -> str | None:
        """Accept the handshake, which was checked before.

        It returns no Deferred, so that the protocol is open as soon as Autobahn has parsed the head.
        """
        return self.connection.subprotocol

    def onOpen(self) -> None:
        """The handshake is over."""
        # Autobahn would inflate a whole message before it looks at the limit.
        if self._perMessageCompress is not None:
            self._perMessageCompress = Inflater(self._perMessageCompress)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message, its UTF-8 validated."""
        if isBinary:
            self.connection.shut(_UNSUPPORTED_DATA, "text messages only", ClosedBy.ERROR)
        else:
            self.deliver(self.connection, payload)

    def onPing(self, payload: bytes) -> None:
        """A ping came in. It is answered, unless the client sends too many or reads nothing."""
        # The pongs for a client that reads nothing would pile up in the transport.
        if self._may_control() and not self._congested:
            super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        """A pong came in, perhaps the answer to a ping of the heartbeat."""
        if self._may_control():
            self.connection.pong(payload)

    def onMessageBegin(self, isBinary: bool) -> None:
        """The first frame of a message has begun."""
        self.connection.message_begins()
        self._fragments = 0
        super().onMessageBegin(isBinary)

    def onMessageFrameBegin(self, length: int) -> None:
        """A frame of a message has begun. Where its head says that the message gets too large, Autobahn refuses it."""
        # The size of a message does not bound the number of its frames, since a frame may be empty.
        self._fragments += 1
        if self._fragments > self.connection.runtime.settings.max_fragments:
            self._break_limit("max_fragments", "too many fragments")
        super().onMessageFrameBegin(length)

    def onMessageEnd(self) -> None:
        """The message is complete."""
        self.connection.message_ended()
        super().onMessageEnd()

    # After the server's close frame, all frames up to the client's close frame are skipped (RFC 6455 section 7.1.6).
    # Autobahn itself would go on with them: it would inflate messages, and would keep the payload of a control frame of
    # any length. Where a callback has raised in the middle of a frame, Autobahn would never come to the end of it.

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
            # Autobahn adds the compressed size of the whole frame to the size of the message when the frame begins, and
            # compares the sum with the limit at each part. The part that has not come yet is taken off here. Otherwise
            # the same message could be too large or not, depending on where the network cuts it.
            missing = frame.length - self.current_frame_masker.pointer()
            self.message_data_total_length -= missing
        # Autobahn's method returns False for a bad frame, and this method returns None: a False would stop Autobahn
        # in the middle of the frame.
        super().onFrameData(payload)
        if missing:
            self.message_data_total_length += missing

    def onFrameEnd(self) -> None:
        """A frame has ended. Autobahn calls this for frames that it has found to be bad, too."""
        if self.state == self.STATE_OPEN or self.current_frame.opcode == _CLOSE:
            super().onFrameEnd()
        self.current_frame = None

    def _may_control(self) -> bool:
        """Whether the client may send one more control frame now; where it may not, the connection is failed."""
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
        """A message is too large, by the heads of its frames or after it was inflated."""
        self._broken_limit = "max_message_bytes"
        super()._max_message_size_exceeded(msg_size, max_msg_size, reason)

    def _invalid_payload(self, reason: str) -> bool:
        """Bad UTF-8 or bad compressed data. Autobahn's own reason would tell clients the text of zlib's exception."""
        return super()._invalid_payload("invalid UTF-8 or compressed data")

    def _fail_connection(self, code: int = 1001, reason: str = "") -> None:
        """Fail the connection (RFC 6455 section 7.1.7), once.

        For a second failure Autobahn would hang up, before the client has read the close frame of the first one.
        """
        if self.state == self.STATE_OPEN:
            super()._fail_connection(code, reason)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write Autobahn's output. The first output is the 101, which gets the route's own header lines.

        The lines are sent byte for byte. Autobahn would take them as text, and encode them.
        """
        if self.response_headers:
            # Behind the status line.
            status, end, rest = data.partition(b"\r\n")
            data = status + end + self.response_headers + rest
            # The lines belong to the 101 alone.
            self.response_headers = b""
        super().sendData(data, sync, chopsize)

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Autobahn is about to answer a close frame or to fail the connection: the link leaves the hub before."""
        # A close frame without a code is reported as 1005 (RFC 6455 section 7.1.5).
        if isReply:
            closure = Closure(self.remoteCloseCode or _NO_STATUS, self.remoteCloseReason or "", ClosedBy.CLIENT)
        else:
            closure = Closure(code or _NO_STATUS, (reasonUtf8 or b"").decode("utf-8", "replace"), ClosedBy.ERROR)
            if self.state == self.STATE_OPEN:
                self.connection.runtime.reports.write(
                    "connections_failed",
                    "connection {client_id}: failed with {code}: {reason}",
                    event="connection.failed",
                    client_id=self.connection.client_id,
                    code=closure.code,
                    reason=closure.reason,
                    limit=self._broken_limit,
                )
        self.connection.left(closure)
        super().sendCloseFrame(code=code, reasonUtf8=reasonUtf8, isReply=isReply)

    def dropConnection(self, abort: bool = False) -> None:
        """End TCP.

        After a clean close Autobahn would abort TCP all the same, and browsers would report the close as not clean.
        """
        if self._end is None:
            super().dropConnection(abort=abort and not self.wasClean)


class SignalFactory(WebSocketServerFactory):
    """Makes the protocols of one hub.

    Args:
        hub: the hub whose settings the protocols follow.
    """

    protocol = SignalProtocol

    def __init__(self, hub: Hub) -> None:
        # An empty ``server`` keeps Autobahn's name and version out of the 101.
        super().__init__(reactor=hub.clock, server="")  # type: ignore[no-untyped-call]  # Autobahn
        self._hub = hub
        self.setProtocolOptions(  # type: ignore[no-untyped-call]  # Autobahn
            # Only upgrade requests come here, and the page that Autobahn serves to others would be an open redirect.
            webStatus=False,
            maxMessagePayloadSize=hub.settings.max_message_bytes,
            # With a close frame, rather than a dropped transport, a client learns why it is failed.
            failByDrop=False,
            echoCloseCodeReason=True,
            # Autobahn's timers use the real reactor. The link has a timer for the close, and the hub has the heartbeat.
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
    """Accept the first offer of permessage-deflate, which the client prefers (RFC 7692 section 5.1)."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(offer)
    return None
