"""The kit for the tests of programs: clients in memory, on a clock that stands still. The package does not use it."""

from __future__ import annotations

from .client import Asked, TestClient
from .handshake import Refused
from .tester import RecordedSend, SignalTester

__all__ = ["Asked", "RecordedSend", "Refused", "SignalTester", "TestClient"]
