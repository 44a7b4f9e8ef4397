from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bounded import BoundedWorld
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.http_headers import _nameEncoder
from web_fakes import Client, head, message, plain

from pode_signals.hub import capacity
from pode_signals.ports.certificates import ServerCertificate
from pode_signals.ports.endpoints import Endpoint, Listener
from pode_signals.ports.heads import MAX_HEADERS, BoundedChannel
from pode_signals.signals import hub_of

HEAD_BYTES = 16_384


@pytest.fixture
def world() -> BoundedWorld:
    return BoundedWorld()


def of_size(size: int, *, path: str = "/ok", lines: int = 1) -> bytes:
    """A good head that has so many bytes in its lines, their ends not counted."""
    start = plain(path)
    assert start.endswith(b"\r\n\r\n")
    used = len(start.replace(b"\r\n", b""))
    each, rest = divmod(size - used, lines)
    headers = [b"X: " + b"x" * (each - 3 + (rest if number == 0 else 0)) for number in range(lines)]
    return start[:-2] + b"\r\n".join(headers) + b"\r\n\r\n"


def bytes_of(data: bytes) -> Iterator[bytes]:
    """One byte after the other."""
    return (data[at : at + 1] for at in range(len(data)))


class TestSize:
    @pytest.mark.parametrize("lines", [1, 2, 50])
    def test_as_much_as_may_be(self, world: BoundedWorld, lines: int) -> None:
        """S16.4: a head of 16 KiB is taken, and another one after it on the same connection."""
        client = world.client()
        for _ in range(2):
            assert client.ask(of_size(HEAD_BYTES, lines=lines)).body == b"fine"
        assert world.hit == {}

    @pytest.mark.parametrize("lines", [1, 2, 50])
    def test_a_byte_more(self, world: BoundedWorld, lines: int) -> None:
        """S16.4: a head of more than 16 KiB gets 400, and its connection ends."""
        client = world.client()
        assert client.ask(of_size(HEAD_BYTES + 1, lines=lines)).status == 400
        assert client.wire.ended == "closed"
        assert world.hit == {"handshake_head_bytes": 1}

    def test_upgrades(self, world: BoundedWorld) -> None:
        """S16.4: the head of an upgrade has the same bound; nothing is converted."""
        client = world.client()
        assert client.ask(head("/msg", ("Cookie", "x" * HEAD_BYTES))).status == 400
        assert (world.converted, client.wire.ended) == ([], "closed")

    def test_byte_by_byte(self, world: BoundedWorld) -> None:
        """S16.4: however it comes, a head that is too large is refused once."""
        client = world.client()
        client.send(*bytes_of(plain("/ok")[:-2]))
        for _ in range(200):
            client.send(b"X: " + b"x" * 200 + b"\r\n")
        assert [answer.status for answer in client.answers] == [400]
        assert world.hit == {"handshake_head_bytes": 1}

    @pytest.mark.parametrize("start", [b"GET /", b"GET /ok HTTP/1.1\r\nHost: example.com\r\nX: ", b"", b"\r\n"])
    def test_a_line_that_never_ends(self, world: BoundedWorld, start: bytes) -> None:
        """S16.4: a line that never ends gets 400 as soon as it is larger than a head may be, and is not kept."""
        client = world.client()
        channel = client.wire.protocol
        client.send(start)
        for _ in range(20):
            client.send(b"x" * 1_000)
        assert [answer.status for answer in client.answers] == [400]
        assert client.wire.ended == "closed"
        assert not client.wire.produced_at_end
        assert len(channel._buffer) < 1_000
        assert world.hit == {"handshake_head_bytes": 1}

    @pytest.mark.parametrize("setting", [1_024, 100_000])
    def test_a_setting(self, setting: int) -> None:
        """S16.4: the size is a setting, for the whole and for one line of it."""
        world = BoundedWorld(handshake_head_bytes=setting)
        assert world.client().ask(of_size(setting)).body == b"fine"
        assert world.client().ask(of_size(setting + 1)).status == 400

    def test_bodies_are_no_heads(self, world: BoundedWorld) -> None:
        """S16.4: a body may be larger than a head, and does not count for the next one."""
        client = world.client()
        for _ in range(2):
            assert client.ask(plain("/echo", method=b"POST", body=b"x" * 50_000)).body == b"x" * 50_000
        assert client.ask(of_size(HEAD_BYTES)).body == b"fine"


class TestHeaders:
    def test_a_hundred(self, world: BoundedWorld) -> None:
        """S16.4: a request has 100 headers at most; one more gets 400."""
        assert MAX_HEADERS == 100
        extra = [("X", "x")] * (MAX_HEADERS - 1)  # and Host
        assert world.client().ask(plain("/ok", *extra)).body == b"fine"
        client = world.client()
        assert client.ask(plain("/ok", *extra, ("X", "x"))).status == 400
        assert client.wire.ended == "closed"
        assert world.hit == {"handshake_head_bytes": 1}

    def test_folded_lines(self, world: BoundedWorld) -> None:
        """S16.4: each line of a header over many lines counts as a header, so that no head has many lines."""
        folded = "x" + "\r\n x" * (MAX_HEADERS - 2)  # and Host
        assert world.client().ask(plain("/ok", ("X", folded))).body == b"fine"
        assert world.client().ask(plain("/ok", ("X", folded + "\r\n\tx"))).status == 400
        assert world.client().ask(plain("/ok", ("X", "x" + "\r\n x" * 20_000))).status == 400
        assert world.hit == {"handshake_head_bytes": 2}

    def test_long_names(self, world: BoundedWorld) -> None:
        """S16.4: the name of a header has 256 bytes at most, since Twisted keeps each name; a longer one gets 400."""
        assert world.client().ask(plain("/ok", ("x" * 256, "y"))).body == b"fine"
        for late in ((), (("Y", "z"),)):
            client = world.client()
            assert client.ask(plain("/ok", ("x" * 257, "y"), *late)).status == 400
            assert client.wire.ended == "closed"
        assert b"x" * 257 not in _nameEncoder._canonicalHeaderCache
        assert world.signals.counters.requests_malformed == 2

    @pytest.mark.parametrize("value", ["identity", "Identity", "gzip, chunked", "chunked, identity", "", "x" * 5_000])
    def test_transfer_encodings(self, world: BoundedWorld, value: str) -> None:
        """S16.7: a Transfer-Encoding other than chunked gets 400: another server may find a request in its body."""
        client = world.client()
        smuggled = plain("/echo", ("Transfer-Encoding", value), method=b"POST") + plain("/ok")
        assert client.ask(smuggled).status == 400
        assert [answer.status for answer in client.answers] == [400]
        assert client.wire.ended == "closed"

    def test_chunked(self, world: BoundedWorld) -> None:
        """S16.7: chunked is taken, in upper case and with white space too."""
        body = b"5\r\nhello\r\n0\r\n\r\n"
        for value in ("chunked", "CHUNKED", "chunked\t "):
            request = plain("/echo", ("Transfer-Encoding", value), method=b"POST")
            assert world.client().ask(request + body).body == b"hello"

    @pytest.mark.parametrize("path", ["/ok", "/nowhere", "/msg"])
    def test_long_content_types(self, world: BoundedWorld, path: str) -> None:
        """S16.4: a Content-Type has 256 bytes at most, on each path and in upgrades too; a longer one gets 400."""
        value = "x/y" + ";" * 253
        for request in (plain, head):
            statuses = [world.client().ask(request(path, ("Content-Type", value + more))).status for more in ("", ";")]
            assert (statuses[0], statuses[1]) != (400, 400)
            assert statuses[1] == 400
        assert world.client().ask(plain(path, ("content-type", value + ";"), method=b"POST", body=b"x")).status == 400

    def test_what_is_bad_otherwise(self, world: BoundedWorld) -> None:
        """S16.7: a malformed request gets 400 as well, and is no limit."""
        assert world.client().ask(b"nonsense\r\n\r\n").status == 400
        assert world.client().ask(plain("/ok", ("Content-Length", "x"))).status == 400
        assert world.hit == {}
        assert world.signals.counters.requests_malformed == 2


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

    def test_uploads(self, world: BoundedWorld) -> None:
        """S16.4: a body that comes at 1 KiB a second has 60 s, and 408 after these."""
        client = world.client()
        client.send(plain("/echo", ("Content-Length", "100000"), method=b"POST"))
        for _ in range(59):
            client.send(b"x" * 1_024)
            world.wait(1)
        assert client.wire.ended is None
        world.wait(1)
        assert [answer.status for answer in client.answers] == [408]
        assert client.wire.ended == "closed"
        assert world.hit == {"request_timeout_seconds": 1}

    def test_an_upload_in_time(self, world: BoundedWorld) -> None:
        """S16.4: a body that is complete within its time is served; the next head has 10 s again."""
        client = world.client()
        client.send(plain("/echo", ("Content-Length", "60416"), method=b"POST"))
        for _ in range(59):
            client.send(b"x" * 1_024)
            world.wait(1)
        assert client.answers[0].body == b"x" * 60_416
        client.send(b"GET")
        world.wait(8)
        assert client.wire.ended is None
        world.wait(1)
        assert client.wire.ended == "closed"
        assert world.hit == {"handshake_timeout_seconds": 1}

    @pytest.mark.parametrize("headers", [("Content-Length", "1000"), ("Transfer-Encoding", "chunked")])
    def test_a_body_that_dribbles(self, world: BoundedWorld, headers: tuple[str, str]) -> None:
        """S16.4: a body that comes slower than 1 KiB a second is dropped after 10 s, whatever comes."""
        client = world.client()
        client.send(plain("/echo", headers, method=b"POST"))
        for _ in range(10):
            assert client.wire.ended is None
            client.send(b"1")
            world.wait(1)
        world.wait(1)
        assert [answer.status for answer in client.answers] == [408]
        assert client.wire.ended == "closed"
        assert world.hit == {"request_timeout_seconds": 1}

    def test_a_body_that_stops(self, world: BoundedWorld) -> None:
        """S16.4: what comes of a body at once wins it no more than a second for each KiB."""
        client = world.client()
        client.send(plain("/echo", ("Content-Length", "10000"), method=b"POST"), b"x" * 4_096)
        world.wait(13)
        assert client.wire.ended is None
        world.wait(1)
        assert client.wire.ended == "closed"

    def test_what_came_with_the_head(self, world: BoundedWorld) -> None:
        """S16.4: what comes of a body in one packet with its head wins it time as well."""
        client = world.client()
        client.send(plain("/echo", ("Content-Length", "50000"), method=b"POST") + b"x" * 20_480)
        world.wait(29)
        assert client.wire.ended is None
        world.wait(1)
        assert client.wire.ended == "closed"

    def test_the_time_of_bodies_is_a_setting(self) -> None:
        """S16.4: the time of a whole body is a setting, of less than 10 s too."""
        world = BoundedWorld(request_timeout_seconds=3)
        client = world.client()
        client.send(plain("/echo", ("Content-Length", "100000"), method=b"POST"))
        for _ in range(3):
            assert client.wire.ended is None
            client.send(b"x" * 20_000)
            world.wait(1)
        assert client.wire.ended == "closed"
        assert world.hit == {"request_timeout_seconds": 1}

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
    def raw(self, world: BoundedWorld) -> tuple[BoundedChannel, StringTransport]:
        """A channel on a wire that stays when it is closed, as TLS does until the client agrees."""
        channel: Any = world.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5555))
        wire = StringTransport()
        channel.makeConnection(wire)
        return channel, wire

    @pytest.mark.parametrize(
        "last",
        [b"nonsense\r\n\r\n", of_size(HEAD_BYTES + 1), plain("/ok", ("Connection", "close")), b"GET /" + b"x" * 20_000],
    )
    def test_nothing_is_kept_behind_the_last_request(self, world: BoundedWorld, last: bytes) -> None:
        """S16.4: what a client sends while its connection is being closed is not kept, answered or served."""
        channel, wire = self.raw(world)
        channel.dataReceived(last)
        assert wire.disconnecting
        answer = wire.value()
        for _ in range(200):
            channel.dataReceived(plain("/msg") + b"a\r\n" * 1_000)
        assert wire.value() == answer
        assert len(channel._buffer) < 20_000

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
        monkeypatch.setattr(capacity, "_descriptor_limit", lambda: 100_000)
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
        monkeypatch.setattr(capacity, "_descriptor_limit", lambda: descriptors)
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
                    client.send(of_size(HEAD_BYTES + 1))
            elif limit == "handshake_timeout_seconds":
                world.wait(11)
        assert world.hit[limit] == 50 + (limit != "pending_handshakes")
        assert [event.get("kind") for event in logs] == [limit] * 10
        assert "192.0.2.66" in formatEvent(logs[0])
