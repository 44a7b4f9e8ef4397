"""Compression: which offers are agreed on, and that limits hold for what was decompressed."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from autobahn.websocket.compress_deflate import PerMessageDeflateOffer
from transports.open_worlds import GOOD_EXTENSION, check_failed, finish, opened
from twisted.logger import capturedLogs
from web_fakes import CONTINUATION, PING, TEXT, Client, close_frame, failures_in, frame, message

pytestmark = pytest.mark.usefixtures("protocol")


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
    _world, client = opened(compression=True)
    protocol = client.wire.protocol
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
