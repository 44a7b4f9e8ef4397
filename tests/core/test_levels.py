from __future__ import annotations

from typing import Any

import pytest

from pode_signals.core.levels import BroadcastLevels
from pode_signals.core.model import BroadcastLevel

NAME, GROUP, CLIENT_ID = BroadcastLevel.NAME, BroadcastLevel.GROUP, BroadcastLevel.CLIENT_ID


def test_the_default_is_name() -> None:
    """S7.1: every name has the level NAME at first."""
    levels = BroadcastLevels()
    assert levels.get("Msg") is NAME
    assert levels.get() is NAME


def test_a_name_may_have_a_level_of_its_own() -> None:
    """S7.1: a level set for a name holds for it alone, before and after the one for all others is set."""
    levels = BroadcastLevels()
    levels.set(CLIENT_ID, "ResponseTimes")
    assert (levels.get("ResponseTimes"), levels.get("Msg")) == (CLIENT_ID, NAME)
    levels.set(GROUP)
    assert (levels.get("ResponseTimes"), levels.get("Msg"), levels.get()) == (CLIENT_ID, GROUP, GROUP)
    levels.set(NAME, "ResponseTimes")
    assert levels.get("ResponseTimes") is NAME


@pytest.mark.parametrize("level", ["NAME", "name", None, 0])
def test_only_a_level_is_a_level(level: Any) -> None:
    """S7.1: what is no BroadcastLevel is a TypeError that shows it, and changes nothing."""
    levels = BroadcastLevels()
    with pytest.raises(TypeError, match=rf"a BroadcastLevel, not {level!r}$"):
        levels.set(level, "Msg")
    assert levels.get("Msg") is NAME


@pytest.mark.parametrize(
    ("level", "groups", "client_ids", "allowed"),
    [
        (NAME, (), (), True),
        (NAME, ("g",), (), True),
        (NAME, (), ("c",), True),
        (NAME, ("g",), ("c",), True),
        (GROUP, (), (), False),
        (GROUP, ("g",), (), True),
        (GROUP, (), ("c",), True),
        (GROUP, ("g",), ("c",), True),
        (CLIENT_ID, (), (), False),
        (CLIENT_ID, ("g",), (), False),
        (CLIENT_ID, (), ("c",), True),
        (CLIENT_ID, ("g",), ("c",), True),
    ],
)
def test_what_each_level_asks_for(
    level: BroadcastLevel, groups: tuple[str, ...], client_ids: tuple[str, ...], allowed: bool
) -> None:
    """S7.2: NAME asks for a name, GROUP for a group or a client id beside it, CLIENT_ID for a client id."""
    levels = BroadcastLevels()
    levels.set(level, "Msg")
    assert levels.allows("Msg", groups, client_ids) is allowed
    assert levels.allows("Other", (), ()) is True


def test_levels_share_nothing() -> None:
    """S7.1: the levels of one hub are none of another's."""
    one, other = BroadcastLevels(), BroadcastLevels()
    one.set(CLIENT_ID)
    one.set(GROUP, "Msg")
    assert other.get("Msg") is NAME


def test_all_levels() -> None:
    """S7.1: the levels that were set are told by name, with the level of every other name; the answer is a copy."""
    levels = BroadcastLevels()
    assert levels.all() == {None: NAME}
    levels.set(CLIENT_ID, "Msg")
    levels.set(GROUP)
    assert levels.all() == {None: GROUP, "Msg": CLIENT_ID}
    levels.all().clear()
    assert levels.get("Msg") is CLIENT_ID
