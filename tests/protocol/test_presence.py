"""Who is connected: what watchers are told, and when. The clients are those of the kit."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from fakes import result_of
from presence_rooms import Rooms, frames_of, seen, shared

from pode_signals.signals import hub_of
from pode_signals.testing import TestClient


def test_not_shared() -> None:
    """P76: where presence is not shared, a client that wants to watch is told that it is not available."""
    client = Rooms().connect()
    client.watch()
    error = client.frames()[-1]["frame"]
    assert (error["type"], error["code"]) == ("error", "not_available")
    assert client.hello is not None
    assert client.hello.presence is None


def test_a_program_asks() -> None:
    """S17: a program is told who is connected to a name or a group, whether that is shared or not; nobody is ()."""
    for rooms in (Rooms(), shared(), shared("group")):
        rooms.connect("id=ada&group=kitchen&user=Ada&info=red")
        rooms.connect("id=bob", protocol="plain")
        (ada,) = result_of(rooms.signals.presence("rooms", "kitchen"))
        assert (ada.client_id, ada.groups, ada.user, ada.info) == ("ada", ("kitchen",), "Ada", {"text": "red"})
        assert rooms.members() == {"ada", "bob"}
        assert result_of(rooms.signals.presence("nowhere")) == ()
        assert result_of(rooms.signals.presence("rooms", "hall")) == ()
        rooms.tester.end()


def test_what_is_shown() -> None:
    """S17: a member has an id, and what convert said of its user, groups and info; a plain client is one too."""
    rooms = shared()
    rooms.connect("id=ada&group=kitchen&user=Ada&info=red")
    rooms.connect("id=bob", protocol="plain")
    rooms.connect("id=eve", protocol="plain", transport="sse")
    watcher = rooms.watcher()
    (frame,) = frames_of(watcher)
    assert frame["members"] == [
        {"id": "ada", "user": "Ada", "groups": ["kitchen"], "info": {"text": "red"}},
        {"id": "bob"},
        {"id": "eve"},
        {"id": "w"},
    ]


def test_signatures_are_not_shown() -> None:
    """S15: other clients see client ids without their signatures."""
    rooms = shared()
    rooms.signals.enable_signing("a secret of more than 32 characters")
    rooms.connect("id=ada")
    assert seen(rooms.watcher()) == {"ada", "w"}


def test_local_connections_are_nobody() -> None:
    """S3: a connection of local scope is no member."""
    rooms = shared()
    watcher = rooms.watcher()
    rooms.connect("id=ada&scope=local")
    assert seen(watcher) == {"w"}


def test_changes_of_a_member() -> None:
    """P82: new groups and a new info are told as a member that has joined, in place of the one before."""
    rooms = shared()
    ada = rooms.connect("id=ada")
    watcher = rooms.watcher()
    rooms.advance(2)
    ada.send({"join": "kitchen"})
    assert frames_of(watcher)[-1]["joined"] == [{"id": "ada", "groups": ["kitchen"]}]
    rooms.advance(2)
    connection = rooms.signals.connection("rooms", "ada")
    assert connection is not None
    connection.info = {"text": "blue"}
    assert frames_of(watcher)[-1]["joined"] == [{"id": "ada", "groups": ["kitchen"], "info": {"text": "blue"}}]
    rooms.advance(2)
    connection.info = {"text": "blue"}
    assert len(frames_of(watcher)) == 3


def test_large_info() -> None:
    """P84: ``info`` over 1,024 bytes is a ValueError."""
    rooms = shared()
    rooms.connect("id=ada")
    connection = rooms.signals.connection("rooms", "ada")
    assert connection is not None
    with pytest.raises(ValueError, match="1024"):
        connection.info = "x" * 1_023
    assert connection.info is None


def test_back_within_the_grace() -> None:
    """P77: nobody is told of a client that is back within the grace; after it one leave is told."""
    rooms = shared()
    ada, watcher = rooms.connect(), rooms.watcher()
    rooms.advance(2)
    assert ada.hello is not None
    before = len(frames_of(watcher))
    ada.cut()
    rooms.advance(14.9)
    ada = ada.reconnect()
    rooms.advance(60)
    assert len(frames_of(watcher)) == before
    ada.cut()
    rooms.advance(15)
    assert frames_of(watcher)[before:] == [{"type": "presence", "seq": 1, "left": [ada.client_id]}]


@pytest.mark.parametrize("code", [1000, 4000, 3500])
def test_who_means_to_leave(code: int) -> None:
    """P78: a client that leaves with 1000, or is closed with a code that means "stay away", is gone at once."""
    rooms = shared()
    ada, watcher = rooms.connect("id=ada"), rooms.watcher()
    rooms.advance(2)
    if code == 1000:
        ada.close()
    else:
        rooms.signals.close("rooms", client_id="ada", code=code)
        rooms.advance(0)
    assert frames_of(watcher)[-1]["left"] == ["ada"]


def test_who_is_replaced() -> None:
    """P78: a client whose connection is replaced by a newer one was never away, whenever the older one ends."""
    rooms = shared()
    old, watcher = rooms.connect("id=ada"), rooms.watcher()
    rooms.advance(2)
    before = len(frames_of(watcher))
    rooms.connect("id=ada")
    rooms.advance(60)
    assert old.closed is not None
    assert len(frames_of(watcher)) == before
    assert rooms.members() == {"ada", "w"}


def test_a_crowd() -> None:
    """P80: 1,000 clients join within a second: each watcher gets at most 3 frames up to a second after the last."""
    rooms = shared(max_members=2_000)
    watchers = [rooms.watcher(f"id=w{number}") for number in range(3)]
    rooms.advance(5)
    before = [len(frames_of(each)) for each in watchers]
    for number in range(1_000):
        rooms.connect(f"id={number}", protocol="plain")
        rooms.advance(0.001)
    rooms.advance(1)
    assert all(1 <= len(frames_of(each)) - before[at] <= 3 for at, each in enumerate(watchers))
    rooms.advance(1)
    assert [len(seen(each)) for each in watchers] == [1_003] * 3


def test_too_many_to_be_listed() -> None:
    """P81: over the most members watchers are told the number alone; under 80 % of it all members once more."""
    rooms = shared(max_members=10)
    watcher = rooms.watcher()
    others = [rooms.connect(f"id={number}", protocol="plain") for number in range(10)]
    rooms.advance(2)
    assert frames_of(watcher)[-1]["count"] == 11
    newer = rooms.watcher("id=v", headers={})
    rooms.advance(2)
    assert frames_of(newer)[-1]["count"] == 12
    for left in range(11, 7, -1):
        others.pop().close()
        rooms.advance(2)
        assert frames_of(watcher)[-1]["count"] == left
    others.pop().close()
    rooms.advance(2)
    assert frames_of(watcher)[-1].keys() == {"type", "seq", "members"}
    assert seen(watcher) == seen(newer) == rooms.members()


def test_groups_apart() -> None:
    """P82: per group no member of another group is shown, and a client that joins or leaves watches accordingly."""
    rooms = shared("group")
    rooms.connect("id=ada&group=kitchen")
    rooms.connect("id=bob&group=hall")
    watcher = rooms.watcher("id=w&group=kitchen")
    assert frames_of(watcher)[-1]["group"] == "kitchen"
    assert seen(watcher) == {"ada", "w"}
    rooms.advance(2)
    watcher.send({"join": "hall"})
    rooms.advance(1)
    assert frames_of(watcher)[-1]["group"] == "hall"
    assert seen(watcher) == {"bob", "w"}
    rooms.advance(2)
    watcher.send({"leave": "kitchen"})
    rooms.advance(2)
    before = len(frames_of(watcher))
    rooms.connect("id=carl&group=kitchen")
    rooms.advance(2)
    assert len(frames_of(watcher)) == before
    assert "groups" not in str(frames_of(watcher))


def test_no_group_for_a_while() -> None:
    """P82: a client that watches and is in no group for a while, or at first, watches the group that it joins."""
    rooms = shared("group")
    watcher = rooms.watcher()
    assert frames_of(watcher) == []
    watcher.send({"join": "kitchen"})
    rooms.advance(1)
    assert seen(watcher) == {"w"}
    watcher.send({"leave": "kitchen"})
    watcher.send({"join": "hall"})
    rooms.advance(1)
    assert frames_of(watcher)[-1]["group"] == "hall"
    assert seen(watcher) == {"w"}


def test_no_more() -> None:
    """S17: a client that watches no more is told nothing, and nothing is left of a name that nobody watches."""
    rooms = shared()
    watcher = rooms.watcher()
    watcher.watch(watch=False)
    before = len(frames_of(watcher))
    rooms.connect("id=ada")
    rooms.advance(2)
    assert len(frames_of(watcher)) == before
    assert not rooms.tester.clock.getDelayedCalls() or all(
        "Topic" not in repr(each.func) for each in rooms.tester.clock.getDelayedCalls()
    )


def test_asking_again_and_again() -> None:
    """S16: a client gets all members once in 5 seconds, however it asks for them, in a group or in the whole name."""
    rooms = shared(messages_per_second=1_000, message_burst=1_000)
    watcher = rooms.watcher()
    for _ in range(60):
        watcher.watch(watch=False)
        watcher.watch()
        rooms.advance(0.1)
    assert len(frames_of(watcher)) == 2
    assert seen(watcher) == {"w"}


def test_numbers_grow() -> None:
    """P83: the numbers of a topic never go back, not when nobody has watched it for a while."""
    rooms = shared()
    watcher = rooms.watcher()
    for number in range(3):
        rooms.advance(2)
        rooms.connect(f"id={number}")
    rooms.advance(2)
    watcher.watch(watch=False)
    frames_of(watcher)
    rooms.advance(6)
    watcher.watch()
    assert frames_of(watcher)[-1]["seq"] >= 3
    assert seen(watcher) == {"0", "1", "2", "w"}


def test_who_can_not_ask() -> None:
    """P76: the hello of a plain stream does not say that its client may watch, since it can't ask."""
    client = shared().connect("id=ada", protocol="plain", transport="sse")
    (hello,) = [each["frame"] for each in client.frames() if each.get("event") == "hello"]
    assert "presence" not in hello


def test_many_groups() -> None:
    """S16: what is kept of a client that goes through thousands of groups is bounded."""
    rooms = shared("group", messages_per_second=10_000, message_burst=10_000)
    watcher = rooms.watcher()
    for number in range(1_000):
        watcher.send({"join": f"group {number}"})
        watcher.send({"leave": f"group {number}"})
        rooms.advance(0.1)
    (link,) = hub_of(rooms.signals).links()
    assert link.dialogue is not None
    assert len(link.dialogue.listed) <= 200


def test_shared_later() -> None:
    """S17: clients that are there already are told by a hello that they may watch, and are members."""
    rooms = Rooms()
    ada = rooms.connect("id=ada")
    rooms.signals.share_presence("rooms")
    assert ada.hello is not None
    assert (ada.hello.presence, ada.hello.recovered) == ("name", True)
    ada.watch()
    assert seen(ada) == {"ada"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"per": "user"}, "per has to be 'name' or 'group', not 'user'"),
        ({"max_members": 0}, "max_members has to be a whole number of 1 or more, not 0"),
        ({"max_members": True}, "max_members has to be"),
    ],
)
def test_mistakes(arguments: dict[str, Any], sentence: str) -> None:
    """S19: what can't be meant is a ValueError with a sentence."""
    with pytest.raises(ValueError, match=sentence):
        Rooms().signals.share_presence("rooms", **arguments)


@pytest.mark.parametrize("per", ["name", "group"])
@pytest.mark.parametrize("seed", range(4))
def test_any_course(per: str, seed: int) -> None:
    """P79: after any joins, leaves, cuts and reconnects each view is what ``signals.presence`` says, a batch later."""
    random = Random(f"{per} {seed}")
    rooms = shared(per, max_members=12, message_burst=1_000)
    groups = ["kitchen", "hall"]
    watchers = [rooms.watcher(f"id=w{at}&group={groups[at]}", transport=("websocket", "sse")[at]) for at in (0, 1)]
    others: list[TestClient] = []
    for step in range(250):
        match random.choice(["join", "join", "cut", "close", "back", "group", "wait", "wait"]):
            case "join":
                kind = random.choice(["plain", "signals"])
                others.append(rooms.connect(f"id={step}&group={random.choice(groups)}", protocol=kind))
            case "cut" if others:
                random.choice(others).cut()
            case "close" if others:
                others.pop(random.randrange(len(others))).close()
            case "back":
                others = [each.reconnect() if each.closed else each for each in others]
            case "group" if signals := [each for each in others if each.protocol == "signals" and not each.closed]:
                random.choice(signals).send({random.choice(["join", "leave"]): random.choice(groups)})
            case _:
                rooms.advance(random.choice([0.1, 0.7, 3, 17]))
        # The list of cut clients does not grow without end.
        others = others[-15:]
    rooms.advance(17)
    for at, watcher in enumerate(watchers):
        expected = rooms.members(None if per == "name" else groups[at])
        assert watcher.presence is not None
        if watcher.presence.members is None:
            assert watcher.presence.count == len(expected)
        else:
            assert set(watcher.presence.members) == expected
    rooms.tester.end()
    assert hub_of(rooms.signals).presence._holders == {}
