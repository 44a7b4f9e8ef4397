"""Text that clients send: its allowed characters, and its form in log lines. It reads no header by itself.

Text for a log line has no character that starts a new line, controls a terminal or is invisible, and no signature.
"""

from __future__ import annotations

import re
from unicodedata import category

__all__ = ["FORBIDDEN", "TOKEN", "VISIBLE", "printable", "printable_bytes", "shown"]

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A whole token, such as the name of a header or of a subprotocol (RFC 9110 section 5.6.2)."""
VISIBLE = re.compile(rb"[\x20-\x7e\t]*")
"""A whole header value of visible ASCII, spaces and tabs, as RFC 9110 section 5.5 wants it for new headers."""
FORBIDDEN = re.compile(rb"[\r\n\0]")
"""A character that no header value may have, since it could end the header (RFC 9110 section 5.5)."""

# The category of spaces, such as no-break spaces and those of another width. They hide nothing.
_SPACE = "Zs"
# The signature behind a signed client id: base64 of 32 bytes, also with its characters escaped as in a URL. A reader of
# the log could use it to send to the client.
_SIGNATURE = re.compile(r"\.(?:[A-Za-z0-9+/]|%2[BbFf]){43}(?:=|%3[Dd])")
_UNPRINTABLE_BYTES = re.compile(r'[^ -~]|["\\]')
_SHOWN_CHARACTERS = 200


def printable(text: str) -> str:
    """Text for a log line.

    These characters are escaped: control and format characters, of which some change the direction of writing or have
    no width; separators of lines and paragraphs; surrogates, private and unassigned characters. The signatures of
    client ids are left out.
    """
    if "." in text:
        text = _SIGNATURE.sub("", text)
    return text if text.isprintable() else "".join(map(_escaped, text))


def printable_bytes(raw: bytes) -> str:
    """Bytes of a request for a log line, to stand between quotes: only visible ASCII without quotes is not escaped."""
    text = _SIGNATURE.sub("", raw.decode("latin-1"))
    return _UNPRINTABLE_BYTES.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def shown(value: str) -> str:
    """The value of a header for a line in the log: quoted, and not too long."""
    return f'"{value[:_SHOWN_CHARACTERS]}…"' if len(value) > _SHOWN_CHARACTERS else f'"{value}"'


def _escaped(character: str) -> str:
    if character.isprintable() or category(character) == _SPACE:
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x1_0000 else f"\\U{number:08x}"
