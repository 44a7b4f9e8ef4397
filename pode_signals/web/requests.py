"""What this package knows of a ``twisted.web`` request: its head, read once, and its state while it is handled.

It decides nothing about a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import UNIXAddress
from zope.interface import Interface, implementer

from ..core.addresses import UNIX_PEER, TrustedProxies, plain_address
from ..core.request_head import RequestHead
from ..hub.context import RouteSlot

if TYPE_CHECKING:
    from ..core.endpoints import Endpoint
    from ..hub.link import Link

# A twisted.web.server.Request: most of what is used of it has no annotations.
Request = Any

__all__ = [
    "RequestState",
    "check_is_request",
    "is_request",
    "read_request",
    "request_state",
]


def read_request(request: Request, proxies: TrustedProxies, state: RequestState | None = None) -> RequestHead:
    """Read a ``twisted.web.server.Request``: the one place where its headers and addresses are looked at.

    ``signals.resource(…)`` reads a request before its routes, and ``convert`` reads it again: resources between the two
    may have changed the request, as ``twisted.web.vhost.VHostMonsterResource`` changes the Host. Nearly always nothing
    was changed, and then the second reading gives the head of the first.

    Args:
        request: the request.
        proxies: the proxies whose X-Forwarded-* headers count.
        state: keeps the head for the next reading; None keeps nothing.
    """
    came = (
        request.method,
        request.uri,
        request.clientproto,
        {name.lower(): tuple(lines) for name, lines in request.requestHeaders.getAllRawHeaders()},
        _peer(request),
        request.isSecure(),
        request.getHost(),
        proxies,
    )
    if state is not None and state.read is not None and state.read[0] == came:
        return state.read[1]
    method, target, version, headers, peer, is_secure, own_address, _ = came
    head = RequestHead.read(
        method,
        target,
        version,
        headers,
        peer=peer,
        proxies=proxies,
        is_secure=is_secure,
        has_own_address=not isinstance(own_address, UNIXAddress),
        request_id=request_id_of(request),
    )
    if state is not None:
        state.read = came, head
    return head


def request_id_of(request: Request) -> str | None:
    """The id of a request; None where the request came by a foreign server."""
    found: str | None = getattr(request, "request_id", None)
    return found


def is_request(value: object) -> bool:
    """Whether a value can be a ``twisted.web`` request, or the stand-in for a request in a test."""
    return hasattr(value, "requestHeaders")


def check_is_request(call: str, value: object) -> None:
    """Check that a value is a request.

    Args:
        call: the name of the method that takes a request, for the error.
        value: the value.

    Raises:
        TypeError: the value is no request.
    """
    if not is_request(value):
        raise TypeError(f"{call} takes a twisted.web request, not {type(value).__name__}")


class IRequestState(Interface):
    """The component of a request that holds its :class:`RequestState`."""


@implementer(IRequestState)
class RequestState:
    """The state of one request while it is handled.

    Attributes:
        read: what the head of the request was read from, and the head; None where it was not read yet.
        link: the connection that the request has become; None where it has not.
        endpoint: the endpoint that the request came in by; None where the hub is embedded in a foreign server.
        reference: the connection that the request's X-PODE-SIGNAL-* headers refer to; None where there is none.
        unrouted_path: the path of a request that becomes a connection before any route is asked; None where a route
            converts.
        slot: holds the connection that sends within the route take for the current one; None outside of
            ``signals.resource(…)``.
    """

    __slots__ = ("endpoint", "link", "read", "reference", "slot", "unrouted_path")

    def __init__(self) -> None:
        self.read: tuple[tuple[Any, ...], RequestHead] | None = None
        self.link: Link | None = None
        self.endpoint: Endpoint | None = None
        self.reference: Link | None = None
        self.unrouted_path: str | None = None
        self.slot: RouteSlot | None = None


def request_state(request: Request) -> RequestState:
    """The state of a ``twisted.web.server.Request``; made where there is none yet."""
    state = request.getComponent(IRequestState)
    if state is None:
        state = RequestState()
        request.setComponent(IRequestState, state)
    return cast(RequestState, state)


def _peer(request: Request) -> str:
    """The other end of a request's socket: an address, ``UNIX_PEER``, or ``""`` where it is neither."""
    address = request.getClientAddress()
    if isinstance(address, UNIXAddress):
        return UNIX_PEER
    return plain_address(getattr(address, "host", None) or "")
