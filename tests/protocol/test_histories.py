"""The names that keep a history, and the bounds of it."""

from __future__ import annotations

from typing import Any

import pytest
from dialogues import comes_back, logged, room, signals_world, talk
from fakes import result_of
from web_fakes import World

from pode_signals import EVERY_NAME
from pode_signals.backplane.contract import Position
from pode_signals.errors import UnknownHistory
from pode_signals.signals import hub_of


@pytest.fixture
def world() -> World:
    """A world whose ``/room`` keeps a history."""
    return logged()


class TestHistories:
    def test_messages_make_no_log(self) -> None:
        """P57: messages of clients make no log for a name that nobody has joined."""
        world = room(signals_world())
        world.signals.remove_route("/room")
        world.signals.keep_history(EVERY_NAME)
        talker = talk(world)
        for number in range(100):
            talker.says(type="send", message="x", path=f"Name {number}")
        assert list(hub_of(world.signals).histories.names) == ["Room"]
        assert result_of(hub_of(world.signals).backplane.history.size("Name 1")) == (0, 0)

    def test_the_total(self) -> None:
        """P58: all logs together keep no more than ``total_history_bytes``, and the losses are told."""
        world = room(signals_world(total_history_bytes=100_000, ping_interval_seconds=1_000))
        world.signals.keep_history(["Room", "Other"], messages=10_000, max_bytes=10_000_000)
        talker = talk(world)
        talker.cut()
        for _ in range(100):
            world.signals.send("x" * 2_000, name="Other")
        world.signals.send("small", name="Room")
        log = hub_of(world.signals).backplane.history
        kept, size = result_of(log.size("Other"))
        assert size + 700 * kept < 100_000
        assert comes_back(talker)[:2] == (True, ["small"])

    def test_begin_and_end(self) -> None:
        """P59: with ``keep_history`` hello comes again with a position, after ``forget_history`` without one."""
        world = room(signals_world(ping_interval_seconds=1_000))
        talker = talk(world)
        plain = world.client().open("/room")
        world.signals.keep_history("Room")
        hello = talker.hello()
        assert (hello["recovered"], hello["offset"]) == (True, "0-0")
        world.signals.keep_history("Room", messages=7)
        assert talker.frames() == []
        world.signals.send("logged", name="Room")
        world.turn()
        assert talker.frames()[0]["offset"].startswith("1-")
        world.signals.forget_history("Room")
        again = talker.hello()
        assert (again["recovered"], "epoch" in again, "offset" in again) == (True, False, False)
        world.signals.forget_history("Room")
        world.signals.send("live", name="Room")
        world.turn()
        assert talker.frames() == [{"type": "signal", "data": "live"}]
        assert plain.texts == ["logged", "live"]
        world.signals.keep_history("Room")
        assert talker.hello()["epoch"] != hello["epoch"]

    def test_every_name_and_one(self) -> None:
        """P59: a name may have limits of its own, or none, where every other name keeps a history."""
        world = room(signals_world(ping_interval_seconds=1_000)).converting("/off", "Off")
        world.signals.keep_history(EVERY_NAME)
        world.signals.forget_history("Off")
        world.signals.keep_history("Room", messages=1)
        on, off = talk(world), talk(world, path="/off")
        assert ("offset" in on.all[0], "offset" in off.all[0]) == (True, False)
        world.signals.forget_history(EVERY_NAME)
        assert list(hub_of(world.signals).histories.names) == ["Room"]
        world.signals.forget_history("Room")
        assert "offset" not in on.frames()[-1]

    def test_nobody_is_connected(self) -> None:
        """P36: a name that keeps a history as every name does keeps it while nobody is connected."""
        world = room(signals_world(ping_interval_seconds=1_000))
        world.signals.keep_history(EVERY_NAME, seconds=1_000)
        talker = talk(world)
        world.signals.send("seen", name="Room")
        world.turn()
        talker.cut()
        world.turn(10)
        world.signals.send("missed", name="Room")
        assert comes_back(talker)[:2] == (True, ["missed"])

    def test_a_break(self, world: World) -> None:
        """P56: where a log breaks, its connected clients get a new hello with ``recovered`` false."""
        talker, plain = talk(world), world.client().open("/room")
        told: list[Any] = []
        log = hub_of(world.signals).backplane.history
        real = log.follow

        def follow(name: str, limits: Any, deliver: Any, broken: Any) -> Any:
            told.append(broken)
            return real(name, limits, deliver, broken)

        log.follow = follow  # type: ignore[method-assign]
        world.signals.keep_history("Room")
        told[0](Position("abcdef", "0-0"))
        assert talker.hello()["recovered"] is False
        assert plain.texts == []
        assert talker.connection.recovered is False

    def test_positions(self, world: World) -> None:
        """P54: the position of a name that keeps no history is an UnknownHistory."""
        with pytest.raises(UnknownHistory):
            result_of(world.signals.position("Other"))

    @pytest.mark.parametrize(
        ("name", "limits", "error"),
        [
            ("", {}, ValueError),
            (None, {}, ValueError),
            ("x" * 200, {}, ValueError),
            (7, {}, TypeError),
            ("Room", {"messages": 0}, ValueError),
            ("Room", {"max_bytes": 1.5}, ValueError),
            ("Room", {"seconds": float("inf")}, ValueError),
        ],
    )
    def test_bad_arguments(self, world: World, name: Any, limits: Any, error: type[Exception]) -> None:
        """P58: bad arguments of ``keep_history`` are a sentence at once."""
        with pytest.raises(error):
            world.signals.keep_history(name, **limits)
