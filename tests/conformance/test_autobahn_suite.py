"""Autobahn's own WebSocket test suite, run by kosoku against our protocol behind ``signals.convert``.

A server in one process echoes, kosoku in another drives the cases. What it counted is compared exactly, so a run of
nothing is a failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from programs import running

HERE = Path(__file__).parent
ATTEMPTS = 3
WHOLE_SUITE = os.environ.get("PODE_SIGNALS_CONFORMANCE") == "all"

# All but 9 (speed, with messages up to 16 MiB) and 12 and 13 (compression).
QUICK_GROUPS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
QUICK_CASES = 247
UTF8_CASES = 145
ALL_CASES = 517

# RFC 6455 leaves open what is right here, and the suite says so whatever a server does: a close frame behind a large
# message, and the close codes 5000 and 65535.
WITHOUT_VERDICT = {"7.1.6", "7.13.1", "7.13.2"}


class Verdict(NamedTuple):
    """What the suite says about one case."""

    behavior: str
    close: str
    why: str


def judge(server: str, tmp_path: Path, *cases: str, at_once: int, seconds: float) -> dict[str, Verdict]:
    """Run cases.

    Args:
        server: a function of ``echo``, which makes the service.
        tmp_path: where the server's log goes.
        cases: ids or patterns.
        at_once: how many cases run at the same time.
        seconds: how long it may take.
    """
    with running(f"echo:{server}", tmp_path, protocols=("ws",), cwd=HERE) as program:
        command = [sys.executable, str(HERE / "drive.py"), f"ws://127.0.0.1:{program.port}/", str(at_once), *cases]
        for _ in range(ATTEMPTS):
            done = subprocess.run(
                command, check=False, timeout=seconds, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            )
            if done.returncode >= 0:  # else a signal ended the driver, which says nothing about the server
                break
    done.check_returncode()
    return {case: Verdict(*verdict) for case, verdict in json.loads(done.stdout).items()}


def check(verdicts: Mapping[str, Verdict], count: int) -> None:
    """So many cases were run, and each is strictly OK, the close included, unless the suite has no verdict on it."""
    wanted = dict.fromkeys(verdicts, ("OK", "OK")) | dict.fromkeys(WITHOUT_VERDICT, ("INFORMATIONAL", "INFORMATIONAL"))
    assert {case: verdict for case, verdict in verdicts.items() if verdict[:2] != wanted[case]} == {}
    assert Counter(verdict.behavior for verdict in verdicts.values()) == {
        "OK": count - len(WITHOUT_VERDICT),
        "INFORMATIONAL": len(WITHOUT_VERDICT),
    }


@pytest.mark.parametrize("server", ["shipped", "shipped_plain"])
def test_as_shipped(server: str, tmp_path: Path) -> None:
    """S16.8: by both protocols, with every limit as it is shipped, groups 1 to 7 and 10 of the suite (frames, pings,
    reserved bits, opcodes, fragments, UTF-8, closing) find nothing.
    """
    check(judge(server, tmp_path, *QUICK_GROUPS, at_once=8, seconds=120), QUICK_CASES)


def test_the_suite_finds_what_is_wrong(tmp_path: Path) -> None:
    """S6.1: without the check for UTF-8 the suite fails at least 70 of its cases about it, so it does look."""
    verdicts = judge("unchecked", tmp_path, "6.*", at_once=32, seconds=120)
    assert len(verdicts) == UTF8_CASES
    assert Counter(verdict.behavior for verdict in verdicts.values())["FAILED"] >= 70


@pytest.mark.skipif(not WHOLE_SUITE, reason="takes twenty minutes: tox -e conformance, or PODE_SIGNALS_CONFORMANCE=all")
@pytest.mark.parametrize("server", ["everything", "everything_plain"])
def test_the_whole_suite(server: str, tmp_path: Path) -> None:
    """S16.8: all cases of the suite find nothing, with messages up to 16 MiB and with compression."""
    check(judge(server, tmp_path, "*", at_once=2, seconds=3600), ALL_CASES)
