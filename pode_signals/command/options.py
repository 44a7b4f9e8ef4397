"""The command line of ``twistd pode-signals``: from its options to values by their keys. It starts no service."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from getopt import GetoptError
from importlib.metadata import version
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, ClassVar, NamedTuple

from attrs import fields
from twisted.python import usage

from ..core.endpoints import Endpoint
from ..core.nearest import nearest
from ..core.paths import absolute_path
from ..core.settings import SETTING_NAMES, Settings
from .config import Configuration
from .config_file import read_file
from .environment import CONFIG, credentials, read_variables
from .help import dashed, help_text, setting_text
from .keys import FLAGS, SERVICE_KEYS
from .operations_keys import ENDPOINTS, OPERATIONS_KEYS, SECTION, operations_value, option_name
from .texts import value_from_text

__all__ = ["Layer", "Options"]


class Layer(NamedTuple):
    """Values from one place.

    Attributes:
        place: the place, for people; ``{variable}`` and ``{option}`` stand for the name that a key has there.
        values: the values by their keys.
    """

    place: str
    values: Mapping[str, Any]


class Options(usage.Options):
    """The options of ``pode-signals``. A mistake in them ends the program with one line and status 1."""

    synopsis = "[options]"
    # Twisted's tools read these two lists, for instance to complete options in a shell. --help shows help_text instead.
    optFlags: ClassVar[Sequence[Sequence[str | None]]] = [
        [dashed(name), None, SERVICE_KEYS[name].text] for name in FLAGS
    ]
    optParameters: ClassVar[Sequence[Sequence[str | None]]] = [
        ["config", None, None, "A TOML file with these options as keys."],
        *([dashed(k), None, None, key.text] for k, key in SERVICE_KEYS.items() if k not in (*FLAGS, "endpoints")),
        *([option_name(k), None, None, key.text] for k, key in OPERATIONS_KEYS.items() if k != ENDPOINTS),
        *([dashed(each.name), None, None, setting_text(each)] for each in fields(Settings)),
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted
        self["endpoints"] = []
        self["operations-endpoints"] = []
        self.docs["endpoint"] = SERVICE_KEYS["endpoints"].text
        self.docs[option_name(ENDPOINTS)] = OPERATIONS_KEYS[ENDPOINTS].text

    def opt_endpoint(self, text: str) -> None:
        """Where to listen, and for what."""
        self["endpoints"].append(text)

    def opt_operations_endpoint(self, text: str) -> None:
        """Where those who operate the service find health and metrics."""
        self["operations-endpoints"].append(text)

    def opt_version(self) -> None:
        """Show the version and exit."""
        sys.stdout.write(f"pode_signals {version('pode_signals')}\n")
        sys.exit(0)

    def getUsage(self, width: int | None = None) -> str:
        """The text of ``--help``.

        Twisted's own text would sort the options by the alphabet, and explain the command after all of them.
        """
        return help_text(width or get_terminal_size().columns)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the command line. A mistake ends the program with one line; Twisted would print the whole help."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]  # Twisted
        except usage.UsageError as error:
            sys.exit(f"pode-signals: {self._why(error)} (--help lists the options)")

    def configuration(self) -> Configuration:
        """The configuration of the command line, the variables of the environment and the file that these name.

        An option of the command line goes before a variable, and a variable before the file.

        Raises:
            ConfigurationInvalid: a value is wrong; the sentence names the option, the variable, or the file and key.
        """
        return Configuration.of(self._values())

    def configuration_now(self) -> Configuration:
        """The configuration for a reload: the file is read again, and other files are named and not read.

        Raises:
            ConfigurationInvalid: a value is wrong; the sentence names the option, or the file and the key.
        """
        return Configuration.of(self._values(again=True), names_only=True)

    @cached_property
    def config_file(self) -> str | None:
        """The absolute path of the configuration file; None where neither an option nor a variable names one.

        It is made once, since a daemon changes its folder later.
        """
        named = self["config"]
        if named is None:
            named = os.environ.get(CONFIG) or None
        return None if named is None else absolute_path(named)

    def _why(self, error: usage.UsageError) -> str:
        cause = error.__context__
        if not isinstance(cause, GetoptError) or "not recognized" not in cause.msg:
            return str(error)
        near = nearest(cause.opt, [each.removesuffix("=") for each in self.longOpt])
        wrong = f"--{cause.opt}" if len(cause.opt) > 1 else f"-{cause.opt}"
        return f"there is no option {wrong}" + ("" if near is None else f"; did you mean --{near}?")

    def layers(self, *, again: bool = False) -> tuple[Layer, ...]:
        """The values that are given, by where they come from. A later layer goes before an earlier one.

        Args:
            again: whether the configuration file was read before.

        Raises:
            ConfigurationInvalid: a value is wrong; the sentence names the option, the variable, or the file and key.
        """
        file = self.config_file
        from_file = {} if file is None else read_file(Path(file), again=again)
        return (
            Layer("a credential of systemd", credentials(os.environ)),
            Layer(f"the file {file}", from_file),
            Layer("the variable {variable}", self._variables),
            Layer("the option --{option}", self._given),
        )

    def _values(self, *, again: bool = False) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for layer in self.layers(again=again):
            for key, value in layer.values.items():
                found[key] = {**found.get(key, {}), **value} if key == SECTION else value
        return found

    @cached_property
    def _given(self) -> Mapping[str, Any]:
        """The values of the command line by their keys, checked, with absolute paths.

        They are made once, since a daemon changes its folder later.
        """
        given: dict[str, Any] = {name: True for name in FLAGS if self[dashed(name)]}
        if self["endpoints"]:
            given["endpoints"] = [Endpoint.parse(text) for text in self["endpoints"]]
        for key in (*SERVICE_KEYS, *SETTING_NAMES):
            text = self.get(dashed(key))
            if key not in (*FLAGS, "endpoints") and text is not None:
                given[key] = value_from_text(key, text, f"--{dashed(key)}")
        if operations := self._given_operations:
            given[SECTION] = operations
        return given

    @property
    def _given_operations(self) -> dict[str, Any]:
        texts = {key: self.get(option_name(key)) for key in OPERATIONS_KEYS if key != ENDPOINTS}
        given = {
            key: operations_value(key, text, f"--{option_name(key)}") for key, text in texts.items() if text is not None
        }
        if self["operations-endpoints"]:
            given[ENDPOINTS] = [Endpoint.parse(text) for text in self["operations-endpoints"]]
        return given

    @cached_property
    def _variables(self) -> Mapping[str, Any]:
        """The values of variables of the environment, checked, with absolute paths; made once, as those above."""
        return read_variables(os.environ)
