"""Pode's wire: what the text of a plain client means. Never knows a connection, and never repeats a payload.

The wire keys of a client's message (``message``, ``path``, ``group``, ``clientId``, ``direct``) are known here alone.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from ..core.model import ClientMessage
from ..errors import MessageInvalid
from .json import decode

__all__ = ["EXPECTED", "MAX_ADDRESSED", "decode_client_message"]

MAX_ADDRESSED = 100
"""The most groups, and the most client ids, that one message of a client names."""

EXPECTED = 'a JSON object with the key "message", such as {"message": "hello"}'
"""The form of the smallest message, for the author of a page."""


def decode_client_message(payload: bytes, *, max_depth: int, max_keys: int) -> ClientMessage:
    """Read a text frame of a plain client.

    Args:
        payload: the text frame, decompressed, as bytes; its size has been checked before.
        max_depth: how deep it may be nested; the outermost object is 1.
        max_keys: how many keys its objects may have in all.

    Returns:
        The message. ``path`` is percent-decoded, integers among groups and client ids are decimal text.

    Raises:
        MessageInvalid: it is no message; its reason holds nothing of the payload.
    """
    document = decode(payload, max_depth, max_keys)
    if not isinstance(document, dict):
        raise MessageInvalid("the message is not a JSON object")
    # Most pages send nothing but the message.
    if len(document) == 1 and (message := document.get("message")) is not None:
        return ClientMessage(message)
    return _message(_with_known_keys(document))


_KNOWN_KEYS = frozenset({"message", "path", "group", "clientId", "direct"})


def _with_known_keys(document: dict[str, Any]) -> dict[str, Any]:
    """A known key that is absent is looked for without case, as PowerShell would find it."""
    if document.keys() <= _KNOWN_KEYS:
        return document
    folded = {key.lower(): value for key, value in document.items() if key not in _KNOWN_KEYS}
    return {key: document[key] if key in document else folded.get(key.lower()) for key in _KNOWN_KEYS}


def _message(document: dict[str, Any]) -> ClientMessage:
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


def _is_not_given(value: object) -> bool:
    # Spelled out, since 0 and False are given, and wrong.
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
    # An empty entry is refused rather than passed over: a list of nothing else would become "everybody".
    if not isinstance(item, str) or not item:
        raise MessageInvalid(f"{key} has to be a text, an integer, or a list of these")
    return item
