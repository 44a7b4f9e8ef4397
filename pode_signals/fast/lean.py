"""Autobahn's server protocol without what it keeps and formats for each connection that nobody here asks for.

It changes no behaviour: options stand on the class, what is rarely used is made when used, and what belongs to
the handshake is let go when that is over. A handshake that agrees on no extension is answered without Autobahn, where
that has been seen to come to the same.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.wamp.types import TransportDetails
from autobahn.websocket.protocol import TrafficStats, WebSocketProtocol
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from .shortcuts import WANTED

__all__ = ["QUICK_ENDS", "QUICK_OPENS", "QUIET", "LeanServerProtocol"]

_HANDSHAKE_ONLY = frozenset(
    {
        "_wskey",
        "http_headers",
        "http_request_data",
        "http_request_host",
        "http_request_params",
        "http_request_path",
        "http_request_uri",
        "http_response_data",
        "http_status_line",
        "is_open",
        "openHandshakeTimeoutCall",
        "response_headers",
        "send_queue",
        "trafficStats",
        "utf8validator",
        "websocket_extensions",
        "websocket_extensions_in_use",
        "websocket_origin",
        "websocket_protocol_in_use",
        "websocket_protocols",
        "websocket_version",
    }
)


class _Silence:
    """In place of Autobahn's logger: what matters is logged by the hub, once."""

    def _drop(self, *_args: Any, **_fields: Any) -> None:
        """Nothing."""

    trace = debug = info = warn = error = critical = failure = _drop


class _WhenUsed:
    """An attribute of each instance that is made when it is first asked for.

    Args:
        make: makes its value.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._make()
        return value


class LeanServerProtocol(WebSocketServerProtocol):
    """Autobahn's protocol, light. Its options are those of a server that checks handshakes itself."""

    log = _Silence()

    CONFIG_ATTRS = []  # noqa: RUF012  # as Autobahn declares it
    """Nothing to copy from the factory: every option stands below. Autobahn formats each one that it copies."""
    versions = WebSocketServerProtocol.SUPPORTED_PROTOCOL_VERSIONS
    webStatus = False
    utf8validateIncoming = True
    requireMaskedClientFrames = True
    maskServerFrames = False
    applyMask = True
    maxFramePayloadSize = 0
    maxMessagePayloadSize = 0
    perMessageCompressionAccept: Any = staticmethod(lambda _offers: None)
    autoFragmentSize = 0
    failByDrop = False
    echoCloseCodeReason = True
    openHandshakeTimeout = 0
    closeHandshakeTimeout = 0
    tcpNoDelay = True
    serveFlashSocketPolicy = False
    flashSocketPolicy = ""
    autoPingInterval = 0
    autoPingTimeout = 0
    autoPingSize = 12
    autoPingRestartOnAnyTraffic = False
    allowedOrigins = ("*",)  # checked before, by the hub's own rules
    allowedOriginsPatterns = ()
    allowNullOrigin = True
    maxConnections = 0
    trustXForwardedFor = 0
    logOctets = False
    logFrames = False
    trackTimings = False

    peer = ""
    websocket_version = 13
    send_queue: Any = ()
    trafficStats: Any = TrafficStats()  # one for all: nobody reads it
    openHandshakeTimeoutCall = None
    is_open = _WhenUsed(Deferred)
    is_closed = _WhenUsed(Deferred)
    utf8validator = _WhenUsed(Utf8Validator)
    _transport_details = TransportDetails()
    _perMessageCompress = None
    closedByMe = failedByMe = droppedByMe = wasClean = False
    wasMaxFramePayloadSizeExceeded = wasMaxMessagePayloadSizeExceeded = False
    wasOpenHandshakeTimeout = wasCloseHandshakeTimeout = wasServerConnectionDropTimeout = False
    wasServingFlashSocketPolicyFile = False
    wasNotCleanReason: Any = None
    localCloseCode = localCloseReason = remoteCloseCode = remoteCloseReason = None
    closeHandshakeTimeoutCall = None
    autoPingTimeoutCall = autoPingPending = autoPingPendingCall = autoPingPendingSent = None
    autoPingPendingSeq = 0
    trackedTimings: Any = None
    triggered = False
    state = WebSocketServerProtocol.STATE_CONNECTING
    send_state = WebSocketServerProtocol.SEND_STATE_GROUND
    inside_message = False
    current_frame: Any = None
    data = b""

    def __init__(self) -> None:
        """Make nothing yet: see the attributes of the class."""

    def connectionMade(self) -> None:
        """The transport is there; :meth:`shake_hands` comes next."""

    def shake_hands(self, key: bytes, subprotocol: str | None, deflate: bytes) -> bool:
        """Answer a handshake that was checked.

        Args:
            key: Sec-WebSocket-Key.
            subprotocol: the agreed one; None is none.
            deflate: offers of permessage-deflate; empty is none.

        Returns:
            Whether the connection is open.
        """
        if QUICK_OPENS and not deflate:
            self._open_at_once(key, subprotocol)
            return True
        return self._open_by_autobahn(key, subprotocol, deflate)

    def _open_at_once(self, key: bytes, subprotocol: str | None) -> None:
        self.factory.countConnections += 1
        agreed = b"" if subprotocol is None else b"Sec-WebSocket-Protocol: " + subprotocol.encode("ascii") + b"\r\n"
        accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
        self.sendData(_SWITCHING + agreed + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self.state = self.STATE_OPEN

    def _open_by_autobahn(self, key: bytes, subprotocol: str | None, deflate: bytes) -> bool:
        """Feed Autobahn a head of nothing but what it needs, since its own parser splits lines where HTTP does not."""
        if QUIET:
            self._connectionMade()
        else:
            super().connectionMade()
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
        self.settle()
        return bool(self.state == self.STATE_OPEN)

    def parse(self, data: bytes) -> None:
        """Give Autobahn what has come."""
        if QUIET:
            self._dataReceived(data)
        else:
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone."""
        if QUICK_ENDS:
            self._end_quietly(reason)
        else:
            super().connectionLost(reason)

    def _end_quietly(self, reason: Failure) -> None:
        WebSocketProtocol._connectionLost(self, reason)  # type: ignore[arg-type]  # Autobahn's annotation is wrong
        self.factory.countConnections -= 1

    def settle(self) -> None:
        """The handshake is over: keep what differs from the class, and nothing of the handshake."""
        of_class = type(self)
        self.__dict__ = {
            name: value
            for name, value in self.__dict__.items()
            if name not in _HANDSHAKE_ONLY and getattr(of_class, name, _ABSENT) is not value
        }


_ABSENT = object()
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"


_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def _has_quiet_methods() -> bool:
    """Whether Autobahn's adapter still calls what it describes at length."""
    wanted = ("_connectionMade", "_dataReceived", "_connectionLost")
    return all(callable(getattr(WebSocketServerProtocol, name, None)) for name in wanted)


def _opens_alike() -> bool:
    """Whether Autobahn leaves a protocol as ``_open_at_once`` does, and has written the same."""
    return all(
        _alike(
            lambda protocol: protocol._open_at_once(_KEY, protocol.agreed),
            lambda protocol: protocol._open_by_autobahn(_KEY, protocol.agreed, b""),
            agreed,
        )
        for agreed in (None, "agreed")
    )


def _ends_alike() -> bool:
    """Whether Autobahn leaves a protocol whose transport is gone as ``_end_quietly`` does."""

    def ours(protocol: Any) -> None:
        protocol._open_by_autobahn(_KEY, None, b"")
        protocol._end_quietly(connectionDone)

    def theirs(protocol: Any) -> None:
        protocol._open_by_autobahn(_KEY, None, b"")
        WebSocketServerProtocol.connectionLost(protocol, connectionDone)

    return _alike(ours, theirs)


def _alike(one: Callable[[Any], object], other: Callable[[Any], object], agreed: str | None = None) -> bool:
    """Whether two ways come to the same with a fresh protocol."""
    try:
        return bool(_seen_after(one, agreed) == _seen_after(other, agreed))
    except (AttributeError, TypeError):
        return False


def _seen_after(way: Callable[[Any], object], agreed: str | None) -> Any:
    """What a way sets, writes and counts."""
    factory: Any = WebSocketServerFactory(reactor=Clock(), server="")
    protocol: Any = _Agreeing()
    protocol.factory = factory
    protocol.agreed = agreed
    wire = _Wire()
    protocol.makeConnection(wire)
    way(protocol)
    plain = (bool, int, str, bytes, type(None))
    kept = {name: value for name, value in vars(protocol).items() if name != "agreed"}
    state = {name: value if isinstance(value, plain) else type(value) for name, value in kept.items()}
    return state, wire.written, factory.countConnections


class _Agreeing(LeanServerProtocol):
    agreed: str | None = None

    def onConnect(self, request: Any) -> str | None:
        return self.agreed


class _Wire:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


QUIET = WANTED and _has_quiet_methods()
"""Whether Autobahn's methods are called without those around them that only describe what happens."""

QUICK_OPENS = QUIET and _opens_alike()
"""Whether a handshake without an extension is answered without Autobahn."""

QUICK_ENDS = QUIET and _ends_alike()
"""Whether the end of a transport is told to Autobahn without three texts about it."""
