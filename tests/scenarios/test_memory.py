"""The scenarios, with clients in memory, over WebSockets and over server-sent events."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenarios.driver_memory import run_in_memory
from scenarios.lines import read_scenario, scenario_paths

_NOT_IN_MEMORY = (
    # The timers of a client are what this one is about, and a client in memory has none.
    "14_sleep",
    # No network is there that could block an upgrade, and the client has one way alone.
    "18_blocked_upgrade",
)
_PATHS = [path for path in scenario_paths() if path.stem not in _NOT_IN_MEMORY]
# Bytes that no stream can bring, and codes with which no client of a stream can end.
_OF_STREAMS = [path for path in _PATHS if path.stem != "13_close_codes"]


@pytest.mark.parametrize("path", _PATHS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """P2: what goes over the wire is what the scenario says, line by line."""
    run_in_memory(read_scenario(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", _OF_STREAMS, ids=lambda path: path.stem)
def test_scenario_over_events(path: Path) -> None:
    """P90: over server-sent events what goes over the wire is the same, line by line."""
    run_in_memory(read_scenario(path.read_text(encoding="utf-8")), "sse")
