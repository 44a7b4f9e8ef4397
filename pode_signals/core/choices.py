"""Enumerations as arguments: a member, or the text of a member. This module knows no enumeration by itself."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

__all__ = ["chosen", "words_of"]

E = TypeVar("E", bound=Enum)


def chosen(kind: type[E], value: object, name: str) -> E:
    """The member that an argument stands for.

    Args:
        kind: the enumeration.
        value: a member, or its text: ``Scope.LOCAL`` or ``"local"``.
        name: the name of the argument, for the error.

    Raises:
        ValueError: the value is neither a member nor the text of one; the sentence names all texts.
    """
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{name} has to be one of {', '.join(words_of(kind))}, not {value!r}") from None


def words_of(kind: type[Any]) -> tuple[str, ...]:
    """The texts of an enumeration, in the order of its members."""
    return tuple(str(each.value) for each in kind)
