"""Streams of bytes on an open connection that are no good frames, or too many of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import chain

from integration.bad_input.cases import ABORTS, CLEAN, OPENS, Stream
from web_fakes import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, close_frame, frame, message

__all__ = ["CASES"]

MASK = b"\0\0\0\0"
MAX_MESSAGE_BYTES = 65_536
MAX_FRAGMENTS = 1_024
CONTROL_BURST = 20


def _sized(opcode: int, marker: int, size: bytes, data: bytes = b"") -> bytes:
    """A masked frame that writes its length as it is told."""
    return bytes((0x80 | opcode, 0x80 | marker)) + size + MASK + data


def _first_bytes() -> Iterator[Stream]:
    yield Stream("unmasked", frame('{"message": 1}', masked=False), 1002)
    yield Stream("unmasked and empty", frame("", masked=False), 1002)
    yield Stream("an unmasked ping", frame(b"x", PING, masked=False), 1002)
    yield Stream("an unmasked close frame", b"\x88\x02\x03\xe8", 1002)
    yield Stream("unmasked after a good one", message(1) + frame("{}", masked=False), 1002, replies=(_echo(b"1"),))
    for rsv in range(1, 8):
        yield Stream(f"reserved bits {rsv:03b}", frame("{}", rsv=rsv), 1002)
    for name, opcode in (("ping", PING), ("continuation", CONTINUATION), ("close", CLOSE)):
        # A close frame with a reserved bit is no close frame, but the answer to ours all the same.
        yield Stream(f"reserved bits in a {name} frame", frame(b"\x03\xe8", opcode, rsv=4), 1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Stream(f"the opcode {opcode}", frame(b"x", opcode), 1002)
        yield Stream(f"the opcode {opcode}, empty and not final", frame(b"", opcode, fin=False), 1002)


def _control() -> Iterator[Stream]:
    for name, opcode in (("ping", PING), ("pong", PONG), ("close frame", CLOSE)):
        yield Stream(f"a {name} of 126 bytes", frame(b"\x03\xe8" + b"x" * 124, opcode), 1002)
        yield Stream(f"a {name} of 65,536 bytes", frame(b"\x03\xe8" + b"x" * 65_534, opcode), 1002)
        yield Stream(f"a {name} that is not final", frame(b"\x03\xe8", opcode, fin=False), 1002)
        yield Stream(f"a {name} with its length in 16 bits", _sized(opcode, 126, b"\0\2", b"\x03\xe8"), 1002)
    most = b"x" * 125
    yield Stream("a ping of 125 bytes, for comparison", frame(most, PING), 0, OPENS, (Frame(PONG, most),))
    yield Stream("a pong that nobody asked for", frame(b"\0\0\0\1", PONG), 0, OPENS)
    burst = tuple([Frame(PONG, b"")] * CONTROL_BURST)
    yield Stream("one ping too many", frame(b"", PING) * (CONTROL_BURST + 1), 1008, replies=burst)
    yield Stream("one pong too many", frame(b"", PONG) * (CONTROL_BURST + 1), 1008)
    inside = frame('{"message"', fin=False) + frame(b"x", PING) * (CONTROL_BURST + 1)
    yield Stream("one ping too many inside a message", inside, 1008, replies=tuple([Frame(PONG, b"x")] * CONTROL_BURST))


def _lengths() -> Iterator[Stream]:
    for name, data in {
        "0 in 16 bits": _sized(TEXT, 126, b"\0\0"),
        "125 in 16 bits": _sized(TEXT, 126, b"\0\x7d", b"x" * 125),
        "5 in 64 bits": _sized(TEXT, 127, struct.pack("!Q", 5), b"hello"),
        "0 in 64 bits": _sized(TEXT, 127, bytes(8)),
        "65,535 in 64 bits": _sized(TEXT, 127, struct.pack("!Q", 65_535), b"x" * 65_535),
    }.items():
        yield Stream(f"a length of {name}", data, 1002)
    for name, length, code in (
        ("2^63", 2**63, 1002),
        ("2^64-1", 2**64 - 1, 1002),
        ("2^63-1", 2**63 - 1, 1009),
        ("2^32", 2**32, 1009),
        ("65,537", MAX_MESSAGE_BYTES + 1, 1009),
    ):
        for kind, opcode in (("text", TEXT), ("binary data", BINARY)):
            data = _sized(opcode, 127, struct.pack("!Q", length))
            yield Stream(f"the announcement of {name} bytes of {kind}", data, code, ABORTS, server="hasty")
    rest = frame("{", fin=False) + _sized(CONTINUATION, 127, struct.pack("!Q", 2**63 - 1))
    yield Stream("the announcement of 2^63-1 bytes more", rest, 1009, ABORTS, server="hasty")
    yield Stream("a byte too much", frame(b" " * (MAX_MESSAGE_BYTES + 1)), 1009)
    yield Stream(
        "a byte too much, of a second frame", frame(b" " * MAX_MESSAGE_BYTES, fin=False) + frame(b" ", 0), 1009
    )
    yield Stream(
        "too much in small frames", frame(b" " * 1_000, fin=False) + frame(b" " * 1_000, 0, fin=False) * 70, 1009
    )
    whole = b'{"message": 1' + b" " * (MAX_MESSAGE_BYTES - 14) + b"}"
    yield Stream("as much as may be, for comparison", frame(whole), 0, OPENS, (_echo(b"1"),))


def _fragments() -> Iterator[Stream]:
    begin = frame('{"message":', fin=False)
    yield Stream("a continuation of nothing", frame(b"x", CONTINUATION), 1002)
    yield Stream("a continuation of nothing, not final", frame(b"x", CONTINUATION, fin=False), 1002)
    yield Stream("a continuation of a whole message", message(1) + frame(b"x", 0), 1002, replies=(_echo(b"1"),))
    yield Stream("text inside a message", begin + frame("1}"), 1002)
    yield Stream("text inside a message, not final", begin + frame("1}", fin=False), 1002)
    yield Stream("binary data inside a message", begin + frame(b"1}", BINARY), 1002)
    ping = (Frame(PONG, b"x"),)
    yield Stream(
        "a ping inside a message, which may be",
        begin + frame(b"x", PING) + frame("1}", 0),
        0,
        OPENS,
        (*ping, _echo(b"1")),
    )
    yield Stream("a close frame inside a message", begin + close_frame(1000), 1000)
    small = frame(b"", CONTINUATION, fin=False)
    yield Stream("one fragment too many", begin + frame(b" ", 0, fin=False) * MAX_FRAGMENTS, 1008)
    yield Stream("one empty fragment too many", begin + small * MAX_FRAGMENTS, 1008)
    last = begin + small * (MAX_FRAGMENTS - 2) + frame("1}", CONTINUATION)
    yield Stream("as many fragments as may be, for comparison", last, 0, OPENS, (_echo(b"1"),))
    yield Stream("binary data", frame(b"x", BINARY), 1003)
    yield Stream("no binary data", frame(b"", BINARY), 1003)
    yield Stream("binary data that is JSON", frame(b'{"message": 1}', BINARY), 1003)
    yield Stream("binary data in two frames", frame(b"x", BINARY, fin=False) + frame(b"y", 0), 1003)


def _utf8() -> Iterator[Stream]:
    for name, text in {
        "a continuation byte": b"\x80",
        "0xfe": b"\xfe",
        "0xff": b"\xff",
        "an overlong slash": b"\xc0\xaf",
        "an overlong NUL": b"\xc0\x80",
        "an overlong A in three bytes": b"\xe0\x81\x81",
        "an overlong euro in four bytes": b"\xf0\x82\x82\xac",
        "a high surrogate": b"\xed\xa0\x80",
        "a low surrogate": b"\xed\xbf\xbf",
        "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
        "U+110000": b"\xf4\x90\x80\x80",
        "five bytes": b"\xf8\x88\x80\x80\x80",
        "a character cut off": b"\xe2\x82",
        "a character cut off by an ASCII one": b"\xe2\x82x",
    }.items():
        yield Stream(f"no UTF-8: {name}", frame(b'{"message":"' + text), 1007)
        halves = frame(b'{"message":"' + text[:1], fin=False), frame(text[1:], CONTINUATION)
        yield Stream(f"no UTF-8, in two frames: {name}", b"".join(halves), 1007)
    yield Stream("no UTF-8 in a frame that is not final", frame(b"\xff", fin=False), 1007)
    yield Stream(
        "a ping inside a character that is none",
        frame(b"\xe2", fin=False) + frame(b"", PING) + frame(b"\x28", 0),
        1007,
        replies=(Frame(PONG, b""),),
    )
    split = [frame(b'{"message":"\xf0', fin=False), *(frame(bytes((each,)), 0, fin=False) for each in b"\x9f\x98\x80")]
    whole = b"".join(split) + frame(b'"}', CONTINUATION)
    yield Stream("a character in four frames, which may be", whole, 0, OPENS, (_echo('"\U0001f600"'.encode()),))
    yield Stream(
        "the same, a byte at a time",
        tuple(whole[at : at + 1] for at in range(len(whole))),
        0,
        OPENS,
        (_echo('"\U0001f600"'.encode()),),
    )


def _closes() -> Iterator[Stream]:
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535):
        yield Stream(f"the close code {code}", close_frame(code), 1002)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield Stream(f"the close code {code}, which may be", close_frame(code, "bye"), code)
    yield Stream("a close frame of one byte", frame(b"\x03", CLOSE), 1002)
    yield Stream("a close frame without a code, which may be", close_frame(None), None)
    yield Stream("a close frame with a reason of 123 bytes, which may be", close_frame(1000, "r" * 123), 1000)
    for name, reason in {"0xff": b"\xff", "a surrogate": b"\xed\xa0\x80", "a character cut off": b"\xe2\x82"}.items():
        yield Stream(f"a close reason that is no UTF-8: {name}", close_frame(1000, reason), 1007)
    yield Stream("a bad close code with a bad reason", close_frame(999, b"\xff"), 1002)
    for name, more in {
        "a message": message("late"),
        "a ping": frame(b"late", PING),
        "another close frame": close_frame(1001),
        "a bad frame": frame(b"\xff", 7),
        "garbage": b"\xff" * 1_000,
        "a request": b"GET /page HTTP/1.1\r\nHost: example.com\r\n\r\n",
    }.items():
        yield Stream(f"behind a close frame, {name}", close_frame(1000) + more, 1000)


def _no_frames() -> Iterator[Stream]:
    yield Stream("a request", b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 1002, ABORTS, server="hasty")
    yield Stream("zeros", bytes(1_000), 1002, ABORTS, server="hasty")
    yield Stream("0xff", b"\xff" * 1_000, 1002, ABORTS, server="hasty")
    yield Stream("a frame that never ends", frame("x" * 100)[:-1], 1008, ABORTS, server="hasty")
    yield Stream("a message that never ends", frame("{", fin=False), 1008, CLEAN, server="hasty")
    yield Stream(
        "a message that never ends, with pings",
        frame("{", fin=False) + frame(b"", PING),
        1008,
        CLEAN,
        (Frame(PONG, b""),),
        server="hasty",
    )


def _compressed() -> Iterator[Stream]:
    hub = "compressing"
    for name, data, code in (
        ("that is none", b"\xff" * 50, 1007),
        ("of a reserved kind", b"\x06", 1007),
        ("that is no UTF-8", _deflated(b"\xff" * 50), 1007),
        ("of 16 MB", _deflated(b" " * 16_000_000), 1009),
        ("of a bit too much", _deflated(b" " * (MAX_MESSAGE_BYTES + 300)), 1009),
    ):
        yield Stream(f"compressed data {name}", frame(data, rsv=4), code, server=hub)
    halves = _deflated(b" " * 100_000)
    in_two = frame(halves[:20], rsv=4, fin=False) + frame(halves[20:], CONTINUATION)
    yield Stream("compressed data of too much in two frames", in_two, 1009, server=hub)
    begin = frame(_deflated(b'{"message": 1}')[:3], rsv=4, fin=False)
    yield Stream("compressed data that is told again", begin + frame(b"", CONTINUATION, rsv=4), 1002, server=hub)
    yield Stream("a compressed ping", frame(b"x", PING, rsv=4), 1002, server=hub)
    yield Stream("another reserved bit beside compression", frame(b"x", rsv=6), 1002, server=hub)
    whole = frame(_deflated(b'{"message": 1}'), rsv=4)
    yield Stream("compressed data, which may be", whole, 0, OPENS, (_echo(b"1"),), server=hub)


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def _echo(data: bytes) -> Frame:
    return Frame(TEXT, b'{"echo":' + data + b"}")


CASES = tuple(
    chain(_first_bytes(), _control(), _lengths(), _fragments(), _utf8(), _closes(), _no_frames(), _compressed())
)
