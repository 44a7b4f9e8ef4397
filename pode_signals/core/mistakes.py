"""Mistakes of the program in arguments, each told in one sentence. Never looks at what a client sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from types import FunctionType, MethodType
from typing import ParamSpec, TypeVar

__all__ = [
    "answer_seconds",
    "called_as",
    "check_decorator",
    "check_function",
    "check_function_of_event",
    "misplaced_argument",
]

_LEAST_ANSWER_SECONDS, _MOST_ANSWER_SECONDS = 0.1, 60.0

P = ParamSpec("P")
R = TypeVar("R")


def answer_seconds(timeout: object) -> float:
    """Check how long an acknowledged send waits for answers.

    Raises:
        TypeError: it is no number.
        ValueError: it is not within 0.1 and 60 seconds.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout has to be a number of seconds, not {timeout!r}")
    if not _LEAST_ANSWER_SECONDS <= timeout <= _MOST_ANSWER_SECONDS:
        raise ValueError(f"timeout has to be 0.1 to 60 seconds, not {timeout!r}")
    return timeout


def called_as(example: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For a method that makes a decorator and needs several arguments: a wrong call is a sentence with the right one.

    Args:
        example: the right way to write the call.
    """

    def with_example(method: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(method)
        call = method.__name__

        @wraps(method)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            # The first argument is the object of the method.
            if args[1:]:
                check_decorator(call, args[1], example)
            try:
                parameters.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{call}: {error}; write {example}") from None
            return method(*args, **kwargs)

        return checked

    return with_example


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


def check_function_of_event(call: str, function: object, further: int = 0) -> None:
    """Check that an argument can be called with an event.

    Only of plain functions and methods, and partials of these, is it sure what they can be called with.

    Args:
        call: the name of the method that got the argument.
        function: the argument.
        further: how many arguments come after the event.

    Raises:
        TypeError: the argument can't be called, or not with an event and so many further arguments.
    """
    check_function(call, function)
    innermost = function
    while isinstance(innermost, partial):
        innermost = innermost.func
    if type(innermost) not in (FunctionType, MethodType):
        return
    # What a function wraps may take other arguments than the function itself.
    parameters = inspect.signature(function, follow_wrapped=False)  # type: ignore[arg-type]  # it can be called
    try:
        parameters.bind(*(None for _ in range(1 + further)))
    except TypeError:
        more = f" and {further} more argument{'s' if further > 1 else ''}" if further else ""
        name = getattr(innermost, "__name__", "function")
        plain = [each.replace(annotation=each.empty) for each in parameters.parameters.values()]
        raise TypeError(f"{call} takes a function of the event{more}, not {name}{inspect.Signature(plain)}") from None


def misplaced_argument(call: str, misplaced: Sequence[object]) -> TypeError:
    """The error for arguments behind the data that have no keyword.

    Args:
        call: the name of the method.
        misplaced: these arguments; a text that comes first was meant as the name.
    """
    sentence = f"{call} takes the data alone without a keyword"
    name = misplaced[0]
    return TypeError(f"{sentence}: write {call}(data, name={name!r})" if isinstance(name, str) else sentence)
