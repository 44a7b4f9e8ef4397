"""Fuzzes every target, or some, and prints a report: ``python tests/fuzz/run.py --executions 1000000 --seed 1``.

An input for which something escapes or does not hold, or that takes over a second, is a finding: the status is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))  # what test files share is imported by its path under tests/

from fuzz.mutator import Mutator
from fuzz.target import Target
from fuzz.targets import TARGETS

MAX_SECONDS = 1.0
MAX_FINDINGS = 10


class Finding(NamedTuple):
    """An input that should not do what it did."""

    number: int
    data: bytes
    at: int
    what: str


class Report(NamedTuple):
    """What came of fuzzing one target."""

    name: str
    executions: int
    seconds: float
    slowest_seconds: float
    outcomes: Counter[str]
    findings: list[Finding]


def fuzz(target_class: type[Target], executions: int, seed: int, *, seconds: float = float("inf")) -> Report:
    """Run a target so many times, or until the time is over.

    Args:
        target_class: the target.
        executions: how many times.
        seed: where chance begins; the same one gives the same inputs.
        seconds: after so long it ends, whatever is left.
    """
    target = target_class()
    random = Random(f"{target.name} {seed}")
    mutator = Mutator(random, target.seeds, target.tokens)
    outcomes: Counter[str] = Counter()
    findings: list[Finding] = []
    slowest, number = 0.0, 0
    began = time.perf_counter()
    while number < executions and time.perf_counter() - began < seconds and len(findings) < MAX_FINDINGS:
        data = mutator.next()
        at = int(random.random() * (len(data) + 1))
        # The processor's time: what a machine that stands still takes is not the input's doing.
        before = time.thread_time()
        try:
            outcomes[target.run(data, at)] += 1
        except Exception:  # noqa: BLE001  # whatever it is, it is the finding
            findings.append(Finding(number, data, at, traceback.format_exc()))
            target = target_class()  # the old one may be in any state
        took = time.thread_time() - before
        if took > MAX_SECONDS:
            findings.append(Finding(number, data, at, f"took {took:.1f} s"))
        slowest = max(slowest, took)
        number += 1
    return Report(target.name, number, time.perf_counter() - began, slowest, outcomes, findings)


def show(report: Report) -> None:
    """Write a report."""
    each = report.seconds / max(1, report.executions)
    lines = [
        f"{report.name}: {report.executions:,} executions in {report.seconds:.0f} s, {each * 1e6:.0f} µs each,",
        f"  the slowest {report.slowest_seconds * 1e3:.1f} ms, {len(report.findings)} findings",
        *(f"  {count:>9,}  {outcome}" for outcome, count in report.outcomes.most_common()),
        *(f"  finding {number}, cut at {at}: {data!r}\n{what}" for number, data, at, what in report.findings),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz as the command line says."""
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=1_000_000, help="of each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="where chance begins (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each target at most (default: no end)")
    parser.add_argument("--target", choices=names, action="append", help="only this one; repeatable")
    chosen = parser.parse_args(arguments)
    findings = 0
    for target in TARGETS:
        if chosen.target is None or target.name in chosen.target:
            report = fuzz(target, chosen.executions, chosen.seed, seconds=chosen.seconds)
            show(report)
            findings += len(report.findings)
    return min(1, findings)


if __name__ == "__main__":
    sys.exit(main())
