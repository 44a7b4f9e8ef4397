"""The scenarios, with clients in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenarios.driver_memory import run_in_memory
from scenarios.lines import read_scenario, scenario_paths


@pytest.mark.parametrize("path", scenario_paths(), ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """P2: what goes over the wire is what the scenario says, line by line."""
    run_in_memory(read_scenario(path.read_text(encoding="utf-8")))
