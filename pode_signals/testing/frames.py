"""WebSocket frames (RFC 6455 section 5) as a client writes and reads them. It knows no connection."""

from __future__ import annotations

import struct
from enum import IntEnum

from attrs import frozen

__all__ = ["Frame", "Opcode", "client_frame", "close_payload", "take_frame"]

# In memory there is no proxy that a mask has to protect (RFC 6455 section 10.3), so it need not be a random one.
_MASK = b"\x11\x22\x33\x44"


class Opcode(IntEnum):
    """What a frame is (RFC 6455 section 5.2)."""

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@frozen
class Frame:
    """A frame of a server, whole.

    Attributes:
        opcode: what it is.
        payload: its bytes.
    """

    opcode: Opcode
    payload: bytes

    @property
    def close_code(self) -> int:
        """The code of a close frame; 1005 where it has none (RFC 6455 section 7.1.5)."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else 1005

    @property
    def close_reason(self) -> str:
        """The reason of a close frame."""
        return self.payload[2:].decode("utf-8")


def client_frame(opcode: Opcode, payload: bytes) -> bytes:
    """A frame of a client, which is masked (RFC 6455 section 5.3)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    mask = (_MASK * (size // 4 + 1))[:size]
    return head + _MASK + (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def close_payload(code: int, reason: str) -> bytes:
    """The payload of a close frame (RFC 6455 section 5.5.1); 1005 stands for a frame without a code."""
    return b"" if code == 1005 else struct.pack("!H", code) + reason.encode("utf-8")


def take_frame(unread: bytearray) -> Frame | None:
    """Take the first frame of a server out of a buffer; None where the buffer has no whole one.

    The server of this package writes each message in one frame, and no reserved bits without an extension.

    Raises:
        AssertionError: the frame is none that the server may send.
    """
    if len(unread) < 2:
        return None
    first, size = unread[0], unread[1]
    assert size < 128, "the server has masked a frame (RFC 6455 section 5.1)"
    assert first & 0x70 == 0, "the server has set a reserved bit without an extension (RFC 6455 section 5.2)"
    assert first & 0x80, "the server has sent a fragment"
    start = 2
    if size == 126:
        start, size = 4, int.from_bytes(unread[2:4], "big")
    elif size == 127:
        start, size = 10, int.from_bytes(unread[2:10], "big")
    if len(unread) < start + size:
        return None
    frame = Frame(Opcode(first & 0x0F), bytes(unread[start : start + size]))
    del unread[: start + size]
    return frame
