from __future__ import annotations

import resource

import pytest
from bounded import BoundedWorld, head_of_size
from twisted.logger import capturedLogs, formatEvent
from web_fakes import Client, head, message, plain

from pode_signals.signals import hub_of

HEAD_BYTES = 16_384


@pytest.fixture
def world() -> BoundedWorld:
    return BoundedWorld()


class TestPending:
    def test_the_oldest_of_the_address_with_most(self) -> None:
        """S16.4: over the bound the oldest of the address that has most is dropped, and the newcomer comes in."""
        world = BoundedWorld(pending_handshakes=4)
        honest = world.client("192.0.2.1")
        crowd = [world.client("192.0.2.66") for _ in range(3)]
        newcomer = world.client("192.0.2.2")
        assert [each.wire.ended for each in crowd] == ["aborted", None, None]
        assert honest.ask(plain("/ok")).body == newcomer.ask(plain("/ok")).body == b"fine"
        assert crowd[1].ask(plain("/ok")).body == b"fine"

    def test_a_network_of_ipv6_is_one_crowd(self) -> None:
        """S16.4: the addresses of one IPv6 network of 64 bits count as one, which a subscriber has all of."""
        world = BoundedWorld(pending_handshakes=4)
        honest = [world.client("192.0.2.1"), world.client("2001:db8:0:2::1")]
        crowd = [world.client(f"2001:db8:0:1::{number}") for number in range(3)]
        assert [each.wire.ended for each in (*honest, *crowd)] == [None, None, "aborted", None, None]
        for each in (*honest, *crowd[1:]):
            each.leave()
        assert len(world.limits.pending) == 0

    def test_a_thousand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """S16.4: by default a thousand requests may be incomplete."""
        # The system's answer.
        monkeypatch.setattr(resource, "getrlimit", lambda _which: (100_000, 100_000))
        world = BoundedWorld()
        clients = [world.client("192.0.2.66") for _ in range(1_000)]
        assert {each.wire.ended for each in clients} == {None}
        newcomer = world.client("192.0.2.1")
        assert [each.wire.ended for each in clients].index("aborted") == 0
        assert sum(each.wire.ended is not None for each in clients) == 1
        newcomer.open()
        assert world.hit == {"pending_handshakes": 1}

    @pytest.mark.parametrize(
        ("descriptors", "pending", "connections"),
        [(1_000_000, 1_000, 998_936), (65_536, 1_000, 64_472), (1_024, 256, 704), (100, 25, 11), (3, 1, 1)],
    )
    def test_what_the_process_can_hold(
        self, monkeypatch: pytest.MonkeyPatch, descriptors: int, pending: int, connections: int
    ) -> None:
        """S16.4: where files are few the bound is lower, so that newcomers come in before the files run out."""
        # The system's answer.
        monkeypatch.setattr(resource, "getrlimit", lambda _which: (descriptors, descriptors))
        world = BoundedWorld()
        assert (hub_of(world.signals).max_pending_handshakes, hub_of(world.signals).capacity.max_connections) == (
            pending,
            connections,
        )
        assert hub_of(BoundedWorld(max_connections=7).signals).capacity.max_connections == 7
        assert hub_of(BoundedWorld(pending_handshakes=1).signals).max_pending_handshakes == 1

    def test_who_is_pending(self, world: BoundedWorld) -> None:
        """S16.4: pending is who has no complete request: not the upgraded, nor who waits for an answer."""
        pending = world.limits.pending
        clients = [world.client() for _ in range(4)]
        assert len(pending) == 4
        clients[0].open()
        clients[1].send(plain("/endless"))
        clients[2].send(plain("/echo", ("Content-Length", "5"), method=b"POST"), b"1234")
        assert len(pending) == 2
        clients[2].send(b"5")
        world.endless[0].callback(b"")
        assert len(pending) == 3  # these may ask once more
        clients[3].ask(plain("/ok", ("Connection", "close")))
        assert len(pending) == 2
        for client in clients[:3]:
            client.leave()
        assert len(pending) == 0

    def test_pipelined_requests(self, world: BoundedWorld) -> None:
        """S16.4: requests that come in one packet leave nobody pending who is not."""
        client = world.client()
        client.send(plain("/ok") * 5 + plain("/endless"))
        assert len(world.limits.pending) == 0
        client.reset()
        assert len(world.limits.pending) == 0

    def test_bodies_make_room_too(self) -> None:
        """S16.4: a request whose body is incomplete makes room for a newcomer, as one with an incomplete head does."""
        world = BoundedWorld(pending_handshakes=4)
        crowd = [world.client("192.0.2.66") for _ in range(4)]
        for each in crowd:
            each.send(plain("/echo", ("Content-Length", "5"), method=b"POST"), b"1")
        newcomers = [world.client("192.0.2.1") for _ in range(2)]
        assert [each.wire.ended for each in crowd] == ["aborted", "aborted", None, None]
        assert [each.ask(plain("/ok")).body for each in newcomers] == [b"fine"] * 2

    def test_an_upgraded_connection_is_not_dropped(self) -> None:
        """S16.4: however many requests are incomplete, open connections and requests at work stay."""
        world = BoundedWorld(pending_handshakes=3).listening()
        client, waiting = world.client("192.0.2.66").open(), world.client("192.0.2.66")
        waiting.send(plain("/endless"))
        for _ in range(20):
            world.client("192.0.2.66")
        client.send(message("still here"))
        world.endless[0].callback(b"done")
        assert world.messages == ["still here"]
        assert waiting.answers[-1].body == b"done"
        assert len(world.limits.pending) == 3

    def test_refused_upgrades(self, world: BoundedWorld) -> None:
        """S16.4: whoever is refused may ask again, and is pending until then."""
        client = world.client()
        assert client.ask(head("/msg", ("Origin", "http://evil.example"))).status == 403
        assert len(world.limits.pending) == 1
        client.open()
        assert len(world.limits.pending) == 0

    def test_hubs_share_nothing(self) -> None:
        """S16.4: the bound is over all ports of a hub: it is kept where they share it."""
        one, other = BoundedWorld(pending_handshakes=1), BoundedWorld(pending_handshakes=1)
        client = one.client()
        other.client()
        assert client.wire.ended is None
        one.client()
        assert client.wire.ended == "aborted"


class TestReports:
    @pytest.mark.parametrize("limit", ["handshake_timeout_seconds", "pending_handshakes", "handshake_head_bytes"])
    def test_a_flood(self, limit: str) -> None:
        """S16.7: floods of bad requests are counted one by one, and fill no log; Twisted's own lines are left out."""
        world = BoundedWorld(pending_handshakes=1 if limit == "pending_handshakes" else 1_000)
        with capturedLogs() as logs:
            clients: list[Client] = [world.client("192.0.2.66") for _ in range(51)]
            if limit == "handshake_head_bytes":
                for client in clients:
                    client.send(head_of_size(HEAD_BYTES + 1))
            elif limit == "handshake_timeout_seconds":
                world.wait(11)
        assert world.hit[limit] == 50 + (limit != "pending_handshakes")
        assert [event.get("kind") for event in logs] == [limit] * 10
        assert "192.0.2.66" in formatEvent(logs[0])
