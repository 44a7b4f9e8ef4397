"""Signals clients that read too slowly: closed and complete, rather than robbed."""

from __future__ import annotations

from typing import Any

import pytest
from dialogues import room, signals_world, talk


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
