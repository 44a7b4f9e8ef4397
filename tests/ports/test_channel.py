from __future__ import annotations

from typing import Any

import pytest
from bounded import BoundedWorld, bytes_of, head_of_size
from memory import grown_bytes
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from web_fakes import plain

from pode_signals.core.endpoints import Endpoint
from pode_signals.ports.certificates import ServerCertificate
from pode_signals.ports.channel import SignalChannel
from pode_signals.ports.listeners import Listener

HEAD_BYTES = 16_384


@pytest.fixture
def world() -> BoundedWorld:
    return BoundedWorld()


class TestTime:
    def test_a_byte_a_second(self, world: BoundedWorld) -> None:
        """S16.4: a head that comes a byte a second is dropped after 10 s in all."""
        client = world.client()
        for each in list(bytes_of(plain("/ok")))[:9]:
            client.send(each)
            world.wait(1)
        assert client.wire.ended is None
        client.send(b"x")
        world.wait(1)
        assert client.wire.ended == "closed"
        assert [answer.status for answer in client.answers] == [408]
        assert world.hit == {"handshake_timeout_seconds": 1}

    def test_not_a_byte(self, world: BoundedWorld) -> None:
        """S16.4: a connection on which nothing comes is dropped after 10 s."""
        client = world.client()
        world.wait(9)
        assert client.wire.ended is None
        world.wait(1)
        assert client.wire.ended == "closed"
        assert client.received == b""

    def test_a_head_in_time(self, world: BoundedWorld) -> None:
        """S16.4: a head that is complete within 10 s is served, however it came."""
        client = world.client()
        whole = plain("/ok")
        for at in range(9):
            client.send(whole[at * 4 : at * 4 + 4])
            world.wait(1)
        assert client.ask(whole[36:]).body == b"fine"

    def test_the_second_request(self, world: BoundedWorld) -> None:
        """S16.4: the time for the next head runs from the end of the answer before it."""
        client = world.client()
        world.wait(8)
        assert client.ask(plain("/ok")).body == b"fine"
        for each in list(bytes_of(plain("/ok")))[:9]:
            client.send(each)
            world.wait(1)
        assert client.wire.ended is None
        world.wait(1)
        assert client.wire.ended == "closed"
        assert world.hit == {"handshake_timeout_seconds": 1}

    @pytest.mark.parametrize("packets", [1, 2])
    def test_a_part_of_the_second_request(self, world: BoundedWorld, packets: int) -> None:
        """S16.4: a part of a request is one, in the packet of the request before or in one of its own: 408, counted."""
        first, part = plain("/ok"), b"GET /ok HTTP/1.1\r\nHos"
        client = world.client().send(*([first + part] if packets == 1 else [first, part]))
        world.clock.pump([1] * 12)
        assert [each.status for each in client.answers] == [200, 408]
        assert world.hit == {"handshake_timeout_seconds": 1}

    def test_functions_have_time(self, world: BoundedWorld) -> None:
        """S16.4: while a route works on a request no time runs; a next request that waits behind it has its own."""
        client = world.client()
        client.send(plain("/endless") + plain("/ok"))
        world.wait(100)
        assert client.wire.ended is None
        world.endless[0].callback(b"done")
        assert [answer.body for answer in client.answers] == [b"done", b"fine"]
        world.wait(10)
        assert client.wire.ended == "closed"

    def test_an_unused_connection(self, world: BoundedWorld) -> None:
        """S16.4: a connection that is kept alive and not used for 10 s ends, which is no limit that acts."""
        client = world.client()
        client.ask(plain("/ok"))
        world.wait(9)
        assert client.wire.ended is None
        world.wait(1)
        assert client.wire.ended == "closed"
        assert world.hit == {}

    def test_open_connections_have_time(self, world: BoundedWorld) -> None:
        """S16.4: a connection that was upgraded has no time to keep, also where its last request came late."""
        client = world.client()
        world.wait(9)
        client.open()
        world.wait(20)
        assert client.wire.ended is None

    def test_a_setting(self) -> None:
        """S16.4: the time is a setting."""
        world = BoundedWorld(handshake_timeout_seconds=2)
        client = world.client()
        world.wait(1)
        assert client.wire.ended is None
        world.wait(1)
        assert client.wire.ended == "closed"

    def test_tls(self, world: BoundedWorld) -> None:
        """S16.4: the time includes the TLS handshake, which counts as an incomplete request as well."""
        certificate = ServerCertificate(Listener((Endpoint("https", self_signed=True),)))
        factory = TLSMemoryBIOFactory(certificate, False, world.site, world.clock)
        wire = StringTransport(lenient=True)
        wire.setTcpNoDelay = lambda enabled: None  # type: ignore[attr-defined]
        protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5555))
        protocol.makeConnection(wire)
        assert len(world.limits.pending) == 1
        for each in bytes_of(b"\x16\x03\x01\x02\x00\x01\x00\x01"):
            protocol.dataReceived(each)
            world.wait(1)
        assert not wire.disconnected
        world.wait(2)
        assert wire.disconnected


class TestEnd:
    def raw(self, world: BoundedWorld) -> tuple[SignalChannel, StringTransport]:
        """A channel on a wire that stays when it is closed, as TLS does until the client agrees."""
        channel: Any = world.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5555))
        wire = StringTransport()
        channel.makeConnection(wire)
        return channel, wire

    @pytest.mark.parametrize(
        "last",
        [
            b"nonsense\r\n\r\n",
            head_of_size(HEAD_BYTES + 1),
            plain("/ok", ("Connection", "close")),
            b"GET /" + b"x" * 20_000,
        ],
    )
    def test_nothing_is_kept_behind_the_last_request(self, world: BoundedWorld, last: bytes) -> None:
        """S16.4: what a client sends while its connection is being closed is not kept, answered or served."""
        channel, wire = self.raw(world)
        channel.dataReceived(last)
        assert wire.disconnecting
        answer = wire.value()

        def go_on(_round: int) -> None:
            for _ in range(200):
                channel.dataReceived(plain("/msg") + b"a\r\n" * 1_000)

        assert grown_bytes(go_on) < 50_000
        assert wire.value() == answer

    def test_one_that_may_not_ask_again(self, world: BoundedWorld) -> None:
        """S16.4: a connection that ends with its answer is not pending while it does."""
        channel, wire = self.raw(world)
        channel.dataReceived(plain("/ok", ("Connection", "close")))
        assert wire.disconnecting
        assert len(world.limits.pending) == 0

    def test_one_that_does_not_go(self, world: BoundedWorld) -> None:
        """S16.4: a connection that was closed in time and does not end is aborted."""
        _channel, wire = self.raw(world)
        world.wait(10)
        assert (wire.disconnecting, wire.disconnected) == (True, False)
        world.wait(1)
        assert wire.disconnected

    def test_one_that_goes(self, world: BoundedWorld) -> None:
        """S16.4: nothing runs any more for a connection that is gone."""
        client = world.client()
        world.wait(11)
        assert client.wire.ended == "closed"
        assert world.clock.getDelayedCalls() == []
