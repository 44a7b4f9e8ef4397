"""The public names, pinned: one that comes or goes is a decision, and a line in the changelog."""

from __future__ import annotations

import pode_signals

NAMES = [
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


def test_public_names() -> None:
    """S0.1: these names are public at the top of the package, and no others."""
    assert sorted(pode_signals.__all__) == sorted(NAMES)


def test_public_names_exist() -> None:
    """S0.1: each public name can be imported."""
    assert [name for name in pode_signals.__all__ if not hasattr(pode_signals, name)] == []
