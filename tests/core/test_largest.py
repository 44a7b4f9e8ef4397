from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from memory import grown_bytes

from pode_signals.core.largest import Largest

ITEMS = st.sampled_from("abcde")


@given(st.lists(st.tuples(ITEMS, st.integers(-1, 9)) | ITEMS, max_size=60))
def test_it_agrees_with_looking_at_all(steps: list[tuple[str, int] | str]) -> None:
    """S16.2: whatever grows, shrinks and goes, the item that is said to be the largest is one that has the most."""
    largest: Largest[str] = Largest()
    sizes: dict[str, int] = {}
    for step in steps:
        if isinstance(step, str):
            largest.discard(step)
            sizes.pop(step, None)
        else:
            largest.set(*step)
            sizes[step[0]] = step[1]
        sizes = {item: size for item, size in sizes.items() if size > 0}
        found = largest.largest()
        assert len(largest) == len(sizes)
        assert (None if found is None else sizes[found]) == max(sizes.values(), default=None)


def test_who_came_first() -> None:
    """S16.2: of several that have the most it is the one that came to have it first."""
    largest: Largest[str] = Largest()
    for item in "abc":
        largest.set(item, 5)
    assert largest.largest() == "a"
    largest.discard("a")
    assert largest.largest() == "b"


class Counted(int):
    """A size that counts how often sizes are compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        Counted.compared += 1
        return int(self) < other

    def __neg__(self) -> Counted:
        return Counted(-int(self))


def test_nobody_looks_at_all() -> None:
    """S16.2: among 1,000, and each time that one grows, a few are looked at, not all; and little is kept of changes."""
    largest: Largest[int] = Largest()
    for item in range(1_000):
        largest.set(item, Counted(item + 1))

    def change(number: int) -> None:
        for step in range(number * 10_000, number * 10_000 + 10_000):
            largest.set(step % 10, Counted(2_000 + step))
            assert largest.largest() == step % 10

    Counted.compared = 0
    kept_bytes = grown_bytes(change)
    assert Counted.compared < 2 * 10_000 * 50
    assert kept_bytes < 200_000
