"""Heads whose bytes are bad: smuggled headers, control characters, folded lines, bodies, sizes and slowness."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from integration.bad_input.cases import CLOSES, OPENS, Handshake
from web_fakes import KEY, head, plain

__all__ = ["CASES"]

SMUGGLED = b"X-Smuggled: yes"
UNSEEN = "x-smuggled"
# What Python's text functions take for the end of a line, and HTTP does not.
LINE_ENDS_OF_TEXT = (b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x85")
HEAD_BYTES = 16_384


def _with(lines: bytes, path: str = "/headers") -> bytes:
    """A handshake with further lines, first of all after the Host."""
    before, host, after = head(path).partition(b"Host: example.com\r\n")
    return before + host + lines + b"\r\n" + after


def _plain_with(lines: bytes) -> bytes:
    return plain("/headers")[:-2] + lines + b"\r\n\r\n"


def _smuggled() -> Iterator[Handshake]:
    for end in LINE_ENDS_OF_TEXT:
        what = f"0x{end.hex()}"
        line = b"X-Kept: a" + end + SMUGGLED
        yield Handshake(f"a header behind {what}, in an upgrade", _with(line), 101, then=OPENS, unseen=UNSEEN)
        yield Handshake(f"a header behind {what}, in a plain request", _plain_with(line), 200, unseen=UNSEEN)
        for name in ("Host", "Origin", "Sec-WebSocket-Protocol", "Connection"):
            value = {"Host": b"example.com", "Origin": b"http://example.com", "Connection": b"Upgrade, a"}.get(
                name, b"a"
            )
            yield Handshake(
                f"a header behind {what} in {name}",
                head("/msg", (name, value + end + SMUGGLED)),
                400,
            )
    for what, end in {"U+0085": b"\xc2\x85", "U+2028": b"\xe2\x80\xa8", "U+2029": b"\xe2\x80\xa9"}.items():
        line = b"X-Kept: a" + end + SMUGGLED
        yield Handshake(f"a header behind {what}, in an upgrade", _with(line), 101, then=OPENS, unseen=UNSEEN)
        yield Handshake(f"a header behind {what} in Origin", head("/msg", ("Origin", b"a" + end + SMUGGLED)), 400)
    yield Handshake(
        "an Origin behind 0x0b in another header",
        _with(b"X: a\x0bOrigin: http://evil.example"),
        101,
        then=OPENS,
        unseen="origin",
    )


def _characters() -> Iterator[Handshake]:
    for what, line in {
        "NUL in a value": b"X-A: a\0b",
        "CR in a value": b"X-A: a\rb",
        "LF in a value": b"X-A: a\n" + SMUGGLED,
        "CR before the line's end": b"X-A: a\r",
        "a line that ends with LF alone": b"X-A: a\nX-B: b",
        "NUL in a name": b"X\0A: b",
        "0x85 in a name": b"X\x85A: b",
        "a space before the colon": b"X-A : b",
        "a tab before the colon": b"X-A\t: b",
        "a name that is no token": b"X(A): b",
        "no name": b": b",
        "no colon": b"X-A",
        "a folded line with a bad name": b"X A: b\r\n c",
    }.items():
        yield Handshake(f"a header: {what}", _with(line), 400, then=CLOSES)
        yield Handshake(f"a plain request's header: {what}", _plain_with(line), 400, then=CLOSES)
    for name in ("Origin", "Sec-WebSocket-Protocol", "Upgrade"):
        yield Handshake(f"NUL in {name}", head("/msg", (name, b"a\0b")), 400, then=CLOSES)
        yield Handshake(f"DEL in {name}", head("/msg", (name, b"websocket, a\x7f")), 400)
    yield Handshake("UTF-8 in Connection", head("/msg", ("Connection", "Upgrade, \u00fc")), 400)


def _folded() -> Iterator[Handshake]:
    fold = b"X-Kept: a\r\n " + SMUGGLED
    yield Handshake("a folded header", _with(fold), 101, then=OPENS, unseen=UNSEEN)
    yield Handshake("a folded header, by a tab", _with(fold.replace(b"\n ", b"\n\t")), 101, then=OPENS, unseen=UNSEEN)
    yield Handshake("a folded header in a plain request", _plain_with(fold), 200, unseen=UNSEEN)
    yield Handshake("a folded line first of all", _lines_first(b" " + SMUGGLED), 400, then=CLOSES)
    for name, value in {
        "Host": b"example.com\r\n .evil.example",
        "Origin": b"http://example.com\r\n .evil.example",
        "Sec-WebSocket-Key": KEY + b"\r\n x",
        "Sec-WebSocket-Version": b"13\r\n 8",
    }.items():
        yield Handshake(f"a folded {name}", head("/msg", (name, value)), 400)


def _lines_first(lines: bytes) -> bytes:
    line, end, rest = head().partition(b"\r\n")
    return line + end + lines + end + rest


def _bodies() -> Iterator[Handshake]:
    for what, lines in {
        "-1": b"Content-Length: -1",
        "+0": b"Content-Length: +0",
        "0, 0": b"Content-Length: 0, 0",
        "0 0": b"Content-Length: 0 0",
        "0x0": b"Content-Length: 0x0",
        "0.0": b"Content-Length: 0.0",
        "an Arabic digit": "Content-Length: \u0660".encode(),
        "nothing": b"Content-Length:",
        "twice": b"Content-Length: 0\r\nContent-Length: 0",
        "twice, not alike": b"Content-Length: 0\r\nContent-Length: 5",
        "5, and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        "of 5,000 digits": b"Content-Length: " + b"0" * 5_000,
        "behind chunked": b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    }.items():
        yield Handshake(f"Content-Length {what}", _with(lines, "/msg"), 400, then=CLOSES)
    for what, value in {
        "gzip": b"gzip",
        "identity": b"identity",
        "gzip, chunked": b"gzip, chunked",
        "chunked, chunked": b"chunked, chunked",
        "xchunked": b"xchunked",
        "chunked behind 0x0b": b"\x0bchunked",
        "nothing": b"",
        "twice": b"chunked\r\nTransfer-Encoding: chunked",
    }.items():
        yield Handshake(f"Transfer-Encoding {what}", _with(b"Transfer-Encoding: " + value, "/msg"), 400, then=CLOSES)
    chunked = ("Transfer-Encoding", "chunked")
    yield Handshake("a body", head("/msg", ("Content-Length", "5")) + b"hello", 400)
    yield Handshake("a body of zeros", head("/msg", ("Content-Length", "00")), 400)
    yield Handshake("a body that is a frame", head("/msg", ("Content-Length", "7")) + b"\x81\x81\0\0\0\0x", 400)
    yield Handshake("a chunked body", head("/msg", chunked) + b"1\r\nx\r\n0\r\n\r\n", 400)
    for what, chunk in {
        "with a bad size": b"zz\r\n",
        "with a negative size": b"-1\r\n",
        "with a signed size": b"+1\r\nx\r\n",
        "with a size in 0x": b"0x1\r\nx\r\n",
        "with too much": b"1\r\nxx\r\n",
        "with a size ended by LF": b"1\nx\r\n0\r\n\r\n",
        "with a size line that never ends": b"1;" + b"x" * 2_000,
        "with a trailer that never ends": b"0\r\n" + b"x" * 70_000,
    }.items():
        yield Handshake(f"a chunked body {what}", head("/msg", chunked) + chunk, 400, then=CLOSES)


def _forms() -> Iterator[Handshake]:
    """Bodies of plain requests, which are read before any route."""
    for what, kind, body in (
        ("without a boundary", b"multipart/form-data", b"hello"),
        ("with an empty boundary", b"multipart/form-data; boundary=", b"hello"),
        ("with a boundary that never comes", b"multipart/form-data; boundary=b", b"hello"),
        ("of a type with 0x0b", b"multipart/form-data;\x0bboundary=b", b"hello"),
        ("of urlencoded % signs", b"application/x-www-form-urlencoded", b"%" * 1_000),
        ("without a disposition", b"multipart/form-data; boundary=b", _part(b"").replace(b"Disposition", b"Type")),
        ("with a name that is no UTF-8", b"multipart/form-data; boundary=b", _part(b'name="\xff"')),
    ):
        headers = ("Content-Type", kind), ("Content-Length", b"%d" % len(body))
        request = plain("/page", *headers, method=b"POST") + body
        yield Handshake(f"a form {what}", request, 400, then=CLOSES)
    for what, body in {
        "too many fields": b"a&" * 1_000,
        "too many fields by semicolons": b"a;" * 1_000,
    }.items():
        headers = ("Content-Type", b"application/x-www-form-urlencoded"), ("Content-Length", b"%d" % len(body))
        yield Handshake(f"a form with {what}", plain("/page", *headers, method=b"POST") + body, 413, then=CLOSES)
    for what, kind in {
        "nothing": b"",
        "a semicolon": b";",
        "0xff": b"\xff/\xff",
        "multipart behind 0x0c": b"\x0cmultipart/form-data; boundary=b",
        "as much as may be": b"x/y" + b";" * 253,
    }.items():
        headers = ("Content-Type", kind), ("Content-Length", b"5")
        yield Handshake(f"a body of the type {what}", plain("/page", *headers, method=b"POST") + b"hello", 200)
    for what, kind in {"semicolons": b"x/y" + b";" * 15_000, "quotes": b"x/y; " + b'""' * 7_500}.items():
        headers = ("Content-Type", kind), ("Content-Length", b"5")
        for path in ("/page", "/nowhere"):
            request = plain(path, *headers, method=b"POST") + b"hello"
            yield Handshake(f"a body of the type {what} to {path}", request, 400, then=CLOSES)


def _part(disposition: bytes) -> bytes:
    return b"--b\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\nx\r\n--b--\r\n"


def _sizes() -> Iterator[Handshake]:
    many = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1_000) for number in range(17))
    yield Handshake("a head over the limit", _with(many[:-2]), 400, then=CLOSES)
    yield Handshake("a head under the limit", _with(many[: 15 * 1_000].rpartition(b"\r\n")[0]), 101, then=OPENS)
    yield Handshake("a header over the limit", _with(b"X-A: " + b"a" * HEAD_BYTES), 400, then=CLOSES)
    yield Handshake("a header over the limit that never ends", head()[:-2] + b"a" * 2 * HEAD_BYTES, 400, then=CLOSES)
    yield Handshake("a target over the limit", head("/" + "a" * HEAD_BYTES), 400, then=CLOSES)
    yield Handshake("101 headers", _with(b"\r\n".join([b"A: b"] * 101)), 400, then=CLOSES)


def _slow() -> Iterator[Handshake]:
    request = head()
    yield Handshake(
        "one byte after the other", tuple(request[at : at + 1] for at in range(12)), 408, then=CLOSES, server="hasty"
    )
    yield Handshake(
        "one line after the other",
        tuple(each + b"\r\n" for each in request.split(b"\r\n")[:-2] * 2),
        408,
        then=CLOSES,
        server="hasty",
    )
    yield Handshake("a head that never ends", request[:-2], 408, then=CLOSES, server="hasty")
    yield Handshake("not a single byte", b"", None, then=CLOSES, server="hasty")
    yield Handshake("a body that never comes", head("/msg", ("Content-Length", "5")), 408, then=CLOSES, server="hasty")
    yield Handshake(
        "a chunk that never comes",
        head("/msg", ("Transfer-Encoding", "chunked")) + b"5\r\nx",
        408,
        then=CLOSES,
        server="hasty",
    )


CASES = tuple(chain(_smuggled(), _characters(), _folded(), _bodies(), _forms(), _sizes(), _slow()))
