"""Connections that parse a little in each turn, on a clock whose turns come one by one. Nothing in here is a test."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from web_fakes import Client, Frame, Wire, World, frame, frames_in, head

from pode_signals.hub.turns import SHARE_SECONDS, Turns
from pode_signals.transports.pace import PacedServerProtocol

PARSE_SECONDS = SHARE_SECONDS
"""What one client may take of a turn."""
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


def slow_world(**settings: Any) -> tuple[World, Client]:
    """A world whose parser has used up its time whenever it looks at the clock, and a client."""
    clock = TurningClock()
    # Time goes by quickly here, and a ping that is due is nothing that these tests are about.
    settings = {"messages_per_second": 1e6, "message_burst": 10_000, "ping_interval_seconds": 1e6, **settings}
    world = World(clock=clock, **settings).converting()
    client = world.client().open()
    clock.look_seconds = 2 * PARSE_SECONDS
    return world, client
