"""Which lines are logged, by level and namespace: ``--log-level warn,chat=debug``. It writes no line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.logger import FilteringLogObserver, ILogObserver, InvalidLogLevelError, LogLevel, LogLevelFilterPredicate

from ..errors import ConfigurationInvalid

__all__ = ["LogLevels", "log_levels"]

_DEFAULT = "info"
_OTHER_NAMES = {"warning": "warn"}


class LogLevels:
    """Lets those lines pass that are to be logged; which ones can be changed while the process runs.

    Args:
        text: the levels as :func:`log_levels` reads them; None is ``info``.
    """

    def __init__(self, text: str | None) -> None:
        self._predicate = LogLevelFilterPredicate()
        self.change(text)

    def change(self, text: str | None) -> None:
        """Take other levels from now on.

        Raises:
            ConfigurationInvalid: the text makes no sense, and the levels stay.
        """
        levels = log_levels(text or _DEFAULT)
        self._predicate.clearLogLevels()
        for namespace, level in levels.items():
            self._predicate.setLogLevelForNamespace(namespace, level)

    def has_debug(self, namespace: str) -> bool:
        """Whether a namespace logs lines of the level debug."""
        return bool(self._predicate.logLevelForNamespace(namespace) <= LogLevel.debug)

    def before(self, observer: ILogObserver) -> ILogObserver:
        """An observer that gets the lines that pass, and gives them to another one."""
        return FilteringLogObserver(observer, [self._predicate])


def log_levels(text: str) -> Mapping[str, Any]:
    """Read levels by namespace.

    Args:
        text: levels with commas between them; a level stands alone, for all that has no other one, or behind a
            namespace and ``=``, for that namespace and those below.

    Returns:
        The levels; ``""`` is the namespace of all others.

    Raises:
        ConfigurationInvalid: the text makes no sense.
    """
    found: dict[str, Any] = {}
    for part in text.split(","):
        namespace, equals, name = part.strip().rpartition("=")
        namespace, name = namespace.strip(), name.strip().lower()
        try:
            level = LogLevel.levelWithName(_OTHER_NAMES.get(name, name))
        except InvalidLogLevelError:
            raise ConfigurationInvalid(f"log_level: {name!r} is none of {', '.join(_names())}") from None
        if equals and not namespace:
            raise ConfigurationInvalid(f"log_level: {part.strip()!r} has no namespace before =")
        if namespace in found:
            raise ConfigurationInvalid(f"log_level: there are two levels for {namespace or 'all'}")
        found[namespace] = level
    return found


def _names() -> list[str]:
    return [level.name for level in LogLevel.iterconstants()]
