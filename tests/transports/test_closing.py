"""Every way in which a connection closes: the client, the server or the transport ends it, and no timer is left."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import link_of
from transports.open_worlds import finish, has_no_timer, opened
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from web_fakes import CLOSE, CONTINUATION, PING, Frame, World, close_frame, frame, message

from pode_signals.core.model import ClosedBy, Closure

pytestmark = pytest.mark.usefixtures("protocol")


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1000, ""), (1000, "bye"), (1001, "going away"), (3000, ""), (4999, "caf\u00e9"), (1011, "x" * 123)],
)
def test_the_client_closes(code: int, reason: str) -> None:
    """S9.3: the client's close frame is answered with its own code and reason, and the socket closed in good order."""
    world, client = opened()
    waiting = world.converted[0].when_disconnected()
    client.send(close_frame(code, reason))
    assert client.closed == (code, reason)
    assert world.signals.count() == 0
    assert not waiting.called
    assert finish(world, client) == Closure(code, reason, ClosedBy.CLIENT)
    assert waiting.called


def test_the_client_closes_without_a_code() -> None:
    """S9.3: a close frame without a code is answered without one, and counts as 1005."""
    world, client = opened()
    client.send(close_frame(None))
    assert client.frames == [Frame(CLOSE, b"")]
    assert finish(world, client) == Closure(1005, "", ClosedBy.CLIENT)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
def test_the_client_closes_with_a_code_that_is_none(code: int) -> None:
    """S9.3: a close frame whose code may not be sent is answered with 1002, and the socket closed at once."""
    world, client = opened()
    client.send(close_frame(code))
    assert client.closed is not None
    assert client.closed[0] == 1002
    closure = finish(world, client)
    assert (closure.code, closure.by) == (1002, ClosedBy.ERROR)


def test_the_client_closes_with_a_reason_that_is_not_utf_8() -> None:
    """S6.1: a close frame's reason is text as well: 1007."""
    world, client = opened()
    client.send(close_frame(1000, b"\xff"))
    assert client.closed is not None
    assert client.closed[0] == 1007
    assert finish(world, client).code == 1007


def test_the_client_closes_with_half_a_code() -> None:
    """S9.3: a close frame of one byte is answered with 1002, and the socket closed at once."""
    world, client = opened()
    client.send(frame(b"\x03", CLOSE))
    assert client.closed is not None
    assert client.closed[0] == 1002
    assert finish(world, client).code == 1002


def test_what_follows_a_close_frame() -> None:
    """S9.3: after its close frame nothing of a client counts."""
    world, client = opened()
    client.send(message("before") + close_frame(1000) + message("after") + frame(b"", PING), message("later"))
    assert world.messages == ["before"]
    assert client.closed == (1000, "")
    finish(world, client)


def test_a_close_frame_within_a_message() -> None:
    """S9.3: a client may close between the fragments of a message, which is then none."""
    world, client = opened()
    client.send(frame(b'{"message"', fin=False), close_frame(1001))
    assert client.closed == (1001, "")
    assert world.messages == []
    finish(world, client)


def test_a_client_that_closes_while_it_does_not_read() -> None:
    """S9.3: no producer stands in the way of the transport's end, though it was paused."""
    world, client = opened()
    client.wire.producer.pauseProducing()
    client.send(close_frame())
    assert client.closed == (1000, "")
    finish(world, client)


@pytest.mark.parametrize("how", ["leave", "reset"])
def test_the_client_vanishes(how: str) -> None:
    """S9.3: without a close frame the code is 1006, and the connection is gone at once."""
    world, client = opened()
    getattr(client, how)()
    connection = world.converted[0]
    assert connection.closure == Closure(1006, "", ClosedBy.CLIENT)
    assert world.signals.open_connections() == ()
    connection.send("nobody hears this")
    connection.close()
    world.turn(10)
    assert has_no_timer(world)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4409, 4999])
def test_the_server_closes(code: int) -> None:
    """S10.2: the server closes with any code; the client answers; the socket is closed in good order, not reset."""
    world, client = opened()
    connection = world.converted[0]
    connection.close(code, "enough")
    assert client.closed == (code, "enough")
    assert client.wire.ended is None
    client.send(message("too late"), frame(b"", PING), close_frame(code))
    assert finish(world, client) == Closure(code, "enough", ClosedBy.SERVER)
    assert world.messages == []


def test_the_client_answers_with_a_code_of_its_own() -> None:
    """S9.3: the closure is the server's who began, whatever the client answers."""
    world, client = opened()
    world.converted[0].close(4000)
    client.send(close_frame(1001, "me too"))
    assert finish(world, client) == Closure(4000, "", ClosedBy.SERVER)


def test_the_client_answers_with_nonsense() -> None:
    """S9.3: an answer that is no good close frame ends the connection as well."""
    world, client = opened()
    world.converted[0].close(4000)
    client.send(close_frame(1006))
    assert client.closed == (4000, "")
    assert finish(world, client) == Closure(4000, "", ClosedBy.SERVER)


def test_the_client_does_not_answer() -> None:
    """S9.3: five seconds after the close frame the transport is aborted, no earlier, and Disconnect fires then."""
    world, client = opened()
    gone: list[Closure] = []
    world.converted[0].when_disconnected().addCallback(gone.append)
    world.converted[0].close(1000)
    world.turn(4.9)
    client.send(message("too late"), frame(b"", PING))
    assert client.wire.ended is None
    assert gone == []
    world.turn(0.1)
    assert client.wire.ended == "aborted"
    world.turn()
    assert gone == [Closure(1000, "", ClosedBy.SERVER)]
    assert client.closed == (1000, "")


def test_the_client_leaves_without_an_answer() -> None:
    """S9.3: a transport that ends after our close frame is the end, with our code."""
    world, client = opened()
    world.converted[0].close(4001, "go")
    client.reset()
    assert world.converted[0].closure == Closure(4001, "go", ClosedBy.SERVER)


def test_what_begins_behind_our_close_frame() -> None:
    """S9.3: of a message that begins after our close frame nothing is counted, nor the time that it takes."""
    world, client = opened(max_fragments=2)
    world.converted[0].close(4000)
    client.send(frame("{", fin=False), *[frame("", CONTINUATION, fin=False)] * 5)
    assert link_of(world.converted[0]).pulse.message_due is None
    client.send(close_frame(4000))
    assert finish(world, client) == Closure(4000, "", ClosedBy.SERVER)
    assert world.signals.counters.limits_hit == {}


def test_the_client_goes_on_in_the_middle_of_something_large() -> None:
    """S9.3: what a client goes on sending, good or bad, does not keep it from reading our close frame."""
    world, client = opened(max_message_bytes=1_000)
    client.send(frame(b'{"message": "', fin=False))
    world.converted[0].close(4000)
    with capturedLogs() as logged:
        client.send(
            frame(b"x" * 990, CONTINUATION, fin=False),
            frame(b"x" * 5_000, CONTINUATION),
            frame(b"\xff" * 100),
            frame(b"x" * 200, PING),
            frame(b"x", 7),
        )
    assert client.wire.ended is None
    client.send(close_frame(4000))
    assert finish(world, client) == Closure(4000, "", ClosedBy.SERVER)
    assert world.messages == []
    assert logged == []


def test_both_close() -> None:
    """S9.3: close frames that cross each other are a clean end."""
    world, client = opened()
    world.converted[0].close(4000)
    client.send(close_frame(1000, "bye"))
    assert client.closed == (4000, "")
    finish(world, client)


def test_the_server_closes_within_a_message() -> None:
    """S10.2: a signal route may close its own connection; the messages behind it are not dispatched."""
    world = World().converting()
    got: list[Any] = []

    @world.signals.route("/msg")
    def closing(event: Any) -> None:
        got.append(event.data.message)
        event.send("bye")
        event.connection.close(4000)

    client = world.client().open()
    client.send(message("one", direct=True) + message("two"))
    assert got == ["one"]
    assert client.closed == (4000, "")
    client.send(close_frame(4000))
    finish(world, client)


def test_a_pending_message_ends_with_a_clean_close() -> None:
    """S5.6: a client's close frame does not wait behind functions, not even where reading was paused."""
    world = World(max_pending_messages=4).converting()
    world.signals.add_route("/msg", lambda event: Deferred())
    client = world.client().open()
    client.send(*(message(number) for number in range(10)))
    assert client.wire.producerState == "paused"
    world.converted[0].close(1000)
    world.turn()
    assert client.wire.producerState == "producing"
    client.send(close_frame(1000))
    finish(world, client)


@pytest.mark.parametrize("by", ["client", "server", "abort", "leaves", "fails"])
def test_every_end(by: str) -> None:
    """S10.2: each way in which a connection ends works after settling, and leaves no timer."""
    world, client = opened()
    connection = world.converted[0]
    if by == "client":
        client.send(close_frame(1000))
    elif by == "server":
        connection.close(4000)
        client.send(close_frame(4000))
    elif by == "abort":
        link_of(connection).abort()
    elif by == "leaves":
        client.leave()
    else:
        client.send(frame(b"x", masked=False))
        assert client.closed is not None
        assert client.closed[0] == 1002
        client.send(close_frame(1002))
    world.turn()
    assert connection.state.value == "closed"
    assert world.signals.open_connections() == ()
    assert has_no_timer(world)


def test_a_count_that_comes_back() -> None:
    """S10.3: connections are not counted any more when they have ended."""
    _world, client = opened()
    factory = client.wire.protocol.factory
    assert factory.countConnections == 1
    client.leave()
    assert factory.countConnections == 0
