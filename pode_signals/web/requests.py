"""What this package knows of a request that is being handled, kept with the request itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from zope.interface import Interface, implementer

from ..hub.context import RouteSlot

if TYPE_CHECKING:
    from ..core.endpoints import Endpoint
    from ..hub.link import Link

__all__ = ["RequestState", "request_state"]


class IRequestState(Interface):
    """The component of a request that holds its :class:`RequestState`."""


@implementer(IRequestState)
class RequestState:
    """One request's.

    Attributes:
        link: what it was converted to.
        endpoint: the endpoint it came in by; None where the hub is embedded in a foreign server.
        reference: the connection that its X-PODE-SIGNAL-* headers refer to.
        unrouted_path: its path where it becomes a connection before any route is asked; None where a route converts.
        slot: the place for a conversion that sends within the route look at; None outside of ``signals.resource(…)``.
    """

    __slots__ = ("endpoint", "link", "reference", "slot", "unrouted_path")

    def __init__(self) -> None:
        self.link: Link | None = None
        self.endpoint: Endpoint | None = None
        self.reference: Link | None = None
        self.unrouted_path: str | None = None
        self.slot: RouteSlot | None = None


def request_state(request: Any) -> RequestState:
    """The state of a ``twisted.web.server.Request``; made where there is none yet."""
    state = request.getComponent(IRequestState)
    if state is None:
        state = RequestState()
        request.setComponent(IRequestState, state)
    return cast(RequestState, state)
