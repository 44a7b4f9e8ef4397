from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pode_signals.core.addresses import UNIX_PEER, TrustedProxies, limit_key, plain_address


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%eth0\nforged", "fe80::1"),
        ("::ffff:192.0.2.7%1", "192.0.2.7"),
        ("", ""),
        ("/run/pode.sock", ""),
        ("localhost", ""),
        ("192.0.2", ""),
        ("192.0.2.07", ""),
        ("192.0.2.7:80", ""),
        ("[::1]", ""),
        (" 192.0.2.7", ""),
    ],
)
def test_plain_addresses(text: str, plain: str) -> None:
    """S8.2: IPv4-mapped addresses become IPv4, each address has one spelling, and what is none is empty."""
    assert plain_address(text) == plain
    assert plain_address(plain) == plain


@given(
    st.text() | st.text(st.sampled_from("0123456789abcdefF.:%")) | st.integers(0, 2**128 - 1).map(IPv6Address).map(str)
)
def test_plain_addresses_are_addresses(text: str) -> None:
    """S8.2: no text makes it raise, and what comes out holds nothing but an address."""
    assert set(plain_address(text)) <= set("0123456789abcdef.:")


@pytest.mark.parametrize(
    ("networks", "address", "trusted"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.1"], "192.0.2.2", False),
        (["fd00::/8"], "fd12::1", True),
        (["fd00::/8"], "fe80::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
        (["::ffff:10.0.0.1"], "10.0.0.2", False),
        (["::/0"], "10.0.0.1", False),
        (["::1/128"], "::1", True),
        (["0.0.0.0/0"], "", False),
        (["0.0.0.0/0"], "unknown", False),
        ([], "127.0.0.1", False),
        (["unix"], UNIX_PEER, True),
        (["0.0.0.0/0", "::/0"], UNIX_PEER, False),
        (["unix"], "", False),
        (["unix"], "127.0.0.1", False),
        (["unix", "127.0.0.1"], "127.0.0.1", True),
    ],
)
def test_trusted_proxies(networks: list[str], address: str, trusted: bool) -> None:
    """S8.2: a proxy is trusted if its address is in one of the networks, in whichever form it is written."""
    assert TrustedProxies(networks).trusts(address) is trusted


@pytest.mark.parametrize("network", ["", "proxy.example", "10.0.0.1/8", "10.0.0.0/33", "*"])
def test_bad_networks(network: str) -> None:
    """S8.2: what is neither an address nor a network is a ValueError."""
    with pytest.raises(ValueError, match=r"network|host bits"):
        TrustedProxies(["10.0.0.0/8", network])


@pytest.mark.parametrize(
    ("socket", "headers", "client"),
    [
        # From an untrusted socket X-Forwarded-For is an invention.
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),
        ("::ffff:203.0.113.5", [], "203.0.113.5"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["forged, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.66, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "10.0.0.3", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.66", "198.51.100.1,10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.4,10.0.0.3"], "10.0.0.4"),
        ("10.0.0.1", ["198.51.100.1, ,10.0.0.2,"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:DB8::1]:4711, 10.0.0.2:80"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["[::1]x"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:http"], "10.0.0.1"),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_the_address_behind_proxies(socket: str, headers: list[str], client: str) -> None:
    """S8.2: behind a trusted proxy the client is the right-most untrusted address of X-Forwarded-For."""
    assert TrustedProxies(["10.0.0.0/8", "fd00::/8"]).client_address(socket, headers) == client


@given(st.lists(st.text(st.sampled_from("0123456789.:[]%, af"))), st.sampled_from(["10.0.0.1", "203.0.113.5", ""]))
def test_no_header_makes_it_raise(headers: list[str], socket: str) -> None:
    """S8.2: whatever X-Forwarded-For holds, the outcome is a plain address, and the socket's if that is untrusted."""
    client = TrustedProxies(["10.0.0.0/8"]).client_address(socket, headers)
    assert client == plain_address(client)
    if socket != "10.0.0.1":
        assert client == socket


@pytest.mark.parametrize(
    ("socket", "headers", "client", "hops"),
    [
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5", 0),
        ("10.0.0.1", [], "10.0.0.1", 1),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1", 1),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1", 2),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3", 3),
        ("10.0.0.1", ["10.0.0.3, unknown, 10.0.0.2"], "10.0.0.2", 2),
        ("10.0.0.1", [f"198.51.100.1, fe80::1%{'x' * 9_999}"], "10.0.0.1", 1),
        (UNIX_PEER, [], "", 1),
        (UNIX_PEER, ["198.51.100.1"], "198.51.100.1", 1),
        (UNIX_PEER, ["198.51.100.1, unix:, 10.0.0.2"], "198.51.100.1", 3),
        (UNIX_PEER, ["198.51.100.1, unix, 10.0.0.2"], "10.0.0.2", 2),
        ("203.0.113.5", ["unix:"], "203.0.113.5", 0),
        ("", ["198.51.100.1"], "", 0),
    ],
)
def test_hops(socket: str, headers: list[str], client: str, hops: int) -> None:
    """S15.2: UNIX sockets are hops like others, and hops are counted up to the first that is not trusted."""
    proxies = TrustedProxies(["10.0.0.0/8", "unix"])
    assert proxies.client_address(socket, headers) == client
    assert proxies.hops(socket, headers) == hops
    assert TrustedProxies([]).hops(socket, headers) == 0


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("unix", ""),
    ],
)
def test_keys_of_limits(address: str, key: str) -> None:
    """S16.5: a limit for each address counts IPv6 by networks of 64 bits; who has no address is in none."""
    assert limit_key(address) == key


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_one_network_has_one_key(network: int, one: int, other: int) -> None:
    """S16.5: all addresses of a network of 64 bits have one key, and those of two networks have two."""
    keys = {limit_key(plain_address(str(IPv6Address(network << 64 | each)))) for each in (one, other)}
    if network:
        assert len(keys) == 1
        assert keys != {limit_key(plain_address(str(IPv6Address((network ^ 1) << 64 | one))))}


def test_nothing_long_is_remembered() -> None:
    """S16.5: what a client writes into X-Forwarded-For is not kept, however long it is."""
    proxies = TrustedProxies(["10.0.0.0/8"])
    before = plain_address.cache_info().currsize
    for number in range(50):
        proxies.client_address("10.0.0.1", [f"fe80::{number}%{'x' * 1_000}"])
    assert plain_address.cache_info().currsize <= before + 1
