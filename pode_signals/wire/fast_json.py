"""The quick way to read and write JSON, where it is sure to mean the same as the standard library's careful way.

With the extra ``pode-signals[fast]`` it is orjson. Each function says so where it is not sure, or where something is
wrong: then the careful way decides, and says what. PODE_SIGNALS_FAST=off in the environment turns all of it off.

Only two things that orjson writes itself are out of reach: an Enum member that is a text or a number and was given
another value is its value, where json writes the text; and an ``orjson.Fragment``, which json refuses, is written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from json import encoder as json_encoder
from typing import Any, NoReturn

from ..core.environment import FAST

__all__ = ["LIBRARY", "UNSURE", "quick_encoder", "quick_loads"]

_MAYBE_BEYOND_64_BITS = re.compile(rb"\d{19}")  # orjson would make a float of it

UNSURE: Any = object()
"""What :func:`quick_loads` gives instead of a document."""

Default = Callable[[Any], Any]
Encoder = Callable[[object], bytes | None]


def _orjson() -> Any:
    try:
        import orjson
    except ImportError:
        return None
    return orjson


_LIBRARY: Any = _orjson() if FAST else None
_loads: Any = getattr(_LIBRARY, "loads", None)
_LETTER_N = ord("n")

LIBRARY = "json" if _LIBRARY is None else "orjson"
"""What is used: ``orjson`` or the standard library's ``json``."""


def _orjson_loads(payload: bytes, most_digits: int) -> Any:
    if most_digits >= 19 and _MAYBE_BEYOND_64_BITS.search(payload):
        return UNSURE
    try:
        return _loads(payload)
    except (ValueError, RecursionError):
        return UNSURE


def _stdlib_loads(payload: bytes, _most_digits: int) -> Any:
    try:
        text = payload.decode()
        document, end = _scan(text, 0)
    except (ValueError, StopIteration, RecursionError):
        return UNSURE
    return document if end == len(text) else UNSURE


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError
    return number


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
_scan: Any = getattr(_decoder, "scan_once")  # noqa: B009  # it is there, and not in the annotations
_WRITTEN_AS_THEY_ARE = (str, int, float, list, tuple, dict)


def _orjson_encoder(default: Default) -> Encoder:
    options = _LIBRARY.OPT_PASSTHROUGH_DATACLASS | _LIBRARY.OPT_PASSTHROUGH_DATETIME | _LIBRARY.OPT_PASSTHROUGH_SUBCLASS

    def plain(value: Any) -> Any:
        if isinstance(value, _WRITTEN_AS_THEY_ARE):
            raise TypeError  # json looks at what it holds; default at what else it is, such as a sequence of characters
        return default(value)

    dumps = _LIBRARY.dumps

    def encode(data: object) -> bytes | None:
        try:
            encoded: bytes = dumps(data, plain, options)
        except (TypeError, ValueError):
            return None
        # It writes null for NaN, too. To look for one byte first is quicker where that is not there.
        return None if _LETTER_N in encoded and b"null" in encoded else encoded

    return encode


def _stdlib_encoder(default: Default) -> Encoder:
    make = getattr(json_encoder, "c_make_encoder", None)
    if make is None:
        return _nothing
    # No markers of what is open: circular data ends by RecursionError.
    write = make(None, default, json_encoder.encode_basestring, None, ":", ",", False, False, False)

    def encode(data: object) -> bytes | None:
        try:
            return "".join(write(data, 0)).encode()
        except (TypeError, ValueError, RecursionError):
            return None

    return encode


def _nothing(*_args: Any) -> None:
    return None


def _never_sure(_payload: bytes, _most_digits: int) -> Any:
    return UNSURE


quick_loads: Callable[[bytes, int], Any]
"""The document of a payload, in which there are at most so many digits; :data:`UNSURE`: the careful way has to look."""
quick_encoder: Callable[[Default], Encoder]
"""Makes what writes compact UTF-8; ``default`` gives what stands for other types. None: careful."""

if not FAST:
    quick_loads, quick_encoder = _never_sure, lambda _default: _nothing
elif _LIBRARY is not None:
    quick_loads, quick_encoder = _orjson_loads, _orjson_encoder
else:
    quick_loads, quick_encoder = _stdlib_loads, _stdlib_encoder
