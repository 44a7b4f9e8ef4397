"""Origins: twenty and more forms that are malformed, strange or good, for a page of example.com."""

from __future__ import annotations

from collections.abc import Iterator

from integration.bad_input.cases import OPENS, Handshake
from web_fakes import head

__all__ = ["CASES"]

MALFORMED = (
    "",
    "example.com",
    "//example.com",
    "http:example.com",
    "http:/example.com",
    "http://example.com/",
    "http://example.com/page",
    "http://example.com?query",
    "http://example.com#part",
    "http://user@example.com",
    "http://user:password@example.com",
    "http://example.com http://evil.example",
    "http://example.com, http://evil.example",
    "http://a b",
    "http://example.com:port",
    "http://example.com:123456",
    "http://[::1",
    "http://b\u00fccher.example",
    "1http://example.com",
    "Null",
    "null, null",
    " ",
)
STRANGE = (
    "null",
    "file://",
    "http://",
    "http://evil.example",
    "https://evil.example",
    "http://example.com.evil.example",
    "http://evilexample.com",
    "http://sub.example.com",
    "http://example.com:81",
    "https://example.com:444",
    "http://example.com:99999",
    "http://EXAMPLE.COM.EVIL.EXAMPLE",
    "http://xn--exmple-cua.com",
    "http://example.com%2eevil.example",
    "http://example.com%00.evil.example",
    "http://[::1]",
    "http://127.0.0.1",
    "http://2130706433",
    "http://localhost",
    "ftp://example.com",
    "ws://evil.example",
    "ws://",
    "app://.",
    "chrome-extension://example.com",
    "http://example..com",
    "http://.example.com",
)
GOOD = (
    "http://example.com",
    "https://example.com",
    "http://EXAMPLE.com",
    "http://example.com:80",
    "http://example.com.",
    "ws://example.com",
    "wss://example.com",
)
NOT_LISTED = (
    "https://example.org",
    "http://a.example.org",
    "https://a.example.org.evil.example",
    "https://aexample.org",
)


def _cases() -> Iterator[Handshake]:
    for origin in MALFORMED:
        yield Handshake(f"the malformed Origin {origin!r}", head("/msg", ("Origin", origin)), 400)
    for origin in STRANGE:
        yield Handshake(f"the strange Origin {origin!r}", head("/msg", ("Origin", origin)), 403)
    for origin in GOOD:
        yield Handshake(f"the good Origin {origin!r}", head("/msg", ("Origin", origin)), 101, then=OPENS)
    for origin in NOT_LISTED:
        yield Handshake(f"the Origin {origin}, not listed", head("/msg", ("Origin", origin)), 403, server="listed")
    yield Handshake("no Origin, where one is wanted", head(), 403, server="listed")
    forwarded = head("/msg", ("Origin", "http://evil.example"), ("X-Forwarded-Host", "evil.example"))
    yield Handshake("an X-Forwarded-Host of no trusted proxy", forwarded, 403)


CASES = tuple(_cases())
