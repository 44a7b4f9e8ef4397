"""Connections that close, or whose transport ends, while data waits for its turn."""

from __future__ import annotations

import pytest
from fakes import link_of
from transports.paced import behind, numbered, opened, slow_world
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from web_fakes import PING, close_frame, frame, message


class TestClosing:
    def test_a_close_frame_in_the_middle(self) -> None:
        """S9.3: a close frame that was behind is answered, nothing after it parsed; TLS has to be read to its end."""
        connection, clock = behind(frame("a"), close_frame(1000), frame("b"), frame("p", PING))
        while connection.reader.state != connection.reader.STATE_CLOSED:
            clock.turn()
        assert connection.reads
        clock.turns()
        assert connection.reader.got == [b"a"]
        assert [each.code for each in connection.answers] == [1000]
        assert connection.wire.ended == "closed"

    def test_the_answer_to_our_close_frame(self) -> None:
        """S9.3: our close frame goes out while data waits; the answer behind that is found."""
        connection, clock = behind(frame("a"), frame("b"), close_frame(4000))
        connection.reader.sendCloseFrame(code=4000)
        clock.turns()
        assert [each.code for each in connection.answers] == [4000]
        assert connection.wire.ended is not None
        assert connection.reader.state == connection.reader.STATE_CLOSED

    @pytest.mark.parametrize("paused", [False, True])
    def test_tls_ends_behind_data(self, paused: bool) -> None:
        """S9.3: where the transport ends in order, what waits is parsed first, a little in each turn."""
        data, payloads = numbered(20)
        connection, clock = behind(data + frame("not")[:-1])
        if paused:
            connection.pause()
        connection.wire.client_ends("left", ConnectionDone())
        assert connection.reader.state == connection.reader.STATE_OPEN
        if paused:
            clock.turns()
            assert connection.reader.got == []
            connection.resume()
        assert clock.turns() > 20
        assert connection.reader.got == payloads
        assert connection.reader.state == connection.reader.STATE_CLOSED

    def test_tls_ends_behind_a_close_frame(self) -> None:
        """S9.3: the client's code counts where its close frame waited when the transport ended."""
        connection, clock = behind(frame("a"), close_frame(4001), frame("b"))
        connection.wire.client_ends("left", ConnectionDone())
        clock.turns()
        assert (connection.reader.got, connection.reader.remoteCloseCode) == ([b"a"], 4001)

    @pytest.mark.parametrize("reason", [ConnectionLost(), ConnectionAborted()])
    @pytest.mark.parametrize("paused", [False, True])
    def test_a_reset_while_behind(self, reason: Exception, paused: bool) -> None:
        """S9.3: where the transport is reset, or was aborted, what waits is dropped."""
        connection, clock = behind(frame("a"), frame("b"))
        if paused:
            connection.pause()
        connection.wire.client_ends("reset", reason)
        if paused:
            connection.resume()
        clock.turns()
        assert connection.reader.got == []
        assert connection.reader.state == connection.reader.STATE_CLOSED

    def test_a_transport_that_ends_with_nothing_waiting(self) -> None:
        """S9.3: half a frame is not parsed again when the transport ends."""
        connection, clock = opened()
        connection.wire.deliver(frame("a") + frame("b")[:-1])
        connection.wire.client_ends("left", ConnectionDone())
        clock.turns()
        assert connection.reader.got == [b"a"]


BOTH_PROTOCOLS = pytest.mark.usefixtures("protocol")


@BOTH_PROTOCOLS
@pytest.mark.parametrize("how", ["close", "abort"])
def test_ending_while_behind(how: str) -> None:
    """S9.3: of what waits nothing is handled once the connection closes; the answer behind it is understood."""
    world, client = slow_world()
    world.listening()
    client.send(frame("", PING) + message(1) + message(2) + close_frame(4000))
    assert client.wire.producerState == "paused"
    connection = world.converted[0]
    if how == "close":
        connection.close(4000)
    else:
        link_of(connection).abort()
    world.turn()
    assert world.messages == []
    assert client.wire.ended == {"close": "closed", "abort": "aborted"}[how]
    assert world.converted[0].closure is not None
    assert world.converted[0].closure.code == {"close": 4000, "abort": 1006}[how]
    assert world.signals.counters.callbacks_failed == 0
