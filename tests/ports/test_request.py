from __future__ import annotations

import pytest
from bounded import BoundedWorld
from memory import grown_bytes
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from web_fakes import Client, answers_in, failures_in, head, plain

LIMIT = 1_000
CHUNKED = ("Transfer-Encoding", "chunked")


@pytest.fixture
def world() -> BoundedWorld:
    return BoundedWorld(max_request_body_bytes=LIMIT)


def chunks(*sizes: int) -> bytes:
    """A chunked body with its end."""
    return b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in (*sizes, 0))


def post(size: int) -> bytes:
    """A request with a body of so many bytes."""
    return plain("/echo", method=b"POST", body=b"x" * size)


def post_head(*headers: tuple[str, str]) -> bytes:
    """The head of a request with a body to come."""
    return plain("/echo", *headers, method=b"POST")


class TestSize:
    @pytest.mark.parametrize("size", [1, LIMIT])
    def test_as_much_as_may_be(self, world: BoundedWorld, size: int) -> None:
        """S16.4: bodies up to the limit are taken, several on one connection, whatever way they come."""
        client = world.client()
        for request in (post(size), post_head(CHUNKED) + chunks(size), post_head(CHUNKED) + chunks(*[1] * size)):
            assert client.ask(request).body == b"x" * size
        assert world.hit == {}

    @pytest.mark.parametrize(
        "request_of",
        [
            post(LIMIT + 1),
            post_head(CHUNKED) + chunks(LIMIT + 1),
            post_head(CHUNKED) + chunks(*[1] * (LIMIT + 1)),
            post_head(CHUNKED) + chunks(LIMIT)[:-5] + b"1\r\nx",
        ],
        ids=["length", "one chunk", "chunks", "not yet at its end"],
    )
    def test_a_byte_more(self, world: BoundedWorld, request_of: bytes) -> None:
        """S16.4: a larger body gets 413, no route sees it, and the connection is said to end."""
        client = world.client()
        answer = client.ask(request_of)
        assert (answer.status, answer.value("Connection")) == (413, "close")
        assert answer.value("Date") is not None
        assert len(client.answers) == 1
        assert world.hit == {"max_request_body_bytes": 1}

    def test_at_once(self, world: BoundedWorld) -> None:
        """S16.4: a length that is too large gets 413 before a byte of the body came, and no 100 Continue."""
        client = world.client()
        client.send(post_head(("Content-Length", str(10**12)), ("Expect", "100-continue")))
        assert [answer.status for answer in client.answers] == [413]

    def test_what_had_come_is_not_kept(self, world: BoundedWorld) -> None:
        """S16.4: of a chunked body that is too large nothing is kept."""
        client = world.client()
        client.send(post_head(CHUNKED), b"400\r\n" + b"x" * 900)
        (request,) = client.wire.protocol.requests
        content = request.content
        client.send(b"x" * 101)
        assert content.closed
        assert [answer.status for answer in client.answers] == [413]

    def test_none_at_all(self) -> None:
        """S16.4: 0 takes no bodies; a request without one is served."""
        world = BoundedWorld(max_request_body_bytes=0)
        assert world.client().ask(plain("/ok")).body == b"fine"
        assert world.client().ask(plain("/ok", ("Content-Length", "0"))).body == b"fine"
        assert world.client().ask(post(1)).status == 413
        assert world.client().ask(post_head(CHUNKED) + chunks(1)).status == 413

    def test_by_default(self) -> None:
        """S16.4: with no argument a body has 1 MiB at most."""
        world = BoundedWorld()
        assert world.client().ask(post(2**20)).status == 200
        assert world.client().ask(post(2**20 + 1)).status == 413

    def test_upgrades(self, world: BoundedWorld) -> None:
        """S16.4: an upgrade with a large body is refused as well, and converts nothing."""
        client = world.client()
        assert client.ask(head("/msg", ("Content-Length", "5000"))).status == 413
        assert world.converted == []

    def test_a_request_before_it(self, world: BoundedWorld) -> None:
        """S16.4: what was asked before on the same connection is answered before."""
        client = world.client()
        client.send(plain("/endless") + post(LIMIT + 1))
        assert client.answers == []
        world.endless[0].callback(b"done")
        assert [answer.status for answer in client.answers] == [200, 413]

    def test_head_requests(self, world: BoundedWorld) -> None:
        """S16.4: HEAD gets 413 without a body."""
        client = world.client()
        client.send(plain("/ok", ("Content-Length", "5000"), method=b"HEAD"))
        assert client.received.startswith(b"HTTP/1.1 413 ")
        assert client.received.endswith(b"\r\n\r\n")


class TestEnd:
    def refused(self, world: BoundedWorld) -> Client:
        """A client whose body was refused and who goes on to send it."""
        client = world.client()
        assert client.ask(post(LIMIT + 1)).status == 413
        return client

    def test_what_comes_behind(self, world: BoundedWorld) -> None:
        """S16.4: what comes behind a refused body is dropped, not kept, served or counted."""
        client = self.refused(world)

        def go_on(_round: int) -> None:
            for _ in range(100):
                client.send(plain("/ok") + b"x" * 60_000)

        assert grown_bytes(go_on) < 50_000
        assert len(client.answers) == 1
        assert world.hit == {"max_request_body_bytes": 1}

    def test_it_ends(self, world: BoundedWorld) -> None:
        """S16.4: the connection stays for 5 s, so that no reset overtakes the answer, and no longer, whatever comes."""
        client = self.refused(world)
        for _ in range(4):
            world.wait(1)
            client.send(b"x" * 1_000)
        assert client.wire.ended is None
        world.wait(1)
        assert client.wire.ended == "closed"
        assert not client.wire.produced_at_end
        assert world.hit == {"max_request_body_bytes": 1}
        world.wait(1)
        assert world.clock.getDelayedCalls() == []

    def test_a_client_that_leaves(self, world: BoundedWorld) -> None:
        """S16.4: once the client has read the answer and left, nothing runs for it."""
        client = self.refused(world)
        client.leave()
        assert world.clock.getDelayedCalls() == []
        assert len(world.limits.pending) == 0

    def test_one_that_does_not_go(self, world: BoundedWorld) -> None:
        """S16.4: a client that lets itself not be closed is aborted."""
        channel = world.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5555))
        wire = StringTransport()
        channel.makeConnection(wire)
        channel.dataReceived(post(LIMIT + 1))
        assert [answer.status for answer in answers_in(wire.value())[0]] == [413]
        world.wait(5)
        assert (wire.disconnecting, wire.disconnected) == (True, False)
        world.wait(15)
        assert wire.disconnected


def test_reports(world: BoundedWorld) -> None:
    """S16.7: each is counted, ten lines a minute are written, without a traceback, and the access log has it."""
    with capturedLogs() as logs:
        for _ in range(15):
            world.client("192.0.2.66").ask(post(LIMIT + 1))
    assert world.hit == {"max_request_body_bytes": 15}
    lines = [formatEvent(event) for event in logs if event.get("kind") == "max_request_body_bytes"]
    assert lines == ["the body of a request of 192.0.2.66 was too large (max_request_body_bytes)"] * 10
    assert failures_in(logs) == []
    access = [formatEvent(event) for event in logs if "SignalSite" in event["log_namespace"]]
    assert len(access) == 15
    assert access[0].startswith('192.0.2.66 "POST /echo" 413 ')
