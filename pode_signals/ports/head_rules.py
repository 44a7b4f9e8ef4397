"""Rules for the lines of a request's head, as pure functions and numbers. Nothing here answers a request."""

from __future__ import annotations

__all__ = ["MAX_CONTENT_TYPE_BYTES", "MAX_HEADERS", "MAX_HEADER_NAME_BYTES", "continues_header", "why_header_is_bad"]

MAX_HEADERS = 100
"""How many headers a request may have; a line that continues a header counts as one."""
MAX_HEADER_NAME_BYTES = 256
"""How long the name of a header may be."""
MAX_CONTENT_TYPE_BYTES = 256
"""How long a Content-Type may be."""

_WHITE_SPACE = b" \t"
# Of Content-Type and Transfer-Encoding.
_FIRST_LETTERS = frozenset({b"C", b"c", b"T", b"t"})


def continues_header(line: bytes) -> bool:
    """Whether a line continues the header before it (RFC 9112 section 5.2)."""
    return line[:1] in (b" ", b"\t")


def why_header_is_bad(line: bytes) -> str | None:
    """What is wrong with a header that Twisted would take.

    Args:
        line: the header, with the lines that continue it.

    Returns:
        A part of a sentence for the log; None for a header that may be taken.
    """
    # Nearly all headers are short, and none of those below.
    if len(line) <= MAX_HEADER_NAME_BYTES and line[:1] not in _FIRST_LETTERS:
        return None
    end = line.find(b":", 0, MAX_HEADER_NAME_BYTES + 1)
    if end < 0 and len(line) > MAX_HEADER_NAME_BYTES:
        # Twisted keeps each new name for as long as the process runs.
        return "the name of a header is too long"
    name, value = line[:end].lower(), line[end + 1 :].strip(_WHITE_SPACE)
    if name == b"content-type" and len(value) > MAX_CONTENT_TYPE_BYTES:
        # The parsers of media types need a time that grows with the square of the length.
        return "the Content-Type is too long"
    if name == b"transfer-encoding" and value.lower() != b"chunked":
        # RFC 9112 section 7 has no "identity" any more, which Twisted takes; a proxy that reads the header otherwise
        # finds another request in the body.
        return "the Transfer-Encoding is not chunked"
    return None
