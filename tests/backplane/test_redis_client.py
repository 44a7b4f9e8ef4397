from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
import pytest_twisted
from cable import cable_to
from certificate_files import issue
from cryptography.hazmat.primitives.serialization import Encoding
from redis_server import RedisServer, redis_server
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from pode_signals.backplane.redis.address import read_url
from pode_signals.backplane.redis.backplane import RedisBackplane
from pode_signals.backplane.redis.client import RedisClient
from pode_signals.backplane.redis.connection import RedisConnection, RedisLost, RedisRefused
from pode_signals.backplane.redis.scripts import LOG_SCRIPTS, Script, script

inline = pytest_twisted.inlineCallbacks
KEY = "a key that all nodes of these tests have"
Steps = Generator[Any, Any, None]


class Client:
    """A client and the states that it told."""

    def __init__(
        self,
        url: str,
        scripts: tuple[Script, ...] = (),
        authorities: Path | None = None,
        reactor: Any = reactor,
        random: Random | None = None,
    ) -> None:
        self.states: list[str] = []
        self.client = RedisClient(read_url(url), reactor, scripts, random or Random(1), self.states.append, authorities)
        self.client.start()

    def when(self, is_so: Callable[[], bool], seconds: float = 10) -> Deferred[None]:
        """Fires when something is so; fails after some seconds."""
        done: Deferred[None] = Deferred()
        end = reactor.seconds() + seconds

        def look() -> None:
            if is_so():
                done.callback(None)
            elif reactor.seconds() > end:
                done.errback(AssertionError(f"it never was so: {self.states}"))
            else:
                reactor.callLater(0.01, look)

        look()
        return done

    def up(self) -> Deferred[None]:
        return self.when(lambda: self.client.is_up)

    def away(self) -> Deferred[None]:
        return self.when(lambda: not self.client.is_up)


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(url: str, *scripts: Script, authorities: Path | None = None) -> Client:
        made.append(Client(url, scripts, authorities))
        return made[-1]

    yield make
    for each in made:
        each.client.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


Make = Callable[..., Client]


@inline
def test_commands_and_messages(server: RedisServer, make: Make) -> Steps:
    """S17.3: a client that is connected asks, and hears what is published."""
    one, heard = make(server.url), []
    yield one.up()
    assert one.states == ["up"]
    yield one.client.subscribe("c", heard.append)
    assert (yield one.client.call("PUBLISH", "c", b"hi")) == 1
    yield one.when(lambda: heard == [b"hi"])
    one.client.unsubscribe("c")
    yield one.when(lambda: b":0\r\n" in server.ask("PUBSUB", "NUMSUB", "c"))
    with pytest.raises(RedisRefused, match="unknown"):
        yield one.client.call("NONSENSE")


@inline
def test_before_the_connection(server: RedisServer, make: Make) -> Steps:
    """S17.3: without a connection a command fails at once, and a channel is subscribed to with the next connection."""
    one, heard = make(server.url), []
    with pytest.raises(RedisLost, match="not connected yet"):
        yield one.client.call("PING")
    with pytest.raises(RedisLost):
        yield one.client.subscribe("c", heard.append)
    yield one.up()
    yield one.client.call("PUBLISH", "c", b"hi")
    yield one.when(lambda: heard == [b"hi"])


@inline
def test_while_it_connects(server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """S17.3: a channel that is wanted while the client connects is subscribed to by that very connection."""
    one, heard = make(server.url), []
    one.client.subscribe("first", heard.append).addErrback(lambda _: None)
    call = RedisConnection.call

    def and_another(connection: RedisConnection, *words: Any) -> Deferred[Any]:
        answer = call(connection, *words)
        if words == ("SUBSCRIBE", b"first"):
            answer.addCallback(lambda _: one.client.subscribe("late", heard.append).addErrback(lambda _: None))
        return answer

    monkeypatch.setattr(RedisConnection, "call", and_another)
    yield one.up()
    assert one.states == ["up"]
    yield one.client.call("PUBLISH", "late", b"hi")
    yield one.when(lambda: heard == [b"hi"])


@inline
def test_a_restart(server: RedisServer, make: Make) -> Steps:
    """S17.3: after a restart the client is back within two seconds, hears its channels and has its scripts again."""
    one, heard = make(server.url, *LOG_SCRIPTS), []
    yield one.up()
    yield one.client.subscribe("c", heard.append)
    told: list[str] = []
    one.client.connected.append(lambda: told.append("connected"))
    one.client.disconnected.append(lambda: told.append("disconnected"))
    waiting = one.client.call("DEBUG", "SLEEP", "5")
    server.kill()
    with pytest.raises((RedisLost, RedisRefused)):
        yield waiting
    yield one.away()
    server.start()
    began = reactor.seconds()
    yield one.up()
    assert reactor.seconds() - began < 2
    yield one.client.call("PUBLISH", "c", b"hi")
    yield one.when(lambda: heard == [b"hi"])
    assert (yield one.client.run(script("forget"), ("a", "b"))) == 1
    assert told == ["disconnected", "connected"]
    assert one.states[0] == one.states[-1] == "up"


@inline
def test_each_state_is_told_once(server: RedisServer, make: Make) -> Steps:
    """S17.3: while Redis is away, many tries are one state."""
    one = make(server.url)
    yield one.up()
    server.kill()
    yield deferLater(reactor, 2, lambda: None)
    server.start()
    yield one.up()
    refused = [state for state in one.states if "refused" in state]
    assert len(refused) == 1
    assert len(one.states) == 4


@inline
def test_a_wrong_password_and_its_mending(server: RedisServer, make: Make) -> Steps:
    """S17.3: a client with a wrong password says so, without the password, and is let in when the password is right."""
    server.ask("CONFIG", "SET", "requirepass", "right")
    one = make(server.url.replace("//", "//:wrong-secret@"))
    yield one.when(lambda: "Redis answers WRONGPASS" in one.states)
    two = make(server.url)
    yield two.when(lambda: "Redis answers NOAUTH" in two.states)
    one.client.stop()
    three = make(server.url.replace("//", "//:right@"))
    yield three.up()
    assert not any("secret" in state for state in one.states)


@inline
def test_a_stalled_redis(server: RedisServer, make: Make) -> Steps:
    """S17.3: a Redis that takes connections and does not answer is away after two seconds, and back when it answers."""
    one = make(server.url)
    yield one.up()
    server.pause()
    began = reactor.seconds()
    with pytest.raises(RedisLost, match="no answer in time"):
        yield one.client.call("PING")
    assert 1.9 < reactor.seconds() - began < 3
    server.go_on()
    yield one.up()


@inline
def test_a_replica(server: RedisServer, make: Make) -> Steps:
    """S17.3: a Redis that became a replica is left, and is taken again when it can be written to."""
    one = make(server.url)
    yield one.up()
    server.ask("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(RedisLost, match="READONLY"):
        yield one.client.call("SET", "a", "b")
    yield one.away()
    server.ask("REPLICAOF", "NO", "ONE")
    yield one.up()


@inline
def test_a_redis_that_writes_nothing_for_now(server: RedisServer, make: Make) -> Steps:
    """S17.3: a Redis that refuses to write, and is no replica, is up: what it refuses is told where it is asked."""
    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    one = make(server.url)
    yield one.up()
    assert one.states == ["up"]
    with pytest.raises(RedisRefused, match="NOREPLICAS"):
        yield one.client.call("SET", "a", "b")


def test_a_try_that_hangs() -> None:
    """S17.3: a try that had no answer is followed by the next one at once: the pause between tries began with it."""
    clock = MemoryReactorClock()
    one = Client("unix:///nowhere", reactor=clock, random=Longest())
    (attempt,) = clock.unixClients
    attempt[1].buildProtocol(None).makeConnection(StringTransport())
    clock.advance(1.8)
    assert one.states == ["no answer in time"]
    clock.advance(0.1)
    assert len(clock.unixClients) == 2
    clock.unixClients[-1][1].clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    clock.advance(0.9)
    assert len(clock.unixClients) == 2
    clock.advance(0.1)
    assert len(clock.unixClients) == 3
    one.client.stop()


class Longest(Random):
    """Of two bounds the upper one."""

    def uniform(self, a: float, b: float) -> float:
        """The upper one."""
        return b


@inline
def test_forgotten_scripts(server: RedisServer, make: Make) -> Steps:
    """S17.3: where somebody has Redis forget all scripts, the client connects again and loads them."""
    one = make(server.url, *LOG_SCRIPTS)
    yield one.up()
    server.ask("SCRIPT", "FLUSH")
    with pytest.raises(RedisLost, match="NOSCRIPT"):
        yield one.client.run(script("forget"), ("a", "b"))
    yield one.up()
    assert (yield one.client.run(script("forget"), ("a", "b"))) == 1


@inline
def test_the_loss_of_one_connection_is_that_of_both(server: RedisServer, make: Make) -> Steps:
    """S17.3: where Redis ends the connection of the subscriptions alone, both are made again."""
    one, heard = make(server.url), []
    yield one.up()
    yield one.client.subscribe("c", heard.append)
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    yield one.when(lambda: len(one.states) > 1)
    yield one.up()
    yield one.client.call("PUBLISH", "c", b"hi")
    yield one.when(lambda: heard == [b"hi"])


@inline
def test_a_loss_while_it_connects(server: RedisServer, make: Make, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """S17.3: a connection that ends while the other one is made ready is not taken for one that is there."""
    call = RedisConnection.call
    one = make(server.url)

    def and_cut(connection: RedisConnection, *words: Any) -> Deferred[Any]:
        if words == ("TIME",) and not one.states:
            assert one.client._way is not None
            one.client._way.pairs[0].subscriptions.drop("it was cut")
        return call(connection, *words)

    monkeypatch.setattr(RedisConnection, "call", and_cut)
    yield one.up()
    assert one.states == ["it was cut", "up"]


@inline
def test_a_cable_that_is_pulled(server: RedisServer, make: Make) -> Steps:
    """S17.3: a connection that is cut is made again."""
    with cable_to(server.port) as cable:
        one = make(f"redis://127.0.0.1:{cable.port}")
        yield one.up()
        cable.pull()
        yield one.away()
        cable.plug_in()
        yield one.up()


@inline
def test_a_database(server: RedisServer, make: Make) -> Steps:
    """S17.3: the database of the URL is chosen on each connection."""
    one = make(f"{server.url}/3")
    yield one.up()
    yield one.client.call("SET", "a", "b")
    server.ask("SELECT", "3")
    assert b"db3" in server.ask("INFO", "keyspace")


@inline
def test_a_unix_socket(tmp_path: Path, make: Make) -> Steps:
    """S17.3: a Redis on a UNIX socket is one like any other."""
    with redis_server(tmp_path, "--unixsocket", str(tmp_path / "s")) as server:
        one = make(f"unix://{tmp_path}/s")
        yield one.up()
        assert (yield one.client.call("PING")) == b"PONG"
        server.kill()
        yield one.away()


@inline
def test_stopped(server: RedisServer, make: Make) -> Steps:
    """S17.3: a client that is stopped leaves no connection, no timer and no Deferred without an end."""
    one = make(server.url)
    waiting = one.client.call("PING")
    one.client.stop()
    with pytest.raises(RedisLost):
        yield waiting
    two = make(server.url)
    yield two.up()
    waiting = two.client.call("PING")
    two.client.stop()
    with pytest.raises(RedisLost, match="this node has stopped"):
        yield waiting
    assert two.states == ["up"]
    yield two.when(lambda: server.ask("CLIENT", "LIST").count(b"id=") == 1)


@inline
def test_tls(tmp_path: Path, make: Make) -> Steps:
    """S17.3: over TLS the certificate and the name in it are verified, by the authorities that were given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    issued, other = issue(), issue()
    (tmp_path / "cert").write_bytes(issued.pem())
    (tmp_path / "key").write_bytes(issued.key_pem())
    for name, each in (("ca", issued), ("other", other)):
        (tmp_path / name).write_bytes(each.authority.public_bytes(Encoding.PEM))
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    for name in ("cert", "key", "ca-cert"):
        options += [f"--tls-{name}-file", str(tmp_path / name.removesuffix("-cert"))]
    with redis_server(tmp_path, *options):
        good = make(f"rediss://localhost:{port}", authorities=tmp_path / "ca")
        yield good.up()
        assert (yield good.client.call("PING")) == b"PONG"
        url, trusted = f"rediss://localhost:{port}", tmp_path / "ca"
        backplane = RedisBackplane(url, key=KEY, ca_file=trusted, reactor=reactor)
        yield backplane.start(lambda _: None, lambda _: None, lambda _: succeed(None), lambda *_: None)
        assert backplane.state == "up"
        yield backplane.stop()
        for url, authorities in (
            (f"rediss://localhost:{port}", None),
            (f"rediss://localhost:{port}", tmp_path / "other"),
            (f"rediss://localhost.localdomain:{port}", tmp_path / "ca"),
        ):
            bad = make(url, authorities=authorities)
            yield bad.when(lambda bad=bad: bool(bad.states))
            assert not bad.client.is_up
            assert bad.states[0].startswith(("TLS failed", "no connection"))


@inline
def test_a_replica_from_the_start(server: RedisServer, make: Make) -> Steps:
    """S17.3: a node that was given a replica is not up in turns: its state stays that it is a replica."""
    server.ask("REPLICAOF", "127.0.0.1", "1")
    node = RedisBackplane(server.url, key="k" * 32)
    states: list[str] = []
    node.start(print, states.append, lambda question: succeed(None), print).addErrback(lambda _: None)
    yield deferLater(reactor, 1.5, lambda: None)
    assert [each.partition(" (")[0] for each in states] == ["Redis answers READONLY"]
    server.ask("REPLICAOF", "NO", "ONE")
    yield Client.when(cast(Any, None), lambda: states[-1] == "up")
    yield node.stop()


@inline
def test_an_old_redis(server: RedisServer, make: Make) -> Steps:
    """S17.3: a Redis that can't read the scripts is too old, and the state says so."""
    one = make(server.url, Script("no Lua", "0" * 40))
    yield one.when(lambda: bool(one.states))
    assert one.states == ["Redis can't read the scripts: it has to be 7.0 or newer"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("NOAUTH Authentication required.", "NOAUTH"),
        ("ERR max number of clients reached", "ERR max number of clients reached"),
        ("ERR unknown command 'AUTH', with args beginning with: 'word'", "ERR"),
        ("ERR " + "x" * 999, "ERR " + "x" * 120),
    ],
)
def test_what_is_told_of_an_error(error: str, told: str) -> None:
    """S17.3: what log lines have of an error of Redis says what it is, is short, and has no password."""
    assert RedisRefused(error).told == told
