"""What "current" means: the signal event whose function runs, and the route that converted its request.

Context variables, never globals: each function of the user runs in a context of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context

from .link import Link
from .signal_event import SignalEvent

__all__ = ["RouteSlot", "current_event", "current_route", "fresh_contexts"]


class RouteSlot:
    """A place that a running route's conversion is put into; empty before the conversion and after the route's end.

    Args:
        request_id: the id of the request; None where there is none.

    Attributes:
        link: what the route converted, or None.
        request_id: as above.
    """

    __slots__ = ("link", "request_id")

    def __init__(self, request_id: str | None = None) -> None:
        self.link: Link | None = None
        self.request_id = request_id


current_event: ContextVar[SignalEvent | None] = ContextVar("pode_signals_current_event", default=None)
"""The event whose function runs."""

current_route: ContextVar[RouteSlot | None] = ContextVar("pode_signals_current_route", default=None)
"""The slot of the route that runs under ``signals.resource(…)``."""


def fresh_contexts() -> Callable[[], Context]:
    """What gives copies of the present context, without the event and the route that are current in it."""
    context = copy_context()
    context.run(current_event.set, None)
    context.run(current_route.set, None)
    return context.copy
