from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.endpoints import TCP4ServerEndpoint

from pode_signals.core.endpoints import Endpoint
from pode_signals.errors import ConfigurationInvalid, UpgradeRefused
from pode_signals.ports.listeners import Listener, group_endpoints, interfaces


def only(*endpoints: Endpoint) -> Listener:
    """The one port of endpoints that share it."""
    (listener,) = group_endpoints(endpoints)
    return listener


def refusal(listener: Listener, *, upgrade: bool, host: str | None) -> UpgradeRefused:
    """How a request is refused."""
    with pytest.raises(UpgradeRefused) as refused:
        listener.endpoint_for(upgrade=upgrade, host=host)
    return refused.value


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("localhost", ("127.0.0.1", "::1")),
        ("*", ("0.0.0.0", "::")),
        ("10.1.2.3", ("10.1.2.3",)),
        ("fe80::1", ("fe80::1",)),
    ],
)
def test_interfaces(address: str, expected: tuple[str, ...]) -> None:
    """S1.1: localhost is IPv4 and IPv6, and so is every interface; any other address is itself."""
    assert interfaces(address) == expected


def test_http_and_websocket_share_a_port() -> None:
    """S1.2: http and ws with one address and port share it, whatever way the address is written."""
    page, socket = Endpoint("http", "0:0::1", 80), Endpoint("ws", "::1", 80)
    assert only(page, socket).endpoints == (page, socket)
    assert only(Endpoint("https", port=0), Endpoint("wss", port=0)).is_secure
    assert only(Endpoint("http", listen="unix:/x"), Endpoint("ws", listen="unix:/x")).endpoints
    assert len(group_endpoints([Endpoint("http", port=80), Endpoint("ws", port=81)])) == 2
    assert len(group_endpoints([Endpoint("http", "127.0.0.1", 80), Endpoint("ws", "127.0.0.2", 80)])) == 2
    assert len(group_endpoints([Endpoint("http", "127.0.0.1", 0), Endpoint("ws", "*", 0)])) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Endpoint("http", port=80), Endpoint("wss", port=80)),
        (Endpoint("https", "*", 80), Endpoint("ws", "*", 80, name="chat")),
        (Endpoint("http", listen="unix:/x"), Endpoint("wss", listen="unix:/x")),
    ],
)
def test_tls_and_plain_do_not_share_a_port(one: Endpoint, other: Endpoint) -> None:
    """S1.2: TLS and plain on one port are refused, and both endpoints are named."""
    with pytest.raises(ConfigurationInvalid) as refused:
        group_endpoints([one, other])
    assert str(one) in str(refused.value)
    assert str(other) in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("localhost", "127.0.0.1"),
        ("localhost", "::1"),
        ("*", "10.0.0.1"),
        ("localhost", "*"),
        ("0.0.0.0", "10.0.0.1"),
        ("::", "fe80::1"),
    ],
)
def test_overlapping_addresses(one: str, other: str) -> None:
    """S1.2: addresses that overlap without being the same can't have one port; both endpoints are named."""
    for pair in ((one, other), (other, one)):
        first, second = Endpoint("http", pair[0], 80), Endpoint("ws", pair[1], 80)
        with pytest.raises(ConfigurationInvalid) as refused:
            group_endpoints([first, second])
        assert str(first) in str(refused.value)
        assert str(second) in str(refused.value)


def test_addresses_of_two_families_do_not_overlap() -> None:
    """S1.2: every IPv4 address and an IPv6 address can have one port."""
    assert len(group_endpoints([Endpoint("http", "0.0.0.0", 80), Endpoint("ws", "::1", 80)])) == 2


def test_endpoints_that_no_request_can_tell_apart() -> None:
    """S1.4: two endpoints of one port and protocol need different hostnames."""
    one = Endpoint("http", port=80, name="a", hostname="Example.com")
    assert only(one, evolve(one, name="b", hostname="example.org"), evolve(one, name="c", hostname=None))
    for other in (evolve(one, name="b", hostname="example.COM"), evolve(one, name="b")):
        with pytest.raises(ConfigurationInvalid, match=r"80 \(a\).*80 \(b\)"):
            group_endpoints([one, other])


def test_one_certificate_a_port() -> None:
    """S1.5: one endpoint of a port brings its certificate; two different ones are refused."""
    page = Endpoint("https", port=80, certificate="a.pem")
    assert only(page, Endpoint("wss", port=80))
    assert only(page, Endpoint("wss", port=80, certificate="a.pem"))
    with pytest.raises(ConfigurationInvalid, match=r"https localhost:80 and wss localhost:80"):
        group_endpoints([page, Endpoint("wss", port=80, self_signed=True)])


def test_upgrades_only_where_they_are_taken() -> None:
    """S1.3: an upgrade on a port without ws or wss gets 400 and why; on one with it, the endpoint that takes it."""
    page, socket = Endpoint("http", port=80), Endpoint("ws", port=80)
    assert only(page, socket).endpoint_for(upgrade=True, host="localhost:80") is socket
    assert only(page, socket).endpoint_for(upgrade=False, host="localhost:80") is page
    refused = refusal(only(page), upgrade=True, host="localhost:80")
    assert refused.code == 400
    assert "ws" in str(refused.description)


def test_plain_requests_only_where_they_are_taken() -> None:
    """S1.3: a plain request to a port with WebSocket alone gets 426 with Upgrade: websocket."""
    refused = refusal(only(Endpoint("ws", port=80)), upgrade=False, host="localhost")
    assert refused.code == 426
    assert ("Upgrade", "websocket") in refused.headers


def test_hostname() -> None:
    """S1.4: an endpoint with a hostname takes requests with that Host, case-blind and whatever the port; others 421."""
    admin = Endpoint("http", "*", 80, hostname="Admin.example.com")
    listener = only(admin)
    for host in ("admin.example.com", "ADMIN.example.com:8443", "admin.example.com."):
        assert listener.endpoint_for(upgrade=False, host=host) is admin
    for wrong in ("example.com", "admin.example.com.evil.example", "", None, "a b", "admin.example.com:x"):
        assert refusal(listener, upgrade=False, host=wrong).code == 421


def test_the_endpoint_is_chosen_by_kind_then_by_host() -> None:
    """S1.4: on a shared port the kind of request decides, then the Host; one without a hostname takes the rest."""
    page, admin = Endpoint("http", "*", 80, name="page"), Endpoint("http", "*", 80, name="admin", hostname="a.example")
    socket = Endpoint("ws", "*", 80, hostname="a.example")
    listener = only(page, admin, socket)
    assert listener.endpoint_for(upgrade=False, host="a.example:80") is admin
    assert listener.endpoint_for(upgrade=False, host="b.example") is page
    assert listener.endpoint_for(upgrade=False, host=None) is page
    assert listener.endpoint_for(upgrade=True, host="a.example") is socket
    assert refusal(listener, upgrade=True, host="b.example").code == 421


def test_ipv6_hostname() -> None:
    """S1.4: a hostname can be an IPv6 address, with brackets or without."""
    for hostname in ("2001:db8:0::1", "[2001:db8::1]"):
        listener = only(Endpoint("http", "*", 80, hostname=hostname))
        assert listener.endpoint_for(upgrade=False, host="[2001:DB8::1]:80")
        assert refusal(listener, upgrade=False, host="[2001:db8::2]").code == 421


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "::1", "127.0.0.2"])
def test_loopback_hosts(address: str) -> None:
    """S1.4: a loopback endpoint without a hostname takes loopback Hosts alone, so no rebound DNS name gets in."""
    listener = only(Endpoint("http", address, 80), Endpoint("ws", address, 80))
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1:80", "[::1]:80"):
        assert listener.endpoint_for(upgrade=True, host=host)
        assert listener.endpoint_for(upgrade=False, host=host)
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.3", "", "[", None):
        assert refusal(listener, upgrade=True, host=host).code == 421
        assert refusal(listener, upgrade=False, host=host).code == 421


def test_loopback_with_a_hostname() -> None:
    """S1.4: a hostname takes the place of the loopback Hosts; ``*`` is every Host, for a proxy in front."""
    named = only(Endpoint("http", port=80, hostname="example.com"))
    assert named.endpoint_for(upgrade=False, host="example.com")
    assert refusal(named, upgrade=False, host="localhost").code == 421
    assert only(Endpoint("http", port=80, hostname="*")).endpoint_for(upgrade=False, host="example.com")


def test_the_loopback_rule_of_endpoint_strings() -> None:
    """S1.4: whether a Twisted endpoint string is loopback shows when it is bound; a UNIX socket is not."""
    listener = only(Endpoint("http", listen="tcp:80:interface=127.0.0.1"))
    listener.addresses = (IPv4Address("TCP", "127.0.0.1", 80),)
    assert listener.endpoint_for(upgrade=False, host="localhost")
    assert refusal(listener, upgrade=False, host="evil.example").code == 421
    listener.addresses = (IPv4Address("TCP", "10.0.0.1", 80),)
    assert listener.endpoint_for(upgrade=False, host="example.com")
    listener.addresses = (UNIXAddress(b"/run/x"),)
    assert listener.endpoint_for(upgrade=False, host="example.com")


@pytest.mark.parametrize(
    ("endpoints", "sentence"),
    [
        (
            ["http://localhost:8091"],
            "endpoints has a text in place of an endpoint: write Endpoint.parse('http://localhost:8091')",
        ),
        (
            "http://localhost:8091",
            "endpoints has to be a list of endpoints, not a text: write [Endpoint.parse('http://localhost:8091')]",
        ),
        (
            Endpoint("http", port=8091),
            "endpoints has to be a list of endpoints: put the endpoint http localhost:8091 in brackets",
        ),
        (8091, "endpoints has to be a list of endpoints, not 8091"),
        (None, "endpoints has to be a list of endpoints, not None"),
        ([Endpoint("http"), 8091], "endpoints has 8091 in place of an endpoint"),
    ],
)
def test_what_is_no_list_of_endpoints(endpoints: Any, sentence: str) -> None:
    """S20.1: texts or one endpoint, where a list of endpoints belongs, are refused in a sentence."""
    with pytest.raises(ConfigurationInvalid) as refused:
        group_endpoints(endpoints)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("host", "forwarded_host", "came"),
    [
        ("evil.example", None, 'Host: "evil.example"'),
        (None, None, "no Host"),
        ("localhost", "evil.example", 'Host: "localhost", X-Forwarded-Host: "evil.example"'),
    ],
)
def test_what_to_set_for_a_host(host: str | None, forwarded_host: str | None, came: str) -> None:
    """S20.2: the log line of a 421 has the Host that came, and says that ``hostname`` decides."""
    listener = only(Endpoint("http", port=80, hostname="example.com"))
    with pytest.raises(UpgradeRefused) as refused:
        listener.endpoint_for(upgrade=False, host=host, forwarded_host=forwarded_host)
    assert refused.value.code == 421
    assert refused.value.hint == (
        f"{came}; an endpoint serves the Host in its hostname=, and on loopback without hostname= localhost alone"
    )


def test_endpoints_of_twisted_share_a_port() -> None:
    """S1.2: endpoints with the same endpoint of Twisted share its port; others do not overlap."""
    by, other = TCP4ServerEndpoint(None, 80), TCP4ServerEndpoint(None, 80)
    page, socket = Endpoint("http", listen=by), Endpoint("ws", listen=by)
    assert only(page, socket).endpoints == (page, socket)
    assert len(group_endpoints([page, Endpoint("ws", listen=other), Endpoint("ws", port=80)])) == 3
    with pytest.raises(ConfigurationInvalid, match="one is TLS"):
        group_endpoints([page, Endpoint("wss", listen=by, self_signed=True)])
