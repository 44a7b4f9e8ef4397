"""Finds the known name that is most like a wrong name, for error texts. It never suggests a very different name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["nearest", "unknown"]

# Three letters of four are in the same order: one slip in a short word, or a few in a long one. With a lower number
# "client" would find "slow_client", which would only mislead.
_SIMILARITY = 0.75
# Where a word begins in a name like maxMessageBytes.
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is spelled most like another.

    Capitals, and hyphens for underscores, make no difference.

    Returns:
        The name; None where no known name is similar enough.
    """
    spelled = {_plain(each): each for each in known}
    found = get_close_matches(_plain(name), spelled, 1, _SIMILARITY)
    return spelled[found[0]] if found else None


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that does not exist, as in "there is no setting max_nams; did you mean max_names?".

    Args:
        what: what kind of thing it would be: ``setting``, ``key``, ``option``.
        name: the wrong name.
        known: the names that exist.
    """
    near = nearest(name, known)
    return f"there is no {what} {name}" + ("" if near is None else f"; did you mean {near}?")


def _plain(name: str) -> str:
    return _INNER_CAPITAL.sub("_", name).replace("-", "_").lower()
