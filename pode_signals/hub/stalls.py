"""Turns of the reactor that took too long, and who is to blame. It measures nothing: others tell it what they saw."""

from __future__ import annotations

from .reports import Reports
from .turns import Turns

__all__ = ["STALL_SECONDS", "Stalls"]

STALL_SECONDS = 1.0
"""A call that takes so long without giving the turn back is a mistake: nobody else is served meanwhile."""


class Stalls:
    """Writes one line for each such turn of one hub.

    Args:
        turns: show the time.
        reports: where the lines go.
    """

    def __init__(self, turns: Turns, reports: Reports) -> None:
        self._turns = turns
        self._reports = reports
        # When somebody was blamed last; None for never.
        self._blamed_at: float | None = None

    def blame(self, where: str, began: float, kind: str | None = None) -> None:
        """Say who has kept the reactor busy.

        Args:
            where: the function, as the log has it.
            began: when it began, by the hub's clock.
            kind: what the lines are counted by, where ``where`` has text of a client; None is ``where``.
        """
        now = self._turns.seconds()
        # One function may have called another, which was blamed for its own part of the time.
        if self._blamed_at is not None:
            began = max(began, self._blamed_at)
        if now - began < STALL_SECONDS:
            return
        self._blamed_at = now
        self._reports.write(
            f"{kind or where} took long",
            "{where} kept the reactor busy for {seconds:.1f} s, and nobody else was served meanwhile: have it wait"
            " without blocking (await a Deferred), or run it in twisted.internet.threads.deferToThread",
            event="reactor.stalled",
            where=where,
            seconds=now - began,
        )

    def noticed(self, late_seconds: float, since: float) -> None:
        """A call of the reactor came late. Where somebody was blamed meanwhile, that has been told.

        Args:
            late_seconds: by how much.
            since: when the call was planned, by the hub's clock.
        """
        if late_seconds < STALL_SECONDS or (self._blamed_at is not None and self._blamed_at > since):
            return
        self._reports.write(
            "stalled",
            "the reactor stood still for at least {seconds:.1f} s, and nobody was served meanwhile: a function blocks"
            " that this package has not called (such as one that goes on after an await), or the machine stood still",
            event="reactor.stalled",
            seconds=late_seconds,
        )
