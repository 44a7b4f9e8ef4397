"""Tells twistd and twist of the command ``pode-signals`` and of a reactor. It names modules and imports none."""

from __future__ import annotations

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

pode_signals = ServiceMaker(
    "pode-signals",
    "pode_signals.tap",
    "WebSocket connections with names, groups and client ids, beside HTTP (pode_signals)",
    "pode-signals",
)

lean = Reactor("lean", "pode_signals.lean_reactor", "epoll(4) based reactor without a log context for each read.")
