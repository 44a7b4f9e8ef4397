"""Whatever happens to a client, in whatever order: no signal twice, none missing unseen, nothing written twice."""

from __future__ import annotations

from typing import Any

from client_sessions import EPOCH, SessionWorld, hello_document
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pode_signals.client.events import Closed, Lost, SignalReceived
from pode_signals.client.requests import MOST_WAITING
from pode_signals.client.session import State

LOG_ENTRIES = 4


class AnyCourse(RuleBasedStateMachine):
    """A client, and a server that keeps the last entries of its log. Times pass, connections end, frames come late."""

    @initialize(since=st.booleans(), max_waiting=st.sampled_from([3, 1_000]))
    def begin(self, since: bool, max_waiting: int) -> None:
        self.top = 40
        self.epoch = EPOCH
        self.world = SessionWorld(since=f"{EPOCH}.40-7" if since else None, max_waiting=max_waiting)
        self.began_at_position = since
        # What the server still has to say over its connection: it is cut off at any place.
        self.line: list[dict[str, Any]] = []
        self.tickets: dict[int, str] = {}
        self.messages = 0
        # The numbers that the application has had, and from where on they have no gap.
        self.seen: list[int] = []
        self.has_lost = not since
        self.world.start()

    # The server.

    @precondition(lambda self: self.world.session.state is State.CONNECTING)
    @rule()
    def greets(self) -> None:
        position = self.offered()
        recovered = position is not None and position[0] == self.epoch and position[1] >= self.top - LOG_ENTRIES
        at = position[1] if recovered and position is not None else self.top
        # What was on its way is cut off with the connection before.
        self.line = []
        self.world.says(**hello_document(epoch=self.epoch, offset=f"{at}-7", recovered=recovered))
        if recovered:
            self.line = [self.entry(number) for number in range(at + 1, self.top + 1)]
            self.line.append({"type": "beat", "offset": f"{self.top}-7"})

    def offered(self) -> tuple[str, int] | None:
        """The position that the last attempt offered."""
        offer = self.world.offers[-1]
        if len(offer) == 1 or offer[1].startswith("pode.resume.-.-"):
            return None
        _, _, epoch, offset = offer[1].split(".")[:4]
        return epoch, int(offset.partition("-")[0])

    def entry(self, number: int) -> dict[str, Any]:
        return {"type": "signal", "data": number, "offset": f"{number}-7"}

    @rule()
    def logs(self) -> None:
        self.top += 1
        if self.world.session.state is State.OPEN:
            self.line.append(self.entry(self.top))

    @rule()
    def breaks(self) -> None:
        self.epoch = "k" + self.epoch[1:][::-1] if self.epoch == EPOCH else EPOCH
        self.top = self.top + 10
        if self.world.session.state is State.OPEN:
            self.line.append(hello_document(epoch=self.epoch, offset=f"{self.top}-7"))

    @precondition(lambda self: self.world.session.state is State.OPEN and self.line)
    @rule(count=st.integers(1, 5))
    def delivers(self, count: int) -> None:
        # A socket that is not read keeps what comes.
        while count and self.line and self.world.session.state is State.OPEN and self.reads:
            self.world.says(**self.line.pop(0))
            count -= 1

    @property
    def reads(self) -> bool:
        return not self.world.reading or self.world.reading[-1]

    @precondition(lambda self: self.world.session.state is State.OPEN)
    @rule()
    def answers(self) -> None:
        open_ones = [each for each in self.tickets.values() if each]
        for each in open_ones[:1]:
            self.world.says(type="reply", id=each, data=None)

    @rule(old=st.integers(0, 3), number=st.integers(30, 60))
    def old_connections_speak(self, old: int, number: int) -> None:
        generation = self.world.session.generation - 1 - old
        self.world.says(generation, **self.entry(number)).says(generation, type="reply", id="1", data=None)
        self.world.ends(4000, generation)

    @rule(code=st.sampled_from([1001, 1006, 1011, 1008, 4008]))
    def ends(self, code: int) -> None:
        if self.world.session.state in (State.CONNECTING, State.OPEN):
            self.world.ends(code)

    # The client.

    @rule(asks=st.booleans(), seconds=st.sampled_from([1.0, 10.0, 60.0]))
    def sends(self, asks: bool, seconds: float) -> None:
        self.messages += 1
        if len(self.world.session.requests._waiting) == MOST_WAITING:
            return
        ticket = (self.world.request if asks else self.world.send)(self.messages, seconds=seconds)
        self.tickets[ticket] = str(self.world._ids) if asks else ""

    @rule(count=st.integers(1, 5))
    def takes(self, count: int) -> None:
        for _ in range(count):
            taken = self.world.take()
            if taken is None:
                return
            self.check(taken[0])

    def check(self, event: object) -> None:
        if isinstance(event, Lost):
            self.has_lost = True
        elif isinstance(event, SignalReceived):
            if self.seen:
                assert event.data > self.seen[-1]
            if not self.has_lost:
                assert event.data == (self.seen[-1] if self.seen else 40) + 1
            # From here on nothing may be missing that the client is not told of.
            self.has_lost = False
            self.seen.append(event.data)

    @rule(seconds=st.sampled_from([0.5, 3, 12, 50]), sleeps=st.booleans())
    def time_passes(self, seconds: float, sleeps: bool) -> None:
        (self.world.sleeps if sleeps else self.world.passes)(seconds)

    # What always holds.

    @invariant()
    def nothing_is_written_twice(self) -> None:
        sends = [frame["message"] for _, frame in self.world.written if frame["type"] == "send"]
        assert len(sends) == len(set(sends))

    @invariant()
    def waiting_is_bounded(self) -> None:
        assert len(self.world.session.requests._waiting) <= MOST_WAITING

    def teardown(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        # Whatever is open ends, without any further connection.
        world.close().passes(100)
        assert set(world.settled) == set(self.tickets)
        assert len(world.session.requests) == 0
        for event in world.events():
            self.check(event)
        assert isinstance(world.closed, Closed)
        assert world.session.due() is None


def test_any_course() -> None:
    """P32, P33, P60, P61: in any course of events no signal comes twice, none is missing unseen, nothing is written
    twice, and each request ends.
    """
    run_state_machine_as_test(AnyCourse)
