"""What a client gets that comes back, and when it is told that messages may be lost."""

from __future__ import annotations

import pytest
from dialogues import Talker, comes_back, logged, pass_seconds, talk
from web_fakes import World

from pode_signals import EVERY_NAME


@pytest.fixture
def world() -> World:
    """A world whose ``/room`` keeps a history."""
    return logged()


class TestWhatWasMissed:
    def test_in_order_and_once(self, world: World) -> None:
        """P36: each missed signal comes once and in order, before newer ones, then a beat; the client recovers."""
        talker = talk(world)
        world.signals.send("seen", name="Room")
        world.turn()
        talker.cut()
        for number in range(5):
            world.signals.send({"n": number}, name="Room")
        back = talker.again()
        world.signals.send("newer", name="Room")
        world.turn()
        frames = back.frames()
        assert [each["type"] for each in frames] == ["hello", *["signal"] * 5, "beat", "signal"]
        assert [each["data"] for each in frames if each["type"] == "signal"] == [
            *({"n": number} for number in range(5)),
            "newer",
        ]
        assert frames[0]["recovered"] is True
        assert frames[6]["offset"] == frames[5]["offset"]
        assert world.signals.counters.resumes == {"recovered": 1}
        assert world.signals.counters.signals_replayed == 5

    @pytest.mark.parametrize(("missed", "recovered"), [(0, True), (7, True), (8, False), (100, False)])
    def test_the_limit_of_messages(self, missed: int, recovered: bool) -> None:
        """P37: who missed as many messages as are kept has lost nothing; who missed one more gets none of them."""
        world = logged(messages=7)
        talker = talk(world)
        talker.cut()
        for number in range(missed):
            world.signals.send(number, name="Room")
        assert comes_back(talker)[:2] == (recovered, list(range(missed)) if recovered else [])

    @pytest.mark.parametrize(("size", "recovered"), [(50, True), (51, False)])
    def test_the_limit_of_bytes(self, size: int, recovered: bool) -> None:
        """P38: who missed as many bytes as are kept has lost nothing; who missed one more gets none of them."""
        world = logged(max_bytes=100)
        talker = talk(world)
        talker.cut()
        for _ in range(2):
            world.signals.send("x" * size, name="Room")
        assert comes_back(talker)[0] is recovered

    def test_the_limit_of_time(self) -> None:
        """P38: an entry is there as long as its age allows, and gone at the next append afterwards."""
        world = logged(seconds=100)
        talker = talk(world)
        talker.cut()
        world.signals.send("old", name="Room")
        world.turn(100)
        recovered, signals, back = comes_back(talker)
        assert (recovered, signals) == (True, ["old"])
        place = talker.place
        world.turn(1)
        world.signals.send("new", name="Room")
        assert comes_back(back, place)[:2] == (False, [])

    def test_a_quiet_client(self) -> None:
        """P39: a client that was quiet for ten minutes, while others were busy within the limits, loses nothing."""
        world = logged(messages=20, seconds=60)
        quiet, busy = talk(world), talk(world)
        for number in range(600):
            world.signals.send(number, name="Room", client_id=busy.connection.client_id)
            pass_seconds(world, 1, quiet, busy)
        assert {each["type"] for each in quiet.frames()} == {"beat"}
        quiet.cut()
        world.signals.send("for all", name="Room")
        assert comes_back(quiet)[:2] == (True, ["for all"])

    def test_a_client_that_received_nothing(self, world: World) -> None:
        """P40: a client that never received anything comes back without loss."""
        talker = talk(world)
        talker.cut()
        world.signals.send("first", name="Room")
        assert comes_back(talker)[:2] == (True, ["first"])

    @pytest.mark.parametrize("wrong", ["epoch", "offset", "salt", "ahead"])
    def test_positions_that_are_none(self, world: World, wrong: str) -> None:
        """P41: another epoch, an unknown offset, or one with a wrong salt is a loss."""
        talker = talk(world)
        world.signals.send("seen", name="Room")
        world.turn()
        epoch, offset, token = talker.place.split(".", 2)
        sequence, salt = offset.split("-")
        changed = {
            "epoch": ("abcdef", offset),
            "offset": (epoch, f"0-{salt}"),
            "salt": (epoch, f"{sequence}-{int(salt) + 1}"),
            "ahead": (epoch, f"{int(sequence) + 1}-{salt}"),
        }[wrong]
        recovered, signals, back = comes_back(talker, f"{changed[0]}.{changed[1]}.{token}")
        assert (recovered, signals) == (False, [])
        assert back.all[0]["clientId"] == talker.all[0]["clientId"]
        assert world.signals.counters.resumes == {"lost": 1}

    def test_a_restart(self, world: World) -> None:
        """P42: a restart of a server that keeps its logs in memory is a loss, and nothing of the token counts."""
        talker = talk(world)
        other = logged()
        back = Talker(other, resume=talker.place)
        hello = back.hello()
        assert (hello["recovered"], hello["clientId"] == talker.all[0]["clientId"]) == (False, False)
        assert other.signals.counters.resume_tokens_refused == {"forged": 1}

    def test_the_same_bytes(self, world: World) -> None:
        """P45: replayed bytes equal the first ones, whatever was sent."""
        world.signals.send("seen", name="Room")
        talker, witness = talk(world), talk(world)
        talker.cut()
        start = len(witness.client.received)
        for data in ("text", '{"text":"like JSON"}', {"a": [1, None]}, 7, "ü\u2028"):
            world.signals.send(data, name="Room")
            world.signals.send(data, name="Room", group=["", "a"], client_id=witness.connection.client_id)
        world.signals.send("asked", name="Room", acknowledge=True)
        world.turn()
        live = [each for each in witness.client.received[start:].split(b"\x81") if each and b"clientId" not in each]
        _, _, back = comes_back(talker)
        replayed = back.client.received.split(b"\x81")
        assert len(live) == 6
        assert [each for each in live if each in replayed] == live

    def test_for_others(self) -> None:
        """P46: messages for another group or another client are not replayed."""
        world = logged(arguments={"group": "kitchen"})
        talker, other = talk(world), talk(world)
        mine, theirs = talker.connection.client_id, other.connection.client_id
        talker.cut()
        for target in (
            {"group": "hall"},
            {"client_id": theirs},
            {"exclude": mine},
            {"group": "kitchen", "client_id": theirs},
            {"group": ["hall", "kitchen"]},
            {"client_id": [theirs, mine]},
            {"exclude": theirs},
        ):
            world.signals.send(str(target), name="Room", **target)
        recovered, signals, _ = comes_back(talker)
        assert recovered
        assert len(signals) == 3
        assert all("kitchen" in each or mine in each or theirs in each for each in signals)

    def test_what_is_not_logged(self, world: World) -> None:
        """P48: what a connection is sent alone, direct messages and replies have no offset and are not replayed."""
        talker = talk(world)
        talker.connection.send("alone")
        world.signals.unrouted = "broadcast"
        world.signals.remove_route("/room")
        talker.says(type="send", id="1", message="to myself", direct=True)
        frames = talker.frames()
        assert [each.get("offset") for each in frames] == [None, None, None]
        place = talker.place
        talker.cut()
        assert comes_back(talker, place)[1] == []

    def test_every_name(self, world: World) -> None:
        """P36: a send to every name, or to several, is in the log of each name that keeps one, and comes once."""
        world.converting("/live", "Live")
        talker, live = talk(world), talk(world, path="/live")
        talker.cut()
        world.signals.send("every", name=EVERY_NAME)
        world.signals.send("both", name=["Live", "Room"])
        world.signals.send("id", name=EVERY_NAME, client_id=[live.connection.client_id, talker.all[0]["clientId"]])
        world.turn()
        assert live.signals() == ["every", "both", "id"]
        recovered, signals, back = comes_back(talker)
        assert (recovered, signals) == (True, ["every", "both", "id"])
        world.signals.send("once", name=EVERY_NAME)
        world.turn()
        assert back.signals() == ["once"]
