"""Nodes on a Redis Cluster of three masters: what works, and what is lost or doubled when the cluster changes."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from backplane.redis_kills import KEY, KillsNode, kills
from redis_cluster import RedisCluster, redis_cluster
from redis_server import RedisServer, redis_server
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks, succeed
from twisted.internet.task import deferLater

from pode_signals.backplane.contract import HistoryLimits, Member, Question
from pode_signals.backplane.redis.backplane import RedisBackplane
from pode_signals.backplane.redis.connection import RedisRefused
from pode_signals.backplane.redis.keys import Keys
from pode_signals.backplane.redis.scripts import LOG_SCRIPTS, NODE_SCRIPTS, WRITABLE
from pode_signals.backplane.redis.slots import slot_of
from pode_signals.core.model import Target
from pode_signals.errors import BackplaneUnavailable
from pode_signals.wire.message import Message, Outgoing

inline = pytest_twisted.inlineCallbacks
Steps = Generator[Any, Any, None]
SCALING = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
RULE = re.search(r"^user pode on >password (.*?)```", SCALING, re.DOTALL | re.MULTILINE)
LONG = os.environ.get("PODE_SIGNALS_NODES") == "all"
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
MANY = HistoryLimits(100_000, 2**28, 3_600)
APPLICATIONS = count(1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with redis_cluster(tmp_path_factory.mktemp("cluster"), *ALWAYS) as running:
        yield running


class Nodes:
    """Nodes of one application on a cluster, with all that they were told."""

    def __init__(self, cluster: RedisCluster) -> None:
        self.application = f"app{next(APPLICATIONS)}"
        self.keys = Keys(self.application)
        self.url = cluster.url
        self.nodes: list[KillsNode] = []
        self.live: list[list[bytes]] = []
        self.states: list[list[str]] = []

    @inlineCallbacks
    def start(self, *, url: str | None = None) -> Generator[Any, Any, KillsNode]:
        """A node that is connected."""
        made = RedisBackplane(
            url or self.url, key=KEY, application=self.application, waiting_seconds=60, reactor=reactor
        )
        live: list[bytes] = []
        states: list[str] = []
        yield made.start(
            lambda outgoing: live.append(outgoing.message.payload),
            states.append,
            lambda question: succeed(made.node.encode()),
            lambda *_: None,
        )
        self.nodes.append(KillsNode(made))
        self.live.append(live)
        self.states.append(states)
        return self.nodes[-1]

    def follow(self, *names: str) -> Deferred[Any]:
        """Have all nodes follow names that keep a history."""
        return gatherResults(
            node.backplane.history.follow(name, MANY, node.deliver, node.breaks.append)
            for node in self.nodes
            for name in names
        )

    def stop(self) -> Deferred[Any]:
        """End all nodes."""
        return gatherResults(node.backplane.stop() for node in self.nodes)


@pytest.fixture
def nodes(cluster: RedisCluster) -> Iterator[Nodes]:
    made = Nodes(cluster)
    yield made
    pytest_twisted.blockon(made.stop())


def until(is_so: Callable[[], bool], seconds: float = 30) -> Deferred[None]:
    """Fires when something is so."""
    done: Deferred[None] = Deferred()
    end = reactor.seconds() + seconds

    def look() -> None:
        if is_so():
            done.callback(None)
        elif reactor.seconds() > end:
            done.errback(AssertionError("it never was so"))
        else:
            reactor.callLater(0.01, look)

    look()
    return done


def turn(seconds: float = 0) -> Deferred[None]:
    return deferLater(reactor, seconds, lambda: None)


@inline
def test_all_slots(cluster: RedisCluster, nodes: Nodes) -> Steps:
    """S17.1: whatever master has a name's slot, other nodes get what is sent to the name, once."""
    one, other = (yield nodes.start()), (yield nodes.start())
    names = [f"Name{number}" for number in range(24)]
    assert {cluster.owner(nodes.keys.channel(name)).port for name in names} == {each.port for each in cluster.servers}
    yield nodes.follow(*names)
    # Live sends are listened to where a member of the name is.
    yield gatherResults(other.backplane.presence.join(Member(name, "bob")) for name in names)
    yield gatherResults(one.backplane.history.append(Target((name,)), name.encode()) for name in names)
    for target in (None, *((name,) for name in names)):
        one.backplane.publish(Outgoing(Target(target), Message(str(target).encode())))
    yield until(lambda: len(other.delivered) == 24 and len(nodes.live[1]) == 25)
    assert sorted(one.delivered) == sorted(other.delivered) == sorted(name.encode() for name in names)
    assert sorted(nodes.live[1]) == sorted(nodes.live[0])


class Monitor:
    """All commands that a Redis has carried out, those of scripts among them."""

    def __init__(self, server: RedisServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), 5)
        self._socket.sendall(b"MONITOR\r\n")
        assert self._socket.recv(64).startswith(b"+OK")
        self._server = server

    def lines(self) -> list[list[str]]:
        """Where each one came from, and its words."""
        self._server.ask("ECHO", "the-end")
        data = b""
        while b'"the-end"\r\n' not in data:
            data += self._socket.recv(65_536)
        self._socket.close()
        lines = data.decode().split("\r\n")[:-1]
        return [[line.split("] ")[0], *re.findall(r'"((?:[^"\\]|\\.)*)"', line)] for line in lines]


def slots_of_scripts(lines: list[list[str]]) -> Iterator[tuple[str, set[int]]]:
    """The scripts that ran, each with the slots of all keys that it was given or made itself."""
    sha, slots = "", set[int]()
    for place, command, *words in lines:
        if command == "EVALSHA":
            if sha:
                yield sha, slots
            sha, slots = words[0], {slot_of(key) for key in words[2 : 2 + int(words[1])]}
        elif place.endswith("lua") and command not in ("TIME", "PUBLISH"):
            slots |= {slot_of(key) for key in (words if command == "UNLINK" else words[:1])}
    if sha:
        yield sha, slots


@inline
def test_what_nodes_do(cluster: RedisCluster, nodes: Nodes) -> Steps:
    """S17.3: with the rights of the documentation nodes do all they do, and the keys of a script are in one slot."""
    assert RULE is not None
    assert "`+cluster|slots`" in SCALING
    rule = (*RULE[1].replace("pode:", f"{nodes.application}:").split(), "+cluster|slots")
    for server in cluster.servers:
        assert server.ask("ACL", "SETUSER", "limited", "reset", "on", ">password", *rule) == b"+OK\r\n"
    monitors = [Monitor(server) for server in cluster.servers]
    url = cluster.url.replace("//", "//limited:password@")
    one, other = (yield nodes.start(url=url)), (yield nodes.start(url=url))
    yield nodes.follow("Room")
    place = yield one.backplane.history.append(Target(("Room",)), b"1")
    yield one.backplane.history.append(Target(("Room",)), b"2")
    assert (yield one.backplane.history.missed("Room", place, place)).complete
    assert len((yield other.backplane.history.read("Room", None, 9))) == 2
    yield one.backplane.presence.join(Member("Room", "ada"))
    yield other.backplane.presence.join(Member("Room", "bob"))
    changes: list[Any] = []
    seen = yield one.backplane.presence.watch("Room", changes.append)
    assert {member.client_id for member in seen} == {"ada", "bob"}
    other.backplane.presence.leave("Room", "bob", 0)
    yield until(lambda: bool(changes))
    assert (yield one.backplane.presence.count("Room")) == 1
    answers = yield one.backplane.ask(Question("count"), 10)
    assert answers.given == {each.backplane.node: each.backplane.node.encode() for each in (one, other)}
    assert (yield one.backplane.once("task", 60))
    assert not (yield other.backplane.once("task", 60))
    yield one.backplane.remember("key", b"1", 60)
    assert (yield other.backplane.recall("key")) == b"1"
    # What else there is to do is done at certain times, or after an outage.
    log = one.backplane.history._names["Room"]
    log.end("none")
    one.backplane.presence._versions.check(tuple(one.backplane.presence._rooms.values()))
    one.backplane.history.forget("Room")
    yield other.backplane.stop()
    yield one.backplane.history.size("Room")
    assert not +(one.backplane.counters + other.backplane.counters)
    # Who connects tries each master, by a script that has no key.
    called = [each for monitor in monitors for each in slots_of_scripts(monitor.lines())]
    ran = [each for each in called if each[0] != WRITABLE.sha]
    assert {sha for sha, _ in ran} == {script.sha for script in (*LOG_SCRIPTS, *NODE_SCRIPTS)}
    assert [slots for _, slots in ran if len(slots) != 1] == []
    nodes.nodes.remove(other)


class OneMaster:
    """A master as it is killed and started again, and the cluster as nodes find it."""

    def __init__(self, cluster: RedisCluster, key: str) -> None:
        self._master = cluster.owner(key)
        self.url = cluster.url
        self.kill, self.start = self._master.kill, self._master.start


@inline
def test_a_master_is_killed(cluster: RedisCluster) -> Steps:
    """S17.2: kill -9 of the master that has a log: nothing is lost or doubled, and all nodes have one order."""
    master: Any = OneMaster(cluster, Keys("pode").channel("Room"))
    messages, times = (50_000, 20) if LONG else (600, 1)
    found = yield kills(reactor, master, nodes=2, messages=messages, kills=times)
    assert found.kills == times
    for node in found.nodes:
        assert (len(node.delivered), len(set(node.delivered)), node.breaks, node.failed) == (messages, messages, [], [])
        assert node.delivered == found.nodes[0].delivered
    cluster.settle()


class Sending:
    """Sends a message a turn from one node and another, until it is told to stop."""

    def __init__(self, nodes: list[KillsNode]) -> None:
        self._nodes = nodes
        self.sent: list[bytes] = []
        self._answers: list[Deferred[Any]] = []
        self._is_over = False
        self._done = self._send()

    @inlineCallbacks
    def _send(self) -> Steps:
        while not self._is_over:
            node = self._nodes[len(self.sent) % len(self._nodes)]
            data = b"%d" % len(self.sent)
            self.sent.append(data)
            self._answers.append(node.backplane.history.append(Target(("Room",)), data))
            yield turn(0.002)

    @inlineCallbacks
    def end(self) -> Steps:
        """Send no more, and wait until all nodes have all."""
        self._is_over = True
        yield self._done
        yield gatherResults(self._answers)
        yield until(lambda: all(len(node.delivered) >= len(self.sent) for node in self._nodes))

    def check(self) -> None:
        """Nothing was lost or doubled, and all nodes have one order."""
        for node in self._nodes:
            assert (node.breaks, len(node.delivered)) == ([], len(self.sent))
            assert sorted(node.delivered) == sorted(self.sent)
            assert node.delivered == self._nodes[0].delivered


class Move:
    """The slot of a key on its way to another master."""

    def __init__(self, cluster: RedisCluster, key: str) -> None:
        self.slot = str(slot_of(key))
        self.source = cluster.owner(key)
        self.target = next(each for each in cluster.servers if each is not self.source)
        self.target.say("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source.id)
        self.source.say("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target.id)

    def left(self) -> list[str]:
        """The keys that are not moved yet, as far as one answer has them."""
        return re.findall(r"\$\d+\r\n(.+?)\r\n", self.source.ask("CLUSTER", "GETKEYSINSLOT", self.slot, "99").decode())

    def move(self, key: str) -> None:
        """Move one key."""
        self.source.say("MIGRATE", "127.0.0.1", str(self.target.port), key, "0", "5000")

    def finish(self) -> None:
        """The slot has moved."""
        while keys := self.left():
            self.move(keys[0])
        for server in (self.target, self.source):
            server.say("CLUSTER", "SETSLOT", self.slot, "NODE", self.target.id)


@inlineCallbacks
def migrated(cluster: RedisCluster, key: str) -> Steps:
    """Move the slot of a key to another master, key by key."""
    move = Move(cluster, key)
    while keys := move.left():
        yield turn(0.02)
        move.move(keys[0])
    yield turn(0.02)
    move.finish()


@inlineCallbacks
def both_migrated(cluster: RedisCluster, keys: Keys) -> Steps:
    """Move the slots of a log and of the members."""
    for _ in range(20 if LONG else 1):
        yield migrated(cluster, keys.channel("Room"))
        yield migrated(cluster, keys.nodes)


@inline
def test_a_script_whose_keys_are_moved(cluster: RedisCluster, nodes: Nodes) -> Steps:
    """S17.2: members that can't be told in whole, since keys are on their way, are not told in part, but told again."""
    one = yield nodes.start()
    yield one.backplane.presence.join(Member("Room", "ada"))
    move = Move(cluster, nodes.keys.nodes)
    move.move(next(key for key in move.left() if ":ids:" in key))
    one.backplane.presence.join(Member("Room", "eve")).addErrback(lambda _: None)
    yield until(lambda: len(nodes.states[0]) > 1)
    assert nodes.states[0][1].startswith("Redis answers TRYAGAIN (")
    assert move.source.ask("HKEYS", nodes.keys.members("Room")[0]) == b"*1\r\n$3\r\nada\r\n"
    move.finish()
    yield members_are(one, {"ada", "eve"})


@inline
def test_slots_are_moved(cluster: RedisCluster, nodes: Nodes) -> Steps:
    """S17.2: slots move to other masters while nodes send and clients come and go: nothing is lost, doubled, wrong."""
    one, other = (yield nodes.start()), (yield nodes.start())
    yield nodes.follow("Room")
    members = {f"early{number}": one for number in range(9)}
    for client_id in members:
        yield one.backplane.presence.join(Member("Room", client_id))
    sending = Sending(nodes.nodes)
    moving = both_migrated(cluster, nodes.keys)
    numbers = count()
    while not moving.called:
        number = next(numbers)
        node = members[f"late{number}"] = (one, other)[number % 2]
        # While the members are on their way Redis can't be told; that is made up for.
        node.backplane.presence.join(Member("Room", f"late{number}")).addErrback(lambda _: None)
        if members.pop(f"early{number}", None):
            one.backplane.presence.leave("Room", f"early{number}", 0)
        yield turn(0.02)
    yield moving
    yield sending.end()
    sending.check()
    yield members_are(one, set(members))
    assert not any(node.backplane.counters["commands_refused"] for node in nodes.nodes)
    # A member that the sets of its node lack would never be taken out.
    nodes.nodes.remove(other)
    yield other.backplane.stop()
    yield members_are(one, {client_id for client_id, node in members.items() if node is one})


@inlineCallbacks
def members_are(node: KillsNode, expected: set[str]) -> Steps:
    """Wait until a node finds these members."""
    end = reactor.seconds() + 30
    found: set[str] = set()
    while found != expected:
        assert reactor.seconds() < end, found ^ expected
        yield turn(0.05)
        try:
            found = {member.client_id for member in (yield node.backplane.presence.members("Room"))}
        except BackplaneUnavailable:
            continue


@inline
def test_which_master_is_away(cluster: RedisCluster, nodes: Nodes) -> Steps:
    """S17.3: where one master ends its connections, the state says which, and all are made again."""
    yield nodes.start()
    master = cluster.owner(nodes.keys.nodes)
    master.say("CLIENT", "KILL", "TYPE", "normal")
    yield until(lambda: len(nodes.states[0]) > 2)
    assert nodes.states[0][1].startswith(f"127.0.0.1:{master.port}: it closed the connection (redis+cluster://")
    assert nodes.states[0][2] == "up"


@inline
def test_a_replica_takes_over(cluster: RedisCluster, nodes: Nodes) -> Steps:
    """S17.2: a replica takes the place of the master that has a log: nothing is lost or doubled."""
    replica = cluster.add_replica(cluster.owner(nodes.keys.channel("Room")))
    yield nodes.start()
    yield nodes.start()
    yield nodes.follow("Room")
    sending = Sending(nodes.nodes)
    yield turn(0.05)
    for _ in range(3):
        replica.say("CLUSTER", "FAILOVER")
        # As long as the masters do not agree who has the slots that were moved, none is elected, and Redis gives up
        # after 5 seconds.
        yield until(lambda: b"role:master" in replica.ask("INFO", "replication"), 6).addErrback(lambda _: None)
        if b"role:master" in replica.ask("INFO", "replication"):
            break
    yield until(lambda: all(states[-1] == "up" and len(states) > 2 for states in nodes.states))
    yield sending.end()
    sending.check()
    assert cluster.owner(nodes.keys.channel("Room")) is replica


@inline
def test_any_node_of_the_url(cluster: RedisCluster, nodes: Nodes) -> Steps:
    """S17.3: a node finds the cluster by any node of the URL that answers, be it a replica, and knows all masters."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
    for server in cluster.servers:
        nodes.url = f"redis+cluster://127.0.0.1:{nobody},127.0.0.1:{server.port}"
        yield nodes.start()
    yield nodes.follow("Room")
    yield nodes.nodes[0].backplane.history.append(Target(("Room",)), b"1")
    yield until(lambda: all(node.delivered == [b"1"] for node in nodes.nodes))


@inline
def test_a_single_redis_and_a_cluster_are_told_apart(cluster: RedisCluster, nodes: Nodes, tmp_path: Path) -> Steps:
    """S17.3: a URL of the wrong kind is told: a single Redis is no cluster, and a cluster refuses what is elsewhere."""
    with redis_server(tmp_path) as server:
        states: list[str] = []
        alone = RedisBackplane(server.url.replace("redis:", "redis+cluster:"), key=KEY, reactor=reactor)
        alone.start(lambda _: None, states.append, lambda _: succeed(None), lambda *_: None).addErrback(lambda _: None)
        yield until(lambda: bool(states))
        yield alone.stop()
    assert states[0].startswith("this Redis is no part of a cluster (redis+cluster://127.0.0.1:")
    key = nodes.keys.value("key")
    # A replica would not let the node in.
    masters = [each for each in cluster.servers if b"role:master" in each.ask("INFO", "replication")]
    other = next(each for each in masters if each is not cluster.owner(key))
    one = yield nodes.start(url=other.url)
    with pytest.raises(RedisRefused, match="MOVED"):
        yield one.backplane._client.call("GET", key)
    assert nodes.states[0] == ["up"]
