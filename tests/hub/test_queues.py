from __future__ import annotations

import tracemalloc
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest
from fakes import Close, connect, connected, new_signals, texts_of, timers, turn
from queue_model import PLACE_BYTES, NaiveQueue, SlowTransport, slowed
from twisted.logger import capturedLogs, formatEvent

from pode_signals import EVERY_NAME, Delivery, Scope, Signals
from pode_signals.core.model import ClosedBy
from pode_signals.core.outbox import SlowClient
from pode_signals.hub import fanout
from pode_signals.hub.connection import ConnectionState
from pode_signals.hub.draining import send_away
from pode_signals.signals import hub_of
from pode_signals.wire.frames import text_frame

TOO_SLOW = Close(4008, "the client reads too slowly")


@pytest.fixture
def signals() -> Signals:
    """Signals with the defaults."""
    return new_signals()


def slow(signals: Signals, name: str = "Msg", *, holds_bytes: int = 0, **details: Any) -> SlowTransport:
    """A client that has not read its first message, so that its wire is full."""
    client = slowed(connected(signals, name, **details), holds_bytes)
    client.connection.send("first")
    return client


def numbers(delivery: Delivery) -> tuple[int, int, int, int]:
    """Recipients, sent, queued, dropped."""
    return (delivery.recipients, delivery.sent, delivery.queued, delivery.dropped)


def room_for(*texts: str) -> int:
    """The bound into which these texts just fit."""
    return sum(PLACE_BYTES + len(text_frame(text.encode())) for text in texts)


def nothing_is_kept(signals: Signals) -> bool:
    """Whether no queue is left, nor anybody who is thought to be slow."""
    return not hub_of(signals).queues.queued_bytes and not hub_of(signals).fan_out.congested


class TestWaiting:
    def test_behind_unread_data(self, signals: Signals) -> None:
        """S16.2: what a full wire can't take waits, and goes out in order when the client has read."""
        client = slow(signals)
        for number in range(5):
            signals.send(str(number), name="Msg")
            client.connection.send(f"{number} to you")
        turn(signals)
        assert client.got == ["first"]
        client.reads_all()
        assert client.got == ["first", *(each for number in range(5) for each in (str(number), f"{number} to you"))]
        assert nothing_is_kept(signals)

    def test_what_a_turn_collected_is_offered_first(self, signals: Signals) -> None:
        """S16.2: a client that has read all gets everything of a turn by its wire, however much; nothing waits."""
        client = slowed(connected(signals))
        connected(signals)
        deliveries = [signals.send("x" * 40_000, name="Msg") for _ in range(5)]
        turn(signals)
        assert [numbers(delivery) for delivery in deliveries] == [(2, 2, 0, 0)] * 5
        assert len(client.got) == 5
        assert client.link.outbox is None

    def test_delivery(self, signals: Signals) -> None:
        """S4.7: a delivery tells who has the message behind unread data, and who at once."""
        clients = [slow(signals, client_id="slow"), connected(signals)]
        assert numbers(signals.send("x", name="Msg")) == (2, 1, 1, 0)
        assert numbers(signals.send("x", name="Msg", client_id="slow")) == (1, 0, 1, 0)
        assert numbers(clients[0].connection.send("x")) == (1, 0, 1, 0)
        assert numbers(clients[1].connection.send("x")) == (1, 1, 0, 0)
        assert signals.counters.recipients_queued == 3

    def test_others_do_not_wait(self, signals: Signals) -> None:
        """S16.2: a slow client holds up nobody else of its name."""
        stuck, other = slow(signals), connected(signals)
        for number in range(3):
            signals.send(number, name="Msg")
        turn(signals)
        assert other.got == ["0", "1", "2"]
        assert stuck.got == ["first"]

    def test_a_wire_that_fills_within_a_turn(self, signals: Signals) -> None:
        """S4.6: a wire that fills while a turn collects gets what was collected before, then what waits."""
        client, other = slowed(connected(signals)), connected(signals)
        signals.send("1", name="Msg")
        client.link.congested()  # by a ping of ours, say
        client.is_full, client.unread_bytes = True, 1
        signals.send("2", name="Msg")
        client.connection.send("3")
        signals.send("4", name="Msg")
        turn(signals)
        client.reads_all()
        assert client.got == ["1", "2", "3", "4"]
        assert other.got == ["1", "2", "4"]

    def test_a_wire_that_is_filled_by_what_goes_first(self, signals: Signals) -> None:
        """S16.2: a wire that fills by what had to go out first takes no more of the same turn."""
        client, other = slowed(connected(signals, group="g")), connected(signals, group="g")
        connected(signals)
        signals.send("to all", name="Msg")
        assert numbers(signals.send("to some", name="Msg", group="g")) == (2, 1, 1, 0)
        turn(signals)
        assert client.got == ["to all"]
        client.reads_all()
        assert client.got == other.got == ["to all", "to some"]

    def test_a_wire_that_empties_within_a_turn(self, signals: Signals) -> None:
        """S4.6: a wire that is read while a turn collects gets what waits first, and then the rest of the turn."""
        client, other = slow(signals), connected(signals)
        signals.send("1", name="Msg")
        client.reads_all()
        client.holds_bytes = 1_000
        signals.send("2", name="Msg")
        client.connection.send("3")
        signals.send("4", name="Msg")
        turn(signals)
        client.reads_all()
        assert client.got == ["first", "1", "2", "3", "4"]
        assert other.got == ["1", "2", "4"]

    def test_as_much_as_the_wire_takes(self, signals: Signals) -> None:
        """S16.2: what waits goes out bit by bit, as the client reads, in whole messages."""
        client = slow(signals, holds_bytes=1)
        texts = [f"{number} " + "x" * 30_000 for number in range(20)]
        for text in texts:
            client.connection.send(text)
        before = len(client.got)
        client.reads()
        assert 1 <= len(client.got) - before <= 3
        client.reads_all()
        assert client.got == ["first", *texts]

    def test_local_connections(self, signals: Signals) -> None:
        """S16.2: a local connection has a queue as others have."""
        client = slow(signals, scope=Scope.LOCAL)
        assert numbers(client.connection.send("x")) == (1, 0, 1, 0)
        client.reads_all()
        assert client.got == ["first", "x"]

    def test_one_message_is_always_taken(self) -> None:
        """S16.2: one message may wait, however small the bound is."""
        signals = new_signals(send_queue_bytes=1)
        client = slow(signals)
        assert numbers(client.connection.send("x" * 100_000)) == (1, 0, 1, 0)
        client.reads_all()
        assert client.got == ["first", "x" * 100_000]


class TestPolicies:
    def test_close(self) -> None:
        """S16.2: by default a client whose queue is full is closed with 4008; what waited is dropped with it."""
        signals = new_signals(send_queue_bytes=room_for("1", "2"))
        client, other = slow(signals), connected(signals)
        deliveries = [signals.send(text, name="Msg") for text in ("1", "2", "3", "4")]
        turn(signals)
        assert [numbers(each) for each in deliveries] == [(2, 1, 1, 0), (2, 1, 1, 0), (2, 1, 0, 1), (1, 1, 0, 0)]
        assert client.got == ["first", TOO_SLOW]
        assert other.got == ["1", "2", "3", "4"]
        assert client.connection.closure is not None
        assert client.connection.closure.by is ClosedBy.SERVER
        assert signals.counters.dropped_by == {"slow_closed": 3}
        assert nothing_is_kept(signals)

    def test_drop_newest(self) -> None:
        """S16.2: ``drop_newest`` drops what does not fit, and the client stays."""
        signals = new_signals(send_queue_bytes=room_for("1", "2"), slow_client="drop_newest")
        client = slow(signals)
        deliveries = [client.connection.send(text) for text in ("1", "2", "3", "4")]
        assert [numbers(each) for each in deliveries] == [(1, 0, 1, 0), (1, 0, 1, 0), (1, 0, 0, 1), (1, 0, 0, 1)]
        client.reads_all()
        client.connection.send("5")
        assert client.got == ["first", "1", "2", "5"]
        assert signals.counters.dropped_by == {"newest": 2}

    def test_drop_oldest(self) -> None:
        """S16.2: ``drop_oldest`` drops what waits longest, and the client stays."""
        signals = new_signals(send_queue_bytes=room_for("1", "2"), slow_client="drop_oldest")
        client = slow(signals)
        deliveries = [client.connection.send(text) for text in ("1", "2", "3", "4")]
        assert [numbers(each) for each in deliveries] == [(1, 0, 1, 0)] * 4
        client.reads_all()
        assert client.got == ["first", "3", "4"]
        assert signals.counters.dropped_by == {"displaced": 2}

    def test_latest(self) -> None:
        """S16.2: ``latest`` keeps the newest of each key, by whatever call it was sent, and all without a key."""
        signals = new_signals(slow_client="latest")
        client = slow(signals, client_id="slow")
        signals.add_route("/ws", lambda event: event.send("4", key="a", name="Msg"))
        signals.send("1", name="Msg", key="a")
        client.connection.send("2", key="b")
        signals.send("3", name="Msg", key="a")
        signals.send("without", name="Msg")
        client.says("go on")
        signals.send("5", name="Msg", client_id="slow", key="b")
        client.reads_all()
        assert client.got == ["first", "without", "4", "5"]
        assert signals.counters.dropped_by == {"displaced": 3}
        assert signals.counters.limits_hit == {}

    def test_latest_when_it_is_full(self) -> None:
        """S16.2: ``latest`` closes a client whose queue is full of what nothing replaces."""
        signals = new_signals(send_queue_bytes=room_for("1", "2"), slow_client="latest")
        client = slow(signals)
        for key in ("a", "b", "a", "b", "c"):
            client.connection.send("x", key=key)
        assert client.got == ["first", TOO_SLOW]

    def test_a_key_replaces_nothing_that_is_on_its_way(self) -> None:
        """S16.2: a client that reads gets every message of a key."""
        signals = new_signals(slow_client="latest")
        client, other = connected(signals), connected(signals)
        for number in range(3):
            signals.send(number, name="Msg", key="a")
        turn(signals)
        assert client.got == other.got == ["0", "1", "2"]


class TestClosing:
    @pytest.mark.parametrize(("setting", "seconds"), [(None, 2.0), (0.5, 0.5), (30, 2.0)])
    def test_a_slow_client_goes_soon(self, setting: float | None, seconds: float) -> None:
        """S16.2: a client that was closed with 4008 and does not answer is aborted after 2 s at most."""
        settings = {} if setting is None else {"close_timeout_seconds": setting}
        signals = new_signals(send_queue_bytes=1, **settings)
        client = slow(signals)
        client.connection.send("1")
        client.connection.send("2")
        assert client.got == ["first", TOO_SLOW]
        turn(signals, seconds=seconds - 0.01)
        assert client.aborts == 0
        turn(signals, seconds=0.02)
        assert client.aborts == 1
        turn(signals)
        assert (client.connection.state, timers(signals)) == (ConnectionState.CLOSED, [])

    def test_a_slow_client_that_answers(self) -> None:
        """S16.2: a slow client that reads up to the close frame and answers it ends in good order."""
        signals = new_signals(send_queue_bytes=1)
        client = slow(signals)
        client.connection.send("1")
        client.connection.send("2")
        client.reads_all()
        client.vanishes()
        assert (client.aborts, client.connection.state) == (0, ConnectionState.CLOSED)
        assert nothing_is_kept(signals)

    @pytest.mark.parametrize("close", ["connection", "signals", "shutdown", "replaced", "client", "message"])
    def test_what_waits_goes_out_before_the_close_frame(self, signals: Signals, close: str) -> None:
        """S16.2: an ordinary close sends what waits, then what this turn has, then the close frame."""
        client, other = slow(signals, client_id="1"), connected(signals)
        signals.send("2", name="Msg")
        client.connection.send("3")
        signals.send("4", name="Msg")
        ways = {
            "connection": client.connection.close,
            "signals": lambda: signals.close("Msg", client_id="1"),
            "shutdown": lambda: send_away(client.link),
            "replaced": lambda: connect(signals, client_id="1"),
            "client": client.closes,
            "message": lambda: client.link.shut(1008, "", ClosedBy.ERROR),
        }
        ways[close]()
        signals.send("5", name="Msg")
        turn(signals)
        client.reads_all()
        assert [each for each in client.got if isinstance(each, str)] == ["first", "2", "3", "4"]
        assert (isinstance(client.got[-1], Close)) is (close != "client")
        assert other.got == ["2", "4", "5"]
        assert nothing_is_kept(signals)

    def test_a_wire_that_fails_while_a_queue_goes_out(self, signals: Signals) -> None:
        """S16.2: what was taken from a queue and then could not be written is dropped and counted, with the rest."""
        client = slow(signals)
        for _ in range(3):
            client.connection.send("x" * 40_000)
        client.raises = OSError("gone")
        with capturedLogs():
            client.reads_all()
        assert signals.counters.dropped_by == {"write_failed": 3}
        assert nothing_is_kept(signals)

    def test_a_client_that_vanishes(self, signals: Signals) -> None:
        """S16.2: what waits for a client that vanishes is dropped and counted, and takes no memory."""
        client = slow(signals)
        for _ in range(3):
            client.connection.send("x")
        client.vanishes()
        client.reads_all()
        assert signals.counters.dropped_by == {"closed": 3}
        assert nothing_is_kept(signals)

    def test_a_close_that_fills_the_wire(self, signals: Signals) -> None:
        """S16.2: a wire that fills by the last words to its client leaves nothing behind."""
        for how in ("queue", "turn"):
            client = slow(signals)
            client.connection.send("waits")
            if how == "turn":
                client.reads_all()
                connected(signals)
                signals.send("for all", name="Msg")
            client.is_full = False  # so that the next write says so again
            client.connection.close()
            assert client.is_full
            client.vanishes()
        turn(signals)
        assert nothing_is_kept(signals)

    def test_a_wire_that_raises_when_it_is_read(self, signals: Signals) -> None:
        """S4.5: a wire that raises for what waited ends its connection and leaves nothing behind."""
        client, other = slow(signals), slow(signals)
        for _ in range(3):
            signals.send("x" * 40_000, name="Msg")
        client.raises = OSError("broken wire")
        with capturedLogs() as logs:
            client.reads()
            other.reads_all()
        turn(signals)
        assert len([event for event in logs if "log_failure" in event]) == 1
        assert (client.aborts, client.connection.state) == (1, ConnectionState.CLOSED)
        assert len(other.got) == 4
        assert nothing_is_kept(signals)


class TestTotal:
    def bounded(self, *texts: str, **settings: Any) -> Signals:
        """Signals with room for these texts in all queues together."""
        return new_signals(total_queue_bytes=room_for(*texts), **settings)

    def test_the_slowest_first(self) -> None:
        """S16.2: where all queues together have too much, those with most go first, one after the other."""
        signals = self.bounded("x", "x", "x", "x", "x", "x")
        few, most, some = (slow(signals, client_id=each) for each in ("few", "most", "some"))
        for client, count in ((some, 2), (few, 1), (most, 3)):
            for _ in range(count):
                client.connection.send("x")
        assert [each.connection.state for each in (few, most, some)] == [ConnectionState.OPEN] * 3
        few.connection.send("y")
        assert most.got == ["first", TOO_SLOW]
        assert hub_of(signals).queues.queued_bytes == room_for("x", "x", "x", "y")
        few.connection.send("z" * 500)
        assert few.got == ["first", TOO_SLOW]
        some.reads_all()
        assert some.got == ["first", "x", "x"]
        assert signals.counters.limits_hit == {"total_queue_bytes": 2}
        assert nothing_is_kept(signals)

    def test_oneself(self) -> None:
        """S16.2: a client for which most waits goes by the message that is too much, which is dropped as well."""
        signals = self.bounded("x", "x")
        client = slow(signals)
        client.connection.send("x")
        client.connection.send("x")
        assert numbers(client.connection.send("x")) == (1, 0, 0, 1)
        assert client.got == ["first", TOO_SLOW]
        assert signals.counters.dropped_by == {"shed": 3}
        assert nothing_is_kept(signals)

    @pytest.mark.parametrize("policy", ["close", "drop_oldest", "drop_newest", "latest"])
    def test_within_a_broadcast(self, policy: Any) -> None:
        """S16.2: a broadcast that is too much for all closes some of its own audience, and counts each once."""
        signals = self.bounded("x", "x", "x", slow_client=policy)
        clients = [slow(signals) for _ in range(5)]
        reading = connected(signals)
        delivery = signals.send("x", name="Msg")
        assert delivery.recipients == 6
        assert delivery.sent == 1
        assert delivery.queued + delivery.dropped == 5
        turn(signals)
        assert hub_of(signals).queues.queued_bytes <= room_for("x", "x", "x")
        left = [each for each in clients if each.connection.state is ConnectionState.OPEN]
        assert len(left) == 3
        for client in clients:
            client.reads_all()
        assert [each.got for each in left] == [["first", "x"]] * 3
        assert reading.got == ["x"]
        assert nothing_is_kept(signals)
        assert signals.counters.limits_hit == {"total_queue_bytes": 2}

    def test_what_is_closed_leaves_no_queue(self) -> None:
        """S16.2: a client that is closed within a broadcast, before its turn in it, gets no queue anew."""
        signals = self.bounded("x" * 1_000, "x")
        others = [slow(signals), slow(signals)]
        most = slow(signals)
        most.connection.send("x" * 1_000)
        assert numbers(signals.send("x", name="Msg")) == (3, 0, 2, 1)
        assert most.got == ["first", TOO_SLOW]
        assert most.link.outbox is None
        assert signals.counters.dropped_by == {"shed": 1, "closed": 1}
        for client in (most, *others):
            client.vanishes()
        turn(signals)
        assert nothing_is_kept(signals)
        assert signals.open_connections() == ()

    def test_many_names(self) -> None:
        """S16.2: the bound is over all names, and a name whose client goes keeps its order for the others."""
        signals = self.bounded("x" * 100, "x" * 100)
        most = slow(signals, "A")
        reading, slow_one = connected(signals, "A"), slow(signals, "B")
        most.connection.send("x" * 150)
        signals.send("1", name="A", client_id=reading.client_id)
        slow_one.connection.send("x" * 100)
        assert most.got == ["first", TOO_SLOW]
        signals.send("2", name="A")
        turn(signals)
        slow_one.reads_all()
        assert reading.got == ["1", "2"]
        assert slow_one.got == ["first", "x" * 100]


class TestMemory:
    def test_queues_share_frames(self, signals: Signals) -> None:
        """S16.2: a message that waits for a hundred clients is in memory once."""
        clients = [slow(signals) for _ in range(100)]
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(5):
                signals.send("x" * 100_000, name="Msg")
            turn(signals)
            assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
        finally:
            tracemalloc.stop()
        assert all(client.link.outbox is not None for client in clients)

    def test_a_client_that_has_caught_up_has_no_queue(self, signals: Signals) -> None:
        """S16.2: a queue that is empty takes no memory."""
        client = slow(signals)
        client.connection.send("x")
        client.reads_all()
        assert client.link.outbox is None


class TestReports:
    def test_a_client_that_is_closed(self) -> None:
        """S16.7: a full queue is counted under its setting and told in one line, without what was in it."""
        signals = new_signals(send_queue_bytes=1)
        client = slow(signals, client_id="ada")
        with capturedLogs() as logs:
            client.connection.send("secret 1")
            client.connection.send("secret 2")
        assert signals.counters.limits_hit == {"send_queue_bytes": 1}
        assert [formatEvent(event) for event in logs] == [
            "connection ada reads too slowly: closed, 1 messages dropped (send_queue_bytes)"
        ]
        assert "secret" not in repr(logs)

    @pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
    def test_messages_that_are_dropped(self, policy: Any) -> None:
        """S16.7: each message that a full queue drops is counted, and few of them are told."""
        signals = new_signals(send_queue_bytes=1, slow_client=policy)
        client = slow(signals, client_id="ada")
        with capturedLogs() as logs:
            for _ in range(51):
                client.connection.send("secret")
        assert signals.counters.limits_hit == {"send_queue_bytes": 50}
        assert signals.counters.recipients_dropped == 50
        assert [formatEvent(event) for event in logs] == [
            "connection ada reads too slowly: a message was dropped (send_queue_bytes)"
        ] * 10


class Watched:
    """A slow client and what it has to get.

    A message goes out by the end of the turn where the wire has room, and through the queue where it is full. Either
    way what is written next is the oldest that was not written yet.

    Attributes:
        transport: the client.
        queue: what has to wait for it.
        collected: what goes out by the end of the turn.
        closes_with: the code of the one close frame that may come.
    """

    def __init__(self, transport: SlowTransport, queue: NaiveQueue[int]) -> None:
        self.transport = transport
        self.connection = transport.connection
        self.queue = queue
        self.collected: deque[int] = deque()
        self.closes_with: int | None = None
        self.dropped = 0
        self._seen = 0

    @property
    def is_open(self) -> bool:
        return self.connection.state is ConnectionState.OPEN

    def has_to_wait(self, number: int, size: int, key: str | None) -> str:
        """A message for which there is no room on the wire: what a delivery says of it."""
        taken, displaced = self.queue.push(number, size, key)
        self.dropped += displaced + (not taken)
        if taken is None:
            self.closes_with = TOO_SLOW.code
            self.gives_up()
        return "queued" if taken else "dropped"

    def gives_up(self) -> None:
        """What waits is lost."""
        self.dropped += len(self.queue.waiting)
        self.queue.waiting = []

    def check(self) -> None:
        """What was written since the last time is what had to come next."""
        written = self.transport.written
        for each in written[self._seen :]:
            if isinstance(each, Close):
                assert each.code == self.closes_with
                assert not self.collected
                assert not self.queue.waiting
                continue
            for text in texts_of(each):
                number = int(text.split(" ")[0])
                if number in self.collected:
                    assert self.collected.popleft() == number
                    assert not self.queue.waiting or number < self.queue.waiting[0][0]
                else:
                    assert self.queue.pop(1) == [number]
                    assert not self.collected or number < self.collected[0]
        self._seen = len(written)

    def has_all(self) -> None:
        """Nothing is missing."""
        self.check()
        assert not self.collected
        assert not self.queue.waiting


class Crowd:
    """Random steps with clients that read quickly, slowly or never.

    Attributes:
        clients: all that ever came.
    """

    def __init__(self, signals: Signals, random: Random) -> None:
        self.clients: list[Watched] = []
        self._signals = signals
        self._random = random
        self._steps = [self.join, self.leave, self.turn, self.read, self.read, self.send_to_one, self.send_to_some]
        self._steps += [self.broadcast] * 5

    @property
    def here(self) -> list[Watched]:
        return [each for each in self.clients if each.is_open]

    def step(self, number: int) -> None:
        """Do one thing, and check everything."""
        if self.here:
            self._random.choice(self._steps)(number)
        else:
            self.join(number)
        for each in self.clients:
            each.check()
        fan_out = hub_of(self._signals).fan_out
        assert fan_out.queues.queued_bytes == sum(each.queue.size_bytes for each in self.here)
        assert fan_out.congested == {each.transport.link for each in self.here if each.transport.is_full}

    def join(self, _number: int) -> None:
        if len(self.here) < 12:
            name, group = self._random.choice(["A", "B"]), self._random.choice([None, "g"])
            client = slowed(connect(self._signals, name, group=group), self._random.choice([0, 200, 1_000, 1 << 40]))
            settings = self._signals.settings
            self.clients.append(
                Watched(client, NaiveQueue(settings.send_queue_bytes, SlowClient(settings.slow_client)))
            )

    def leave(self, _number: int) -> None:
        if len(self.here) < 5:
            return
        gone = self._random.choice(self.here)
        if self._random.random() < 0.5:
            gone.closes_with = 4000
            gone.connection.close(4000)
            gone.has_all()
        else:
            turn(self._signals)  # what this turn has for it would be lost with it
            gone.check()
            gone.transport.vanishes()
            gone.gives_up()

    def turn(self, _number: int) -> None:
        turn(self._signals)

    def read(self, _number: int) -> None:
        for each in self._random.sample(self.here, min(3, len(self.here))):
            each.transport.reads(self._random.choice([100, 1_000, 1 << 40]))

    def send_to_one(self, number: int) -> None:
        one = self._random.choice(self.here)
        self.send(number, [one], one.connection.send)

    def send_to_some(self, number: int) -> None:
        some = self._random.sample(self.here, min(3, len(self.here)))
        ids = [each.connection.client_id for each in some]
        self.send(number, some, partial(self._signals.send, name=EVERY_NAME, client_id=ids))

    def broadcast(self, number: int) -> None:
        names = self._random.choice([["A"], ["B"], ["B", "A"]])
        groups = self._random.choice([[], [], ["g"]])
        audience = [each for each in self.here if each.connection.name in names]
        audience = [each for each in audience if not groups or each.connection.group in groups]
        self.send(number, audience, partial(self._signals.send, name=names, group=groups))

    def send(self, number: int, audience: list[Watched], send: Callable[..., Delivery]) -> None:
        """Send, and keep what each of the audience has to get of it."""
        text = f"{number} " + "x" * self._random.choice([1, 100, 700])
        size, key = len(text_frame(text.encode())), self._random.choice([None, "a", "b"])
        full = [each for each in audience if each.transport.is_full]
        outcomes = Counter(each.has_to_wait(number, size, key) for each in full)
        delivery = send(text, key=key)
        for each in audience:
            if each in full:
                continue
            # What was written before this message has filled its wire.
            if each.transport.link.outbox:
                outcomes[each.has_to_wait(number, size, key)] += 1
            else:
                each.collected.append(number)
                outcomes["sent"] += 1
        assert numbers(delivery) == (len(audience), outcomes["sent"], outcomes["queued"], outcomes["dropped"])


@pytest.mark.parametrize("policy", [each.value for each in SlowClient])
@pytest.mark.parametrize("seed", range(10))
def test_any_mixture(policy: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.2: whatever is sent, read and closed: each client gets its own, in order, and the numbers say what."""
    # Bounds that a few small messages reach; with the real ones each run would write gigabytes.
    monkeypatch.setattr(fanout, "_CHUNK_BYTES", 500)
    monkeypatch.setattr(fanout, "_MAX_BATCH_BYTES", 3_000)
    signals = new_signals(send_queue_bytes=3_000, slow_client=policy)
    crowd = Crowd(signals, Random(seed))
    for number in range(500):
        crowd.step(number)
    turn(signals)
    for each in crowd.clients:
        each.check()
        each.transport.reads_all()
        each.has_all()
    assert nothing_is_kept(signals)
    assert len(crowd.clients) > 12
    dropped = sum(each.dropped for each in crowd.clients)
    assert signals.counters.recipients_dropped == dropped > 0
