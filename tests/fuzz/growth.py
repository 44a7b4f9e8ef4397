"""How the cost of an input grows with its size: processor time of this thread, the best of many. It makes no inputs."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from fuzz.recipes import Context, Recipe

__all__ = ["GLANCE_GROWTH", "MOST_GROWTH", "Growth", "Meter", "SlowTarget"]

MOST_GROWTH = 2.6
"""From 2n to 4n the cost doubles where it is linear, and is four times as much where it is quadratic. More than this is
too much."""

GLANCE_GROWTH = 2.2
"""What, at a look, is worth another one."""

_LEAST_SECONDS = 1e-3  # that the last step adds; below, nobody is held up
_LEAST_DOUBLING = 1.8  # from n to 2n; where it is less, something else began at 4n, such as a turn that was too short
_READ_SECONDS = 15e-6  # what a reactor takes to read one piece, measured; in memory there is none
_SHORT_SECONDS, _LONG_SECONDS = 0.25e-3, 5e-3  # once repetitions cost so much, an input is made no larger
_GLANCE_RUNS, _SURE_RUNS = 3, 20
_SEVERAL = 4  # runs of one size, before it is the turn of the next
_LEAST_COUNT = 8
_SMALLER, _STEP = (
    16,
    4,
)  # how much smaller than it may be an input is at first, and how much larger it is made each time


class SlowTarget(Protocol):
    """An entry point for bytes of a client.

    Attributes:
        name: its name.
        contexts: where these may stand.
        known: recipes that were too slow once, or are elsewhere; they are tried first.
    """

    name: str
    contexts: tuple[Context, ...]
    known: tuple[Recipe, ...]

    def prepare(self, context: Context, pieces: list[bytes]) -> Callable[[], object]:
        """Do all that is not to be measured; what is returned takes the pieces in."""


class Growth(NamedTuple):
    """What an input costs.

    Attributes:
        count: n, how often the parts repeat that grow.
        size_bytes: of the largest input.
        seconds: the cost at n, 2n and 4n.
    """

    count: int
    size_bytes: int
    seconds: tuple[float, float, float]

    @property
    def factor(self) -> float:
        """How many times as much 4n costs as 2n; 1 where that is no way in which the cost grows."""
        one, two, four = self.seconds
        return four / two if two >= _LEAST_DOUBLING * one else 1.0

    def exceeds(self, factor: float) -> bool:
        """Whether it grows by more, and is no trifle."""
        return self.factor > factor and self.seconds[2] - self.seconds[1] >= _LEAST_SECONDS

    def __str__(self) -> str:
        costs = ", ".join(f"{each * 1e3:.2f}" for each in self.seconds)
        return f"{costs} ms at n, 2n, 4n with n = {self.count:,} ({self.size_bytes:,} bytes): ×{self.factor:.1f}"


class Meter:
    """Measures the inputs of one target.

    Args:
        target: the target.
    """

    def __init__(self, target: SlowTarget) -> None:
        self._target = target

    def glance(self, recipe: Recipe, *, long: bool) -> Growth | None:
        """One look; None where the recipe can't be had in so many sizes.

        Args:
            recipe: the recipe.
            long: whether it may take long; else it is made smaller.
        """
        largest = recipe.largest_count // 4
        count = max(_LEAST_COUNT, largest // _SMALLER)
        if count > largest:
            return None
        one = self._seconds(recipe, count)
        enough = one + (_LONG_SECONDS if long else _SHORT_SECONDS)
        while one < enough and count * _STEP <= largest:
            count *= _STEP
            one = self._seconds(recipe, count)
        two = self._seconds(recipe, 2 * count)
        return self._growth_of(recipe, count, (one, two, self._seconds(recipe, 4 * count)))

    def is_slow(self, recipe: Recipe, seen: Growth) -> Growth | None:
        """How the cost grows, best of 20, where a look said that it may grow too much, and it does.

        It has to do so at the largest size that the defaults allow and that can be waited for, and at a quarter of it
        as well: a limit, where something else begins, is met only once.
        """
        if not seen.exceeds(GLANCE_GROWTH):
            return None
        recipe = recipe.at_its_largest()
        large = self.glance(recipe, long=True)
        if large is None or not large.exceeds(GLANCE_GROWTH):
            return None
        for runs, factor in ((_GLANCE_RUNS, GLANCE_GROWTH), (_SURE_RUNS, MOST_GROWTH)):
            for count in (large.count // _STEP, large.count):
                sure = self._growth(recipe, count, runs)
                if sure.factor <= factor:
                    return None
        return sure if sure.exceeds(MOST_GROWTH) else None

    def _growth(self, recipe: Recipe, count: int, runs: int) -> Growth:
        counts = (count, 2 * count, 4 * count)
        best = [float("inf")] * 3
        for begun in range(0, runs, _SEVERAL):
            for at, each in enumerate(counts):
                for _ in range(min(_SEVERAL, runs - begun)):
                    best[at] = min(best[at], self._seconds(recipe, each))
        return self._growth_of(recipe, count, (best[0], best[1], best[2]))

    def _growth_of(self, recipe: Recipe, count: int, seconds: tuple[float, float, float]) -> Growth:
        return Growth(count, len(recipe.context.build(recipe.payload(4 * count))), seconds)

    def _seconds(self, recipe: Recipe, count: int) -> float:
        pieces = recipe.pieces(count)
        reads = max(0, len(pieces) - 1) * _READ_SECONDS
        run = self._target.prepare(recipe.context, pieces)
        with _without_collector():
            before = time.thread_time_ns()
            run()
            return (time.thread_time_ns() - before) / 1e9 + reads


@contextmanager
def _without_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
