from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent
from web_fakes import BINARY, CONTINUATION, PING, PONG, Client, World, close_frame, frame, message

pytestmark = pytest.mark.usefixtures("protocol")

MAX_BYTES = 65_536


def opened(**settings: Any) -> tuple[World, Client]:
    """An open connection whose messages are kept."""
    world = World(**settings).converting().listening()
    return world, world.client().open()


def wait(world: World, seconds: float) -> None:
    """Let time pass, a tenth of a second at a time."""
    for _ in range(round(seconds * 10)):
        world.turn(0.1)


def announced(size: int, opcode: int = 1, *, fin: bool = True) -> bytes:
    """The head of a frame that would have so many bytes."""
    return bytes(((0x80 if fin else 0) | opcode, 0xFF)) + struct.pack("!Q", size) + b"mask"


def pongs(client: Client) -> list[bytes]:
    """The pongs that came."""
    return [each.payload for each in client.frames if each.opcode == PONG]


class TestControlFrames:
    def test_a_burst(self) -> None:
        """S16.3: 20 pings at once are answered, in order; one more closes with 1008."""
        world, client = opened()
        client.send(b"".join(frame(b"%d" % number, PING) for number in range(20)))
        assert pongs(client) == [b"%d" % number for number in range(20)]
        client.send(frame(b"", PING))
        assert client.closed == (1008, "too many control frames")
        assert world.signals.counters.limits_hit == {"control_frames_per_second": 1}

    def test_ten_a_second(self) -> None:
        """S16.3: ten a second are fine for as long as they come, and no more are."""
        world, client = opened()
        for _ in range(300):
            client.send(frame(b"", PING))
            world.turn(0.1)
        assert client.closed is None
        for _ in range(60):
            client.send(frame(b"", PING))
            world.turn(0.05)
        assert client.closed == (1008, "too many control frames")

    def test_pongs_count(self) -> None:
        """S16.3: pongs that nobody asked for count as pings do, together with them."""
        _world, client = opened()
        client.send(*[frame(b"", PING)] * 10, *[frame(b"", PONG)] * 10)
        assert client.closed is None
        client.send(frame(b"", PONG))
        assert client.closed == (1008, "too many control frames")

    def test_inside_a_message(self) -> None:
        """S16.3: control frames between the frames of a message count as well; the message is not handled."""
        world, client = opened()
        client.send(frame('{"message":', fin=False), *[frame(b"", PING)] * 21, frame("1}", CONTINUATION))
        assert client.closed == (1008, "too many control frames")
        assert world.messages == []

    def test_messages_do_not_count(self) -> None:
        """S16.3: messages, and the close frame, are no control frames that could be too many."""
        world, client = opened()
        client.send(*[frame(b"", PING)] * 20, message("1"), message("2"), close_frame(1000))
        assert client.closed == (1000, "")
        assert world.messages == ["1", "2"]

    def test_settings(self) -> None:
        """S16.3: rate and burst of control frames are settings."""
        world, client = opened(control_frames_per_second=1, control_frame_burst=2)
        client.send(frame(b"", PING), frame(b"", PING))
        world.turn(1)
        client.send(frame(b"", PING))
        assert client.closed is None
        client.send(frame(b"", PING))
        assert client.closed == (1008, "too many control frames")

    def test_a_client_that_reads_nothing(self) -> None:
        """S16.3: no pongs are kept for a client that does not read; when it reads again it gets them again."""
        _world, client = opened()
        client.wire.producer.pauseProducing()
        client.send(*[frame(b"x", PING)] * 10)
        assert pongs(client) == []
        client.wire.producer.resumeProducing()
        client.send(frame(b"y", PING))
        assert pongs(client) == [b"y"]

    def test_others(self) -> None:
        """S16.3: each connection has a bucket of its own."""
        world, client = opened()
        other = world.client().open()
        client.send(*[frame(b"", PING)] * 21)
        other.send(*[frame(b"", PING)] * 20)
        assert (client.closed, other.closed) == ((1008, "too many control frames"), None)


class TestFragments:
    def fragments(self, count: int, opcode: int = 1) -> bytes:
        """A good message in so many frames."""
        text = b'{"message":"' + b"x" * (count - 14) + b'"}'
        assert len(text) == count
        parts = [frame(text[:1], opcode, fin=False)]
        parts += [frame(text[at : at + 1], CONTINUATION, fin=False) for at in range(1, count - 1)]
        return b"".join(parts) + frame(text[-1:], CONTINUATION)

    def test_as_many_as_may_be(self) -> None:
        """S16.3: a message in 1,024 frames is taken, one after the other."""
        world, client = opened()
        for _ in range(3):
            client.send(self.fragments(1_024))
        assert world.messages == ["x" * 1_010] * 3
        assert world.signals.counters.limits_hit == {}

    def test_one_more(self) -> None:
        """S16.3: one frame more closes with 1008, before the message is complete."""
        world, client = opened()
        client.send(self.fragments(1_025)[:-1])
        assert client.closed == (1008, "too many fragments")
        assert world.messages == []
        assert world.signals.counters.limits_hit == {"max_fragments": 1}

    def test_empty_ones(self) -> None:
        """S16.3: frames with nothing in them count."""
        _world, client = opened(max_fragments=5)
        client.send(frame("", fin=False), *[frame("", CONTINUATION, fin=False)] * 4)
        assert client.closed is None
        client.send(frame("", CONTINUATION, fin=False))
        assert client.closed == (1008, "too many fragments")

    def test_control_frames_are_none(self) -> None:
        """S16.3: pings between the frames of a message are no fragments of it."""
        world, client = opened(max_fragments=2)
        client.send(frame('{"message":', fin=False), *[frame(b"", PING)] * 10, frame("1}", CONTINUATION))
        assert world.messages == [1]

    def test_whatever_follows(self) -> None:
        """S16.3: what a client goes on sending after that is skipped, and counted once."""
        world, client = opened(max_fragments=2)
        client.send(*[frame("x", 1 if number == 0 else CONTINUATION, fin=False) for number in range(50)])
        assert client.closed == (1008, "too many fragments")
        assert world.signals.counters.limits_hit == {"max_fragments": 1}
        client.send(close_frame(1008))
        assert client.wire.ended == "closed"


class TestSize:
    @pytest.mark.parametrize("size", [MAX_BYTES + 1, 10_000_000, 2**62])
    @pytest.mark.parametrize("opcode", [1, BINARY])
    def test_by_the_head_of_a_frame(self, size: int, opcode: int) -> None:
        """S16.3: a frame that would be too large closes with 1009 by its head alone, and its payload is not kept."""
        world, client = opened()
        client.send(announced(size, opcode))
        assert client.closed is not None
        assert client.closed[0] == 1009
        tracemalloc.start()
        try:
            for _ in range(size // 65_536 if size < 10**7 else 100):
                client.send(b"x" * 65_536)
            assert tracemalloc.get_traced_memory()[0] < 300_000
        finally:
            tracemalloc.stop()
        assert world.messages == []
        assert world.signals.counters.limits_hit == {"max_message_bytes": 1}

    def test_by_the_head_of_a_later_frame(self) -> None:
        """S16.3: the frames of a message count together."""
        _world, client = opened()
        client.send(frame(b" " * 60_000, fin=False))
        client.send(announced(65_536, CONTINUATION, fin=False))
        assert client.closed is not None
        assert client.closed[0] == 1009

    def test_as_much_as_may_be(self) -> None:
        """S16.3: a message of just the limit is taken, in one frame and in several."""
        world, client = opened()
        text = b'{"message": 1' + b" " * (MAX_BYTES - 14) + b"}"
        client.send(frame(text), frame(text[:30_000], fin=False), frame(text[30_000:], CONTINUATION))
        assert world.messages == [1, 1]

    def test_a_control_frame_is_no_message(self) -> None:
        """S16.7: a control frame that is too large is an error of the protocol, and no limit that acts."""
        world, client = opened()
        client.send(announced(10_000_000, PING))
        assert client.closed is not None
        assert client.closed[0] == 1002
        assert world.signals.counters.limits_hit == {}


class TestTime:
    def test_a_message_that_comes_slowly(self) -> None:
        """S16.3: a message that is not complete after 10 s closes with 1008, whatever it comes in."""
        world, client = opened()
        text = b'{"message": "' + b"x" * 1_000
        client.send(frame(text, fin=False))
        for _ in range(95):
            wait(world, 0.1)
            client.send(frame(b"x", CONTINUATION, fin=False))
        assert client.closed is None
        wait(world, 2)
        assert client.closed == (1008, "the message took too long")

    def test_one_frame_that_comes_slowly(self) -> None:
        """S16.3: the same for the bytes of one frame."""
        world, client = opened()
        client.send(frame('{"message": 1}' + " " * 1_000)[:-50])
        for _ in range(12):
            client.send(b"x")
            wait(world, 1)
        assert client.closed == (1008, "the message took too long")

    def test_one_that_comes_in_time(self) -> None:
        """S16.3: a message that is complete in time is handled, and so is the next one."""
        world, client = opened(ping_interval_seconds=1_000)
        for number in range(3):
            whole = message(number)
            client.send(whole[:8])
            wait(world, 8)
            client.send(whole[8:])
            wait(world, 8)
        assert world.messages == [0, 1, 2]
        assert client.closed is None

    def test_while_we_do_not_read(self) -> None:
        """S16.3: a message that waits since we read no further is not to blame."""
        world, client = opened(messages_per_second=1, message_burst=1, max_pending_messages=10)
        client.send(b"".join(message(number) for number in range(14)) + message("last")[:5])
        assert client.wire.producerState == "paused"
        client.send(message("last")[5:])
        wait(world, 16)
        assert world.messages == [*range(14), "last"]
        assert client.closed is None


class TestRate:
    def test_messages_past_the_rate(self) -> None:
        """S16.3: a client that sends too much is read no faster; all of it arrives, and pings are answered."""
        world, client = opened(messages_per_second=50, message_burst=10)
        client.send(b"".join(message(number) for number in range(100)), frame(b"x", PING))
        assert world.messages == list(range(10))
        assert client.wire.producerState == "paused"
        wait(world, 1)
        assert 58 <= len(world.messages) <= 60
        wait(world, 1)
        assert world.messages == list(range(100))
        assert (client.wire.producerState, pongs(client)) == ("producing", [b"x"])


class TestReports:
    @pytest.mark.parametrize(
        ("setting", "data", "line"),
        [
            ("control_frames_per_second", frame(b"secret", PING) * 30, "failed with 1008: too many control frames"),
            ("max_fragments", frame("", fin=False) + frame("", 0, fin=False) * 2_000, "failed with 1008: too many fr"),
            ("max_message_bytes", announced(70_000), "failed with 1009: received WebSocket message size 70000"),
        ],
    )
    def test_a_frame_limit_that_acts(self, setting: str, data: bytes, line: str) -> None:
        """S16.7: a limit on frames is counted once a connection, and told in one line that has no payload."""
        world, client = opened()
        with capturedLogs() as logs:
            client.send(data)
            client.send(data)
        assert world.signals.counters.limits_hit == {setting: 1}
        assert [event["kind"] for event in logs] == [setting]
        assert formatEvent(logs[0]).startswith(f"connection {world.converted[0].client_id}: {line}")
        assert "secret" not in repr(logs)

    def test_what_is_no_limit(self) -> None:
        """S16.7: an error of the protocol is told, and is no limit."""
        world, client = opened()
        with capturedLogs() as logs:
            client.send(frame(b"\xff"))
        assert [event["kind"] for event in logs] == ["connections_failed"]
        assert world.signals.counters.limits_hit == {}
