"""One client's data is parsed a little in each turn, and nothing of it is lost, doubled or overtaken."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transports.paced import PARSE_SECONDS, Connection, TurningClock, behind, numbered, opened
from web_fakes import CONTINUATION, PING, PONG, Frame, frame, head


class TestTurns:
    def test_a_read_that_takes_long(self) -> None:
        """S5.6: a read of many frames is parsed in many turns, in which others have theirs; nothing more is read."""
        data, payloads = numbered(300)
        connection, clock = opened(PARSE_SECONDS / 10)
        connection.wire.deliver(data)
        seen = []
        while not connection.reads:
            seen.append(len(connection.reader.got))
            assert len(clock.calls) == 1
            clock.turn()
        assert connection.reader.got == payloads
        # Ten looks a turn, one after each head and each payload: four or five frames.
        assert {after - before for before, after in pairwise(seen)} <= {4, 5, 6}
        assert clock.calls == []

    def test_a_step_each_turn(self) -> None:
        """S5.6: where a turn is over as soon as it begins, there still is a step in each, and an end."""
        data, payloads = numbered(50)
        connection, clock = behind(data)
        assert clock.turns() == 100  # the last one: a client that had its share is read in another turn
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_a_clock_that_stands_still(self) -> None:
        """S5.6: a read that takes no time is parsed at once, whatever it holds."""
        data, payloads = numbered(2_000)
        connection, clock = opened()
        connection.wire.deliver(data)
        assert (connection.reader.got, connection.reads, clock.calls) == (payloads, True, [])

    def test_a_clock_that_is_set_back(self) -> None:
        """S5.6: where time goes back, what has come is parsed all the same."""
        data, payloads = numbered(200)
        connection, _clock = opened(-1.0)
        connection.wire.deliver(data)
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_frames_behind_the_handshake(self) -> None:
        """S2.6: what came with the handshake is parsed at the same pace."""
        data, payloads = numbered(20)
        clock = TurningClock()
        connection = Connection(clock)
        clock.look_seconds = PARSE_SECONDS
        connection.wire.deliver(head("/") + data)
        assert (connection.reader.got, connection.reads) == ([], False)
        clock.turns()
        assert (connection.reader.got, connection.reads) == (payloads, True)

    def test_data_that_comes_meanwhile(self) -> None:
        """S5.6: TLS may bring more although it is paused: it waits behind what waits already, and is not parsed now."""
        connection, clock = behind(frame("a"), frame("b"), frame("c")[:3])
        for part in (frame("c")[3:5], frame("c")[5:] + frame("d")):
            connection.reader.dataReceived(part)
        assert (connection.reader.got, len(clock.calls)) == ([], 1)
        clock.turns()
        assert connection.reader.got == [b"a", b"b", b"c", b"d"]

    def test_a_frame_without_a_payload(self) -> None:
        """S5.6: a frame of which nothing is left to come is ended although its turn was over behind its head."""
        connection, clock = behind(frame(""))
        assert connection.reader.data == b""
        connection.reader.dataReceived(frame("next") + frame("", PING))
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"", b"next", ""], True)
        assert connection.answers == [Frame(PONG, b"")]

    @pytest.mark.parametrize("at", range(1, len(frame("last"))))
    def test_a_frame_that_is_not_complete(self, at: int) -> None:
        """S5.6: what is there of a frame waits for the rest of it, for which the socket is read."""
        connection, clock = behind(frame("first"), frame("last")[:at])
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"first"], True)
        connection.wire.deliver(frame("last")[at:])
        clock.turns()
        assert (connection.reader.got, connection.reads) == ([b"first", b"last"], True)

    def test_a_message_in_fragments(self) -> None:
        """S5.6: turns may end between the frames of a message, and pings between these are answered."""
        connection, clock = behind(
            frame("one ", fin=False), frame("p", PING), frame("mess", CONTINUATION, fin=False), frame("age", 0)
        )
        clock.turns()
        assert connection.reader.got == ["p", b"one message"]


STEPS = st.lists(st.sampled_from(["read", "push", "turn", "turn", "pause", "resume", "faster", "slower"]), max_size=60)
PAYLOADS = st.lists(st.binary(max_size=4) | st.just(b"") | st.just(b"x" * 130), min_size=1, max_size=30)


@settings(deadline=None, max_examples=300)
@given(PAYLOADS, STEPS, st.lists(st.integers(1, 40), min_size=1, max_size=30), st.sets(st.integers(0, 29)))
def test_nothing_is_lost(payloads: list[bytes], steps: list[str], sizes: list[int], pausing: set[int]) -> None:
    """S5.6: however data is cut, turns end and reading pauses: each message once, in order, and the socket reads on."""
    connection, clock = opened()
    data = b"".join(frame(each, 2) for each in payloads)
    connection.reader.upon = lambda _: connection.pause() if len(connection.reader.got) in pausing else None
    for number, step in enumerate(steps):
        if step == "push" or (step == "read" and connection.reads):  # TLS may bring more although it is paused
            size = sizes[number % len(sizes)]
            connection.reader.dataReceived(data[:size])
            data = data[size:]
        elif step in ("faster", "slower"):
            clock.look_seconds = {"faster": 0.0, "slower": PARSE_SECONDS}[step]
        elif step != "read":
            {"turn": clock.turn, "pause": connection.pause, "resume": connection.resume}[step]()
        assert connection.reader.got == payloads[: len(connection.reader.got)]
    connection.reader.dataReceived(data)
    while connection.reading_paused or clock.calls:
        if connection.reading_paused:
            connection.resume()
        clock.turn()
    assert (connection.reader.got, connection.reads) == (payloads, True)
