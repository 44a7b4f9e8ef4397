"""The text of ``--help``: each option with its meaning, in the order of the documentation. It parses nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from textwrap import fill
from typing import Any

from attrs import Attribute, fields

from ..core.choices import words_of
from ..core.descriptions import description
from ..core.settings import Settings
from .keys import SERVICE_KEYS
from .operations_keys import OPERATIONS_KEYS, option_name

__all__ = ["dashed", "help_text", "setting_text"]

_MOST_COLUMNS = 100
_ABOUT = (
    "Serves WebSocket connections with names, groups and client ids, beside HTTP: a program of yours (--app), or the"
    " example, a chat page on http://localhost:8091/.",
    "Each option is also a variable of the environment, PODE_SIGNALS_DRAIN_SECONDS for --drain-seconds, and a key of"
    " the --config file. An option goes before a variable, and a variable before the file.",
    "SIGTERM sends the clients away and stops the server; a second SIGTERM stops the server at once. SIGHUP reads"
    " certificates, passwords, secrets, tokens and log levels again.",
)


def help_text(columns: int) -> str:
    """The whole text, which follows the line on the use of the command.

    Args:
        columns: the width of the terminal.
    """
    width = min(columns, _MOST_COLUMNS)
    about = (fill(each, width) for each in _ABOUT)
    groups = {"The service:": _of_the_service(), "Operations:": _of_operations(), "The hub:": _of_the_hub()}
    parts = (*about, *(_listed(title, options, width) for title, options in groups.items()))
    return "\n" + "\n\n".join(parts) + "\n"


def dashed(name: str) -> str:
    """The name of an option: the name of its key, with hyphens in place of underscores."""
    return name.replace("_", "-")


def setting_text(attribute: Attribute[Any]) -> str:
    """The description of a setting, with its default."""
    return f"{_unmarked(description(attribute).text)} (default: {_default(attribute)})"


def _of_the_service() -> Iterator[tuple[str, str]]:
    yield "--config=FILE", "A TOML file with these options as keys: _ in place of -, and a list of endpoints."
    for name, key in SERVICE_KEYS.items():
        option = "endpoint" if name == "endpoints" else dashed(name)
        default = f" (default: {key.default})" if key.default else ""
        yield f"--{option}" + (f"={key.values}" if key.values else ""), _unmarked(key.text) + default
    yield "--help", "Show this text and exit."
    yield "--version", "Show the version and exit."


def _of_operations() -> Iterator[tuple[str, str]]:
    for name, key in OPERATIONS_KEYS.items():
        yield f"--{option_name(name)}={key.values}", f"{_unmarked(key.text)} (default: {key.default})"


def _of_the_hub() -> Iterator[tuple[str, str]]:
    for attribute in fields(Settings):
        yield f"--{dashed(attribute.name)}={_values(attribute)}", setting_text(attribute)


def _listed(title: str, options: Iterable[tuple[str, str]], width: int) -> str:
    lines = [title]
    for option, text in options:
        lines.append(f"  {option}")
        lines.append(
            fill(
                text,
                width,
                initial_indent=" " * 6,
                subsequent_indent=" " * 6,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(lines)


def _values(attribute: Attribute[Any]) -> str:
    if isinstance(attribute.default, Enum):
        return "|".join(words_of(type(attribute.default)))
    kind = str(attribute.type).partition("[")[0].partition(" ")[0]
    words = {"bool": "yes|no", "tuple": "LIST"}.get(kind, "NUMBER")
    return f"{words}|none" if attribute.default is None else words


def _default(attribute: Attribute[Any]) -> str:
    value = attribute.default
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == ():
        return "none"
    number = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{number} {description(attribute).values}"


def _unmarked(text: str) -> str:
    return text.replace("``", "")
