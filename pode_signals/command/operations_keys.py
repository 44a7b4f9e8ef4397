"""The keys of a configuration's section ``[operations]``, and their options. It makes no operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.endpoints import Endpoint
from ..core.nearest import unknown
from ..core.paths import absolute_path
from ..errors import ConfigurationInvalid
from .keys import Key

__all__ = ["ENDPOINTS", "OPERATIONS_KEYS", "SECTION", "checked_operations", "operations_value", "option_name"]

SECTION = "operations"
"""The name of the section, and the beginning of each of its options."""
ENDPOINTS = "endpoints"

_YES_OR_NO = {"yes": True, "true": True, "no": False, "false": False}


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _flag(text: str) -> Key:
    return Key("yes|no", text, "true or false", _is_flag, "no")


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


OPERATIONS_KEYS: Mapping[str, Key] = {
    ENDPOINTS: Key(
        "ENDPOINT",
        "Where those who operate the service find health and metrics: an http or https endpoint, written as for"
        " ``--endpoint``. Other machines reach such an endpoint only with a token. There may be several.",
        "a list",
        lambda value: isinstance(value, list),
        "none",
    ),
    "tokens": Key("FILE", "The file of tokens.", "a text", lambda value: isinstance(value, str), "none"),
    "prefix": Key(
        "PATH",
        "The path below which operations are on the ports of the application.",
        "a text",
        lambda value: isinstance(value, str),
        "/signals",
    ),
    "metric_names": Key(
        "LIST",
        "Names of connections that have series of their own in the metrics from the start.",
        "a list of texts",
        _is_list_of_texts,
        "none",
    ),
    "max_metric_names": Key(
        "NUMBER",
        "How many names of connections have series of their own in the metrics, beside those.",
        "a whole number",
        lambda value: isinstance(value, int) and not isinstance(value, bool),
        "20",
    ),
    "ready_needs_backplane": _flag(
        "Whether ``/readyz`` says no while the other nodes are not reached, and not only that something is wrong."
    ),
    "health_on_application": _flag("Whether health is answered on the ports of the application, too."),
    "operations_on_application": _flag(
        "Whether all of it is below the prefix on the ports of the application, too. There all but health takes a"
        " token, wherever a request comes from."
    ),
}
"""The keys of the section. They are the arguments of ``Operations``."""

_READ: Mapping[str, Callable[[str], Any]] = {
    "FILE": absolute_path,
    "PATH": str,
    "LIST": lambda text: [each.strip() for each in text.split(",") if each.strip()],
    "NUMBER": lambda text: int(text) if text.strip().isdigit() else text,
    "yes|no": lambda text: _YES_OR_NO.get(text.strip().lower(), text),
}


def option_name(key: str) -> str:
    """The option of a key, without its hyphens at the beginning."""
    name = "endpoint" if key == ENDPOINTS else key.removeprefix(f"{SECTION}_")
    return f"{SECTION}-{name.replace('_', '-')}"


def operations_value(key: str, text: str, shown: str) -> Any:
    """The value of a key from its text on the command line, or in a variable of the environment.

    Args:
        key: the key, and not ``endpoints``.
        text: the text.
        shown: how whoever wrote the text calls the key, for the error.

    Raises:
        ConfigurationInvalid: the text makes no sense; the sentence begins with ``shown``.
    """
    value = _READ[OPERATIONS_KEYS[key].values](text)
    if not OPERATIONS_KEYS[key].is_good(value):
        raise ConfigurationInvalid(f"{shown} has to be {OPERATIONS_KEYS[key].wanted}, not {text!r}")
    return value


def checked_operations(values: Mapping[str, Any], endpoint: Callable[[int, Any], Endpoint]) -> dict[str, Any]:
    """The section of a file, checked.

    Args:
        values: the section.
        endpoint: reads an endpoint by its number and its value in the file.

    Raises:
        ConfigurationInvalid: a key does not exist, or its value makes no sense.
    """
    for key, value in values.items():
        if key not in OPERATIONS_KEYS:
            raise ConfigurationInvalid(f"[{SECTION}]: {unknown('key', key, OPERATIONS_KEYS)}")
        if not OPERATIONS_KEYS[key].is_good(value):
            raise ConfigurationInvalid(f"[{SECTION}] {key} has to be {OPERATIONS_KEYS[key].wanted}, not {value!r}")
    found = dict(values)
    try:
        found[ENDPOINTS] = [endpoint(number, each) for number, each in enumerate(values.get(ENDPOINTS, ()), 1)]
    except ConfigurationInvalid as error:
        raise ConfigurationInvalid(f"[{SECTION}]: {error}") from error
    return found
