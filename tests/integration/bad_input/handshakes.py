"""Requests that are no good handshakes: their lines, their versions, keys and hosts, and the limits on who gets in."""

from __future__ import annotations

from collections.abc import Iterator

from integration.bad_input.cases import CLOSES, OPENS, Handshake
from web_fakes import KEY, head, plain

__all__ = ["CASES"]

ALLOW = (("Allow", "GET"),)
UPGRADE = (("Upgrade", "websocket"),)
VERSION = (*UPGRADE, ("Sec-WebSocket-Version", "13"))
RETRY = (("Retry-After", ...),)


def _lines(line: bytes, *, end: bytes = b"\r\n") -> bytes:
    """A good handshake with another request line."""
    return line + end + head().partition(b"\r\n")[2]


def _methods() -> Iterator[Handshake]:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE", "CONNECT", "FOO", "get"):
        yield Handshake(f"the method {method}", head(method=method.encode()), 405, ALLOW)


def _request_lines() -> Iterator[Handshake]:
    for name, line in {
        "a method that is no token": b"GE(T /msg HTTP/1.1",
        "no method": b" /msg HTTP/1.1",
        "no target": b"GET  HTTP/1.1",
        "no version": b"GET /msg",
        "nothing but a method": b"GET",
        "two spaces": b"GET  /msg HTTP/1.1",
        "tabs for spaces": b"GET\t/msg\tHTTP/1.1",
        "a space in the target": b"GET /m sg HTTP/1.1",
        "a space at its end": b"GET /msg HTTP/1.1 ",
        "NUL in the target": b"GET /m\0sg HTTP/1.1",
        "CR in the target": b"GET /m\rsg HTTP/1.1",
        "LF in the target": b"GET /m\nsg HTTP/1.1",
        "VT in the target": b"GET /m\x0bsg HTTP/1.1",
        "0xff in the target": b"GET /m\xffsg HTTP/1.1",
        "HTTP/0.9": b"GET /msg HTTP/0.9",
        "HTTP/1.2": b"GET /msg HTTP/1.2",
        "HTTP/2.0": b"GET /msg HTTP/2.0",
        "HTTP/11": b"GET /msg HTTP/11",
        "http/1.1": b"GET /msg http/1.1",
        "HTTP/1.1 with a byte more": b"GET /msg HTTP/1.1\x0b",
        "WS/1.1": b"GET /msg WS/1.1",
    }.items():
        yield Handshake(f"the request line: {name}", _lines(line), 400, then=CLOSES)
    yield Handshake("the request line: HTTP/1.0", head(version=b"HTTP/1.0"), 505, then=CLOSES)
    yield Handshake(
        "the request line: it ends with LF alone", _lines(b"GET /msg HTTP/1.1", end=b"\n"), 400, then=CLOSES
    )
    yield Handshake("the request line: two empty lines before it", b"\r\n\r\n" + head(), 400, then=CLOSES)
    yield Handshake("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, then=CLOSES)
    yield Handshake("the hello of TLS", b"\x16\x03\x01\x00\x05\x01\x00\x01\r\n\r\n", 400, then=CLOSES)
    yield Handshake("nothing but line ends", b"\r\n" * 4, 400, then=CLOSES)
    yield Handshake("a frame instead of a head", b"\x81\x85\0\0\0\0hello\r\n\r\n", 400, then=CLOSES)
    for name, target in {
        "an absolute target of another host": "http://evil.example/msg",
        "an absolute target without a host": "x:///msg",
        "the target of CONNECT": "example.com:80",
        "a target without a slash": "msg",
        "a target that is a query": "?msg",
        "a target that is an asterisk": "*",
        "a target with a fragment": "/msg#part",
    }.items():
        yield Handshake(name, head(target), 400)
    for name, target in {
        "a target that climbs": "/../../../../etc/passwd",
        "a target that climbs, encoded": "/%2e%2e/%2e%2e/etc/passwd",
        "a target with %00": "/msg%00",
        "a target with a bad %": "/msg%zz",
    }.items():
        yield Handshake(name, head(target), 404)
    yield Handshake("a target without a slash, upgraded by itself", head("msg"), 400, server="automatic")
    yield Handshake("a target that is no UTF-8", head("/%ff"), 400)
    yield Handshake("a target of 5,000 characters", head("/" + "a" * 5_000), 404)


def _versions_and_keys() -> Iterator[Handshake]:
    for version in ("0", "8", "12", "14", "255"):
        yield Handshake(f"version {version}", head("/msg", ("Sec-WebSocket-Version", version)), 426, VERSION)
    for version in ("", "256", "13, 8", "13.0", "-13", "+13", "013", "0x0d", "13 13", "thirteen"):
        yield Handshake(f"version {version!r}", head("/msg", ("Sec-WebSocket-Version", version)), 400)
    yield Handshake("no version", head(without=("Sec-WebSocket-Version",)), 426, VERSION)
    for name, key in {
        "is empty": b"",
        "is short": KEY[:-1],
        "is long": KEY + b"=",
        "has 17 bytes": b"dGhlIHNhbXBsZSBub25jZXg=",
        "has bits to spare": b"dGhlIHNhbXBsZSBub25jZR==",
        "is base64 of URLs": b"dGhlIHNhbXBsZSBub2-_ZQ==",
        "has a space": b"dGhlIHNhbXBs ZSBub25jZQ==",
        "is two keys": KEY + b", " + KEY,
        "is not ASCII": KEY.replace(b"G", b"\xc3"),
    }.items():
        yield Handshake(f"the key {name}", head("/msg", ("Sec-WebSocket-Key", key)), 400)
    yield Handshake("no key", head(without=("Sec-WebSocket-Key",)), 400)
    for protocol in ("a b", "a,a", 'a"b', "a/b", "a;b"):
        yield Handshake(f"the subprotocol {protocol}", head("/msg", ("Sec-WebSocket-Protocol", protocol)), 400)
    for name in ("Upgrade", "Connection"):
        yield Handshake(f"no {name}", head(without=(name,)), 426, UPGRADE)
    yield Handshake("the Upgrade websocket2", head("/msg", ("Upgrade", "websocket2")), 426, UPGRADE)
    yield Handshake("the Upgrade h2c", head("/msg", ("Upgrade", "h2c")), 426, UPGRADE)
    yield Handshake("the Connection close", head("/msg", ("Connection", "keep-alive")), 426, UPGRADE)
    yield Handshake("a plain request", plain("/msg"), 426, UPGRADE)


def _repeated() -> Iterator[Handshake]:
    for name, value, other in (
        ("Host", b"example.com", b"evil.example"),
        ("Origin", b"http://example.com", b"http://evil.example"),
        ("Sec-WebSocket-Key", KEY, b"AAAAAAAAAAAAAAAAAAAAAA=="),
        ("Sec-WebSocket-Version", b"13", b"8"),
    ):
        yield Handshake(f"{name} twice", head("/msg", (name, value), (name, value)), 400)
        yield Handshake(f"{name} twice, not alike", head("/msg", (name, value), (name.upper(), other)), 400)
        yield Handshake(f"{name} twice, the good one last", head("/msg", (name.lower(), other), (name, value)), 400)


def _hosts() -> Iterator[Handshake]:
    for host in (
        "",
        "a b",
        "a/b",
        "user@a",
        "a:b",
        "a:99999",
        "[::1",
        "::1",
        "a, b",
        "a#b",
        "a\\b",
        "[1]",
        "[::g]",
        "a..b",
        ".",
        ".a",
        "x" * 64,
    ):
        yield Handshake(f"Host {host!r}", head("/msg", ("Host", host)), 400)
    yield Handshake("no Host", head(without=("Host",)), 400)
    for host in ("", "a b", "user@a", "a:99999", "[::1", "a..b", ".", ".a", "x" * 64):
        yield Handshake(f"a plain request, Host {host!r}", plain("/page", ("Host", host)), 400)
    yield Handshake("a plain request without Host", plain("/page").replace(b"Host: example.com\r\n", b""), 400)
    yield Handshake(
        "a plain request with two Hosts",
        plain("/page", ("Host", "evil.example"), ("Host", "a")),
        400,
    )
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "[::2]", "0.0.0.0"):
        yield Handshake(f"on loopback, Host {host}", head("/msg", ("Host", host)), 421, server="loopback")
    yield Handshake("on loopback, a plain request for another Host", plain("/page"), 421, server="loopback")


def _limits() -> Iterator[Handshake]:
    yield Handshake("an upgrade where there is none", head(), 400, server="http only")
    yield Handshake("a plain request where only upgrades are", plain("/page"), 426, UPGRADE, server="ws only")
    yield Handshake("one connection too many", head(), 503, RETRY, server="full")
    yield Handshake("one connection too many of an address", head(), 429, RETRY, server="one per address")
    yield Handshake("one name too many", head("/named?name=Other"), 503, RETRY, server="one name")
    yield Handshake("a client id in use", head("/named?name=Msg&client_id=neighbour"), 409, server="unique")
    for name, query in {
        "an empty name": "name=",
        "a name of 129 characters": "name=" + "n" * 129,
        "a name with NUL": "name=%00",
        "a name with DEL": "name=a%7f",
        "a name with a line separator": "name=a%e2%80%a8b",
        "an empty group": "name=a&group=",
        "a group of 129 characters": "name=a&group=" + "g" * 129,
        "a group with CR and LF": "name=a&group=a%0d%0aX-Header: b".replace(" ", "%20"),
        "an empty client id": "name=a&client_id=",
        "a client id of 129 characters": "name=a&client_id=" + "i" * 129,
        "a client id with ESC": "name=a&client_id=%1b",
        "a client id that looks signed": "name=a&client_id=s:a.b",
    }.items():
        yield Handshake(name, head(f"/named?{query}"), 400)
    for name, client_id in {
        "has no signature": "s:known",
        "has an empty signature": "s:known.",
        "has another's signature": "s:known.8qHWZA7dMwgbAO0uW3pncXp8U6YpaOJBiaXpPFqdVlg=",
        "is nothing but a prefix": "s:",
    }.items():
        request = head(f"/named?name=a&client_id={client_id}")
        yield Handshake(f"a signed client id that {name}", request, 400, server="signed")
    lone_key = plain("/a", ("Sec-WebSocket-Key", KEY))  # no upgrade, so it is for the http endpoint, which has no /a
    yield Handshake("the key alone, where upgrades are automatic", lone_key, 404, server="automatic")
    yield Handshake("a path with NUL for a name", head("/a%00b"), 400, server="automatic")
    yield Handshake("a path of 129 characters for a name", head("/" + "a" * 128), 400, server="automatic")
    yield Handshake("a good one, for comparison", head(), 101, then=OPENS)


CASES = (
    *_methods(),
    *_request_lines(),
    *_versions_and_keys(),
    *_repeated(),
    *_hosts(),
    *_limits(),
)
