from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.history import History, HistoryLimits, LoggedSignal, Missed, Position
from pode_signals.core.model import Target

ROOM = Target(("Room",))
ALL = HistoryLimits(messages=1_000_000, max_bytes=1 << 40, seconds=1e9)


def append(history: History, data: bytes = b"1", now: float = 0, salt: int = 7) -> Position:
    """Append an entry."""
    return history.append(ROOM, data, None, salt=salt, now=now).position


def filled(count: int, limits: HistoryLimits = ALL) -> tuple[History, list[Position]]:
    """A log to which so many one-digit entries were appended, a second apart; its positions from the beginning on."""
    history = History("abcdef", limits)
    begin = history.position
    return history, [begin, *(append(history, b"%d" % number, number) for number in range(count))]


def data_of(signals: tuple[LoggedSignal, ...] | None) -> bytes | None:
    """The payloads, one after the other."""
    return None if signals is None else b"".join(signal.data for signal in signals)


def test_an_entry() -> None:
    """S17.2: an entry has what was appended, the next sequence and the salt that was given."""
    history = History("abcdef", ALL)
    target = Target(("Room",), ("red",), ("ada",))
    signal = history.append(target, b"[1]", "n1.2", salt=1_125_899_906_842_623, now=5)
    assert signal == LoggedSignal(Position("abcdef", "1-1125899906842623"), target, b"[1]", "n1.2")
    assert history.position == signal.position
    assert append(history, salt=0) == Position("abcdef", "2-0")


def test_the_beginning() -> None:
    """S17.2: an empty log has a position, after which nothing was missed."""
    history = History("abcdef", ALL)
    assert history.position == Position("abcdef", "0-0")
    assert history.missed(history.position, history.position) == Missed(complete=True, signals=())
    assert (len(history), history.size_bytes, history.read(None, 5)) == (0, 0, ())


def test_sizes() -> None:
    """S17.2: a log knows how many entries and bytes of payload it has, whatever came and went."""
    history, _ = filled(0, HistoryLimits(messages=2))
    for data, expected in ((b"1", (1, 1)), (b"22", (2, 3)), (b"333", (2, 5)), (b"", (2, 3))):
        append(history, data)
        assert (len(history), history.size_bytes) == expected


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (HistoryLimits(messages=3), b"345"),
        (HistoryLimits(max_bytes=4), b"2345"),
        (HistoryLimits(messages=1, max_bytes=4), b"5"),
        (HistoryLimits(seconds=2), b"345"),
        (HistoryLimits(seconds=1.99), b"45"),
        (HistoryLimits(seconds=0.5), b"5"),
    ],
)
def test_limits(limits: HistoryLimits, kept: bytes) -> None:
    """S17.2: the oldest entries go that are beyond a limit, at the next append, and no others."""
    history, positions = filled(6, limits)
    assert data_of(history.read(None, 9)) == kept
    floor = 6 - len(kept)
    assert data_of(history.missed(positions[floor], positions[6]).signals) == kept
    assert history.missed(positions[floor - 1], positions[6]) == Missed(complete=False, signals=())


def test_lower_limits() -> None:
    """S17.2: limits that are set anew hold from the next trim on; the last entry goes for its age alone."""
    history, _ = filled(6)
    history.limits = HistoryLimits(messages=4, max_bytes=2, seconds=10)
    assert len(history) == 6
    history.trim(5)
    assert data_of(history.read(None, 9)) == b"45"
    history.limits = HistoryLimits(messages=1, max_bytes=1, seconds=10)
    append(history, b"large", 6)
    assert data_of(history.read(None, 9)) == b"large"
    assert history.empty_after == 16
    history.trim(16)
    assert len(history) == 1
    history.trim(16.001)
    assert (len(history), history.size_bytes) == (0, 0)


def test_after_all_have_gone() -> None:
    """S17.2: the position outlives the entries, and the sequence goes on where it was."""
    history, positions = filled(3, HistoryLimits(seconds=10))
    history.trim(100)
    assert history.position == positions[3]
    assert history.missed(positions[3], positions[3]).complete
    assert not history.missed(positions[2], positions[3]).complete
    assert append(history, b"x", 100) == Position("abcdef", "4-7")
    assert data_of(history.missed(positions[3], history.position).signals) == b"x"
    assert history.missed(positions[3], history.position).complete


def test_drop_oldest() -> None:
    """S17.2: the oldest entry can be made to go, the last one too; whoever has seen it has still missed nothing."""
    history, positions = filled(2)
    history.drop_oldest()
    assert data_of(history.missed(positions[1], positions[2]).signals) == b"1"
    assert not history.missed(positions[0], positions[2]).complete
    history.drop_oldest()
    assert (len(history), history.size_bytes, history.position) == (0, 0, positions[2])
    assert history.missed(positions[2], positions[2]).complete


def test_until() -> None:
    """S17.2: what came after ``until`` is not missed; one that never was a position makes it incomplete."""
    history, positions = filled(4)
    missed = history.missed
    assert data_of(missed(positions[1], positions[3]).signals) == b"12"
    assert missed(positions[3], positions[1]) == Missed(complete=True, signals=())
    for offset in ("5-7", "4-8", "x"):
        assert missed(positions[1], Position("abcdef", offset)) == Missed(complete=False, signals=())
    assert missed(positions[4], positions[4]) == Missed(complete=True, signals=())
    assert missed(positions[4], Position("abcdef", "4-8")) == Missed(complete=False, signals=())
    assert missed(positions[1], Position("ghijkl", "4-7")) == Missed(complete=False, signals=())


@pytest.mark.parametrize(
    "offset", ["", "-7", "-", "2", "2-", "2-8", "02-7", "2-07", "5-7", "-1-7", "٢-7", "²-7", "2_-7"]
)
def test_unknown(offset: str) -> None:
    """S17.2: an offset that this log never gave, or that is written in another way, is not known."""
    history, positions = filled(4)
    unknown = Position("abcdef", offset)
    assert not history.missed(unknown, positions[4]).complete
    assert history.read(unknown, 9) is None
    assert history.read(Position("ghijkl", "2-7"), 9) is None


@pytest.mark.parametrize("digits", [16, 17, 4_301, 1_000_000])
def test_long_offsets(digits: int) -> None:
    """S17.2: a client's number is not converted where it has more digits than any of ours."""
    history, positions = filled(2)
    assert not history.missed(Position("abcdef", "9" * digits + "-7"), positions[2]).complete
    assert not history.missed(Position("abcdef", "0" * digits + "1-7"), positions[2]).complete


def test_read() -> None:
    """S17.2: pages begin after a position or with the oldest entry, and end at their limit or at the top."""
    history, positions = filled(5, HistoryLimits(messages=4))
    assert [data_of(history.read(since, 2)) for since in (None, positions[2], positions[4], positions[5])] == [
        b"12", b"23", b"4", b"",
    ]  # fmt: skip
    assert history.read(positions[0], 2) is None
    assert history.read(None, 0) == ()


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None, math.nan])
@pytest.mark.parametrize("name", ["messages", "max_bytes"])
def test_counts(name: str, value: Any) -> None:
    """S17.2: a limit that is no whole number of 1 or more is refused by its name."""
    with pytest.raises(ValueError, match=f"^{name} has to be a whole number of 1 or more, not "):
        HistoryLimits(**{name: value})


@pytest.mark.parametrize("value", [0, -1, 0.0, True, "3", None, math.nan, math.inf])
def test_seconds(value: Any) -> None:
    """S17.2: a time that is not above 0, or no number, is refused."""
    with pytest.raises(ValueError, match=r"^seconds has to be a number above 0, not "):
        HistoryLimits(seconds=value)


def test_default_limits() -> None:
    """S17.2: 100 messages, 1 MiB and 5 minutes are kept where nothing else is said."""
    limits = HistoryLimits()
    assert (limits.messages, limits.max_bytes, limits.seconds) == (100, 1_048_576, 300)
    assert HistoryLimits(messages=1, max_bytes=1, seconds=0.001).seconds == 0.001


@given(
    messages=st.integers(1, 6),
    max_bytes=st.integers(1, 20),
    seconds=st.integers(1, 8),
    steps=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=30),
)
def test_agrees_with_a_list(messages: int, max_bytes: int, seconds: int, steps: list[tuple[int, int]]) -> None:
    """S17.2: after any appends and times a log has the entries that a search through all of them finds."""
    history = History("abcdef", HistoryLimits(messages, max_bytes, seconds))
    positions, entries, gone, now = [history.position], list[tuple[int, bytes]](), 0, 0
    for size, wait in steps:
        now += wait
        entries.append((now, bytes(size)))
        positions.append(append(history, bytes(size), now))
        last = len(entries)
        while gone < last - 1 and (
            last - gone > messages
            or sum(len(data) for _, data in entries[gone:]) > max_bytes
            or now - entries[gone][0] > seconds
        ):
            gone += 1
        for first, position in enumerate(positions):
            missed = history.missed(position, positions[-1])
            assert missed.complete is (first >= gone)
            expected = [data for _, data in entries[first:]] if first >= gone else []
            assert [signal.data for signal in missed.signals] == expected
        assert history.size_bytes == sum(len(data) for _, data in entries[gone:])
