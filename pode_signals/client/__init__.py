"""A client of ``pode.signals.v1`` for Python: the names that users import. It decides nothing."""

from __future__ import annotations

from .client import SignalClient
from .events import ClientEvent, Closed, Lost, Opened, PresenceChanged, SignalReceived

__all__ = ["ClientEvent", "Closed", "Lost", "Opened", "PresenceChanged", "SignalClient", "SignalReceived"]
