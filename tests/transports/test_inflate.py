"""Compressed messages: what they inflate to, what is refused, and that it makes no difference where they are cut."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Sequence

import pytest
from autobahn.exception import PayloadCorruptError, PayloadExceededError
from autobahn.websocket.compress import PerMessageDeflate
from twisted.logger import capturedLogs
from web_fakes import CLOSE, CONTINUATION, PING, TEXT, Frame, World, close_frame, failures_in, frame, message

from pode_signals.transports.inflate import Inflater

BOTH_PROTOCOLS = pytest.mark.usefixtures("protocol")
OFFER = ("Sec-WebSocket-Extensions", "permessage-deflate")
LIMIT = 64
SYNC = b"\0\0\xff\xff"  # what a sender leaves out at the end of a message


def deflated(data: bytes, level: int = -1, end: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """A message as permessage-deflate wants it."""
    packer = zlib.compressobj(level, wbits=-15)
    return (packer.compress(data) + packer.flush(end)).removesuffix(SYNC)


def symbols(*bits: str) -> bytes:
    """Bits in the order in which they come (RFC 1951 section 3.1.1), filled up with zeros."""
    together = "".join(bits)
    return bytes(int(together[at : at + 8][::-1], 2) for at in range(0, len(together), 8))


FIXED_BLOCK = "010"  # not the last one, with fixed codes (RFC 1951 section 3.2.6)
REPEAT_258 = "11000101" + "00000"  # the byte before, so many times


def literals(text: bytes) -> str:
    """Bytes under 144, each as it is."""
    return "".join(f"{0x30 + each:08b}" for each in text)


def inflater() -> Inflater:
    """One that has inflated nothing yet."""
    return Inflater(PerMessageDeflate(True, False, False, 0, 0, 0))


def inflate(one: Inflater, parts: Sequence[bytes], limit: int = LIMIT) -> bytes:
    """A message that comes in parts."""
    one.start_decompress_message()
    whole = b""
    for part in parts:
        whole += one.decompress_message_data(part, limit - len(whole))
    one.end_decompress_message()
    return whole


def cut(data: bytes) -> list[list[bytes]]:
    """Some data in one piece, in two at each place, and byte by byte."""
    in_two = [[data[:at], data[at:]] for at in range(1, len(data))]
    return [[data], *in_two, [data[at : at + 1] for at in range(len(data))]]


class TestInflater:
    def test_messages_share_a_window(self) -> None:
        """S6.2: a message may refer to those before it (RFC 7692 section 7.1.1)."""
        packer, one = zlib.compressobj(wbits=-15), inflater()
        for _ in range(3):
            packed = (packer.compress(b"again and again") + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(SYNC)
            assert inflate(one, [packed]) == b"again and again"
        assert len(packed) < 8

    def test_what_is_sent(self) -> None:
        """S6.2: it can send as well, within what was agreed on."""
        sender = Inflater(PerMessageDeflate(True, True, False, 9, 0, 1))
        sender.start_compress_message()
        packed = sender.compress_message_data(b"an answer") + sender.end_compress_message()
        assert inflate(inflater(), [packed]) == b"an answer"
        assert (sender.server_no_context_takeover, sender.server_max_window_bits, sender.mem_level) == (True, 9, 1)

    @pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
    @pytest.mark.parametrize("level", [0, 9])
    def test_the_limit(self, size: int, level: int) -> None:
        """S6.2: a message of the limit is taken, one of a byte more is not, however it is cut."""
        for parts in cut(deflated(b"x" * size, level)):
            if size == LIMIT:
                assert inflate(inflater(), parts) == b"x" * size
            else:
                with pytest.raises(PayloadExceededError):
                    inflate(inflater(), parts)

    @pytest.mark.parametrize(
        "packed",
        [
            symbols(FIXED_BLOCK, literals(b"x"), REPEAT_258),
            symbols(FIXED_BLOCK, literals(b"x" * (LIMIT + 1))),
            symbols(FIXED_BLOCK, literals(b"x" * LIMIT), REPEAT_258),
        ],
    )
    def test_a_last_symbol_past_the_limit(self, packed: bytes) -> None:
        """S6.2: a message whose last symbol reaches past the limit is too large, and not cut off there."""
        for parts in cut(packed):
            with pytest.raises(PayloadExceededError):
                inflate(inflater(), parts)

    @pytest.mark.parametrize("packed", [b"\xff\xff\xff\xff", b"\x07", b"hello", b"\x00\x05\x00\x00\x00hello"])
    def test_what_is_not_deflate(self, packed: bytes) -> None:
        """S6.2: data that can't be inflated is bad, however it is cut."""
        for parts in cut(packed):
            with pytest.raises(PayloadCorruptError):
                inflate(inflater(), parts)

    def test_a_message_that_is_cut_off(self) -> None:
        """S6.2: a message that needs the end of its last block to be whole is not taken for what there is of it."""
        for parts in cut(symbols(FIXED_BLOCK, literals(b"abc"))[:-1] + b"\xff"):
            with pytest.raises(PayloadCorruptError):
                inflate(inflater(), parts)

    @pytest.mark.parametrize("end", [b"", b"\0"])
    def test_a_final_block(self, end: bytes) -> None:
        """S6.2: a message may end with a final block (RFC 7692 section 7.2.3.4); so may the next one."""
        packed = deflated(b"final", end=zlib.Z_FINISH) + end
        for parts in cut(packed):
            one = inflater()
            assert [inflate(one, parts) for _ in range(3)] == [b"final"] * 3
            assert inflate(one, [deflated(b"not final")]) == b"not final"

    def test_data_behind_a_final_block(self) -> None:
        """S6.2: what goes on behind a final block is bad, and not kept."""
        for parts in cut(deflated(b"final", end=zlib.Z_FINISH) + b"\0more"):
            with pytest.raises(PayloadCorruptError):
                inflate(inflater(), parts)
        one = inflater()
        assert inflate(one, [deflated(b"final", end=zlib.Z_FINISH)]) == b"final"
        one.start_decompress_message()
        one.decompress_message_data(deflated(b"final", end=zlib.Z_FINISH), LIMIT)
        zeros = bytes(100_000)
        tracemalloc.start()
        try:
            for _ in range(100):
                assert one.decompress_message_data(zeros, LIMIT) == b""
            assert tracemalloc.get_traced_memory()[0] < 10_000
        finally:
            tracemalloc.stop()


# The same on the wire.


def compressing() -> World:
    """A world whose clients may send compressed messages, of at most LIMIT bytes, which are kept."""
    return World(compression=True, max_message_bytes=LIMIT).converting().listening()


def packed_frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """A frame that begins a compressed message."""
    return frame(payload, opcode, fin=fin, rsv=4)


HALVES = (
    deflated(b'{"message":' + b" " * 46) + SYNC,
    deflated(b'"full"}', 0),
)  # the second is longer than it inflates to
IN_TWO = HALVES[0] + HALVES[1]
BAD_UTF_8 = deflated(b'{"message": "\xff"}')
TOO_LARGE = deflated(b'{"message": "' + b"x" * 100 + b'"}')
DAMAGED = bytearray(deflated(b'{"message": "compressed"}'))
DAMAGED[3] ^= 0x55

# What a client sends, and the close frame that it gets, with the messages that are handled before.
STREAMS: dict[str, tuple[bytes, int | None, list[object]]] = {
    "a message of just the limit": (packed_frame(IN_TWO), None, ["full"]),
    "one in two frames": (
        packed_frame(HALVES[0][:5], fin=False) + frame(b"p", PING) + frame(IN_TWO[5:], CONTINUATION) + message(1),
        None,
        ["full", 1],
    ),
    "then a bad frame": (packed_frame(IN_TWO) + frame(b"x", 3), 1002, ["full"]),
    "bad in the middle of a message": (packed_frame(HALVES[0], fin=False) + packed_frame(HALVES[1]), 1002, []),
    "an unmasked frame behind a part": (
        packed_frame(deflated(b'{"message": "compressed"}'))
        + packed_frame(b'"\x89\x81\x01\x00\x00\x00xV', fin=False)
        + frame(b"M", masked=False),
        1002,
        ["compressed"],
    ),
    "bad UTF-8": (message(1) + packed_frame(BAD_UTF_8) + frame(b"x", 3), 1007, [1]),
    "bad UTF-8 in two frames": (
        packed_frame(BAD_UTF_8[:9], fin=False) + frame(BAD_UTF_8[9:], CONTINUATION) + message(1),
        1007,
        [],
    ),
    "half a character": (packed_frame(deflated(b'{"message": 1} \xe2\x82')) + message(1), 1007, []),
    "too large": (message(1) + packed_frame(TOO_LARGE) + frame(b"x", 3), 1009, [1]),
    "too large in two frames": (
        packed_frame(TOO_LARGE[:9], fin=False) + frame(TOO_LARGE[9:], CONTINUATION) + message(1),
        1009,
        [],
    ),
    "damaged": (packed_frame(bytes(DAMAGED)) + message(1) + packed_frame(TOO_LARGE), 1007, []),
    "damaged in the second frame": (
        packed_frame(HALVES[0], fin=False) + frame(b"\x07", CONTINUATION) + message(1),
        1007,
        [],
    ),
    "cut off": (packed_frame(symbols(FIXED_BLOCK, literals(b"abc"))[:-1] + b"\xff") + message(1), 1007, []),
    "behind a final block": (packed_frame(deflated(b"{}", end=zlib.Z_FINISH) + b"\1") + message(1), 1007, []),
    "an unfinished message, then the end": (packed_frame(TOO_LARGE[:9], fin=False) + close_frame(1000), 1000, []),
}


@BOTH_PROTOCOLS
@pytest.mark.parametrize("name", STREAMS)
def test_where_it_is_cut(name: str) -> None:
    """S6.2: messages, answers and the close frame are the same, whatever pieces the bytes of a client come in."""
    data, code, messages = STREAMS[name]
    world = compressing()
    told: list[list[Frame]] = []
    for parts in cut(data):
        del world.messages[:]
        client = world.client().open("/msg", OFFER)
        client.send(*parts)
        assert world.messages == messages
        assert (client.closed or [None])[0] == code
        told.append(client.frames)
        if client.wire.ended is None:
            client.reset()
    assert told.count(told[0]) == len(told)


@BOTH_PROTOCOLS
def test_a_message_of_just_the_limit_in_two_packets() -> None:
    """S6.2: a message within the limit is taken, also where its second half is larger compressed than inflated."""
    text = b'{"message": "' + b"x" * 60_000
    text += bytes(33 + (at * at * 7 + at) % 2 for at in range(65_536 - len(text) - 2)).replace(b'"', b"#") + b'"}'
    first, second = deflated(text[:60_050]) + SYNC, deflated(text[60_050:], 0)
    world = World(compression=True).converting().listening()
    whole = packed_frame(first + second)
    for at in (0, len(first) + 8):
        world.client().open("/msg", OFFER).send(whole[:at], whole[at:])
    assert [len(str(each)) for each in world.messages] == [65_536 - len('{"message": ""}')] * 2


# While the connection closes.


@BOTH_PROTOCOLS
def test_closing_in_the_middle_of_a_compressed_message() -> None:
    """S9.3: a client that is closed in the middle of a compressed message ends it, and its answer counts."""
    whole = packed_frame(deflated(bytes(33 + at * at % 61 for at in range(400))))
    for at in range(1, len(whole)):
        world = World(compression=True).converting().listening()
        client = world.client().open("/msg", OFFER)
        with capturedLogs() as logged:
            client.send(whole[:at])
            world.converted[0].close(4000)
            client.send(whole[at:], message(1), packed_frame(TOO_LARGE))
            client.send(close_frame(4000))
        assert failures_in(logged) == []
        assert (client.frames, client.wire.ended) == ([Frame(CLOSE, b"\x0f\xa0")], "closed")
        assert (world.messages, world.signals.counters.callbacks_failed) == ([], 0)


@BOTH_PROTOCOLS
def test_a_compressed_message_upon_which_a_callback_raises() -> None:
    """S5.7: a defect of our own is logged once, and the client's answer to the close frame is understood."""
    world = compressing()
    client = world.client().open("/msg", OFFER)

    def broken(*_args: object) -> None:
        raise LookupError

    client.wire.protocol.deliver = broken
    with capturedLogs() as logged:
        client.send(packed_frame(deflated(b"{}")) + close_frame(1011)[:3], close_frame(1011)[3:])
    assert [type(each.value) for each in failures_in(logged)] == [LookupError]
    assert (client.closed, client.wire.ended) == ((1011, ""), "closed")
