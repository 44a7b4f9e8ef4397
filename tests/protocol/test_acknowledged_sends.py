"""Acknowledged sends: who has answered, who has not, and who is gone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dialogues import Talker, room, signals_world, talk
from fakes import result_of
from twisted.internet.defer import Deferred
from web_fakes import World

from pode_signals import Delivery
from pode_signals.errors import TooManyAcknowledgements
from pode_signals.signals import hub_of


@pytest.fixture
def world() -> World:
    """A world with ``/room``, without pings."""
    return room(signals_world(ping_interval_seconds=1_000))


def waited(delivery: Delivery) -> Deferred[Delivery]:
    """What ``await delivery`` waits for."""

    async def wait() -> Delivery:
        return await delivery

    return Deferred.fromCoroutine(wait())


def answers(talker: Talker, *, again: int = 0) -> None:
    """The client acknowledges what it got last."""
    ack = next(each["ack"] for each in reversed(talker.all) if "ack" in each)
    for _ in range(1 + again):
        talker.says(type="ack", id=ack)


def tally(delivery: Delivery) -> tuple[int, int, int]:
    """How many have answered, have not, and are gone."""
    return len(delivery.acknowledged), len(delivery.unanswered), len(delivery.gone)


def test_three_one_one(world: World) -> None:
    """P69: three answer, one is silent, one is gone: 3/1/1 at the timeout."""
    talkers = [talk(world) for _ in range(5)]
    delivery = world.signals.send("soup", name="Room", acknowledge=True, timeout=3)
    done = waited(delivery)
    world.turn()
    for each in talkers[:3]:
        answers(each)
    talkers[4].cut()
    assert not done.called
    world.turn(2.9)
    assert not done.called
    world.turn(0.1)
    assert result_of(done) is delivery
    assert tally(delivery) == (3, 1, 1)
    assert delivery.acknowledged == tuple(each.connection.client_id for each in talkers[:3])
    assert delivery.unanswered == (talkers[3].connection.client_id,)
    assert delivery.gone == (talkers[4].connection.client_id,)
    assert world.signals.counters.acknowledgements == {"acknowledged": 3, "unanswered": 1, "gone": 1}


def test_all_have_answered(world: World) -> None:
    """P69: it ends at once when all have answered or are gone; ``when_written`` waits for nobody."""
    talkers = [talk(world) for _ in range(3)]
    delivery = world.signals.send("soup", name="Room", acknowledge=True)
    done, written = waited(delivery), delivery.when_written()
    world.turn()
    assert (written.called, done.called) == (True, False)
    answers(talkers[0])
    answers(talkers[1])
    talkers[2].cut()
    assert done.called
    assert tally(delivery) == (2, 0, 1)


def test_to_nobody(world: World) -> None:
    """P69: a send to nobody is over at once."""
    delivery = world.signals.send("soup", name="Room", acknowledge=True)
    assert waited(delivery).called
    assert tally(delivery) == (0, 0, 0)


@pytest.mark.parametrize("logged", [False, True])
def test_to_one(world: World, logged: bool) -> None:
    """P69: single clients can be asked, also by a direct send, and several names at once."""
    if logged:
        world.signals.keep_history("Room")
    one, other = talk(world), talk(world)
    delivery = world.signals.send("x", name=["Room", "Nobody"], client_id=one.connection.client_id, acknowledge=True)
    world.turn()
    assert other.signals() == []
    answers(one)
    assert tally(delivery) == (1, 0, 0)


def test_a_direct_one(world: World) -> None:
    """P69: a route may ask the client whose message it handles, and get the answer while it runs."""

    async def ask(event: Any) -> list[str]:
        delivery = await event.send("really?", mode="direct", acknowledge=True)
        return list(delivery.acknowledged)

    world.signals.remove_route("/room")
    world.signals.add_route("/room", ask)
    talker = talk(world)
    talker.says(type="send", id="1", message=1)
    answers(talker)
    assert talker.frames()[-1] == {"type": "reply", "id": "1", "data": [talker.connection.client_id]}


def test_answers_that_do_not_count(world: World) -> None:
    """P70: second, unknown and late answers are ignored, and counted; so are those of others."""
    one, stranger = talk(world), talk(world, path="/room")
    delivery = world.signals.send("x", name="Room", client_id=one.connection.client_id, acknowledge=True, timeout=1)
    world.turn()
    ack = one.all[-1]["ack"]
    stranger.says(type="ack", id=ack)
    one.says(type="ack", id="never.1")
    assert tally(delivery) == (0, 0, 0)
    answers(one, again=1)
    assert tally(delivery) == (1, 0, 0)
    late = world.signals.send("x", name="Room", client_id=one.connection.client_id, acknowledge=True, timeout=1)
    world.turn(1)
    answers(one)
    assert tally(late) == (0, 1, 0)
    assert world.signals.counters.acknowledgements_ignored == 4
    assert one.is_open


def test_plain_clients(world: World) -> None:
    """P71: plain clients count as unanswered, and are not waited for."""
    world.client().open("/room")
    delivery = world.signals.send("x", name="Room", acknowledge=True)
    assert waited(delivery).called
    assert tally(delivery) == (0, 1, 0)
    plain = world.converted[0].client_id
    talker = talk(world)
    delivery = world.signals.send("x", name="Room", acknowledge=True)
    done = waited(delivery)
    world.turn()
    answers(talker)
    assert done.called
    assert (delivery.acknowledged, delivery.unanswered) == ((talker.connection.client_id,), (plain,))


@pytest.mark.parametrize("logged", [False, True])
def test_back_within_the_timeout(world: World, logged: bool) -> None:
    """P72: who comes back within the timeout on a name with history and answers the replay has acknowledged."""
    if logged:
        world.signals.keep_history("Room")
    talker, gone = talk(world), talk(world)
    delivery = world.signals.send("soup", name="Room", acknowledge=True, timeout=5)
    done = waited(delivery)
    place = talker.all[0]
    talker.cut()
    gone.cut()
    assert done.called is not logged
    offered = f"{place['epoch']}.{place['offset']}.{place['resumeToken']}" if logged else talker.place
    back = talker.again(offered)
    if logged:
        answers(back)
    world.turn(5)
    assert done.called
    assert tally(delivery) == ((1, 0, 1) if logged else (0, 0, 2))


def test_nothing_is_left(world: World) -> None:
    """P73: after 10,000 acknowledged sends nothing is kept, and no timer is left."""
    hub = hub_of(world.signals)
    talkers = [talk(world) for _ in range(3)]
    timers = len(world.clock.getDelayedCalls())
    for number in range(10_000):
        world.signals.send(number, name="Room", acknowledge=True, timeout=1)
        if number % 500 == 0:
            world.turn(0.2)
            ack = json.loads(talkers[0].client.texts[-1])["ack"]
            for each in talkers[: number // 500 % 3]:
                each.says(type="ack", id=ack)
    world.turn(1)
    assert len(hub.acknowledgements) == 0
    assert not hub.acknowledgements._of
    assert hub.acknowledgements._pending == 0
    assert len(world.clock.getDelayedCalls()) == timers


def test_too_many(world: World) -> None:
    """P74: over the bound a send raises, and nothing is sent; when answers have come there is room again."""
    world = room(signals_world(max_pending_acknowledgements=3))
    talkers = [talk(world) for _ in range(2)]
    first = world.signals.send("1", name="Room", acknowledge=True)
    with pytest.raises(TooManyAcknowledgements, match=r"3 recipients at a time \(max_pending_acknowledgements\)"):
        world.signals.send("2", name="Room", acknowledge=True)
    world.turn()
    assert [each.signals() for each in talkers] == [["1"], ["1"]]
    for each in talkers:
        answers(each)
    assert tally(first) == (2, 0, 0)
    world.signals.send("3", name="Room", acknowledge=True)
    world.turn()
    assert talkers[0].signals() == ["3"]


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(0.05, ValueError), (61, ValueError), (float("nan"), ValueError), ("5", TypeError), (True, TypeError)],
)
def test_bad_timeouts(world: World, timeout: Any, error: type[Exception]) -> None:
    """P69: a timeout is 0.1 to 60 seconds; another one is a sentence, and nothing is sent."""
    talker = talk(world)
    with pytest.raises(error, match="timeout has to be"):
        world.signals.send("x", name="Room", acknowledge=True, timeout=timeout)
    world.turn()
    assert talker.frames() == []
