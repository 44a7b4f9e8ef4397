"""Groups over a resume: joined ones come back, and those that were left stay left."""

from __future__ import annotations

from typing import Any

import pytest
from dialogues import Talker, comes_back, logged, room, signals_world, talk
from web_fakes import World

from pode_signals.signals import hub_of


@pytest.fixture
def world() -> World:
    """A world whose ``/room`` keeps a history."""
    return logged()


class TestGroups:
    def test_joined_groups_come_back(self, world: World) -> None:
        """P47: joined groups come back by the token, and what was sent to them meanwhile is replayed."""
        talker = talk(world)
        talker.asks({"join": "kitchen"})
        talker.asks({"join": "hall"}, id="2")
        talker.asks({"leave": "hall"}, id="3")
        talker.cut()
        world.signals.send("soup", name="Room", group="kitchen")
        world.signals.send("coats", name="Room", group="hall")
        recovered, signals, back = comes_back(talker)
        assert (recovered, signals, back.all[0]["groups"]) == (True, ["soup"], ["kitchen"])
        assert back.connection.groups == ("kitchen",)
        world.signals.send("more soup", name="Room", group="kitchen")
        world.turn()
        assert back.signals() == ["more soup"]

    def test_what_was_left_stays_left(self, world: World) -> None:
        """P47: a group that was left is not restored by an older token, also where it was joined again at once."""
        talker = talk(world)
        talker.asks({"join": "kitchen"})
        old = talker.place
        talker.asks({"leave": "kitchen"}, id="2")
        talker.asks({"join": "kitchen"}, id="3")
        recovered, _, back = comes_back(talker, old)
        assert (recovered, back.all[0]["groups"]) == (False, [])

    @pytest.mark.parametrize("code", [1000, 4000])
    def test_who_was_sent_away(self, world: World, code: int) -> None:
        """P47: who was closed by the server for good gets no joined groups back."""
        talker = talk(world)
        talker.asks({"join": "kitchen"})
        talker.connection.close(code)
        world.turn()
        assert talker.again().hello()["groups"] == []

    def test_hello_before_the_first_signal(self, world: World) -> None:
        """P89: after a join or a leave hello comes before the first signal of the group, and the reply behind both."""
        talker = talk(world)

        @world.signals.route("/room", if_exists="overwrite")
        def both(event: Any) -> str:
            event.send("before", name="Room", group="kitchen")
            event.connection.join("kitchen")
            event.send("after", name="Room", group="kitchen")
            return "done"

        talker.says(type="send", id="1", message=1)
        kinds = [(each["type"], each.get("data"), each.get("groups")) for each in talker.frames()]
        assert kinds == [("hello", None, ["kitchen"]), ("signal", "after", None), ("reply", "done", None)]

    def test_in_two_groups_of_a_send(self, world: World) -> None:
        """P89: who is in two groups of a send gets it once, live and replayed."""
        talker = talk(world)
        for number, group in enumerate(("a", "b")):
            talker.asks({"join": group}, id=f"{number}")
        world.signals.send("live", name="Room", group=["a", "b"])
        world.turn()
        assert talker.signals() == ["live"]
        talker.cut()
        world.signals.send("missed", name="Room", group=["b", "a"])
        assert comes_back(talker)[1] == ["missed"]

    def test_too_many_groups(self) -> None:
        """P47: where a client would be in too many groups, none of those that it joined comes back, and it is told."""
        world = room(signals_world(max_groups=2))
        world.signals.keep_history("Room")
        talker = talk(world)
        for number, group in enumerate(("a", "b")):
            talker.asks({"join": group}, id=f"{number}")
        world.converting("/other", "Room", group="given")
        hello = Talker(world, "/other", talker.place).hello()
        assert (hello["groups"], hello["recovered"]) == (["given"], False)

    def test_a_new_generation(self) -> None:
        """P47: when too many clients have left groups, all get fresh tokens within a minute."""
        world = room(signals_world(ping_interval_seconds=1_000, messages_per_second=1_000_000))
        keeper, leaver = talk(world), talk(world)
        keeper.asks({"join": "kitchen"})
        versions = hub_of(world.signals).resumes._versions
        versions._most = 1
        old = keeper.place
        leaver.asks({"join": "a"})
        leaver.asks({"leave": "a"}, id="2")
        other = talk(world)
        other.asks({"join": "a"})
        other.asks({"leave": "a"}, id="2")
        keeper.frames()
        for _ in range(62):
            world.turn(1)
        assert [each["recovered"] for each in keeper.frames() if each["type"] == "hello"] == [True]
        fresh = keeper.place
        keeper.cut()
        assert keeper.again(old).hello()["groups"] == []
        assert keeper.again(fresh).hello()["groups"] == ["kitchen"]
