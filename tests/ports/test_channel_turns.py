from __future__ import annotations

from typing import Any

import pytest
from bounded import BoundedWorld
from memory import grown_bytes
from web_fakes import Client, head, message, plain

from pode_signals.hub.turns import SHARE_SECONDS, TURN_SECONDS
from pode_signals.signals import hub_of

HALF = SHARE_SECONDS / 2


class BusyWorld(BoundedWorld):
    """Its ``/busy`` works for half of what a client has in a turn, and counts.

    Attributes:
        served: the turns in which requests were served.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.served: list[float] = []
        self.worked = 0.0
        self.messages = []

        @self.app.route("/busy")
        def busy(request: Any) -> bytes:
            self.served.append(self.clock.seconds())
            self.worked += HALF
            return b"busy"

        # The time of a turn passes while a route works, and the clock's timers come in turns.
        hub_of(self.signals).turns.seconds = lambda: self.clock.seconds() + self.worked


def test_many_requests_in_one_read() -> None:
    """S16.4: of requests that come in one packet a few are served in a turn; the rest follow, in order, none lost."""
    world = BusyWorld()
    client = world.client()
    client.send(b"".join(plain(f"/busy?{number}") for number in range(20)))
    assert len(world.served) == 2
    assert client.wire.producerState == "paused"
    for _ in range(20):
        world.turn()
    assert len(world.served) == 20
    assert [answer.body for answer in client.answers] == [b"busy"] * 20
    assert client.wire.producerState == "producing"


def test_others_come_between() -> None:
    """S16.4: while one client's requests wait, those of another are served."""
    world = BusyWorld()
    busy, other = world.client(), world.client()
    busy.send(plain("/busy") * 20)
    other.send(plain("/ok"))
    assert other.answers[-1].body == b"fine"
    assert len(busy.answers) == 2


def test_what_comes_meanwhile() -> None:
    """S16.4: bytes that come while others wait, as TLS may bring them, are parsed behind these."""
    world = BusyWorld()
    client = world.client()
    channel = client.wire.protocol
    client.send(plain("/busy") * 5)
    client.wire.producerState = "producing"
    channel.dataReceived(plain("/ok"))
    assert client.wire.producerState == "paused"
    for _ in range(9):
        world.turn()
    assert [answer.body for answer in client.answers] == [b"busy"] * 5 + [b"fine"]


def test_a_request_that_waits() -> None:
    """S16.4: requests behind one whose route waits go on when it is answered, in turns too."""
    world = BusyWorld()
    client = world.client()
    client.send(plain("/endless") + plain("/busy") * 9)
    assert world.served == []
    world.endless[0].callback(b"done")
    assert len(world.served) == 2
    for _ in range(9):
        world.turn()
    assert [answer.body for answer in client.answers] == [b"done"] + [b"busy"] * 9


def test_many_chunks_in_one_read() -> None:
    """S16.4: a body of tiny chunks is read a few KiB at a time, and is whole."""
    world = BusyWorld()
    client = world.client()
    client.send(plain("/echo", ("Transfer-Encoding", "chunked"), method=b"POST"))
    looks: list[float] = []

    def seconds() -> float:
        looks.append(0.0)
        return world.clock.seconds() + len(looks) * SHARE_SECONDS

    hub_of(world.signals).turns.seconds = seconds
    client.send(b"1\r\nx\r\n" * 5_000 + b"0\r\n\r\n")
    assert client.answers == []
    assert client.wire.producerState == "paused"
    for _ in range(10):
        world.turn()
    assert client.answers[0].body == b"x" * 5_000


def test_an_upgrade_behind_many_requests() -> None:
    """S2.6: frames that wait behind requests and a handshake in one packet are all received, in order."""
    world = BusyWorld().listening()
    client = world.client()
    client.send(plain("/busy") * 5 + head("/msg") + b"".join(message(number) for number in range(300)))
    for _ in range(400):
        world.turn(0.01)
    assert [answer.status for answer in client.answers] == [200] * 5 + [101]
    assert world.messages == list(range(300))


def test_an_upgrade_whose_route_waits() -> None:
    """S2.6: the same where the route converts later, while bytes still wait for their turn."""
    world = BusyWorld().listening()

    @world.app.route("/later")
    async def later(request: Any) -> None:
        from twisted.internet.defer import Deferred

        waiting: Any = Deferred()
        world.endless.append(waiting)
        await waiting
        world.signals.convert(request, "Msg")

    @world.signals.route("/later")
    def received(event: Any) -> None:
        world.messages.append(event.data.message)

    client = world.client()
    frames = b"".join(message(number) for number in range(100))
    client.send(plain("/busy") * 3 + head("/later") + frames)
    world.turn()
    world.turn()
    world.endless[0].callback(b"")
    for _ in range(400):
        world.turn(0.01)
    assert world.messages == list(range(100))


@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", plain("/ok", ("Connection", "close"))])
def test_nothing_is_kept_behind_the_end(bad: bytes) -> None:
    """S16.4: what waits behind the last request of a connection is dropped."""
    world = BusyWorld()
    channels: list[object] = []

    def kept_bytes(data: bytes) -> int:
        """How much is kept of twenty connections that were sent so much."""

        def come(_round: int) -> None:
            for _ in range(20):
                client = world.client()
                channels.append(client.wire.protocol)
                client.send(data)

        return grown_bytes(come)

    assert kept_bytes(bad + b"x" * 60_000) < kept_bytes(bad) + 20 * 1_000


def test_a_client_that_leaves() -> None:
    """S16.4: nothing runs any more for a client that left while its requests waited."""
    world = BusyWorld()
    client: Client = world.client()
    client.send(plain("/busy") * 20)
    client.leave()
    for _ in range(20):
        world.turn()
    assert len(world.served) == 2
    assert world.clock.getDelayedCalls() == []


def test_a_client_that_reads_no_answers() -> None:
    """S16.4: while the transport is full no further request is served, of those that have come and of new ones."""
    world = BusyWorld()
    client = world.client()
    served: list[bytes] = []

    @world.app.route("/large")
    def large(request: Any) -> bytes:
        served.append(request.uri)
        client.wire.producer.pauseProducing()
        return b"large"

    client.send(b"".join(plain(f"/large?{number}") for number in range(5)))
    client.wire.producerState = "producing"
    client.wire.protocol.dataReceived(plain("/large?5"))
    for number in range(6):
        for _ in range(3):
            world.turn()
        assert served == [b"/large?%d" % each for each in range(number + 1)]
        assert client.wire.producerState == "paused"
        client.wire.producer.resumeProducing()
    world.turn()
    assert [answer.body for answer in client.answers] == [b"large"] * 6
    assert client.wire.producerState == "producing"


def test_many_clients_in_one_turn() -> None:
    """S16.4: when requests have taken what a turn has, those of other clients wait for the next one, in order."""
    world = BusyWorld()
    clients = [world.client() for _ in range(100)]
    for client in clients:
        client.send(plain("/busy"))
    assert len(world.served) == round(TURN_SECONDS / HALF)
    assert clients[-1].wire.producerState == "paused"
    for _ in range(5):
        world.turn()
    assert [client.answers[0].body for client in clients] == [b"busy"] * 100
    assert {client.wire.producerState for client in clients} == {"producing"}


class TestBehindARequest:
    """What a client sends while its last request is being answered."""

    def test_as_much_as_a_head(self) -> None:
        """S2.6: 16 KiB may wait behind a request, and are served when it is answered."""
        world = BoundedWorld()
        client = world.client()
        behind = plain("/ok") * 100
        client.send(plain("/endless"), behind, b"\r\n"[: 16_384 - len(behind)])
        assert client.wire.producerState == "producing"
        world.endless[0].callback(b"done")
        assert [answer.body for answer in client.answers] == [b"done"] + [b"fine"] * 100

    @pytest.mark.parametrize("at_once", [True, False])
    def test_more(self, at_once: bool) -> None:
        """S2.6: a client that sends more behind a request is dropped; its route learns of it, and nothing is read."""
        world = BoundedWorld()
        client = world.client()
        client.send(plain("/endless"))
        pieces = (b"x" * 60_000,) if at_once else (b"x" * 10_000, b"x" * 6_385, b"x" * 60_000)
        client.send(*pieces)
        world.turn()
        assert client.wire.ended == "aborted"
        assert world.endless[0].called
        assert world.hit == {"handshake_head_bytes": 1}

    def test_once(self) -> None:
        """S16.7: a client that sends far more in one packet is dropped once; a transport that aborts does not tell."""
        world = BoundedWorld()
        client = world.client()
        client.send(plain("/endless"))
        client.wire.abortConnection = lambda: None  # type: ignore[method-assign]
        client.send(b"x" * 60_000)
        assert world.hit == {"handshake_head_bytes": 1}

    def test_a_client_that_leaves(self) -> None:
        """S2.5: a client that leaves ends its request, also where much waits behind it, for reading never pauses."""
        world = BoundedWorld()
        client = world.client()
        client.send(plain("/endless"), b"x" * 16_384)
        assert client.wire.producerState == "producing"
        client.leave()
        assert world.endless[0].called
