"""The HTTP site of one port: HTTP/1.1 only, one access log line a request. It serves nothing before its service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from ..core.text import printable_bytes
from ..errors import UpgradeRefused
from .channel import SignalChannel
from .listeners import Listener
from .request import BoundedRequest
from .request_limits import RequestLimits

__all__ = ["FirstResource", "SignalSite"]

# A twisted.web.server.Request: most of its attributes that are used here have no annotations.
Request = Any

_RETRY_AFTER_SECONDS = 5
# In place of Twisted's name and version, which would tell an attacker which weaknesses to try.
_SERVER = b"pode-signals"


class FirstResource(Protocol):
    """A resource that goes before the one of a site, for the paths that it has."""

    @property
    def has(self) -> Callable[[bytes], bool]:
        """``has(path)`` tells whether it answers for a path."""

    @property
    def render(self) -> Callable[..., Any]:
        """``render(request)`` answers a request."""


class SignalSite(Site):
    """Serves an application's resource on one port.

    Args:
        resource: the application's resource, wrapped by ``signals.resource``.
        listener: the listener of the port.
        timeout_seconds: how long a client may take over the head of a request, or leave a connection unused.
        clock: the clock that the timeout runs on.
        limits: the bounds of requests, which all sites of a hub share.
        first: a resource that goes before the application's, and answers in each state of the site; None is none.
        access_level: the level of the lines of the access log.

    Attributes:
        listener: the listener of the port.
        is_open: whether requests are served; while this is False, every request gets 503.
        is_lame: whether each answer closes its connection, so that the next request may go to another server.
    """

    noisy = False
    displayTracebacks = False
    requestFactory = BoundedRequest
    _access_log = Logger()

    def __init__(
        self,
        resource: IResource,
        *,
        listener: Listener,
        timeout_seconds: float,
        clock: IReactorTime,
        limits: RequestLimits,
        first: FirstResource | None = None,
        access_level: Any = LogLevel.info,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Twisted
            resource, timeout=timeout_seconds, reactor=clock, parsePOSTFormSubmission=False
        )
        self.listener = listener
        self._limits = limits
        self._first = first
        self._access_level = access_level
        self.is_open = False
        self.is_lame = False
        # Twisted's default would choose between HTTP/1.1 and HTTP/2 for each connection.
        self.protocol = SignalChannel  # type: ignore[assignment, method-assign]

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The protocol of one connection."""
        channel: Any = super().buildProtocol(addr)  # type: ignore[no-untyped-call]  # Twisted
        channel.limits = self._limits
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        """The protocols that the TLS handshake offers.

        HTTP/2 is none of them: many requests share an HTTP/2 connection, so no request could take the connection over.
        """
        return [b"http/1.1"]

    def getResourceFor(self, request: Request) -> Any:
        """The resource that renders a request; a refusal, while the site is closed or where the request is bad."""
        request.setHeader(b"Server", _SERVER)
        request.setHeader(b"X-Request-Id", request.request_id.encode("ascii"))
        # What becomes a connection has a head of its own, without this line, and no end of HTTP.
        if self.is_lame or not self.is_open:
            request.setHeader(b"Connection", b"close")
            request.channel.persistent = False
        if self._first is not None and request.refusal is None and self._first.has(request.uri.partition(b"?")[0]):
            return self._first
        if not self.is_open:
            return _Refusing(_CLOSED, keep_alive=False)
        if request.refusal is not None:
            return _Refusing(request.refusal, keep_alive=False)
        return super().getResourceFor(request)  # type: ignore[no-untyped-call]  # Twisted

    def startFactory(self) -> None:
        """Do not start Twisted's timer for the time stamps of its own access log, which is never written."""

    def stopFactory(self) -> None:
        """Nothing was started, so nothing has to be stopped."""

    def log(self, request: Request) -> None:
        """Count a request that was answered, and write one line for it, without its query, which may hold a token."""
        self._limits.counters.requests_answered[f"{request.code // 100}xx"] += 1
        self._access_log.emit(
            self._access_level,
            '{address} "{method} {path}" {status} {size_bytes}',
            event="request.served",
            request=request.request_id,
            address=getattr(request.getClientAddress(), "host", "-"),
            method=printable_bytes(request.method),
            path=printable_bytes(request.uri.partition(b"?")[0]),
            status=request.code,
            size_bytes=request.sentLength,
        )


class _Refusing(Resource):
    """Answers every request with a refusal."""

    isLeaf = True

    def __init__(self, refused: UpgradeRefused, *, keep_alive: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted
        self._refused = refused
        self._keep_alive = keep_alive

    def render(self, request: Request) -> bytes:
        """Answer with the refusal, and close the connection where it is not to be kept."""
        if not self._keep_alive:
            request.setHeader(b"Connection", b"close")
            request.channel.persistent = False
        return self._refused.render(request)


_CLOSED = UpgradeRefused(503, "The server is starting or stopping.", [("Retry-After", str(_RETRY_AFTER_SECONDS))])
