"""Functions that compute: one of them in a turn of a client, whatever way its messages come, and however it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from fakes import link_of
from transports.paced import TurningClock
from twisted.internet.defer import Deferred
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from web_fakes import CONTINUATION, PONG, Client, World, close_frame, frame, head, message

BOTH_PROTOCOLS = pytest.mark.usefixtures("protocol")
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

    def __init__(self, **settings: Any) -> None:
        self.clock = TurningClock()
        self.world = World(clock=self.clock, max_message_bytes=100_000, **settings)
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
        self.clock.turn()
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


def busy(**settings: Any) -> tuple[Busy, Client]:
    """Such a world, and a client whose Connect functions have run."""
    found = Busy(**settings)
    found.world.converting()
    client = found.world.client()
    client.send(head())
    found.turns()
    return found, client


@BOTH_PROTOCOLS
@pytest.mark.parametrize("way", WAYS)
def test_one_function_in_a_turn(way: str) -> None:
    """S5.6: of a client's messages that come in one packet one is handled in a turn where each takes 5 ms."""
    deliver, data = WAYS[way]
    found, client = busy()
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
def test_behind_the_handshake() -> None:
    """S2.6: of messages that came with the handshake one is handled in a turn, too."""
    found = Busy()
    found.world.converting()
    found.world.client().send(head() + SMALL)
    found.turns()
    found.check(30)


@BOTH_PROTOCOLS
def test_behind_a_connect_function() -> None:
    """S9.3: of messages that waited for the Connect functions one is handled in a turn."""
    found = Busy()
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
def test_behind_a_function_that_waited() -> None:
    """S5.6: of messages that waited for a function to end one is handled in a turn."""
    found, client = busy()
    waited = found.later = Deferred()
    client.send(SMALL)
    assert len(found.heard) == 1
    found.turn += 1
    waited.callback(None)
    assert len(found.heard) == 2
    found.turns()
    found.check(30)


@BOTH_PROTOCOLS
def test_behind_the_rate() -> None:
    """S16.3: of messages that waited for the rate one is handled in a turn, although it would let through more."""
    found, client = busy(messages_per_second=20.0, message_burst=10)
    client.send(b"".join(message(number) for number in range(30)))
    for _ in range(300):
        found.pass_one()
        found.world.clock.rightNow += 0.2
    found.check(30)


@BOTH_PROTOCOLS
def test_others_have_their_turn() -> None:
    """S5.6: clients that have more than their share go on one after the other, 20 ms of them in a turn."""
    found, first = busy()
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


@BOTH_PROTOCOLS
@pytest.mark.parametrize("how", ["nothing", "close", "abort"])
def test_tls_ends_behind_messages(how: str) -> None:
    """S9.3: what came before the end is handled, a message in a turn; whoever closes or aborts meanwhile is obeyed."""
    found, client = busy()
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
            link_of(connection).abort()
        found.turns()
        assert ended == [({"close": 4000, "abort": 1006}[how], 1)]
    assert found.world.signals.open_connections() == ()
    assert found.world.signals.counters.callbacks_failed == 0


@BOTH_PROTOCOLS
def test_tls_ends_while_reading_is_paused() -> None:
    """S9.3: an end that comes while the connection reads no further is seen when it has read all that came before."""
    found, client = busy()
    connection = found.world.converted[0]
    client.send(SMALL)
    link_of(connection).pause_reading()
    client.leave()
    found.turns()
    assert (len(found.heard), connection.state.value) == (1, "open")
    link_of(connection).pause_reading()
    link_of(connection).resume_reading()
    found.turns()
    found.check(30)
    assert connection.state.value == "closed"
