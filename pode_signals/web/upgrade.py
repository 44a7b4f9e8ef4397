"""From a ``twisted.web`` request to an open Autobahn connection: check, refuse, hand over.

Everything that can be refused is refused before the transport is touched. Autobahn sees a head that is made here, of
nothing but what it needs, since its own parser splits lines where HTTP does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.web.http import HTTPChannel

from ..core.handshake import HandshakeRecord, header_text
from ..core.names import header_value
from ..core.origin import host_name, origin_allowed
from ..errors import AlreadyConverted, ClientGone, OriginRefused, PodeSignalsError, ResponseStarted, UpgradeRefused
from .channel import ConvertedChannel
from .request_state import request_state

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from ..connection import SignalConnection
    from ..hub import Hub
    from .protocol import SignalFactory, SignalProtocol

Request = Any  # a twisted.web.server.Request: most of what is used of it has no annotations

__all__ = ["UpgradeOffer", "check_upgrade", "hand_over", "handshake_record", "is_upgrade", "response_header_lines"]

_SEEN_BY_AUTOBAHN = (b"host", b"origin", b"upgrade", b"connection")
_ONCE = (b"host", b"origin", b"sec-websocket-key", b"sec-websocket-version")
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")  # 16 bytes in base64 (RFC 6455 section 4.1)
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_VERSION = re.compile(rb"0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]")  # RFC 6455 section 4.3
_ORIGIN = re.compile(  # RFC 6454 section 7.1; the host may be empty, as in file://
    rb"null|[A-Za-z][0-9A-Za-z+.-]*://(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]*)(?::[0-9]{0,5})?"
)
_VISIBLE = re.compile(rb"[\x20-\x7e\t]*")
_FORBIDDEN = re.compile(rb"[\r\n\0]")
_DEFLATE_PARAMETER = re.compile(
    rb"(?:server|client)_no_context_takeover|server_max_window_bits=(?:9|1[0-5])|client_max_window_bits(?:=(?:9|1[0-5]))?"
)
_UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
_NOT_FROM_THE_ROUTE = re.compile(  # hop-by-hop (RFC 9110 section 7.6.1), the body's, the handshake's, and our own
    rb"connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade"
    rb"|content-.*|sec-websocket-.*|x-pode-signal-(?:client-id|name|group)",
    re.IGNORECASE,
)


@frozen
class UpgradeOffer:
    """What a good upgrade request asks for.

    Attributes:
        key: Sec-WebSocket-Key.
        subprotocols: in the client's order of preference.
        deflate: the permessage-deflate offers that can be understood (RFC 7692), joined; empty for none.
    """

    key: bytes
    subprotocols: tuple[str, ...]
    deflate: bytes


def is_upgrade(request: Request) -> bool:
    """Whether a request asks for the WebSocket protocol, well or badly."""
    return b"websocket" in (each.lower() for each in _listed(request, b"upgrade"))


def check_upgrade(request: Request, hub: Hub) -> UpgradeOffer:
    """Refuse whatever can't become a connection.

    Raises:
        UpgradeRefused: with the answer for the client.
        AlreadyConverted, ResponseStarted, ClientGone: the request is past converting.
    """
    channel = getattr(request, "channel", None)  # a request that has ended has none
    if isinstance(channel, ConvertedChannel) or request_state(request).connection is not None:
        raise AlreadyConverted
    if request.startedWriting or request.finished:
        raise ResponseStarted
    if request._disconnected or channel is None:
        raise ClientGone
    if not isinstance(channel, HTTPChannel):
        raise UpgradeRefused(426, "WebSocket connections need HTTP/1.1.", _UPGRADE)  # no RFC 8441 over HTTP/2
    _check_request_line(request)
    _check_headers(request)
    _check_version_and_key(request)
    if _has_body(request):
        raise UpgradeRefused(400, "An upgrade has no body.")
    _check_origin(request, hub)
    return UpgradeOffer(
        request.getHeader(b"sec-websocket-key"), _subprotocols(request), b", ".join(_deflate_offers(request))
    )


def handshake_record(request: Request, address: str) -> HandshakeRecord:
    """What a connection keeps of its request."""
    headers = ((name, each) for name, values in request.requestHeaders.getAllRawHeaders() for each in values)
    return HandshakeRecord(request.method, request.uri, headers, address, request.isSecure())


def response_header_lines(request: Request, connection: SignalConnection) -> bytes:
    """The header lines of the 101: what the route set, byte for byte, and who the connection is.

    Raises:
        ValueError: a header that the route set has CR, LF or NUL, or a name that is no token.
    """
    lines = [
        (b"X-PODE-SIGNAL-CLIENT-ID", header_value(connection.client_id).encode("ascii")),
        (b"X-PODE-SIGNAL-NAME", header_value(connection.name).encode("ascii")),
    ]
    if connection.group is not None:
        lines.append((b"X-PODE-SIGNAL-GROUP", header_value(connection.group).encode("ascii")))
    for name, values in request.responseHeaders.getAllRawHeaders():
        if not _NOT_FROM_THE_ROUTE.fullmatch(name):
            lines.extend((name, value) for value in values)
    lines.extend((b"Set-Cookie", cookie) for cookie in request.cookies)
    for name, value in lines:
        if not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value):
            raise ValueError(f"the response header {name!r} can't be sent")
    return b"".join(name + b": " + value + b"\r\n" for name, value in lines)


def hand_over(
    request: Request, factory: SignalFactory, connection: SignalConnection, offer: UpgradeOffer, header_lines: bytes
) -> None:
    """Make the request's transport the connection's; when this returns the 101 is written and Autobahn is open.

    ``request.channel`` is a stand-in afterwards, bytes that the client pipelined behind its handshake follow in the
    next turn, and the channel goes on reporting the transport's end, which is how a route learns that its client left.
    """
    channel = request.channel
    transport = channel.transport
    _log_access(request, channel)  # first, since a formatter of the program's may raise
    pipelined = _detach(channel)
    transport.unregisterProducer()  # HTTPChannel made itself the transport's producer
    protocol = factory.protocol_for(connection, transport, header_lines)
    connection.attach(protocol)
    outer = _outer(transport)
    feed = _Feed(protocol)
    is_open = False
    channel.dataReceived = channel.rawDataReceived = feed.received

    def connection_lost(reason: Failure) -> None:
        feed.flush()
        try:
            protocol.connectionLost(reason)
        finally:
            type(channel).connectionLost(channel, reason)  # fires notifyFinish

    channel.connectionLost = connection_lost

    def http_over() -> None:
        """HTTP is over on this transport: its end is the connection's alone, and the channel is not needed any more."""
        if is_open and outer is not None and getattr(transport, outer[0]) is outer[1]:
            setattr(transport, outer[0], protocol)

    request.channel = ConvertedChannel(request, _route_end(connection, request, partial(feed.when_through, http_over)))
    request.startedWriting = 1
    protocol.dataReceived(_head(offer, connection.subprotocol))
    if protocol.state != protocol.STATE_OPEN:
        del channel.connectionLost  # the hub never knew this connection
        transport.abortConnection()
        raise PodeSignalsError("Autobahn refused a handshake that was checked")
    is_open = True
    protocol.settle()
    if pipelined:
        feed.later(pipelined, connection.hub.clock)
    transport.resumeProducing()  # the channel pauses it for much pipelined data


class _Feed:
    """Bytes of the client on their way to the protocol.

    What was pipelined waits for the next turn, so that the connection is open when ``convert`` returns; then
    everything goes straight through.
    """

    __slots__ = ("_protocol", "_then", "_waiting")

    def __init__(self, protocol: SignalProtocol) -> None:
        self._protocol = protocol
        self._waiting: list[bytes] | None = None
        self._then: Callable[[], None] | None = None

    def received(self, data: bytes) -> None:
        if self._waiting is None:
            self._protocol.dataReceived(data)
        else:
            self._waiting.append(data)

    def later(self, pipelined: bytes, clock: Any) -> None:
        self._waiting = [pipelined]
        clock.callLater(0, self.flush)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting:
            self._protocol.dataReceived(b"".join(waiting))
        then, self._then = self._then, None
        if then is not None:
            then()

    def when_through(self, then: Callable[[], None]) -> None:
        """Call a function once nothing waits: now, or after the next turn."""
        if self._waiting is None:
            then()
        else:
            self._then = then


def _detach(channel: Any) -> bytes:
    """Stop HTTP on a channel; what it had buffered behind the request is returned."""
    channel.resumeProducing()  # of an answer before that was not read yet: the channel's clock stops
    channel.setTimeout(None)  # requestDone would start it again, which the channel will not see
    pipelined = b"".join(channel._dataBuffer)
    channel._dataBuffer = []
    return pipelined


def _outer(transport: Any) -> tuple[str, Any] | None:
    """Where a transport keeps the protocol that it reports to: plain ones, and TLS around them."""
    for name in ("wrappedProtocol", "protocol"):
        protocol = getattr(transport, name, None)
        if protocol is not None:
            return name, protocol
    return None


def _route_end(connection: SignalConnection, request: Request, http_over: Callable[[], None]) -> Any:
    state = request_state(request)

    def route_ended(ended: Request) -> None:
        if state.slot is not None:
            state.slot.connection = None
        http_over()
        connection.hub.route_ended(connection, failed=ended.code >= 400)

    return route_ended


def _log_access(request: Request, channel: Any) -> None:
    request.setResponseCode(101)
    factory = getattr(channel, "factory", None)
    if factory is not None:
        uri = request.uri
        request.uri = uri.partition(b"?")[0]  # a query may hold a token
        try:
            factory.log(request)
        finally:
            request.uri = uri


def _head(offer: UpgradeOffer, subprotocol: str | None) -> bytes:
    lines = [
        b"GET / HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + offer.key,
    ]
    if subprotocol is not None:
        lines.append(b"Sec-WebSocket-Protocol: " + subprotocol.encode("ascii"))
    if offer.deflate:
        lines.append(b"Sec-WebSocket-Extensions: " + offer.deflate)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _check_request_line(request: Request) -> None:
    if request.method != b"GET":
        raise UpgradeRefused(405, "Only GET can be upgraded.", [("Allow", "GET")])
    if request.clientproto != b"HTTP/1.1":
        raise UpgradeRefused(505, "WebSocket connections need HTTP/1.1.")
    if not is_upgrade(request) or b"upgrade" not in (each.lower() for each in _listed(request, b"connection")):
        raise UpgradeRefused(426, "This is a WebSocket endpoint.", _UPGRADE)
    if b"#" in request.uri:
        raise UpgradeRefused(400, "A WebSocket URL has no fragment.")  # RFC 6455 section 3


def _check_headers(request: Request) -> None:
    for name, values in request.requestHeaders.getAllRawHeaders():
        lower = name.lower()
        strict = lower in _SEEN_BY_AUTOBAHN or lower.startswith(b"sec-websocket-")
        for value in values:
            if _FORBIDDEN.search(value) or (strict and not _VISIBLE.fullmatch(value)):
                raise UpgradeRefused(400, "A header has a character that it must not have.")
    for name in _ONCE:
        if len(_values(request, name)) > 1:
            raise UpgradeRefused(400, f"The {name.decode('ascii').title()} header is repeated.")
    host, origin = request.getHeader(b"host"), request.getHeader(b"origin")
    if host is None or host_name(header_text(host)) is None:
        raise UpgradeRefused(400, "The Host header is missing or malformed.")
    if origin is not None and not _ORIGIN.fullmatch(origin):
        raise UpgradeRefused(400, "The Origin header is malformed.")


def _check_version_and_key(request: Request) -> None:
    version = request.getHeader(b"sec-websocket-version")
    if version is not None and not _VERSION.fullmatch(version):
        raise UpgradeRefused(400, "The Sec-WebSocket-Version is malformed.")
    if version != b"13":
        raise UpgradeRefused(426, "The WebSocket version has to be 13.", [*_UPGRADE, ("Sec-WebSocket-Version", "13")])
    if not _KEY.fullmatch(request.getHeader(b"sec-websocket-key") or b""):
        raise UpgradeRefused(400, "The Sec-WebSocket-Key is missing or malformed.")


def _has_body(request: Request) -> bool:
    if _values(request, b"transfer-encoding"):
        return True
    return any(value.strip() != b"0" for value in _values(request, b"content-length"))


def _check_origin(request: Request, hub: Hub) -> None:
    settings = hub.settings
    origin = request.getHeader(b"origin")
    forwarded = request.getHeader(b"x-forwarded-host") if hub.is_trusted_proxy(request) else None
    if not origin_allowed(
        None if origin is None else origin.decode("ascii"),
        request.getHeader(b"host").decode("ascii"),
        allowed_origins=settings.allowed_origins,
        own_ports=hub.own_ports,
        secure=request.isSecure(),
        allow_null=settings.allow_null_origin,
        allow_missing=settings.allow_missing_origin,
        forwarded_host=None if forwarded is None else header_text(forwarded),
    ):
        raise OriginRefused


def _subprotocols(request: Request) -> tuple[str, ...]:
    offered = _listed(request, b"sec-websocket-protocol")
    if not all(_TOKEN.fullmatch(each) for each in offered) or len(set(offered)) != len(offered):
        raise UpgradeRefused(400, "The Sec-WebSocket-Protocol is malformed.")
    return tuple(each.decode("ascii") for each in offered)


def _deflate_offers(request: Request) -> Iterable[bytes]:
    """The offers that Autobahn can take; others are declined, as RFC 7692 section 5 wants."""
    for offer in _listed(request, b"sec-websocket-extensions"):
        name, *parameters = (each.strip() for each in offer.split(b";"))
        keys = [each.partition(b"=")[0] for each in parameters]
        if name == b"permessage-deflate" and len(set(keys)) == len(keys):
            if all(_DEFLATE_PARAMETER.fullmatch(each) for each in parameters):
                yield b"; ".join((name, *parameters))


def _values(request: Request, name: bytes) -> list[bytes]:
    values: list[bytes] = request.requestHeaders.getRawHeaders(name, [])
    return values


def _listed(request: Request, name: bytes) -> list[bytes]:
    """The elements of a header that is a list, over all its lines."""
    return [each.strip() for value in _values(request, name) for each in value.split(b",") if each.strip()]
