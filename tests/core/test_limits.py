from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.limits import WindowCounter


def test_the_tenth_within_the_window_is_too_many() -> None:
    """S5.8: ten bad messages within 60 s reach the limit, nine do not."""
    counter = WindowCounter(10, 60.0)
    assert [counter.hit(float(second)) for second in range(10)] == [False] * 9 + [True]


def test_the_window_moves() -> None:
    """S5.8: hits older than the window count no more; the window's own end counts."""
    counter = WindowCounter(2, 60.0)
    assert [counter.hit(now) for now in (0.0, 60.5, 120.5, 120.5)] == [False, False, True, True]


def test_a_limit_of_one_is_reached_at_once() -> None:
    """S5.8: with a limit of one the first bad message reaches it."""
    counter = WindowCounter(1, 60.0)
    assert [counter.hit(0.0), counter.hit(1_000.0)] == [True, True]


@given(
    st.integers(1, 6),
    st.integers(1, 20),
    st.lists(st.integers(0, 10), max_size=40),
)
def test_it_agrees_with_counting(limit: int, seconds: int, steps: list[int]) -> None:
    """S5.8: the limit is reached exactly when as many hits lie within the window that ends now."""
    counter = WindowCounter(limit, seconds)
    now, before = 0, []
    for step in steps:
        now += step
        before.append(now)
        assert counter.hit(now) is (sum(now - time <= seconds for time in before) >= limit)
