"""A test case of trial, whose tests have a tester. It decides nothing about the program."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ..core.contracts import ResourceLike
from ..signals import Signals
from .tester import SignalTester

__all__ = ["SignalTestCase"]


class SignalTestCase(SynchronousTestCase):
    """The base of tests of a program.

    ::

        class RoomTests(SignalTestCase):
            def signals_app(self):
                signals = Signals(clock=Clock())
                return signals, routes_of(signals).resource()

            def test_soup(self):
                ada = self.signal_tester.connect("/rooms")
                self.signal_tester.signals.send("soup", name="Rooms")
                self.assertEqual(ada.receive(), "soup")

    When a test is over, its clients are closed, and nothing may be left to be done, see :meth:`SignalTester.end`.

    Attributes:
        signal_tester: the tester; a ``setUp`` of one's own calls ``super().setUp()`` first.
    """

    def signals_app(self) -> tuple[Signals, ResourceLike | None]:
        """The hub, made with ``Signals(clock=Clock())``, and the application's resource. Each test asks once."""
        raise NotImplementedError("signals_app gives (signals, root)")

    def setUp(self) -> None:
        """Make the tester."""
        super().setUp()
        self.signal_tester = SignalTester(*self.signals_app())
        self.addCleanup(self.signal_tester.end)
