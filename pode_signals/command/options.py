"""The command line of ``twistd pode-signals``. It is only taken apart here; ``config.py`` checks what it says."""

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
from .config import Configuration
from .config_file import read_file
from .help import dashed, help_text, setting_text
from .keys import FLAGS, PATHS, SERVICE_KEYS

__all__ = ["Options", "setting_from_text"]

_TRUE_AND_FALSE = {"true": True, "yes": True, "false": False, "no": False}
_LISTS = tuple(each.name for each in fields(Settings) if str(each.type).startswith("tuple"))


def setting_from_text(name: str, text: str) -> object:
    """The value of a setting as it is written on a command line: ``100``, ``2.5``, ``yes``, ``none``, ``a,b``."""
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
    # Twisted's tools read these lists, for instance to complete options in a shell; help_text is what --help shows.
    optFlags: ClassVar[Sequence[Sequence[str | None]]] = [
        [dashed(name), None, SERVICE_KEYS[name].text] for name in FLAGS
    ]
    optParameters: ClassVar[Sequence[Sequence[str | None]]] = [
        ["config", None, None, "A TOML file with these options as keys."],
        *([dashed(k), None, None, key.text] for k, key in SERVICE_KEYS.items() if k not in (*FLAGS, "endpoints")),
        *([dashed(each.name), None, None, setting_text(each)] for each in fields(Settings)),
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted
        self["endpoints"] = []
        self.docs["endpoint"] = SERVICE_KEYS["endpoints"].text

    def opt_endpoint(self, text: str) -> None:
        """Where to listen, and for what."""
        self["endpoints"].append(text)

    def opt_version(self) -> None:
        """Show the version and exit."""
        sys.stdout.write(f"pode_signals {version('pode_signals')}\n")
        sys.exit(0)

    def getUsage(self, width: int | None = None) -> str:
        """What ``--help`` shows: Twisted would sort the options by the alphabet, and explain them last."""
        return help_text(width or get_terminal_size().columns)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take the command line apart; a mistake is one line, rather than the whole help as elsewhere in Twisted."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]  # Twisted
        except usage.UsageError as error:
            sys.exit(f"pode-signals: {self._why(error)} (--help lists the options)")

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

    def _why(self, error: usage.UsageError) -> str:
        cause = error.__context__
        if not isinstance(cause, GetoptError) or "not recognized" not in cause.msg:
            return str(error)
        near = nearest(cause.opt, [each.removesuffix("=") for each in self.longOpt])
        wrong = f"--{cause.opt}" if len(cause.opt) > 1 else f"-{cause.opt}"
        return f"there is no option {wrong}" + ("" if near is None else f"; did you mean --{near}?")

    def _values(self, *, again: bool = False) -> Mapping[str, Any]:
        from_file = {} if self.config_file is None else read_file(Path(self.config_file), again=again)
        return {**from_file, **self._given}

    @cached_property
    def _given(self) -> Mapping[str, Any]:
        """What the command line says, with the paths that its names stand for at the start."""
        given: dict[str, Any] = {name: True for name in FLAGS if self[dashed(name)]}
        if self["endpoints"]:
            given["endpoints"] = [Endpoint.parse(text) for text in self["endpoints"]]
        for key in (*SERVICE_KEYS, *SETTING_NAMES):
            text = self.get(dashed(key))
            if key not in (*FLAGS, "endpoints") and text is not None:
                given[key] = setting_from_text(key, text) if key in SETTING_NAMES else text
        given.update({key: absolute_path(given[key]) for key in PATHS if given.get(key)})
        if "drain_seconds" in given:
            given["drain_seconds"] = setting_from_text("drain_seconds", given["drain_seconds"])
        return given
