"""The scenarios, with clients in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenarios.driver_memory import run_in_memory
from scenarios.lines import read_scenario, scenario_paths

# The timers of a client are what these are about, and a client in memory has none.
_OF_TIMERS = {"14_sleep"}


@pytest.mark.parametrize(
    "path", [each for each in scenario_paths() if each.stem not in _OF_TIMERS], ids=lambda path: path.stem
)
def test_scenario(path: Path) -> None:
    """P2: what goes over the wire is what the scenario says, line by line."""
    run_in_memory(read_scenario(path.read_text(encoding="utf-8")))
