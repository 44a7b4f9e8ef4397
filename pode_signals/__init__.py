"""Named, grouped, addressable WebSocket connections for Twisted: the Signals of Pode. Public names only, no logic."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backplane.contract import Member
    from .backplane.redis.backplane import RedisBackplane
    from .core.endpoints import Endpoint
    from .core.model import EVERY_NAME, BroadcastLevel, DuplicateClientId, EventType, Scope, SendMode, Unrouted
    from .core.outbox import SlowClient
    from .hub.connection import SignalConnection
    from .hub.delivery import Delivery
    from .hub.events import DisconnectEvent, TriggeredEvent
    from .hub.observing import Observer
    from .hub.signal_event import SignalEvent
    from .insight.insight import Insight
    from .operations.operations import Operations
    from .scheduling.cron_builder import cron
    from .service import SignalsService
    from .signals import Signals
    from .wire.frames import CloseCode

__all__ = [
    "EVERY_NAME",
    "BroadcastLevel",
    "CloseCode",
    "Delivery",
    "DisconnectEvent",
    "DuplicateClientId",
    "Endpoint",
    "EventType",
    "Insight",
    "Member",
    "Observer",
    "Operations",
    "RedisBackplane",
    "Scope",
    "SendMode",
    "SignalConnection",
    "SignalEvent",
    "Signals",
    "SignalsService",
    "SlowClient",
    "TriggeredEvent",
    "Unrouted",
    "cron",
]

# Where each public name is (PEP 562): a program imports what its names need, and Scope needs no web server.
_MODULES = {
    "EVERY_NAME": "core.model",
    "BroadcastLevel": "core.model",
    "CloseCode": "wire.frames",
    "Delivery": "hub.delivery",
    "DisconnectEvent": "hub.events",
    "DuplicateClientId": "core.model",
    "Endpoint": "core.endpoints",
    "EventType": "core.model",
    "Insight": "insight.insight",
    "Member": "backplane.contract",
    "Observer": "hub.observing",
    "Operations": "operations.operations",
    "RedisBackplane": "backplane.redis.backplane",
    "Scope": "core.model",
    "SendMode": "core.model",
    "SignalConnection": "hub.connection",
    "SignalEvent": "hub.signal_event",
    "Signals": "signals",
    "SignalsService": "service",
    "SlowClient": "core.outbox",
    "TriggeredEvent": "hub.events",
    "Unrouted": "core.model",
    "cron": "scheduling.cron_builder",
}

# Type checkers would let pass any name of a module that has this function.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name == "errors":
            return import_module(".errors", __name__)
        if name not in _MODULES:
            # No ImportError, though it would tell more in an import: hasattr has to give False.
            is_error = name in import_module(".errors", __name__).__all__
            where = f"; {name} is in {__name__}.errors" if is_error else ""
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{where}")
        found = globals()[name] = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "errors"})
