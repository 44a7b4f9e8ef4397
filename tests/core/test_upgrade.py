"""Which requests may become a connection: every refusal, on the heads of requests, with its answer and its line."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from heads import head_in
from hypothesis import given
from hypothesis import strategies as st
from refused_requests import ROWS, Row
from web_fakes import KEY, head, plain

from pode_signals.core.history import Position
from pode_signals.core.resume import ResumeRequest
from pode_signals.core.upgrade import (
    SIGNALS_PROTOCOL,
    UpgradeOffer,
    UpgradeRules,
    check,
    check_target,
    chosen_subprotocol,
    is_handshake,
    is_upgrade,
)
from pode_signals.errors import OriginRefused, UpgradeRefused

PROXY = {"peer": "10.0.0.1", "trusted_proxies": ("10.0.0.0/8",)}
DEFLATE = "permessage-deflate"


def refusal(data: bytes, rules: UpgradeRules | None = None, **how: Any) -> UpgradeRefused:
    """The refusal of a request."""
    with pytest.raises(UpgradeRefused) as caught:
        check(head_in(data, **how), rules or UpgradeRules())
    return caught.value


def offer_in(*headers: tuple[str, str], rules: UpgradeRules | None = None, **how: Any) -> UpgradeOffer:
    """What a good request with these headers asks for."""
    return check(head_in(head("/msg", *headers), **how), rules or UpgradeRules())


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_refused(row: Row) -> None:
    """S2.2: what can't be upgraded is refused with its own status and headers, in one sentence of plain text."""
    refused = refusal(row.request)
    assert refused.code == row.status
    assert [pair for pair in refused.headers if pair in row.headers] == list(row.headers)
    assert isinstance(refused, OriginRefused) is (row.status == 403)
    assert refused.get_body() == f"{refused.description}\n"
    assert (refused.description or "").count("\n") == 0


UPGRADE_HINT = "there is no Upgrade: websocket with Connection: Upgrade; a proxy has to pass these two on"
EVIL = ("Origin", "http://evil.example")
ASKED_FOR = ("X-Forwarded-Host", "chat.example.com")

SAID: dict[str, tuple[bytes, dict[str, Any], int, str, str]] = {
    "a method": (head(method=b"POST"), {}, 405, "Only GET can be upgraded.", ""),
    "a version of HTTP": (head(version=b"HTTP/1.0"), {}, 505, "WebSocket connections need HTTP/1.1.", ""),
    "no upgrade": (plain("/msg"), {}, 426, "This is a WebSocket endpoint.", UPGRADE_HINT),
    "no Connection": (head(without=("Connection",)), {}, 426, "This is a WebSocket endpoint.", UPGRADE_HINT),
    "no slash": (head("msg"), {}, 400, "The target of an upgrade has to begin with a slash.", ""),
    "a fragment": (head("/msg#here"), {}, 400, "A WebSocket URL has no fragment.", ""),
    "a character": (
        head("/msg", ("Connection", b"Upgrade, \x85")),
        {},
        400,
        "A header has a character that it must not have.",
        'Connection: "Upgrade, \x85"',
    ),
    "a character of another's header": (
        head("/msg", ("X-Name", b"a\0b")),
        {},
        400,
        "A header has a character that it must not have.",
        'X-Name: "a\0b"',
    ),
    "a key twice": (
        head("/msg", ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)),
        {},
        400,
        "The Sec-Websocket-Key header is repeated.",
        "",
    ),
    "an Origin": (
        head("/msg", ("Origin", "example.com")),
        {},
        400,
        "The Origin header is malformed.",
        'Origin: "example.com"',
    ),
    "a Host": (head("/msg", ("Host", "a..b")), {}, 400, "The Host header is malformed.", 'Host: "a..b"'),
    "no Host": (head(without=("Host",)), {}, 400, "The Host header is missing.", ""),
    "a version": (
        head("/msg", ("Sec-WebSocket-Version", "x")),
        {},
        400,
        "The Sec-WebSocket-Version is malformed.",
        'Sec-WebSocket-Version: "x"',
    ),
    "another version": (
        head("/msg", ("Sec-WebSocket-Version", "8")),
        {},
        426,
        "The WebSocket version has to be 13.",
        "",
    ),
    "a key": (
        head("/msg", ("Sec-WebSocket-Key", "x")),
        {},
        400,
        "The Sec-WebSocket-Key is missing or malformed.",
        "",
    ),
    "a body": (
        head("/msg", ("Content-Length", "5")),
        {},
        400,
        "An upgrade has no body.",
        "Content-Length is over 0, or Transfer-Encoding came",
    ),
    "a subprotocol": (
        head("/msg", ("Sec-WebSocket-Protocol", "a b")),
        {},
        400,
        "The Sec-WebSocket-Protocol is malformed.",
        'Sec-WebSocket-Protocol: "a b"',
    ),
    "a page of another origin": (
        head("/msg", EVIL),
        {},
        403,
        "This origin may not connect.",
        'Origin: "http://evil.example", Host: "example.com"; see allowed_origins',
    ),
    "a page without an origin": (
        head("/msg", ("Origin", "null")),
        {},
        403,
        "This origin may not connect.",
        'Origin: "null", Host: "example.com"; see allow_null_origin',
    ),
    "behind a proxy that is trusted": (
        head("/msg", EVIL, ASKED_FOR),
        PROXY,
        403,
        "This origin may not connect.",
        'Origin: "http://evil.example", Host: "example.com", X-Forwarded-Host: "chat.example.com"; see allowed_origins',
    ),
    "behind one that is not": (
        head("/msg", EVIL, ASKED_FOR),
        {},
        403,
        "This origin may not connect.",
        'Origin: "http://evil.example", Host: "example.com", and an X-Forwarded-Host that does not count, since the'
        " proxy is not in trusted_proxies; see allowed_origins",
    ),
    "a bad X-Forwarded-Host": (
        head("/msg", EVIL, ("X-Forwarded-Host", "a b")),
        PROXY,
        400,
        "The X-Forwarded-Host header is malformed.",
        'X-Forwarded-Host: "a b"',
    ),
    "no Origin through a proxy": (
        head("/msg"),
        PROXY,
        403,
        "This origin may not connect.",
        "there is no Origin, see allow_missing_origin",
    ),
}


@pytest.mark.parametrize(("data", "how", "code", "description", "hint"), SAID.values(), ids=SAID)
def test_what_is_said(data: bytes, how: dict[str, Any], code: int, description: str, hint: str) -> None:
    """S20.2: the client reads one sentence, and the operator which header had which value and which setting decides."""
    refused = refusal(data, **how)
    assert (refused.code, refused.description, refused.hint) == (code, description, hint)


@pytest.mark.parametrize(
    ("rules", "headers", "how"),
    [
        (UpgradeRules(), (), {}),
        (UpgradeRules(), (("Origin", "http://example.com"),), {}),
        (UpgradeRules(allowed_origins=("https://evil.example", "http://evil.example")), (EVIL,), {}),
        (UpgradeRules(allow_null_origin=True), (("Origin", "null"),), {}),
        (UpgradeRules(own_ports={8091}), (("Origin", "http://example.com:8091"),), {}),
        (UpgradeRules(), (("Origin", "https://example.com"),), {"is_secure": True}),
        (UpgradeRules(allow_missing_origin=True), (), PROXY),
        (UpgradeRules(), (("Origin", "http://chat.example.com"), ASKED_FOR), PROXY),
    ],
)
def test_who_may_connect(rules: UpgradeRules, headers: tuple[tuple[str, str], ...], how: dict[str, Any]) -> None:
    """S16.6: a page of the own origin, a listed one and a client that is no browser may connect, by the rules."""
    assert offer_in(*headers, rules=rules, **how).key == KEY


def test_nobody_without_an_origin_where_it_is_asked_for() -> None:
    """S16.6: with allow_missing_origin=False a client without an Origin is refused, whoever it is."""
    assert refusal(head(), UpgradeRules(allow_missing_origin=False)).code == 403


@pytest.mark.parametrize(
    ("headers", "subprotocols"),
    [
        ((), ()),
        ((("Sec-WebSocket-Protocol", "chat"),), ("chat",)),
        ((("Sec-WebSocket-Protocol", "b, a"), ("Sec-WebSocket-Protocol", "c")), ("b", "a", "c")),
    ],
)
def test_subprotocols(headers: tuple[tuple[str, str], ...], subprotocols: tuple[str, ...]) -> None:
    """S2.3: what the client offers is in its own order, over all lines."""
    assert offer_in(*headers).subprotocols == subprotocols


TEXT = "pode.resume.k3v9q2.41-7"
PLACE = Position("k3v9q2", "41-7")


@pytest.mark.parametrize(
    ("lines", "subprotocols", "resume"),
    [
        ([f"pode.signals.v1, {TEXT}"], ("pode.signals.v1",), ResumeRequest(PLACE, None)),
        ([f"{TEXT}.a.b,chat"], ("chat",), ResumeRequest(PLACE, "a.b")),
        (["chat", "pode.resume.-.-..a.b"], ("chat",), ResumeRequest(None, ".a.b")),
        ([TEXT], (), ResumeRequest(PLACE, None)),
        ([f"pode.resume.nonsense, {TEXT}.a, {TEXT}.b"], (), ResumeRequest(PLACE, "a")),
        ([f"{TEXT}, {TEXT}"], (), ResumeRequest(PLACE, None)),
        (["chat, pode.resume."], ("chat",), None),
        (["chat, pode.resume.nonsense"], ("chat",), None),
        (["pode.resume.a b/c=, chat"], ("chat",), None),
        ([f"{TEXT}.{'t' * 2_049}, chat"], ("chat",), None),
        (["Pode.Resume.-.-.a, pode.resume"], ("Pode.Resume.-.-.a", "pode.resume"), None),
    ],
)
def test_an_offer_to_resume(lines: list[str], subprotocols: tuple[str, ...], resume: ResumeRequest | None) -> None:
    """P4, P52: an offer to resume is taken out of the subprotocols, and one that is malformed is passed over."""
    offer = offer_in(*[("Sec-WebSocket-Protocol", line) for line in lines])
    assert (offer.subprotocols, offer.resume) == (subprotocols, resume)


V1 = SIGNALS_PROTOCOL


@pytest.mark.parametrize(
    ("offered", "accepted", "setting", "chosen"),
    [
        ((), (), True, None),
        ((), ("chat",), True, None),
        ((V1,), (), True, V1),
        (("chat", V1), (), True, V1),
        (("chat", V1), ("chat",), True, "chat"),
        ((V1, "b", "a"), ("a", "b"), True, "a"),
        ((V1, "chat"), ("other",), True, V1),
        (("chat", V1), (V1, "chat"), True, V1),
        (("chat", V1), ("chat", V1), True, "chat"),
        ((V1,), (), False, None),
        ((V1, "chat"), ("chat",), False, "chat"),
        ((V1, "chat"), ("other",), False, None),
        ((V1,), (V1,), False, V1),
        (("pode.signals.V1", "pode.signals.v2"), (), True, None),
    ],
)
def test_negotiation(offered: tuple[str, ...], accepted: tuple[str, ...], setting: bool, chosen: str | None) -> None:
    """P2, P3, P5: the route's own subprotocols come first, then pode.signals.v1 where the setting allows it."""
    assert chosen_subprotocol(offered, accepted, signals_protocol=setting) == chosen


@pytest.mark.parametrize("accepted", [(), (f"{TEXT}.secret",), ("chat", f"{TEXT}.secret")])
def test_an_offer_to_resume_is_never_chosen(accepted: tuple[str, ...]) -> None:
    """P4: an offer to resume is not agreed on, not even where a route accepts the very text."""
    offer = offer_in(("Sec-WebSocket-Protocol", f"{TEXT}.secret"))
    assert chosen_subprotocol(offer.subprotocols, accepted, signals_protocol=True) is None


SECRET_HEADERS = [
    ("Sec-WebSocket-Protocol", f"a b, {TEXT}.secret", 'Sec-WebSocket-Protocol: "a b"'),
    ("Sec-WebSocket-Protocol", f"{TEXT}.secret, a, a", 'Sec-WebSocket-Protocol: "a, a"'),
    ("Sec-WebSocket-Protocol", f"{TEXT}.secret\x85".encode("latin-1"), 'Sec-Websocket-Protocol: ""'),
    ("Sec-WebSocket-Protocol", f"a, \x85{TEXT}.secret".encode("latin-1"), 'Sec-Websocket-Protocol: "a"'),
    ("X-PODE-SIGNAL-RESUME", "k3v9q2.41-7.secret\0", 'X-Pode-Signal-Resume: "..."'),
    ("Last-Event-ID", "k3v9q2.41-7.secret\0", 'Last-Event-Id: "..."'),
]


@pytest.mark.parametrize(("name", "value", "hint"), SECRET_HEADERS)
def test_the_operator_reads_no_token(name: str, value: str | bytes, hint: str) -> None:
    """P53: where a header is refused that may have a resume token, the line for the log has the rest of it."""
    refused = refusal(head("/msg", (name, value)))
    assert (refused.code, refused.hint) == (400, hint)
    assert "secret" not in repr(refused) + str(refused) + refused.get_body()


def test_a_repr_of_the_offer() -> None:
    """P53: what is known of a good request has no token in its repr."""
    assert "secret" not in repr(offer_in(("Sec-WebSocket-Protocol", f"a, {TEXT}.secret")))


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        (DEFLATE, DEFLATE),
        (f"{DEFLATE}; client_max_window_bits", f"{DEFLATE}; client_max_window_bits"),
        (f"x, {DEFLATE};server_max_window_bits=10", f"{DEFLATE}; server_max_window_bits=10"),
        (f"{DEFLATE}; server_max_window_bits=8", ""),
        (f"{DEFLATE}; server_max_window_bits=10; server_max_window_bits=11", ""),
        (f"{DEFLATE}; unknown, {DEFLATE}", DEFLATE),
        ("x-webkit-deflate-frame", ""),
        ("", ""),
    ],
)
def test_deflate(offered: str, taken: str) -> None:
    """S2.3: offers of compression that can't be understood are declined, and without the setting all are."""
    header = ("Sec-WebSocket-Extensions", offered)
    assert offer_in(header, rules=UpgradeRules(compression=True)).deflate == taken.encode()
    assert offer_in(header).deflate == b""


@pytest.mark.parametrize("target", [b"", b"msg", b"*", b"?a", b"http://example.com/msg", b"/msg#here", b"/#"])
def test_targets_that_could_be_read_in_two_ways(target: bytes) -> None:
    """S2.2: a target without a slash at its begin, or with a fragment, is 400."""
    with pytest.raises(UpgradeRefused) as caught:
        check_target(target)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("data", "upgrade", "handshake"),
    [
        (head(), True, True),
        (head("/msg", ("Upgrade", "h2c, WebSocket")), True, True),
        (head(method=b"POST", without=("Sec-WebSocket-Key",)), True, True),
        (head("/msg", ("Upgrade", "h2c")), False, True),
        (head(without=("Upgrade", "Connection")), False, True),
        (plain("/msg"), False, False),
    ],
)
def test_what_is_meant_as_an_upgrade(data: bytes, upgrade: bool, handshake: bool) -> None:
    """S20.2: a request with Upgrade: websocket is an upgrade, and one with a key was meant as one."""
    assert (is_upgrade(head_in(data)), is_handshake(head_in(data))) == (upgrade, handshake)


NAMES = ["Host", "Origin", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "X-Forwarded-Host"]
NAMES += ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Content-Length", "Transfer-Encoding", "X-Any"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=30)), max_size=4), st.binary(max_size=5))
def test_no_head_makes_it_raise_anything_else(headers: list[tuple[str, bytes]], path: bytes) -> None:
    """S16.8: whatever a head holds, it is good or refused; no other exception leaves the check."""
    clean = [(name, value.translate(None, b"\r\n")) for name, value in headers]
    data = head(b"/" + path.translate(None, b" \r\n"), *clean)
    with suppress(UpgradeRefused):
        check(head_in(data, **PROXY), UpgradeRules(compression=True, allowed_origins=("*",)))


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Proxy-Authorization"])
def test_what_is_secret_is_not_shown(name: str) -> None:
    """S16.7: the line for the log names a header with a bad character, and never the value of one that is a secret."""
    assert refusal(head("/msg", (name, b"Bearer of-a-secret\0"))).hint == f"{name}, not shown"
