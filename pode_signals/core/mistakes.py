"""Mistakes of the program in arguments, each told in one sentence. Never looks at what a client sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["check_decorator", "check_function", "misplaced_argument"]


def check_decorator(call: str, value: object, example: str) -> None:
    """Let text pass, or several texts, as what a decorator is about.

    Args:
        call: the name of the method.
        value: what it got first.
        example: how it is written.

    Raises:
        TypeError: a function, because the decorator has no parentheses, or anything else that is no text.
    """
    if callable(value):
        raise TypeError(f"{call} needs its parentheses: {example}")
    if not isinstance(value, str) and not (isinstance(value, Iterable) and not isinstance(value, bytes)):
        raise TypeError(f"{call} takes a text, as in {example}, not {value!r}")


def check_function(call: str, function: object) -> None:
    """Let nothing but what can be called pass.

    Args:
        call: the name of the method.
        function: what is to be called later.

    Raises:
        TypeError: it can't be called.
    """
    if not callable(function):
        raise TypeError(f"{call} takes a function that can be called, not {function!r}")


def misplaced_argument(call: str, misplaced: Sequence[object]) -> TypeError:
    """The error for arguments behind the data that have no keyword.

    Args:
        call: the name of the method.
        misplaced: these arguments; a text that comes first was meant as the name.
    """
    sentence = f"{call} takes the data alone without a keyword"
    name = misplaced[0]
    return TypeError(f"{sentence}: write {call}(data, name={name!r})" if isinstance(name, str) else sentence)
