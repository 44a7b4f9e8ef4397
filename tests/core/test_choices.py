from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from pode_signals.core.choices import chosen, words_of
from pode_signals.core.model import Scope, Unrouted


@pytest.mark.parametrize("value", [Scope.LOCAL, "local"])
def test_a_member_or_its_text(value: Any) -> None:
    """S20.5: a member and its text are the same choice."""
    assert chosen(Scope, value, "scope") is Scope.LOCAL


@pytest.mark.parametrize("value", ["LOCAL", " local", "", None, True, 1, [], Scope, Unrouted.DROP])
def test_anything_else(value: Any) -> None:
    """S20.5: anything else is refused in a sentence that names the argument and the texts."""
    with pytest.raises(ValueError, match=r"^scope has to be one of global, local, not ") as caught:
        chosen(Scope, value, "scope")
    assert str(caught.value).endswith(repr(value))
    assert caught.value.__suppress_context__


def test_the_texts() -> None:
    """S20.5: the texts come in the order of the members, also where a value is no text."""
    assert words_of(Unrouted) == ("broadcast", "same_name", "drop")
    assert words_of(Enum("Number", {"ONE": 1})) == ("1",)
