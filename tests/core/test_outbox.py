from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_model import PLACE_BYTES, NaiveQueue

from pode_signals.core.outbox import Outbox, SlowClient

ALL_BYTES = 1 << 30

CLOSE, DROP_OLDEST, DROP_NEWEST, LATEST = SlowClient


def room_for(*sizes: int) -> int:
    """The bound into which frames of these sizes just fit."""
    return sum(PLACE_BYTES + size for size in sizes)


def frame(number: int, size: int = 10) -> bytes:
    """A frame that is told from others."""
    return b"%d" % number + b"." * (size - len(b"%d" % number))


class TestBound:
    def test_the_settings_have_these_names(self) -> None:
        """S16.2: the four policies are what the setting ``slow_client`` takes."""
        assert [policy.value for policy in SlowClient] == ["close", "drop_oldest", "drop_newest", "latest"]

    @pytest.mark.parametrize("policy", SlowClient)
    def test_up_to_the_bound(self, policy: SlowClient) -> None:
        """S16.2: frames are taken up to the bound, whatever the policy, and come out in their order."""
        outbox = Outbox(room_for(10, 10, 10), policy)
        assert [outbox.push(frame(number)) for number in range(3)] == [True, True, True]
        assert (outbox.size_bytes, len(outbox), outbox.displaced) == (room_for(10, 10, 10), 3, 0)
        assert outbox.pop(ALL_BYTES) == frame(0) + frame(1) + frame(2)
        assert (outbox.size_bytes, len(outbox)) == (0, 0)

    @pytest.mark.parametrize("policy", SlowClient)
    def test_one_larger_than_the_bound(self, policy: SlowClient) -> None:
        """S16.2: one message is taken on an empty queue, however large it is, again and again."""
        outbox = Outbox(1, policy)
        for number in range(3):
            assert outbox.push(frame(number, 5_000)) is True
            assert outbox.displaced == 0
            assert outbox.pop(1) == frame(number, 5_000)
            assert outbox.size_bytes == 0

    @pytest.mark.parametrize("policy", SlowClient)
    def test_the_places_count(self, policy: SlowClient) -> None:
        """S16.2: many small frames take no more memory than the bound says."""
        tracemalloc.start()
        try:
            outbox = Outbox(1_000_000, policy)
            while outbox.push(b"\x81\x01x") and not outbox.displaced:
                pass
            taken = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert len(outbox) > 6_000
        assert taken < 1_100_000

    def test_frames_are_shared(self) -> None:
        """S16.2: a frame that waits for many is in memory once."""
        outboxes = [Outbox(1_000_000, CLOSE) for _ in range(100)]
        shared = frame(0, 100_000)
        tracemalloc.start()
        try:
            for outbox in outboxes:
                outbox.push(shared)
            assert tracemalloc.get_traced_memory()[0] < 100_000
        finally:
            tracemalloc.stop()
        assert outboxes[0].pop(1) is not None


class TestPolicies:
    def test_close(self) -> None:
        """S16.2: under ``close`` a message that does not fit is told apart from one that was dropped."""
        outbox = Outbox(room_for(10, 10), CLOSE)
        assert [outbox.push(frame(number)) for number in range(3)] == [True, True, None]
        assert outbox.pop(ALL_BYTES) == frame(0) + frame(1)

    def test_drop_newest(self) -> None:
        """S16.2: under ``drop_newest`` what does not fit is dropped; what does fit later is taken."""
        outbox = Outbox(room_for(10, 10), DROP_NEWEST)
        assert [outbox.push(frame(0)), outbox.push(frame(1)), outbox.push(frame(2))] == [True, True, False]
        assert outbox.pop(1) == frame(0)
        assert [outbox.push(frame(3)), outbox.push(frame(4))] == [True, False]
        assert outbox.pop(ALL_BYTES) == frame(1) + frame(3)

    def test_drop_oldest(self) -> None:
        """S16.2: under ``drop_oldest`` as many of the oldest are dropped as the new one needs."""
        outbox = Outbox(room_for(10, 10, 10), DROP_OLDEST)
        for number in range(3):
            outbox.push(frame(number))
        assert outbox.push(frame(3, 11)) is True
        assert outbox.displaced == 2
        assert outbox.pop(ALL_BYTES) == frame(2) + frame(3, 11)

    def test_drop_oldest_for_one_larger_than_the_bound(self) -> None:
        """S16.2: under ``drop_oldest`` a message larger than the bound takes the place of all."""
        outbox = Outbox(room_for(10, 10), DROP_OLDEST)
        for number in range(2):
            outbox.push(frame(number))
        assert outbox.push(frame(2, 5_000)) is True
        assert (outbox.displaced, len(outbox), outbox.size_bytes) == (2, 1, room_for(5_000))

    def test_latest(self) -> None:
        """S16.2: under ``latest`` a message replaces the one with the same key, in the order of the last sending."""
        outbox = Outbox(1_000_000, LATEST)
        sent: list[tuple[int, str | None]] = [(0, "a"), (1, None), (2, "b"), (3, "a"), (4, None), (5, "a")]
        assert [(outbox.push(frame(number), key), outbox.displaced) for number, key in sent] == [
            (True, 0),
            (True, 0),
            (True, 0),
            (True, 1),
            (True, 0),
            (True, 1),
        ]
        assert outbox.pop(ALL_BYTES) == frame(1) + frame(2) + frame(4) + frame(5)

    def test_latest_makes_room_by_replacing(self) -> None:
        """S16.2: under ``latest`` a full queue takes a message whose key waits, and closes on any other."""
        outbox = Outbox(room_for(10, 10), LATEST)
        assert [outbox.push(frame(0), "a"), outbox.push(frame(1), "b")] == [True, True]
        assert outbox.push(frame(2), "a") is True
        assert outbox.push(frame(3), "c") is None
        assert outbox.push(frame(4)) is None
        assert outbox.push(frame(5, 11), "a") is None

    def test_a_key_that_went_out_is_not_replaced(self) -> None:
        """S16.2: what has left the queue is no longer replaced."""
        outbox = Outbox(1_000_000, LATEST)
        outbox.push(frame(0), "a")
        outbox.push(frame(1), "b")
        assert outbox.pop(1) == frame(0)
        assert (outbox.push(frame(2), "a"), outbox.displaced) == (True, 0)
        assert outbox.pop(ALL_BYTES) == frame(1) + frame(2)

    @pytest.mark.parametrize("policy", [CLOSE, DROP_OLDEST, DROP_NEWEST])
    def test_keys_without_latest(self, policy: SlowClient) -> None:
        """S16.2: a key replaces nothing under the other policies."""
        outbox = Outbox(1_000_000, policy)
        assert [outbox.push(frame(number), "a") for number in range(3)] == [True, True, True]
        assert (len(outbox), outbox.displaced) == (3, 0)

    def test_keys_like_numbers(self) -> None:
        """S16.2: a key that looks like the number of a place is a key like others."""
        outbox = Outbox(1_000_000, LATEST)
        assert [outbox.push(frame(0)), outbox.push(frame(1), "0"), outbox.push(frame(2), "1")] == [True] * 3
        assert outbox.pop(ALL_BYTES) == frame(0) + frame(1) + frame(2)


class TestPop:
    def test_whole_frames(self) -> None:
        """S4.6: frames come out whole: as many as it takes for so many bytes."""
        outbox = Outbox(1_000_000, CLOSE)
        for number in range(5):
            outbox.push(frame(number))
        assert [outbox.pop(size) for size in (1, 10, 11, 1, 1)] == [
            frame(0),
            frame(1),
            frame(2) + frame(3),
            frame(4),
            b"",
        ]

    def test_nothing(self) -> None:
        """S16.2: an empty queue gives nothing."""
        assert Outbox(1, CLOSE).pop(ALL_BYTES) == b""


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(1, 300), st.sampled_from([None, None, "a", "b", "1"])),
        st.tuples(st.just("pop"), st.integers(0, 400)),
    ),
    max_size=60,
)


@given(st.sampled_from(SlowClient), st.integers(1, 2_000), STEPS)
def test_it_agrees_with_a_list(policy: SlowClient, max_bytes: int, steps: list[tuple[Any, ...]]) -> None:
    """S16.2: under every policy, with keys and without, the queue does what a list would, and keeps its bound."""
    outbox = Outbox(max_bytes, policy)
    naive: NaiveQueue[bytes] = NaiveQueue(max_bytes, policy)
    for number, (step, size, *key) in enumerate(steps):
        if step == "push":
            data = frame(number, size)
            assert (outbox.push(data, *key), outbox.displaced) == naive.push(data, len(data), *key)
        else:
            assert outbox.pop(size) == b"".join(naive.pop(size))
        assert (outbox.size_bytes, len(outbox)) == (naive.size_bytes, len(naive.waiting))
        assert outbox.size_bytes <= max_bytes or len(outbox) == 1
    assert outbox.pop(ALL_BYTES) == b"".join(naive.pop(ALL_BYTES))
