"""From a checked upgrade request to an open connection: HTTP lets go of the transport, Autobahn takes it.

What may become a connection is decided before; nothing is refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.response_headers import response_header_lines
from ..errors import PodeSignalsError
from ..ports.channel import SignalChannel
from .converted import ConvertedChannel

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from ..core.upgrade import UpgradeOffer
    from ..hub.link import Link
    from ..transports.websocket import SignalFactory, SignalProtocol
    from .requests import RequestState

# A twisted.web.server.Request: most of what is used of it has no annotations.
Request = Any

__all__ = ["HandOver"]


class HandOver:
    """The way of one request's transport from HTTP to a connection. Its methods are in the order of time.

    Args:
        request: the request, which was checked.
        state: what is known of it.
        factory: makes the protocol that takes the transport.
        offer: what the handshake asks for.
    """

    __slots__ = (
        "_channel",
        "_factory",
        "_is_open",
        "_link",
        "_offer",
        "_protocol",
        "_reports_to",
        "_request",
        "_route_is_over",
        "_state",
        "_transport",
        "_waiting",
    )

    def __init__(self, request: Request, state: RequestState, factory: SignalFactory, offer: UpgradeOffer) -> None:
        self._request: Request = request
        self._state = state
        self._factory = factory
        self._offer = offer
        self._channel: Any = request.channel
        self._transport: Any = self._channel.transport
        self._reports_to = _reports_to(self._transport)
        self._link: Link
        self._protocol: SignalProtocol
        # Bytes of the client that wait for the next turn; None once all goes straight to the protocol.
        self._waiting: list[bytes] | None = None
        self._is_open = False
        self._route_is_over = False

    def connect(self, link: Link) -> SignalProtocol:
        """Make the request's transport the connection's.

        When it returns the 101 is written and the protocol is open. ``request.channel`` is a stand-in afterwards, bytes
        that the client pipelined behind its handshake follow in the next turn, and the channel goes on reporting the
        transport's end, which is how a route learns that its client left.

        Raises:
            ValueError: a response header that the route set can't be sent; nothing was touched.
            PodeSignalsError: Autobahn refused; the transport is aborted.
        """
        self._link = link
        # What may raise over what the program has given comes first: the route's headers, a formatter of its log.
        header_lines = response_header_lines(
            link.client_id,
            link.name,
            link.group,
            self._request.responseHeaders.getAllRawHeaders(),
            self._request.cookies,
        )
        _log_access(self._request, self._channel)
        pipelined = self._detach()
        self._attach(header_lines)
        self._open(pipelined)
        return self._protocol

    # HTTP stops.

    def _detach(self) -> bytes:
        """Stop HTTP on the channel; what it had buffered behind the request is returned."""
        channel = self._channel
        # Of an answer before that was not read yet: the channel's clock for it stops.
        channel.resumeProducing()
        # The idle timeout is off while a request is handled. requestDone would start it again, which the channel will
        # not see; a route may have set one for its answer, which would end the connection.
        channel.setTimeout(None)
        # HTTPChannel keeps here what has come behind a request, until requestDone parses it (Twisted 26.10).
        pipelined = b"".join(channel._dataBuffer)
        channel._dataBuffer = []
        # In a plain route the read that brought the request is being parsed, and its rest is the buffer for lines. A
        # channel of ours may hold back more.
        pipelined += channel.take_unparsed() if isinstance(channel, SignalChannel) else channel.clearLineBuffer()
        # HTTPChannel made itself the transport's producer, and there is room for one.
        self._transport.unregisterProducer()
        return pipelined

    # The protocol gets the transport.

    def _attach(self, header_lines: bytes) -> None:
        """Everything that the transport, the channel and the web framework report goes to the connection from here."""
        link, request = self._link, self._request
        self._protocol = self._factory.protocol_for(link, self._transport, header_lines)
        link.attach(self._protocol)
        self._redirect()
        request.channel = ConvertedChannel(request, self._end_of_route, link.runtime.reports)
        # With it set the Request writes no head of its own, whatever the route returns.
        request.startedWriting = 1

    def _redirect(self) -> None:
        """Take the place of the channel, which is asked for these two each time by what the transport reports to."""
        # HTTPChannel would buffer what comes for the end of a request that never ends.
        self._channel.dataReceived = self._received
        # HTTPChannel would tell the route alone, and the connection would never know.
        self._channel.connectionLost = self._lost

    def _restore(self, *, to_protocol: bool = False) -> None:
        """Give up the place of the channel. A channel that refers to this, as this does to it, would be a cycle.

        Args:
            to_protocol: have the transport report to the protocol. Until then it reports to the channel, through which
                a route learns of the end; afterwards HTTP costs no call for each read, and can be garbage.
        """
        if to_protocol:
            name, before = self._reports_to
            # A transport that is gone has let go of it, and one that others have wrapped meanwhile stays as it is.
            if before is None or getattr(self._transport, name, None) is not before:
                return
            setattr(self._transport, name, self._protocol)
        for name in ("dataReceived", "connectionLost"):
            self._channel.__dict__.pop(name, None)

    # The 101.

    def _open(self, pipelined: bytes) -> None:
        """Answer the handshake, and let the client's bytes come."""
        link, offer, state = self._link, self._offer, self._state
        if not self._protocol.shake_hands(offer.key, link.subprotocol, offer.deflate):
            # The hub never knew this connection: its end is HTTP's.
            self._restore()
            self._transport.abortConnection()
            raise PodeSignalsError("Autobahn refused a handshake that was checked")
        self._is_open = True
        if link.hub.shook_hands is not None and isinstance(self._channel, SignalChannel):
            link.hub.shook_hands(link, self._channel.waited_seconds())
        state.link = link
        if state.slot is not None:
            state.slot.link = link
        if pipelined:
            # They wait, so that the connection is open when convert returns, also of a client that closes it at once.
            self._waiting = [pipelined]
            link.runtime.turns.later(self._flush)
        # The channel pauses it for much pipelined data.
        self._transport.resumeProducing()

    def _received(self, data: bytes) -> None:
        """Bytes of the client, in their order."""
        if self._waiting is None:
            self._protocol.take(data)
        else:
            self._waiting.append(data)

    def _flush(self) -> None:
        """What waited goes to the protocol."""
        waiting, self._waiting = self._waiting, None
        if waiting:
            self._protocol.take(b"".join(waiting))
        if self._route_is_over:
            self._end_of_http()

    # The route ends, or the client leaves before.

    def _end_of_route(self, request: Request) -> None:
        """The route has ended: it is no place any more where its connection is the current one."""
        if self._state.slot is not None:
            self._state.slot.link = None
        self._route_is_over = True
        if self._waiting is None:
            self._end_of_http()
        self._link.hub.route_ended(self._link, failed=request.code >= 400)

    def _lost(self, reason: Failure) -> None:
        """The transport is gone while the route runs on."""
        self._flush()
        self._restore()
        try:
            self._protocol.connectionLost(reason)
        finally:
            # HTTP's own, which fires notifyFinish: Klein cancels the route.
            self._channel.connectionLost(reason)

    # HTTP is over.

    def _end_of_http(self) -> None:
        """The transport's end is the connection's alone, and the channel is not needed any more."""
        if self._is_open:
            self._restore(to_protocol=True)


def _reports_to(transport: Any) -> tuple[str, Any]:
    """Where a transport keeps the protocol that it reports to: plain ones, and TLS around them."""
    for name in ("wrappedProtocol", "protocol"):
        protocol = getattr(transport, name, None)
        if protocol is not None:
            return name, protocol
    return "protocol", None


def _log_access(request: Request, channel: Any) -> None:
    """Write the line of the 101: the Request writes none any more, since its channel will be a stand-in."""
    request.setResponseCode(101)
    factory = getattr(channel, "factory", None)
    if factory is not None:
        uri = request.uri
        # A query may hold a token.
        request.uri = uri.partition(b"?")[0]
        try:
            factory.log(request)
        finally:
            request.uri = uri
