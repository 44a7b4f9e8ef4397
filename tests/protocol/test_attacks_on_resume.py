"""What attackers found in replies, acknowledgements and resume: each kind stays mended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from dialogues import Talker, room, signals_world, talk
from fakes import result_of
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from web_fakes import World, close_frame, head

from pode_signals import EVERY_NAME, Delivery, Scope
from pode_signals.core.history import Missed
from pode_signals.errors import ReplyRefused
from pode_signals.signals import hub_of


class Unfinished(ReplyRefused):
    """A refusal of a program that forgets to say what it refuses."""

    def __init__(self) -> None:
        pass


class Odd(dict[str, int]):
    """A result that raises what nobody expects."""

    def items(self) -> Any:
        raise KeyError("odd")


@pytest.mark.parametrize("outcome", [Unfinished(), Odd(a=1)])
@pytest.mark.parametrize("is_late", [False, True])
def test_an_outcome_that_raises(outcome: Any, is_late: bool) -> None:
    """P29: whatever a route's outcome raises, the client gets ``failed``, and its next message is handled."""
    world = signals_world().converting("/room", "Room")

    @world.signals.route("/room")
    async def route(event: Any) -> Any:
        if event.data.message == "next":
            return "handled"
        if is_late:
            await deferLater(world.clock, 1)
        if isinstance(outcome, ReplyRefused):
            raise outcome
        return outcome

    talker = talk(world)
    with capturedLogs() as logs:
        talker.says(type="send", id="1", message="first")
        talker.says(type="send", id="2", message="next")
        world.turn(1)
        world.turn()
    first, second = talker.frames()
    assert (first["id"], first["code"], second["data"]) == ("1", "failed", "handled")
    assert len(logs) == 1
    assert world.signals.counters.functions_failed == 1


def test_a_send_when_an_answer_settles() -> None:
    """P36: a send of a program that waits for an answer keeps the order of the log, whatever settles the answer."""
    world = room(signals_world(send_queue_bytes=3_000, ping_interval_seconds=1_000))
    world.signals.keep_history("Room", messages=1_000)
    slow, witness = talk(world), talk(world)

    slow.client.wire.producer.pauseProducing()
    direct = slow.connection

    async def wait_directly() -> None:
        delivery: Delivery = hub_of(world.signals).sender.send_to(slow_link, "ask", timeout_seconds=60)
        await delivery
        world.signals.send("it has left", name="Room")

    slow_link = hub_of(world.signals).registry.get("Room", direct.client_id)
    assert slow_link is not None
    Deferred.fromCoroutine(wait_directly())
    number = 0
    while direct.state.value == "open":
        world.signals.send(f"{number}" * 100, name="Room")
        number += 1
    world.turn()
    offsets = [int(each["offset"].split("-")[0]) for each in witness.frames() if "offset" in each]
    assert offsets == sorted(offsets)
    assert len(offsets) == number + 1


def test_a_replay_to_a_client_that_reads_nothing() -> None:
    """P43: a replay of large messages waits for the client, rather than filling the memory."""
    world = room(signals_world(ping_interval_seconds=1_000))
    world.signals.keep_history("Room")
    talker = talk(world)
    talker.cut()
    for _ in range(15):
        world.signals.send("\x01" * 60_000, name="Room")
    client = world.client()
    client.send(head("/room", ("Sec-WebSocket-Protocol", f"pode.signals.v1, pode.resume.{talker.place}")))
    client.wire.producer.pauseProducing()
    for _ in range(20):
        world.turn()
    assert len(client.received) < 1_000_000
    client.wire.producer.resumeProducing()
    for _ in range(20):
        world.turn()
    assert len(client.texts) == 17


def test_a_secret_that_is_replaced_while_a_client_is_away() -> None:
    """P50: with an id of the program's own, too, a client that comes back has the id that it had."""
    world = room(signals_world(ping_interval_seconds=1_000), client_id="bob")
    world.signals.keep_history("Room")
    world.signals.enable_signing("a secret that is quite long enough, really")
    talker = talk(world)
    issued = talker.connection.client_id
    world.signals.replace_secrets(["a newer secret that is long enough", "a secret that is quite long enough, really"])
    world.signals.send("for bob", name="Room", client_id=issued)
    back = Talker(world, resume=f"{talker.all[0]['epoch']}.{talker.all[0]['offset']}.{talker.all[0]['resumeToken']}")
    world.turn()
    assert (back.hello()["clientId"], back.signals()) == (issued, ["for bob"])
    assert talker.closed == (4409, "replaced by a newer connection")


def test_a_group_that_was_joined_on_a_dead_link() -> None:
    """P47: a group that a half-open connection has joined unheard is the next connection's too."""
    world = room(signals_world(ping_interval_seconds=1_000))
    world.signals.keep_history("Room")
    talker = talk(world)
    heard = talker.place
    talker.connection.join("kitchen")
    world.signals.send("soup", name="Room", group="kitchen")
    back = talker.again(heard)
    hello = back.hello()
    assert (hello["recovered"], hello["groups"], back.signals()) == (True, ["kitchen"], ["soup"])


def test_local_and_global_connections_of_one_id() -> None:
    """P69: a local connection answers and leaves for itself, and not for a global one with its client id."""
    world = signals_world(ping_interval_seconds=1_000).converting("/room", "Room", client_id="bob")

    @world.app.route("/local", endpoint="/local")
    async def local(request: Any) -> None:
        world.converted.append(world.signals.convert(request, "Room", client_id="bob", scope=Scope.LOCAL))
        await Deferred()

    one, other = talk(world), talk(world, path="/local")
    delivery = world.signals.send("x", name="Room", acknowledge=True, timeout=5)
    world.turn()
    ack = one.all[-1]["ack"]
    other.says(type="ack", id=ack)
    other.cut()
    assert (delivery.acknowledged, delivery.gone) == ((), ())
    one.says(type="ack", id=ack)
    assert delivery.acknowledged == ("bob",)


def test_a_local_connection_that_is_silent() -> None:
    """P69: a local connection that is open and has not answered is not gone."""
    world = signals_world(ping_interval_seconds=1_000)
    asked: list[Delivery] = []

    @world.app.route("/room")
    async def local(request: Any) -> None:
        world.converted.append(world.signals.convert(request, "Room", scope=Scope.LOCAL))
        asked.append(world.signals.send("x", mode="direct", acknowledge=True, timeout=1))
        await Deferred()

    talk(world)
    world.turn(1)
    assert (len(asked[0].unanswered), asked[0].gone) == (1, ())


def named_rooms(**settings: Any) -> World:
    """A world in which each room is a name of its own, and every name keeps a history."""
    world = signals_world(ping_interval_seconds=1_000, **settings)
    world.signals.keep_history(EVERY_NAME, seconds=10_000)

    @world.app.route("/room/<name>")
    def route(request: Any, name: str) -> None:
        world.converted.append(world.signals.convert(request, name))

    return world


@pytest.mark.parametrize("members", [{}, {"group": "nobody"}, {"clientId": "nobody"}])
def test_a_message_to_every_name(members: dict[str, str]) -> None:
    """P57: a client's message to every name costs nothing for names that are deserted, however many there are."""
    world = named_rooms()
    for number in range(50):
        talk(world, path=f"/room/{number}").cut()
    sender = talk(world, path="/room/here")
    log = hub_of(world.signals).backplane.history
    for _ in range(10):
        sender.says(type="send", message="x", **members)
    assert log.held[0] == 10
    assert sender.signals() == ([] if members else ["x"] * 10)


def test_a_name_that_lacks_a_message() -> None:
    """P36: who comes back to a name whose log lacks a message of a client is told; sends of the program are logged."""
    world = named_rooms()
    told, whole = talk(world, path="/room/a"), talk(world, path="/room/b")
    told.cut()
    talk(world, path="/room/here").says(type="send", message="to every name")
    assert whole.signals() == ["to every name"]
    whole.cut()
    world.signals.send("of the program", name=EVERY_NAME)
    back = told.again()
    assert (back.hello()["recovered"], back.signals()) == (False, [])
    back = whole.again()
    assert (back.hello()["recovered"], back.signals()) == (True, ["of the program"])


def test_a_name_that_lacks_a_message_is_named_itself() -> None:
    """P36: so also where the program gives the name limits of its own meanwhile."""
    world = named_rooms()
    told = talk(world, path="/room/a")
    told.cut()
    talk(world, path="/room/here").says(type="send", message="to every name")
    world.signals.keep_history("a")
    assert told.again().hello()["recovered"] is False


def test_one_question_at_a_time() -> None:
    """P43: a replay asks the log for one piece at a time, however often the client's socket fills and drains."""
    world = room(signals_world(ping_interval_seconds=1_000))
    world.signals.keep_history("Room", messages=1_000)
    talker = talk(world)
    talker.cut()
    for number in range(300):
        world.signals.send(number, name="Room")
    log = hub_of(world.signals).backplane.history
    real = log.missed
    asked: list[tuple[Deferred[Missed], Any]] = []

    def slow(*arguments: Any) -> Deferred[Missed]:
        asked.append((Deferred(), arguments))
        return asked[-1][0]

    log.missed = slow  # type: ignore[method-assign]
    back = talker.again()
    while asked:
        assert len(asked) == 1
        deferred, arguments = asked.pop()
        deferred.callback(result_of(real(*arguments)))
        for _ in range(3):
            back.client.wire.producer.pauseProducing()
            back.client.wire.producer.resumeProducing()
        world.turn()
        world.turn()
    assert back.hello()["recovered"] is True
    assert back.signals() == list(range(300))


@pytest.mark.parametrize("code", [1000, 4000])
@pytest.mark.parametrize("by_server", [False, True])
def test_a_client_that_leaves_for_good(code: int, by_server: bool) -> None:
    """P69: an acknowledged send to a name with history does not wait for a client that will not come back."""
    world = room(signals_world(ping_interval_seconds=1_000))
    world.signals.keep_history("Room")
    talker = talk(world)
    delivery = world.signals.send("x", name="Room", acknowledge=True, timeout=60)
    world.turn()
    if by_server:
        talker.connection.close(code)
    talker.client.send(close_frame(code))
    world.turn()
    if talker.is_open:
        talker.cut()
    assert len(delivery.gone) == 1


class BadZone(tzinfo):
    """A time zone that knows no time but once."""

    asked = 0

    def utcoffset(self, _when: datetime | None) -> Any:
        BadZone.asked += 1
        if BadZone.asked > 1:
            raise LookupError("no such zone")
        return UTC.utcoffset(None)

    dst = utcoffset


def test_an_expiry_that_raises() -> None:
    """P85: an expiry whose time zone raises is ``failed``, and nothing of it is kept."""
    world = room(signals_world(ping_interval_seconds=1_000))
    BadZone.asked = 0
    world.signals.refresh_check = lambda *_: datetime(2030, 1, 1, tzinfo=BadZone())
    talker = talk(world)
    with capturedLogs() as logs:
        talker.says(type="refresh", id="r", token="t")
    assert talker.frames()[0]["code"] == "failed"
    assert (talker.connection.expires, talker.is_open, len(logs)) == (None, True, 1)
    with pytest.raises(ValueError, match="beyond all times"):
        talker.connection.expires = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
