"""The command line of ``twistd pode-signals``. It is only taken apart here; ``config.py`` checks what it says."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cached_property
from importlib.metadata import version
from inspect import cleandoc
from pathlib import Path
from typing import Any, ClassVar

from attrs import fields
from twisted.python import usage

from ..core.endpoints import Endpoint
from ..core.paths import absolute_path
from ..core.settings import SETTING_NAMES, Settings
from .config import PATHS, SERVICE_KEYS, Configuration, read_file, setting_from_text

__all__ = ["Options"]

_FLAGS = ("self_signed",)


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _setting_parameters() -> Iterator[list[str | None]]:
    """An option for each setting, with what the documentation of the settings says about it."""
    said = dict(re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", cleandoc(Settings.__doc__ or ""), re.MULTILINE))
    for attribute in fields(Settings):
        default = attribute.default.value if isinstance(attribute.default, Enum) else attribute.default
        text = re.sub(r"\s+", " ", said.get(attribute.name, "")).replace("``", "").rstrip(".")
        yield [_dashed(attribute.name), None, None, f"{text} (default: {_as_written(default)})"]


def _as_written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == () else str(value)


class Options(usage.Options):
    """The options of ``pode-signals``. A mistake in them ends the program with one line and status 1."""

    synopsis = "[options]"
    longdesc = (
        "Serves connections with names, groups and client ids over WebSocket, beside HTTP: a program of yours (--app), "
        "or the example, a chat page, on http://localhost:8091/. What is given here goes before the --config file. "
        "SIGTERM sends the clients away and stops, a second one stops at once; SIGHUP reads certificates, "
        "passwords and secrets again."
    )
    optFlags: ClassVar[Sequence[Sequence[str | None]]] = [
        [_dashed(name), None, SERVICE_KEYS[name][1]] for name in _FLAGS
    ]
    optParameters: ClassVar[Sequence[Sequence[str | None]]] = [
        ["config", None, None, "a TOML file: the options below with _ for -, and a list of endpoints"],
        *([_dashed(k), None, None, text] for k, (_, text) in SERVICE_KEYS.items() if k not in (*_FLAGS, "endpoints")),
        *_setting_parameters(),
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted
        self["endpoints"] = []
        self.docs["endpoint"] = SERVICE_KEYS["endpoints"][1]

    def opt_endpoint(self, text: str) -> None:
        """Where to listen, and for what."""
        self["endpoints"].append(text)

    def opt_version(self) -> None:
        """Display the version and exit."""
        sys.stdout.write(f"pode_signals {version('pode_signals')}\n")
        sys.exit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take the command line apart; a mistake is one line, rather than the whole help as elsewhere in Twisted."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]  # Twisted
        except usage.UsageError as error:
            sys.exit(f"pode-signals: {error} (--help lists the options)")

    def configuration(self) -> Configuration:
        """What the command line and the file that it names say together.

        Raises:
            ConfigurationInvalid: one sentence that names what is wrong.
        """
        return Configuration.of(self._values())

    def configuration_now(self) -> Configuration:
        """The same for a reload: the file is read anew, and of other files the names alone are taken.

        Raises:
            ConfigurationInvalid: one sentence that names what is wrong.
        """
        return Configuration.of(self._values(again=True), names_only=True)

    @cached_property
    def config_file(self) -> str | None:
        """The file that the command line names, wherever the process goes after the first call."""
        return None if self["config"] is None else absolute_path(self["config"])

    def _values(self, *, again: bool = False) -> Mapping[str, Any]:
        from_file = {} if self.config_file is None else read_file(Path(self.config_file), again=again)
        return {**from_file, **self._given}

    @cached_property
    def _given(self) -> Mapping[str, Any]:
        """What the command line says, with the paths that its names stand for at the start."""
        given: dict[str, Any] = {name: True for name in _FLAGS if self[_dashed(name)]}
        if self["endpoints"]:
            given["endpoints"] = [Endpoint.parse(text) for text in self["endpoints"]]
        for key in (*SERVICE_KEYS, *SETTING_NAMES):
            text = self.get(_dashed(key))
            if key not in (*_FLAGS, "endpoints") and text is not None:
                given[key] = setting_from_text(key, text) if key in SETTING_NAMES else text
        given.update({key: absolute_path(given[key]) for key in PATHS if given.get(key)})
        if "drain_seconds" in given:
            given["drain_seconds"] = setting_from_text("drain_seconds", given["drain_seconds"])
        return given
