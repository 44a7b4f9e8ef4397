"""Schedules on a clock that tests move, for the tests of schedules. Nothing in here is a test."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import formatEvent

from pode_signals import Signals
from pode_signals.scheduling.planning import ScheduleState

START = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)


class Bench:
    """Schedules on a clock that tests move."""

    def __init__(self, now: datetime = START) -> None:
        self.clock = Clock()
        self.clock.rightNow = now.timestamp()
        self.calls: list[Any] = []
        self.schedules = Signals(clock=self.clock, random=Random(1))
        self.counters = self.schedules.counters

    def add(self, name: str = "job", cron: Any = "* * * * *", function: Any = None, **options: Any) -> None:
        options.setdefault("timezone", UTC)
        self.schedules.add_schedule(name, cron, function or self.note, **options)

    def note(self) -> None:
        self.calls.append(f"{self.now:%H:%M:%S}")

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.seconds(), UTC)

    def start(self) -> None:
        self.schedules.start_schedules()

    def pass_seconds(self, seconds: int) -> None:
        self.clock.pump([1] * seconds)

    def pass_minutes(self, minutes: int) -> None:
        self.pass_seconds(60 * minutes)

    def state(self, name: str = "job") -> ScheduleState:
        (state,) = (state for state in self.schedules.schedules() if state.name == name)
        return state


def texts(events: list[Any]) -> list[str]:
    """What was logged, one line each."""
    return [formatEvent(event) for event in events]
