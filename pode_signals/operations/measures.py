"""An observer that measures for metrics: how long things take, and how large audiences are. It decides nothing."""

from __future__ import annotations

from typing import Any

from .. import Observer, Scope
from ..core.histogram import Histogram
from .labels import Labels
from .metric_table import METRICS

__all__ = ["KINDS", "Measures"]

KINDS = ("route", "connect", "disconnect", "job", "check")
"""The kinds of functions that are measured."""


def histogram_of(name: str) -> Histogram:
    """An empty histogram with the buckets that the table has for a metric."""
    return Histogram(METRICS[name].buckets)


class Measures(Observer):
    """An observer that counts.

    Args:
        names: the names that have series of their own; names that routes convert under are added while there is room.

    Attributes:
        histograms: the histograms without a label, by the names of their metrics.
        handlers: how long functions took, by their kind.
    """

    def __init__(self, names: Labels[str]) -> None:
        self._names = names
        self.histograms = {
            name: histogram_of(name)
            for name in (
                "pode_signals_connection_duration_seconds",
                "pode_signals_handshake_seconds",
                "pode_signals_pong_seconds",
                "pode_signals_fan_out_seconds",
                "pode_signals_fan_out_recipients",
            )
        }
        self._lives, self._handshakes, self._pongs, self._writes, self._audiences = self.histograms.values()
        self.handlers = {kind: histogram_of("pode_signals_handler_seconds") for kind in KINDS}

    def opened(self, connection: Any) -> None:
        """A name may get a series of its own."""
        # A name that is the path of the request was not chosen by the program: auto-upgrade makes such names, and
        # clients choose them.
        if connection.scope is Scope.GLOBAL and connection.name != connection.request.path:
            self._names.came(connection.name)

    def closed(self, connection: Any, closure: Any, seconds: float) -> None:
        """How long it was there."""
        self._lives.observe(seconds)

    def shook_hands(self, connection: Any, seconds: float) -> None:
        """How long the handshake took."""
        self._handshakes.observe(seconds)

    def pong(self, connection: Any, seconds: float) -> None:
        """How long the pong took."""
        self._pongs.observe(seconds)

    def batch(self, name: str, recipients: int, size_bytes: int, seconds: float) -> None:
        """The messages of one turn were written."""
        self._writes.observe(seconds)
        self._audiences.observe(recipients)

    def handled(self, kind: str, seconds: float) -> None:
        """A function has ended."""
        self.handlers[kind].observe(seconds)
