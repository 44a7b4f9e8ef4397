"""The tables of the pages that are made from the package: ``python docs/tables.py`` writes them anew, nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from attrs import Attribute, fields

from pode_signals.command.keys import SERVICE_KEYS
from pode_signals.core.counters import Counters
from pode_signals.core.descriptions import description
from pode_signals.core.settings import Settings
from pode_signals.insight.numbers import NUMBERS
from pode_signals.wire.frames import CloseCode

PAGES = sorted(Path(__file__).parent.glob("*.md"))

_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def rendered(page: str) -> str:
    """The text of a page with its tables as they have to be."""
    return _TABLE.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n\n{match[3]}", page)


def settings_table() -> str:
    """Each setting with its default, what it may be and what it means."""
    rows = (
        (f"`{each.name}`", _default(each), _values(each), _markdown(description(each).text))
        for each in fields(Settings)
    )
    return _table(("setting", "default", "value", "meaning"), rows)


def options_table() -> str:
    """Each option of the command that is no setting."""
    rows = (
        (f"`--{'endpoint' if name == 'endpoints' else name.replace('_', '-')}`", _markdown(key.text), key.default)
        for name, key in SERVICE_KEYS.items()
    )
    return _table(("option", "meaning", "without the option"), rows)


def counters_table() -> str:
    """Each counter with what it counts."""
    rows = [(f"`{each.name}{_braces(each)}`", _markdown(description(each).text)) for each in fields(Counters)]
    sums = {name: each.__doc__ or "" for name, each in vars(Counters).items() if isinstance(each, property)}
    rows += [(f"`{name}`", text) for name, text in sums.items()]
    return _table(("counter", "counts"), rows)


def numbers_table() -> str:
    """Each number of ``signals.insight`` with its labels and what it means."""
    rows = (
        (f"`{name}`", ", ".join(f"`{label}`" for label in each.labels), each.text) for name, each in NUMBERS.items()
    )
    return _table(("number", "by", "meaning"), rows)


def close_codes_table() -> str:
    """Each close code with its name, who defined it and when it is used."""
    rows = ((str(each.value), f"`{each.name}`", each.source, _markdown(each.meaning)) for each in CloseCode)
    return _table(("code", "`CloseCode`", "defined by", "meaning"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "options": options_table,
    "counters": counters_table,
    "numbers": numbers_table,
    "close_codes": close_codes_table,
}
"""What makes the table that a page names."""


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def _braces(attribute: Attribute[Any]) -> str:
    return "{}" if "Counter" in str(attribute.type) else ""


def _default(attribute: Attribute[Any]) -> str:
    value = attribute.default
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,}".removesuffix(".0")
    return "none" if value == () else str(value)


def _values(attribute: Attribute[Any]) -> str:
    values = _markdown(description(attribute).values)
    if isinstance(attribute.default, Enum):
        return f"{values} (`{type(attribute.default).__name__}`)"
    return values


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(each.replace("|", "\\|") for each in line) + " |" for line in lines)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(rendered(path.read_text(encoding="utf-8")), encoding="utf-8")
