"""Pode's wire: reads the text of a plain client. It knows no connection, and its errors never repeat a payload.

Only this module knows the wire keys of a client's message: ``message``, ``path``, ``group``, ``clientId``, ``direct``.
They are the same in a ``send`` of ``pode.signals.v1``, and are read here as well.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from ..core.model import ClientMessage
from ..errors import MessageInvalid
from .json import decode

__all__ = ["EXPECTED", "MAX_ADDRESSED", "decode_client_message", "message_of"]

MAX_ADDRESSED = 100
"""How many groups, and how many client ids, one message of a client may name."""

EXPECTED = 'a JSON object with the key "message", such as {"message": "hello"}'
"""The form of the smallest message, for the author of a page."""


def decode_client_message(payload: bytes, *, max_depth: int, max_keys: int) -> ClientMessage:
    """Read a text frame of a plain client.

    Args:
        payload: the text frame, decompressed, as bytes; its size has been checked before.
        max_depth: how deep the text may be nested; the outermost object is level 1.
        max_keys: how many keys all objects in the text may have together.

    Returns:
        The message. ``path`` is percent-decoded; integers among groups and client ids are decimal texts.

    Raises:
        MessageInvalid: the text is no message. The reason has nothing of the payload.
    """
    document = decode(payload, max_depth, max_keys)
    if not isinstance(document, dict):
        raise MessageInvalid("the message is not a JSON object")
    # Most pages send an object with the key "message" alone.
    if len(document) == 1 and (message := document.get("message")) is not None:
        return ClientMessage(message)
    return message_of(_with_known_keys(document))


def message_of(document: dict[str, Any]) -> ClientMessage:
    """The message of a JSON object that has the known keys exactly as they are spelled; other keys are ignored.

    Raises:
        MessageInvalid: there is no message, or the value of a key is of another type.
    """
    message = document.get("message")
    if message is None:
        raise MessageInvalid("there is no message")
    direct = document.get("direct")
    if _is_not_given(direct):
        direct = False
    elif not isinstance(direct, bool):
        raise MessageInvalid("direct has to be true or false")
    return ClientMessage(
        message=message,
        path=_path(document.get("path")),
        group=_addressed("group", document.get("group")),
        client_id=_addressed("clientId", document.get("clientId")),
        direct=direct,
    )


_KNOWN_KEYS = frozenset({"message", "path", "group", "clientId", "direct"})


def _with_known_keys(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the known keys. Where an exact key is absent, one in another case counts, as in PowerShell."""
    if document.keys() <= _KNOWN_KEYS:
        return document
    folded = {key.lower(): value for key, value in document.items() if key not in _KNOWN_KEYS}
    return {key: document[key] if key in document else folded.get(key.lower()) for key in _KNOWN_KEYS}


def _is_not_given(value: object) -> bool:
    # Not ``not value``: 0 and False are values that a client gave, and are errors.
    return value is None or value == "" or value == []


def _path(value: object) -> str | None:
    if _is_not_given(value):
        return None
    if not isinstance(value, str):
        raise MessageInvalid("path has to be a text")
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise MessageInvalid("path is not UTF-8") from None


def _addressed(key: str, value: object) -> tuple[str, ...]:
    if _is_not_given(value):
        return ()
    items = value if isinstance(value, list) else [value]
    if len(items) > MAX_ADDRESSED:
        raise MessageInvalid(f"{key} names too many")
    return tuple([_addressed_text(key, item) for item in items])


def _addressed_text(key: str, item: object) -> str:
    if isinstance(item, int) and not isinstance(item, bool):
        return str(item)
    # An empty entry is refused. If it were left out, a list of empty entries alone would mean everybody.
    if not isinstance(item, str) or not item:
        raise MessageInvalid(f"{key} has to be a text, an integer, or a list of these")
    return item
