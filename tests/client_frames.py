"""Frames as clients may send them, good and odd, for tests that look for a difference."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def any_frame(draw: st.DrawFn) -> bytes:
    """A frame, mostly a good text; each of its parts may be odd."""
    odd = draw(st.sampled_from(["", "", "", "", "", "", "fin", "rsv", "opcode", "mask", "length", "bytes"]))
    first = 0x81
    if odd == "fin":
        first = draw(st.sampled_from([0x01, 0x80, 0x00]))
    elif odd == "rsv":
        first |= draw(st.sampled_from([0x40, 0x20, 0x10, 0x70]))
    elif odd == "opcode":
        first = 0x80 | draw(st.integers(0, 15))
    text = draw(st.text(max_size=8)).encode() * draw(st.sampled_from([1, 1, 1, 20, 40]))
    payload = draw(st.binary(max_size=130)) if odd == "bytes" else text
    mask = draw(
        st.sampled_from([b"\0\0\0\0", b"\x11\x22\x33\x44", b"\xff\xfe\xfd\xfc"]) | st.binary(min_size=4, max_size=4)
    )
    size = len(payload)
    form = 0 if size < 126 else 2
    if odd == "length":
        form = draw(st.sampled_from([2, 8]))
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    mask_bit = 0x80
    if odd == "mask":
        mask_bit, mask, masked = 0, b"", payload
    length = bytes((mask_bit | {0: size, 2: 126, 8: 127}[form],)) + (size.to_bytes(form, "big") if form else b"")
    return bytes((first,)) + length + mask + masked


STREAMS = st.lists(any_frame(), max_size=6).map(b"".join)
