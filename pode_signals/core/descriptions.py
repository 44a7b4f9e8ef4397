"""Fields of attrs classes with one description each, and docstrings made of the descriptions. It checks no value."""

from __future__ import annotations

from inspect import cleandoc
from textwrap import fill
from typing import Any, TypeVar

from attrs import Attribute, field, fields, frozen

__all__ = ["Description", "described", "description", "with_descriptions"]

_KEY = "pode_signals description"
_NAME_INDENT, _TEXT_INDENT = " " * 4, " " * 8
_WIDTH = 100

T = TypeVar("T")


@frozen
class Description:
    """The description of a field, which the docs, ``--help`` and the docstring of the class all show.

    Attributes:
        text: what the field means, in sentences, with reStructuredText's double backquotes around code.
        values: what the field may be, in a few words: a unit, or the choices.
    """

    text: str
    values: str = ""


def described(text: str, values: str = "", **arguments: Any) -> Any:
    """An attrs field with a description.

    Args:
        text: the description, see :class:`Description`.
        values: what the field may be.
        arguments: those of ``attrs.field``.
    """
    return field(metadata={_KEY: Description(text, values)}, **arguments)


def description(attribute: Attribute[Any]) -> Description:
    """The description of a field that :func:`described` made.

    Raises:
        KeyError: the field has none.
    """
    found: Description = attribute.metadata[_KEY]
    return found


def with_descriptions(kind: type[T]) -> type[T]:
    """A decorator above attrs' own: the docstring of the class gets the descriptions of the fields."""
    # Sphinx and help() read no metadata, so the descriptions go where both look.
    lines = [_entry(each.name, description(each).text) for each in fields(kind)]  # type: ignore[arg-type]
    kind.__doc__ = f"{cleandoc(kind.__doc__ or '')}\n\nAttributes:\n" + "\n".join(lines) + "\n"
    return kind


def _entry(name: str, text: str) -> str:
    return fill(
        f"{name}: {text}",
        _WIDTH,
        initial_indent=_NAME_INDENT,
        subsequent_indent=_TEXT_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
