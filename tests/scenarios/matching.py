"""Whether what went over the wire is what a line of a scenario says. It knows no client and no server."""

from __future__ import annotations

from typing import Any

from scenarios.lines import ANYTHING_MORE, Variable

__all__ = ["Bindings", "Mismatch", "Untaken"]


class Mismatch(AssertionError):
    """Something is not what the scenario says."""


class Untaken:
    """What went over a client's wire, and no line of the scenario has taken yet."""

    def __init__(self) -> None:
        self._taken = {"<-": 0, "->": 0}

    def records(self) -> list[dict[str, Any]]:
        """All that went over the wire so far, in its order."""
        raise NotImplementedError

    def left(self, direction: str) -> list[dict[str, Any]]:
        """What no line has taken."""
        return [each for each in self.records() if each["direction"] == direction][self._taken[direction] :]

    def take(self, direction: str) -> dict[str, Any]:
        """What comes next."""
        left = self.left(direction)
        if not left:
            raise Mismatch(f"nothing is there to be taken. These went over the wire: {self.records()!r}")
        self._taken[direction] += 1
        return left[0]

    def check_all_taken(self, who: str) -> None:
        """See that lines took everything."""
        for direction in ("<-", "->"):
            if left := self.left(direction):
                raise Mismatch(f"no line takes what went over the wire of {who}: {left!r}")


class Bindings:
    """The values of a scenario's variables, as far as they are known.

    Args:
        values: those that are known already.

    Attributes:
        values: all that are known, by the names of the variables.
    """

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        self.values: dict[str, Any] = {} if values is None else values

    def bind(self, variable: Variable, value: Any) -> None:
        """Give a variable its value, or see that it has that value."""
        known = self.values.setdefault(variable.name, value)
        if not _same(known, value):
            raise Mismatch(f"${variable.name} is {known!r}, and not {value!r}")

    def match(self, pattern: Any, value: Any) -> None:
        """See that a value is what a pattern says.

        Raises:
            Mismatch: it is not.
        """
        if isinstance(pattern, Variable):
            self.bind(pattern, value)
        elif isinstance(pattern, dict) and isinstance(value, dict):
            named = [key for key in pattern if key != ANYTHING_MORE]
            if missing := [key for key in named if key not in value]:
                raise Mismatch(f"{missing} is not in {value!r}")
            if ANYTHING_MORE not in pattern and (more := [key for key in value if key not in pattern]):
                raise Mismatch(f"{more} is too much in {value!r}")
            for key in named:
                self.match(pattern[key], value[key])
        elif isinstance(pattern, list) and isinstance(value, list) and len(pattern) == len(value):
            for inner, each in zip(pattern, value, strict=True):
                self.match(inner, each)
        elif not _same(pattern, value):
            raise Mismatch(f"{value!r} is not {pattern!r}")

    def filled(self, pattern: Any) -> Any:
        """A pattern with its variables' values in their places; one that has no value yet gets a new text."""
        if isinstance(pattern, Variable):
            return self.values.setdefault(pattern.name, f"{pattern.name}.{len(self.values)}")
        if isinstance(pattern, dict):
            return {key: self.filled(each) for key, each in pattern.items() if key != ANYTHING_MORE}
        if isinstance(pattern, list | tuple):
            return [self.filled(each) for each in pattern]
        return pattern


def _same(one: Any, other: Any) -> bool:
    # For Python 1 equals True; in JSON it is no boolean.
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
