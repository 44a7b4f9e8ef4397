"""Resume on one node: what a client gets that comes back, and when it is told that messages may be lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dialogues import Talker, pass_seconds, room, signals_world, talk
from fakes import result_of
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from web_fakes import World, head

from pode_signals import EVERY_NAME
from pode_signals.backplane.contract import Missed, Position
from pode_signals.errors import UnknownHistory
from pode_signals.signals import hub_of


def logged(*, arguments: dict[str, Any] | None = None, **limits: Any) -> World:
    """A world with ``/room``, whose name keeps a history."""
    world = room(signals_world(ping_interval_seconds=1_000), **(arguments or {}))
    world.signals.keep_history("Room", **limits)
    return world


@pytest.fixture
def world() -> World:
    """A world whose ``/room`` keeps a history."""
    return logged()


def comes_back(talker: Talker, resume: str | None = None) -> tuple[bool, list[Any], Talker]:
    """Whether a client that was cut off recovers, the data that it gets behind hello, and its next connection."""
    if talker.is_open:
        talker.cut()
    back = talker.again(resume)
    return back.hello()["recovered"], back.signals(), back


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


class TestInTheMiddle:
    def test_a_cut_in_a_replay(self) -> None:
        """P43: hello has the client's own offset; a cut in the middle of a replay resumes there, with no gap."""
        world = logged(messages=1_000)
        talker = talk(world)
        talker.cut()
        for number in range(300):
            world.signals.send(number, name="Room")
        offered = talker.place
        client = world.client()
        client.send(head("/room", ("Sec-WebSocket-Protocol", f"pode.signals.v1, pode.resume.{offered}")))
        # One turn brings 64 entries. The client reads these, and is cut off.
        first = [json.loads(each) for each in client.texts]
        assert (first[0]["offset"], first[0]["recovered"]) == (offered.split(".")[1], True)
        assert len(first) == 65
        world.signals.send("while it replays", name="Room")
        client.reset()
        world.turn()
        rest = f"{first[0]['epoch']}.{first[-1]['offset']}.{first[0]['resumeToken']}"
        back = talker.again(rest)
        pass_seconds(world, 1)
        assert back.hello()["recovered"] is True
        assert [each["data"] for each in first[1:]] + back.signals() == [*range(300), "while it replays"]

    def test_live_messages_wait_behind_the_replay(self) -> None:
        """P44: what is sent while a client is in its replay comes once, after the replay."""
        world = logged(messages=1_000)
        talker = talk(world)
        talker.cut()
        for number in range(200):
            world.signals.send(number, name="Room")
        client = world.client()
        client.send(head("/room", ("Sec-WebSocket-Protocol", f"pode.signals.v1, pode.resume.{talker.place}")))
        world.signals.send("live", name="Room")
        world.converted[-1].send("alone")
        for _ in range(5):
            world.turn()
        frames = [json.loads(each) for each in client.texts]
        kinds = [each["type"] for each in frames]
        assert kinds == ["hello", *["signal"] * 200, "beat", "signal", "signal"]
        assert [each["data"] for each in frames if each["type"] == "signal"] == [*range(200), "live", "alone"]

    def test_between_convert_and_hello(self, world: World) -> None:
        """P44: what is sent between ``convert`` and a hello that takes its time comes once, after the replay."""
        talker = talk(world)
        talker.cut()
        world.signals.send("missed", name="Room")
        log = hub_of(world.signals).backplane.history
        asked: list[tuple[Deferred[Missed], Any]] = []
        real = log.missed

        def slow(*arguments: Any) -> Deferred[Missed]:
            asked.append((Deferred(), arguments))
            return asked[-1][0]

        log.missed = slow  # type: ignore[method-assign]
        known: list[bool | None] = []
        world.signals.register_event("Room", "connect", "know", lambda event: known.append(event.connection.recovered))
        back = talker.again()
        assert (back.all, known, back.connection.recovered) == ([], [], None)
        world.signals.send("sent meanwhile", name="Room")
        back.connection.send("alone")
        back.says(type="beat")
        assert back.all == []
        log.missed = real  # type: ignore[method-assign]
        deferred, arguments = asked[0]
        deferred.callback(result_of(real(*arguments)))
        world.turn()
        assert [each["type"] for each in back.all] == ["hello", "signal", "beat", "signal", "signal", "beat"]
        assert back.signals() == ["missed", "sent meanwhile", "alone"]
        assert known == [True]

    def test_a_log_that_does_not_answer(self, world: World) -> None:
        """P44: hello waits two seconds for the log, then tells of a loss."""
        talker = talk(world)
        talker.cut()
        world.signals.send("missed", name="Room")
        hub_of(world.signals).backplane.history.missed = lambda *_: Deferred()  # type: ignore[method-assign]
        back = talker.again()
        world.turn(1.9)
        assert back.all == []
        world.turn(0.1)
        assert back.hello()["recovered"] is False
        world.signals.send("live", name="Room")
        world.turn()
        assert back.signals() == ["live"]

    def test_it_leaves_before_hello(self, world: World) -> None:
        """P19: a client that is gone before its hello fires Connect and Disconnect all the same, once each."""
        fired: list[str] = []
        for kind in ("connect", "disconnect"):
            world.signals.register_event("Room", kind, "tell", lambda event: fired.append(event.type.value))
        talker = talk(world)
        talker.cut()
        hub_of(world.signals).backplane.history.missed = lambda *_: Deferred()  # type: ignore[method-assign]
        talker.again().cut()
        world.turn(3)
        assert fired == ["connect", "disconnect"] * 2
        assert not hub_of(world.signals).fan_out.held
        assert not hub_of(world.signals).fan_out.congested

    def test_a_log_that_drops_faster_than_it_is_read(self) -> None:
        """P43: a client whose replay the limits pass is closed with 4008, and told when it comes back."""
        world = logged(messages=200)
        talker = talk(world)
        talker.cut()
        for number in range(200):
            world.signals.send(number, name="Room")
        offered = talker.place
        client = world.client()
        client.send(head("/room", ("Sec-WebSocket-Protocol", f"pode.signals.v1, pode.resume.{offered}")))
        client.wire.producer.pauseProducing()
        with capturedLogs() as logs:
            for number in range(200):
                world.signals.send(number, name="Room")
            client.wire.producer.resumeProducing()
            for _ in range(5):
                world.turn()
        assert client.closed == (4008, "the replay took too long")
        assert "see messages, max_bytes and seconds of keep_history" in formatEvent(logs[0])


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


class TestSlowClients:
    @pytest.mark.parametrize("policy", ["close", "drop_oldest", "drop_newest", "latest"])
    def test_closed_and_complete(self, policy: str) -> None:
        """P55: a slow signals client of a name with history is closed with 4008 whatever ``slow_client`` says."""
        world = room(signals_world(slow_client=policy, send_queue_bytes=5_000, ping_interval_seconds=1_000))
        world.signals.keep_history("Room", messages=1_000)
        talker = talk(world)
        got: list[Any] = []
        number = 0
        for _ in range(5):
            talker.client.wire.producer.pauseProducing()
            while talker.connection.state.value == "open" and number < 1_000:
                world.signals.send(number, name="Room", key="latest")
                number += 1
                world.turn()
            assert talker.closed in (None, (4008, "the client reads too slowly"))
            got += talker.signals()
            world.turn(5)
            talker = talker.again()
            assert talker.hello()["recovered"] is True
            got += talker.signals()
        assert got == list(range(number))

    def test_what_is_never_dropped(self) -> None:
        """P55: without history signals are dropped for newer ones, and hello, replies and beats are not."""
        world = room(signals_world(slow_client="drop_oldest", send_queue_bytes=3_000, ping_interval_seconds=1_000))
        talker = talk(world)
        talker.client.wire.producer.pauseProducing()
        talker.says(type="send", id="1", message={"join": "a"})
        for number in range(100):
            world.signals.send(number, name="Room")
            world.turn()
        talker.says(type="beat")
        talker.client.wire.producer.resumeProducing()
        world.turn()
        kinds = [each["type"] for each in talker.frames()]
        assert [each for each in kinds if each != "signal"] == ["hello", "reply", "beat"]
        assert 0 < kinds.count("signal") < 100

    def test_no_room_for_what_is_never_dropped(self) -> None:
        """P55: where there is no room for a beat, the client is closed with 4008."""
        world = room(signals_world(slow_client="drop_newest", send_queue_bytes=3_000, ping_interval_seconds=1_000))
        talker = talk(world)
        talker.client.wire.producer.pauseProducing()
        for number in range(100):
            world.signals.send(number, name="Room")
            world.turn()
        assert talker.connection.state.value == "open"
        talker.says(type="beat")
        assert talker.connection.closure.code == 4008
