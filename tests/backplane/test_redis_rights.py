"""The rights that docs/scaling.md gives the user of nodes: enough for all that nodes do, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from backplane.node import ADA, BOB, ROOM, Node
from backplane.redis_node import ClockedServer, NodeOnRedis, World, clocked_server, world
from twisted.internet.defer import succeed

import pode_signals.backplane.redis
from pode_signals.backplane.contract import HistoryLimits, Member, Question
from pode_signals.wire.message import Message, Outgoing

__all__ = ["clocked_server", "world"]

PACKAGE = Path(pode_signals.backplane.redis.__file__).parent
SCALING = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
RULE = re.search(r"^user pode on >password (.*?)```", SCALING, re.DOTALL | re.MULTILINE)
# Before a user is known, everybody may say who they are, and choose a database.
ALWAYS = {"auth", "select"}
# Told beside the rule, for a cluster alone; tests/backplane/test_redis_cluster.py has nodes with these rights on one.
IN_A_CLUSTER = {"cluster|slots"}


def granted() -> set[str]:
    """The commands that the page grants."""
    assert RULE is not None
    return {word[1:] for word in RULE[1].split() if word.startswith("+")}


def used() -> set[str]:
    """The commands of the scripts and of the package."""
    scripts = "".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "lua").glob("*.lua"))
    code = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py"))
    found = {each.lower() for each in re.findall(r"redis\.p?call\('([A-Z]+)'", scripts)}
    words = re.findall(r"\b_?(?:call|asked)\(\s*\"([A-Z]+)\"(?:, \"(LOAD|SLOTS)\")?", code)
    return found | {"|".join(filter(None, each)).lower() for each in words}


def test_no_right_too_many() -> None:
    """S17.3: the page grants what nodes use, and nothing else."""
    assert granted() == used() - ALWAYS - IN_A_CLUSTER
    assert used() >= IN_A_CLUSTER


@pytest.fixture
def limited(world: World, clocked_server: ClockedServer) -> Iterator[World]:
    """A Redis on which nodes have these rights alone."""
    assert RULE is not None
    rule = RULE[1].replace("pode:", f"{world.application}:").split()
    assert clocked_server.ask("ACL", "SETUSER", "limited", "reset", "on", ">password", *rule).startswith(b"+OK")
    yield world
    clocked_server.ask("ACL", "DELUSER", "limited")


def test_the_rights_are_enough(limited: World) -> None:
    """S17.3: with these rights nodes do all that they do, and Redis refuses nothing."""
    url = limited.server.url.replace("unix://", "unix://limited:password@")
    one, other = (NodeOnRedis(limited, url=url) for _ in range(2))
    rooms = [node.follow(limits=HistoryLimits(messages=3)) for node in (one, other)]
    for number in range(1_002):
        one.backplane.history.append(ROOM, b"%d" % number)
    limited.settle()
    assert [len(room) for room in rooms] == [1_002, 1_002]
    one.missed(one.now_at(), one.now_at())
    one.result(one.backplane.history.read("Room", None, 2))
    one.result(one.backplane.history.size("Room"))
    _do_the_rest(one, other)
    other.die()
    limited.advance(40)
    one.backplane.history.forget("Room")
    one.stop()
    limited.settle()
    refused = {key: number for key, number in (one.backplane.counters + other.backplane.counters).items() if number}
    assert refused == {}


def _do_the_rest(one: NodeOnRedis, other: Node) -> None:
    one.join(ADA)
    other.join(BOB)
    one.watch()
    one.leave("ada", 1)
    other.join(Member("Hall", "eve"))
    assert one.ids(name="Hall") == ["eve"]
    one.backplane.publish(Outgoing(ROOM, Message(b"1")))
    other.answer = lambda question: succeed(b"yes")
    one.result(one.backplane.ask(Question("count"), 2))
    one.result(one.backplane.once("task", 60))
    one.result(one.backplane.remember("key", b"1", 60))
    assert one.result(one.backplane.recall("key")) == b"1"
    one.backplane._client.reset("a test")
    one.advance(3)
    one.append(b"last")
