"""The scenarios, with clients for browsers in Chromium, by WebSocket and by server-sent events; a wrong line fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import SharedBrowser, sharing
from scenarios.driver_browser import Server, run_in_browser, serving
from scenarios.lines import scenario_paths
from scenarios.matching import Mismatch

_NOT_OF_STREAMS = (
    # Bytes that no stream can bring, and codes with which no client of a stream can end.
    "13_close_codes",
    # A client that is told to use streams tries no upgrade.
    "18_blocked_upgrade",
)

_OPEN = 'c1 connect /room\nc1 <- {"type":"hello","clientId":$id,…}\nc1: open recovered=false\n'
_SIGNAL = _OPEN + 'server send "x" name=Room\nc1 <- {"type":"signal","data":"x"}\n'
_ASK = _OPEN + 'c1 request "x"\nc1 -> {"type":"send","id":$i,"message":"x"}\n'
_REQUEST = _ASK + 'c1 <- {"type":"reply","id":$i,"data":"x"}\n'


@pytest.fixture(scope="module")
def shared_browser(chromium: str) -> Iterator[SharedBrowser]:
    with sharing(chromium) as shared:
        yield shared


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as process:
        yield process


@pytest.mark.parametrize("path", scenario_paths(), ids=lambda path: path.stem)
def test_scenario(path: Path, shared_browser: SharedBrowser, server: Server) -> None:
    """P2: what goes over the wire, and what the application sees, is what the scenario says, line by line.

    P92: so also where upgrades are stripped or swallowed.
    """
    shared_browser.run(run_in_browser, server, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path", [path for path in scenario_paths() if path.stem not in _NOT_OF_STREAMS], ids=lambda path: path.stem
)
def test_scenario_over_events(path: Path, shared_browser: SharedBrowser, server: Server) -> None:
    """P90: over server-sent events it is the same, line by line."""
    shared_browser.run(run_in_browser, server, path.read_text(encoding="utf-8"), "sse")


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (_OPEN.replace("false", "true"), "line 3: False is not True"),
        (_OPEN + "c1: lost", "line 4: the application has seen nothing more"),
        (_OPEN + "c1: waiting", "line 4: the client is not waiting"),
        (_SIGNAL, "no line says what the application of c1 has seen: "),
        (_SIGNAL + 'c1: signal "y"', "line 6: 'x' is not 'y'"),
        (_SIGNAL + 'c1: signal "x" replayed', "line 6: "),
        (_OPEN + 'server send "x" name=Room\nc1 <- nothing', "line 5: something has come: "),
        (_OPEN + 'server send "x" name=Room\nc1: signal "x"', "no line takes what went over the wire of c1: "),
        (_REQUEST + 'c1: reply "y"', "line 7: 'x' is not 'y'"),
        (_REQUEST + 'c1: error failed "x"', "line 7: "),
        (_OPEN + 'c1 -> {"type":"beat"}', "line 4: nothing is there to be taken"),
        (_OPEN + "c1 cut\nc1 reconnect with - - abc", "line 5: the client offers "),
        ('c1 connect /room\nc1 <- 101 {"X-Name":"Room",…}', r"line 2: \['x-name'\] is not in"),
        ("c1 connect /nowhere\nc1 <- 403", "line 2: the status is 404"),
        (_OPEN + "server connected", "line 4: connected are "),
    ],
)
def test_lines_that_are_not_true(lines: str, sentence: str, shared_browser: SharedBrowser, server: Server) -> None:
    """P2: a scenario fails at the line that says other than the client does, and at its end for what no line says."""
    with pytest.raises(Mismatch, match=f"^{sentence}"):
        shared_browser.run(run_in_browser, server, lines)
