"""A Redis that has lost what it had confirmed, that carries out late what nobody waits for, or that hardly writes."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
import pytest_twisted
from backplane.ill_nodes import LONG, IllNode, hasten, ill_nodes, pause, settled, until
from redis_server import RedisServer, redis_server
from slow_disk import SlowDisk
from twisted.internet import reactor
from way_to_redis import way_to

from pode_signals.core.history import Position

ensure = pytest_twisted.ensureDeferred
log = logging.getLogger(__name__)

CUTS = 15 if LONG else 2
FAILOVERS = 8 if LONG else 2
STALLS = 20 if LONG else 1
# Longer than a node waits, and than it takes until it is back.
LATE_SECONDS = 6.0
POSITIONS = 100_000 if LONG else 300
SLOW_SECONDS = 30.0 if LONG else 1.5
HASTE = 1 if LONG else 5
EACH = 200 if LONG else 30


async def all_have_all(nodes: Sequence[IllNode]) -> None:
    """Wait until each node has all that any of them has written."""
    await settled(nodes)
    number = sum(len(node.written) for node in nodes)
    await until(lambda: all(len(node.delivered) >= number for node in nodes), 30, lambda: summary(nodes))


async def all_are_told(nodes: Sequence[IllNode], before: Sequence[int]) -> None:
    """Wait until each node has been told that entries may be lost."""
    await until(
        lambda: all(node.told > times for node, times in zip(nodes, before, strict=True)), 30, lambda: summary(nodes)
    )


def summary(nodes: Sequence[IllNode]) -> str:
    """What the nodes have."""
    return "; ".join(
        f"{len(node.written)} written, {len(node.delivered)} delivered, told {node.told}, {node.backplane.state}"
        for node in nodes
    )


def say(nodes: Sequence[IllNode], place: int, count: int = EACH) -> None:
    """Have each node append some entries."""
    for number, node in enumerate(nodes):
        for each in range(count):
            node.append(b"%d %d %d" % (place, number, each))


def assert_nothing_is_wrong(nodes: Sequence[IllNode]) -> None:
    """No entry was lost or came twice, and the order is the same everywhere."""
    written = {data for node in nodes for data in node.written}
    for node in nodes:
        assert (len(node.delivered), set(node.delivered)) == (len(written), written), summary(nodes)
        assert node.delivered == nodes[0].delivered
        assert node.failed == []


@ensure
async def test_the_end_of_the_log_is_cut_off(tmp_path: Path) -> None:
    """S17.2: again and again Redis loses what it had confirmed: nodes that had it lose and double nothing, and each of
    them is told each time.
    """
    random = Random(1)
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        async with ill_nodes(*[server.url] * 3) as nodes:
            for place in range(CUTS):
                say(nodes, 2 * place)
                await all_have_all(nodes)
                before = [node.told for node in nodes]
                server.kill()
                newest = max((tmp_path / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
                os.truncate(newest, newest.stat().st_size - random.randrange(1_000, 8_000))
                server.start()
                # They are told though this comes first.
                say(nodes, 2 * place + 1)
                await all_are_told(nodes, before)
                await all_have_all(nodes)
    assert_nothing_is_wrong(nodes)


@pytest.mark.parametrize("quiet", [True, *([False] if LONG else [])])
@ensure
async def test_failovers(tmp_path: Path, quiet: bool) -> None:
    """S17.2: a replica that lags takes over, again and again: nodes that had what it lacks lose and double nothing, and
    each of them is told each time.
    """
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack:
        master, replica = (
            stack.enter_context(redis_server(folder, "--repl-diskless-sync-delay", "0")) for folder in folders
        )
        replication, way = (stack.enter_context(way_to(master.port)) for _ in range(2))
        async with ill_nodes(*[way.url] * 3) as nodes:
            replica.ask("REPLICAOF", "127.0.0.1", str(replication.port))
            for place in range(FAILOVERS):
                await until(lambda server=replica: b"master_link_status:up" in server.ask("INFO", "replication"))
                say(nodes, 3 * place)
                last = {b"%d %d %d" % (3 * place, number, EACH - 1) for number in range(3)}
                await until(lambda last=last: all(last <= set(node.delivered) for node in nodes))
                await until(lambda both=(master, replica): is_level(*both))
                # What comes from now on the replica does not get in time.
                replication.delay_seconds = 60.0
                seen = len(nodes[0].delivered)
                say(nodes, 3 * place + 1)
                await all_have_all(nodes) if quiet else await until(lambda seen=seen: len(nodes[0].delivered) > seen)
                before = [node.told for node in nodes]
                master.kill()
                replica.ask("REPLICAOF", "NO", "ONE")
                way.lead_to(replica.port)
                say(nodes, 3 * place + 2)
                await all_are_told(nodes, before)
                replication.delay_seconds = 0.0
                replication.lead_to(replica.port)
                master.start("--replicaof", f"127.0.0.1 {replication.port}")
                master, replica = replica, master
            await all_have_all(nodes) if quiet else await settled(nodes)
    if quiet:
        assert_nothing_is_wrong(nodes)
        return
    # What the master had published to some nodes alone when it was killed the others lack, and were told.
    written = {data for node in nodes for data in node.written}
    log.info("lost of what was under way: %s", [len(written - set(node.delivered)) for node in nodes])
    assert [len(node.delivered) - len(set(node.delivered)) for node in nodes] == [0, 0, 0]


def is_level(master: RedisServer, replica: RedisServer) -> bool:
    """Whether a replica has all that its master has."""
    sent, got = (
        server.ask("INFO", "replication").split(name)[1].split(b"\r\n")[0]
        for server, name in ((master, b"master_repl_offset:"), (replica, b"slave_repl_offset:"))
    )
    return sent == got


@ensure
async def test_each_write_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.2: a disk that takes 1.5 s for each write: nodes give Redis up and come back, nothing is lost or doubled, and
    nobody is told of a loss.
    """
    hasten(monkeypatch, HASTE)
    disk = SlowDisk(tmp_path)
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with disk.of_what_starts(), redis_server(tmp_path, *options) as server:
        async with ill_nodes(*[server.url] * 3) as nodes:
            disk.takes(1.5 / HASTE)
            end = SLOW_SECONDS
            place = 0
            while end > 0:
                say(nodes, place, 30)
                place += 1
                await pause(0.5)
                end -= 0.5
            disk.is_fast()
            await all_have_all(nodes)
    assert_nothing_is_wrong(nodes)
    assert [node.told for node in nodes] == [0, 0, 0]


@ensure
async def test_a_redis_that_stood_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.2: a Redis that stood still carries out what nodes had sent by connections that they have given up since:
    nothing is twice in the log.
    """
    hasten(monkeypatch, HASTE)
    with redis_server(tmp_path) as server:
        async with ill_nodes(*[server.url] * 3) as nodes:
            for place in range(STALLS):
                say(nodes, 2 * place)
                server.pause()
                say(nodes, 2 * place + 1)
                await until(lambda: not any(node.backplane._client.is_up for node in nodes))
                server.go_on()
                await all_have_all(nodes)
            await assert_nothing_is_twice(nodes)


@ensure
async def test_what_comes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.2: what nodes had sent by connections that they have given up since comes to Redis after what they sent by
    the next ones: nothing is twice in the log.
    """
    hasten(monkeypatch, HASTE)
    with redis_server(tmp_path) as server, way_to(server.port) as way:
        async with ill_nodes(*[way.url] * 3) as nodes:
            for place in range(STALLS):
                say(nodes, 2 * place)
                way.delay_seconds = LATE_SECONDS / HASTE
                say(nodes, 2 * place + 1)
                began = reactor.seconds()
                await until(lambda: not any(node.backplane._client.is_up for node in nodes))
                way.delay_seconds = 0.0
                await all_have_all(nodes)
                await pause(max(0.0, began + LATE_SECONDS / HASTE + 0.1 - reactor.seconds()))
            await assert_nothing_is_twice(nodes)


async def assert_nothing_is_twice(nodes: Sequence[IllNode]) -> None:
    """Not in the log, and nowhere else; and nobody was told of a loss."""
    entries = await nodes[0].backplane.history.read("Room", None, 1_000_000)
    assert len({each.data for each in entries}) == len(entries)
    assert [each.data for each in entries] == nodes[0].delivered
    assert_nothing_is_wrong(nodes)
    assert [node.told for node in nodes] == [0, 0, 0]


@ensure
async def test_any_positions(tmp_path: Path) -> None:
    """S17.2: positions that clients make up change nothing for anybody: no log begins anew, and no node is told."""
    random = Random(1)
    with redis_server(tmp_path) as server:
        async with ill_nodes(*[server.url] * 2) as nodes:
            one, other = nodes
            say(nodes, 0)
            await all_have_all(nodes)
            until_here = one.positions[-1]
            for _ in range(POSITIONS):
                missed = await one.backplane.history.missed("Room", made_up(random, until_here), until_here)
                assert not missed.complete
            say(nodes, 1)
            await all_have_all(nodes)
    assert_nothing_is_wrong(nodes)
    assert [node.told for node in nodes] == [0, 0]
    assert {position.epoch for node in nodes for position in node.positions} == {until_here.epoch}
    sequences = [int(position.offset.partition("-")[0]) for position in other.positions]
    assert sequences == list(range(1, len(sequences) + 1))


def made_up(random: Random, true: Position) -> Position:
    """A position that is none of the log's: every other one could be."""
    if random.random() < 0.5:
        return Position(true.epoch, f"{random.randrange(1, 2 ** random.choice([4, 8, 53]))}-{random.randrange(2**50)}")
    number = random.choice(
        [random.randrange(200), random.randrange(2**53), 2**53 - 10**6, 2**53, 2**64, -1, random.randrange(10**15)]
    )
    salt = random.choice(["", random.randrange(2**50), -1, "x", "9" * 30])
    offset = random.choice([f"{number}-{salt}", f"{number}", f"0{number}-{salt}", "+", "-", "(1-1", "\N{SNOWMAN}", ""])
    epoch = random.choice(
        [true.epoch, true.epoch.upper() + "Q", "abcdef", "", "x" * 300, f"{random.getrandbits(48):012x}"]
    )
    return Position(epoch, offset)
