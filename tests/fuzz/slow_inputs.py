"""Searches for inputs whose cost grows faster than their size: ``python tests/fuzz/slow_inputs.py``.

Each execution takes an input in three sizes, n, 2n and 4n, all of which the defaults allow. It is a finding where, best
of 20, the second step adds more than 2.6 times as much as the first, at the largest sizes and at smaller ones; then the
status is 1.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))  # what test files share is imported by its path under tests/

from fuzz.growth import GLANCE_GROWTH, Growth, Meter, SlowTarget
from fuzz.recipes import Cook, Recipe
from fuzz.slow_targets import SLOW_TARGETS
from twisted.logger import globalLogBeginner, textFileLogObserver

MAX_FINDINGS = 20
ELITE = 40  # recipes that are varied on
COLLECT_EVERY = 200
LONG_EVERY = 10
SMALLEST_SECONDS = 20


class Slow(NamedTuple):
    """A finding."""

    number: int
    recipe: Recipe
    growth: Growth


class Report(NamedTuple):
    """What came of searching one target."""

    name: str
    executions: int
    seconds: float
    findings: list[Slow]
    slowest: tuple[float, Recipe | None]


class _Elite:
    """The recipes that cost most for their size, or whose cost grows most: others like them may do so even more."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._kept: list[tuple[float, int, Recipe]] = []
        self._numbers = count()

    def add(self, worth: float, recipe: Recipe) -> None:
        entry = (worth, next(self._numbers), recipe)
        if len(self._kept) < ELITE:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    def any(self) -> Recipe | None:
        return self._random.choice(self._kept)[2] if self._kept else None

    def drop(self, unwanted: Callable[[Recipe], bool]) -> None:
        self._kept = [each for each in self._kept if not unwanted(each[2])]
        heapq.heapify(self._kept)


def search(target_class: type[SlowTarget], executions: int, seed: int, *, seconds: float = float("inf")) -> Report:
    """Look at so many inputs of a target, or until the time is over.

    Args:
        target_class: the target.
        executions: how many.
        seed: where chance begins.
        seconds: after so long it ends, whatever is left.
    """
    target = target_class()
    random = Random(f"{target.name} {seed}")
    meter, cook = Meter(target), Cook(random, target.contexts)
    dear, steep, known = _Elite(random), _Elite(random), iter(target.known)
    findings: list[Slow] = []
    slowest: tuple[float, Recipe | None] = (0.0, None)
    began, number = time.perf_counter(), 0
    while number < executions and time.perf_counter() - began < seconds and len(findings) < MAX_FINDINGS:
        number += 1
        if number % COLLECT_EVERY == 0:
            gc.collect()
        told = next(known, None)
        parent = random.choice((dear, steep)).any() if random.random() < 0.5 else None
        recipe = told or (cook.new() if parent is None else cook.like(parent))
        if any(_is_like(recipe, each.recipe) for each in findings):
            continue
        seen = meter.glance(recipe, long=told is not None or number % LONG_EVERY == 0)
        if seen is None:
            continue
        sure = meter.is_slow(recipe, seen)
        if sure is None:
            if not recipe.piece_bytes:  # else what it takes to read the pieces is most
                slowest = max(slowest, (seen.seconds[2], recipe), key=lambda each: each[0])
                dear.add(seen.seconds[2] / seen.size_bytes, recipe)
            steep.add(min(seen.factor, GLANCE_GROWTH), recipe)  # no more: steeper ones were looked at, and are not
        else:
            findings.append(_smallest(meter, Slow(number, recipe, sure)))
            sys.stderr.write(f"{target.name}: {findings[-1].recipe}: {findings[-1].growth}\n")  # the rest may take long
            for each in (dear, steep):
                each.drop(lambda kept: _is_like(kept, findings[-1].recipe))
    return Report(target.name, number, time.perf_counter() - began, findings, slowest)


def _is_like(recipe: Recipe, known: Recipe) -> bool:
    """Whether a recipe has in it what makes another slow."""
    if recipe.context != known.context or bool(recipe.piece_bytes) != bool(known.piece_bytes):
        return False
    texts = [part.text for part in recipe.parts]
    return all(any(part.text in text for text in texts) for part in known.parts)


def _smallest(meter: Meter, found: Slow) -> Slow:
    """As few and as short parts as are slow still."""
    smaller, end = True, time.perf_counter() + SMALLEST_SECONDS
    while smaller and time.perf_counter() < end:
        smaller = False
        for recipe in _less(found.recipe):
            seen = meter.glance(recipe, long=True)
            sure = None if seen is None else meter.is_slow(recipe, seen)
            if sure is not None:
                found, smaller = Slow(found.number, recipe, sure), True
                break
    return found


def _less(recipe: Recipe) -> Iterator[Recipe]:
    parts = recipe.parts
    if recipe.piece_bytes:
        yield replace(recipe, piece_bytes=0)
    for at, part in enumerate(parts):
        rest = (*parts[:at], *parts[at + 1 :])
        if any(each.grows for each in rest):
            yield replace(recipe, parts=rest)
        for cut in {len(part.text) // 2, 1} - {0, len(part.text)}:
            for text in (part.text[cut:], part.text[:-cut]):
                yield replace(recipe, parts=(*parts[:at], replace(part, text=text), *parts[at + 1 :]))


def show(report: Report) -> None:
    """Write a report."""
    each = report.seconds / max(1, report.executions)
    slowest, recipe = report.slowest
    lines = [
        f"{report.name}: {report.executions:,} executions in {report.seconds:.0f} s, {each * 1e3:.2f} ms each,"
        f" {len(report.findings)} findings",
        f"  the dearest took {slowest * 1e3:.1f} ms: {recipe}",
        *(f"  finding {found.number}: {found.recipe}\n    {found.growth}" for found in report.findings),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Search as the command line says."""
    names = [target.name for target in SLOW_TARGETS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=100_000, help="of each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="where chance begins (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each target at most (default: no end)")
    parser.add_argument("--target", choices=names, action="append", help="only this one; repeatable")
    chosen = parser.parse_args(arguments)
    findings = 0
    for target in SLOW_TARGETS:
        if chosen.target is None or target.name in chosen.target:
            report = search(target, chosen.executions, chosen.seed, seconds=chosen.seconds)
            show(report)
            findings += len(report.findings)
    return min(1, findings)


if __name__ == "__main__":
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # log lines are made as in a real server
        globalLogBeginner.beginLoggingTo([textFileLogObserver(nowhere)], discardBuffer=True, redirectStandardIO=False)
        sys.exit(main())
