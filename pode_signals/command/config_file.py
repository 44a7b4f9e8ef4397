"""A configuration file in TOML: from its text to checked values. It opens no port and starts no service."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import fields

from ..core.endpoints import Endpoint
from ..core.nearest import nearest, unknown
from ..errors import ConfigurationInvalid
from ..ports.files import read_text
from .keys import FILE_KEYS, PATHS, SERVICE_KEYS, checked_settings, checked_value
from .operations_keys import SECTION, checked_operations

__all__ = ["read_file"]

_OPERATIONS_PATHS = ("tokens",)
_ENDPOINT_KEYS = tuple(attribute.name for attribute in fields(Endpoint))


def read_file(path: Path, *, again: bool = False) -> dict[str, Any]:
    """Read a configuration file.

    Args:
        path: the file. The paths in it are relative to its folder.
        again: whether the file was read before.

    Returns:
        The values by their keys, checked.

    Raises:
        ConfigurationInvalid: the file can't be read, or has a mistake; one sentence that names the file and the key.
    """
    text = read_text(path, again=again)
    try:
        values = tomllib.loads(text)
    except ValueError as error:
        raise ConfigurationInvalid(f"{path}: {error}") from error
    try:
        return _checked(values, path.parent)
    except ConfigurationInvalid as error:
        raise ConfigurationInvalid(f"{path}: {error}") from error


def _checked(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    for key, value in values.items():
        _check_place(key, value)
    _make_relative(values, folder, PATHS)
    checked = {key: checked_value(key, value) for key, value in values.items() if key in SERVICE_KEYS}
    found = enumerate(checked.get("endpoints", ()), 1)
    checked["endpoints"] = [_endpoint(number, each, folder) for number, each in found]
    if SECTION in values:
        _make_relative(values[SECTION], folder, _OPERATIONS_PATHS)
        checked[SECTION] = checked_operations(values[SECTION], lambda number, each: _endpoint(number, each, folder))
    return {**checked, **checked_settings(values)}


def _check_place(key: str, value: Any) -> None:
    """Refuse a key or a section that does not exist, and a key in a wrong place."""
    section = _section(key, value)
    if key == SECTION:
        if section != f"[{SECTION}]":
            raise ConfigurationInvalid(f"{SECTION} has to be a section: write [{SECTION}] above its keys")
    elif key in FILE_KEYS:
        if section == "[endpoints]":
            raise ConfigurationInvalid("endpoints has to be a list: write [[endpoints]] above each endpoint")
        if section is not None and key != "endpoints":
            raise ConfigurationInvalid(f"{key} is a key with a value, not a section {section}")
    elif section is not None:
        near = nearest(key, ["endpoints", SECTION])
        meant = f"[{SECTION}]" if near == SECTION else "[[endpoints]]"
        hint = f"did you mean {meant}?" if near else "keys stand at the top, and endpoints below [[endpoints]]"
        raise ConfigurationInvalid(f"there is no section {section}; {hint}")
    elif key in _ENDPOINT_KEYS:
        raise ConfigurationInvalid(f"{key} belongs below [[endpoints]], not at the top")
    else:
        raise ConfigurationInvalid(unknown("key", key, FILE_KEYS))


def _section(key: str, value: Any) -> str | None:
    """The head of the section that gives a key this value, as it is written; None where the value is no section."""
    if isinstance(value, dict):
        return f"[{key}]"
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return f"[[{key}]]"
    return None


def _endpoint(number: int, value: Any, folder: Path) -> Endpoint:
    if isinstance(value, str):
        return Endpoint.parse(value)
    if not isinstance(value, dict):
        raise ConfigurationInvalid(f"endpoint {number} has to be a text or a table, not {value!r}")
    for key in value:
        if key not in _ENDPOINT_KEYS:
            raise ConfigurationInvalid(f"endpoint {number}: {_why_no_endpoint_key(key)}")
    if "protocol" not in value:
        raise ConfigurationInvalid(f"endpoint {number} has no protocol")
    _make_relative(value, folder, PATHS)
    return Endpoint(**value)


def _why_no_endpoint_key(key: str) -> str:
    # In TOML all keys between [[endpoints]] and the next head of a section belong to that endpoint.
    if key in FILE_KEYS:
        return f"{key} belongs at the top, above the first [[endpoints]]"
    return unknown("key", key, _ENDPOINT_KEYS)


def _make_relative(values: dict[str, Any], folder: Path, keys: Iterable[str]) -> None:
    for key in keys:
        if isinstance(values.get(key), str):
            values[key] = str(folder / values[key])
