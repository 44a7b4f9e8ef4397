"""Data to JSON, and JSON to data within limits. Knows no message and no connection, and never repeats a payload."""

from __future__ import annotations

import json
import math
import re
from collections import UserString
from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import date, time
from enum import Enum
from typing import Any, NoReturn
from uuid import UUID

import attrs

from ..errors import DataTooDeep, MessageInvalid
from .fast_json import UNSURE, quick_encoder, quick_loads

__all__ = ["decode", "decode_unbounded", "encode", "encode_value"]


def decode(payload: bytes, max_depth: int, max_keys: int) -> Any:
    """Read a JSON text of a client.

    Depth and keys are counted as they are written in the text, so a value that a duplicate key hides counts, too.

    Args:
        payload: the text as bytes; its size has been checked before.
        max_depth: how deep the text may be nested; the outermost object or array is level 1.
        max_keys: how many keys all objects in the text may have together.

    Raises:
        MessageInvalid: the text is no JSON (RFC 8259), or passes a limit. The reason has nothing of the payload.
    """
    # The number of digits and opening brackets. In nearly every message it is so small that no integer can be long, and
    # nothing can be nested deep.
    size = len(payload)
    marks = size - len(payload.translate(None, _DIGITS_AND_BRACKETS))
    document = quick_loads(payload, marks)
    if document is UNSURE:
        document = decode_unbounded(payload)
    if marks > max_depth and payload.count(b"{") + payload.count(b"[") > max_depth and _is_deeper(payload, max_depth):
        raise MessageInvalid("the message is nested too deep", "max_json_depth")
    # A key with its value takes at least four bytes ("":1), so a short text need not be searched.
    if size > 4 * max_keys and _has_more_keys(payload, max_keys):
        raise MessageInvalid("the message has too many keys", "max_json_keys")
    if _BACKSLASH in payload and _has_lone_surrogate(payload):
        raise MessageInvalid("the message has a lone surrogate")
    return document


def decode_unbounded(payload: bytes) -> Any:
    """Read a JSON text of a client the careful way, without limits on its depth and its keys.

    :func:`decode` comes first, always. This function is for a look at a text that :func:`decode` has refused.

    Raises:
        MessageInvalid: the text is no JSON (RFC 8259), or is nested too deep to be read at all.
    """
    try:
        # Decoded here, since json would take bytes for UTF-16 where they look like UTF-16.
        return _DECODER.decode(payload.decode("utf-8"))
    except UnicodeDecodeError:
        raise MessageInvalid("the message is not UTF-8") from None
    except RecursionError:
        raise MessageInvalid("the message is nested too deep", "max_json_depth") from None
    # A JSONDecodeError, or an integer of over 4,300 digits.
    except ValueError:
        raise MessageInvalid("the message is not JSON") from None


def encode(data: object, *, depth: int | None = None) -> bytes | None:
    """Write data for the wire.

    A ``str`` is sent as it is. Anything else becomes compact JSON:

    ============================================  =========================================
    ``bool``, ``int``, ``float``, None            as ``json`` writes them
    ``list``, ``tuple``, other sequences          array (also named tuples)
    ``dict``, other mappings                      object; keys are ``str``, ``int``, ``float``, ``bool``, None (as
                                                  ``json`` writes them), ``UUID`` or ``Enum`` (its value)
    dataclasses, attrs classes                    object of their fields
    ``datetime``, ``date``, ``time``              ISO 8601 text
    ``UUID``                                      text
    ``Enum``                                      its value
    ============================================  =========================================

    All other types are a ``TypeError``, so that the sender chooses a form. For instance, sets have no order,
    ``Decimal`` and ``timedelta`` have several forms, and ``bytes`` are no text. ``UserString`` is refused as well.

    Args:
        data: the data.
        depth: how deep the data may be nested; a text or a number is 0, ``{}`` is 1. None is no limit.

    Returns:
        UTF-8; or None for data that is not sent: None, ``""``, an empty list or tuple.

    Raises:
        DataTooDeep: the data is nested deeper than ``depth``. Also a ``ValueError``.
        TypeError: a value in the data has no JSON form.
        ValueError: the data has NaN or Infinity or a lone surrogate, or is circular or too deep to be written at all.
    """
    if isinstance(data, str):
        return _utf8(data) if data else None
    if data is None or (isinstance(data, (list, tuple)) and not data):
        return None
    encoded = _quick_encode(data)
    if encoded is None:
        encoded = _utf8(_json(data))
    if depth is not None and _is_deeper(encoded, depth):
        raise DataTooDeep(depth)
    return encoded


def encode_value(data: object) -> bytes:
    """Write data as a JSON value that stands within a frame.

    It is the JSON of :func:`encode`. But a ``str`` becomes a JSON string, and data that are not sent by themselves have
    their JSON, too: ``null``, ``""``, ``[]``.

    Raises:
        TypeError: a value in the data has no JSON form.
        ValueError: the data has NaN or Infinity or a lone surrogate, or is circular or too deep to be written at all.
    """
    encoded = _quick_encode(data)
    return _utf8(_json(data)) if encoded is None else encoded


_DIGITS_AND_BRACKETS = b"0123456789{["
_BACKSLASH = ord("\\")
# An error shows only the beginning of a key, which may be as long as the data.
_SHOWN_CHARACTERS = 40

# A whole string of valid JSON.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"')

_BRACES_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

# Every escape that is no \uXXXX, and every pair of surrogates, which is one character. In a text without all of these,
# a surrogate that is left is alone.
_PAIRED_OR_OTHER = re.compile(rb"\\(?:[^u]|u[dD][89abAB]..\\u[dD][c-fC-F]..)")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _is_deeper(text: bytes, depth: int) -> bool:
    """Whether valid JSON is nested deeper.

    Each round takes the innermost brackets away. That runs in C and without recursion, whatever a client sends.
    """
    brackets = _STRING.sub(b"", text).translate(_BRACES_TO_BRACKETS, _ALL_BUT_BRACKETS)
    for _ in range(depth):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _has_more_keys(text: bytes, count: int) -> bool:
    return text.count(b":") > count and _STRING.sub(b"", text).count(b":") > count


def _has_lone_surrogate(text: bytes) -> bool:
    # The regular expressions run only where the text has an escaped surrogate at all. The "u" of an escape is always in
    # lower case (RFC 8259 section 7), and the hexadecimal digit behind it may be in either case.
    return (b"\\ud" in text or b"\\uD" in text) and bool(_SURROGATE.search(_PAIRED_OR_OTHER.sub(b"", text)))


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise MessageInvalid("the message has a number that is too large")
    return number


def _no_constant(_name: str) -> NoReturn:
    raise MessageInvalid("the message has NaN or Infinity, which JSON does not know")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)


class _NoForm(TypeError):
    """A value in the data has no JSON form.

    Attributes:
        steps: the keys and indexes that lead to the value, from the inside out: ``["price"]``, ``[3]``.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.steps: list[str] = []


def _plain(value: object) -> object:
    """One step from a value that ``json`` does not know to one that it may know."""
    if isinstance(value, Enum):
        return value.value
    # A datetime is a date, too.
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclass_fields(value)}
    kind = type(value)
    if attrs.has(kind):
        return {item.name: getattr(value, item.name) for item in attrs.fields(kind)}
    if isinstance(value, Mapping):
        return dict(value)
    # A UserString is excluded: it is a sequence of UserStrings, each of which is again one, without end.
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview, UserString)):
        return list(value)
    raise _NoForm(f"a {kind.__qualname__} can't be sent as JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
_quick_encode = quick_encoder(_plain)


def _json(data: object) -> str:
    try:
        try:
            return _ENCODER.encode(data)
        except TypeError:
            # A key or a value has a type without a JSON form. The second try turns keys into texts, or finds the steps
            # that lead to the value.
            return _ENCODER.encode(_with_plain_keys(data))
    except _NoForm as found:
        raise TypeError(f"{''.join(('data', *reversed(found.steps)))}: {found}") from None
    except RecursionError:
        raise ValueError("the data is circular, or nested too deep to be written") from None


def _with_plain_keys(value: object) -> object:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict):
        return {_plain_key(key): _within(key, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_within(number, item) for number, item in enumerate(value)]
    return _with_plain_keys(_plain(value))


def _within(step: object, value: object) -> object:
    try:
        return _with_plain_keys(value)
    except _NoForm as found:
        found.steps.append(f"[{repr(step)[:_SHOWN_CHARACTERS]}]")
        raise


def _plain_key(key: object) -> object:
    if isinstance(key, Enum):
        return key.value
    if isinstance(key, UUID):
        return str(key)
    # json takes the key or refuses it with a TypeError.
    return key


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("the data has a lone surrogate, which UTF-8 can't hold") from None
