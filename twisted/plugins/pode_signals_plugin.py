"""Tells twistd and twist of the command ``pode-signals``. It names a module and imports none."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

pode_signals = ServiceMaker(
    "pode-signals",
    "pode_signals.command.tap",
    "WebSocket connections with names, groups and client ids, beside HTTP (pode_signals)",
    "pode-signals",
)
