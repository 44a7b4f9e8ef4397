"""Beats that tell of the place in the log, for clients that see only a part of it."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from dialogues import pass_seconds, room, signals_world, talk
from web_fakes import World

from pode_signals.signals import hub_of


def logged(**limits: float) -> World:
    """A world whose ``/room`` keeps a history, without pings."""
    world = room(signals_world(ping_interval_seconds=10_000))
    world.signals.keep_history("Room", **limits)  # type: ignore[arg-type]
    return world


def test_never_ahead_and_never_behind() -> None:
    """P65: the offset of a beat is never ahead of an unsent frame of the client, nor behind one that was sent."""
    random = Random(7)
    world = room(signals_world(ping_interval_seconds=2, pong_timeout_seconds=100))
    world.signals.keep_history("Room", messages=20)
    talkers = [talk(world) for _ in range(4)]
    mine = [each.connection.client_id for each in talkers]
    sent: list[tuple[int, str | None]] = []
    for number in range(400):
        whom = random.choice([None, *mine])
        delivery = world.signals.send(number, name="Room", client_id=whom)
        assert delivery.position is not None
        sent.append((int(delivery.position.split(".")[1].split("-")[0]), whom))
        if random.random() < 0.2:
            random.choice(talkers).says(type="beat")
        if random.random() < 0.3:
            pass_seconds(world, 1, *talkers)
    pass_seconds(world, 3, *talkers)
    for talker, client_id in zip(talkers, mine, strict=True):
        reached = 0
        wanted = [offset for offset, whom in sent if whom in (None, client_id)]
        for each in talker.all[1:]:
            if "offset" not in each:
                continue
            offset = int(each["offset"].split("-")[0])
            assert offset >= reached
            if each["type"] == "signal":
                assert wanted.pop(0) == offset
            else:
                assert not wanted or wanted[0] > offset
            reached = offset
        assert wanted == []
        assert any(each["type"] == "beat" for each in talker.all)


@pytest.mark.parametrize(
    ("limits", "size", "count"),
    [({"messages": 10}, 1, 5), ({"messages": 11}, 1, 6), ({"max_bytes": 100}, 25, 2), ({"messages": 1}, 1, 1)],
)
def test_progress(limits: dict[str, int], size: int, count: int) -> None:
    """P66: a beat comes at the end of the turn in which half of the limits was logged for a part of the name."""
    world = logged(**limits)
    quiet, busy = talk(world), talk(world)
    for number in range(count):
        assert quiet.frames() == []
        world.signals.send("x" * size, name="Room", client_id=busy.connection.client_id)
        if number < count - 1:
            world.turn()
    assert quiet.frames() == []
    world.turn()
    (beat,) = quiet.frames()
    assert (beat["type"], beat["offset"]) == ("beat", busy.all[-1]["offset"])


def test_at_most_once_a_second() -> None:
    """P66: such beats come at most once a second, however much is logged."""
    world = logged(messages=10)
    quiet, busy = talk(world), talk(world)
    seconds = []
    for tenth in range(50):
        for _ in range(20):
            world.signals.send("x", name="Room", client_id=busy.connection.client_id)
        world.turn(0.1)
        seconds += [tenth / 10 for _ in quiet.frames()]
    assert 5 <= len(seconds) <= 6
    assert all(later - sooner > 0.99 for sooner, later in pairwise(seconds))


def test_nothing_to_tell() -> None:
    """P66: a message to the whole name tells of the place itself, so that no beat of progress is needed."""
    world = logged(messages=10)
    quiet, busy = talk(world), talk(world)
    for _ in range(20):
        for _ in range(4):
            world.signals.send("x", name="Room", client_id=busy.connection.client_id)
        world.signals.send("all", name="Room")
        world.turn()
    assert {each["type"] for each in quiet.frames()} == {"signal"}


def test_age() -> None:
    """P66: where something was logged for a part of the name, a beat comes at half of its age at the latest."""
    world = logged(seconds=60)
    quiet, busy = talk(world), talk(world)
    world.signals.send("x", name="Room", client_id=busy.connection.client_id)
    world.turn()
    pass_seconds(world, 28, quiet, busy)
    assert quiet.frames() == []
    pass_seconds(world, 4, quiet, busy)
    assert [each["type"] for each in quiet.frames()] == ["beat"]
    pass_seconds(world, 100, quiet, busy)
    assert quiet.frames() == []


def test_no_timer_is_left() -> None:
    """P66: when the last client of a name has left, no beat is planned any more."""
    world = logged(messages=2)
    talker = talk(world)
    for _ in range(10):
        world.signals.send("x", name="Room", client_id=talker.connection.client_id)
    world.turn()
    for _ in range(10):
        world.signals.send("x", name="Room", client_id=talker.connection.client_id)
    assert hub_of(world.signals).histories.progress.behind["Room"].call is not None
    talker.cut()
    assert hub_of(world.signals).histories.progress.behind == {}
    left = {getattr(each.func, "__qualname__", "") for each in world.clock.getDelayedCalls()}
    # The Site's clock for its access log.
    assert left == {"HTTPFactory._updateLogDateTime"}
