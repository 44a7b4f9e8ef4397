from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.request_record import RequestRecord

BROWSER = [
    (b"Host", b"localhost:8091"),
    (b"Connection", b"Upgrade"),
    (b"Pragma", b"no-cache"),
    (b"Cache-Control", b"no-cache"),
    (
        b"User-Agent",
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    (b"Upgrade", b"websocket"),
    (b"Origin", b"http://localhost:8091"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
    (b"Accept-Language", b"en-US,en;q=0.9,de;q=0.8"),
    (b"Cookie", b"session=0123456789abcdef0123456789abcdef"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits"),
    (b"Sec-WebSocket-Protocol", b"pode.signals.v1"),
]


def record(uri: bytes = b"/msg", headers: Any = (), method: bytes = b"GET") -> RequestRecord:
    """A record with what a test is about."""
    return RequestRecord(method, uri, headers, "192.0.2.7", True)


def test_what_a_record_tells() -> None:
    """S5.3: the record has method, target, path, arguments, headers, cookies, address and whether it is secure."""
    it = record(b"/rooms/Z%C3%BCrich?a=1&b=%20&a=2&c=", BROWSER)
    assert (it.method, it.uri, it.path) == ("GET", "/rooms/Z%C3%BCrich?a=1&b=%20&a=2&c=", "/rooms/Zürich")
    assert it.args == {"a": ["1", "2"], "b": [" "], "c": [""]}
    assert it.headers["host"] == it.header("HOST") == "localhost:8091"
    assert it.cookies == {"session": "0123456789abcdef0123456789abcdef"}
    assert (it.address, it.is_secure) == ("192.0.2.7", True)


def test_an_empty_record() -> None:
    """S5.3: a handshake without headers or query has none, and nothing raises."""
    it = RequestRecord(b"GET", b"", [], "", False)
    assert (dict(it.headers), it.args, it.cookies, it.header("Host")) == ({}, {}, {}, None)
    assert (it.path, it.uri, it.address, it.is_secure) == ("/", "", "", False)
    assert "?" in repr(it)


def test_headers_in_any_case() -> None:
    """S5.3: a header is found in any case and listed in lower case."""
    headers = record(headers=[(b"X-Custom", b" value "), (b"Empty", b"")]).headers
    assert headers["x-custom"] == headers["X-CUSTOM"] == "value"
    assert "X-custom" in headers
    assert "other" not in headers
    assert headers.get("Other") is None
    assert list(headers) == ["x-custom", "empty"]
    assert len(headers) == 2
    assert headers["empty"] == ""
    with pytest.raises(KeyError):
        headers["Other"]


def test_values_are_not_in_the_repr() -> None:
    """S5.3: neither the values of headers nor the query, which may be secrets, are in a repr."""
    it = record(b"/msg?token=secret", [(b"Authorization", b"secret"), (b"Cookie", b"a=secret")])
    assert "/msg" in repr(it)
    assert "secret" not in repr(it) + repr(it.headers)


SECRETS = [
    (b"X-PODE-SIGNAL-RESUME", b"k3v9q2.41-7.secret"),
    (b"last-event-id", b"k3v9q2.41-7.secret"),
    (b"Last-Event-ID", b"secret"),
]
RESUME = b"pode.resume.k3v9q2.41-7.secret"


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ([b"pode.signals.v1, " + RESUME], "pode.signals.v1"),
        ([RESUME + b",a", b"b"], "a, b"),
        ([b"a", RESUME], "a"),
        ([RESUME], None),
        ([RESUME, b""], ""),
        ([b"a, pode.resume.\n secret, b"], "a, b"),
        ([b"a", b"b"], "a, b"),
    ],
)
def test_no_resume_token_is_kept(lines: list[bytes], kept: str | None) -> None:
    """P53: nothing that a connection keeps of its request has the resume token, and its other headers are there."""
    subprotocols = [(name, line) for line in lines for name in (b"Sec-WebSocket-Protocol",)]
    it = record(headers=[(b"X-Before", b"1"), *SECRETS, *subprotocols, (b"X-After", b"pode.resume.mine")])
    assert it.header("Sec-WebSocket-Protocol") == kept
    assert (it.header("X-Before"), it.header("X-After")) == ("1", "pode.resume.mine")
    assert it.header("X-PODE-SIGNAL-RESUME") is it.header("Last-Event-ID") is None
    assert "secret" not in repr([it, it.headers, dict(it.headers), it.cookies, it.args, it.uri, it._head])


def test_repeated_headers() -> None:
    """S5.3: repeated headers are joined with a comma, cookies with a semicolon."""
    it = record(headers=[(b"Via", b"a"), (b"via", b"b"), (b"Cookie", b"a=1"), (b"cookie", b"b=2; a=3")])
    assert it.header("Via") == "a, b"
    assert it.header("Cookie") == "a=1; b=2; a=3"
    assert it.cookies == {"a": "3", "b": "2"}


def test_values_may_hold_colons_and_no_lines() -> None:
    """S5.3: a value may hold colons; a line break in one makes no header of its own."""
    it = record(headers=[(b"Referer", b"http://a:1/x"), (b"Folded", b"a\nX-Forged: b"), (b"Cr", b"a\r\n b")])
    assert it.header("Referer") == "http://a:1/x"
    assert it.header("X-Forged") is None
    assert list(it.headers) == ["referer", "folded", "cr"]


@pytest.mark.parametrize(
    ("raw", "text"), [(b"Z\xc3\xbcrich", "Zürich"), (b"Z\xfcrich", "Zürich"), (b"\xff\xfe", "ÿþ"), (b"plain", "plain")]
)
def test_text_is_utf8_or_else_latin1(raw: bytes, text: str) -> None:
    """S5.3: headers are read as UTF-8, or as Latin-1 where they are none."""
    it = record(headers=[(b"X-Town", raw), (b"User-Agent", b"plain")])
    assert it.header("X-Town") == text
    assert it.header("User-Agent") == "plain"


@pytest.mark.parametrize(
    ("uri", "path", "args"),
    [
        (b"/", "/", {}),
        (b"/a%2Fb", "/a/b", {}),
        (b"/a+b?c+d=e+f", "/a+b", {"c d": ["e f"]}),
        (b"/%FF", "/\ufffd", {}),
        (b"/%zz", "/%zz", {}),
        (b"/a?b?c=d", "/a", {"b?c": ["d"]}),
        (b"/a?", "/a", {}),
        (b"/a?x=%FF", "/a", {"x": ["\ufffd"]}),
        (b"/a?x;y=1", "/a", {"y": ["1"]}),
        (b"/a?x=1;y=2&x=3&z&=4", "/a", {"x": ["1", "3"], "y": ["2"], "": ["4"]}),
        (b"/a?%78=1", "/a", {"x": ["1"]}),
        (b"/go?to=http://example.com/b", "/go", {"to": ["http://example.com/b"]}),
        (b"//example.com/a", "//example.com/a", {}),
        ("/zürich".encode(), "/zürich", {}),
    ],
)
def test_targets(uri: bytes, path: str, args: dict[str, list[str]]) -> None:
    """S5.3: where no route was asked the path is percent-decoded; arguments always are."""
    it = record(uri)
    assert it.path == path
    assert it.args == args


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        (b"a=b", {"a": "b"}),
        (b"a=b; c=d", {"a": "b", "c": "d"}),
        (b"a=b;c=d", {"a": "b", "c": "d"}),
        (b'a="b c"', {"a": '"b c"'}),
        (b"a=1; a=2", {"a": "2"}),
        (b"a =1", {"a ": "1"}),
        (b"a=1 ", {"a": "1"}),
        (b"a", {}),
        (b"a=b=c", {"a": "b=c"}),
        (b"=; a=b", {"a": "b"}),
        (b"", {}),
        ("a=zürich".encode(), {"a": "zürich"}),
    ],
)
def test_cookies(header: bytes, cookies: dict[str, str]) -> None:
    """S5.3: cookies are read as Twisted's getCookie reads them; what is none is passed over."""
    found = record(headers=[(b"Cookie", header)]).cookies
    assert {name: value for name, value in found.items() if name} == cookies


@pytest.mark.parametrize("path", ["/%61dmin", "/admin/", "/räume"])
def test_the_path_of_the_http_side(path: str) -> None:
    """S5.3: the path that the HTTP side chose a route by is the record's, whatever the target looks like."""
    it = RequestRecord(b"GET", b"/other?a=1", [], "192.0.2.7", False, path)
    assert (it.path, it.uri, it.args) == (path, "/other?a=1", {"a": ["1"]})
    assert path in repr(it)


@pytest.mark.parametrize("space", ["\x0b", "\x0c", "\x85", "\xa0", "\u2003"])
def test_only_http_s_space_is_cut_off(space: str) -> None:
    """S5.3: what Python takes for space and HTTP does not stays in a value, as in the request's own headers."""
    assert record(headers=[(b"X-User", f" {space}admin{space}\t".encode())]).header("X-User") == f"{space}admin{space}"


def test_headers_of_the_hop_are_not_kept() -> None:
    """S5.3: what belongs to the hop or to the handshake alone is dropped; what tells of the client stays."""
    kept = set(record(headers=BROWSER).headers)
    dropped = {name.decode().lower() for name, _ in BROWSER} - kept
    assert dropped == {
        "connection",
        "upgrade",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
    }
    assert "sec-websocket-protocol" in kept


def test_a_record_is_small() -> None:
    """S5.3: the record of a browser's handshake takes less than a kilobyte."""
    it = record(b"/msg", BROWSER)
    assert not hasattr(it, "__dict__")
    parts = [it] + [getattr(it, slot) for slot in ("_address", "_head", "_path", "_uri")]
    assert sum(map(sys.getsizeof, parts)) < 1_000


@pytest.mark.parametrize(
    "name", ["method", "uri", "path", "http_route", "args", "headers", "cookies", "address", "is_secure", "new"]
)
def test_a_record_is_read_only(name: str) -> None:
    """S5.3: nothing of the record can be set."""
    with pytest.raises(AttributeError):
        setattr(record(), name, "x")


@given(
    st.binary(max_size=8),
    st.binary(max_size=40),
    st.lists(st.tuples(st.sampled_from([b"Cookie", b"X-Any", b"Host"]), st.binary(max_size=40))),
)
def test_no_bytes_make_it_raise(method: bytes, uri: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """S5.3: whatever a client sent, reading the record raises nothing."""
    it = record(uri, headers, method)
    assert all(isinstance(value, str) for value in (it.method, it.uri, it.path, repr(it), *it.headers.values()))
    assert all(isinstance(value, str) for values in it.args.values() for value in values)
    assert all(isinstance(value, str) for pair in it.cookies.items() for value in pair)
    assert len(it.headers) == len({name for name, _ in headers})
