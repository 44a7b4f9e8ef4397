from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.origin import (
    forwarded_host,
    host_name,
    host_port,
    is_origin,
    is_origin_entry,
    origin_allowed,
)


def allowed(origin: str | None, host: str, **given: Any) -> bool:
    """``origin_allowed`` with the defaults of the settings."""
    settings: dict[str, Any] = {
        "allowed_origins": None,
        "own_ports": (),
        "secure": False,
        "allow_null": False,
        "allow_missing": True,
    }
    return origin_allowed(origin, host, **(settings | given))


OWN = [
    ("http://example.com", "example.com", {}),
    ("http://example.com", "example.com:80", {}),
    ("http://example.com:80", "example.com", {}),
    ("http://example.com:8091", "example.com:8091", {}),
    ("https://example.com:8443", "example.com:8443", {"secure": True}),
    # TLS ends at the proxy, which passes the Host on.
    ("https://example.com", "example.com", {}),
    ("https://example.com", "example.com:443", {}),
    ("https://example.com", "example.com", {"secure": True}),
    ("http://example.com", "example.com", {"secure": True}),
    ("http://example.com:443", "example.com", {"secure": True}),
    # The page comes from another port of this service.
    ("http://localhost:8091", "localhost:9080", {"own_ports": {8091}}),
    ("https://localhost:8443", "localhost:9080", {"own_ports": [8091, 8443]}),
    ("http://localhost", "localhost:9080", {"own_ports": (80,)}),
    ("HTTP://Example.COM:8091", "eXample.com:8091", {}),
    ("http://example.com.:8091", "example.com:8091", {}),
    ("http://example.com:8091", "example.com.:8091", {}),
    ("http://127.0.0.1:8091", "127.0.0.1:8091", {}),
    ("http://[::1]:8091", "[::1]:8091", {}),
    ("http://[::1]", "[0:0:0:0:0:0:0:1]", {}),
    ("http://[2001:DB8::1]", "[2001:db8::1]", {}),
    ("http://[::ffff:1.2.3.4]", "[::FFFF:102:304]", {}),
    ("http://xn--zrich-kva.example", "xn--zrich-kva.example", {}),
    ("http://my_host:8091", "my_host:8091", {}),
    ("http://example.com", "example.com:", {}),
    ("https://example.com", "backend:8091", {"forwarded_host": "example.com"}),
    # As clients that are no browsers write it.
    ("ws://example.com", "example.com", {}),
    ("ws://example.com:8091", "example.com:8091", {}),
    ("WSS://example.com", "example.com:443", {}),
    ("wss://example.com", "example.com", {"secure": True}),
]

FOREIGN = [
    ("http://evil.example", "example.com", {}),
    ("http://example.com.evil.example", "example.com", {}),
    ("http://evil-example.com", "example.com", {}),
    ("http://sub.example.com", "example.com", {}),
    ("http://example.com", "sub.example.com", {}),
    ("http://example.com:8092", "example.com:8091", {}),
    ("http://example.com:8092", "example.com", {}),
    ("http://example.com", "example.com:8091", {}),
    ("https://example.com", "example.com:80", {}),
    ("http://example.com:443", "example.com", {}),
    ("http://evil.example:8091", "localhost:9080", {"own_ports": {8091}}),
    ("http://localhost:8092", "localhost:9080", {"own_ports": {8091}}),
    ("http://localhost:8091", "127.0.0.1:8091", {}),
    ("http://[::2]:8091", "[::1]:8091", {}),
    ("http://user@example.com", "example.com", {}),
    ("http://example.com@evil.example", "example.com", {}),
    ("http://example.com/", "example.com", {}),
    ("http://example.com/path", "example.com", {}),
    ("http://example.com?x", "example.com", {}),
    ("http://example.com#x", "example.com", {}),
    ("http://example.com\\.evil.example", "example.com", {}),
    ("http://example.com:80:80", "example.com", {}),
    ("http://example.com:65616", "example.com", {}),
    ("http://example.com:8o", "example.com", {}),
    ("http://example.com ", "example.com", {}),
    (" http://example.com", "example.com", {}),
    ("http://example.com\n", "example.com", {}),
    ("http://example.com http://evil.example", "example.com", {}),
    ("http://zürich.example", "zürich.example", {}),
    ("http://example..com", "example..com", {}),
    ("http://[::1", "[::1", {}),
    ("http://[::g]", "[::g]", {}),
    ("http://[1.2.3.4]", "[1.2.3.4]", {}),
    ("http://", "", {}),
    ("http:example.com", "example.com", {}),
    ("//example.com", "example.com", {}),
    ("example.com", "example.com", {}),
    ("", "example.com", {}),
    ("NULL", "example.com", {}),
    ("http://example.com", "", {}),
    ("http://example.com", "example.com, evil.example", {}),
    # A page inside an application is none of ours, though its host is called localhost too.
    ("capacitor://localhost", "localhost", {}),
    ("chrome-extension://abcdefgh", "abcdefgh", {}),
    ("file://", "", {}),
    ("app://.", ".", {}),
    ("ws://", "", {}),
    ("ws://example.com:443", "example.com:80", {}),
    # The forwarded host counts in place of the Host, not beside it.
    ("http://backend:8091", "backend:8091", {"forwarded_host": "example.com"}),
    ("http://example.com", "example.com", {"forwarded_host": "example.com, example.com"}),
]


@pytest.mark.parametrize(("origin", "host", "given"), OWN)
def test_own_origins(origin: str, host: str, given: dict[str, Any]) -> None:
    """S2.2: a page whose host is the Host and whose port is the Host's or one of ours may connect."""
    assert allowed(origin, host, **given)


@pytest.mark.parametrize(("origin", "host", "given"), FOREIGN)
def test_foreign_origins(origin: str, host: str, given: dict[str, Any]) -> None:
    """S2.2: a page of another host or port, and an Origin that is none, is refused."""
    assert not allowed(origin, host, **given)


def test_what_counts_is_named() -> None:
    """S2.2: beside Origin and Host every argument goes by its name, for several are of one type."""
    with pytest.raises(TypeError):
        origin_allowed("null", "example.com", None, (), False, True, True)  # type: ignore[misc]


@pytest.mark.parametrize("permitted", [False, True])
def test_null_and_missing_origins(permitted: bool) -> None:
    """S2.2: ``null`` and no Origin at all are let in by their own settings alone."""
    assert allowed("null", "example.com", allow_null=permitted, allow_missing=not permitted) is permitted
    assert allowed(None, "example.com", allow_missing=permitted, allow_null=not permitted) is permitted
    assert allowed("null", "example.com", allow_null=permitted, allowed_origins=("*", "null")) is permitted
    for other in ("", "NULL", "null ", "nulls", "zoo://x", "null://x"):
        assert not allowed(other, "example.com", allow_null=permitted, allow_missing=permitted)


@pytest.mark.parametrize(
    ("listed", "origin", "expected"),
    [
        (("https://example.com",), "https://example.com", True),
        (("https://example.com",), "https://EXAMPLE.com:443", True),
        (("HTTPS://Example.com:443",), "https://example.com", True),
        (("https://example.com",), "http://example.com", False),
        (("https://example.com",), "https://example.com:8443", False),
        (("https://example.com:8443",), "https://example.com:8443", True),
        (("https://example.com:8443",), "http://example.com:8443", False),
        (("https://example.com",), "https://sub.example.com", False),
        (("https://example.com",), "https://another.com", False),
        (("https://example.com",), "https://xample.com", False),
        (("https://example.com",), "https://example.com.evil.example", False),
        (("https://*.example.com",), "https://sub.example.com", True),
        (("https://*.example.com",), "https://a.b.example.com", True),
        (("https://*.example.com",), "https://example.com", False),
        (("https://*.example.com",), "https://evilexample.com", False),
        (("https://*.example.com",), "http://sub.example.com", False),
        (("https://*.example.com",), "https://sub.example.com:8443", False),
        (("https://*.example.com:8443",), "https://sub.example.com:8443", True),
        (("capacitor://localhost",), "capacitor://localhost", True),
        (("chrome-extension://abcdefgh",), "chrome-extension://abcdefgh", True),
        (("a",), "a", False),
        (("a://b",), "A://b", True),
        (("a1+b.c-d://e",), "a1+b.c-d://e", True),
        (("1a://b",), "1a://b", False),
        (("https://a.example", "https://b.example"), "https://b.example", True),
        (("*",), "https://anything.example:8443", True),
        (("*",), "file://", True),
        (("https://a.example", "*"), "https://b.example", True),
        (("https://*",), "https://b.example", False),
        (("example.com",), "https://example.com", False),
        (("https://[::1]:8443",), "https://[0::1]:8443", True),
        ((), "https://example.com", False),
        (("https://example.com",), "https://user@example.com", False),
        # Pages of applications.
        (("file://",), "file://", True),
        (("FILE://",), "file://", True),
        (("qrc://",), "qrc://", True),
        (("qrc://",), "file://", False),
        (("file://",), "file:///", False),
        (("app://.",), "app://.", True),
        (("app://.",), "app://", False),
        (("app://",), "app://.", False),
        (("app://-",), "app://-", True),
        (("vscode-webview://a!b",), "vscode-webview://A!b", True),
        (("file://",), "null", False),
        (("*",), "qrc://", True),
        (("app://*.",), "app://x.", False),
        (("app://*",), "app://x", False),
        # Clients that are no browsers.
        (("http://example.com",), "ws://example.com", True),
        (("ws://example.com",), "http://example.com:80", True),
        (("wss://*.example.com",), "https://sub.example.com", True),
        (("https://example.com",), "ws://example.com", False),
    ],
)
def test_listed_origins(listed: tuple[str, ...], origin: str, expected: bool) -> None:
    """S2.2: a listed origin may connect: scheme, host and port as listed, or a subdomain where that is listed."""
    assert allowed(origin, "service.example", allowed_origins=listed) is expected


def test_own_origins_beside_a_list() -> None:
    """S2.2: a list of origins adds to the page's own, it does not replace it."""
    assert allowed("http://localhost:8091", "localhost:8091", allowed_origins=("https://example.com",))


@given(st.text(), st.text())
def test_no_header_makes_it_raise(origin: str, host: str) -> None:
    """S2.2: whatever Origin and Host hold, the answer is yes or no."""
    for text in (origin, f"http://{origin}", f"http://[{origin}]"):
        assert allowed(text, host, allowed_origins=("https://*.example.com",)) in (True, False)


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("Example.COM", "example.com", None),
        ("example.com:8091", "example.com", 8091),
        ("example.com.:8091", "example.com", 8091),
        ("example.com:", "example.com", None),
        ("localhost:0", "localhost", 0),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
        ("[::1]", "[::1]", None),
        ("[0:0::1]:80", "[::1]", 80),
        ("[2001:DB8::1]:80", "[2001:db8::1]", 80),
        ("x-y.x-y_z.x_y", "x-y.x-y_z.x_y", None),
        ("a" * 63, "a" * 63, None),
        ("a" * 64, None, None),
        (f"www.{'a' * 64}.com", None, None),
        (f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}", f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}", None),
        (f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 62}", None, None),
        (".com", None, None),
        ("a..b", None, None),
        ("a: 80", None, None),
        ("example.com..", None, None),
        ("example.com:000080", None, None),
        pytest.param(f"example.com:{'9' * 5_000}", None, None, id="5,000 digits"),
        ("[fe80::1%1]", None, None),
        ("example.com:65536", None, None),
        ("example.com:999999", None, None),
        ("example.com:-1", None, None),
        ("example.com:٣", None, None),
        ("::1", None, None),
        ("[::1]x", None, None),
        ("[]", None, None),
        ("[fe80::1%25eth0]", None, None),
        ("", None, None),
        (".", None, None),
        (":80", None, None),
        ("a b", None, None),
        ("a\x00b", None, None),
        ("user@example.com", None, None),
        ("example.com/", None, None),
    ],
)
def test_hosts(host: str, name: str | None, port: int | None) -> None:
    """S1.4: a Host is a name in any case with an optional port; a malformed one has neither."""
    assert host_name(host) == name
    assert host_port(host) == port


@pytest.mark.parametrize(
    ("entry", "can_match"),
    [
        ("*", True),
        ("https://example.com", True),
        ("https://*.example.com", True),
        ("http://[::1]:8091", True),
        ("https://example.com/", False),
        ("example.com", False),
        ("https://", False),
        ("ws://", False),
        ("", False),
        ("file://", True),
        ("qrc://", True),
        ("app://.", True),
        ("file:///", False),
        ("app://*", False),
        ("app://*.", False),
        ("app://x:99999", False),
        ("https://a..b", False),
    ],
)
def test_an_entry_that_never_matches_is_found(entry: str, can_match: bool) -> None:
    """S2.2: an allowed origin without a scheme, or with a path, would silently match nothing."""
    assert is_origin_entry(entry) is can_match


@given(st.from_regex(r"\A[A-Za-z][a-z+.-]{0,4}://[a-zA-Z0-9._~!$&'()+,;=%-]{0,8}(?::[0-9]{0,5})?\Z"))
def test_what_can_be_listed_can_connect(origin: str) -> None:
    """S16.6: a well-formed origin that can be listed may connect once it is, and one that can't be never does."""
    assert is_origin(origin)
    assert allowed(origin, "service.example", allowed_origins=(origin,)) is is_origin_entry(origin)


@pytest.mark.parametrize(
    ("lines", "hops", "host"),
    [
        ([], 1, None),
        ([], None, None),
        ([""], 1, None),
        (["a,b,c"], 0, "c"),
        (["a,,b", "c"], None, "a"),
        ([" ,\t,"], 3, None),
        (["a"], 1, "a"),
        (["a,b,c"], 1, "c"),
        (["a,b,c"], 2, "b"),
        (["a", " b ", "c"], 2, "b"),
        (["a,b,c"], 3, "a"),
        (["a,b,c"], 9, "a"),
        (["a,,b,"], 2, "a"),
    ],
)
def test_forwarded_hosts(lines: list[str], hops: int | None, host: str | None) -> None:
    """S16.6: X-Forwarded-Host is read from the right, one element at least and one for each hop that is known."""
    assert forwarded_host(lines, hops) == host
