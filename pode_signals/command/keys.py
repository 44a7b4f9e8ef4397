"""The keys of a configuration: those of the service, which this module describes, and settings. It reads no file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from ..core.settings import SETTING_NAMES, Settings
from ..errors import ConfigurationInvalid
from .log_levels import log_levels

__all__ = ["FILE_KEYS", "FLAGS", "PATHS", "SERVICE_KEYS", "Key", "checked_settings", "checked_value"]


@frozen
class Key:
    """A key of the service, which is no setting of a hub.

    Attributes:
        values: the placeholder for a value in the help, such as ``FILE``; empty for an option without a value.
        text: the meaning of the key, in sentences.
        wanted: what a value has to be, for the error.
        is_good: whether a value is as ``wanted`` says.
        default: the value that counts without the key, in words.
    """

    values: str
    text: str
    wanted: str
    is_good: Callable[[Any], bool]
    default: str = ""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_seconds(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]  # a number


def _is_levels(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(log_levels(value))
    except ConfigurationInvalid:
        return False


def _file(text: str) -> Key:
    return Key("FILE", text, "a text", _is_text)


_LOG_FORMATS = ("text", "json")

SERVICE_KEYS: Mapping[str, Key] = {
    "app": Key(
        "MODULE:OBJECT",
        "What to serve: a ``SignalsService``, or a function that returns one. A function with ``**settings`` gets the"
        " settings that are given here. The module is looked for in the current folder first.",
        "a text",
        _is_text,
        "the example",
    ),
    "endpoints": Key(
        "ENDPOINT",
        "Where to listen, and for what: ``PROTOCOL://ADDRESS[:PORT][?OPTION=VALUE&...]``. The protocol is ``http``,"
        " ``https``, ``ws`` or ``wss``. The address is an IP address, ``localhost``, or ``*`` for every interface. The"
        " options are ``name``, ``hostname``, ``auto_upgrade``, ``certificate``, ``certificate_key``,"
        " ``self_signed`` and ``reuse_port``. ``PROTOCOL+STRING`` takes a Twisted endpoint string, such as"
        " ``http+unix:/run/chat.socket``. There may be several endpoints.",
        "a list",
        lambda value: isinstance(value, list),
        "the endpoints of the program; of the example http://localhost:8091 and ws://localhost:8091",
    ),
    "reuse_port": Key(
        "",
        "Let other processes of the same user listen on the same addresses and ports, with this option as well. The"
        " system spreads the clients over them. One that stops leaves new clients to the others.",
        "true or false",
        lambda value: isinstance(value, bool),
    ),
    "certificate": _file(
        "The certificate for https and wss endpoints that have none: a PEM file with the chain, or a PKCS#12 file."
    ),
    "certificate_key": _file("The PEM file with the key of that certificate, where the certificate's file has no key."),
    "certificate_password_file": _file("A file whose first line is the password of the key, or of the PKCS#12 file."),
    "self_signed": Key(
        "",
        "Make a certificate at the start for https and wss endpoints that have none. This is for development.",
        "true or false",
        lambda value: isinstance(value, bool),
    ),
    "secret_file": _file(
        "Sign client ids. Each line of the file is a secret: the first one signs, and all of them verify."
    ),
    "drain_seconds": Key(
        "NUMBER",
        "How long a stop waits for the clients to leave. Then it aborts their connections.",
        "a number of seconds",
        _is_seconds,
        "30 seconds, unless the program says otherwise",
    ),
    "lame_duck_seconds": Key(
        "NUMBER",
        "How long the ports still take clients when a stop has begun and ``/readyz`` says so.",
        "a number of seconds",
        _is_seconds,
        "0 seconds, unless the program says otherwise",
    ),
    "log_format": Key(
        "text|json",
        "How to write the log: as text, or with one flat JSON object a line.",
        f"one of {', '.join(_LOG_FORMATS)}",
        lambda value: value in _LOG_FORMATS,
        "text; under twist, its own format",
    ),
    "log_level": Key(
        "LEVELS",
        "Which lines to log: ``debug``, ``info``, ``warn``, ``error`` or ``critical``. Levels for namespaces stand"
        " behind it, as in ``warn,pode_signals.ports.site=info,chat=debug``.",
        "a list of levels, as in warn,chat=debug",
        _is_levels,
        "info; under twist, its own level",
    ),
}
"""The keys of the service."""

FILE_KEYS = (*SERVICE_KEYS, *SETTING_NAMES)
"""All keys of a configuration file."""
FLAGS = tuple(name for name, key in SERVICE_KEYS.items() if not key.values)
"""The keys that are options without a value."""
PATHS = tuple(name for name, key in SERVICE_KEYS.items() if key.values == "FILE")
"""The keys whose values are paths of files."""


def checked_value(name: str, value: Any) -> Any:
    """The value of one of :data:`SERVICE_KEYS`, unchanged.

    Raises:
        ConfigurationInvalid: the key does not take this value; the sentence begins with the key.
    """
    key = SERVICE_KEYS[name]
    if not key.is_good(value):
        raise ConfigurationInvalid(f"{name} has to be {key.wanted}, not {value!r}")
    return value


def checked_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among some values, as a hub keeps them, with members of enumerations in place of their texts.

    Args:
        values: the values by their keys; those that are no settings are left out.

    Raises:
        ConfigurationInvalid: a setting makes no sense; the sentence begins with the name of the setting.
    """
    given = {name: values[name] for name in SETTING_NAMES if name in values}
    try:
        settings = Settings(**given)
    except ValueError as error:
        raise ConfigurationInvalid(str(error)) from error
    return {name: getattr(settings, name) for name in given}
