"""The WebSocket side of a connection on the wire: messages, limits, pings and every way in which it closes."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from typing import Any

import pytest
from autobahn.websocket.compress_deflate import PerMessageDeflateOffer
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from web_fakes import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Client,
    Frame,
    World,
    close_frame,
    failures_in,
    frame,
    head,
    message,
)

from pode_signals.core.model import ClosedBy, Closure
from pode_signals.hub.connection import SignalConnection
from pode_signals.hub.dispatch import Dispatch

pytestmark = pytest.mark.usefixtures("protocol")

GOOD_EXTENSION = ("Sec-WebSocket-Extensions", "permessage-deflate")


def opened(*more: tuple[str, str], **settings: Any) -> tuple[World, Client]:
    """A world with one open connection, whose messages are kept."""
    world = World(**settings).converting().listening()
    return world, world.client().open("/msg", *more)


def has_no_timer(world: World) -> bool:
    """Whether no timer of a connection is left."""
    return not any(isinstance(getattr(call.func, "__self__", None), SignalConnection) for call in world.clock.calls)


def finish(world: World, client: Client) -> Closure:
    """Let a closing handshake that the server has ended come to its end, and check that it was a clean one."""
    assert client.wire.ended == "closed"
    assert not client.wire.produced_at_end
    world.turn()
    connection = world.converted[0]
    assert connection.closure is not None
    assert world.signals.open_connections() == ()
    assert has_no_timer(world)
    return connection.closure


# Messages.


@pytest.mark.parametrize("size", [1, 125, 126, 65_000, 65_535])
def test_messages_of_all_lengths(size: int) -> None:
    """S5.1: a message arrives whole, whichever way its length is written, and goes out so."""
    world, client = opened()
    text = "x" * (size - len('{"message": ""}')) if size > 20 else "x"
    client.send(message(text))
    assert world.messages == [text]
    world.converted[0].send("y" * size)
    assert client.frames == [Frame(TEXT, b"y" * size)]


def test_a_message_that_comes_byte_by_byte() -> None:
    """S5.1: packets of the network have no meaning."""
    world, client = opened()
    client.send(*(bytes((each,)) for each in message("slow") + message("and steady")))
    assert world.messages == ["slow", "and steady"]


def test_many_messages_in_one_packet() -> None:
    """S5.6: messages of one packet are handled in their order."""
    world, client = opened()
    client.send(b"".join(message(number) for number in range(200)))
    assert world.messages == list(range(200))


def test_a_fragmented_message() -> None:
    """S5.1: a message in several frames is one message, also with a ping between them and a character cut in two."""
    world, client = opened()
    payload = '{"message": "caf\u00e9"}'.encode()
    at = payload.index(b"\xc3") + 1
    client.send(
        frame(payload[:5], fin=False),
        frame(payload[5:at], CONTINUATION, fin=False),
        frame(b"ping", PING),
        frame(b"", CONTINUATION, fin=False),
        frame(payload[at:], CONTINUATION),
    )
    assert world.messages == ["caf\u00e9"]
    assert client.frames == [Frame(PONG, b"ping")]


def test_ping_gets_a_pong_while_a_function_is_pending() -> None:
    """S5.6: a pong never waits behind functions, and the messages behind the pending one do."""
    world = World().converting()
    waiting: list[Deferred[None]] = []

    @world.signals.route("/msg")
    def pending(event: Any) -> Deferred[None]:
        waiting.append(Deferred())
        return waiting[-1]

    client = world.client().open()
    client.send(message("one"), message("two"), frame(b"are you there", PING), frame(b"", PING))
    assert client.frames == [Frame(PONG, b"are you there"), Frame(PONG, b"")]
    assert len(waiting) == 1
    client.send(close_frame(1000))
    assert client.closed == (1000, "")
    finish(world, client)


def test_an_unasked_pong_means_nothing() -> None:
    """S5.6: a pong that answers nothing is allowed (RFC 6455 section 5.5.3)."""
    world, client = opened()
    client.send(frame(b"hello", PONG), message("on"))
    assert world.messages == ["on"]
    assert client.frames == []


# Limits and bad frames.


def check_failed(world: World, client: Client, code: int) -> None:
    """The connection was failed with a close frame, which the client answers; it ends cleanly, nothing got through."""
    assert client.closed is not None
    assert client.closed[0] == code
    assert client.wire.ended is None
    assert world.signals.count() == 0
    client.send(close_frame(code))
    closure = finish(world, client)
    assert (closure.code, closure.by) == (code, ClosedBy.ERROR)


def test_binary_messages() -> None:
    """S5.8: a binary message closes with 1003."""
    world, client = opened()
    client.send(frame(b'{"message": 1}', BINARY), message("later"))
    check_failed(world, client, 1003)
    assert world.messages == []


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b'{"message": "\xe9"}', b"caf\xc3"],
)
def test_text_that_is_not_utf_8(payload: bytes) -> None:
    """S6.1: text that is not UTF-8 closes with 1007."""
    world, client = opened()
    client.send(frame(payload), message("later"))
    check_failed(world, client, 1007)
    assert world.messages == []


def test_the_rest_of_a_message_that_is_not_utf_8() -> None:
    """S6.1: the close frame is not lost to a reset because the bad message goes on for some packets."""
    world, client = opened()
    bad = frame(b"\xff" + b"x" * 5_000)
    client.send(bad[:1_000], bad[1_000:2_000], bad[2_000:], message("later"))
    check_failed(world, client, 1007)
    world, client = opened()
    client.send(frame(b"\xff", fin=False), frame(b"\xff", CONTINUATION, fin=False), frame(b"\xff", CONTINUATION))
    check_failed(world, client, 1007)


@pytest.mark.parametrize("limit", [20, 65_536])
def test_the_largest_message(limit: int) -> None:
    """S6.2: a message of exactly max_message_bytes is taken, one byte more closes with 1009."""
    world, client = opened(max_message_bytes=limit)
    text = "x" * (limit - len('{"message": ""}'))
    client.send(message(text))
    assert world.messages == [text]
    client.send(message(text + "x"))
    check_failed(world, client, 1009)
    assert world.messages == [text]


def test_the_largest_message_in_fragments() -> None:
    """S6.2: the limit is the message's, not the frame's."""
    world, client = opened(max_message_bytes=100)
    client.send(frame(b"x" * 60, fin=False), frame(b"x" * 40, CONTINUATION, fin=False))
    assert client.frames == []
    client.send(frame(b"x", CONTINUATION))
    check_failed(world, client, 1009)


def test_a_message_that_says_it_will_be_too_large() -> None:
    """S6.2: it is refused by its head, before its bytes come; they are discarded."""
    world, client = opened()
    client.send(b"\x81\xff" + struct.pack("!Q", 10_000_000) + b"\x00\x00\x00\x00")
    assert client.closed is not None
    assert client.closed[0] == 1009
    tracemalloc.start()
    try:
        client.send(*[b"x" * 100_000] * 100)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    check_failed(world, client, 1009)
    assert world.messages == []


BAD_FRAMES = {
    "an unmasked frame": frame(b'{"message": 1}', masked=False),
    "reserved bits": frame(b'{"message": 1}', rsv=1),
    "the bit of compression without compression": frame(b'{"message": 1}', rsv=4),
    "a reserved opcode": frame(b"x", 3),
    "a reserved control opcode": frame(b"x", 11),
    "a long ping": frame(b"x" * 126, PING),
    "a fragmented ping": frame(b"x", PING, fin=False),
    "a continuation of nothing": frame(b"x", CONTINUATION),
    "a text within a message": frame(b"x", fin=False) + frame(b"y"),
    "a length written too long": b"\x81\xfe\x00\x05\x00\x00\x00\x00hello",
}


@pytest.mark.parametrize("bad", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_bad_frames(bad: bytes) -> None:
    """S5.8: what is no WebSocket frame closes with 1002, and what follows is not dispatched."""
    world, client = opened()
    client.send(bad, message("later"))
    check_failed(world, client, 1002)
    assert world.messages == []


@pytest.mark.parametrize("first", [b"\x88", b"\x89", b"\x8a", b"\x8f"])
def test_an_endless_control_frame_is_not_kept(first: bytes) -> None:
    """S5.8: after the failure nothing is collected while the client goes on sending."""
    world, client = opened()
    client.send(first + b"\xff" + struct.pack("!Q", 1 << 40) + b"\x00\x00\x00\x00")
    assert client.closed is not None
    assert client.closed[0] == 1002
    tracemalloc.start()
    try:
        client.send(*[b"x" * 100_000] * 100)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    world.turn(5)
    assert client.wire.ended == "aborted"


def test_bytes_after_the_end_are_not_kept() -> None:
    """S5.8: between our closing and the transport's end incoming bytes are dropped (with TLS that can take a while)."""
    world, client = opened()
    protocol = client.wire.protocol
    client.send(close_frame())
    tracemalloc.start()
    try:
        for _ in range(100):
            protocol.dataReceived(b"x" * 100_000)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    finish(world, client)


# Compression.


def deflated(payload: bytes) -> bytes:
    """A message as permessage-deflate wants it (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def extensions(client: Client) -> str | None:
    """The extensions that were agreed on."""
    return client.answers[-1].value("Sec-WebSocket-Extensions")


def test_no_compression_by_default() -> None:
    """S6.2: compression is off unless it is asked for."""
    _, client = opened(GOOD_EXTENSION)
    assert extensions(client) is None


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate; server_no_context_takeover", "permessage-deflate"),
        ("permessage-deflate; client_no_context_takeover; client_max_window_bits=10", "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=10", "permessage-deflate"),
        ("foo, permessage-deflate; bar, permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=99, permessage-deflate", "permessage-deflate"),
    ],
)
def test_compression_is_agreed_on(offer: str, agreed: str) -> None:
    """S6.2: with compression=True a good offer of permessage-deflate is taken, and messages come in compressed."""
    world, client = opened(("Sec-WebSocket-Extensions", offer), compression=True)
    assert (extensions(client) or "").split(";")[0] == agreed
    client.send(frame(deflated(b'{"message": "small"}'), rsv=4), message("plain"))
    packed = deflated(b'{"message": "in parts"}')
    client.send(frame(packed[:3], fin=False, rsv=4), frame(packed[3:], CONTINUATION))
    assert world.messages == ["small", "plain", "in parts"]
    world.converted[0].send("answer")
    assert client.texts == ["answer"]


def test_what_is_sent_is_not_compressed() -> None:
    """S6.2: with compression agreed on, what the server sends is never compressed, to one or to many, pongs neither."""
    world, client = opened(GOOD_EXTENSION, compression=True)
    text = "a" * 10_000
    world.converted[0].send(text)
    world.signals.send(text, name="Msg")
    world.turn()
    client.send(frame(b"a" * 100, PING))
    assert [(each.rsv, len(each.payload)) for each in client.frames] == [(0, 10_000), (0, 10_000), (0, 100)]


def test_offers_of_other_compression_are_passed_over() -> None:
    """S6.2: where Autobahn knows other ways to compress, as it does beside some libraries, they are not taken."""
    world, _ = opened(compression=True)
    protocol: Any = world.converted[0]._link._transport
    other, good = object(), PerMessageDeflateOffer()
    assert protocol.perMessageCompressionAccept([other]) is None
    assert protocol.perMessageCompressionAccept([other, good]).offer is good


BAD_OFFERS = (
    "permessage-deflate; foo",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=010",
    "permessage-deflate; client_max_window_bits=1e1",
    "permessage-deflate; server_no_context_takeover=1",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate=1",
    "permessage-deflate;;;=;",
    "permessage-bzip2; client_max_compress_level=99",
    "permessage-deflate2",
    'x; y="',
    ";",
    ",,,",
    "=",
    "",
)


@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("offer", BAD_OFFERS)
def test_bad_offers_are_declined(offer: str, compression: bool) -> None:
    """S6.2: an offer of an extension that makes no sense is declined; it never fails the handshake."""
    world, client = opened(("Sec-WebSocket-Extensions", offer), compression=compression)
    assert extensions(client) is None
    client.send(message("well"))
    assert world.messages == ["well"]


def test_the_limit_holds_after_decompression() -> None:
    """S6.2: a message whose decompressed size is over the limit closes with 1009, and is not inflated first."""
    world, client = opened(GOOD_EXTENSION, compression=True)
    bomb = deflated(b'{"message": "' + b"x" * 20_000_000 + b'"}')
    assert len(bomb) < 65_536
    tracemalloc.start()
    try:
        client.send(frame(bomb, rsv=4), message("later"))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    check_failed(world, client, 1009)
    assert world.messages == []


def test_the_largest_compressed_message() -> None:
    """S6.2: exactly max_message_bytes decompressed is taken, one more is not; also in fragments and packets."""
    exactly = b'{"message": "' + b"x" * (1_000 - len('{"message": ""}')) + b'"}'
    world, client = opened(GOOD_EXTENSION, compression=True, max_message_bytes=1_000)
    client.send(frame(deflated(exactly), rsv=4))
    assert len(world.messages) == 1
    packed = deflated(exactly + b" ")
    client.send(frame(packed[:10], fin=False, rsv=4), frame(packed[10:], CONTINUATION), message("later"))
    check_failed(world, client, 1009)
    assert len(world.messages) == 1


def test_the_rest_of_a_bomb() -> None:
    """S6.2: while a message that is too large goes on, nothing more is inflated or kept, and the answer is found."""
    world, client = opened(GOOD_EXTENSION, compression=True)
    packed = deflated(b"x" * 5_000_000)
    client.send(
        *(frame(packed, CONTINUATION if number else TEXT, fin=False, rsv=0 if number else 4) for number in range(20))
    )
    client.send(frame(b"", CONTINUATION), frame(packed, rsv=4), frame(packed, rsv=4))
    check_failed(world, client, 1009)


@pytest.mark.parametrize("bad", [b"\xff\xff\xff\xff", b"\x07", b"hello"])
def test_what_is_not_deflate(bad: bytes) -> None:
    """S6.2: what can't be decompressed closes with 1007 or, by its size, 1009; never with a traceback."""
    world, client = opened(GOOD_EXTENSION, compression=True)
    with capturedLogs() as logged:
        client.send(frame(bad, rsv=4), message("later"))
        check_failed(world, client, 1007)
        world, client = opened(GOOD_EXTENSION, compression=True)
        client.send(frame(bad, rsv=4) + message("later") + close_frame(1000))
        assert finish(world, client).code == 1007
    assert failures_in(logged) == []
    assert world.messages == []


# The client closes.


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


# The transport ends.


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


# The server closes.


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
    assert world.converted[0]._link.pulse.message_due is None
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


# The fence.


def test_a_callback_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """S5.7: a defect of our own closes this connection with 1011, logged and counted; the client learns nothing."""
    world, client = opened()

    def broken(*_args: object) -> None:
        raise RuntimeError("secret")

    neighbour = world.client().open()
    monkeypatch.setattr(Dispatch, "_handle", broken)
    with capturedLogs() as logged:
        client.send(message("boom"))
    assert [str(failure.value) for failure in failures_in(logged)] == ["secret"]
    assert world.signals.counters.callbacks_failed == 1
    assert client.closed == (1011, "")
    monkeypatch.undo()
    neighbour.send(message("fine"))
    assert world.messages == ["fine"]


def test_what_the_client_sends_shows_in_no_log() -> None:
    """S5.8: a failed connection is one line in the log, without what the client sent, and with no traceback."""
    _world, client = opened()
    with capturedLogs() as logged:
        client.send(frame(b"secret \xff"), frame(b"secret", BINARY))
    assert failures_in(logged) == []
    assert "secret" not in repr(logged)


def test_subprotocols() -> None:
    """S2.1: of the server's subprotocols the first that the client offers is agreed on, or none."""
    world = World().converting(subprotocols=("b", "a")).converting("/none", "None")
    client = world.client()
    assert client.ask(head("/msg", ("Sec-WebSocket-Protocol", "a, c, b"))).value("Sec-WebSocket-Protocol") == "b"
    assert world.converted[0].subprotocol == "b"
    for offered in ("c", "B", None):
        more = () if offered is None else (("Sec-WebSocket-Protocol", offered),)
        assert world.client().ask(head("/msg", *more)).value("Sec-WebSocket-Protocol") is None
    several = head("/msg", ("Sec-WebSocket-Protocol", "x"), ("Sec-WebSocket-Protocol", "a"))
    assert world.client().ask(several).value("Sec-WebSocket-Protocol") == "a"
    assert world.client().ask(head("/none", ("Sec-WebSocket-Protocol", "a"))).value("Sec-WebSocket-Protocol") is None


# Whatever way it ends.


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
        connection._link.abort()
    elif by == "leaves":
        client.leave()
    else:
        client.send(frame(b"x", masked=False))
        assert client.frames[-1] == Frame(CLOSE, client.frames[-1].payload)
        assert client.frames[-1].code == 1002
        client.send(close_frame(1002))
    world.turn()
    assert connection.state.value == "closed"
    assert world.signals.open_connections() == ()


def test_a_count_that_comes_back() -> None:
    """S10.3: connections are not counted any more when they have ended."""
    world, client = opened()
    factory: Any = world.converted[0]._link._transport.factory
    assert factory.countConnections == 1
    client.leave()
    assert factory.countConnections == 0


def test_a_text_on_its_way_while_the_route_ends() -> None:
    """S2.6: what was pipelined comes in front of what the client sends when the route has ended."""
    world = World().converting().listening()
    client = world.client()
    client.send(head() + message(1), message(2))
    world.turn()
    client.send(message(3))
    assert world.messages == [1, 2, 3]
    assert [each.opcode for each in client.frames if each.opcode == TEXT] == []
