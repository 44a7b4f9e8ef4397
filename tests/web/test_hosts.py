"""The Host of a request, as Klein's router reads it: what is refused, with which answer, count and line in the log."""

from __future__ import annotations

from typing import Any

import pytest
from bounded import BoundedWorld
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs, formatEvent
from web_fakes import World, failures_in, head, plain
from werkzeug.routing import Map

from pode_signals.core.endpoints import Endpoint
from pode_signals.core.origin import MAX_HOST_LENGTH, host_name
from pode_signals.hub.reports import printable

LABEL = "a" * 63
LONGEST = f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}"

REFUSED_BY_KLEIN = [
    "a" * 64,
    f"{'a' * 64}.example",
    f"www.{'a' * 64}",
    "a..b",
    ".",
    "..",
    ".com",
    "example.com..",
    "a.:80.",
]
REFUSED_HERE = [
    f"a{LONGEST}",
    f"{LABEL}.{LONGEST}",
    "a:65536",
    "a:99999",
    "a: 80",
    ":80",
    "a:b",
    "a:80:80",
    "a b",
    "[::1",
    "*",
]
MALFORMED = [
    *REFUSED_BY_KLEIN,
    *REFUSED_HERE,
    "",
    "[1.2.3.4]",
    "a,b",
    "zürich.example",
    "xn--\u0661.example",
    b"a\x85",
    b"\xff",
]


def embedded(**settings: Any) -> World:
    """A Klein application within ``signals.resource``, on a Site of somebody else's."""
    return World(**settings).converting()


def served(**settings: Any) -> World:
    """A Klein application on a port of a service that takes every Host."""
    return BoundedWorld(endpoints=[Endpoint("http", hostname="*"), Endpoint("ws", hostname="*")], **settings)


def on_a_public_address(**settings: Any) -> World:
    """The same on an address of the network, where no hostname is asked for."""
    return BoundedWorld(endpoints=[Endpoint("http", "192.0.2.1", 80), Endpoint("ws", "192.0.2.1", 80)], **settings)


each_way = pytest.mark.parametrize("world_of", [embedded, served, on_a_public_address])


@each_way
@pytest.mark.parametrize("host", MALFORMED, ids=ascii)
def test_malformed_hosts(world_of: Any, host: str | bytes) -> None:
    """S2.2: a Host that Klein's router would refuse is 400, for pages and handshakes, served or embedded."""
    world = world_of()
    client = world.client()
    with capturedLogs() as logs:
        page = client.ask(plain("/ok", ("Host", host)))
        handshake = client.ask(head("/msg", ("Host", host)))
    for answer in (page, handshake):
        assert (answer.status, answer.body) == (400, b"The Host header is malformed.\n")
    assert failures_in(logs) == []
    assert not any(event.get("isError") for event in logs)
    assert world.signals.counters.requests_malformed == 1
    assert world.signals.counters.upgrades_refused == {("UpgradeRefused", 400): 1}
    assert client.ask(plain("/ok", ("Host", "localhost"))).body == b"fine"


@each_way
@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a_b", "x-", LABEL, LONGEST, f"{LONGEST}.:65535", "[::1]:80"]
)
def test_good_hosts(world_of: Any, host: str) -> None:
    """S2.2: the longest label and name, and whatever else is a Host, reaches its route."""
    client = world_of().client()
    assert client.ask(plain("/ok", ("Host", host))).body == b"fine"
    assert client.ask(head("/msg", ("Host", host))).status == 101


@each_way
def test_missing_and_repeated_hosts(world_of: Any) -> None:
    """S2.2: HTTP/1.1 needs exactly one Host; HTTP/1.0 may do without, except where its socket has no address."""
    world = world_of()
    two = (("Host", "localhost"), ("Host", "localhost"))
    for lines, status in (((), 400), (two, 400), (two[:1], 200)):
        assert world.client().ask(plain("/ok", *lines).replace(b"Host: example.com\r\n", b"")).status == status
    without = plain("/ok").replace(b"Host: example.com\r\n", b"").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert world.client().ask(without).status == 200
    with capturedLogs() as logs:
        assert world.client("unix").ask(without).status == 400
    assert failures_in(logs) == []


HOSTS = st.text(st.sampled_from("aZ0-_.:[]*@%/ \u00e9"), max_size=12) | st.from_regex(
    r"\A[a-z0-9-]{0,70}(?:\.[a-z0-9-]{0,70}){0,5}\.?(?::[0-9]{0,6})?\Z"
)


@given(HOSTS, st.sampled_from(["", ":8091"]))
@settings(max_examples=500, deadline=None)
@example(LONGEST, "")
@example(f"{'a' * 64}.b", "")
@example("a.", ":8091")
def test_the_router_takes_what_is_taken_here(host: str, port: str) -> None:
    """S2.2: a Host whose name is taken here never makes the router of Klein raise."""
    if host_name(host) is not None:
        assert len(host) <= MAX_HOST_LENGTH
        Map().bind(host + port)


@given(HOSTS)
@settings(max_examples=40, deadline=None)
def test_no_host_makes_a_traceback(host: str) -> None:
    """S2.2: whatever the Host, a page is served or refused, also where Klein builds a URL of it for a redirect."""
    world = embedded()

    @world.app.route("/folder/", endpoint="/folder/")
    def folder(request: Any) -> bytes:
        return b"folder"

    with capturedLogs() as logs:
        statuses = [world.client().ask(plain(path, ("Host", host))).status for path in ("/ok", "/folder")]
    assert statuses == ([400, 400] if host_name(host.strip()) is None else [200, 308])
    assert failures_in(logs) == []


# What a refusal says, and where it is counted.


def lines_of(logs: list[Any], kind: str) -> list[str]:
    """The lines of one kind, each of which is printable."""
    lines = [formatEvent(event) for event in logs if event.get("kind") == kind]
    assert all(line == printable(line) for line in lines)
    return lines


def test_a_page_with_a_wrong_host_is_no_upgrade() -> None:
    """S20.2: a request for a page that gets 421 is counted and logged as what it is, with its Host and ``hostname``."""
    endpoints = [Endpoint("http", hostname="chat.example.com"), Endpoint("ws", hostname="chat.example.com")]
    world = BoundedWorld(endpoints=endpoints)
    with capturedLogs() as logs:
        assert world.client().ask(plain("/ok", ("Host", "evil.example"))).status == 421
    assert world.signals.counters.upgrades_refused == {}
    assert world.signals.counters.requests_refused == {421: 1}
    (line,) = lines_of(logs, "requests_refused")
    assert "refused a request for /ok with 421" in line
    assert '"evil.example"' in line
    assert "hostname" in line
    assert lines_of(logs, "upgrades_refused") == []
    with capturedLogs() as logs:
        assert world.client().ask(head("/ok", ("Host", "evil.example"))).status == 421
    (line,) = lines_of(logs, "upgrades_refused")
    assert all(each in line for each in ("an upgrade of /ok with 421", '"evil.example"', "hostname"))
    assert world.signals.counters.upgrades_refused == {("UpgradeRefused", 421): 1}


@pytest.mark.parametrize(
    ("request_bytes", "status", "kind"),
    [
        (plain("/msg"), 426, "requests_refused"),
        (plain("/ok", ("Host", "a..b")), 400, "requests_malformed"),
        (plain("/msg", method=b"POST"), 405, "requests_refused"),
        (head("/msg", without=("Upgrade",)), 426, "upgrades_refused"),
        (head("/msg", method=b"POST"), 405, "upgrades_refused"),
    ],
)
def test_upgrades_alone_are_counted_as_upgrades(request_bytes: bytes, status: int, kind: str) -> None:
    """S20.2: what a client meant as an upgrade is counted and logged as one, and nothing else is."""
    world = embedded()
    with capturedLogs() as logs:
        assert world.client().ask(request_bytes).status == status
    counters = world.signals.counters
    assert sum(counters.upgrades_refused.values()) == (kind == "upgrades_refused")
    assert counters.requests_refused == ({status: 1} if kind == "requests_refused" else {})
    assert counters.requests_malformed == (kind == "requests_malformed")
    assert len(lines_of(logs, kind)) == 1
    assert len([event for event in logs if "kind" in event]) == 1


FORBIDDEN = [
    ({}, [("Origin", "http://evil.example")], ['"http://evil.example"', 'Host: "example.com"', "allowed_origins"]),
    ({}, [("Origin", "null")], ['"null"', 'Host: "example.com"', "allow_null_origin"]),
    ({"allow_missing_origin": False}, [], ["allow_missing_origin"]),
    ({"trusted_proxies": ["203.0.113.7"]}, [], ["allow_missing_origin"]),
    (
        {"trusted_proxies": ["203.0.113.7"]},
        [("Origin", "http://evil.example"), ("X-Forwarded-Host", "chat.example.com")],
        ['"http://evil.example"', 'Host: "example.com"', 'X-Forwarded-Host: "chat.example.com"', "allowed_origins"],
    ),
    (
        {},
        [("Origin", "http://chat.example.com"), ("X-Forwarded-Host", "chat.example.com")],
        ["X-Forwarded-Host", "trusted_proxies", "allowed_origins"],
    ),
    ({}, [("Origin", "http://" + "e" * 5_000)], ["…", "allowed_origins"]),
]


@pytest.mark.parametrize(("settings_given", "headers", "named"), FORBIDDEN)
def test_a_forbidden_origin(settings_given: dict[str, Any], headers: list[tuple[str, str]], named: list[str]) -> None:
    """S20.2: the line of a 403 has the Origin and the Host, and names the setting; the client hears nothing of it."""
    world = embedded(**settings_given)
    with capturedLogs() as logs:
        answer = world.client().ask(head("/msg", *headers))
    assert (answer.status, answer.body) == (403, b"This origin may not connect.\n")
    (line,) = lines_of(logs, "upgrades_refused")
    assert [each for each in named if each not in line] == []
    assert len(line) < 1_000


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Host", "a..b"),
        ("Origin", "example.com"),
        ("Sec-WebSocket-Key", "x"),
        ("Sec-WebSocket-Version", "x"),
        ("Sec-WebSocket-Protocol", "a b"),
        ("Sec-WebSocket-Extensions", b"\x01"),
        ("Connection", b"Upgrade, \x85"),
        ("Content-Length", "5"),
        ("X-Forwarded-Host", "a b"),
    ],
)
def test_a_malformed_header(header: str, value: str | bytes) -> None:
    """S20.2: the line of a 400 names the header that is wrong."""
    world = embedded(trusted_proxies=["203.0.113.7"])
    more = () if header == "Origin" else (("Origin", "http://example.com"),)
    body = b"12345" if header == "Content-Length" else b""
    with capturedLogs() as logs:
        assert world.client().ask(head("/msg", (header, value), *more) + body).status == 400
    (line,) = lines_of(logs, "upgrades_refused")
    assert header.lower() in line.lower()


def test_a_flood_of_wrong_hosts() -> None:
    """S20.2: of such lines there are ten a minute, and the counters have them all."""
    world = BoundedWorld(endpoints=[Endpoint("http")])
    with capturedLogs() as logs:
        for host in ("evil.example", "a..b") * 15:
            world.client().ask(plain("/ok", ("Host", host)))
    assert len(lines_of(logs, "requests_refused")) == len(lines_of(logs, "requests_malformed")) == 10
    assert world.signals.counters.requests_refused == {421: 15}
    assert world.signals.counters.requests_malformed == 15


@pytest.mark.parametrize("wrapped", [False, True])
def test_reason_phrases(wrapped: bool) -> None:
    """S2.2: 421, 426 and 429 have their reason phrases on the wire, also where Klein renders them by itself."""
    world = World(wrapped=wrapped, max_connections_per_address=1).converting()
    world.client().open()
    for request, phrase in ((head(), b"429 Too Many Requests"), (plain("/msg"), b"426 Upgrade Required")):
        client = world.client()
        client.ask(request)
        assert client.received.startswith(b"HTTP/1.1 " + phrase + b"\r\n")
    client = BoundedWorld(endpoints=[Endpoint("http")]).client()
    client.ask(plain("/ok"))
    assert client.received.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
