"""What attacks come to, at length: ``python tests/attack/report.py FILE`` writes a table in Markdown. About 45 minutes.

``python tests/attack/report.py FILE FLOODS READERS CYCLES`` takes so many seconds for each flood, for slow readers, and
so many connections to come and go. The exit status is 1 where something is not as it should be.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from attack import clock_back, draining, floods, frame_floods, leaks, request_floods, slow, vanished
from attack.target import Outcome, target
from faked_clock import LIBRARY

CLIENTS = 100
VANISHING = 200
MESSAGES_PER_SECOND = 100
WARM_UP = 5_000
CROWD = 400


@dataclass(frozen=True)
class Step:
    """One attack on a server of its own.

    Attributes:
        server: makes the server, given a folder for its log.
        attack: what is done to it.
    """

    server: Callable[[Path], AbstractContextManager[Any]]
    attack: Callable[[Any], Coroutine[Any, Any, Outcome]]


def steps(flood_seconds: float, reader_seconds: float, cycles: int) -> Iterator[Step]:
    """All attacks."""
    for kind in (*frame_floods.floods(), *request_floods.floods()):
        for flood in kind.alone():
            yield Step(
                lambda folder, flood=flood: target(folder, *flood.options, **flood.how),
                partial(floods.run, flood=flood, seconds=flood_seconds),
            )
    for tls in (False, True):
        yield Step(
            partial(target, tls=tls),
            partial(slow.never_read, bad=CLIENTS, good=CLIENTS, seconds=reader_seconds, per_second=MESSAGES_PER_SECOND),
        )
    for tls in (False, True):
        yield Step(lambda folder, tls=tls: target(folder, draining.LONG_QUEUE, tls=tls), draining.stalled)
    yield Step(lambda folder: target(folder, *vanished.OPTIONS), partial(vanished.stopped, count=VANISHING))
    if vanished.may_have_cable():
        yield Step(
            lambda folder: vanished.target_with_cable(folder, *vanished.OPTIONS),
            partial(vanished.cut_off, count=VANISHING),
        )
    if LIBRARY is not None:
        yield Step(clock_back.target_with_clock, lambda given: clock_back.stepped_back(*given))
    yield Step(target, partial(leaks.cycles, count=cycles, warm_up=WARM_UP, most_growth_bytes=leaks.MOST_GROWTH_BYTES))
    yield Step(partial(target, app="starved"), partial(leaks.no_descriptors, crowd=CROWD))


def run(step: Step) -> Outcome:
    """Take one step."""
    with tempfile.TemporaryDirectory() as folder, step.server(Path(folder)) as server:
        return asyncio.run(step.attack(server))


def rows(outcome: Outcome) -> Iterator[str]:
    """The rows of an attack, one for each figure."""
    for number, (what, value) in enumerate(outcome.figures.items()):
        yield f"| {'' if number else outcome.attack} | {what} | {value} |"
    yield f"| | **held** | {'; '.join(outcome.complaints) or 'yes'} |"


def main(path: str, flood_seconds: str = "30", reader_seconds: str = "60", cycles: str = "100000") -> int:
    """Take all steps, and write the table after each."""
    lines = [
        "# What attacks come to",
        "",
        f"Python {platform.python_version()}, {os.cpu_count()} processors, attackers and server on this machine.",
        f"Aims under floods: p99 of an echo {floods.AIMED_ECHO_MS} ms, handshakes {floods.AIMED_HANDSHAKE_MS} ms;",
        f"no echo over {floods.MOST_ECHO_MS} ms where what is sent is dear rather than much.",
        "",
        "| attack | figure | |",
        "|---|---|---|",
    ]
    failed = False
    for step in steps(float(flood_seconds), float(reader_seconds), int(cycles)):
        outcome = run(step)
        failed = failed or bool(outcome.complaints)
        lines += rows(outcome)
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
        sys.stderr.write("\n".join(rows(outcome)) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
