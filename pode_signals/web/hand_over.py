"""From a checked upgrade request to an open connection: HTTP lets go of the transport, Autobahn takes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from ..core.names import header_value
from ..core.text import FORBIDDEN as _FORBIDDEN
from ..core.text import TOKEN as _TOKEN
from ..errors import PodeSignalsError
from ..hub.turns import Turns
from ..ports.channel import SignalChannel
from .converted import ConvertedChannel

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from ..hub.link import Link
    from ..transports.websocket import SignalFactory, SignalProtocol
    from .requests import RequestState
    from .upgrade import UpgradeOffer

Request = Any  # a twisted.web.server.Request: most of what is used of it has no annotations

__all__ = ["hand_over", "response_header_lines"]

_NOT_FROM_THE_ROUTE = re.compile(  # hop-by-hop (RFC 9110 section 7.6.1), the body's, the handshake's, and our own
    rb"connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade"
    rb"|content-.*|sec-websocket-.*|x-pode-signal-(?:client-id|name|group)",
    re.IGNORECASE,
)


def response_header_lines(request: Request, link: Link) -> bytes:
    """The header lines of the 101: what the route set, byte for byte, and who the connection is.

    Raises:
        ValueError: a header that the route set has CR, LF or NUL, or a name that is no token.
    """
    lines = [
        b"X-PODE-SIGNAL-CLIENT-ID: " + header_value(link.client_id).encode("ascii"),
        _name_line(b"X-PODE-SIGNAL-NAME: ", link.name),
    ]
    if link.group is not None:
        lines.append(_name_line(b"X-PODE-SIGNAL-GROUP: ", link.group))
    raw = request.responseHeaders.getAllRawHeaders()
    theirs = [(name, value) for name, values in raw if _comes_from_the_route(name) for value in values]
    for name, value in (*theirs, *((b"Set-Cookie", cookie) for cookie in request.cookies)):
        if not _is_token(name) or _FORBIDDEN.search(value):
            raise ValueError(f"the response header {name!r} can't be sent")
        lines.append(name + b": " + value)
    lines.append(b"")
    return b"\r\n".join(lines)


# Names of connections and of headers are the same few with each answer.


@lru_cache(maxsize=256)
def _name_line(head: bytes, name: str) -> bytes:
    return head + header_value(name).encode("ascii")


@lru_cache(maxsize=256)
def _comes_from_the_route(header_name: bytes) -> bool:
    return not _NOT_FROM_THE_ROUTE.fullmatch(header_name)


@lru_cache(maxsize=256)
def _is_token(header_name: bytes) -> bool:
    return bool(_TOKEN.fullmatch(header_name))


def hand_over(
    request: Request,
    state: RequestState,
    factory: SignalFactory,
    link: Link,
    offer: UpgradeOffer,
    header_lines: bytes,
) -> SignalProtocol:
    """Make the request's transport the connection's; when this returns the 101 is written and Autobahn is open.

    ``request.channel`` is a stand-in afterwards, bytes that the client pipelined behind its handshake follow in the
    next turn, and the channel goes on reporting the transport's end, which is how a route learns that its client left.
    """
    channel = request.channel
    transport = channel.transport
    _log_access(request, channel)  # first, since a formatter of the program's may raise
    pipelined = _detach(channel)
    transport.unregisterProducer()  # HTTPChannel made itself the transport's producer
    protocol = factory.protocol_for(link, transport, header_lines)
    link.attach(protocol)
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
        if is_open and outer is not None and getattr(transport, outer[0], None) is outer[1]:
            setattr(transport, outer[0], protocol)
            channel.__dict__.pop("connectionLost", None)  # which refers to the channel: a cycle for the collector

    route_ended = _route_end(link, state, partial(feed.when_through, http_over))
    request.channel = ConvertedChannel(request, route_ended, link.runtime.reports)
    request.startedWriting = 1
    if not protocol.shake_hands(offer.key, link.subprotocol, offer.deflate):
        del channel.connectionLost  # the hub never knew this connection
        transport.abortConnection()
        raise PodeSignalsError("Autobahn refused a handshake that was checked")
    is_open = True
    if pipelined:
        feed.later(pipelined, link.runtime.turns)
    transport.resumeProducing()  # the channel pauses it for much pipelined data
    return protocol


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
            self._protocol.take(data)
        else:
            self._waiting.append(data)

    def later(self, pipelined: bytes, turns: Turns) -> None:
        self._waiting = [pipelined]
        turns.later(self.flush)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting:
            self._protocol.take(b"".join(waiting))
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
    # A channel of ours may hold back more of what has come; what Twisted's holds, it hands on by itself.
    return pipelined + channel.take_unparsed() if isinstance(channel, SignalChannel) else pipelined


def _outer(transport: Any) -> tuple[str, Any] | None:
    """Where a transport keeps the protocol that it reports to: plain ones, and TLS around them."""
    for name in ("wrappedProtocol", "protocol"):
        protocol = getattr(transport, name, None)
        if protocol is not None:
            return name, protocol
    return None


def _route_end(link: Link, state: RequestState, http_over: Callable[[], None]) -> Any:
    def route_ended(ended: Request) -> None:
        if state.slot is not None:
            state.slot.link = None
        http_over()
        link.hub.route_ended(link, failed=ended.code >= 400)

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
