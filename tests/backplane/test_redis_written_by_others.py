from __future__ import annotations

import json

import pytest
from backplane.node import ADA, BOB, ROOM
from backplane.redis_node import NodeOnRedis, World, clocked_server, world

from pode_signals.backplane.contract import HistoryLimits, Position, PresenceChange
from pode_signals.errors import HistoryUnavailable

__all__ = ["clocked_server", "world"]

NO_MEMBERS = [
    ("eve", '{"i":"\\ud800"}'),
    ("eve", '{"u":"\\ud800"}'),
    ("eve", '{"g":["\\ud800"]}'),
    ("eve", '{"g":["a\\n"]}'),
    ("eve", '{"i":%s}' % ("[" * 900 + "]" * 900)),
    ("eve\n", "{}"),
    ("e" * 129, "{}"),
]
LIMITS = HistoryLimits(messages=3, max_bytes=1_000, seconds=60)


def key(world: World, kind: str) -> bytes:
    return f"{world.application}:{{n:Room}}:{kind}".encode()


def followed(node: NodeOnRedis) -> tuple[list[bytes], list[Position]]:
    """What a node is given of the log of a name, and its breaks."""
    room: list[bytes] = []
    breaks: list[Position] = []
    follow = node.backplane.history.follow
    node.result(follow("Room", LIMITS, lambda signal: room.append(signal.data), breaks.append))
    return room, breaks


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"e", b"a b\ndata: 1"), (b"e", b"\xff"), (b"e", b""), (b"top", b"x"), (b"top", b"1"), (b"floor", b"x"),
        (b"s", b"-1"), (b"s", b"nan"), (b"s", b"1e300"),
    ],
)  # fmt: skip
def test_a_place_that_no_node_has_written(world: World, field: bytes, value: bytes) -> None:
    """S17.2: where the place of a log is no place by now the clients are told, and the log goes on; no client is told
    the text that somebody has written there.
    """
    node, other = world.node(), world.node()
    room, breaks = followed(node)
    node.append(b"1")
    world.server._say(b"HSET", key(world, "meta"), field, value)
    world.advance(26)
    assert len(breaks) == 1
    assert node.backplane.history.position("Room") == breaks[0]
    assert breaks[0].epoch.isalnum()
    other.append(b"2")
    node.append(b"3")
    assert room == [b"1", b"2", b"3"]


@pytest.mark.parametrize("fields", [(b"x", b"y"), (b"t", b"x", b"d", b"y", b"b", b"z")])
def test_an_entry_of_another_form(world: World, fields: tuple[bytes, ...]) -> None:
    """S17.2: an entry of another form than nodes write is a break and no more, and is dropped in its turn."""
    node = world.node()
    room, _ = followed(node)
    node.append(b"1")
    world.server._say(b"XADD", key(world, "log"), b"1-999999999999999", *fields)
    for number in range(2, 8):
        node.append(b"%d" % number)
    world.advance(26)
    assert room == [b"%d" % number for number in range(1, 8)]
    assert node.result(node.backplane.history.size("Room")) == (3, 3)


def test_an_answer_that_says_nothing(world: World) -> None:
    """S17.3: an answer that makes no sense leaves a node where it was, and is counted; the node asks again."""
    node = world.node()
    room, _ = followed(node)
    node.append(b"1")
    log = node.backplane.history._names["Room"]
    before = log.position
    log.reader.look()
    log._answered(log.reader, [1, b"a\nb", b"1-1", b"1-1", []])
    assert (log.position, log.reader.is_asking) == (before, False)
    assert node.backplane.counters["logs_malformed"] == 1
    node.append(b"2")
    assert room == [b"1", b"2"]


def test_an_end_that_says_nothing(world: World) -> None:
    """S17.2: where what a log has taken of a writer can't be read, its messages fail in time, and later ones do not."""
    node = world.node()
    room, _ = followed(node)
    node.append(b"1")
    writer = node.backplane.history._names["Room"].writer
    world.server._say(b"HSET", key(world, "meta"), b"w:" + writer._incarnation.encode(), b"x:y")
    waiting = node.backplane.history.append(ROOM, b"2")
    world.advance(31)
    with pytest.raises(HistoryUnavailable):
        node.result(waiting)
    world.server._say(b"HDEL", key(world, "meta"), b"w:" + writer._incarnation.encode())
    world.advance(2)
    node.append(b"3")
    assert room == [b"1", b"3"]


@pytest.mark.parametrize(("client_id", "value"), NO_MEMBERS)
def test_members_that_clients_can_not_be_told_of(world: World, client_id: str, value: str) -> None:
    """S17.1: a member that no node can have written is none; the other members are shown all the same."""
    node = world.node()
    nodes = f"{world.application}:{{nodes}}"
    changes: list[PresenceChange] = []
    assert node.result(node.backplane.presence.watch("Room", changes.append)) == ()
    node.join(ADA)
    world.server.ask("HSET", f"{nodes}:m:Room", client_id, f"ffff-1 h{value}")
    assert node.result(node.backplane.presence.members("Room")) == (ADA,)
    version = str(node.backplane.presence._rooms["Room"].version + 1)
    world.server.ask("SET", f"{nodes}:v:Room", version)
    world.server.publish(_channel(world), b"p" + json.dumps([version, client_id, f"ffff-1 h{value}"]).encode())
    world.settle()
    node.join(BOB)
    node.advance(0)
    assert [member for each in changes for member in each.joined] == [ADA, BOB]
    assert node.backplane.counters["members_malformed"] >= 2


def _channel(world: World) -> str:
    return f"{world.application}:{{n:Room}}:ch"
