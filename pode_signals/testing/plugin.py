"""A plugin of pytest: ``pytest_plugins = ["pode_signals.testing.plugin"]`` in conftest.py. It patches nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..core.contracts import ResourceLike
from ..signals import Signals
from .tester import SignalTester

__all__ = ["signal_tester"]


@pytest.fixture
def signal_tester(signals_app: tuple[Signals, ResourceLike | None]) -> Iterator[SignalTester]:
    """A tester of the hub and the resource that the project's own fixture ``signals_app`` gives, as a tuple.

    When the test is over, its clients are closed, and nothing may be left to be done, see :meth:`SignalTester.end`.
    """
    tester = SignalTester(*signals_app)
    yield tester
    tester.end()
