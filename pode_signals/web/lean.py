"""Autobahn's server protocol without what it keeps and formats for each connection that nobody here asks for.

It changes no behaviour: options stand on the class, what is rarely used is made when used, and what belongs to
the handshake is let go when that is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.wamp.types import TransportDetails
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator
from twisted.internet.defer import Deferred

__all__ = ["LeanServerProtocol"]

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
    send_state = WebSocketServerProtocol.SEND_STATE_GROUND
    inside_message = False
    current_frame: Any = None
    data = b""

    def __init__(self) -> None:
        """Make nothing yet: see the attributes of the class."""

    def connectionMade(self) -> None:
        """The transport is there. Autobahn's adapter would describe it at length."""
        self._connectionMade()

    def settle(self) -> None:
        """The handshake is over: keep what differs from the class, and nothing of the handshake."""
        of_class = type(self)
        self.__dict__ = {
            name: value
            for name, value in self.__dict__.items()
            if name not in _HANDSHAKE_ONLY and getattr(of_class, name, _ABSENT) is not value
        }


_ABSENT = object()
