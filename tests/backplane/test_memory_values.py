from __future__ import annotations

import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pode_signals.backplane.memory_values import KeptValues


def test_the_bound() -> None:
    """S17.1: many small values take no more memory than the bound says, and the key that is refused is told."""
    tracemalloc.start()
    try:
        values = KeptValues(1_000_000)
        number = 0
        while values.put(f"key{number}", b"%d" % number, 60, 0):
            number += 1
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert number > 1_000
    assert taken < 1_000_000
    assert len(values) == number


def test_what_has_ended_makes_room() -> None:
    """S17.1: a million keys with a time of their own pass through a small store, for each makes room when it ends."""
    values = KeptValues(100_000)
    for number in range(20_000):
        assert values.put(f"key{number}", b"value", 10, number / 10)
    assert len(values) <= 101


def test_the_same_key_again() -> None:
    """S17.1: a key that is put again and again takes the place of one."""
    tracemalloc.start()
    try:
        values = KeptValues(10_000)
        for number in range(20_000):
            assert values.put("key", b"%d" % number, 3_600, number / 1_000)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert values.get("key", 20) == b"19999"
    assert taken < 50_000


def test_a_shorter_time() -> None:
    """S17.1: the last time that a key was given counts, shorter or longer."""
    values = KeptValues(10_000)
    values.put("key", b"1", 60, 0)
    values.put("key", b"2", 10, 0)
    assert values.get("key", 9) == b"2"
    assert values.get("key", 10) is None
    values.put("key", b"3", 60, 10)
    assert values.get("key", 60) == b"3"


def test_no_time() -> None:
    """S17.1: a value whose time is over at once is gone at once."""
    values = KeptValues(10_000)
    assert values.put("key", b"1", 0, 5)
    assert values.get("key", 5) is None
    assert len(values) == 0


def test_clear() -> None:
    """S17.1: after clearing there is nothing, and room for as much as before."""
    values = KeptValues(1_000)
    assert values.put("first", b"1", 60, 0)
    assert values.put("second", b"1", 60, 0)
    assert not values.put("third", b"1", 60, 0)
    values.clear()
    assert values.get("first", 0) is None
    assert values.put("third", b"1", 60, 0)
    assert values.put("fourth", b"1", 60, 0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"), st.integers(0, 400), st.sampled_from([1, 5, 50]), st.sampled_from([0, 1, 10])
        ),
        max_size=60,
    )
)
def test_agrees_with_a_dict(steps: list[tuple[Any, ...]]) -> None:
    """S17.1: at any time the store has the values whose time is not over, and their sum is what bounds it."""
    values, model, now = KeptValues(2_000), {}, 0
    room = KeptValues(2_000)
    for key, size, seconds, wait in steps:
        now += wait
        model = {each: kept for each, kept in model.items() if kept[0] > now}
        room.clear()
        others = {each: kept for each, kept in model.items() if each != key}
        fits = all(room.put(each, data, 1, 0) for each, (_, data) in [*others.items(), (key, (0, bytes(size)))])
        assert values.put(key, bytes(size), seconds, now) is fits
        if fits:
            model[key] = (now + seconds, bytes(size))
        assert {each: values.get(each, now) for each in "abcdef"} == {
            each: model[each][1] if each in model else None for each in "abcdef"
        }
