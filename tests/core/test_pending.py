from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from memory import grown_bytes

from pode_signals.core.pending import PendingHandshakes


def test_up_to_the_limit() -> None:
    """S16.4: up to the limit nobody has to go."""
    pending: PendingHandshakes[int] = PendingHandshakes(3)
    assert [pending.add(number, "192.0.2.1") for number in range(3)] == [None, None, None]
    assert len(pending) == 3


def test_the_oldest_of_the_address_with_most() -> None:
    """S16.4: over the limit the oldest of the address that has most goes, and the newcomer of another stays."""
    pending: PendingHandshakes[str] = PendingHandshakes(5)
    for item, address in (("first", "a"), ("b1", "b"), ("b2", "b"), ("b3", "b"), ("c1", "c")):
        assert pending.add(item, address) is None
    assert pending.add("c2", "c") == "b1"
    assert len(pending) == 5
    assert pending.add("c3", "c") == "c1"
    assert pending.add("c4", "c") == "c2"


def test_all_of_one_address() -> None:
    """S16.4: where all have one address, as behind a proxy, the oldest goes."""
    pending: PendingHandshakes[int] = PendingHandshakes(2)
    assert [pending.add(number, "") for number in range(5)] == [None, None, 0, 1, 2]


def test_a_limit_of_one() -> None:
    """S16.4: with a limit of one a newcomer takes the place of whoever is there."""
    pending: PendingHandshakes[int] = PendingHandshakes(1)
    assert [pending.add(1, "a"), pending.add(2, "b"), pending.add(3, "c")] == [None, 1, 2]


def test_discard() -> None:
    """S16.4: whoever is done makes room; one that is not there, or not any more, changes nothing."""
    pending: PendingHandshakes[int] = PendingHandshakes(2)
    pending.add(1, "a")
    pending.add(2, "b")
    pending.discard(1, "a")
    pending.discard(1, "a")
    pending.discard(2, "a")
    pending.discard(3, "nowhere")
    assert len(pending) == 1
    assert [pending.add(4, "c"), pending.add(5, "c")] == [None, 4]


def test_nothing_is_left_of_an_address() -> None:
    """S16.4: addresses that have nobody pending take no memory."""
    pending: PendingHandshakes[int] = PendingHandshakes(10)

    def come_and_go(number: int) -> None:
        for each in range(number * 1_000, number * 1_000 + 1_000):
            pending.add(each, f"address {each}")
            pending.discard(each, f"address {each}")

    assert grown_bytes(come_and_go) < 30_000


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from(["add", "add", "discard"]), st.integers(0, 9), st.sampled_from("abc"))),
)
def test_it_agrees_with_a_list(limit: int, steps: list[tuple[str, int, str]]) -> None:
    """S16.4: whoever comes and goes: who has to go has waited longest of an address that has most."""
    pending: PendingHandshakes[int] = PendingHandshakes(limit)
    here: list[tuple[int, str]] = []
    for number, (step, which, address) in enumerate(steps):
        if step == "add":
            here.append((number, address))
            crowded_out = pending.add(number, address)
            assert (crowded_out is not None) is (len(here) > limit)
            if crowded_out is not None:
                of = dict(here)[crowded_out]
                counts = {each: sum(other == each for _, other in here) for _, each in here}
                assert counts[of] == max(counts.values())
                assert crowded_out == min(item for item, each in here if each == of)
                here.remove((crowded_out, of))
        elif here:
            item = here.pop(which % len(here))
            pending.discard(*item)
        assert len(pending) == len(here) <= limit
