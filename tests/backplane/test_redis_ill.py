"""A Redis, or the way to it, that is ill for some time while nodes are used: what comes of each kind of illness."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from attrs import frozen
from backplane.ill_nodes import LONG, IllNode, hasten, ill_nodes, pause, settled, until
from redis_server import RedisServer, redis_server
from way_to_redis import Way, way_to

ensure = pytest_twisted.ensureDeferred

ILL_SECONDS = (4.0, 30.0) if LONG else (0.4,)
HASTE = 1 if LONG else 5
# Where a node waits for the fifth part of the time, a busy machine is an illness of its own.
MORE_LINES = 0 if LONG else 2
USER = ("ACL", "SETUSER", "pode", "on", "~*", "&*", "+@all")
LIVE_MESSAGES = 2_000
BURST = 7_000 if LONG else 1_000
MOST_WAITING_BYTES = 100_000


@frozen
class Illness:
    """One kind.

    Attributes:
        begin, end: make Redis or the way to it ill, and well again.
        states: how the node's texts for it begin, beside ``up``.
        lines: how many changes of its state a node may tell at most, from well to well.
    """

    begin: Callable[[RedisServer, Way], None]
    end: Callable[[RedisServer, Way], None]
    states: tuple[str, ...]
    lines: int = 3


def nothing(_server: RedisServer, _way: Way) -> None:
    """Some illnesses are over at once."""


def cut(_server: RedisServer, way: Way) -> None:
    way.swallow()


def mend(_server: RedisServer, way: Way) -> None:
    way.carry()


def slow(_server: RedisServer, way: Way) -> None:
    way.delay_seconds = 2.0 / HASTE


def fast(_server: RedisServer, way: Way) -> None:
    way.delay_seconds = 0.0


def stall(server: RedisServer, _way: Way) -> None:
    server.pause()


def go_on(server: RedisServer, _way: Way) -> None:
    server.go_on()


def cut_subscriptions(server: RedisServer, _way: Way) -> None:
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")


def change_password(server: RedisServer, way: Way) -> None:
    server.ask(*USER, "resetpass", ">another")
    way.lead_to(server.port)


def change_password_back(server: RedisServer, _way: Way) -> None:
    server.ask(*USER, "resetpass", ">right")


def demote(server: RedisServer, _way: Way) -> None:
    server.ask("REPLICAOF", "127.0.0.1", "1")


def promote(server: RedisServer, _way: Way) -> None:
    server.ask("REPLICAOF", "NO", "ONE")


def forget_scripts(server: RedisServer, _way: Way) -> None:
    server.ask("SCRIPT", "FLUSH")


def load(server: RedisServer, _way: Way) -> None:
    for number in range(3_000 if LONG else 100):
        server.ask("SET", f"ballast{number}", "x")
    server.kill()
    # Each command takes so long to load, and Redis says in between that it loads.
    server.start("--key-load-delay", "10000" if LONG else "5000", "--loading-process-events-interval-bytes", "1024")


ILLNESSES = {
    "a partition without RST": Illness(cut, mend, ("no answer in time",)),
    "two seconds for each answer": Illness(slow, fast, ("no answer in time",)),
    "a stall": Illness(stall, go_on, ("no answer in time",)),
    "subscriptions are cut": Illness(cut_subscriptions, nothing, ("it closed", "Connection to the other side")),
    "another password": Illness(
        change_password,
        change_password_back,
        ("it closed", "Connection to the other side", "Redis answers WRONGPASS"),
        4,
    ),
    "a replica": Illness(demote, promote, ("Redis answers READONLY",)),
    "forgotten scripts": Illness(forget_scripts, nothing, ("Redis answers NOSCRIPT",)),
    "loading": Illness(
        load,
        nothing,
        ("it closed", "Connection to the other side", "no connection", "Redis answers LOADING", "no answer in time"),
        6,
    ),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    options = ("--appendonly", "yes", "--appendfsync", "no", "--user", *USER[2:], ">right")
    with redis_server(tmp_path, *options) as running:
        yield running


@pytest.fixture
def way(server: RedisServer) -> Iterator[Way]:
    with way_to(server.port) as found:
        yield found


@pytest.mark.parametrize("seconds", ILL_SECONDS)
@pytest.mark.parametrize("kind", ILLNESSES)
@ensure
async def test_an_illness(
    kind: str, seconds: float, server: RedisServer, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S17.3: while Redis is ill a node delivers live messages to its own clients at once, keeps a bounded number for
    Redis, and says what is wrong, once; then it is back by itself, and no entry of a log is lost or doubled.
    """
    hasten(monkeypatch, HASTE)
    illness = ILLNESSES[kind]
    url = way.url.replace("//", "//pode:right@")
    async with ill_nodes(url, server.url, max_waiting_bytes=MOST_WAITING_BYTES) as nodes:
        one, other = nodes
        say(one, 0)
        await settled(nodes)
        illness.begin(server, way)
        for number in range(LIVE_MESSAGES):
            one.publish(b"live %d" % number)
            assert len(one.live) == number + 1
        assert one.backplane._client.pending_bytes < MOST_WAITING_BYTES + 1_000
        say(one, 1)
        await until(lambda: len(one.states) > 1 and one.backplane.state != "up", what=lambda: one.states)
        for number in range(200):
            one.append(b"large %d" % number + bytes(1_000))
        entries, size_bytes = one.backplane.history.held
        assert (entries < 100, size_bytes <= MOST_WAITING_BYTES) == (True, True)
        if illness.end is not nothing:
            await pause(seconds)
            assert one.backplane.state != "up"
        illness.end(server, way)
        took = await until(lambda: one.is_up, 60, lambda: one.states)
        assert took < (2 if seconds < 5 else 6) or kind == "loading"
        # There is room again once what has waited is in the log.
        await settled(nodes)
        say(one, 2)
        say(other, 3)
        await settled(nodes)
        await until(lambda: len(one.delivered) == len(other.delivered) == len(one.written) + len(other.written))
    assert one.delivered == other.delivered
    assert {*one.written, *other.written} >= {b"%d" % number for number in range(40)}
    assert len([each for each in one.delivered if len(each) < 10]) == 40
    assert (one.told, other.told) == (0, 0)
    assert {outcome for _, outcome in one.failed} <= {"refused"}
    assert_one_line_each(one, illness)


def say(node: IllNode, place: int) -> None:
    for number in range(place * 10, place * 10 + 10):
        node.append(b"%d" % number)


def assert_one_line_each(node: IllNode, illness: Illness) -> None:
    assert (node.states[0], node.states[-1]) == ("up", "up")
    assert all(state == "up" or state.startswith(illness.states) for state in node.states), node.states
    assert len(node.states) <= illness.lines + MORE_LINES, node.states
    assert len(set(node.states)) <= len(illness.states) + 1, node.states


@ensure
async def test_a_node_that_does_not_read(tmp_path: Path) -> None:
    """S17.2: Redis ends the subscriptions of a node that stands still in a burst, by ``client-output-buffer-limit``:
    the node has every entry afterwards, once and in order, and is told of no loss.
    """
    limit = ("--client-output-buffer-limit", "pubsub 200000 0 0", "--unixsocket", str(tmp_path / "socket"))
    with redis_server(tmp_path, *limit) as server:
        # A UNIX socket takes little: what is not read waits in Redis.
        async with ill_nodes(f"unix://{tmp_path}/socket", server.url) as nodes:
            one, other = nodes
            pair = one.backplane._client._way
            assert pair is not None
            for connection in (pair.commands, pair.subscriptions):
                connection.transport.pauseProducing()
            for number in range(BURST):
                other.append(b"%d " % number + bytes(1_000))
                other.publish(b"%d " % number + bytes(1_000))
                if number % 100 == 99:
                    # It reads itself.
                    await settled([other])
            await settled([other])
            assert "output buffer limits" in (tmp_path / "log").read_text(encoding="utf-8")
            for connection in (pair.commands, pair.subscriptions):
                connection.transport.resumeProducing()
            await until(lambda: len(one.states) > 1 and one.is_up, what=lambda: one.states)
            await until(lambda: len(one.delivered) == BURST, 60, lambda: (len(one.delivered), one.states, one.told))
    assert one.delivered == other.delivered
    assert len(set(one.live)) == len(one.live) < len(other.live) == BURST
    assert (one.told, other.told) == (0, 0)
    assert other.failed == []
    assert (len(one.states) > 2, len(other.states)) == (True, 1)
