"""Makes the fields of settings: each with its default, its check, its unit and its description. It knows no setting."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Any

from attrs import Attribute, Converter

from .addresses import TrustedProxies
from .choices import chosen, words_of
from .descriptions import described
from .origin import is_origin_entry

__all__ = ["amount", "choice", "count", "flag", "networks", "origins"]

# Each function returns Any: in the class body its result is assigned to a name that is annotated with the type of the
# setting, and attrs puts a value of that type in its place.


def count(default: int | None, unit: str, text: str, *, least: int = 1) -> Any:
    """A whole number; also None, where that is the default."""
    or_none = " or None" if default is None else ""

    def is_good(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return _checked(default, f"a whole number of {least} or more{or_none}", is_good, text, unit + or_none)


def amount(default: float, unit: str, text: str) -> Any:
    """A number above 0."""

    def is_good(value: object) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and math.isfinite(value) and value > 0  # type: ignore[arg-type, operator]  # a number

    return _checked(default, "a number above 0", is_good, text, unit)


def flag(default: bool | None, text: str) -> Any:
    """True or False; also None, where that is the default."""
    values = "True or False" if default is not None else "True, False or None"
    return _checked(default, values, lambda value: isinstance(value, bool), text, values)


def choice(default: Enum, text: str) -> Any:
    """A member of the default's enumeration, which may be given as its text."""
    kind = type(default)
    member: Any = Converter(lambda value, attribute: chosen(kind, value, attribute.name), takes_field=True)
    values = ", ".join(f"``{word}``" for word in words_of(kind))
    return described(text, values, default=default, converter=member)


def origins(text: str) -> Any:
    """A list of entries for ``allowed_origins``, or None, the default."""
    wanted = "None or a list of origins such as https://example.com, without a path"

    def is_good(value: object) -> bool:
        return isinstance(value, tuple) and all(isinstance(each, str) and is_origin_entry(each) for each in value)

    return _checked(None, wanted, is_good, text, "list of texts or None", converter=_as_tuple)


def networks(text: str) -> Any:
    """A list of addresses and networks, by default an empty one."""
    wanted = "a list of addresses or networks such as 10.0.0.0/8 (without host bits), or unix for UNIX sockets"

    def is_good(value: object) -> bool:
        if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
            return False
        try:
            TrustedProxies(value)
        except ValueError:
            return False
        return True

    return _checked((), wanted, is_good, text, "list of texts", converter=_as_tuple)


def _checked(
    default: object,
    wanted: str,
    is_good: Callable[[object], bool],
    text: str,
    values: str,
    *,
    converter: Callable[[Any], Any] | None = None,
) -> Any:
    def check(_settings: Any, attribute: Attribute[Any], value: object) -> None:
        if value is None and default is None:
            return
        if not is_good(value):
            raise ValueError(f"{attribute.name} has to be {wanted}, not {value!r}")

    return described(text, values, default=default, validator=check, converter=converter)


def _as_tuple(value: Any) -> Any:
    # A list or a set would let its owner change a setting later.
    return tuple(value) if isinstance(value, list | set | frozenset) else value
