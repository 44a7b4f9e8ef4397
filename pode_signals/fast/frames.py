"""Reads the payloads of small text frames in place. Frames that may be bad in any way are left to Autobahn, unread."""

from __future__ import annotations

__all__ = ["small_frame_bytes", "unmasked_text", "unmasked_texts"]

_TEXT_FINAL = 0x81
_MASKED = 0x80
# How many frames are read at once. A client that sends more is fast, and its rate has to be looked at in between.
_MOST_AT_ONCE = 256
_from_bytes = int.from_bytes


def unmasked_text(data: bytes, max_bytes: int) -> bytes | None:
    """The payload of data that is exactly one whole text frame of under 126 bytes, as nearly every read is.

    Args:
        data: bytes of a client, from the beginning of a frame on.
        max_bytes: larger frames are left to Autobahn.

    Returns:
        The payload, which is valid UTF-8; None for any other data.
    """
    size = len(data) - 6
    if not 0 <= size < 126 or data[0] != _TEXT_FINAL or data[1] != _MASKED + size or size > max_bytes:
        return None
    mask = (data[2:6] * 32)[:size]
    payload = (_from_bytes(data[6:], "little") ^ _from_bytes(mask, "little")).to_bytes(size, "little")
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return None
    return payload


def unmasked_texts(data: bytes, max_bytes: int) -> tuple[list[bytes], int]:
    """The payloads of some whole, final, masked, minimally framed text frames at the start (RFC 6455 section 5).

    Args:
        data: bytes of a client, from the beginning of a frame on.
        max_bytes: larger frames are left to Autobahn.

    Returns:
        The payloads, which are valid UTF-8; and how many bytes of ``data`` their frames take. The bytes behind these
        are for Autobahn.
    """
    payloads: list[bytes] = []
    start, end = 0, len(data)
    while end - start >= 6 and data[start] == _TEXT_FINAL and len(payloads) < _MOST_AT_ONCE:
        size, head = data[start + 1] - _MASKED, start + 6
        if size >= 126:
            if size == 127 or end - start < 8:
                break
            size, head = data[start + 2] << 8 | data[start + 3], start + 8
            if size < 126:
                break
        stop = head + size
        if size < 0 or stop > end or size > max_bytes:
            break
        mask = (data[head - 4 : head] * ((size + 3) >> 2))[:size]
        payload = (_from_bytes(data[head:stop], "little") ^ _from_bytes(mask, "little")).to_bytes(size, "little")
        try:
            payload.decode()
        except UnicodeDecodeError:
            break
        payloads.append(payload)
        start = stop
    return payloads, start


def small_frame_bytes(payload: bytes) -> int:
    """The size of the frame that :func:`unmasked_texts` has found a payload in: such a frame is as short as can be."""
    size = len(payload)
    return size + (6 if size < 126 else 8)
