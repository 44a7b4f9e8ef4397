"""Which requests may become a stream of server-sent events, and who may post, on the heads of requests."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from event_clients import EVENTS, FIRST, SIGNALS
from heads import head_in
from hypothesis import given
from hypothesis import strategies as st
from web_fakes import plain

from pode_signals.core.event_streams import (
    Preflight,
    StreamOffer,
    asks_for_events,
    check_posted,
    check_stream,
    page_of,
    preflight_in,
)
from pode_signals.core.history import Position
from pode_signals.core.resume import ResumeRequest
from pode_signals.core.upgrade import UpgradeRules
from pode_signals.errors import UpgradeRefused

OWN = ("Sec-Fetch-Site", "same-origin")
PARTNER = UpgradeRules(allowed_origins=frozenset({"https://partner.example"}))
FROM_PARTNER = ("Origin", "https://partner.example")


def offer(*headers: tuple[str, str], rules: UpgradeRules | None = None, **how: Any) -> StreamOffer:
    """What a good request for a stream asks for."""
    signals_protocol = how.pop("signals_protocol", True)
    return check_stream(
        head_in(plain("/room", *headers), **how), rules or UpgradeRules(), signals_protocol=signals_protocol
    )


def refusal(data: bytes, rules: UpgradeRules | None = None, **how: Any) -> UpgradeRefused:
    """The refusal of a request for a stream."""
    with pytest.raises(UpgradeRefused) as caught:
        check_stream(head_in(data, **how), rules or UpgradeRules(), signals_protocol=True)
    return caught.value


@pytest.mark.parametrize(
    ("accept", "asks"),
    [
        ("text/event-stream", True),
        ("TEXT/Event-Stream", True),
        ("text/html, text/event-stream", True),
        ("text/html,text/event-stream ; q=1, */*", True),
        ("text/event-stream;protocol=pode.signals.v1", True),
        ("*/*", False),
        ("text/*", False),
        ("text/event-streams", False),
        ("xtext/event-stream", False),
        ("text/event-stream x", False),
        ("application/json;x=text/event-stream", False),
        ("", False),
    ],
)
def test_who_asks(accept: str, asks: bool) -> None:
    """P90: a request asks for a stream by an element of its Accept."""
    assert asks_for_events(head_in(plain("/room", ("Accept", accept)))) is asks


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"OPTIONS"])
def test_other_methods_do_not_ask(method: bytes) -> None:
    """P90: a POST whose client accepts events is no request for a stream."""
    assert not asks_for_events(head_in(plain("/room", EVENTS, method=method)))


def test_offers() -> None:
    """P90: an ``EventSource`` offers its last event id, a client of ``pode.signals.v1`` a resume text."""
    assert offer(EVENTS) == StreamOffer(is_signals=False, resume=None)
    position = Position("k3v9q2", "42-217704561190385")
    assert offer(EVENTS, ("Last-Event-ID", "k3v9q2.42-217704561190385")) == StreamOffer(
        is_signals=False, resume=ResumeRequest(position, None)
    )
    assert offer(SIGNALS, FIRST) == StreamOffer(is_signals=True, resume=None)
    assert offer(SIGNALS, ("X-PODE-SIGNAL-RESUME", "k3v9q2.42-217704561190385.a.b")) == StreamOffer(
        is_signals=True, resume=ResumeRequest(position, "a.b")
    )
    # P52: a malformed text is passed over.
    assert offer(SIGNALS, ("X-PODE-SIGNAL-RESUME", "nonsense")).resume is None
    assert offer(EVENTS, ("Last-Event-ID", "7")).resume is None


@pytest.mark.parametrize(
    "accept", ['text/event-stream; protocol="pode.signals.v1"', "text/event-stream;q=1;PROTOCOL=pode.signals.v1"]
)
def test_spellings_of_the_protocol(accept: str) -> None:
    """P90: the parameter may be quoted and in any case."""
    assert offer(("Accept", accept), FIRST).is_signals


REFUSED: dict[str, tuple[bytes, int]] = {
    "HEAD": (plain("/room", EVENTS, OWN, method=b"HEAD"), 405),
    "no slash": (plain("*", EVENTS, OWN), 400),
    "no Host": (plain("/room", EVENTS, OWN).replace(b"Host: example.com\r\n", b""), 400),
    "two Hosts": (plain("/room", EVENTS, ("Host", "a"), ("Host", "b")), 400),
    "a body": (plain("/room", EVENTS, OWN, body=b"x"), 400),
    "chunks": (plain("/room", EVENTS, OWN, ("Transfer-Encoding", "chunked")), 400),
    "another protocol": (plain("/room", ("Accept", "text/event-stream;protocol=pode.signals.v2"), FIRST), 406),
    "no protocol": (plain("/room", ("Accept", "text/event-stream;protocol="), FIRST), 406),
    "no resume": (plain("/room", SIGNALS, OWN), 400),
    "two resumes": (plain("/room", SIGNALS, FIRST, FIRST), 400),
    "two last ids": (plain("/room", EVENTS, ("Last-Event-ID", "a"), ("Last-Event-ID", "b")), 400),
    "two Origins": (plain("/room", EVENTS, FROM_PARTNER, FROM_PARTNER), 400),
    "two sites": (plain("/room", EVENTS, OWN, ("Sec-Fetch-Site", "cross-site")), 400),
    "a malformed Origin": (plain("/room", EVENTS, ("Origin", "example.com")), 400),
    "a foreign Origin": (plain("/room", EVENTS, FROM_PARTNER), 403),
    "null": (plain("/room", EVENTS, ("Origin", "null")), 403),
    "cross-site": (plain("/room", EVENTS, ("Sec-Fetch-Site", "cross-site")), 403),
    "same-site": (plain("/room", EVENTS, ("Sec-Fetch-Site", "same-site")), 403),
    "an unknown site": (plain("/room", EVENTS, ("Sec-Fetch-Site", "SAME-ORIGIN")), 403),
    "NUL": (plain("/room", EVENTS, ("X-Other", "a\0b")), 400),
    "CR": (plain("/room", EVENTS, ("X-Other", "a\rb")), 400),
    "LF": (plain("/room", EVENTS, ("Last-Event-ID", "a\nb")), 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """P91: what can't become a stream is refused with its own status; a foreign page without Origin with 403."""
    data, status = REFUSED[case]
    assert refusal(data).code == status


def test_pages() -> None:
    """P91: the page of this origin connects with or without an Origin, clients that are no browsers with neither."""
    for headers in ((OWN,), (("Sec-Fetch-Site", "none"),), (), (("Origin", "http://example.com"),)):
        assert not offer(EVENTS, *headers).is_signals
    assert not offer(EVENTS, FROM_PARTNER, ("Sec-Fetch-Site", "cross-site"), rules=PARTNER).is_signals


def test_a_proxy_that_drops_both() -> None:
    """P91: through a trusted proxy a client with neither header is refused: every page would look like that."""
    proxy = {"peer": "10.0.0.1", "trusted_proxies": ("10.0.0.0/8",)}
    assert refusal(plain("/room", EVENTS), **proxy).code == 403
    assert refusal(plain("/room", EVENTS), UpgradeRules(allow_missing_origin=False)).code == 403
    assert not offer(EVENTS, rules=UpgradeRules(allow_missing_origin=True), **proxy).is_signals
    assert not offer(EVENTS, OWN, **proxy).is_signals


def test_the_protocol_is_off() -> None:
    """P5: with ``signals_protocol=False`` a stream has bare payloads alone."""
    assert not offer(EVENTS, signals_protocol=False).is_signals
    with pytest.raises(UpgradeRefused) as caught:
        offer(SIGNALS, FIRST, signals_protocol=False)
    assert caught.value.code == 406


@given(st.binary(max_size=80).filter(lambda value: b"\r" not in value and b"\n" not in value))
def test_any_accept(value: bytes) -> None:
    """P90: whatever a client accepts, its request is refused or becomes a stream."""
    head = head_in(plain("/room", ("Accept", b"text/event-stream;" + value), FIRST))
    if asks_for_events(head):
        with suppress(UpgradeRefused):
            check_stream(head, UpgradeRules(), signals_protocol=True)


# Who may post.


def posted_refusal(*headers: tuple[str, str], method: bytes = b"POST") -> int:
    """The status that a POST gets; 0 where its head is good."""
    try:
        check_posted(head_in(plain("/room", *headers, method=method)), PARTNER)
    except UpgradeRefused as refused:
        return refused.code
    return 0


TOKEN = ("X-PODE-SIGNAL-TOKEN", "a.b")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((TOKEN,), 0),
        ((TOKEN, OWN), 0),
        ((TOKEN, FROM_PARTNER), 0),
        ((), 403),
        ((TOKEN, TOKEN), 403),
        ((TOKEN, ("Origin", "https://evil.example")), 403),
        ((TOKEN, ("Sec-Fetch-Site", "cross-site")), 403),
        ((TOKEN, ("Sec-Fetch-Site", "same-site")), 403),
        ((TOKEN, ("Host", "b"), ("Host", "a")), 400),
        ((TOKEN, ("X-Other", "a\0")), 400),
        ((TOKEN, ("X-PODE-SIGNAL-POST", "1"), ("X-PODE-SIGNAL-POST", "2")), 400),
        ((TOKEN, ("Content-Type", "application/json"), ("Content-Type", "text/plain")), 400),
    ],
)
def test_who_may_post(headers: tuple[tuple[str, str], ...], status: int) -> None:
    """P91: one token, each header once, and a page that may connect, or the POST is refused."""
    assert posted_refusal(*headers) == status


def test_preflights() -> None:
    """P91: a browser's question is known by its method, the method it asks for, and the one header that this needs."""
    asks = "Access-Control-Request-Headers"

    def asked(wanted: str, names: str, method: bytes = b"OPTIONS") -> Preflight | None:
        lines = (("Access-Control-Request-Method", wanted), (asks, names))
        return preflight_in(head_in(plain("/room", *lines, method=method)))

    assert asked("GET", "x-pode-signal-resume") is Preflight.STREAM
    assert asked("GET", "Last-Event-ID , X-PODE-SIGNAL-RESUME") is Preflight.STREAM
    assert asked("POST", "content-type,x-pode-signal-token") is asked("DELETE", "x-pode-signal-token") is Preflight.POST
    for wanted, names in (
        ("GET", "x-pode-signal-token"),
        ("POST", "content-type,x-pode-signal-resume"),
        ("POST", "x-pode-signal-client-id"),
        ("PUT", "x-pode-signal-token"),
        ("POST", "x-pode-signal-tokens"),
    ):
        assert asked(wanted, names) is None
    assert asked("GET", "x-pode-signal-resume", b"GET") is None
    assert preflight_in(head_in(plain("/room", (asks, "x-pode-signal-resume"), method=b"OPTIONS"))) is None


def test_which_page() -> None:
    """P91: a page is told that it may read answers where it may connect, and no other page."""
    assert page_of(head_in(plain("/", FROM_PARTNER)), PARTNER) == "https://partner.example"
    assert page_of(head_in(plain("/", FROM_PARTNER)), UpgradeRules()) is None
    assert page_of(head_in(plain("/", FROM_PARTNER, FROM_PARTNER)), PARTNER) is None
    assert page_of(head_in(plain("/")), PARTNER) is None
    assert page_of(head_in(plain("/", ("Origin", "null"))), PARTNER) is None
    assert page_of(head_in(plain("/", FROM_PARTNER, ("Host", "a b"))), UpgradeRules()) is None
