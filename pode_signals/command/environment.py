"""Variables of the environment: ``PODE_SIGNALS_<KEY>`` for each key of a configuration file, as values by their keys.

Secrets are never values of variables, which other programs may see: ``secret_file`` and the like name files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.endpoints import Endpoint
from ..core.nearest import nearest
from ..errors import ConfigurationInvalid
from .keys import FILE_KEYS
from .operations_keys import ENDPOINTS, OPERATIONS_KEYS, SECTION, operations_value
from .texts import value_from_text

__all__ = [
    "CONFIG",
    "credentials",
    "operations_variable",
    "own_file",
    "read_variables",
    "unknown_variables",
    "variable",
]

_PREFIX = "PODE_SIGNALS_"
CONFIG = "PODE_SIGNALS_CONFIG"
"""The variable that names the configuration file, as ``--config`` does."""

_OWN_FILE = "pode-signals.toml"
# PODE_SIGNALS_FAST=off is for every program, with this command or without: the hub reads it, and needs no setting.
_FAST = "fast"

# Read by the tests.
_OTHERS = (
    "ATTACKS",
    "CONFORMANCE",
    "CRON_CASES",
    "CUTS",
    "CUTS_EXAMPLES",
    "FORGERIES",
    "FUZZ_EXECUTIONS",
    "FUZZ_SEED",
    "NODES",
    "PICTURES",
    "REDIS",
    "REQUIRE",
    "SLOW_EXECUTIONS",
    "TOKEN_FORGERIES",
)
# What systemd's LoadCredential= calls the files, and the keys that they are for.
_CREDENTIALS = {"secret": "secret_file"}


def variable(key: str) -> str:
    """The name of the variable of a key."""
    return _PREFIX + key.upper()


def operations_variable(key: str) -> str:
    """The name of the variable of a key of the section of the operations."""
    return _PREFIX + f"{SECTION}_{key.removeprefix(f'{SECTION}_')}".upper()


def read_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    """The values of variables by their keys, checked, with absolute paths.

    A variable that is empty counts as not given. ``PODE_SIGNALS_ENDPOINTS`` and other lists have commas.

    Raises:
        ConfigurationInvalid: a variable has a wrong value; one sentence that names the variable.
    """
    given: dict[str, Any] = {}
    for key in FILE_KEYS:
        name = variable(key)
        text = environ.get(name, "")
        if key == _FAST or not text.strip():
            continue
        given[key] = _endpoints(name, text) if key == "endpoints" else value_from_text(key, text, name)
    if operations := _operations(environ):
        given[SECTION] = operations
    return given


def _operations(environ: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key in OPERATIONS_KEYS:
        name = operations_variable(key)
        text = environ.get(name, "")
        if text.strip():
            given[key] = _endpoints(name, text) if key == ENDPOINTS else operations_value(key, text, name)
    return given


def _endpoints(name: str, text: str) -> list[Endpoint]:
    try:
        return [Endpoint.parse(each.strip()) for each in text.split(",") if each.strip()]
    except ConfigurationInvalid as error:
        raise ConfigurationInvalid(f"{name}: {error}") from error


def own_file(environ: Mapping[str, str]) -> str | None:
    """``pode-signals.toml`` where it is in the current folder, and no variable names a configuration file."""
    return _OWN_FILE if not environ.get(CONFIG) and Path(_OWN_FILE).is_file() else None


def credentials(environ: Mapping[str, str]) -> dict[str, Any]:
    """The files that systemd has put into the folder of a service's credentials (``LoadCredential=secret:…``)."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return {}
    files = {key: Path(folder, name) for name, key in _CREDENTIALS.items()}
    return {key: str(file) for key, file in files.items() if file.is_file()}


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each variable that begins as these do, and that nothing reads."""
    known = {CONFIG, *map(variable, (*FILE_KEYS, *_OTHERS)), *map(operations_variable, OPERATIONS_KEYS)}
    return tuple(_unknown(each, known) for each in sorted(environ) if each.startswith(_PREFIX) and each not in known)


def _unknown(name: str, known: set[str]) -> str:
    near = nearest(name, sorted(known))
    return f"nothing reads the variable {name}" + ("" if near is None else f"; did you mean {near}?")
