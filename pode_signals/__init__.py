"""Named, grouped, addressable WebSocket connections for Twisted: the Signals of Pode. Public names only, no logic."""

from __future__ import annotations

from .core.endpoints import Endpoint
from .core.model import EVERY_NAME, BroadcastLevel, EventType, Scope, SendMode, Unrouted
from .hub.connection import SignalConnection
from .hub.delivery import Delivery
from .hub.events import TriggeredEvent
from .hub.signal_event import SignalEvent
from .scheduling.cron_builder import cron
from .service import SignalsService
from .signals import Signals

__all__ = [
    "EVERY_NAME",
    "BroadcastLevel",
    "Delivery",
    "Endpoint",
    "EventType",
    "Scope",
    "SendMode",
    "SignalConnection",
    "SignalEvent",
    "Signals",
    "SignalsService",
    "TriggeredEvent",
    "Unrouted",
    "cron",
]
