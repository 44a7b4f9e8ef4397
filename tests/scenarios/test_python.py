"""The scenarios, with clients of ``pode_signals.client``, and that a wrong line fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenarios.driver_python import run_in_python
from scenarios.lines import read_scenario, scenario_paths
from scenarios.matching import Mismatch

# This client speaks WebSocket only, so that it has no other way where an upgrade is blocked.
_PATHS = [path for path in scenario_paths() if path.stem != "18_blocked_upgrade"]

_OPEN = 'c1 connect /room\nc1 <- {"type":"hello","clientId":$id,…}\nc1: open recovered=false\n'
_SIGNAL = _OPEN + 'server send "x" name=Room\nc1 <- {"type":"signal","data":"x"}\n'
_ASK = _OPEN + 'c1 request "x"\nc1 -> {"type":"send","id":$i,"message":"x"}\n'
_REQUEST = _ASK + 'c1 <- {"type":"reply","id":$i,"data":"x"}\n'


@pytest.mark.parametrize("path", _PATHS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """P2: what goes over the wire, and what the application sees, is what the scenario says, line by line."""
    run_in_python(read_scenario(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (_OPEN.replace("false", "true"), "line 3: False is not True"),
        (_OPEN + "c1: lost", "line 4: the application has seen nothing more"),
        (_OPEN + "c1: waiting", "line 4: the client is not waiting"),
        (_SIGNAL, "no line says what the application of c1 has seen: "),
        (_SIGNAL + 'c1: signal "y"', "line 6: 'x' is not 'y'"),
        (_SIGNAL + 'c1: signal "x" replayed', "line 6: "),
        (_REQUEST + 'c1: reply "y"', "line 7: 'x' is not 'y'"),
        (_REQUEST + 'c1: error failed "x"', "line 7: "),
        (_OPEN + 'c1 -> {"type":"beat"}', "line 4: nothing is there to be taken"),
        (_OPEN + "c1 cut\nc1 reconnect with - - abc", "line 5: the client offers "),
    ],
)
def test_lines_that_are_not_true(lines: str, sentence: str) -> None:
    """P2: a scenario fails at the line that says other than the client does, and at its end for what no line says."""
    with pytest.raises(Mismatch, match=f"^{sentence}"):
        run_in_python(read_scenario(lines))
