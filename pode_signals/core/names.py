"""What a name, a group or a client id may look like, and how it travels in a header. Never knows who has one."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from pode_signals.errors import NameInvalid

__all__ = ["MAX_NAME_CHARACTERS", "check_name", "client_id_text", "from_header_value", "header_value"]

MAX_NAME_CHARACTERS = 128
"""The most characters that a name, a group or a (bare) client id has."""

# C0, DEL and C1; the two line separators, which end a line for JavaScript and for many log viewers; and
# surrogates, which a str can hold but UTF-8 can't.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# A space at either end is encoded as well, for HTTP parsers cut it off there (RFC 9110 section 5.5).
_ENCODED = re.compile(r"[^\x20-\x24\x26-\x2b\x2d-\x7e]+|\A +| +\Z")


def check_name(kind: str, text: str) -> str:
    """Let a name, a group or a bare client id pass if it is a good one.

    Args:
        kind: what it is, for the error: ``name``, ``group``, ``client id``.
        text: the name, decoded.

    Returns:
        The text, unchanged.

    Raises:
        NameInvalid: it is empty, has over 128 characters, or has control characters, line separators or
            lone surrogates.
        TypeError: it is no ``str``.
    """
    if not isinstance(text, str):
        raise TypeError(f"the {kind} has to be a str, not {type(text).__name__}")
    if not text:
        raise NameInvalid(kind, "is empty")
    if len(text) > MAX_NAME_CHARACTERS:
        raise NameInvalid(kind, f"has over {MAX_NAME_CHARACTERS} characters")
    if _FORBIDDEN.search(text):
        raise NameInvalid(kind, "has characters that are not allowed")
    return text


def client_id_text(client_id: object) -> str:
    """A client id as applications give it, as text: an ``int`` is its decimal text.

    Raises:
        TypeError: it is neither; a ``UUID``, for instance, is to be given as ``str(…)``.
    """
    if isinstance(client_id, str):
        return client_id
    if isinstance(client_id, int):
        return str(client_id)
    raise TypeError(f"the client id has to be a str or an int, not {type(client_id).__name__}")


def header_value(text: str) -> str:
    """Write a name for an X-PODE-SIGNAL-* header.

    Args:
        text: a name that :func:`check_name` let pass.

    Returns:
        Visible ASCII and inner spaces; whatever is not ASCII, ``%``, ``,`` and a space at either end is percent-encoded
        UTF-8.
    """
    return _ENCODED.sub(lambda match: quote(match[0], safe=""), text)


def from_header_value(text: str) -> str:
    """Read one name from an X-PODE-SIGNAL-* header: :func:`header_value` backwards.

    A list of names is to be split at its commas before.

    Raises:
        NameInvalid: what is percent-encoded is not UTF-8.
    """
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise NameInvalid("header value", "is not UTF-8") from None
