from __future__ import annotations

from typing import Any

import pytest
from backplane.history_behaviour import HistoryBehaviour
from backplane.machines import HistoryMachine, machine_of
from backplane.node import FEW, ROOM
from backplane.redis_node import Machines, NodeOnRedis, World, clocked_server, machines, world
from hypothesis import settings
from twisted.internet.defer import Deferred, fail

from pode_signals.backplane.contract import HistoryLimits
from pode_signals.backplane.redis.connection import RedisRefused
from pode_signals.backplane.redis.scripts import OPEN, Script
from pode_signals.core.model import Target
from pode_signals.errors import HistoryUnavailable

__all__ = ["clocked_server", "machines", "world"]


@pytest.fixture
def node(world: World) -> NodeOnRedis:
    """A node that has been started."""
    return world.node()


class TestHistory(HistoryBehaviour):
    """What every log does."""

    def test_what_is_held(self, node: NodeOnRedis) -> None:
        """S17.2: the entries of logs are in Redis; a node holds those alone that Redis has not taken yet."""
        node.follow()
        node.append(b"1")
        assert node.backplane.history.held == (0, 0)
        waiting = node.backplane.history.append(ROOM, b"22")
        entries, size_bytes = node.backplane.history.held
        assert (entries, size_bytes > 2) == (1, True)
        node.result(waiting)
        assert node.backplane.history.held == (0, 0)

    def test_a_name_of_another_node(self, world: World) -> None:
        """S17.2: a node appends to the log of a name that only other nodes follow, with their limits."""
        one, other = world.node(), world.node()
        room = one.follow()
        for number in range(5):
            other.append(b"%d" % number)
        assert (room, one.result(one.backplane.history.size("Room"))) == ([b"0", b"1", b"2", b"3", b"4"], (3, 3))
        (meta,) = (f"{world.application}:{{n:Room}}:meta",)
        # One writer for all of them: the log keeps each for an hour.
        assert world.server.ask("HKEYS", meta).count(b"\nw:") == 1


def test_names_that_come_and_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.2: a node keeps few of the names that it neither follows nor appends to; they go on as before."""
    monkeypatch.setattr("pode_signals.backplane.redis.history._MOST_RESTING", 3)
    node, other = world.node(), world.node()
    history = node.backplane.history
    for number in range(9):
        node.follow(f"Room {number}")
        history.unfollow(f"Room {number}")
        node.append(b"1", Target((f"Room {number}",)))
        other.backplane.history.follow(f"Room {number}", FEW, lambda _: None, lambda _: None)
    assert list(history._names) == list(history._resting) == ["Room 6", "Room 7", "Room 8"]
    rooms = [node.follow(f"Room {number}") for number in range(9)]
    for number in range(9):
        node.append(b"2", Target((f"Room {number}",)))
    assert rooms == [[b"2"]] * 9
    for number in range(9):
        history.unfollow(f"Room {number}")
    assert len(history._names) == 3


class TestMachine(machine_of(HistoryMachine, Machines.make)):  # type: ignore[misc]
    """Any steps on a log, against a model that knows what has to come of them."""

    # Each step is several calls of Redis.
    settings = settings(machine_of(HistoryMachine, Machines.make).settings, max_examples=30)


def test_a_full_redis(world: World) -> None:
    """S17.2: a Redis without memory refuses an entry as a whole; the node says so, and what comes later is appended."""
    one, other = world.node(), world.node()
    rooms = [node.follow(limits=HistoryLimits(1_000, 1 << 30)) for node in (one, other)]
    one.append(b"1")
    used = int(world.server.ask("INFO", "memory").split(b"used_memory:")[1].split(b"\r\n")[0])
    world.server.ask("CONFIG", "SET", "maxmemory", str(used // 2))
    try:
        waiting = [one.backplane.history.append(ROOM, data) for data in (b"2", b"3")]
        for each in waiting:
            with pytest.raises(HistoryUnavailable) as raised:
                one.result(each)
            assert raised.value.outcome == "refused"
    finally:
        world.server.ask("CONFIG", "SET", "maxmemory", "0")
    one.append(b"4")
    other.append(b"5")
    assert rooms == [[b"1", b"4", b"5"]] * 2
    assert (one.backplane.counters["appends_refused"], one.backplane.counters["breaks"]) == (2, 0)


def test_too_much_waits(world: World) -> None:
    """S17.3: while Redis is away so many entries wait, and so many bytes, and no more; they are in order afterwards."""
    one = world.node(max_waiting=3, max_waiting_bytes=2_000)
    room = one.follow(limits=HistoryLimits(1_000, 1 << 30))
    one.backplane._client.reset("a test")
    waiting = [one.backplane.history.append(ROOM, b"%d" % number) for number in range(5)]
    large = one.backplane.history.append(ROOM, bytes(3_000))
    for each in (*waiting[3:], large):
        with pytest.raises(HistoryUnavailable) as raised:
            one.result(each)
        assert raised.value.outcome == "refused"
    # A name of other nodes whose entry was refused is not kept: there may be any number of these.
    for number in range(5):
        elsewhere = one.backplane.history.append(Target((f"Hall {number}",)), b"6")
        with pytest.raises(HistoryUnavailable):
            one.result(elsewhere)
    assert [*one.backplane.history._names] == ["Room"]
    world.advance(3)
    assert room == [b"0", b"1", b"2"]
    assert [one.result(each).offset.partition("-")[0] for each in waiting[:3]] == ["1", "2", "3"]


def test_what_waits_too_long(world: World) -> None:
    """S17.3: an entry that Redis does not take in time fails: what was never sent is refused, the rest is unknown."""
    one = world.node(waiting_seconds=10)
    one.follow()
    world.server.pause()
    try:
        outcomes = []
        for _ in range(2):
            appended = one.backplane.history.append(ROOM, b"1")
            appended.addErrback(lambda failure: outcomes.append(failure.value.outcome))
            one.backplane._client.reset("a test")
        one.reactor.advance(11)
        assert outcomes == ["unknown", "refused"]
    finally:
        world.server.go_on()


def test_a_redis_that_does_not_say_where_the_log_is(world: World) -> None:
    """S17.2: where Redis refuses to say where a log is, it is asked again each second, and nothing is lost."""
    one = world.node()
    room = one.follow()
    world.server.ask("ACL", "SETUSER", "default", "-hmget")
    waiting = [one.backplane.history.append(ROOM, data) for data in (b"1", b"2")]
    world.settle()
    world.server.ask("ACL", "SETUSER", "default", "+hmget")
    world.advance(3)
    one.append(b"3")
    assert room == [b"3"]
    for each in waiting:
        with pytest.raises(HistoryUnavailable):
            one.result(each)


def test_a_redis_that_does_not_let_a_writer_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.2: where Redis refuses to close what a node has sent before, it is asked again each second, by the same
    connection.
    """
    one = world.node()
    room = one.follow()
    one.append(b"1")
    client = one.backplane._client
    run = client.run

    def refusing(script: Script, *rest: Any) -> Deferred[Any]:
        return fail(RedisRefused("NOPERM a test")) if script is OPEN else run(script, *rest)

    monkeypatch.setattr(client, "run", refusing)
    world.server.pause()
    waiting = one.backplane.history.append(ROOM, b"2")
    client.reset("a test")
    world.server.go_on()
    world.advance(5)
    states = len(one.states)
    world.advance(5)
    assert (room, len(one.states)) == ([b"1"], states)
    monkeypatch.undo()
    world.advance(2)
    assert room == [b"1", b"2"]
    one.result(waiting)
