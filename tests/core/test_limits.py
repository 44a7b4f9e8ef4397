from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.limits import TokenBucket, WindowCounter

OF_THIS_CENTURY = 1_700_000_000.0


def test_the_tenth_within_the_window_is_too_many() -> None:
    """S5.8: ten bad messages within 60 s reach the limit, nine do not."""
    counter = WindowCounter(10, 60.0)
    assert [counter.hit(float(second)) for second in range(10)] == [False] * 9 + [True]


def test_the_window_moves() -> None:
    """S5.8: hits older than the window count no more; the window's own end counts."""
    counter = WindowCounter(2, 60.0)
    assert [counter.hit(now) for now in (0.0, 60.5, 120.5, 120.5)] == [False, False, True, True]


def test_a_large_limit() -> None:
    """S5.8: a limit may be large; the hit that reaches it is the first that does."""
    counter = WindowCounter(1_000, 60.0)
    assert [counter.hit(1.0) for _ in range(1_001)] == [False] * 999 + [True, True]


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


class TestTokenBucket:
    def test_a_burst_then_a_rate(self) -> None:
        """S16.3: at first the burst is let through, then so many a second."""
        bucket = TokenBucket(100, 200, 0.0)
        assert [bucket.take(0.0) for _ in range(201)] == [True] * 200 + [False]
        assert sum(bucket.take(tick / 1_000) for tick in range(1, 1_001)) == 100

    def test_it_holds_no_more_than_the_burst(self) -> None:
        """S16.3: who was quiet for long may send one burst and no more."""
        bucket = TokenBucket(10, 20, 0.0)
        assert [bucket.take(1_000.0) for _ in range(21)] == [True] * 20 + [False]

    def test_a_clock_that_runs_backwards(self) -> None:
        """S16.3: a clock that is set back gives nothing, and takes nothing away."""
        bucket = TokenBucket(1, 2, 100.0)
        assert [bucket.take(now) for now in (50.0, 40.0, 30.0, 30.5, 31.0)] == [True, True, False, False, True]

    def test_wait_seconds(self) -> None:
        """S16.3: the wait for the next token is told; where there is one it is none."""
        bucket = TokenBucket(4, 2, 0.0)
        assert bucket.wait_seconds == 0
        bucket.take(0.0)
        assert bucket.wait_seconds == 0
        bucket.take(0.0)
        assert abs(bucket.wait_seconds - 0.25) < 1e-5
        assert not bucket.take(0.1)
        assert abs(bucket.wait_seconds - 0.15) < 1e-5

    @given(st.floats(0.01, 1e5), st.integers(1, 5), st.floats(0, 1e5))
    def test_a_wait_is_long_enough(self, per_second: float, burst: int, start: float) -> None:
        """S16.3: after the wait there is a token, on a clock that rounds as those do that count from 1970."""
        now = OF_THIS_CENTURY + start
        bucket = TokenBucket(per_second, burst, now)
        for _ in range(burst):
            assert bucket.take(now)
        for _ in range(20):
            now += bucket.wait_seconds
            assert bucket.take(now)

    @given(
        st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(4)]),
        st.integers(1, 5),
        st.lists(st.integers(0, 20).map(lambda quarters: Fraction(quarters, 4)), max_size=60),
    )
    def test_it_agrees_with_exact_arithmetic(self, per_second: Fraction, burst: int, steps: list[Fraction]) -> None:
        """S16.3: what is let through is what a bucket of exact fractions lets through."""
        bucket = TokenBucket(float(per_second), burst, 0.0)
        now, tokens = Fraction(0), Fraction(burst)
        for step in steps:
            now += step
            tokens = min(Fraction(burst), tokens + step * per_second)
            taken = tokens >= 1
            tokens -= taken
            assert bucket.take(float(now)) is taken
