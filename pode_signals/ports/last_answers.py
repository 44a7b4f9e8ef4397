"""The answers that a channel writes by itself, after which the connection ends. No resource makes them."""

from __future__ import annotations

__all__ = ["REQUEST_MALFORMED", "REQUEST_TOO_SLOW"]


def _last_answer(status: bytes, why: bytes) -> bytes:
    head = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(why)) + why


REQUEST_MALFORMED = _last_answer(b"400 Bad Request", b"The request is malformed or too large.\n")
REQUEST_TOO_SLOW = _last_answer(b"408 Request Timeout", b"The request took too long.\n")
