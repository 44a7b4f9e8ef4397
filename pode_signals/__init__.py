"""Named, grouped, addressable WebSocket connections for Twisted: the Signals of Pode. Public names only, no logic."""

from __future__ import annotations

from .connection import SignalConnection
from .core.cron_builder import cron
from .core.model import EVERY_NAME, BroadcastLevel, EventType, Scope, SendMode, Unrouted
from .delivery import Delivery
from .events import TriggeredEvent
from .service import SignalsService
from .signal_event import SignalEvent
from .signals import Signals
from .web.endpoints import Endpoint

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
