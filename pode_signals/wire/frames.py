"""The text frames that the server sends (RFC 6455), unmasked and unfragmented; and close codes. It parses nothing."""

from __future__ import annotations

from enum import IntEnum, unique
from typing import Self

__all__ = ["CloseCode", "check_close_code", "close_reason", "text_frame"]

_RFC = "RFC 6455 section 7.4.1"
# The source of codes in the registry that RFC 6455 section 11.7 set up.
_REGISTRY = "IANA registry"
# The source of codes in the ranges that RFC 6455 section 7.4.2 leaves to libraries and applications.
_OURS = "pode_signals"


@unique
class CloseCode(IntEnum):
    """Why a WebSocket connection ended: the codes that this package sends, receives or reports.

    Each is an ``int``; applications may use others from 3000 to 4999.

    Attributes:
        source: who defined the code.
        meaning: when the code is used here.
    """

    source: str
    meaning: str

    NORMAL = 1000, _RFC, "``close()`` without a code, or the end of the route of a local connection."
    GOING_AWAY = 1001, _RFC, "The service stops, or the user leaves the page."
    PROTOCOL_ERROR = 1002, _RFC, "The client broke the WebSocket protocol."
    UNSUPPORTED_DATA = 1003, _RFC, "The client sent a binary frame."
    NO_STATUS = 1005, _RFC, "Never sent: the client's close frame had no code."
    ABNORMAL = 1006, _RFC, "Never sent: the transport was lost without a close frame."
    INVALID_PAYLOAD = 1007, _RFC, "A text of the client is not UTF-8, or can't be decompressed."
    POLICY_VIOLATION = (
        1008,
        _RFC,
        "Too many bad messages, or too many pings and pongs; a message in too many frames, or one that takes too long.",
    )
    TOO_BIG = 1009, _RFC, "A message of the client is larger than ``max_message_bytes``."
    MANDATORY_EXTENSION = 1010, _RFC, "Sent by clients: the server did not agree to an extension that the client needs."
    INTERNAL_ERROR = 1011, _RFC, "The route of a local connection raised an exception, or this package has a defect."
    SERVICE_RESTART = 1012, _REGISTRY, "Sent by proxies: the service restarts."
    TRY_AGAIN_LATER = 1013, _REGISTRY, "The server has no room for the rest of a message, see ``total_inbox_bytes``."
    BAD_GATEWAY = 1014, _REGISTRY, "Sent by proxies: the server behind the proxy gave a bad answer."
    TLS_FAILED = 1015, _RFC, "Never sent: TLS could not be agreed on."
    PAGE_FROZEN = 3001, _OURS, "Sent by the client for browsers while the browser freezes its page."
    SLOW_CLIENT = 4008, _OURS, "The client reads too slowly, see ``slow_client``."
    EXPIRED = 4401, _OURS, "The connection has expired and was not renewed, see ``expiry_grace_seconds``."
    REPLACED = 4409, _OURS, "A newer connection has the same name and client id, see ``duplicate_client_id``."

    def __new__(cls, code: int, source: str, meaning: str) -> Self:
        """A member, which is the number and has the two texts beside the number."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.source = source
        member.meaning = meaning
        return member


# Codes for ends without a code in a close frame; no close frame may have them (RFC 6455 section 7.4.1).
_NEVER_SENT = (CloseCode.NO_STATUS, CloseCode.ABNORMAL, CloseCode.TLS_FAILED)

# The first byte of a frame: the FIN bit, and the opcode of a text (RFC 6455 section 5.2).
_TEXT_FINAL = 0x81
# The heads of frames of up to 125 bytes, whose length is one byte.
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

    Args:
        code: a :class:`CloseCode`, or any number.

    Raises:
        ValueError: the code is 1005, 1006 or 1015, under 1000, or 5000 and up; or it is no integer.
    """
    if isinstance(code, bool) or not isinstance(code, int) or not 1000 <= code < 5000 or code in _NEVER_SENT:
        raise ValueError(f"{code!r} is no close code that may be sent")
    return code


def close_reason(text: str) -> bytes:
    """The reason of a close frame: UTF-8, cut on a character's edge to 123 bytes (RFC 6455 section 5.5)."""
    return text.encode("utf-8", "replace")[:123].decode("utf-8", "ignore").encode("utf-8")
