"""What "current" means: the signal event whose function runs, and the route that converted its request.

Context variables, never globals: each function of the user runs in a context of its own.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import SignalConnection
    from .signal_event import SignalEvent

__all__ = ["RouteSlot", "current_event", "current_route"]


class RouteSlot:
    """A place that a running route's conversion is put into; empty before the conversion and after the route's end.

    Attributes:
        connection: what the route converted, or None.
    """

    __slots__ = ("connection",)

    def __init__(self) -> None:
        self.connection: SignalConnection | None = None


current_event: ContextVar[SignalEvent | None] = ContextVar("pode_signals_current_event", default=None)
"""The event whose function runs."""

current_route: ContextVar[RouteSlot | None] = ContextVar("pode_signals_current_route", default=None)
"""The slot of the route that runs under ``signals.resource(…)``."""
