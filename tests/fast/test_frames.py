"""Small frames, read without Autobahn: what is read is what the RFC says, and whatever is odd is left."""

from __future__ import annotations

import pytest
from client_frames import STREAMS, any_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from web_fakes import BINARY, CONTINUATION, PING, PONG, close_frame, frame

from pode_signals.fast.frames import unmasked_text, unmasked_texts

# A reader that knows nothing but the RFC.


def reference(data: bytes, max_bytes: int) -> tuple[list[bytes], int]:
    """The texts at the start of data, byte by byte, as long as there is nothing that Autobahn should see."""
    found, at = [], 0
    while (one := one_text(data[at:], max_bytes)) is not None:
        payload, size = one
        found.append(payload)
        at += size
    return found, at


def one_text(data: bytes, max_bytes: int) -> tuple[bytes, int] | None:
    """One text and the size of its frame; None where there is none."""
    if len(data) < 2 or data[0] != 0b1000_0001 or not data[1] & 0b1000_0000:
        return None
    size, at = data[1] & 0b0111_1111, 2
    if size == 127:
        return None
    if size == 126:
        size, at = int.from_bytes(data[2:4], "big"), 4
        if size < 126:
            return None
    mask, masked = data[at : at + 4], data[at + 4 : at + 4 + size]
    if len(mask) < 4 or len(masked) < size or size > max_bytes:
        return None
    payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
    try:
        payload.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return None
    return payload, at + 4 + size


@settings(deadline=None)  # a slow machine is no failure
@given(STREAMS, st.integers(0, 40), st.sampled_from([0, 5, 125, 126, 200, 65_536]))
def test_what_is_read_is_what_the_rfc_says(stream: bytes, cut: int, max_bytes: int) -> None:
    """S5.1: the texts at the start of any stream, cut anywhere, are those that a plain reader finds; no byte more."""
    data = stream[: max(0, len(stream) - cut)]
    assert unmasked_texts(data, max_bytes) == reference(data, max_bytes)


@settings(deadline=None)  # a slow machine is no failure
@given(st.binary(max_size=40), st.integers(0, 200))
def test_any_bytes(data: bytes, max_bytes: int) -> None:
    """S16.8: no bytes of a client raise."""
    for stream in (data, b"\x81" + data, b"\x81\xfe" + data, b"\x81\x85" + data):
        assert unmasked_texts(stream, max_bytes) == reference(stream, max_bytes)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535])
def test_sizes(size: int) -> None:
    """S5.1: each way in which a length up to 65,535 is written is read; one byte less than a frame is none."""
    whole = frame(b"x" * size)
    assert unmasked_texts(whole, 65_535) == ([b"x" * size], len(whole))
    assert unmasked_texts(whole[:-1], 65_535) == ([], 0)
    assert unmasked_texts(whole + b"\x81", 65_535) == ([b"x" * size], len(whole))


NO_WHOLE_TEXT = [
    frame(b"x", masked=False),
    frame(b"x", rsv=4),
    frame(b"x", fin=False),
    frame(b"x", BINARY),
    frame(b"x", CONTINUATION),
    frame(b"x", PING),
    frame(b"x", PONG),
    close_frame(),
    frame(b"\xff"),
    frame(b"\xed\xa0\x80"),
    frame(b"\xf4\x90\x80\x80"),
    frame(b"\xe2\x82"),
    b"\x81\xfe\x00\x01\0\0\0\0x",
    b"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x01\0\0\0\0x",
]


@pytest.mark.parametrize(
    "left",
    [*NO_WHOLE_TEXT, frame(b"x" * 65_536), frame(b"x" * 101), b"\x81\xfe\x00\x7d\0\0\0\0" + b"x" * 125],
)
def test_what_is_left_to_autobahn(left: bytes) -> None:
    """S5.8: whatever is no small whole text is left where it is, and so is what follows."""
    before, behind = frame(b"before"), frame(b"behind")
    assert unmasked_texts(before + left + behind, 100) == ([b"before"], len(before))


# One small frame, which is what most reads are.


def whole(data: bytes, max_bytes: int) -> bytes | None:
    """What the other two readers say of one whole small text, both the same."""
    found, size = reference(data, max_bytes)
    assert unmasked_texts(data, max_bytes) == (found, size)
    return found[0] if len(found) == 1 and size == len(data) and len(found[0]) < 126 else None


@settings(deadline=None)  # a slow machine is no failure
@given(STREAMS, st.integers(0, 40), st.sampled_from([0, 5, 125, 126, 200, 65_536]))
def test_one_text_of_any_stream(stream: bytes, cut: int, max_bytes: int) -> None:
    """S5.1: one whole small text is found where, and only where, the plain reader finds just that."""
    data = stream[: max(0, len(stream) - cut)]
    assert unmasked_text(data, max_bytes) == whole(data, max_bytes)


@settings(deadline=None)  # a slow machine is no failure
@given(any_frame(), st.binary(max_size=2), st.integers(0, 130))
def test_one_frame_and_what_follows(one: bytes, behind: bytes, max_bytes: int) -> None:
    """S5.1: each part of a frame may be odd, and a byte may follow: whoever reads it comes to the same."""
    for data in (one, one + behind, one[:-1]):
        assert unmasked_text(data, max_bytes) == whole(data, max_bytes)


@settings(deadline=None)  # a slow machine is no failure
@given(st.binary(max_size=140), st.integers(0, 200))
def test_any_bytes_as_one_text(data: bytes, max_bytes: int) -> None:
    """S16.8: no bytes of a client raise."""
    length = bytes((0x80 | min(127, max(0, len(data) - 4)),))
    for stream in (data, b"\x81" + data, b"\x81" + length + data):
        assert unmasked_text(stream, max_bytes) == whole(stream, max_bytes)


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\x11\x22\x33\x44", b"\xff\xff\xff\xff"])
def test_each_size_of_one_text(mask: bytes) -> None:
    """S5.1: each size up to 125 bytes is read, whatever its mask; a byte more or less, or a larger one, is not."""
    for size in range(131):
        payload = bytes(97 + place % 26 for place in range(size))
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        one = b"\x81" + length + mask + masked
        assert unmasked_text(one, 1_000) == (payload if size < 126 else None)
        assert unmasked_text(one, size) == (payload if size < 126 else None)
        assert [unmasked_text(each, 1_000) for each in (one[:-1], one + b"\x81", one + one)] == [None] * 3
        if size:
            assert unmasked_text(one, size - 1) is None


@pytest.mark.parametrize(
    "left",
    [
        *NO_WHOLE_TEXT,
        b"",
        b"\x81",
        b"\x81\x80\0\0\0",
        b"\x81\x05hello",
        b"\x81\x05" + b"\0\0\0\0" + b"hello",
        frame(b"x", rsv=1),
        frame(b"\xc0\x80"),
        b"\x81\xfe\x00\x7e\0\0\0\0" + b"x" * 124,
    ],
)
def test_what_is_no_small_text(left: bytes) -> None:
    """S5.8: whatever is no whole small text in UTF-8 is left to those who judge it."""
    assert unmasked_text(left, 1_000) is None
    assert whole(left, 1_000) is None
