"""Counts that must not get smaller, and what notices where one does. Nothing in here is a test."""

from __future__ import annotations

from collections import Counter
from typing import Any


class Growing(Counter[Any]):
    """A counter by key of which no count gets smaller."""

    def __setitem__(self, key: Any, value: int) -> None:
        grows(f"a count of {key!r}", self[key], value)
        super().__setitem__(key, value)


DECREASES: list[str] = []


def grows(what: str, before: int, after: int) -> None:
    """Fail where a count gets smaller, and remember it for where a fence keeps the failure."""
    if after < before:
        DECREASES.append(f"{what} went from {before} to {after}")
        raise AssertionError(DECREASES[-1])
