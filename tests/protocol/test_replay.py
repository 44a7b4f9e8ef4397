"""A replay under way: it waits for the log and for its client, and what is sent meanwhile waits for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dialogues import logged, pass_seconds, talk
from fakes import result_of
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from web_fakes import World, head

from pode_signals.backplane.contract import Missed
from pode_signals.signals import hub_of


@pytest.fixture
def world() -> World:
    """A world whose ``/room`` keeps a history."""
    return logged()


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
