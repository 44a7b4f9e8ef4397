"""The stand-in for ``request.channel`` after a request has become a connection. It writes nothing to the wire.

All calls that the web framework still makes for the request (write, finish, processingFailed) end here. A call of
``requestDone`` means that the route has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import LogLevel

from ..hub.reports import Reports

if TYPE_CHECKING:
    from twisted.web.http import HTTPChannel, Request

__all__ = ["ConvertedChannel"]


class ConvertedChannel:
    """Stands in for the HTTPChannel of a converted request.

    Args:
        request: the request.
        route_ended: called once with the request when its route has ended.
        reports: logs that bytes were discarded.
    """

    factory = None
    """None, so that the request writes no access log line; that line was written with the 101."""

    def __init__(self, request: Request, route_ended: Callable[[Request], None], reports: Reports) -> None:
        channel: HTTPChannel = request.channel
        self._channel = channel
        self._request = request
        self._route_ended = route_ended
        self._reports = reports
        self.site = getattr(channel, "site", None)
        self.transport = channel.transport

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        """Discard the head, since the 101 was the answer."""

    def write(self, data: bytes) -> None:
        """Discard bytes that the route returned or wrote."""
        if data:
            self._reports.write(
                "discarded",
                "{size_bytes} bytes of a converted route's response were discarded",
                event="response.discarded",
                level=LogLevel.debug,
                size_bytes=len(data),
            )

    def writeSequence(self, data: list[bytes]) -> None:
        """Discard bytes in pieces."""
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """End the request: nothing will be taken from the producer, so the producer itself could never end it."""
        producer.stopProducing()
        if not self._request.finished:
            self._request.unregisterProducer()
            self._request.finish()

    def unregisterProducer(self) -> None:
        """Nothing: no producer is kept here."""

    def getPeer(self) -> Any:
        """The client's address."""
        return self._channel.getPeer()

    def getHost(self) -> Any:
        """The address of this end of the connection."""
        return self._channel.getHost()

    def isSecure(self) -> bool:
        """Whether the request came over TLS."""
        return bool(self._channel.isSecure())

    def loseConnection(self) -> None:
        """Nothing: the route can't end the connection through its request."""

    abortConnection = forceAbortClient = loseConnection

    def requestDone(self, request: Request) -> None:
        """The route has ended."""
        if request in self._channel.requests:
            self._channel.requests.remove(request)
        self._route_ended(request)
