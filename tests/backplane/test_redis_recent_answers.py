from __future__ import annotations

from typing import Any

import pytest
from backplane.node import ROOM
from backplane.redis_node import NodeOnRedis, World, clocked_server, world

from pode_signals.backplane.redis.recent_answers import Asked, RecentAnswers
from pode_signals.backplane.redis.scripts import RESUME
from pode_signals.core.history import LoggedSignal, Missed, Position

__all__ = ["clocked_server", "world"]

PLACES = [Position("epoch1", f"{number}-7") for number in range(100)]


def asked(number: int) -> Asked:
    return PLACES[number], PLACES[-1], None


def answer(size_bytes: int = 1, *, complete: bool = True) -> Missed:
    return Missed(complete=complete, signals=(LoggedSignal(PLACES[0], ROOM, b"x" * size_bytes),))


def test_for_a_second() -> None:
    """S17.2: an answer of a log counts for a second, for the same question alone."""
    recent, found = RecentAnswers(), answer()
    recent.keep("Room", asked(1), found, 10.0)
    recent.keep("Room", asked(2), answer(), 10.9)
    assert recent.get("Room", asked(1), 10.9) is found
    others = [("Room", asked(3)), ("Hall", asked(1)), ("Room", (PLACES[1], PLACES[-1], 5))]
    assert [recent.get(*each, 10.9) for each in others] == [None] * 3
    assert [recent.get("Room", asked(number), 11.0) for number in (1, 2)] == [None] * 2


def test_lost_ones() -> None:
    """S17.2: that a log could not give all is not kept."""
    recent = RecentAnswers()
    recent.keep("Room", asked(1), answer(complete=False), 10.0)
    assert recent.get("Room", asked(1), 10.0) is None


def test_the_bound() -> None:
    """S17.2: the answers that are kept are bounded by their memory; those of the oldest name go first."""
    recent = RecentAnswers(max_bytes=20_000)
    for number in range(50):
        # The same once more takes no more room.
        for _ in range(2):
            recent.keep(f"Room {number}", asked(1), answer(3_000), 10.0)
    assert [number for number in range(50) if recent.get(f"Room {number}", asked(1), 10.0)] == [46, 47, 48, 49]
    recent.keep("Room 50", asked(1), answer(30_000), 10.0)
    assert [number for number in range(51) if recent.get(f"Room {number}", asked(1), 10.0)] == []


def test_nothing_is_left() -> None:
    """S17.2: old answers go by themselves, and those of a name whose log has gone on."""
    recent = RecentAnswers(max_bytes=5_000)
    recent.keep("Room", asked(1), answer(), 10.0)
    recent.keep("Hall", asked(1), answer(), 10.5)
    recent.keep("Yard", asked(1), answer(), 10.6)
    recent.drop_old(11.2)
    recent.forget("Hall")
    assert [recent.get(name, asked(1), 10.6) is None for name in ("Room", "Hall", "Yard")] == [True, True, False]
    # Otherwise the bound would be smaller with each answer that went.
    for number in range(3):
        recent.keep("Room", asked(number), answer(), 12.0)
    assert all(recent.get("Room", asked(number), 12.0) for number in range(3))


def test_a_storm_asks_redis_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """S17.2: clients that come back one after the other from one place have Redis asked once a second."""
    node = world.node()
    node.follow()
    places = [node.append(b"%d" % number) for number in range(5)]
    runs: list[Any] = []
    run = node.backplane._node.client.run

    def counted(script: Any, *arguments: Any) -> Any:
        runs.extend([script] * (script is RESUME))
        return run(script, *arguments)

    monkeypatch.setattr(node.backplane._node.client, "run", counted)
    assert [node.missed(places[1], places[4]) for _ in range(20)] == [[b"2", b"3", b"4"]] * 20
    assert len(runs) == 1
    world.advance(1)
    assert node.missed(places[1], places[4]) == [b"2", b"3", b"4"]
    assert node.missed(places[2], places[4]) == [b"3", b"4"]
    assert len(runs) == 3
    # The log keeps three entries, and has gone on.
    node.append(b"5")
    assert node.missed(places[1], places[4]) is None
    assert len(runs) == 4


def test_a_name_that_nobody_follows(world: World) -> None:
    """S17.2: a node that does not follow a name, and so does not hear of its entries, asks Redis each time."""
    node: NodeOnRedis = world.node()
    node.follow()
    places = [node.append(b"%d" % number) for number in range(3)]
    assert node.missed(places[0], places[2]) == [b"1", b"2"]
    node.backplane.history.unfollow("Room")
    assert node.missed(places[0], places[2]) == [b"1", b"2"]
    # The log keeps three entries.
    node.append(b"3")
    node.append(b"4")
    assert node.missed(places[0], places[2]) is None


def test_a_log_that_was_dropped(world: World) -> None:
    """S17.2: what was answered before a name's log was dropped is not answered afterwards."""
    node: NodeOnRedis = world.node()
    node.follow()
    places = [node.append(b"1"), node.append(b"2")]
    assert node.missed(*places) == [b"2"]
    node.backplane.history.forget("Room")
    assert node.missed(*places) is None
