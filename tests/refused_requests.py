"""Requests that can't become a connection, one for each way, with the answer that each gets. They go to ``/msg``."""

from __future__ import annotations

from typing import NamedTuple

from web_fakes import KEY, head, plain

__all__ = ["ROWS", "Row"]


class Row(NamedTuple):
    """One kind of request that is refused."""

    what: str
    request: bytes
    status: int
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.what


ALLOW = (("Allow", "GET"),)
UPGRADE = (("Upgrade", "websocket"),)
VERSION = (*UPGRADE, ("Sec-WebSocket-Version", "13"))


def _rows() -> list[Row]:
    rows = [
        Row(f"method {method}", head(method=method.encode()), 405, ALLOW)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "FOO")
    ]
    rows += [
        Row("no upgrade", plain("/msg"), 426, UPGRADE),
        Row("no Upgrade", head("/msg", without=("Upgrade",)), 426, UPGRADE),
        Row("no Connection", head("/msg", without=("Connection",)), 426, UPGRADE),
        Row("another Upgrade", head("/msg", ("Upgrade", "h2c")), 426, UPGRADE),
        Row("an Upgrade that begins alike", head("/msg", ("Upgrade", "websocket2")), 426, UPGRADE),
        Row("another Connection", head("/msg", ("Connection", "keep-alive")), 426, UPGRADE),
        Row("a body", head("/msg", ("Content-Length", "5")) + b"hello", 400),
        Row("a chunked body", head("/msg", ("Transfer-Encoding", "chunked")) + b"1\r\nx\r\n0\r\n\r\n", 400),
        Row("an empty chunked body", head("/msg", ("Transfer-Encoding", "chunked")) + b"0\r\n\r\n", 400),
        Row("no version", head("/msg", without=("Sec-WebSocket-Version",)), 426, VERSION),
    ]
    rows += [
        Row(f"version {version}", head("/msg", ("Sec-WebSocket-Version", version)), 426, VERSION)
        for version in ("0", "7", "8", "12", "14", "255")
    ]
    rows += [
        Row(f"version {version!r}", head("/msg", ("Sec-WebSocket-Version", version)), 400)
        for version in ("", "thirteen", "13, 8", "13.0", "-13", "+13", "1e1", "1313", "013", "\u0661\u0663")
    ]
    rows += [
        Row(f"key {key!r}", head("/msg", ("Sec-WebSocket-Key", key)), 400)
        for key in (
            b"",
            b"x",
            KEY[:-1],
            KEY + b"=",
            b"AAAA" + KEY,
            KEY.replace(b"=", b"A"),
            b"dGhlIHNhbXBsZSBub25jZR==",  # its last character has bits that no 16 bytes have
            KEY.replace(b"G", b"-"),
            KEY + b", " + KEY,
        )
    ]
    rows.append(Row("no key", head("/msg", without=("Sec-WebSocket-Key",)), 400))
    rows.append(Row("no Host", head("/msg", without=("Host",)), 400))
    rows += [
        Row(f"Host {host!r}", head("/msg", ("Host", host)), 400)
        for host in ("", "a b", "a/b", "user@a", "a:b", "a:99999", "[::1", "a, b", "a\\b", "a#b", "a?b", "[1]", "::1")
    ]
    rows += [
        Row(f"Origin {origin!r}", head("/msg", ("Origin", origin)), 400)
        for origin in (
            "",
            "example.com",
            "http:example.com",
            "http://example.com/",
            "http://example.com/page",
            "http://user@example.com",
            "http://example.com http://example.com",
            "http://example.com, http://example.com",
            "http://a b",
            "//example.com",
            "Null",
            "http://example.com:port",
            "http://[::1",
            "1http://example.com",
        )
    ]
    for name in ("Host", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version"):
        value = {
            "Host": b"example.com",
            "Origin": b"http://example.com",
            "Sec-WebSocket-Key": KEY,
            "Sec-WebSocket-Version": b"13",
        }[name]
        rows.append(Row(f"{name} twice", head("/msg", (name, value), (name, value)), 400))
        rows.append(Row(f"{name} twice, in two cases", head("/msg", (name, value), (name.upper(), value)), 400))
    for name, value in (
        ("Host", b"example.com"),
        ("Origin", b"http://example.com"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Protocol", b"chat"),
        ("Sec-WebSocket-Extensions", b"x"),
        ("Sec-WebSocket-Accept", b"x"),
        ("Sec-WebSocket-Foo", b"x"),
    ):
        strange = (0x01, 0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x7F, 0x85, 0xA0, 0xFF) if value == b"chat" else (0x0B, 0x7F)
        for bad in strange:
            rows.append(Row(f"{name} with {bad:#04x}", head("/msg", (name, value + b"," + bytes((bad,)) + b"a")), 400))
    rows += [
        Row(f"Sec-WebSocket-Protocol {value!r}", head("/msg", ("Sec-WebSocket-Protocol", value)), 400)
        for value in ("a b", "a;b", "a,a", 'a"b', "a/b", "[a]")
    ]
    rows += [
        Row(f"a strange Origin {origin}", head("/msg", ("Origin", origin)), 403)
        for origin in (
            "http://other.example",
            "https://example.com:444",
            "http://sub.example.com",
            "http://example.com.evil.example",
            "chrome-extension://example.com",
            "ftp://example.com",
            "file://",
            "null",
        )
    ]
    return rows


ROWS = _rows()
