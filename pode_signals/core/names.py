"""The rules for names, groups and client ids, and their form in headers. It does not know which of them exist."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from pode_signals.errors import NameInvalid

__all__ = ["MAX_NAME_CHARACTERS", "check_name", "client_id_text", "from_header_value", "header_value"]

MAX_NAME_CHARACTERS = 128
"""How many characters a name, a group or a client id without its signature may have."""

# The control characters (C0, DEL and C1); the two line separators, which end a line for JavaScript and for many log
# viewers; and surrogates, which a Python text can hold and UTF-8 can't.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# A space at either end is encoded as well: HTTP parsers cut spaces off there (RFC 9110 section 5.5).
_ENCODED = re.compile(r"[^\x20-\x24\x26-\x2b\x2d-\x7e]+|\A +| +\Z")


def check_name(kind: str, text: str) -> str:
    """Check a name, a group, or a client id without its signature.

    Args:
        kind: the kind of text, for the error: ``name``, ``group``, ``client id``.
        text: the text, decoded.

    Returns:
        The text, unchanged.

    Raises:
        NameInvalid: the text is empty, has over 128 characters, or has control characters, line separators or lone
            surrogates.
        TypeError: the text is no ``str``.
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
    """A client id that an application has given, as a text: an ``int`` becomes its decimal text.

    Raises:
        TypeError: the id is neither a ``str`` nor an ``int``. An application has to give a ``UUID`` as ``str(…)``.
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
        Visible ASCII and inner spaces. All other characters, ``%``, ``,`` and spaces at either end are percent-encoded
        as UTF-8.
    """
    return _ENCODED.sub(lambda match: quote(match[0], safe=""), text)


def from_header_value(text: str) -> str:
    """Read one name from an X-PODE-SIGNAL-* header: :func:`header_value` backwards.

    A list of names is to be split at its commas before.

    Raises:
        NameInvalid: the decoded bytes are not UTF-8.
    """
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise NameInvalid("header value", "is not UTF-8") from None
