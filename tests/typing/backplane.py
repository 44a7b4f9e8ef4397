"""The backplanes keep the contract, for the type checker: nothing runs here."""

from __future__ import annotations

from twisted.internet.task import Clock

from pode_signals.backplane.contract import Backplane
from pode_signals.backplane.memory import MemoryBackplane

backplanes: list[Backplane] = [MemoryBackplane(Clock())]
