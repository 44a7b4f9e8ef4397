"""Behind proxies: whose address and whose Host a request has, over TCP and over UNIX sockets."""

from __future__ import annotations

from typing import Any

import pytest
from bounded import BoundedWorld
from twisted.logger import capturedLogs, formatEvent
from web_fakes import Client, World, head, message, plain

from pode_signals.core.endpoints import Endpoint

PROXY, OUTER, CLIENT = "10.0.0.1", "10.0.0.2", "203.0.113.7"
TRUSTED = ["10.0.0.0/8"]
SECRET = "a secret of more than thirty-two bytes"
ORIGIN = ("Origin", "https://chat.example.com")


def forwarded(*addresses: str) -> tuple[str, str]:
    return "X-Forwarded-For", ", ".join(addresses)


def hosts(*names: str) -> list[tuple[str, str]]:
    """An X-Forwarded-Host for each line."""
    return [("X-Forwarded-Host", name) for name in names]


# UNIX sockets.


@pytest.mark.parametrize(
    ("trusted", "headers", "address"),
    [
        (["unix"], [forwarded(CLIENT)], CLIENT),
        (["unix"], [forwarded("192.0.2.66", CLIENT)], CLIENT),
        (["unix"], [], ""),
        (["unix"], [forwarded("unknown")], ""),
        (["unix", *TRUSTED], [forwarded(CLIENT, OUTER)], CLIENT),
        # nginx behind nginx, over two UNIX sockets.
        (["unix"], [forwarded(CLIENT, "unix:")], CLIENT),
        (["unix"], [forwarded("unix:")], ""),
        ([], [forwarded(CLIENT)], ""),
        (["0.0.0.0/0", "::/0"], [forwarded(CLIENT)], ""),
    ],
)
def test_the_address_behind_a_unix_socket(trusted: list[str], headers: list[tuple[str, str]], address: str) -> None:
    """S15.2: ``unix`` among the trusted proxies lets X-Forwarded-For of a UNIX socket count; no network does."""
    world = World(trusted_proxies=trusted, allow_missing_origin=True).converting()
    world.client("unix").open("/msg", *headers)
    assert world.converted[0].address == address


def test_unix_is_no_address() -> None:
    """S15.2: trusting UNIX sockets trusts nobody over TCP, whatever X-Forwarded-For says."""
    world = World(trusted_proxies=["unix"], allow_missing_origin=True).converting()
    world.client(CLIENT).open("/msg", forwarded("192.0.2.66", "unix:"))
    world.client("unix").open("/msg", forwarded("192.0.2.66", "unix:", CLIENT))
    assert [each.address for each in world.converted] == [CLIENT, CLIENT]


@pytest.mark.parametrize(("trusted", "status"), [(["unix"], 101), ([], 403)])
def test_the_forwarded_host_over_a_unix_socket(trusted: list[str], status: int) -> None:
    """S15.2: the same holds for X-Forwarded-Host and the Origin."""
    world = World(trusted_proxies=trusted).converting()
    assert world.client("unix").ask(head("/msg", ORIGIN, *hosts("chat.example.com"))).status == status


@pytest.mark.parametrize("trusted", [[], ["unix"]])
def test_clients_without_an_address_are_in_no_limit(trusted: list[str]) -> None:
    """S15.2: clients without an address do not share one limit; those that a trusted proxy tells apart have theirs."""
    world = World(trusted_proxies=trusted, allow_missing_origin=True, max_connections_per_address=1).converting()
    for _ in range(3):
        world.client("unix").open()
    assert world.client("unix").ask(head("/msg", forwarded(CLIENT))).status == 101
    assert world.client("unix").ask(head("/msg", forwarded(CLIENT))).status == (429 if trusted else 101)


def strict(trusted: list[str]) -> World:
    """Strict signing, a page that tells whether a connection is referred to, and a route that takes a given id."""
    world = World(trusted_proxies=trusted, allow_missing_origin=True).converting().listening()
    world.signals.enable_signing(SECRET, strict=True)

    @world.app.route("/report", endpoint="/report")
    def report(request: Any) -> bytes:
        return b"" if world.signals.connection_of(request) is None else b"known"

    @world.app.route("/again", endpoint="/again")
    def again(request: Any) -> None:
        world.signals.convert(request, "Again", client_id=request.args[b"id"][0].decode())

    return world


def shows(client: Client, client_id: str, address: str) -> int:
    """The status of a request that shows an id."""
    return client.ask(plain("/report", forwarded(address), ("X-PODE-SIGNAL-CLIENT-ID", client_id))).status


def test_strict_ids_over_an_untrusted_unix_socket() -> None:
    """S15.2: clients that nothing tells apart connect, but no id is valid that one of them shows; one line says so."""
    world = strict([])
    with capturedLogs() as logs:
        client = world.client("unix").open("/msg", forwarded(CLIENT))
        world.client("unix").open("/msg", forwarded(CLIENT))
    client_id = world.converted[0].client_id
    assert client_id.startswith("s:")
    assert [shows(world.client("unix"), client_id, each) for each in (CLIENT, "198.51.100.9")] == [400, 400]
    assert world.client("unix").ask(head(f"/again?id={client_id}".replace("+", "%2B"))).status == 400
    client.send(message("to one", clientId=client_id))
    assert world.messages == []
    assert world.signals.counters.messages_refused == 1
    warned = [formatEvent(event) for event in logs if 'trusted_proxies=["unix"]' in formatEvent(event)]
    assert len(warned) == 1


def test_strict_ids_over_a_trusted_unix_socket() -> None:
    """S15.2: behind a trusted proxy an id is valid for the client that got it, and for no other."""
    world = strict(["unix"])
    world.client("unix").open("/msg", forwarded(CLIENT))
    client_id = world.converted[0].client_id
    assert [shows(world.client("unix"), client_id, each) for each in (CLIENT, "198.51.100.9")] == [200, 400]


# Limits per address.


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_one_subscriber_of_ipv6(one: str, other: str, shared: bool) -> None:
    """S16.5: an IPv6 network of 64 bits is one address for the limit; an IPv4-mapped address is IPv4."""
    world = World(max_connections_per_address=1).converting()
    first = world.client(one).open()
    assert world.client(other).ask(head()).status == (429 if shared else 101)
    first.leave()
    world.turn()
    world.client(one).open()


def test_a_replaced_connection_of_the_same_subscriber() -> None:
    """S2.4: at the limit a client that comes back from another address of its network replaces its old connection."""
    world = World(max_connections_per_address=1).converting(client_id="ada")
    world.client("2001:db8:1:2::1").open()
    world.client("2001:db8:1:2::2").open()
    world.turn(10)
    assert world.signals.count() == 1
    assert len(world.signals.open_connections()) == 1


# X-Forwarded-Host.

LISTS = [
    (["chat.example.com"], [], 101),
    (["chat.example.com, chat.example.com"], [], 101),
    (["chat.example.com,"], [], 101),
    ([" , chat.example.com , "], [], 101),
    (["", "chat.example.com"], [], 101),
    (["chat.example.com", ""], [], 101),
    (["CHAT.example.com:443"], [], 101),
    # Nothing tells the hops: the first proxy of the chain wrote the first element.
    (["chat.example.com, inner.example"], [], 101),
    (["chat.example.com", "inner.example"], [], 101),
    (["inner.example, chat.example.com"], [], 403),
    # No trusted proxy, or one, before the last: what is left of the last element is the client's invention.
    (["chat.example.com, inner.example"], [forwarded(CLIENT)], 403),
    (["inner.example, chat.example.com"], [forwarded(CLIENT)], 101),
    (["chat.example.com, inner.example"], [forwarded(CLIENT, OUTER)], 403),
    (["chat.example.com", "inner.example"], [forwarded(CLIENT), forwarded(OUTER)], 403),
    (["inner.example, , chat.example.com,"], [forwarded(CLIENT, OUTER)], 101),
    # Two trusted proxies before it.
    (["chat.example.com, inner.example"], [forwarded(CLIENT, "10.0.0.3", OUTER)], 101),
    (["evil.example, chat.example.com, inner.example"], [forwarded(CLIENT, "10.0.0.3", OUTER)], 101),
    (["chat.example.com, evil.example, inner.example"], [forwarded(CLIENT, "10.0.0.3", OUTER)], 403),
    # Fewer elements than hops.
    (["chat.example.com"], [forwarded(CLIENT, "10.0.0.3", OUTER)], 101),
    # An entry that can't be read ends what is known.
    (["chat.example.com, inner.example"], [forwarded(CLIENT, "unknown")], 403),
    ([" ,"], [], 403),
    (["a b"], [], 400),
    (["a..b, chat.example.com"], [], 400),
    (["a" * 5_000], [], 400),
]


@pytest.mark.parametrize(("lines", "addresses", "status"), LISTS)
def test_lists_of_hosts(lines: list[str], addresses: list[tuple[str, str]], status: int) -> None:
    """S16.6: from the right, an element of X-Forwarded-Host for each trusted hop; the last of these is the Host."""
    world = World(trusted_proxies=TRUSTED).converting()
    answer = world.client(PROXY).ask(head("/msg", ORIGIN, *hosts(*lines), *addresses))
    assert answer.status == status


@pytest.mark.parametrize(("lines", "addresses", "status"), LISTS)
def test_lists_of_hosts_choose_the_endpoint(lines: list[str], addresses: list[tuple[str, str]], status: int) -> None:
    """S1.4: the endpoint is chosen by the same Host, for pages and for handshakes."""
    endpoints = [Endpoint(each, "*", 80, hostname="chat.example.com") for each in ("http", "ws")]
    world = BoundedWorld(endpoints=endpoints, trusted_proxies=TRUSTED)
    refused = 421 if status == 403 else status
    for request, good in (
        (plain("/ok", *hosts(*lines), *addresses), 200),
        (head("/msg", ORIGIN, *hosts(*lines), *addresses), 101),
    ):
        assert world.client(PROXY).ask(request).status == (good if status == 101 else refused)
    assert world.client(CLIENT).ask(plain("/ok", *hosts(*lines), *addresses)).status == 421


def loopback(**settings: Any) -> World:
    """A port on loopback without a hostname."""
    return BoundedWorld(endpoints=[Endpoint("http"), Endpoint("ws")], **settings)


def test_a_proxy_in_front_of_a_loopback_endpoint() -> None:
    """S1.4: a trusted proxy that sends the Host of its upstream, and X-Forwarded-Host, gets in on loopback."""
    world = loopback(trusted_proxies=["127.0.0.1"])
    request = head("/msg", ("Host", "127.0.0.1:8091"), ORIGIN, *hosts("chat.example.com"))
    assert world.client("127.0.0.1").ask(request).status == 101


def test_a_rebound_name_can_not_forward_itself() -> None:
    """S1.4: a page that has rebound its name to loopback can send X-Forwarded-Host, and gets 421 all the same."""
    world = loopback(trusted_proxies=["127.0.0.1"])
    for name in ("localhost", "127.0.0.1", "evil.example"):
        request = plain("/ok", ("Host", "evil.example"), *hosts(name))
        assert world.client("127.0.0.1").ask(request).status == 421


# Origins.


@pytest.mark.parametrize(
    ("setting", "address", "status"),
    [
        (None, CLIENT, 101),
        (None, PROXY, 403),
        (None, "unix", 403),
        (True, CLIENT, 101),
        (True, PROXY, 101),
        (True, "unix", 101),
        (False, CLIENT, 403),
        (False, PROXY, 403),
    ],
)
def test_a_proxy_that_drops_the_origin(setting: bool | None, address: str, status: int) -> None:
    """S16.6: no Origin is allowed, but not through a trusted proxy unless ``allow_missing_origin=True`` says so."""
    world = World(trusted_proxies=[*TRUSTED, "unix"], allow_missing_origin=setting).converting()
    assert world.client(address).ask(head()).status == status


@pytest.mark.parametrize("origin", ["file://", "qrc://", "app://.", "APP://.", "vscode-webview://a_b!c"])
def test_origins_without_a_host(origin: str) -> None:
    """S16.6: an origin without a host, or with one that is no name, can be listed, and is refused until it is."""
    for listed, status in (([origin], 101), (["https://app.example.com"], 403), (["data://"], 403)):
        world = World(allowed_origins=listed).converting()
        assert world.client().ask(head("/msg", ("Origin", origin))).status == status


@pytest.mark.parametrize("origin", ["ws://example.com", "WS://example.com:80", "wss://example.com"])
def test_origins_of_clients_that_are_no_browsers(origin: str) -> None:
    """S16.6: an Origin of ``ws`` or ``wss`` counts as one of ``http`` or ``https``."""
    assert World().converting().client().ask(head("/msg", ("Origin", origin))).status == 101
    foreign = origin.replace("example.com", "other.example")
    assert World().converting().client().ask(head("/msg", ("Origin", foreign))).status == 403
    listed = World(allowed_origins=[foreign.replace("ws", "http").replace("WS", "http")]).converting()
    assert listed.client().ask(head("/msg", ("Origin", foreign))).status == 101
