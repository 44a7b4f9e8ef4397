"""Random cuts: a client has all that is for it, once and in order, or it was told. Without any one rule that fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from protocol.cuts import Cuts

from pode_signals.core.history import History, Missed, Position
from pode_signals.core.outbox import SlowClient
from pode_signals.core.resume import Lost, Recovered, continuation
from pode_signals.hub import continuity as module
from pode_signals.hub.continuity import Continuity
from pode_signals.hub.fanout import FanOut
from pode_signals.hub.link import Link
from pode_signals.hub.queues import Queues
from pode_signals.hub.resumes import Resumes

RUNS, _, MESSAGES = os.environ.get("PODE_SIGNALS_CUTS", "12x300").partition("x")
MOST_SEEDS = 150


@pytest.mark.parametrize("seed", range(int(RUNS)))
def test_random_cuts(seed: int) -> None:
    """P36: after any cuts, restarts, and changes of groups each client's log is complete, or it was told."""
    cuts = Cuts(Random(seed))
    cuts.run(int(MESSAGES))
    assert sum(each.got for each in cuts.readers) > 0


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_told_without_need(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """P36: while the log keeps all, no group is left and the server is not started anew, each client recovers."""
    monkeypatch.setattr(Cuts, "restart", lambda _: None)
    monkeypatch.setattr(Cuts, "change", lambda _: None)
    cuts = Cuts(Random(seed), messages=10_000, max_bytes=10_000_000, seconds=100_000.0)
    cuts.run(1_000)
    assert [each.told for each in cuts.readers] == [0, 0, 0, 0]
    assert sum(each.recovered for each in cuts.readers) > 10


class CutsMachine(RuleBasedStateMachine):
    """The same world, in which hypothesis chooses what happens."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.cuts = Cuts(Random(seed), clients=2, messages=6, max_bytes=500, seconds=30.0)

    @rule(count=st.integers(1, 100))
    def send(self, count: int) -> None:
        for _ in range(count):
            self.cuts.send()

    @rule()
    def turn(self) -> None:
        self.cuts.turn()

    @rule()
    def connect(self) -> None:
        self.cuts.connect()

    @rule()
    def cut(self) -> None:
        self.cuts.cut()

    @rule()
    def change(self) -> None:
        self.cuts.change()

    @rule()
    def pause(self) -> None:
        self.cuts.pause()

    @rule()
    def resume(self) -> None:
        self.cuts.resume()

    @rule()
    def wait(self) -> None:
        self.cuts.wait()

    @rule()
    def beat(self) -> None:
        self.cuts.beat()

    @rule()
    def restart(self) -> None:
        self.cuts.restart()

    def teardown(self) -> None:
        if hasattr(self, "cuts"):
            self.cuts.rest()


TestCutsMachine = CutsMachine.TestCase
TestCutsMachine.settings = settings(max_examples=int(os.environ.get("PODE_SIGNALS_CUTS_EXAMPLES", "25")))


# What each rule of the server is good for: a server without it.


def without_identity(patch: pytest.MonkeyPatch) -> None:
    """A client that is not whole is told."""

    def whole(*arguments: Any, **named: Any) -> Any:
        return continuation(*arguments, **{**named, "identity_is_whole": True})

    patch.setattr(module, "continuation", whole)


def without_all_or_nothing(patch: pytest.MonkeyPatch) -> None:
    """A client after whose place the log has dropped a message is told, and gets none."""
    real = History.missed

    def missed(self: History, since: Position, until: Position, limit: int | None = None) -> Missed:
        found = real(self, since, until, limit)
        if found.complete or since.epoch != self.position.epoch:
            return found
        rest = self.read(None, 1_000) or ()
        return Missed(complete=True, signals=rest)

    patch.setattr(History, "missed", missed)


def without_own_place(patch: pytest.MonkeyPatch) -> None:
    """Hello after a resume has the client's own place, and not the server's."""
    real = Continuity._first_hello

    def hello(self: Continuity, link: Link, place: Position | None, *, recovered: bool) -> bytes:
        return real(self, link, self._place(link), recovered=recovered)

    patch.setattr(Continuity, "_first_hello", hello)


def without_holding(patch: pytest.MonkeyPatch) -> None:
    """What is sent during a replay waits for its end."""
    patch.setattr(FanOut, "hold", lambda self, link: self.held.__setitem__(link, False))


def without_versions(patch: pytest.MonkeyPatch) -> None:
    """Groups that a client has left come back from no older token."""
    patch.setattr(Resumes, "left", lambda *_: False)


def without_closing_the_slow(patch: pytest.MonkeyPatch) -> None:
    """A slow client of a name with history is closed, rather than robbed."""
    patch.setattr(Queues, "_policy_for", lambda *_: SlowClient.DROP_OLDEST)


def without_order_of_beats(patch: pytest.MonkeyPatch) -> None:
    """A beat goes behind the messages that it tells of."""

    def beat(self: Continuity, link: Link) -> None:
        place = self._place(link)
        self._fan_out.write(link, self._beat_frame(link, place))

    patch.setattr(Continuity, "beat", beat)


def without_dropping_what_was_held(patch: pytest.MonkeyPatch) -> None:
    """A connection that ends in its replay does not get what has waited behind the replay."""
    real = FanOut.leave

    def leave(self: FanOut, link: Link) -> None:
        self.held.pop(link, None)
        real(self, link)

    patch.setattr(FanOut, "leave", leave)


def without_joined_groups(patch: pytest.MonkeyPatch) -> None:
    """A token brings the joined groups back."""
    real = Resumes.coming_back

    def coming_back(self: Resumes, *arguments: Any) -> Any:
        found = real(self, *arguments)
        return found._replace(resumption=found.resumption._replace(groups=()))

    patch.setattr(Resumes, "coming_back", coming_back)


def without_the_right_target(patch: pytest.MonkeyPatch) -> None:
    """A replay has the messages alone that are meant for the client."""
    patch.setattr(module, "matches", lambda *_: True)


def without_groups_in_hello(patch: pytest.MonkeyPatch) -> None:
    """Hello comes again where the groups have changed."""
    patch.setattr(Continuity, "tell", lambda *_, **__: None)


def with_everybody_recovered(patch: pytest.MonkeyPatch) -> None:
    """Who can't be told what was missed is told so."""

    def recovered(client: Any, node: Any, **named: Any) -> Any:
        found = continuation(client, node, **named)
        return Recovered(client) if isinstance(found, Lost) else found

    patch.setattr(module, "continuation", recovered)


RULES = [
    without_identity,
    without_all_or_nothing,
    without_own_place,
    without_holding,
    without_versions,
    without_closing_the_slow,
    without_order_of_beats,
    without_dropping_what_was_held,
    without_joined_groups,
    without_the_right_target,
    without_groups_in_hello,
    with_everybody_recovered,
]


@pytest.mark.parametrize("without", RULES)
def test_each_rule_is_needed(without: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """P36: with any one rule of the server taken out, random cuts find a client with a gap or a double."""
    without(monkeypatch)
    for seed in range(MOST_SEEDS):
        try:
            Cuts(Random(seed), clients=3).run(300)
        except AssertionError:
            return
    pytest.fail(f"{MOST_SEEDS} runs found nothing")
