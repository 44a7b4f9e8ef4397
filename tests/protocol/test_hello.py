"""Negotiation, hello and beats of ``pode.signals.v1``, through the routes of an application."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from dialogues import Talker, pass_seconds, room, signals_world, talk
from web_fakes import BINARY, World, answers_in, frame, head

from pode_signals import EVERY_NAME, Scope


@pytest.fixture
def world() -> World:
    """A world with ``/room``."""
    return room(signals_world())


def test_a_client_that_offers_nothing(world: World) -> None:
    """P1: a client that offers nothing gets bare payloads, whatever others of its name speak."""
    world.signals.keep_history("Room")
    plain = world.client().open("/room")
    other = talk(world)
    world.signals.send("text", name="Room")
    world.signals.send({"a": 1}, name=EVERY_NAME)
    world.signals.send(["x"], name="Room", acknowledge=True)
    plain.send(frame('{"type":"beat"}'), frame('{"message":"said"}'))
    pass_seconds(world, 60)
    assert plain.texts == ["text", '{"a":1}', '["x"]']
    assert other.signals() == ["text", {"a": 1}, ["x"]]


def test_a_client_that_offers_the_protocol(world: World) -> None:
    """P2: a client that offers ``pode.signals.v1`` gets it back in the 101, and hello as its first frame."""
    talker = Talker(world)
    answer = talker.client.answers[-1]
    assert answer.value("Sec-WebSocket-Protocol") == "pode.signals.v1"
    hello = talker.hello()
    assert {**hello, "clientId": "", "resumeToken": ""} == {
        "type": "hello",
        "version": 1,
        "clientId": "",
        "name": "Room",
        "groups": [],
        "recovered": False,
        "resumeToken": "",
        "heartbeatSeconds": 25,
        "maxMessageBytes": 65_536,
    }
    assert (talker.connection.is_signals, talker.connection.subprotocol) == (True, "pode.signals.v1")


@pytest.mark.parametrize(
    ("accepted", "agreed"),
    [
        (("chat",), "chat"),
        (("pode.signals.v1", "chat"), "pode.signals.v1"),
        (("other",), "pode.signals.v1"),
        ((), "pode.signals.v1"),
    ],
)
def test_subprotocols_of_the_route(accepted: tuple[str, ...], agreed: str) -> None:
    """P3: the subprotocols that a route gives itself come first."""
    world = room(signals_world(), subprotocols=accepted)
    answer = world.client().ask(head("/room", ("Sec-WebSocket-Protocol", "pode.signals.v1, chat")))
    assert answer.value("Sec-WebSocket-Protocol") == agreed
    assert world.converted[0].is_signals == (agreed == "pode.signals.v1")


def test_the_protocol_is_off() -> None:
    """P5: with ``signals_protocol=False`` the protocol is not chosen, and the client gets bare payloads."""
    world = room(signals_world(signals_protocol=False))
    client = world.client().open("/room", ("Sec-WebSocket-Protocol", "pode.signals.v1"))
    assert client.answers[-1].value("Sec-WebSocket-Protocol") is None
    world.signals.send("text", name="Room")
    world.turn()
    assert client.texts == ["text"]


def test_each_in_its_form(world: World) -> None:
    """P6: plain and signals clients of one name get one send, each in its form."""
    plain, talker = world.client().open("/room"), talk(world)
    delivery = world.signals.send('{"looks":"like JSON"}', name="Room", group=())
    world.signals.send({"a": [1]}, name="Room")
    world.turn()
    assert (delivery.recipients, delivery.sent) == (2, 2)
    assert plain.texts == ['{"looks":"like JSON"}', '{"a":[1]}']
    assert talker.frames() == [
        {"type": "signal", "data": '{"looks":"like JSON"}'},
        {"type": "signal", "data": {"a": [1]}},
    ]


def test_ids_are_those_of_the_headers() -> None:
    """P15: name, groups and client id in hello are those of the X-PODE-SIGNAL headers, decoded."""
    world = room(signals_world(), name="Raum ä", group=["a b", "c"], client_id="id/1")
    talker = Talker(world)
    hello, answer = talker.hello(), talker.client.answers[-1]
    said = {each: unquote(answer.value(f"X-PODE-SIGNAL-{each}") or "") for each in ("NAME", "CLIENT-ID")}
    assert (hello["name"], hello["clientId"]) == (said["NAME"], said["CLIENT-ID"]) == ("Raum ä", "id/1")
    assert hello["groups"] == ["a b", "c"]


def test_no_history(world: World) -> None:
    """P16: where a name keeps no history, hello has no epoch and no offset, and no beat has one."""
    talker = Talker(world)
    assert {"epoch", "offset"}.isdisjoint(talker.hello())
    world.signals.send("x", name="Room")
    pass_seconds(world, 26, talker)
    assert [each for each in talker.frames() if "offset" in each or "epoch" in each] == []


def test_a_local_connection() -> None:
    """P17: a local connection has no position, and over a WebSocket no token."""
    world = signals_world()
    world.signals.keep_history("Room")

    @world.app.route("/room")
    async def local(request: Any) -> None:
        world.converted.append(world.signals.convert(request, "Room", scope=Scope.LOCAL))
        world.signals.send("to itself")
        await world.converted[-1].when_disconnected()

    talker = Talker(world)
    hello = talker.hello()
    assert {"epoch", "offset", "resumeToken"}.isdisjoint(hello)
    assert talker.frames() == [{"type": "signal", "data": "to itself"}]


def test_what_the_route_sends() -> None:
    """P18: what a route sends right after ``convert`` comes behind hello."""
    world = signals_world()
    world.signals.keep_history("Room")

    @world.app.route("/room")
    def route(request: Any) -> None:
        world.converted.append(world.signals.convert(request, "Room"))
        world.converted[-1].send("alone")
        world.signals.send("all", name="Room")

    talker = Talker(world)
    assert [each["type"] for each in talker.all] == ["hello", "signal", "signal"]
    assert [each["data"] for each in talker.all[1:]] == ["alone", "all"]


def test_connect_functions(world: World) -> None:
    """P19: Connect functions run after hello, and know whether the client has recovered."""
    known: list[bool | None] = []

    @world.signals.on_connect("Room")
    def connected(event: Any) -> None:
        known.append(event.connection.recovered)
        event.connection.send("welcome")

    world.signals.keep_history("Room")
    talker = Talker(world)
    assert [each["type"] for each in talker.all] == ["hello", "signal"]
    talker.cut()
    talker.again()
    assert known == [False, True]
    assert world.client().open("/room").texts == ["welcome"]
    assert known[2] is None


def test_the_token_is_renewed(world: World) -> None:
    """P21: a fresh token comes within a hello at half of the token's life, ten percent sooner or later."""
    world = room(signals_world(resume_token_seconds=100, ping_interval_seconds=1_000))
    talkers = [talk(world) for _ in range(20)]
    first = [each.all[0]["resumeToken"] for each in talkers]
    seconds: list[int] = []
    for second in range(1, 60):
        world.turn(1)
        seconds += [second for each in talkers if each.frames()]
    assert len(seconds) == 20
    assert 45 <= min(seconds) < max(seconds) <= 56
    for talker, token in zip(talkers, first, strict=True):
        fresh = talker.all[-1]
        assert (fresh["type"], fresh["recovered"]) == ("hello", True)
        assert fresh["resumeToken"] != token
    # The first ones have expired, and each client has one that has not.
    world.turn(50)
    for talker in talkers:
        identity = talker.all[0]["clientId"]
        talker.cut()
        assert talker.again().hello()["clientId"] == identity


def test_beats(world: World) -> None:
    """P63: each signals client hears something at least every ``heartbeatSeconds`` and two seconds."""
    world.signals.keep_history("Room")
    talkers = [talk(world) for _ in range(3)]
    silent = [0, 0, 0]
    for second in range(200):
        # The second client answers its pings after nine seconds, and the third one's socket is not read for a while.
        world.turn(1)
        for number, talker in enumerate(talkers):
            silent[number] = 0 if talker.frames() else silent[number] + 1
            if number != 1 or second % 9 == 0:
                talker.pongs()
        assert max(silent) <= 27
    assert all(each.is_open for each in talkers)


def test_a_beat_is_answered(world: World) -> None:
    """P64: a client's beat is answered at once, behind what was sent before; none of the server's is."""
    talker = talk(world)
    world.signals.send("before", name="Room")
    talker.says(type="beat")
    assert [each["type"] for each in talker.frames()] == ["signal", "beat"]
    pass_seconds(world, 30, talker)
    assert [each["type"] for each in talker.frames()] == ["beat"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"x", BINARY), 1003),
        (frame(b"x" * 70_000), 1009),
        (frame(b"\xff\xfe"), 1007),
    ],
)
def test_frames_that_close(world: World, sent: bytes, code: int) -> None:
    """P11: binary closes with 1003, too large with 1009, not UTF-8 with 1007."""
    talker = talk(world)
    talker.client.send(sent)
    world.turn()
    assert talker.closed is not None
    assert talker.closed[0] == code


def test_the_order_on_the_wire(world: World) -> None:
    """P2: hello comes in the bytes right behind the 101, before anything else."""
    client = world.client()
    client.send(head("/room", ("Sec-WebSocket-Protocol", "pode.signals.v1")) + frame('{"type":"beat"}'))
    world.turn()
    _, rest = answers_in(client.received)
    assert json.loads(client.texts[0])["type"] == "hello"
    assert rest.startswith(b"\x81")
    world.turn()
    assert [json.loads(each)["type"] for each in client.texts] == ["hello", "beat"]
