"""Histograms: which bucket a value is counted in."""

from __future__ import annotations

import pytest

from pode_signals.core.histogram import Histogram


def test_buckets() -> None:
    """O1.2: a value that equals a bound is in the bucket of that bound; what is larger than all has one of its own."""
    histogram = Histogram((0.1, 1, 10))
    for value in (0.0, 0.1, 0.11, 1, 10, 10.5, 1_000):
        histogram.observe(value)
    assert histogram.bounds == (0.1, 1.0, 10.0)
    assert histogram.counts == [2, 2, 1, 2]
    assert histogram.cumulative() == [2, 4, 5, 7]
    assert histogram.sum == pytest.approx(1_021.71)


def test_empty() -> None:
    """O1.2: a histogram begins with nothing."""
    assert (Histogram((1,)).cumulative(), Histogram((1,)).sum) == ([0, 0], 0)


@pytest.mark.parametrize("bounds", [(), (1, 1), (2, 1)])
def test_bounds_that_do_not_rise(bounds: tuple[float, ...]) -> None:
    """O1.2: bounds that do not rise, or none, are a mistake."""
    with pytest.raises(ValueError, match="the bounds of a histogram have to rise"):
        Histogram(bounds)
