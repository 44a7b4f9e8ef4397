"""WebSocket framing of what the server sends (RFC 6455 section 5.2): unmasked, unfragmented text. It parses nothing."""

from __future__ import annotations

__all__ = ["check_close_code", "close_reason", "text_frame"]

_TEXT_FINAL = 0x81
_SHORT_HEADS = tuple(bytes((_TEXT_FINAL, size)) for size in range(126))


def text_frame(payload: bytes) -> bytes:
    """One text frame.

    Args:
        payload: valid UTF-8.
    """
    size = len(payload)
    if size < 126:
        return _SHORT_HEADS[size] + payload
    if size < 65_536:
        return bytes((_TEXT_FINAL, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT_FINAL, 127)) + size.to_bytes(8, "big") + payload


def check_close_code(code: int) -> int:
    """A close code that may be sent (RFC 6455 section 7.4).

    Raises:
        ValueError: 1005, 1006, 1015, under 1000, 5000 and up, or no integer.
    """
    if isinstance(code, bool) or not isinstance(code, int) or not 1000 <= code < 5000 or code in (1005, 1006, 1015):
        raise ValueError(f"{code!r} is no close code that may be sent")
    return code


def close_reason(text: str) -> bytes:
    """The reason of a close frame: UTF-8, cut on a character's edge to 123 bytes (RFC 6455 section 5.5)."""
    return text.encode("utf-8", "replace")[:123].decode("utf-8", "ignore").encode("utf-8")
