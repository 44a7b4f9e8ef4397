"""From a checked request to an open connection: HTTP lets go of the transport, a WebSocket or an event stream takes it.

It refuses no request: other modules decide before whether a request may become a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..core.response_headers import response_header_lines
from ..errors import PodeSignalsError
from ..hub.transport import ClientTransport
from ..ports.channel import SignalChannel
from .converted import ConvertedChannel

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from ..hub.link import Link
    from .requests import RequestState

# A twisted.web.server.Request: most of what is used of it has no annotations.
Request = Any

__all__ = ["HandOver", "Way", "WireProtocol"]


class WireProtocol(ClientTransport, Protocol):
    """What takes the transport: the wire of a connection, which is also a protocol of Twisted."""

    def take(self, data: bytes) -> None:
        """Bytes of the client."""

    def connectionLost(self, reason: Failure) -> None:
        """The transport is gone."""


class Way(Protocol):
    """How a connection goes on, once HTTP has let go of its transport.

    Attributes:
        status: the status of the answer, for the access log.
    """

    status: int

    def protocol_for(self, link: Link, transport: Any, header_lines: bytes) -> WireProtocol:
        """Make what takes the transport.

        Args:
            link: the connection.
            transport: the transport.
            header_lines: header lines for the answer, each with its line end.
        """

    def begin(self, link: Link) -> bool:
        """Answer the request; False where that failed."""


class HandOver:
    """The way of one request's transport from HTTP to a connection. The methods are in the order of time.

    Args:
        request: the request, which was checked.
        state: what is known of the request while it is handled.
        way: how the connection goes on.
    """

    __slots__ = (
        "_channel",
        "_is_open",
        "_link",
        "_protocol",
        "_reports_to",
        "_request",
        "_route_is_over",
        "_state",
        "_transport",
        "_waiting",
        "_way",
    )

    def __init__(self, request: Request, state: RequestState, way: Way) -> None:
        self._request: Request = request
        self._state = state
        self._way = way
        self._channel: Any = request.channel
        self._transport: Any = self._channel.transport
        self._reports_to = _reports_to(self._transport)
        self._link: Link
        self._protocol: WireProtocol
        # Bytes of the client that wait for the next turn. None where bytes go straight to the protocol.
        self._waiting: list[bytes] | None = None
        self._is_open = False
        self._route_is_over = False

    def connect(self, link: Link) -> WireProtocol:
        """Make the request's transport the connection's.

        When this method returns, the answer is written, or waits for hello, and the protocol is open; the request's
        channel is a stand-in. The protocol gets bytes that the client pipelined behind its handshake in the next turn.
        The channel still hears of the transport's end, by which a route learns that its client has left.

        Raises:
            ValueError: a response header that the route set can't be sent; nothing was touched.
            PodeSignalsError: Autobahn refused; the transport is aborted.
        """
        self._link = link
        # Steps that use what the program has given (the route's headers, a formatter of its log) come first. Where such
        # a step raises, HTTP still has the transport and answers.
        header_lines = response_header_lines(
            link.client_id,
            link.name,
            link.groups,
            self._request.responseHeaders.getAllRawHeaders(),
            self._request.cookies,
        )
        _log_access(self._request, self._channel, self._way.status)
        pipelined = self._detach()
        self._attach(header_lines)
        self._open(pipelined)
        return self._protocol

    # HTTP stops.

    def _detach(self) -> bytes:
        """Stop HTTP on the channel.

        Returns:
            The bytes that have come behind the request.
        """
        channel = self._channel
        # The client may not have read the answer to an earlier request yet. The channel measures how long that takes,
        # and would end the connection: from here on the connection has its own bounds.
        channel.resumeProducing()
        # Twisted's idle timeout is off while a request is handled, and requestDone would start it again. The channel
        # will never see requestDone, so only a timeout that the route itself has set has to go.
        channel.setTimeout(None)
        # HTTPChannel keeps bytes behind a request here, until requestDone parses them (Twisted 26.10).
        pipelined = b"".join(channel._dataBuffer)
        channel._dataBuffer = []
        # A plain function as a route runs while Twisted still parses the read that brought the request. The rest of
        # that read is in the buffer for lines, and a SignalChannel may hold back more.
        pipelined += channel.take_unparsed() if isinstance(channel, SignalChannel) else channel.clearLineBuffer()
        # HTTPChannel has made itself the transport's producer. A transport has one producer, and the protocol will be
        # that one.
        self._transport.unregisterProducer()
        return pipelined

    # The protocol gets the transport.

    def _attach(self, header_lines: bytes) -> None:
        """Have the transport, the channel and the web framework report to the connection from here on."""
        link, request = self._link, self._request
        self._protocol = self._way.protocol_for(link, self._transport, header_lines)
        link.attach(self._protocol)
        self._redirect()
        request.channel = ConvertedChannel(request, self._end_of_route, link.runtime.reports)
        # The Request takes its head for written, and so writes none, whatever the route returns.
        request.startedWriting = 1

    def _redirect(self) -> None:
        """Have the channel's two methods for data and for the end replaced, on this one channel.

        The transport still reports to the channel, and looks both methods up each time.
        """
        # HTTPChannel's own method would buffer all data until the request ends, which it never does.
        self._channel.dataReceived = self._received
        # HTTPChannel's own method would tell the route alone, and the connection would never learn of its end.
        self._channel.connectionLost = self._lost

    def _restore(self, *, to_protocol: bool = False) -> None:
        """Give the channel its own two methods back.

        Otherwise the channel and this object would refer to each other, and only the garbage collector could free them.

        Args:
            to_protocol: also have the transport report to the protocol. Until the route has ended the transport reports
                to the channel, since a route learns of its client's end from there. Afterwards reads need no call
                through HTTP, and the channel can be freed.
        """
        if to_protocol:
            name, before = self._reports_to
            # A transport that is gone reports to nobody any more. A transport that other code has wrapped meanwhile
            # stays as it is, and reports to the protocol by way of the channel.
            if before is None or getattr(self._transport, name, None) is not before:
                return
            setattr(self._transport, name, self._protocol)
        for name in ("dataReceived", "connectionLost"):
            self._channel.__dict__.pop(name, None)

    # The answer.

    def _open(self, pipelined: bytes) -> None:
        """Answer the request, and let the client's bytes come."""
        link, state = self._link, self._state
        if not self._way.begin(link):
            # The hub does not know this connection yet, so the end of the transport is a matter of HTTP.
            self._restore()
            self._transport.abortConnection()
            raise PodeSignalsError("Autobahn refused a handshake that was checked")
        self._is_open = True
        if link.hub.shook_hands is not None and isinstance(self._channel, SignalChannel):
            # In the next turn: within this one the hub does not have the connection yet.
            told, seconds = link.hub.shook_hands, self._channel.waited_seconds()
            link.runtime.clock.callLater(0, told, link, seconds)
        state.link = link
        if state.slot is not None:
            state.slot.link = link
        if pipelined:
            # These bytes wait for the next turn: they may hold a close frame, and the connection has to be open when
            # ``convert`` returns.
            self._waiting = [pipelined]
            link.runtime.turns.later(self._flush)
        # HTTPChannel pauses the transport where a client has pipelined much.
        self._transport.resumeProducing()

    def _received(self, data: bytes) -> None:
        """Bytes of the client: they go to the protocol, behind the bytes that wait."""
        if self._waiting is None:
            self._protocol.take(data)
        else:
            self._waiting.append(data)

    def _flush(self) -> None:
        """Give the bytes that have waited to the protocol."""
        waiting, self._waiting = self._waiting, None
        if waiting:
            self._protocol.take(b"".join(waiting))
        # A route that ended before this turn has left the transport with HTTP, since bytes still waited here.
        if self._route_is_over:
            self._end_of_http()

    # The route ends, or the client leaves before.

    def _end_of_route(self, request: Request) -> None:
        """The route has ended: its connection is not the current connection any more."""
        if self._state.slot is not None:
            self._state.slot.link = None
        self._route_is_over = True
        if self._waiting is None:
            self._end_of_http()
        self._link.hub.route_ended(self._link, failed=request.code >= 400)

    def _lost(self, reason: Failure) -> None:
        """The transport is gone while the route still runs."""
        # The client may have sent a close frame before it left, which tells why.
        self._flush()
        self._restore()
        try:
            self._protocol.connectionLost(reason)
        finally:
            # After _restore this is HTTPChannel's own method. It fires notifyFinish, for which Klein cancels the route.
            self._channel.connectionLost(reason)

    # HTTP is over.

    def _end_of_http(self) -> None:
        """HTTP is not needed any more: the transport reports to the protocol alone."""
        # Where Autobahn refused, the transport was aborted, and HTTP sees to its end.
        if self._is_open:
            self._restore(to_protocol=True)


def _reports_to(transport: Any) -> tuple[str, Any]:
    """The attribute in which a transport keeps the protocol that it reports to, and that protocol.

    TLS around a transport calls the attribute ``wrappedProtocol``, and its ``protocol`` is something else.
    """
    for name in ("wrappedProtocol", "protocol"):
        protocol = getattr(transport, name, None)
        if protocol is not None:
            return name, protocol
    return "protocol", None


def _log_access(request: Request, channel: Any, status: int) -> None:
    """Write the access log's line for the answer. The Request writes none, since its channel will be a stand-in."""
    request.setResponseCode(status)
    factory = getattr(channel, "factory", None)
    if factory is not None:
        uri = request.uri
        # A query may hold a token, which has no place in a log.
        request.uri = uri.partition(b"?")[0]
        try:
            factory.log(request)
        finally:
            request.uri = uri
