"""The command line of ``twistd pode-signals``: from its options to values by their keys. It starts no service."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from getopt import GetoptError
from importlib.metadata import version
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, ClassVar

from attrs import fields
from twisted.python import usage

from ..core.endpoints import Endpoint
from ..core.nearest import nearest
from ..core.paths import absolute_path
from ..core.settings import SETTING_NAMES, Settings
from ..errors import ConfigurationInvalid
from .config import Configuration
from .config_file import read_file
from .help import dashed, help_text, setting_text
from .keys import FLAGS, PATHS, SERVICE_KEYS, checked_settings, checked_value
from .operations_keys import ENDPOINTS, OPERATIONS_KEYS, SECTION, of_option, option_name

__all__ = ["Options", "setting_from_text"]

_TRUE_AND_FALSE = {"true": True, "yes": True, "false": False, "no": False}
_LISTS = tuple(each.name for each in fields(Settings) if str(each.type).startswith("tuple"))


def setting_from_text(name: str, text: str) -> object:
    """The value of a setting from its text on a command line: ``100``, ``2.5``, ``yes``, ``none``, ``a,b``.

    A text that fits none of these is returned as a word, which the check of the setting takes or refuses.
    """
    word = text.strip().lower()
    if word == "none":
        return None
    if name in _LISTS:
        return [each.strip() for each in text.split(",") if each.strip()]
    if word in _TRUE_AND_FALSE:
        return _TRUE_AND_FALSE[word]
    for number in (int, float):
        try:
            return number(word)
        except ValueError:
            continue
    return word


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
        """The configuration of the command line together with the file that it names.

        Raises:
            ConfigurationInvalid: a value is wrong; the sentence names the option, or the file and the key.
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
        """The absolute path of the configuration file; None where the command line names none.

        It is made once, since a daemon changes its folder later.
        """
        return None if self["config"] is None else absolute_path(self["config"])

    def _why(self, error: usage.UsageError) -> str:
        cause = error.__context__
        if not isinstance(cause, GetoptError) or "not recognized" not in cause.msg:
            return str(error)
        near = nearest(cause.opt, [each.removesuffix("=") for each in self.longOpt])
        wrong = f"--{cause.opt}" if len(cause.opt) > 1 else f"-{cause.opt}"
        return f"there is no option {wrong}" + ("" if near is None else f"; did you mean --{near}?")

    def _values(self, *, again: bool = False) -> Mapping[str, Any]:
        from_file = {} if self.config_file is None else read_file(Path(self.config_file), again=again)
        found = {**from_file, **self._given}
        if SECTION in from_file or self._given_operations:
            found[SECTION] = {**from_file.get(SECTION, {}), **self._given_operations}
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
                given[key] = setting_from_text(key, text) if key in SETTING_NAMES else text
        given.update({key: absolute_path(given[key]) for key in PATHS if given.get(key)})
        for key in ("drain_seconds", "lame_duck_seconds"):
            if key in given:
                given[key] = setting_from_text(key, given[key])
        for key, value in given.items():
            _check_option(key, value)
        return given

    @cached_property
    def _given_operations(self) -> Mapping[str, Any]:
        """The same of the section of operations."""
        texts = {key: self.get(option_name(key)) for key in OPERATIONS_KEYS if key != ENDPOINTS}
        given = {key: of_option(key, text) for key, text in texts.items() if text is not None}
        if self["operations-endpoints"]:
            given[ENDPOINTS] = [Endpoint.parse(text) for text in self["operations-endpoints"]]
        return given


def _check_option(key: str, value: object) -> None:
    """Raise a ConfigurationInvalid for a wrong value, which names the option as the user has written it."""
    try:
        if key in SERVICE_KEYS:
            checked_value(key, value)
        else:
            checked_settings({key: value})
    except ConfigurationInvalid as error:
        # The sentence begins with the key, as it is written in a configuration file.
        raise ConfigurationInvalid(f"--{dashed(key)}{str(error).removeprefix(key)}") from error
