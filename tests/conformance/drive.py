"""Runs cases of Autobahn's test suite against a server and prints their verdicts as JSON. It judges nothing itself.

``python drive.py URL AT_ONCE CASE…``, where a case is an id or a pattern such as ``6.*``. It is a program and no
module: kosoku puts an ``autobahn`` of its own before the real one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import kosoku


async def drive(url: str, at_once: int, cases: list[str]) -> list[kosoku._kosoku.CaseResult]:
    """The results of all cases that were run."""
    try:
        return await kosoku.run_fuzzingclient(url, cases, concurrency=at_once)
    except kosoku.FailureError as failure:
        return failure.results  # of all cases, those that passed included


def main(url: str, at_once: str, *cases: str) -> None:
    """Print ``{case: [verdict, verdict of the close, why]}``."""
    results = asyncio.run(drive(url, int(at_once), list(cases)))
    verdicts = {
        each.case_id: (each.behavior.value, each.behavior_close.value, f"{each.result} {each.result_close}")
        for each in results
    }
    json.dump(verdicts, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # kosoku's threads may be at work still: on a busy machine the interpreter's end under them crashes


if __name__ == "__main__":
    main(*sys.argv[1:])
