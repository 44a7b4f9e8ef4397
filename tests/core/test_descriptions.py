from __future__ import annotations

import re
from inspect import getdoc
from typing import Any

import pytest
from attrs import define, field, fields

from pode_signals.core.counters import Counters
from pode_signals.core.descriptions import Description, described, description, with_descriptions
from pode_signals.core.settings import Settings


@with_descriptions
@define
class Sample:
    """A sample.

    It has two fields.
    """

    first: int = described("The first ``one``.", "number", default=1)
    second: str = described("A long one " + "of many words " * 12 + "and-no-break-at-hyphens.", default="")


def test_a_description() -> None:
    """S6.2: a field has its text and its values, and is a field of attrs like any other."""
    assert description(fields(Sample).first) == Description("The first ``one``.", "number")
    assert description(fields(Sample).second).values == ""
    assert (Sample().first, Sample(first=2).first) == (1, 2)


def test_the_docstring() -> None:
    """S6.2: the docstring of the class has its own text, and below it the description of each field."""
    text = getdoc(Sample) or ""
    assert text.startswith(
        "A sample.\n\nIt has two fields.\n\nAttributes:\n    first: The first ``one``.\n    second: A long"
    )
    assert max(map(len, text.splitlines())) <= 100
    assert "and-no-break-at-hyphens." in text


def test_a_field_without_a_description() -> None:
    """S6.2: a field that nobody described is an error when its class is made."""

    @define
    class Bare:
        """Bare."""

        only: int = field(default=1)

    with pytest.raises(KeyError):
        with_descriptions(Bare)


@pytest.mark.parametrize("kind", [Settings, Counters])
def test_each_is_described(kind: type[Any]) -> None:
    """S6.2: each setting and each counter is described in sentences, and help() shows each description."""
    shown = " ".join((getdoc(kind) or "").split())
    for each in fields(kind):
        text = description(each).text
        assert re.fullmatch(r"[A-Z].*\.", text), each.name
        assert f"{each.name}: {text}" in shown


def test_units() -> None:
    """S6.2: a setting says what it may be; a unit that stands in its name is the one that it says."""
    for each in fields(Settings):
        values = description(each).values
        assert values, each.name
        for ending, unit in (("_bytes", "bytes"), ("_seconds", "seconds"), ("_per_second", "a second")):
            assert not each.name.endswith(ending) or values.endswith(unit), each.name
