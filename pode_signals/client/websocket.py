"""Autobahn's WebSocket client as the way of one connection. It decides nothing, and tells its listener what happens.

Autobahn's timers are off, since they use the real reactor, whichever clock the client has. The session has times of its
own in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.types import ConnectingRequest
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.failure import Failure
from zope.interface import implementer, provider

from ..core.upgrade import SIGNALS_PROTOCOL
from ..wire.frames import CloseCode, close_reason
from .comebacks import End
from .targets import Target

__all__ = ["MAX_FRAME_BYTES", "ClientFactory", "Listener"]

MAX_FRAME_BYTES: Final = 16_777_216
"""The largest text that a client takes."""
_MAX_HEAD_BYTES: Final = 65_536
_MAX_REASON_CHARACTERS: Final = 200
# A longer time would leave a client away for ever, where a server made a mistake.
_MAX_RETRY_AFTER_SECONDS: Final = 86_400.0
_log = Logger()


class Listener(Protocol):
    """Who is told what happens to one connection."""

    def received(self, payload: bytes) -> None:
        """A text has come."""

    def congested(self, is_congested: bool) -> None:
        """The socket takes no more bytes for now, or takes them again."""

    def ended(self, end: End) -> None:
        """The connection has ended, or the handshake has failed. It is told once, and nothing after it."""


@provider(ILogObserver)
def _drop(_event: LogEvent) -> None:
    """Write nothing."""


@implementer(IPushProducer)
class ClientProtocol(WebSocketClientProtocol):
    """One connection of a client.

    Attributes:
        listener: who is told.
    """

    # Autobahn would write the handshake to the log, with the resume token in it.
    log = Logger(observer=_drop)
    factory: ClientFactory
    listener: Listener
    # An ITCPTransport, or TLS around one.
    transport: Any
    data: bytes
    _has_ended = False

    # What the client calls.

    def write(self, text: bytes) -> None:
        """Send a text; a connection that is about to end drops it."""
        if self.state == self.STATE_OPEN:
            self.sendMessage(text)  # type: ignore[no-untyped-call]  # Autobahn

    def close(self, code: int) -> None:
        """Begin the closing handshake; a connection that is not open is dropped."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=b"")
        elif self.state != self.STATE_CLOSING:
            self._end(End(CloseCode.ABNORMAL))

    def abort(self, code: int | None) -> None:
        """Drop the connection, behind a close frame where there is a code for it. The listener hears no more."""
        self._has_ended = True
        if code is not None and self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=b"")
            self._hang_up()
        elif self.transport is not None:
            self.unregisterProducer()
            self.transport.abortConnection()

    def read(self, on: bool) -> None:
        """Read on, or read no further."""
        if on:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()

    # What the transport calls.

    def dataReceived(self, data: bytes) -> None:
        """Bytes have come. For an exception Twisted would drop the transport and log what nobody can act on."""
        if self._has_ended:
            return
        try:
            super().dataReceived(data)
        except Exception:
            _log.failure("a frame or an answer of the server could not be read", event="defect")
            self._end(End(CloseCode.ABNORMAL, "the server's bytes could not be read", client_is_wrong=True))
            return
        if self.state == self.STATE_CONNECTING and len(self.data) > _MAX_HEAD_BYTES:
            self._end(End(CloseCode.ABNORMAL, "the answer to the handshake has too many headers"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone."""
        super().connectionLost(reason)
        self._tell(End(CloseCode.ABNORMAL, reason.getErrorMessage()[:_MAX_REASON_CHARACTERS]))

    def pauseProducing(self) -> None:
        """The transport takes no more bytes for now."""
        self._congest(True)

    def resumeProducing(self) -> None:
        """The transport takes bytes again."""
        self._congest(False)

    def stopProducing(self) -> None:
        """The transport takes no more bytes: its end follows."""

    # What Autobahn calls.

    def onConnecting(self, transport_details: Any) -> ConnectingRequest:
        """What the handshake says."""
        target = self.factory.target
        return ConnectingRequest(
            target.host_in_url,
            target.port,
            target.resource,
            self.factory.headers,
            self.factory.useragent,
            None,
            self.factory.protocols,
        )

    def onOpen(self) -> None:
        """The handshake is over."""
        # RFC 6455 section 4.1: a client fails the connection where the server chose what was not offered. To choose
        # nothing is allowed, and leaves two sides that do not understand each other.
        if self.websocket_protocol_in_use != SIGNALS_PROTOCOL:
            self._fail_connection(CloseCode.PROTOCOL_ERROR, f"the server does not speak {SIGNALS_PROTOCOL} at this URL")
            return
        self.transport.registerProducer(self, True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message, its UTF-8 validated."""
        if isBinary:
            self._fail_connection(CloseCode.UNSUPPORTED_DATA, "the server sent a binary message")
        else:
            self.listener.received(payload)

    def onCloseFrame(self, code: Any, reasonRaw: Any) -> bool | None:
        """A close frame: the server's own, or its answer to the client's."""
        # Autobahn does not know all codes of the registry, and takes some for an error of the server. It answers such a
        # close frame with another one, which is good enough.
        reason = (reasonRaw or b"").decode("utf-8", "replace")
        self._tell(End(CloseCode.NO_STATUS if code is None else code, reason))
        result: bool | None = super().onCloseFrame(code, reasonRaw)
        # The server would have to hang up first (RFC 6455 section 7.1.1), and nobody waits for that any more.
        self._hang_up()
        return result

    def failHandshake(self, reason: str) -> None:
        """The answer is none to a handshake: an HTTP status, most often."""
        status, after = self._refusal()
        said = reason if status is None else ""
        self._end(End(CloseCode.ABNORMAL, said[:_MAX_REASON_CHARACTERS], status, after))

    def _fail_connection(self, code: int = 1001, reason: str = "") -> None:
        """The server has not kept the protocol (RFC 6455 section 7.1.7)."""
        self.failedByMe = True
        self._tell(End(CloseCode.ABNORMAL, reason[:_MAX_REASON_CHARACTERS], client_is_wrong=True))
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=close_reason(reason))
        self._hang_up()

    def _refusal(self) -> tuple[int | None, float]:
        """The HTTP status of the answer, None where it has none or 101; and for how long the server asks to wait."""
        words = str(getattr(self, "http_status_line", "")).split()
        if len(words) < 2 or not words[1].isascii() or not words[1].isdigit() or words[1] == "101":
            return None, 0.0
        headers = self.http_headers
        return int(words[1][:3]), retry_after_seconds(headers.get("retry-after", ""), headers.get("date", ""))

    def _congest(self, is_congested: bool) -> None:
        if not self._has_ended:
            self.listener.congested(is_congested)

    def _end(self, end: End) -> None:
        self._tell(end)
        self.unregisterProducer()
        self.transport.abortConnection()

    def _hang_up(self) -> None:
        """Drop the connection, behind all that was written."""
        self.unregisterProducer()
        self.transport.loseConnection()

    def _tell(self, end: End) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.listener.ended(end)


class ClientFactory(WebSocketClientFactory):
    """Makes the protocol of one attempt.

    Args:
        reactor: the reactor.
        target: the server.
        headers: further headers of the handshake.
        subprotocols: what the handshake offers.
        listener: who is told what happens.

    Attributes:
        target: the server.
    """

    noisy = False
    headers: dict[str, str]
    protocols: list[str]
    useragent: str

    def __init__(
        self,
        reactor: Any,
        target: Target,
        headers: Mapping[str, str],
        subprotocols: tuple[str, ...],
        listener: Listener,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Autobahn
            reactor=reactor, headers=dict(headers), protocols=list(subprotocols), useragent="pode_signals"
        )
        self.target = target
        self._listener = listener
        self.setProtocolOptions(  # type: ignore[no-untyped-call]  # Autobahn
            maxMessagePayloadSize=MAX_FRAME_BYTES,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
        )

    def buildProtocol(self, addr: object) -> Any:
        """The protocol."""
        protocol = ClientProtocol()
        protocol.factory = self
        protocol.listener = self._listener
        return protocol


def retry_after_seconds(value: str, date: str) -> float:
    """For how long a server asks to wait (RFC 9110 section 10.2.3), at most a day.

    Args:
        value: the header Retry-After: seconds, or a date.
        date: the header Date. A date is compared with the server's own time, since the two clocks may differ.

    Returns:
        The seconds; 0 where the header is not there, or can't be read.
    """
    if value.isascii() and value.isdigit():
        return min(float(value[:10]), _MAX_RETRY_AFTER_SECONDS)
    try:
        seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds()
    # A date without a zone can't be compared with one that has a zone.
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, min(seconds, _MAX_RETRY_AFTER_SECONDS))
