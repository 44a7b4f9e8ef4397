"""Nodes of one application that share a Redis, as programs, with clients of the Python library, while things fail."""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_twisted
from redis_load import Listener, Load, pause
from redis_nodes import NodeProgram, node_programs
from redis_server import RedisServer, redis_server
from twisted.internet.threads import deferToThread

LONG = os.environ.get("PODE_SIGNALS_NODES") == "all"
KILLS = 100 if LONG else 3
NODE_KILLS = 50 if LONG else 2
CLIENTS = 300 if LONG else 9
MESSAGES = 100_000 if LONG else 250
# 300 clients that get 300,000 messages each would take a machine of two cores an hour, most of it in the clients.
GROUPS = 99 if LONG else 2
EACH_MS = 4 if LONG else 5
LIVE_MESSAGES, LIVE_MS = (20_000, 15) if LONG else (100, 25)
OFFERS = 100_000 if LONG else 300

ensure = pytest_twisted.ensureDeferred
log = logging.getLogger(__name__)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as running:
        yield running


@pytest.fixture
def nodes(server: RedisServer, tmp_path: Path) -> Iterator[list[NodeProgram]]:
    with node_programs(server, tmp_path) as running:
        yield running
        for node in running:
            assert "Traceback" not in node.text(), node.text()


@ensure
async def test_redis_is_killed(server: RedisServer, nodes: list[NodeProgram]) -> None:
    """S17.2: kill -9 of Redis again and again: on a name with a history each client has every message, once and in one
    order, and is told of no loss; on another name those of the node that sends have every message, and others none
    twice.
    """
    random, load, live = Random(1), Load(nodes, CLIENTS, groups=GROUPS), Load(nodes, 3, "/live")
    try:
        await load.open()
        await live.open()
        load.send(MESSAGES, EACH_MS)
        live.send(LIVE_MESSAGES, LIVE_MS, "Live")
        for number in range(KILLS):
            # All over the run, and not while Redis loads what it has.
            due = load.sent * (number + 1) // (KILLS + 1)
            await load.until(lambda due=due: sum(load.outcomes().values()) >= due, 600)
            await load.until(lambda: server.ask("PING") == b"+PONG\r\n")
            await pause(random.uniform(0, 0.3))
            server.kill()
            await pause(random.uniform(0, 0.3))
            server.start()
        assert await load.all_is_settled(live.sent, seconds=3_600 if LONG else 60) == {
            "written": load.sent + live.sent,
            "refused": 0,
            "unknown": 0,
        }
        await load.all_have(set(range(load.sent)), 300)
        assert (load.faults(), [each.told for each in load.listeners]) == ([], [0] * CLIENTS)
        assert [each.opened for each in load.listeners] == [1] * CLIENTS
        await pause(1)
        log.info(*figures_of(live, nodes))
        for place, each in enumerate(live.listeners):
            own = list(range(place * LIVE_MESSAGES, (place + 1) * LIVE_MESSAGES))
            assert [number for number in each.numbers if number in own] == own
            assert len(each.have) == len(each.numbers)
    finally:
        await load.close()
        await live.close()


def figures_of(live: Load, nodes: list[NodeProgram]) -> tuple[Any, ...]:
    """How many messages without a history other nodes lack, and how many of them were counted."""
    missed = set(range(live.sent)) - set.intersection(*(each.have for each in live.listeners))
    counted = sum(node.ask("/state")["counters"].get("sends_not_passed_on", 0) for node in nodes)
    return "of %d live messages other nodes lack %d, and %d were counted", live.sent, len(missed), counted


@ensure
async def test_a_node_is_killed(nodes: list[NodeProgram]) -> None:
    """S17.2, S17.4: kill -9 of a node in the middle of its messages: its clients go on at another node, with every
    message that is in the history, or are told; within 30 seconds each node knows who is there.
    """
    load = Load(nodes, CLIENTS)
    try:
        await load.open()
        for number in range(NODE_KILLS):
            victim = nodes[number % len(nodes)]
            others = [each for each in nodes if each is not victim]
            load.send(100, 2, nodes=[victim])
            await pause(0.1)
            victim.kill()
            before = load.sent
            load.send(50, 2, nodes=others)
            await load.all_have(set(range(before, load.sent)), 60)
            victim.start()
        assert (load.faults(), [each.told for each in load.listeners]) == ([], [0] * CLIENTS)
        there = sorted(hello_of(each).client_id for each in load.listeners)
        await load.until(lambda: all(node.ask("/members") == there for node in nodes), 30)
    finally:
        await load.close()


@ensure
async def test_made_up_resumes(nodes: list[NodeProgram]) -> None:
    """S17.2: clients that come with positions and tokens that they have made up: no other client notices."""
    load = Load(nodes, 3)
    try:
        await load.open()
        load.send(20)
        await load.all_have(set(range(load.sent)))
        hello = hello_of(load.listeners[1])
        await deferToThread(offer_all, nodes[0].port, hello, Random(1))
        load.send(20)
        await load.all_have(set(range(load.sent)))
        assert (load.faults(), [each.told for each in load.listeners]) == ([], [0] * 3)
        assert [each.opened for each in load.listeners] == [1] * 3
        assert [hello_of(each).position.epoch for each in load.listeners] == [hello.position.epoch] * 3
        assert await load.all_is_settled() == {"written": load.sent, "refused": 0, "unknown": 0}
    finally:
        await load.close()


def hello_of(listener: Listener) -> Any:
    """What its connection began with."""
    assert listener.hello is not None
    return listener.hello


def offer_all(port: int, hello: Any, random: Random) -> None:
    """Connect again and again, each time with another resume text."""
    answers: Counter[bytes] = Counter()
    for _ in range(OFFERS):
        head = (
            f"GET /room HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: pode.signals.v1, pode.resume.{made_up(hello, random)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", port), 10) as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.sendall(head.encode())
            answers[wire.recv(4_096).split(b"\r\n")[0][:12]] += 1
    assert answers == {b"HTTP/1.1 101": OFFERS}


def made_up(hello: Any, random: Random) -> str:
    """A resume text that no server has given: like a true one, or not at all."""
    sequence = random.choice([random.randrange(100), random.randrange(2**53), 2**64])
    epoch = random.choice([hello.position.epoch, "abcdef", "-", "x" * 50])
    offset = random.choice([hello.position.offset, f"{sequence}-{random.randrange(2**50)}", f"{sequence}", "-"])
    token = list(hello.resume_token)
    token[random.randrange(len(token))] = random.choice("AZaz09_-")
    text = random.choice(["", ".", "." + "".join(token), "." + token[0] * random.randrange(300)])
    if text.endswith(hello.resume_token):
        text = ".x"
    if not text and epoch == hello.position.epoch and offset == hello.position.offset:
        text = ".x"
    return f"{epoch}.{offset}{text}"


@ensure
async def test_redis_stalls(server: RedisServer, nodes: list[NodeProgram]) -> None:
    """S17.3: while Redis does nothing, live messages reach the clients of their own node as ever; what was logged comes
    when Redis goes on, once.
    """
    load, live = Load(nodes, 3), Load(nodes, 3, "/live")
    try:
        await load.open()
        await live.open()
        server.pause()
        load.send(50)
        live.send(50, name="Live")
        own = [set(range(place * 50, place * 50 + 50)) for place in range(3)]
        await live.until(lambda: all(mine <= set(each.numbers) for mine, each in zip(own, live.listeners, strict=True)))
        assert [each.numbers for each in load.listeners] == [[], [], []]
        await pause(3)
        server.go_on()
        await load.all_have(set(range(150)))
        assert (load.faults(), [each.told for each in load.listeners]) == ([], [0, 0, 0])
        for node, each in zip(nodes, live.listeners, strict=True):
            assert len(set(each.numbers)) == len(each.numbers)
            assert node.ask("/state")["counters"]["sends_not_passed_on"] > 0
    finally:
        await load.close()
        await live.close()


@ensure
async def test_subscriptions_are_cut(server: RedisServer, nodes: list[NodeProgram]) -> None:
    """S17.2: where Redis ends the connections of subscriptions again and again, nothing of a history is lost."""
    load = Load(nodes, 6)
    try:
        await load.open()
        load.send(200)
        for _ in range(4):
            await pause(0.25)
            server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await load.all_have(set(range(load.sent)))
        assert (load.faults(), [each.told for each in load.listeners]) == ([], [0] * 6)
    finally:
        await load.close()


@ensure
async def test_a_node_stands_still(nodes: list[NodeProgram]) -> None:
    """S17.2: a node that stands still for some seconds has every message afterwards, once and in order."""
    load = Load(nodes, 6)
    try:
        await load.open()
        nodes[1].kill(signal.SIGSTOP)
        load.send(100, nodes=[nodes[0], nodes[2]])
        await pause(3)
        nodes[1].kill(signal.SIGCONT)
        await load.all_have(set(range(200)))
        assert (load.faults(), [each.told for each in load.listeners]) == ([], [0] * 6)
    finally:
        await load.close()


@ensure
async def test_a_rolling_restart(nodes: list[NodeProgram]) -> None:
    """S17.2: each node in turn is stopped and started again, while messages are sent: nothing is lost or doubled."""
    load = Load(nodes, 9)
    try:
        await load.open()
        for node in nodes:
            others = [each for each in nodes if each is not node]
            load.send(50, 10, nodes=others)
            node.kill(signal.SIGTERM)
            node.start()
        await load.all_have(set(range(load.sent)))
        assert (load.faults(), [each.told for each in load.listeners]) == ([], [0] * 9)
    finally:
        await load.close()


@ensure
async def test_the_log_of_redis_loses_its_end(server: RedisServer, nodes: list[NodeProgram], tmp_path: Path) -> None:
    """S17.2: where Redis has lost what it had confirmed, every client of the name is told, and gets what comes then."""
    load = Load(nodes, 6)
    try:
        await load.open()
        load.send(100)
        await load.all_have(set(range(load.sent)))
        server.kill()
        newest = max((tmp_path / "appendonlydir").glob("*.incr.aof"))
        os.truncate(newest, newest.stat().st_size - 8_000)
        server.start("--aof-load-truncated", "yes")
        await load.until(lambda: all(each.told for each in load.listeners))
        load.send(50)
        await load.until(lambda: all(set(range(300, load.sent)) <= set(each.numbers) for each in load.listeners))
        assert load.faults() == []
    finally:
        await load.close()
