"""Mistakes of the program in arguments, each told in one sentence. Never looks at what a client sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["check_decorator", "check_function", "misplaced_argument"]


def check_decorator(call: str, value: object, example: str) -> None:
    """Check the first argument of a decorator, which has to be a text or several texts.

    Args:
        call: the name of the decorator.
        value: its first argument.
        example: the right way to write it, for the error.

    Raises:
        TypeError: the argument is a function, because the decorator was written without parentheses; or it is something
            else that is no text.
    """
    if callable(value):
        raise TypeError(f"{call} needs its parentheses: {example}")
    if not isinstance(value, str) and not (isinstance(value, Iterable) and not isinstance(value, bytes)):
        raise TypeError(f"{call} takes a text, as in {example}, not {value!r}")


def check_function(call: str, function: object) -> None:
    """Check that an argument can be called.

    Args:
        call: the name of the method that got the argument.
        function: the argument.

    Raises:
        TypeError: the argument can't be called.
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
