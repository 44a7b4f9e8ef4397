"""The fixture for pytest and the test case for trial, as projects use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from testing.rooms import Rooms

from pode_signals import Signals
from pode_signals.testing import SignalTester

# Imported here, since this project's own conftest.py does without the plugin.
from pode_signals.testing.plugin import signal_tester  # noqa: F401

_PROGRAM = """
from klein import Klein
from twisted.internet.task import Clock
from pode_signals import Signals

def program():
    signals, app = Signals(clock=Clock()), Klein()

    @app.route("/rooms")
    def rooms(request):
        signals.convert(request, "Rooms")

    return signals, app.resource()
"""
_CONFTEST = """
import pytest
from program import program

pytest_plugins = ["pode_signals.testing.plugin"]

@pytest.fixture
def signals_app():
    return program()
"""
_PYTEST = """
from pode_signals.testing import SignalTester, TestClient

def test_clean(signal_tester):
    ada = signal_tester.connect("/rooms", protocol="signals")
    signal_tester.signals.send("soup", name="Rooms")
    assert ada.receive() == "soup"

def test_a_timer_is_left(signal_tester):
    signal_tester.clock.callLater(5, print)

def test_an_acknowledgement_is_left(signal_tester):
    ada = signal_tester.connect("/rooms", protocol="signals")
    signal_tester.signals.keep_history("Rooms")
    signal_tester.signals.send("soup", name="Rooms", acknowledge=True)
    ada.cut()
"""
_TRIAL = """
from program import program
from pode_signals.testing.trial import SignalTestCase

class RoomTests(SignalTestCase):
    def signals_app(self):
        return program()

    def test_clean(self):
        ada = self.signal_tester.connect("/rooms")
        self.signal_tester.signals.send("soup", name="Rooms")
        self.assertEqual(ada.receive(), "soup")

    def test_a_timer_is_left(self):
        self.signal_tester.clock.callLater(5, print)

class WithoutProgram(SignalTestCase):
    def test_nothing(self):
        pass
"""


@pytest.fixture
def signals_app() -> tuple[Signals, object]:
    """What a project gives."""
    rooms = Rooms()
    return rooms.signals, rooms.app.resource()


def test_the_fixture(signal_tester: SignalTester, signals_app: tuple[Signals, object]) -> None:  # noqa: F811
    """S0.2: the fixture ``signal_tester`` is a tester of what the fixture ``signals_app`` gives."""
    assert signal_tester.signals is signals_app[0]
    ada = signal_tester.connect("/rooms", protocol="signals")
    assert ada.request({"join": "kitchen"}) == ["kitchen"]


def run(folder: Path, *command: str) -> str:
    """Run a program of tests in a folder; give what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_a_project_with_pytest(tmp_path: Path) -> None:
    """S0.2: a project's tests with pytest are clean, and one that leaves something behind fails."""
    for name, text in (("program", _PROGRAM), ("conftest", _CONFTEST), ("test_rooms", _PYTEST)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    printed = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")
    assert "3 passed, 2 errors" in printed, printed
    assert "AssertionError: all clients are gone, and this is left: the timer in 5 s: print." in printed
    assert "this is left: 1 acknowledged sends that wait for answers; the timer in 5 s: " in printed


def test_a_project_with_trial(tmp_path: Path) -> None:
    """S0.2: a project's tests with trial are clean, one that leaves something behind fails, and so does one without."""
    for name, text in (("program", _PROGRAM), ("test_rooms", _TRIAL)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    printed = run(tmp_path, "twisted.trial", "test_rooms")
    assert "(errors=2, successes=2)" in printed, printed
    assert "AssertionError: all clients are gone, and this is left: the timer in 5 s: print." in printed
    assert "NotImplementedError: signals_app gives (signals, root)" in printed
