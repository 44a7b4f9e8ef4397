"""The quick way to read and write JSON. It never decides where its result could differ from the careful way's.

The careful way is that of the standard library, in ``wire/json.py``. With the extra ``pode-signals[fast]`` the quick
way is orjson. Where a function here is not sure of its result, or finds an error, it says so; then the careful way
decides, and tells the error. PODE_SIGNALS_FAST=off in the environment turns the quick way off.

In two cases orjson differs, and leaves no way to find out. Of an Enum member that is also a text or a number, and whose
value is another one, orjson writes the value, and json writes the text or number. And orjson writes an
``orjson.Fragment``, which json refuses.
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

# Of an integer that does not fit into 64 bits orjson would make a float.
_MAYBE_BEYOND_64_BITS = re.compile(rb"\d{19}")

UNSURE: Any = object()
"""The result of :func:`quick_loads` in place of a document, where the careful way has to look."""

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
"""The library that the quick way uses: ``orjson`` or the standard library's ``json``."""


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
# getattr, since the method is not in the annotations of the class.
_scan: Any = getattr(_decoder, "scan_once")  # noqa: B009
_WRITTEN_AS_THEY_ARE = (str, int, float, list, tuple, dict)


def _orjson_encoder(default: Default) -> Encoder:
    options = _LIBRARY.OPT_PASSTHROUGH_DATACLASS | _LIBRARY.OPT_PASSTHROUGH_DATETIME | _LIBRARY.OPT_PASSTHROUGH_SUBCLASS

    def plain(value: Any) -> Any:
        # Subclasses of these types are for json: ``default`` would take a subclass of str for a sequence of characters.
        if isinstance(value, _WRITTEN_AS_THEY_ARE):
            raise TypeError
        return default(value)

    dumps = _LIBRARY.dumps

    def encode(data: object) -> bytes | None:
        try:
            encoded: bytes = dumps(data, plain, options)
        except (TypeError, ValueError):
            return None
        # orjson writes null for NaN, too, so a text with null goes the careful way. The look for one byte comes first,
        # since it is quicker and mostly finds nothing.
        return None if _LETTER_N in encoded and b"null" in encoded else encoded

    return encode


def _stdlib_encoder(default: Default) -> Encoder:
    make = getattr(json_encoder, "c_make_encoder", None)
    if make is None:
        return _nothing
    # The first argument, None, means that no list is kept of the containers that are being written. Circular data ends
    # by a RecursionError then.
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
"""Reads a payload that has at most this many digits. Returns the document, or :data:`UNSURE`."""
quick_encoder: Callable[[Default], Encoder]
"""Makes a function that writes data as compact UTF-8, or returns None where the careful way has to write. ``default``
gives a value in place of one of another type."""

if not FAST:
    quick_loads, quick_encoder = _never_sure, lambda _default: _nothing
elif _LIBRARY is not None:
    quick_loads, quick_encoder = _orjson_loads, _orjson_encoder
else:
    quick_loads, quick_encoder = _stdlib_loads, _stdlib_encoder
