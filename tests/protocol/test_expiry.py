"""Connections that expire, and clients that renew them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from dialogues import room, signals_world, talk
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from web_fakes import World

from pode_signals import SignalConnection
from pode_signals.signals import hub_of

# A time without a zone.
NAIVE = datetime.fromisoformat("2099-01-01T00:00:00")


def expiring(seconds: float = 100, **settings: Any) -> World:
    """A world whose ``/room`` expires after some seconds."""
    world = signals_world(ping_interval_seconds=10_000, **settings)
    return room(world, expires=hub_of(world.signals).wall_time() + timedelta(seconds=seconds), user="ada")


def refresh(world: World, check: Any) -> list[tuple[SignalConnection, str]]:
    """Have a function check new credentials; gives what it was asked."""
    asked: list[tuple[SignalConnection, str]] = []

    def checked(connection: SignalConnection, token: str) -> Any:
        asked.append((connection, token))
        return check(connection)

    world.signals.refresh_check = checked
    return asked


def later(connection: SignalConnection, seconds: float = 100) -> datetime:
    """An expiry of now and some seconds."""
    return hub_of(connection.hub).wall_time() + timedelta(seconds=seconds)  # type: ignore[arg-type]


def test_not_renewed() -> None:
    """P85: a connection that is not renewed is closed with 4401 after its grace, plain ones alike."""
    world = expiring()
    plain, talker = world.client().open("/room"), talk(world)
    assert talker.all[0]["expiresInSeconds"] == 100
    for _ in range(124):
        world.turn(1)
    assert (plain.closed, talker.closed) == (None, None)
    world.turn(2)
    assert (plain.closed, talker.closed) == ((4401, "expired"), (4401, "expired"))
    assert world.signals.counters.limits_hit == {"expiry_grace_seconds": 2}


@pytest.mark.parametrize("kind", ["plain", "async", "Deferred"])
def test_renewed(kind: str) -> None:
    """P85: a connection that is refreshed in time goes on; hello tells of the expiry, and the reply too."""
    world = expiring()

    async def waits(connection: SignalConnection) -> datetime:
        await deferLater(world.clock, 1)
        return later(connection)

    checks: dict[str, Any] = {
        "plain": later,
        "async": waits,
        "Deferred": lambda connection: deferLater(world.clock, 1, later, connection),
    }
    asked = refresh(world, checks[kind])
    world.signals.keep_history("Room")
    talker = talk(world)
    for number in range(5):
        for _ in range(75):
            world.turn(1)
        talker.says(type="refresh", id=f"r{number}", token="secret")
        world.turn(1)
        world.signals.send(number, name="Room")
        world.turn()
        hello, reply, signal = talker.frames()
        assert (hello["type"], hello["recovered"], round(hello["expiresInSeconds"])) == ("hello", True, 100)
        assert (reply["id"], reply["data"]) == (f"r{number}", {"expiresInSeconds": 100})
        assert signal["data"] == number
    assert [token for _, token in asked] == ["secret"] * 5
    assert talker.is_open


@pytest.mark.parametrize(
    ("check", "code", "lines"),
    [
        (lambda _: None, "refused", 0),
        (lambda _: 1 / 0, "failed", 1),
        (lambda _: "tomorrow", "failed", 1),
        (lambda _: NAIVE, "failed", 1),
        (lambda _: Deferred(), "timed_out", 1),
    ],
)
def test_refused(check: Any, code: str, lines: int) -> None:
    """P85: a refresh that the hook refuses, or can't answer, is an error, and the expiry stays."""
    world = expiring(handler_timeout_seconds=3)
    refresh(world, check)
    talker = talk(world)
    with capturedLogs() as logs:
        talker.says(type="refresh", id="r", token="secret")
        for _ in range(3):
            world.turn(1)
    (answer,) = talker.frames()
    assert (answer["type"], answer["id"], answer["code"]) == ("error", "r", code)
    assert len(logs) == lines
    assert "secret" not in repr(logs)
    world.turn(130)
    world.turn(1)
    assert talker.closed == (4401, "expired")


def test_one_at_a_time() -> None:
    """P85: while one refresh is under way another one is ``refused``; without a hook it is ``not_available``."""
    world = expiring()
    talker = talk(world)
    talker.says(type="refresh", id="0", token="t")
    assert talker.frames()[0]["code"] == "not_available"
    waiting: Deferred[datetime] = Deferred()
    refresh(world, lambda _: waiting)
    talker.says(type="refresh", id="1", token="t")
    talker.says(type="refresh", id="2", token="t")
    (refused,) = talker.frames()
    assert (refused["id"], refused["code"]) == ("2", "refused")
    waiting.callback(later(talker.connection))
    assert [each.get("id") for each in talker.frames()] == [None, "1"]


def test_set_by_the_program() -> None:
    """P85: ``connection.expires`` can be set, and hello comes again; None is never."""
    world = room(signals_world(ping_interval_seconds=10_000))
    talker = talk(world)
    assert "expiresInSeconds" not in talker.all[0]
    talker.connection.expires = later(talker.connection, 50)
    assert talker.hello()["expiresInSeconds"] == 50
    talker.connection.expires = None
    assert "expiresInSeconds" not in talker.hello()
    for bad, error in ((NAIVE, ValueError), ("tomorrow", TypeError)):
        with pytest.raises(error, match="expires has to be"):
            talker.connection.expires = bad  # type: ignore[assignment]


def test_user_and_info() -> None:
    """P84: hello tells the user; ``info`` over 1,024 bytes is a ValueError, in ``convert`` and when it is set."""
    world = room(signals_world(), user="ada", info={"color": "red"})
    talker = talk(world)
    assert talker.all[0]["user"] == "ada"
    assert (talker.connection.user, talker.connection.info) == ("ada", {"color": "red"})
    talker.connection.info = "x" * 1_022
    with pytest.raises(ValueError, match="info has 1025 bytes as JSON, and may have 1024"):
        talker.connection.info = "x" * 1_023
    with pytest.raises(TypeError):
        talker.connection.info = object()
    assert talker.connection.info == "x" * 1_022


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"user": 7}, TypeError),
        ({"user": ""}, ValueError),
        ({"info": "x" * 2_000}, ValueError),
        ({"info": object()}, TypeError),
        ({"expires": 7}, TypeError),
        ({"expires": NAIVE}, ValueError),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    """P84: bad arguments of ``convert`` raise in the route, and the request is answered with 500."""
    world = signals_world()
    raised: list[BaseException] = []

    @world.app.route("/room")
    def route(request: Any) -> bytes:
        with pytest.raises(error) as caught:
            world.signals.convert(request, "Room", **arguments)
        raised.append(caught.value)
        return b"no"

    assert world.client().ask(b"GET /room HTTP/1.1\r\nHost: example.com\r\n\r\n").status == 200
    assert len(raised) == 1
