from __future__ import annotations

import pytest
from bounded import BoundedWorld, bytes_of, head_of_size
from memory import grown_bytes
from twisted.web.http_headers import _nameEncoder
from web_fakes import head, plain

from pode_signals.ports.head_rules import MAX_HEADERS

HEAD_BYTES = 16_384


@pytest.fixture
def world() -> BoundedWorld:
    return BoundedWorld()


class TestSize:
    @pytest.mark.parametrize("lines", [1, 2, 50])
    def test_as_much_as_may_be(self, world: BoundedWorld, lines: int) -> None:
        """S16.4: a head of 16 KiB is taken, and another one after it on the same connection."""
        client = world.client()
        for _ in range(2):
            assert client.ask(head_of_size(HEAD_BYTES, lines=lines)).body == b"fine"
        assert world.hit == {}

    @pytest.mark.parametrize("lines", [1, 2, 50])
    def test_a_byte_more(self, world: BoundedWorld, lines: int) -> None:
        """S16.4: a head of more than 16 KiB gets 400, and its connection ends."""
        client = world.client()
        assert client.ask(head_of_size(HEAD_BYTES + 1, lines=lines)).status == 400
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

        def go_on(_round: int) -> None:
            for _ in range(200):
                channel.dataReceived(b"x" * 1_000)

        assert grown_bytes(go_on) < 50_000
        assert world.hit == {"handshake_head_bytes": 1}

    @pytest.mark.parametrize("setting", [1_024, 100_000])
    def test_a_setting(self, setting: int) -> None:
        """S16.4: the size is a setting, for the whole and for one line of it."""
        world = BoundedWorld(handshake_head_bytes=setting)
        assert world.client().ask(head_of_size(setting)).body == b"fine"
        assert world.client().ask(head_of_size(setting + 1)).status == 400

    def test_bodies_are_no_heads(self, world: BoundedWorld) -> None:
        """S16.4: a body may be larger than a head, and does not count for the next one."""
        client = world.client()
        for _ in range(2):
            assert client.ask(plain("/echo", method=b"POST", body=b"x" * 50_000)).body == b"x" * 50_000
        assert client.ask(head_of_size(HEAD_BYTES)).body == b"fine"


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
