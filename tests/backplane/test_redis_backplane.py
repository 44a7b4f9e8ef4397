from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from backplane.backplane_behaviour import BackplaneBehaviour
from backplane.node import ROOM
from backplane.redis_node import KEY, NodeOnRedis, World, clocked_server, world
from twisted.internet.defer import Deferred, succeed

from pode_signals.backplane.contract import Answers, HistoryLimits, Question
from pode_signals.core.envelope import MOST_ENVELOPE_BYTES, Envelope, Envelopes
from pode_signals.core.model import Target
from pode_signals.wire.message import Message, Outgoing

LIMITS = HistoryLimits(messages=3, max_bytes=1_000, seconds=60)
__all__ = ["clocked_server", "world"]


@pytest.fixture
def node(world: World) -> NodeOnRedis:
    """A node that has been started."""
    return world.node()


@pytest.fixture
def full_node(world: World) -> Iterator[NodeOnRedis]:
    """A node on a Redis that has some room left, and not much."""
    node = world.node()
    used = int(world.server.ask("INFO", "memory").split(b"used_memory:")[1].split(b"\r\n")[0])
    world.server.ask("CONFIG", "SET", "maxmemory", str(used + 500_000))
    yield node
    world.server.ask("CONFIG", "SET", "maxmemory", "0")


class TestBackplane(BackplaneBehaviour):
    """What every backplane does."""

    def test_once(self, node: NodeOnRedis, world: World) -> None:
        """S17.1: the first node that asks is the one to do something, and is told so again; others are not."""
        other = world.node()
        assert node.result(node.backplane.once("backup 12:00", 60)) is True
        assert other.result(other.backplane.once("backup 12:00", 60)) is False
        assert node.result(node.backplane.once("backup 12:00", 60)) is True
        assert other.result(other.backplane.once("backup 12:01", 60)) is True


def test_sends(world: World) -> None:
    """S17.1: what one node publishes is delivered once there and once on each other node that has the name."""
    one, other, third = (_with_members(world) for _ in range(3))
    target = Target(("Room",), ("red",), ("ada",), ("bob",))
    message = Message(b'"\xc3\xa9"', "key", is_text=True, groups=("red",), acknowledgement="n.1")
    one.backplane.publish(Outgoing(target, message))
    world.settle()
    assert [each.message for each in one.delivered] == [message]
    for node in (other, third):
        (sent,) = node.delivered
        assert sent.target == target
        found = sent.message
        assert (found.payload, found.key, found.is_text, found.groups, found.acknowledgement, sent.tally) == (
            *(b'"\xc3\xa9"', "key", True, ("red",), "n.1"),
            None,
        )


def test_several_names_and_every_name(world: World) -> None:
    """S17.1: a send to several names, or to every name, is one send on each node."""
    one, other = _with_members(world, "Room", "Hall"), _with_members(world, "Room", "Hall")
    one.backplane.publish(Outgoing(Target(("Room", "Hall")), Message(b"1")))
    one.backplane.publish(Outgoing(Target(None), Message(b"2")))
    world.settle()
    assert [each.target.names for each in other.delivered] == [("Room", "Hall"), None]


def test_redis_is_away(world: World) -> None:
    """S17.2: without Redis a node delivers to its own clients all the same, and counts what others did not get."""
    one, other = _with_members(world), _with_members(world)
    one.backplane._client.reset("a test")
    one.backplane.publish(Outgoing(ROOM, Message(b"1")))
    world.settle()
    assert (len(one.delivered), other.delivered) == (1, [])
    assert one.backplane.counters["sends_not_passed_on"] == 1
    assert one.states[-1].startswith("a test (unix://")


def test_nothing_waits_without_end(world: World) -> None:
    """S17.3: where Redis does not take what is sent, so much waits and no more; the rest is counted."""
    one = world.node(max_waiting_bytes=10_000)
    world.server.pause()
    try:
        for _ in range(100):
            one.backplane.publish(Outgoing(ROOM, Message(bytes(1_000))))
        assert (len(one.delivered), one.backplane._client.pending_bytes < 12_000) == (100, True)
        assert one.backplane.counters["sends_not_passed_on"] >= 88
    finally:
        world.server.go_on()


def test_questions(world: World) -> None:
    """S17.1: a node asks all nodes, or some; those that are gone are missing."""
    one, other = world.node(), world.node()
    other.answer = lambda question: succeed(question.body + b" of the other")
    names = (one.backplane.node, other.backplane.node, "gone")
    answers = one.result(one.backplane.ask(Question("count", b"Room", names[1:]), 2))
    assert answers == Answers({names[1]: b"Room of the other"}, ("gone",), ("gone",))


def test_a_question_that_takes_too_long(world: World) -> None:
    """S17.1: another node that does not answer in time is missing, and its answer is cancelled there."""
    one, other = world.node(), world.node()
    cancelled: list[Any] = []
    other.answer = lambda question: Deferred(cancelled.append)
    got: list[Answers] = []
    one.backplane.ask(Question("count", nodes=(other.backplane.node,)), 2).addCallback(got.append)
    world.advance(3)
    assert (got, len(cancelled)) == ([Answers({}, (other.backplane.node,))], 1)


def _with_members(world: World, *names: str) -> NodeOnRedis:
    """A node that hears of some names."""
    node = world.node()
    for name in names or ("Room",):
        node.hears(name)
    return node


TEXT = b'"mine"'
GOOD: dict[str, Any] = {"kind": "live", "sender": "other", "number": 1, "at_ms": 0, "target": ROOM, "payload": TEXT}
OTHER_KEY = "another key, which is as long as the first"


def _channel(world: World) -> str:
    return f"{world.application}:{{n:Room}}:ch"


def _forged(node: NodeOnRedis, key: str = KEY, application: str | None = None, **fields: Any) -> bytes:
    """An envelope as somebody makes it."""
    given = {**GOOD, "at_ms": node.backplane._node.redis_ms(), **fields}
    return b"e" + Envelopes([key], application or node.world.application).sealed(Envelope(**given))


HOSTILE: dict[str, tuple[str, Callable[[NodeOnRedis], bytes]]] = {
    "nothing": ("", lambda node: b""),
    "another kind of message": ("", lambda node: b"x" + bytes(100)),
    "garbage": ("envelopes_version", lambda node: b"e" + bytes(range(256))),
    "too short": ("envelopes_malformed", lambda node: b"e1"),
    "another version": ("envelopes_version", lambda node: b"e2" + _forged(node)[2:]),
    "another key": ("envelopes_forged", lambda node: _forged(node, OTHER_KEY)),
    "another application": ("envelopes_forged", lambda node: _forged(node, application="other")),
    "one bit": ("envelopes_forged", lambda node: _forged(node)[:-1] + bytes([_forged(node)[-1] ^ 1])),
    "another name": ("envelopes_misplaced", lambda node: _forged(node, target=Target(("Hall",)))),
    "every name": ("envelopes_misplaced", lambda node: _forged(node, target=Target(None))),
    "another kind": ("envelopes_misplaced", lambda node: _forged(node, kind="log")),
    "old": ("envelopes_replayed", lambda node: _forged(node, at_ms=node.backplane._node.redis_ms() - 61_000)),
    "of the future": ("envelopes_replayed", lambda node: _forged(node, at_ms=node.backplane._node.redis_ms() + 61_000)),
    "own": ("", lambda node: _forged(node, sender=node.backplane.node)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_is_delivered(world: World, what: str) -> None:
    """S17.1: nothing of what somebody else publishes is delivered; it is counted, and the node goes on."""
    node = _with_members(world)
    counter, made = HOSTILE[what]
    _publish(world, _channel(world), made(node))
    world.settle()
    assert node.delivered == []
    assert [key for key in node.backplane.counters if node.backplane.counters[key]] == ([counter] if counter else [])
    _publish(world, _channel(world), _forged(node))
    world.settle()
    assert len(node.delivered) == 1


def test_what_was_published_before(world: World) -> None:
    """S17.1: a genuine message that somebody publishes once more is delivered once."""
    node = _with_members(world)
    sealed = _forged(node)
    for _ in range(3):
        _publish(world, _channel(world), sealed)
    world.settle()
    assert (len(node.delivered), node.backplane.counters["envelopes_replayed"]) == (1, 2)


def test_what_was_published_before_much_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.1: however much has come since, a genuine message that somebody publishes once more is delivered once."""
    monkeypatch.setattr("pode_signals.backplane.redis.node._MOST_REMEMBERED", 3)
    node = _with_members(world)
    sealed = [_forged(node, number=number) for number in range(1, 8)]
    for each in (*sealed, *sealed):
        _publish(world, _channel(world), each)
    world.settle()
    assert (len(node.delivered), node.backplane.counters["envelopes_replayed"]) == (7, 7)


def test_many_names(world: World) -> None:
    """S17.1: a send to many names, or to many clients, is one message; what no node would open is counted."""
    one, other = _with_members(world), _with_members(world)
    target = Target((*[f"{number} {chr(233) * 100}" for number in range(5_000)], "Room"))
    one.backplane.publish(Outgoing(target, Message(b"1")))
    assert one.backplane._client.pending_bytes < 3_000_000
    one.backplane.publish(Outgoing(Target(("Room",), client_ids=tuple(map(str, range(300_000)))), Message(b"2")))
    world.settle()
    assert [each.message.payload for each in other.delivered] == [b"1", b"2"]
    one.backplane.publish(Outgoing(ROOM, Message(bytes(MOST_ENVELOPE_BYTES))))
    assert one.backplane.counters == {"sends_not_passed_on": 1}


def test_ten_megabytes(world: World) -> None:
    """S17.1: a large message of nobody is dropped like a small one."""
    node = _with_members(world)
    _publish(world, _channel(world), b"e1" + bytes(10_000_000))
    world.settle()
    assert (node.delivered, node.backplane.counters["envelopes_forged"]) == ([], 1)


@pytest.mark.parametrize("content", [b"l", b"lx y z", b"labcdef 1-1 " + bytes(50), b"labcdef 9-9 ", b"l\xff 1-1 x"])
def test_entries_of_a_log(world: World, content: bytes) -> None:
    """S17.2: an entry that somebody publishes is not delivered; the node asks the log, and is where it was."""
    node = world.node()
    room = node.follow()
    node.append(b"1")
    before = node.now_at()
    _publish(world, _channel(world), content.replace(b"abcdef", before.epoch.encode()))
    world.settle()
    assert (room, node.now_at(), node.backplane.counters["breaks"]) == ([b"1"], before, 0)
    node.append(b"2")
    assert room == [b"1", b"2"]


def test_an_entry_that_is_written_into_the_log(world: World) -> None:
    """S17.2: an entry of the log that can't be opened is a break: the node is told, and goes on behind it."""
    node, other = world.node(), world.node(key=OTHER_KEY)
    breaks: list[Any] = []
    room: list[bytes] = []
    follow = node.backplane.history.follow
    node.result(follow("Room", LIMITS, lambda signal: room.append(signal.data), breaks.append))
    other.follow()
    node.append(b"1")
    other.append(b"theirs")
    node.append(b"2")
    assert (room, len(breaks)) == ([b"1", b"2"], 1)
    assert node.backplane.counters["envelopes_forged"] >= 1


@pytest.mark.parametrize("kind", ["ask", "answer", "live"])
def test_questions_of_nobody(world: World, kind: str) -> None:
    """S17.1: a question or an answer that no node has sent is not taken."""
    node = world.node()
    asked: list[Question] = []
    node.answer = lambda question: asked.append(question) or succeed(b"")
    me = node.backplane.node
    for more in (None, [], [me], [me, 1, "kind", "x"], ["other", 1, "kind", 5], {"a": 1}, [me, True, True]):
        _publish(
            world,
            f"{world.application}:{{nodes}}:node:{me}",
            _forged(node, kind=kind, more=more, target=Target(()))[1:],
        )
    _publish(
        world,
        f"{world.application}:{{nodes}}:node:{me}",
        _forged(node, OTHER_KEY, kind="ask", more=[me, 1, "k", 5])[1:],
    )
    world.settle()
    assert asked == []
    assert sum(node.backplane.counters.values()) == 8


def _publish(world: World, channel: str, content: bytes) -> None:
    world.server.publish(channel, content)


def test_a_question_that_is_published_again(world: World) -> None:
    """S17.1: a genuine question that somebody publishes once more is asked once, as with a close that it brings."""
    node = world.node()
    asked: list[Question] = []
    node.answer = lambda question: asked.append(question) or succeed(b"")
    me = node.backplane.node
    sealed = _forged(node, kind="ask", more=[me, 1, "close", 5_000], target=Target(()))[1:]
    for _ in range(3):
        _publish(world, f"{world.application}:{{nodes}}:node:{me}", sealed)
    world.settle()
    assert (len(asked), node.backplane.counters["envelopes_replayed"]) == (1, 2)


def test_a_question_while_redis_stalls(world: World) -> None:
    """S17.3: whoever asks waits for the timeout, and for nothing that Redis would have to say: then nobody is gone."""
    one, other = world.node(), world.node()
    world.server.pause()
    try:
        got: list[Answers] = []
        one.backplane.ask(Question("count", nodes=(other.backplane.node, "nobody")), 1.5).addCallback(got.append)
        one.reactor.advance(1.6)
        assert got == [Answers({}, tuple(sorted((other.backplane.node, "nobody"))))]
    finally:
        world.server.go_on()


def test_the_clock_of_redis_is_known_first(world: World) -> None:
    """S17.1: what a node sends as soon as it is connected has the time of Redis, so that others take it."""
    other = _with_members(world)
    one = world.node()
    sent: list[Outgoing] = []

    def send() -> None:
        sent.append(Outgoing(ROOM, Message(b"first")))
        one.backplane.publish(sent[-1])

    one.backplane._node._ahead_ms = None
    one.backplane._client.connected.insert(0, send)
    one.backplane._client.reset("a test")
    world.advance(2)
    assert (len(sent), len(other.delivered)) == (1, 1)


def test_the_clock_of_redis_is_set(world: World) -> None:
    """S17.1: when the clock of Redis is set, nodes that were connected before and after it understand each other."""
    one = _with_members(world)
    world.server.show(world.server.now + 3_600)
    world.settle()
    other = _with_members(world)
    world.advance(6)
    one.backplane.publish(Outgoing(ROOM, Message(b"1")))
    other.backplane.publish(Outgoing(ROOM, Message(b"2")))
    world.settle()
    assert [len(node.delivered) for node in (one, other)] == [2, 2]


def test_a_backplane_of_two(node: NodeOnRedis) -> None:
    """S17.3: a backplane that has been started is refused to a second hub, and serves the first one as before."""
    with pytest.raises(RuntimeError, match="a backplane of its own"):
        node.backplane.start(print, print, lambda question: succeed(None), print)
    node.backplane.publish(Outgoing(ROOM, Message(b"1")))
    assert len(node.delivered) == 1


def test_stopped_and_started(node: NodeOnRedis) -> None:
    """S12.2: a backplane may be stopped twice; who starts it again is told its state again."""
    for _ in range(2):
        node.result(node.backplane.stop())
    states: list[str] = []
    node.result(node.backplane.start(print, states.append, lambda question: succeed(None), print))
    assert states == ["up"]
