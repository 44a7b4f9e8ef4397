"""Who a client is that comes back: tokens that count, and tokens that do not."""

from __future__ import annotations

from typing import Any

import pytest
from dialogues import Talker, comes_back, logged, room, signals_world, talk
from fakes import result_of
from web_fakes import World, head


@pytest.fixture
def world() -> World:
    """A world whose ``/room`` keeps a history."""
    return logged()


class TestIdentity:
    def test_the_client_id_comes_back(self, world: World) -> None:
        """P50: a good token gives a random client id back; the half-open older connection ends with 4409."""
        talker = talk(world)
        back = talker.again()
        world.turn()
        assert back.all[0]["clientId"] == talker.all[0]["clientId"]
        assert talker.closed == (4409, "replaced by a newer connection")
        assert world.signals.count("Room") == 1

    def test_duplicates_are_refused(self) -> None:
        """P50: so also where duplicates are refused: it is the same client."""
        world = room(signals_world(duplicate_client_id="refuse"), client_id="ada")
        talker = talk(world)
        assert world.client().ask(head("/room")).status == 409
        assert talker.again().hello()["clientId"] == "ada"

    def test_twice(self, world: World) -> None:
        """P51: the same token works twice, since the answer to a handshake may be lost on its way."""
        talker = talk(world)
        place = talker.place
        for _ in range(2):
            recovered, _, back = comes_back(talker, place)
            assert (recovered, back.all[0]["clientId"]) == (True, talker.all[0]["clientId"])

    def test_a_position_alone(self, world: World) -> None:
        """P54: a position works alone, and gives no identity."""
        talker = talk(world)
        world.signals.send("seen", name="Room")
        place = result_of(world.signals.position("Room"))
        world.signals.send("after the page was rendered", name="Room")
        back = Talker(world, resume=place)
        hello = back.hello()
        assert (hello["recovered"], back.signals()) == (True, ["after the page was rendered"])
        assert hello["clientId"] != talker.all[0]["clientId"]
        assert talker.is_open

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({"name": "Other"}, "other_name"),
            ({"user": "bob"}, "other_user"),
            ({"client_id": "bob"}, "other_client_id"),
        ],
    )
    def test_tokens_of_others(self, arguments: dict[str, Any], reason: str) -> None:
        """P49: a token of another name, user or client id is passed over and counted, and ``recovered`` is false."""
        world = logged()
        world.signals.keep_history("Other")
        talker = talk(world)
        name = arguments.pop("name", "Room")
        world.converting("/other", name, **arguments)
        back = Talker(world, "/other", talker.place)
        hello = back.hello()
        assert (hello["recovered"], hello["clientId"] == talker.all[0]["clientId"]) == (False, False)
        assert world.signals.counters.resume_tokens_refused == {reason: 1}
        assert talker.is_open

    def test_an_expired_token(self) -> None:
        """P49: an expired token is passed over, and with it the position."""
        world = room(signals_world(resume_token_seconds=100, ping_interval_seconds=1_000))
        world.signals.keep_history("Room")
        talker = talk(world)
        place = talker.place
        talker.cut()
        world.turn(101)
        assert comes_back(talker, place)[0] is False
        assert world.signals.counters.resume_tokens_refused == {"expired": 1}

    def test_each_bit(self, world: World) -> None:
        """P49: a token with one bit changed is passed over, and the position alone does not save it."""
        talker = talk(world)
        epoch, offset, token = talker.place.split(".", 2)
        talker.cut()
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for at in range(0, len(token), 7):
            if token[at] not in alphabet:
                continue
            other = alphabet[alphabet.index(token[at]) ^ 1]
            changed = f"{token[:at]}{other}{token[at + 1 :]}"
            back = Talker(world, resume=f"{epoch}.{offset}.{changed}")
            assert back.hello()["recovered"] is False
            back.cut()

    def test_signed_ids(self) -> None:
        """P49: with strict signing the id dies with the address; the same client keeps it."""
        world = logged()
        world.signals.enable_signing("a secret that is quite long enough, really", strict=True)
        agent = (("User-Agent", "browser"),)
        talker = Talker(world, headers=agent)
        talker.hello()
        recovered, _, back = comes_back(talker)
        assert (recovered, back.all[0]["clientId"]) == (True, talker.all[0]["clientId"])
        stranger = Talker(world, resume=back.place, headers=(("User-Agent", "other"),))
        assert stranger.hello()["recovered"] is False
        assert world.signals.counters.resume_tokens_refused == {"client_id_invalid": 1}

    def test_a_secret_that_is_replaced(self) -> None:
        """P49: tokens stay good while the secret of client ids is changed, as the ids do."""
        world = logged()
        world.signals.enable_signing("a secret that is quite long enough, really")
        talker = talk(world)
        world.signals.replace_secrets(
            ["a newer secret that is long enough", "a secret that is quite long enough, really"]
        )
        recovered, _, back = comes_back(talker)
        assert recovered
        world.signals.replace_secrets("a newer secret that is long enough")
        assert comes_back(back)[0] is False

    def test_identity_without_history(self) -> None:
        """P50: where a name keeps no history a token gives the identity back, and the loss is told."""
        world = room(signals_world())
        talker = talk(world)
        assert talker.place.startswith("-.-.")
        recovered, _, back = comes_back(talker)
        assert (recovered, back.all[0]["clientId"]) == (False, talker.all[0]["clientId"])
        assert world.signals.counters.resumes == {}
