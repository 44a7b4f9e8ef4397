"""SECURITY.md: what it says of settings and tests is so."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import NamedTuple

import pytest
from attrs import fields
from pages import DOCS, ROOT, SPAN

from pode_signals import Endpoint, Operations, RedisBackplane, Signals
from pode_signals.core.settings import SETTING_NAMES, Settings

PAGE = ROOT / "SECURITY.md"
CLASSES = (Endpoint.__name__, Operations.__name__, RedisBackplane.__name__)
NO_PROTECTIONS = {"default_scope", "expiry_grace_seconds", "fast", "listen_backlog"}
NO_PROTECTIONS |= {"max_pending_acknowledgements", "presence_grace_seconds", "signals_protocol"}


class Threat(NamedTuple):
    """A row of the table."""

    threat: str
    default: str
    knob: str
    test: str


def rows() -> list[Threat]:
    """The rows of the table, without its head."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [Threat(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines[1:]]


ROWS = rows()
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.threat[:30])


@cache
def names_in(file_name: str) -> set[str]:
    """The names of the tests of a file."""
    tree = ast.parse((ROOT / file_name).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def knobs(row: Threat) -> list[str]:
    """The names of settings and calls in the third column."""
    return [name.partition("(")[0] for name in SPAN.findall(row.knob)]


def test_the_table_is_there() -> None:
    """S16.7: the threat model has its rows, each of them whole."""
    assert len(ROWS) > 30
    assert all(all(row) for row in ROWS)


@each_row
def test_the_tests_exist(row: Threat) -> None:
    """S16.7: each threat has a test, and it is there."""
    named = SPAN.findall(row.test)
    assert named
    for each in named:
        file_name, _, name = each.partition("::")
        assert name in names_in(file_name), each


@each_row
def test_the_knobs_exist(row: Threat) -> None:
    """S16.7: each knob is a setting, something of Signals, or one of the classes that take settings of their own."""
    for name in knobs(row):
        assert name in SETTING_NAMES or hasattr(Signals(), name) or name in CLASSES, name


@each_row
def test_the_numbers_are_the_defaults(row: Threat) -> None:
    """S16.7: each default that is a number stands in the table as it is."""
    defaults = {each.name: each.default for each in fields(Settings)}
    for name in knobs(row):
        number = defaults.get(name)
        if isinstance(number, int | float) and not isinstance(number, bool):
            words = (f"{number:,}".removesuffix(".0"), f"{number / 1_024:g} KiB", f"{number / 1_048_576:g} MiB")
            assert any(re.search(rf"(?<!\d)(?<!\d,){re.escape(each)}(?!,?\d)", row.default) for each in words), name


def test_every_protection_is_there() -> None:
    """S16.7: every setting that protects is the knob of a threat."""
    named = {name for row in ROWS for name in knobs(row)}
    assert set(SETTING_NAMES) - named == NO_PROTECTIONS


def test_the_documentation_has_it() -> None:
    """S16.7: the page on security shows the threat model, from where it begins."""
    page = (DOCS / "security.md").read_text(encoding="utf-8")
    assert "```{include} ../SECURITY.md\n:start-after: <!-- threats -->\n```" in page
    assert PAGE.read_text(encoding="utf-8").count("<!-- threats -->") == 1
    assert " SECURITY.md " in (ROOT / "MANIFEST.in").read_text(encoding="utf-8")
