"""The groups of one connection, as a tuple in the order of joining. It knows no connection, and no other group."""

from __future__ import annotations

from collections.abc import Sequence

from .names import check_name

__all__ = ["checked_groups", "given_groups", "with_group", "without_group"]


def given_groups(given: object) -> tuple[str, ...]:
    """The groups that an application gives as one text, several texts or None: each once, in their order.

    Raises:
        TypeError: a group is no ``str``.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Sequence | set | frozenset) or isinstance(given, bytes):
        raise TypeError(f"the group has to be a str or several of them, not {type(given).__name__}")
    for each in given:
        if not isinstance(each, str):
            raise TypeError(f"each group has to be a str, not {type(each).__name__}")
    return tuple(dict.fromkeys(given))


def checked_groups(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """The groups of a conversion.

    Raises:
        NameInvalid: a text can't be a group.
        TypeError: a group is no ``str``.
    """
    groups = given_groups(given)
    for group in groups:
        check_name("group", group)
    return groups


def with_group(groups: tuple[str, ...], group: str) -> tuple[str, ...]:
    """The groups with one more behind them."""
    return (*groups, group)


def without_group(groups: tuple[str, ...], group: str) -> tuple[str, ...]:
    """The groups without one of them."""
    return tuple(each for each in groups if each != group)
