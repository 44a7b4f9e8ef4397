"""One client's data a little in each turn: nothing is lost, doubled or overtaken, whoever pauses and whatever ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import web_fakes
from autobahn.twisted.websocket import WebSocketServerFactory
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IWriteDescriptor
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from web_fakes import (
    CONTINUATION,
    PING,
    PONG,
    Client,
    Frame,
    Wire,
    World,
    close_frame,
    frame,
    frames_in,
    head,
    message,
)
from zope.interface import implementer

from pode_signals.hub import turns
from pode_signals.hub.turns import SHARE_SECONDS, Turns
from pode_signals.transports.pace import PacedServerProtocol

PARSE_SECONDS = SHARE_SECONDS  # what one client may take of a turn
PEER = IPv4Address("TCP", "203.0.113.7", 50_000)


class TurningClock(Clock):
    """A clock on which only looking at it takes time, and whose turns come one by one.

    ``advance`` goes on as long as anything is due: with a periodic call and time that passes by itself, for ever.

    Attributes:
        look_seconds: how long each look takes.
    """

    look_seconds = 0.0

    def seconds(self) -> float:
        """What time it is, a look later."""
        self.rightNow += self.look_seconds
        return self.rightNow

    def turn(self) -> None:
        """Call what is due by now, and nothing that is planned meanwhile."""
        for call in [each for each in self.calls if each.getTime() <= self.rightNow]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)

    def turns(self) -> int:
        """Let turns pass until nothing is planned; how many they were."""
        for count in range(10_000):
            if not self.calls:
                return count
            self.turn()
        raise AssertionError("there is no end to it")


class Reader(PacedServerProtocol):
    """Keeps what comes.

    Attributes:
        got: messages, and pings as text, in their order.
        upon: called with each message.
    """

    def __init__(self) -> None:
        super().__init__()
        self.got: list[bytes | str] = []
        self.upon: Callable[[bytes], object] = lambda _payload: None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message."""
        self.got.append(payload)
        self.upon(payload)

    def onPing(self, payload: bytes) -> None:
        """A ping."""
        self.got.append(payload.decode())
        super().onPing(payload)


class Connection:
    """What the reader is the wire of.

    Attributes:
        told: what it was told of the transport.
    """

    def __init__(self, clock: Clock) -> None:
        self.runtime = SimpleNamespace(clock=clock, turns=Turns(lambda: clock))
        self.reading_paused = False
        self.told: list[str] = []
        self.clock, self.wire, self.reader = clock, Wire(clock, PEER), Reader()
        self.wire.protocol = self.reader
        self.reader.factory = WebSocketServerFactory(reactor=clock)
        self.reader.connection = self  # type: ignore[assignment]
        self.reader.makeConnection(self.wire)

    def pause(self) -> None:
        """Read no further, as SignalConnection says it."""
        self.reading_paused = True
        self.reader.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self.reading_paused = False
        self.reader.resume_reading()

    def congested(self) -> None:
        """The transport is full."""
        self.told.append("congested")

    def drained(self) -> None:
        """It is empty."""
        self.told.append("drained")

    @property
    def reads(self) -> bool:
        """Whether the socket is read."""
        return self.wire.producerState == "producing"

    @property
    def answers(self) -> list[Frame]:
        """The frames that were written behind the 101."""
        return frames_in(self.wire.value().partition(b"\r\n\r\n")[2])


def opened(look_seconds: float = 0.0) -> tuple[Connection, TurningClock]:
    """An open connection, and its clock."""
    clock = TurningClock()
    connection = Connection(clock)
    connection.wire.deliver(head("/"))
    assert connection.reader.state == connection.reader.STATE_OPEN
    clock.look_seconds = look_seconds
    return connection, clock


def behind(*data: bytes) -> tuple[Connection, TurningClock]:
    """A connection that has parsed the head of the first frame of some data, for which its time was up."""
    connection, clock = opened(PARSE_SECONDS)
    connection.wire.deliver(b"".join(data))
    assert (connection.reader.got, connection.reads, len(clock.calls)) == ([], False, 1)
    return connection, clock


def numbered(count: int) -> tuple[bytes, list[bytes]]:
    """So many small frames, and their payloads."""
    payloads = [b"%d" % number for number in range(count)]
    return b"".join(frame(each) for each in payloads), payloads


class TestTurns:
    def test_a_read_that_takes_long(self) -> None:
        """S5.6: a read of many frames is parsed in many turns, in which others have theirs; nothing more is read."""
        data, payloads = numbered(300)
        connection, clock = opened(PARSE_SECONDS / 10)
        connection.wire.deliver(data)
        seen = []
        while not connection.reads:
            seen.append(len(connection.reader.got))
            assert len(clock.calls) == 1
            clock.turn()
        assert connection.reader.got == payloads
        # Ten looks a turn, one after each head and each payload: four or five frames.
        assert {after - before for before, after in pairwise(seen)} <= {4, 5, 6}
        assert clock.calls == []

    def test_a_step_each_turn(self) -> None:
        """S5.6: where a turn is over as soon as it begins, there still is a step in each, and an end."""
        data, payloads = numbered(50)
        connection, clock = behind(data)
        assert clock.turns() == 100  # the last one: a client that had its share is read in another turn
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_a_clock_that_stands_still(self) -> None:
        """S5.6: a read that takes no time is parsed at once, whatever it holds."""
        data, payloads = numbered(2_000)
        connection, clock = opened()
        connection.wire.deliver(data)
        assert (connection.reader.got, connection.reads, clock.calls) == (payloads, True, [])

    def test_a_clock_that_is_set_back(self) -> None:
        """S5.6: where time goes back, what has come is parsed all the same."""
        data, payloads = numbered(200)
        connection, _clock = opened(-1.0)
        connection.wire.deliver(data)
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_frames_behind_the_handshake(self) -> None:
        """S2.6: what came with the handshake is parsed at the same pace."""
        data, payloads = numbered(20)
        clock = TurningClock()
        connection = Connection(clock)
        clock.look_seconds = PARSE_SECONDS
        connection.wire.deliver(head("/") + data)
        assert (connection.reader.got, connection.reads) == ([], False)
        clock.turns()
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_data_that_comes_meanwhile(self) -> None:
        """S5.6: TLS may bring more although it is paused: it waits behind what waits already, and is not parsed now."""
        connection, clock = behind(frame("a"), frame("b"), frame("c")[:3])
        for part in (frame("c")[3:5], frame("c")[5:] + frame("d")):
            connection.reader.dataReceived(part)
        assert (connection.reader.got, len(clock.calls)) == ([], 1)
        clock.turns()
        assert connection.reader.got == [b"a", b"b", b"c", b"d"]

    def test_a_frame_without_a_payload(self) -> None:
        """S5.6: a frame of which nothing is left to come is ended although its turn was over behind its head."""
        connection, clock = behind(frame(""))
        assert connection.reader.data == b""
        connection.reader.dataReceived(frame("next") + frame("", PING))
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"", b"next", ""], True)
        assert connection.answers == [Frame(PONG, b"")]

    @pytest.mark.parametrize("at", range(1, len(frame("last"))))
    def test_a_frame_that_is_not_complete(self, at: int) -> None:
        """S5.6: what is there of a frame waits for the rest of it, for which the socket is read."""
        connection, clock = behind(frame("first"), frame("last")[:at])
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"first"], True)
        connection.wire.deliver(frame("last")[at:])
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"first", b"last"], True)

    def test_a_message_in_fragments(self) -> None:
        """S5.6: turns may end between the frames of a message, and pings between these are answered."""
        connection, clock = behind(
            frame("one ", fin=False), frame("p", PING), frame("mess", CONTINUATION, fin=False), frame("age", 0)
        )
        clock.turns()
        assert connection.reader.got == ["p", b"one message"]


class TestPausing:
    def test_in_the_middle_of_a_read(self) -> None:
        """S5.6: nothing is parsed behind the message upon which reading is paused, until it is resumed."""
        data, payloads = numbered(20)
        connection, clock = opened()
        connection.reader.upon = lambda payload: connection.pause() if payload == b"4" else None
        connection.wire.deliver(data)
        assert (connection.reader.got, connection.reads, clock.calls) == (payloads[:5], False, [])
        connection.resume()
        assert (connection.reader.got, connection.reads) == (payloads[:5], False)
        clock.turns()
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_upon_every_message(self) -> None:
        """S5.6: a connection that pauses upon each message, and resumes, gets each of them once, in order."""
        data, payloads = numbered(20)
        connection, clock = opened()
        connection.reader.upon = lambda _payload: connection.pause()
        connection.wire.deliver(data)
        for number in range(20):
            assert (connection.reader.got, connection.reads) == (payloads[: number + 1], False)
            connection.resume()
            clock.turns()
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_while_behind(self) -> None:
        """S5.6: the turn that was planned does nothing where reading was paused meanwhile, nor plans another."""
        connection, clock = behind(frame("a"), frame("b"))
        connection.pause()
        clock.turn()
        assert (connection.reader.got, connection.reads, clock.calls) == ([], False, [])
        connection.reader.dataReceived(frame("c"))
        assert (connection.reader.got, connection.reads, clock.calls) == ([], False, [])
        connection.resume()
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"a", b"b", b"c"], True)

    def test_and_resuming_within_a_turn(self) -> None:
        """S5.6: however often reading is paused and resumed, one turn is planned, and the socket waits for it."""
        connection, clock = behind(frame("a"), frame("b"))
        for _ in range(5):
            connection.pause()
            connection.resume()
            assert (connection.reads, len(clock.calls)) == (False, 1)
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"a", b"b"], True)

    def test_and_resuming_upon_a_message(self) -> None:
        """S5.6: who resumes upon the message upon which it paused is not held up."""
        connection, clock = opened()
        connection.reader.upon = lambda _payload: (connection.pause(), connection.resume())
        connection.wire.deliver(frame("a") + frame("b"))
        assert (connection.reader.got, connection.reads, clock.calls) == ([b"a", b"b"], True, [])

    def test_upon_the_last_message(self) -> None:
        """S5.6: where nothing waits, the socket is paused and resumed, and no turn is needed."""
        connection, clock = opened()
        connection.reader.upon = lambda _payload: connection.pause()
        connection.wire.deliver(frame("a"))
        assert (connection.reads, clock.calls) == (False, [])
        connection.resume()
        assert (connection.reads, clock.calls) == (True, [])

    def test_upon_the_last_message_of_a_later_turn(self) -> None:
        """S5.6: the turn that ends all that waited does not read on where its last message paused reading."""
        connection, clock = behind(frame("a"), frame("b"))
        connection.reader.upon = lambda payload: connection.pause() if payload == b"b" else None
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"a", b"b"], False)
        connection.resume()
        assert (connection.reads, clock.calls) == (True, [])


class TestClosing:
    def test_a_close_frame_in_the_middle(self) -> None:
        """S9.3: a close frame that was behind is answered, nothing after it parsed; TLS has to be read to its end."""
        connection, clock = behind(frame("a"), close_frame(1000), frame("b"), frame("p", PING))
        while connection.reader.state != connection.reader.STATE_CLOSED:
            clock.turn()
        assert connection.reads
        clock.turns()
        assert connection.reader.got == [b"a"]
        assert [each.code for each in connection.answers] == [1000]
        assert connection.wire.ended == "closed"

    def test_the_answer_to_our_close_frame(self) -> None:
        """S9.3: our close frame goes out while data waits; the answer behind that is found."""
        connection, clock = behind(frame("a"), frame("b"), close_frame(4000))
        connection.reader.sendCloseFrame(code=4000)
        clock.turns()
        assert [each.code for each in connection.answers] == [4000]
        assert connection.wire.ended is not None
        assert connection.reader.state == connection.reader.STATE_CLOSED

    @pytest.mark.parametrize("paused", [False, True])
    def test_tls_ends_behind_data(self, paused: bool) -> None:
        """S9.3: where the transport ends in order, what waits is parsed first, a little in each turn."""
        data, payloads = numbered(20)
        connection, clock = behind(data + frame("not")[:-1])
        if paused:
            connection.pause()
        connection.wire.client_ends("left", ConnectionDone())
        assert connection.reader.state == connection.reader.STATE_OPEN
        if paused:
            clock.turns()
            assert connection.reader.got == []
            connection.resume()
        assert clock.turns() > 20
        assert connection.reader.got == payloads
        assert connection.reader.state == connection.reader.STATE_CLOSED

    def test_tls_ends_behind_a_close_frame(self) -> None:
        """S9.3: the client's code counts where its close frame waited when the transport ended."""
        connection, clock = behind(frame("a"), close_frame(4001), frame("b"))
        connection.wire.client_ends("left", ConnectionDone())
        clock.turns()
        assert (connection.reader.got, connection.reader.remoteCloseCode) == ([b"a"], 4001)

    @pytest.mark.parametrize("reason", [ConnectionLost(), ConnectionAborted()])
    @pytest.mark.parametrize("paused", [False, True])
    def test_a_reset_while_behind(self, reason: Exception, paused: bool) -> None:
        """S9.3: where the transport is reset, or was aborted, what waits is dropped."""
        connection, clock = behind(frame("a"), frame("b"))
        if paused:
            connection.pause()
        connection.wire.client_ends("reset", reason)
        if paused:
            connection.resume()
        clock.turns()
        assert connection.reader.got == []
        assert connection.reader.state == connection.reader.STATE_CLOSED

    def test_a_transport_that_ends_with_nothing_waiting(self) -> None:
        """S9.3: half a frame is not parsed again when the transport ends."""
        connection, clock = opened()
        connection.wire.deliver(frame("a") + frame("b")[:-1])
        connection.wire.client_ends("left", ConnectionDone())
        clock.turns()
        assert connection.reader.got == [b"a"]


# However it goes.

STEPS = st.lists(st.sampled_from(["read", "push", "turn", "turn", "pause", "resume", "faster", "slower"]), max_size=60)
PAYLOADS = st.lists(st.binary(max_size=4) | st.just(b"") | st.just(b"x" * 130), min_size=1, max_size=30)


@settings(deadline=None, max_examples=300)
@given(PAYLOADS, STEPS, st.lists(st.integers(1, 40), min_size=1, max_size=30), st.sets(st.integers(0, 29)))
def test_nothing_is_lost(payloads: list[bytes], steps: list[str], sizes: list[int], pausing: set[int]) -> None:
    """S5.6: however data is cut, turns end and reading pauses: each message once, in order, and the socket reads on."""
    connection, clock = opened()
    data = b"".join(frame(each, 2) for each in payloads)
    connection.reader.upon = lambda _: connection.pause() if len(connection.reader.got) in pausing else None
    for number, step in enumerate(steps):
        if step == "push" or (step == "read" and connection.reads):  # TLS may bring more although it is paused
            size = sizes[number % len(sizes)]
            connection.reader.dataReceived(data[:size])
            data = data[size:]
        elif step in ("faster", "slower"):
            clock.look_seconds = {"faster": 0.0, "slower": PARSE_SECONDS}[step]
        elif step != "read":
            {"turn": clock.turn, "pause": connection.pause, "resume": connection.resume}[step]()
        assert connection.reader.got == payloads[: len(connection.reader.got)]
    connection.reader.dataReceived(data)
    while connection.reading_paused or clock.calls:
        if connection.reading_paused:
            connection.resume()
        clock.turn()
    assert (connection.reader.got, connection.reads) == (payloads, True)


# With all that is around it.


BOTH_PROTOCOLS = pytest.mark.usefixtures("protocol")


def slow_world(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[World, Client]:
    """A world whose parser has no time in any turn and whose clock is a TurningClock, and a client."""
    monkeypatch.setattr(web_fakes, "Clock", TurningClock)
    monkeypatch.setattr(turns, "SHARE_SECONDS", 0.0)
    world = World(messages_per_second=1e6, message_burst=10_000, **settings).converting()
    return world, world.client().open()


@BOTH_PROTOCOLS
def test_a_stalled_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: a function that stalls, then ends for one message after the other, gets all of them in order, once each."""
    world, client = slow_world(monkeypatch, max_pending_messages=4)
    handled: list[object] = []
    waiting: list[Deferred[None]] = []

    @world.signals.route("/msg")
    def stall(event: Any) -> Deferred[None]:
        handled.append(event.data.message)
        waiting.append(Deferred())
        return waiting[-1]

    client.send(*(b"".join(message(number) for number in range(start, start + 400)) for start in range(0, 1_200, 400)))
    world.turn()
    assert (handled, client.wire.producerState) == ([0], "paused")
    while waiting:
        waiting.pop().callback(None)
        world.turn()
    assert handled == list(range(1_200))
    assert client.wire.producerState == "producing"
    assert client.frames == []


@BOTH_PROTOCOLS
def test_empty_frames_at_the_end_of_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: a text that comes in while the end of an empty frame waits does not overtake it."""
    world, client = slow_world(monkeypatch)
    world.listening()
    protocol = client.wire.protocol
    protocol.dataReceived(frame('{"message":', fin=False))
    world.turn()
    protocol.dataReceived(frame("1}", CONTINUATION, fin=False) + frame("", CONTINUATION))
    while protocol.data:
        world.clock.turn()
    assert protocol.current_frame is not None
    protocol.dataReceived(message(2))
    world.turn()
    assert world.messages == [1, 2]


@BOTH_PROTOCOLS
def test_pausing_while_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: of texts that wait none is handled while reading is paused, in whatever turn that was."""
    world, client = slow_world(monkeypatch)
    world.listening()
    client.send(frame("", PING) + message(1) + message(2))
    world.clock.turn()
    assert client.wire.protocol.data == message(1) + message(2)
    world.converted[0]._link.pause_reading()
    world.turn()
    assert (world.messages, client.wire.producerState) == ([], "paused")
    world.converted[0]._link.resume_reading()
    world.turn()
    assert (world.messages, client.wire.producerState) == ([1, 2], "producing")


@BOTH_PROTOCOLS
@pytest.mark.parametrize("how", ["close", "abort"])
def test_ending_while_behind(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S9.3: of what waits nothing is handled once the connection closes; the answer behind it is understood."""
    world, client = slow_world(monkeypatch)
    world.listening()
    client.send(frame("", PING) + message(1) + message(2) + close_frame(4000))
    assert client.wire.producerState == "paused"
    connection = world.converted[0]
    if how == "close":
        connection.close(4000)
    else:
        connection._link.abort()
    world.turn()
    assert world.messages == []
    assert client.wire.ended == {"close": "closed", "abort": "aborted"}[how]
    assert world.converted[0].closure is not None
    assert world.converted[0].closure.code == {"close": 4000, "abort": 1006}[how]
    assert world.signals.counters.callbacks_failed == 0


# What is written.


@implementer(IWriteDescriptor)
class Descriptor:
    """A transport that holds some bytes, and the system, which takes so many at a time.

    Attributes:
        takes: how many it takes each time; an exception is its end.
    """

    def __init__(self, reader: Reader, held: int, takes: list[int | Exception]) -> None:
        self.reader, self.takes = reader, takes
        self.dataBuffer, self.offset = b"x" * held, 0

    def doWrite(self) -> Exception | None:
        """Write, as the reactor would."""
        took = self.takes.pop(0)
        if isinstance(took, Exception):
            return took
        self.offset += took
        if self.offset == len(self.dataBuffer):
            self.dataBuffer, self.offset = b"", 0
            self.reader.resumeProducing()
        return None


class TestWriting:
    def full(self, held: int, *takes: int | Exception) -> tuple[Connection, Descriptor]:
        """A connection whose transport has just become full."""
        connection, _clock = opened()
        transport = Descriptor(connection.reader, held, list(takes))
        connection.reader.transport = transport
        connection.reader.pauseProducing()
        return connection, transport

    def test_what_the_system_takes_at_once(self) -> None:
        """S4.7: a transport that can be emptied now is not full."""
        connection, transport = self.full(10, 4, 4, 2)
        assert (connection.told, transport.takes) == ([], [])

    def test_what_it_does_not_take(self) -> None:
        """S4.7: it is full where the system takes no more, which is asked no further; and told so once."""
        connection, transport = self.full(10, 4, 0, 4)
        assert (connection.told, transport.takes) == (["congested"], [4])
        transport.takes[:] = [0, 6]
        connection.reader.pauseProducing()
        assert connection.told == ["congested"]
        transport.doWrite()
        connection.reader.resumeProducing()
        assert connection.told == ["congested", "drained"]

    def test_a_transport_that_fails(self) -> None:
        """S4.7: an error of the system ends the writing; the reactor will find it as well."""
        connection, _transport = self.full(10, 4, ConnectionLost())
        assert connection.told == ["congested"]

    def test_a_transport_that_is_none_of_the_system(self) -> None:
        """S4.7: TLS has no buffer that the system could take: it is full when it says so."""
        connection, _clock = opened()
        connection.reader.pauseProducing()
        connection.reader.resumeProducing()
        connection.reader.resumeProducing()
        assert connection.told == ["congested", "drained"]

    def test_its_end(self) -> None:
        """S9.3: a transport that ends tells its producer, too, which waits to hear it as a protocol."""
        connection, _clock = opened()
        connection.reader.stopProducing()
        connection.reader.connectionLost(Failure(ConnectionLost()))
        assert connection.told == []


# Functions that compute, whatever way their messages come.

BUSY_SECONDS = 0.005


def plain_socket(world: World, protocol: Any, data: bytes) -> None:
    """A socket of TCP: one read."""
    protocol.take(data)


def records(world: World, protocol: Any, data: bytes) -> None:
    """TLS: what is read in one turn has a record for each 20 bytes."""
    wrapper = ProtocolWrapper(WrappingFactory(world.site), protocol)
    wrapper.transport = protocol.transport
    protocol.transport = wrapper
    for at in range(0, len(data), 20):
        protocol.dataReceived(data[at : at + 20])


SMALL = b"".join(message(number) for number in range(30))
WAYS: dict[str, tuple[Callable[..., None], bytes]] = {
    "small frames": (plain_socket, SMALL),
    "fragments": (
        plain_socket,
        b"".join(frame('{"message":', fin=False) + frame(f"{number}}}", CONTINUATION) for number in range(30)),
    ),
    "pings between": (plain_socket, b"".join(message(number) + frame("", PONG) * (number % 2) for number in range(30))),
    "large frames": (
        plain_socket,
        b"".join(message(number, pad="x" * 40_000 if number % 10 == 0 else "") for number in range(30)),
    ),
    "records of tls": (records, SMALL),
}


class Busy:
    """A world with a signal route that computes for 5 ms, by a clock that goes by nothing else.

    Attributes:
        heard: what the route got, and in which turn.
        later: what the next call of the route gives, which does not compute.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        monkeypatch.setattr(web_fakes, "Clock", TurningClock)
        self.world = World(max_message_bytes=100_000, **settings)
        self.heard: list[tuple[int, Any]] = []
        self.turn = 0
        self.later: Deferred[None] | None = None
        self.world.signals.add_route("/msg", self.route)

    def route(self, event: Any) -> Deferred[None] | None:
        self.heard.append((self.turn, event.data.message))
        later, self.later = self.later, None
        if later is None:
            self.world.clock.rightNow += BUSY_SECONDS
        return later

    def turns(self) -> None:
        """Let turns pass until nothing is due."""
        while self.is_due:
            self.pass_one()
            assert self.turn < 1_000, "there is no end to it"

    def pass_one(self) -> float:
        """Let a turn pass; how long it took."""
        before = self.world.clock.rightNow
        self.turn += 1
        self.world.clock.turn()  # type: ignore[attr-defined]
        return self.world.clock.rightNow - before

    @property
    def is_due(self) -> bool:
        """Whether anything happens in the next turn."""
        return any(call.getTime() <= self.world.clock.rightNow for call in self.world.clock.calls)

    def check(self, count: int) -> None:
        """Each message once, in order, and one in a turn."""
        assert [each for _, each in self.heard] == list(range(count))
        in_turns = Counter(turn for turn, _ in self.heard)
        assert set(in_turns.values()) == {1}


def busy(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[Busy, Client]:
    """Such a world, and a client whose Connect functions have run."""
    found = Busy(monkeypatch, **settings)
    found.world.converting()
    client = found.world.client()
    client.send(head())
    found.turns()
    return found, client


@BOTH_PROTOCOLS
@pytest.mark.parametrize("way", WAYS)
def test_one_function_in_a_turn(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: of a client's messages that come in one packet one is handled in a turn where each takes 5 ms."""
    deliver, data = WAYS[way]
    found, client = busy(monkeypatch)
    protocol = client.wire.protocol
    found.turn += 1
    deliver(found.world, protocol, data + close_frame(4001))
    assert len(found.heard) == 1
    assert client.wire.producerState == "paused"
    found.turns()
    found.check(30)
    assert found.world.converted[0].closure is not None
    assert found.world.converted[0].closure.code == 4001


@BOTH_PROTOCOLS
def test_behind_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """S2.6: of messages that came with the handshake one is handled in a turn, too."""
    found = Busy(monkeypatch)
    found.world.converting()
    found.world.client().send(head() + SMALL)
    found.turns()
    found.check(30)


@BOTH_PROTOCOLS
def test_behind_a_connect_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """S9.3: of messages that waited for the Connect functions one is handled in a turn."""
    found = Busy(monkeypatch)
    found.world.converting()
    connecting: Deferred[None] = Deferred()
    found.world.signals.on_connect("Msg")(lambda event: connecting)
    client = found.world.client().send(head())
    found.world.clock.turn()
    client.send(SMALL)
    assert found.heard == []
    connecting.callback(None)
    assert len(found.heard) == 1
    found.turns()
    found.check(30)


@BOTH_PROTOCOLS
def test_behind_a_function_that_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: of messages that waited for a function to end one is handled in a turn."""
    found, client = busy(monkeypatch)
    waited = found.later = Deferred()
    client.send(SMALL)
    assert len(found.heard) == 1
    found.turn += 1
    waited.callback(None)
    assert len(found.heard) == 2
    found.turns()
    found.check(30)


@BOTH_PROTOCOLS
def test_behind_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.3: of messages that waited for the rate one is handled in a turn, although it would let through more."""
    found, client = busy(monkeypatch, messages_per_second=20.0, message_burst=10)
    client.send(b"".join(message(number) for number in range(30)))
    for _ in range(300):
        found.pass_one()
        found.world.clock.rightNow += 0.2
    found.check(30)


@BOTH_PROTOCOLS
def test_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.6: clients that have more than their share go on one after the other, 20 ms of them in a turn."""
    found, first = busy(monkeypatch)
    clients = [first, *(found.world.client().send(head()) for _ in range(9))]
    found.turns()
    for client in clients:
        client.send(SMALL)
    assert len(found.heard) == 10
    spent = []
    while found.is_due:
        spent.append(found.pass_one())
    assert max(spent) < 0.02 + 2 * BUSY_SECONDS
    assert [message for _, message in found.heard] == [number for number in range(30) for _ in range(10)]


# TLS that ends behind data.


@BOTH_PROTOCOLS
@pytest.mark.parametrize("how", ["nothing", "close", "abort"])
def test_tls_ends_behind_messages(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S9.3: what came before the end is handled, a message in a turn; whoever closes or aborts meanwhile is obeyed."""
    found, client = busy(monkeypatch)
    ended: list[Any] = []
    connection = found.world.converted[0]
    connection.when_disconnected().addCallback(lambda closure: ended.append((closure.code, len(found.heard))))
    client.send(SMALL)
    client.leave()
    assert ended == []
    if how == "nothing":
        found.turns()
        found.check(30)
        assert ended == [(1006, 30)]
    else:
        if how == "close":
            connection.close(4000)
        else:
            connection._link.abort()
        found.turns()
        assert ended == [({"close": 4000, "abort": 1006}[how], 1)]
    assert found.world.signals.open_connections() == ()
    assert found.world.signals.counters.callbacks_failed == 0


@BOTH_PROTOCOLS
def test_tls_ends_while_reading_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """S9.3: an end that comes while the connection reads no further is seen when it has read all that came before."""
    found, client = busy(monkeypatch)
    connection = found.world.converted[0]
    client.send(SMALL)
    connection._link.pause_reading()
    client.leave()
    found.turns()
    assert (len(found.heard), connection.state.value) == (1, "open")
    connection._link.pause_reading()
    connection._link.resume_reading()
    found.turns()
    found.check(30)
    assert connection.state.value == "closed"
