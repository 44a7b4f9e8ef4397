"""The tables of settings.md, made from the package: ``python docs/tables.py`` writes them anew, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from inspect import cleandoc
from pathlib import Path
from typing import Any

from attrs import Attribute, fields

from pode_signals.core.counters import Counters
from pode_signals.core.settings import Settings

PAGE = Path(__file__).parent / "settings.md"

_DOCUMENTED = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def rendered(page: str) -> str:
    """The text of a page with its tables as they have to be."""
    tables = {"settings": settings_table(), "counters": counters_table()}
    return _TABLE.sub(lambda match: f"{match[1]}\n{tables[match[2]]}\n\n{match[3]}", page)


def settings_table() -> str:
    """Each setting with its default, its unit and what it does."""
    said = documented(Settings)
    rows = ((f"`{each.name}`", _default(each), _unit(each), said[each.name]) for each in fields(Settings))
    return _table(("setting", "default", "unit", "meaning"), rows)


def counters_table() -> str:
    """Each counter with what it counts."""
    said = documented(Counters)
    rows = ((f"`{each.name}{_braces(each)}`", said[each.name]) for each in fields(Counters))
    return _table(("counter", "counts"), rows)


def documented(kind: type[Any]) -> Mapping[str, str]:
    """What the docstring of an attrs class says about each of its fields.

    Raises:
        ValueError: it leaves one out, or has one that is no field.
    """
    found = _DOCUMENTED.findall(cleandoc(kind.__doc__ or ""))
    said = {name: " ".join(text.split()).replace("``", "`") for name, text in found}
    names = {each.name for each in fields(kind)}
    if said.keys() != names:
        raise ValueError(f"the docstring of {kind.__name__} and its fields differ: {sorted(said.keys() ^ names)}")
    return said


def _braces(attribute: Attribute[Any]) -> str:
    return "{}" if "Counter" in str(attribute.type) else ""


def _default(attribute: Attribute[Any]) -> str:
    value = attribute.default
    if isinstance(value, Enum):
        return f"`{type(value).__name__}.{value.name}`"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,}".removesuffix(".0")
    if isinstance(value, str):
        return f'`"{value}"`'
    return "none" if value == () else str(value)


def _unit(attribute: Attribute[Any]) -> str:
    name, kind = attribute.name, str(attribute.type)
    for unit in ("bytes", "seconds"):
        if name.endswith(f"_{unit}"):
            return unit
    if name.endswith("_per_second"):
        return "a second"
    literal = re.match(r"Literal\[(.*)\]", kind)
    if literal is not None:
        return " or ".join(f"`{each.strip()}`" for each in literal[1].replace("'", '"').split(","))
    if isinstance(attribute.default, Enum):
        return f"`{kind}`"
    words = {"bool": "True or False", "int": "number", "float": "number", "tuple[str, ...]": "list of texts"}
    plain = kind.removesuffix(" | None")
    return words[plain] + ("" if plain == kind else " or None")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(each.replace("|", "\\|") for each in line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
