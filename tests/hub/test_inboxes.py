"""What waits for functions is bounded in bytes, for each client and for all: nothing is lost, and others are served."""

from __future__ import annotations

import json
import tracemalloc
import zlib
from random import Random
from typing import Any

import pytest
from fakes import Close, FakeTransport, clock_of, connected, new_signals, turn
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from web_fakes import World, frame

from pode_signals import Signals
from pode_signals.core.limits import TokenBucket
from pode_signals.hub.connection import ConnectionState
from pode_signals.signals import hub_of


class Waiting:
    """Signals whose function goes on until it is told to end.

    Attributes:
        heard: what it got, with its client, in order.
        running: what its calls wait for, by client id.
    """

    def __init__(self, **settings: Any) -> None:
        self.signals = new_signals(messages_per_second=1e9, message_burst=10**9, **settings)
        self.heard: list[tuple[str, Any]] = []
        self.running: dict[str, Deferred[None]] = {}
        self.signals.add_route("/ws", self.hear)

    def hear(self, event: Any) -> Deferred[None]:
        self.heard.append((event.client_id, event.data.message["n"]))
        self.running[event.client_id] = Deferred()
        return self.running[event.client_id]

    def client(self) -> FakeTransport:
        """A client whose function runs already, for its first message."""
        client = connected(self.signals)
        says(client, 0, 30)
        return client

    def end_one(self, client: FakeTransport) -> None:
        """The function that runs for a client ends."""
        self.running.pop(client.client_id).callback(None)
        turn(self.signals)

    def of(self, client: FakeTransport) -> list[int]:
        """What was heard of a client."""
        return [number for client_id, number in self.heard if client_id == client.client_id]


def says(client: FakeTransport, number: int, size_bytes: int) -> None:
    """A client sends a message of so many bytes."""
    text = json.dumps({"message": {"n": number, "": ""}}, separators=(",", ":"))
    client.writes(text.replace('""}', '"' + "x" * (size_bytes - len(text)) + '"}').encode())


def inbox_bytes(client: FakeTransport) -> int:
    """What waits for a client's function."""
    return sum(map(len, client.link.inbox or ()))


class TestOne:
    def test_at_so_many_bytes(self) -> None:
        """S5.6: reading pauses when 1,000 bytes wait, and goes on when a quarter does; all are handled in order."""
        waiting = Waiting(inbox_bytes=1_000)
        client = waiting.client()
        for number in range(1, 10):
            says(client, number, 100)
        assert client.reading == []
        says(client, 10, 100)
        assert (client.reading, inbox_bytes(client)) == (["pause"], 1_000)
        for _ in range(7):
            waiting.end_one(client)
        assert (client.reading, inbox_bytes(client)) == (["pause"], 300)
        waiting.end_one(client)
        assert (client.reading, inbox_bytes(client)) == (["pause", "resume"], 200)
        while client.client_id in waiting.running:
            waiting.end_one(client)
        assert waiting.of(client) == list(range(11))
        assert waiting.signals.counters.limits_hit == {"inbox_bytes": 1}
        assert hub_of(waiting.signals).inboxes.waiting_bytes == 0

    def test_a_message_alone(self) -> None:
        """S5.6: one message always fits, however large; it is handled, and its client is read on."""
        waiting = Waiting(inbox_bytes=50, total_inbox_bytes=60)
        client = waiting.client()
        says(client, 1, 500)
        assert client.reading == ["pause"]
        waiting.end_one(client)
        waiting.end_one(client)
        assert (client.reading[-1], waiting.of(client)) == ("resume", [0, 1])
        says(client, 2, 500)
        assert waiting.of(client) == [0, 1, 2]

    @pytest.mark.parametrize("count", [3, 70])
    def test_whichever_comes_first(self, count: int) -> None:
        """S5.6: number and bytes are both bounds, and reading goes on when little is left by both."""
        waiting = Waiting(max_pending_messages=8, inbox_bytes=1_000)
        client = waiting.client()
        size = 300 if count == 3 else 40
        for number in range(1, 1 + min(count, 8)):
            says(client, number, size)
        assert client.reading == ["pause"]
        assert waiting.signals.counters.limits_hit == {"inbox_bytes" if count == 3 else "max_pending_messages": 1}
        while client.reading == ["pause"]:
            assert inbox_bytes(client) > 250 or len(client.link.inbox or ()) > 2
            waiting.end_one(client)
        assert client.reading == ["pause", "resume"]

    def test_the_log(self) -> None:
        """S16.7: each bound that acts is told by its setting."""
        waiting = Waiting(inbox_bytes=100, total_inbox_bytes=300)
        with capturedLogs() as logs:
            for _ in range(4):
                says(waiting.client(), 1, 100)
        lines = [formatEvent(event) for event in logs if event["kind"] in ("inbox_bytes", "total_inbox_bytes")]
        assert [line.partition(": ")[2] for line in lines[:3]] == [
            "its socket is not read until its functions have ended (inbox_bytes)"
        ] * 3
        assert lines[4:] == [
            "400 bytes of messages wait: clients whose messages wait or are handled are not read further"
            " (total_inbox_bytes)"
        ]


class TestAll:
    def test_who_is_busy_is_read_no_further(self) -> None:
        """S5.6: over the total nobody is read whose messages wait or are handled; those at rest are."""
        waiting = Waiting(total_inbox_bytes=1_000)
        most, some, none, idle = (waiting.client() for _ in range(4))
        waiting.end_one(idle)
        for number in range(1, 10):
            says(most, number, 100)
        says(some, 1, 100)
        assert [each.reading for each in (most, some, none, idle)] == [[], [], [], []]
        says(some, 2, 100)
        assert [each.reading for each in (most, some, none, idle)] == [["pause"], ["pause"], ["pause"], []]
        says(idle, 1, 100)
        assert (waiting.of(idle), idle.reading) == ([0, 1], ["pause"])
        waiting.end_one(idle)
        assert idle.reading == ["pause", "resume"]
        assert waiting.signals.counters.limits_hit == {"total_inbox_bytes": 1}

    def test_until_there_is_room(self) -> None:
        """S5.6: who was read no further is read again when there is room and its own messages are few, or none."""
        waiting = Waiting(total_inbox_bytes=1_000, inbox_bytes=2_000)
        most, some = waiting.client(), waiting.client()
        for number in range(1, 11):
            says(most, number, 100)
        says(some, 1, 10 + 90)
        assert (most.reading, some.reading) == (["pause"], ["pause"])
        waiting.end_one(some)
        assert some.reading == ["pause"]
        waiting.end_one(some)
        assert some.reading == ["pause", "resume"]
        while most.client_id in waiting.running:
            waiting.end_one(most)
        assert most.reading == ["pause", "resume"]
        assert waiting.of(most) == list(range(11))
        assert not hub_of(waiting.signals).inboxes.is_full

    def test_those_who_connect(self) -> None:
        """S9.3: who waits for a Connect function counts as busy, and is read on behind it."""
        waiting = Waiting(total_inbox_bytes=1_000)
        connecting: Deferred[None] = Deferred()
        waiting.signals.on_connect("Late")(lambda event: connecting)
        most, late = waiting.client(), connected(waiting.signals, "Late")
        for number in range(1, 12):
            says(most, number, 100)
        assert late.reading == ["pause"]
        connecting.callback(None)
        assert late.reading == ["pause", "resume"]

    def test_those_who_wait_for_their_rate(self) -> None:
        """S16.3: who waits for its rate is read no further either, once there is no room."""
        waiting = Waiting(total_inbox_bytes=1_000)
        most, fast = waiting.client(), waiting.client()
        waiting.end_one(fast)
        for number in range(1, 12):
            says(most, number, 100)
        fast.link.intake.bucket = TokenBucket(1.0, 1, clock_of(waiting.signals).seconds())
        fast.link.intake.bucket.take(clock_of(waiting.signals).seconds())
        says(fast, 1, 100)
        assert (waiting.of(fast), fast.reading) == ([0], ["pause"])
        turn(waiting.signals, seconds=1.1)
        waiting.end_one(fast)
        assert (waiting.of(fast), fast.reading) == ([0, 1], ["pause", "resume"])

    @pytest.mark.parametrize("end", ["closes", "vanishes", "close"])
    def test_who_leaves(self, end: str) -> None:
        """S5.6: what a client that left has said is handled all the same, and does not count for ever."""
        waiting = Waiting(total_inbox_bytes=500)
        client = waiting.client()
        for number in range(1, 7):
            says(client, number, 100)
        {"closes": client.closes, "vanishes": client.vanishes, "close": client.connection.close}[end]()
        while client.client_id in waiting.running:
            waiting.end_one(client)
        assert waiting.of(client) == list(range(7))
        inboxes = hub_of(waiting.signals).inboxes
        assert (inboxes.waiting_bytes, inboxes.incomplete_bytes, inboxes.is_full) == (0, 0, False)

    @pytest.mark.parametrize("seed", range(20))
    def test_any_mixture(self, seed: int) -> None:
        """S5.6: whoever sends and ends when: nothing is lost, all are read on, and the bounds are kept to."""
        random = Random(seed)
        waiting = Waiting(inbox_bytes=600, total_inbox_bytes=1_500, max_pending_messages=random.choice([4, 64]))
        clients = [waiting.client() for _ in range(8)]
        said = dict.fromkeys(clients, 1)
        for _ in range(600):
            client = random.choice(clients)
            if random.random() < 0.6:
                if not client.link.reading_paused:
                    says(client, said[client], random.choice([40, 100, 300]))
                    said[client] += 1
            elif client.client_id in waiting.running:
                waiting.end_one(client)
            assert hub_of(waiting.signals).inboxes.waiting_bytes == sum(map(inbox_bytes, clients)) <= 1_500 + 300
            assert max(map(inbox_bytes, clients)) < 600 + 300 - 40
        while waiting.running:
            for client in clients:
                if client.client_id in waiting.running:
                    waiting.end_one(client)
        for client in clients:
            assert waiting.of(client) == list(range(said[client]))
            assert not client.link.reading_paused


# On the wire.


def worlds(**settings: Any) -> tuple[World, list[Any]]:
    """A world whose function never ends by itself."""
    world = World(messages_per_second=1e9, message_burst=10**9, **settings).converting()
    running: list[Deferred[None]] = []

    def wait(event: Any) -> Deferred[None]:
        running.append(Deferred())
        return running[-1]

    world.signals.add_route("/msg", wait)
    return world, running


def deflated(text: bytes) -> bytes:
    """A message of a client, compressed by itself."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return frame((packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff"), rsv=4)


def test_compressed_messages() -> None:
    """S6.2: small compressed messages are inflated no further than may wait; the others wait as they came."""
    world, running = worlds(compression=True, inbox_bytes=100_000, total_inbox_bytes=1_000_000)
    text = json.dumps({"message": "x" * 60_000}).encode()
    clients = [
        world.client().open("/msg", ("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover"))
        for _ in range(40)
    ]
    tracemalloc.start()
    try:
        for client in clients:
            client.send(deflated(text) * 50)
        held_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert hub_of(world.signals).inboxes.waiting_bytes <= 1_000_000 + len(text)
    assert held_bytes < 6_000_000  # with what the 40 functions have
    done = 0
    while running:
        running.pop(0).callback(None)
        done += 1
        world.turn()
    assert done == 40 * 50
    assert all(client.wire.producerState == "producing" for client in clients)


def unfinished(size_bytes: int, *, fragments: bool) -> bytes:
    """The beginning of a message, of so many bytes."""
    if fragments:
        return frame("x" * size_bytes, fin=False)
    return frame("x" * 60_000)[: 8 + size_bytes]


@pytest.mark.parametrize("fragments", [True, False])
class TestIncomplete:
    def test_it_counts(self, fragments: bool) -> None:
        """S5.6: what has come of a message counts while it is not complete, and as long as its connection is open."""
        world, _ = worlds()
        inboxes = hub_of(world.signals).inboxes
        clients = [world.client().open() for _ in range(4)]
        for client in clients:
            client.send(unfinished(1_000, fragments=fragments))
        assert inboxes.incomplete_bytes == 4_000
        clients[0].send(frame("", opcode=0) if fragments else frame("x" * 60_000)[1_008:])
        assert inboxes.incomplete_bytes == 3_000
        clients[1].leave()
        assert inboxes.incomplete_bytes == 2_000
        world.converted[2].close()
        assert inboxes.incomplete_bytes == 1_000
        clients[3].send(frame("", opcode=9) if fragments else b"x")
        assert inboxes.incomplete_bytes == 1_000 + (not fragments)

    def test_too_much_in_all(self, fragments: bool) -> None:
        """S5.6: over the total those that have been coming for longest are given up, with 1013."""
        world, _ = worlds(total_inbox_bytes=100_000)
        clients = [world.client().open() for _ in range(12)]
        for client in clients:
            client.send(unfinished(10_000, fragments=fragments))
            assert hub_of(world.signals).inboxes.incomplete_bytes <= 100_000
        gone = [client for client in clients if client.closed == (1013, "no room for messages")]
        assert gone == clients[: len(gone)] != []
        assert world.signals.counters.limits_hit["total_inbox_bytes"] == 1 + len(gone)
        left = [client for client in clients if client not in gone]
        for client in left:
            client.send(frame("}", opcode=0) if fragments else frame("x" * 60_000)[10_008:])
        assert hub_of(world.signals).inboxes.incomplete_bytes == 0
        assert world.signals.counters.messages_bad == len(left)

    def test_a_message_alone(self, fragments: bool) -> None:
        """S5.6: the only message that is not complete may be as large as a message may be."""
        world, _ = worlds(total_inbox_bytes=100)
        client = world.client().open()
        client.send(unfinished(50_000, fragments=fragments))
        assert client.closed is None


def test_what_is_given_up_is_let_go() -> None:
    """S5.6: the memory of a message that was given up is free before its client answers the close frame."""
    world, _ = worlds(total_inbox_bytes=100_000, close_timeout_seconds=1e6)
    clients = [world.client().open() for _ in range(60)]
    payload = frame("x" * 60_000, fin=False)
    tracemalloc.start()
    try:
        for client in clients:
            client.wire.protocol.take(payload)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert [client.closed for client in clients[:-1]] == [(1013, "no room for messages")] * 59


@pytest.fixture
def signals() -> Signals:
    """Signals with the defaults."""
    return new_signals()


def test_no_pause_behind_a_close_frame(signals: Signals) -> None:
    """S9.3: a connection that closes is not paused any more, or its client's close frame would never be read."""
    client = connected(signals, answers_close=False)
    client.connection.close()
    client.link.pause_reading()
    assert (client.reading, client.link.reading_paused) == ([], False)
    assert client.connection.state is ConnectionState.CLOSING
    assert client.got == [Close(1000)]
