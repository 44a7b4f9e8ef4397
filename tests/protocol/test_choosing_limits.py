"""How large a history has to be, by the rule that docs/resume.md gives."""

from __future__ import annotations

import pytest
from dialogues import room, signals_world, talk
from web_fakes import World

RATE, AWAY_SECONDS = 20, 30


def passes(world: World, messages: int) -> None:
    """So many messages are sent to a group that not all clients are in, at the rate."""
    for number in range(1, messages + 1):
        world.signals.send(number, name="Room", group="busy")
        if number % RATE == 0:
            world.turn(1)


@pytest.mark.parametrize("before", [0, 19, 599, 600, 1_150])
@pytest.mark.parametrize("group", ["busy", "quiet"])
def test_twice_the_rate(group: str, before: int) -> None:
    """P39, P66: a history of twice the rate times the absence is enough, whenever a client is cut off, and whether or
    not it is in the group of the messages; the beats beside pings are not needed.
    """
    world = room(signals_world(ping_interval_seconds=1_000), group=group)
    world.signals.keep_history("Room", messages=2 * RATE * AWAY_SECONDS)
    talker = talk(world)
    passes(world, before)
    talker.cut()
    passes(world, RATE * AWAY_SECONDS)
    assert talker.again().hello()["recovered"] is True


@pytest.mark.parametrize(("group", "recovered"), [("busy", True), ("quiet", False)])
def test_once_the_rate(group: str, recovered: bool) -> None:
    """P66: a history of the rate times the absence, and a second more, is enough where all messages are for all."""
    world = room(signals_world(ping_interval_seconds=1_000), group=group)
    world.signals.keep_history("Room", messages=RATE * (AWAY_SECONDS + 1))
    talker = talk(world)
    passes(world, 300)
    talker.cut()
    passes(world, RATE * AWAY_SECONDS)
    assert talker.again().hello()["recovered"] is recovered
