from __future__ import annotations

import pytest
from heads import head_in
from web_fakes import plain

from pode_signals.core.hosts import check_forwarded_host, check_host
from pode_signals.errors import UpgradeRefused

TWO = (("Host", "a"), ("Host", "b"))


@pytest.mark.parametrize(
    ("headers", "version", "has_own_address", "said"),
    [
        ((("Host", "example.com:80"),), b"HTTP/1.1", True, None),
        ((), b"HTTP/1.0", True, None),
        ((), b"HTTP/1.0", False, ("The Host header is missing.", "")),
        ((), b"HTTP/1.1", True, ("The Host header is missing.", "")),
        (TWO, b"HTTP/1.1", True, ("The Host header is repeated.", 'Host: "a, b"')),
        (TWO, b"HTTP/1.0", True, ("The Host header is repeated.", 'Host: "a, b"')),
        ((("Host", "a b"),), b"HTTP/1.1", True, ("The Host header is malformed.", 'Host: "a b"')),
        ((("Host", "a" * 261),), b"HTTP/1.1", True, ("The Host header is malformed.", f'Host: "{"a" * 200}…"')),
    ],
)
def test_the_host(
    headers: tuple[tuple[str, str], ...], version: bytes, has_own_address: bool, said: tuple[str, str] | None
) -> None:
    """S2.2: a request has one good Host; HTTP/1.0 may do without where the socket has an address."""
    data = plain("/ok", *headers).replace(b"HTTP/1.1", version)
    if not headers:
        data = data.replace(b"Host: example.com\r\n", b"")
    head = head_in(data, has_own_address=has_own_address)
    if said is None:
        check_host(head)
        return
    with pytest.raises(UpgradeRefused) as caught:
        check_host(head)
    assert (caught.value.code, caught.value.description, caught.value.hint) == (400, *said)


def test_the_forwarded_host() -> None:
    """S16.6: the Host that trusted proxies report is looked at as one of a request is; nobody else's is at all."""
    good, bad = plain("/ok", ("X-Forwarded-Host", "chat.example.com")), plain("/ok", ("X-Forwarded-Host", "a b"))
    proxy = ("10.0.0.1",)
    assert check_forwarded_host(head_in(good, peer="10.0.0.1", trusted_proxies=proxy)) == "chat.example.com"
    assert check_forwarded_host(head_in(good)) is check_forwarded_host(head_in(bad)) is None
    with pytest.raises(UpgradeRefused) as caught:
        check_forwarded_host(head_in(bad, peer="10.0.0.1", trusted_proxies=proxy))
    assert (caught.value.code, caught.value.hint) == (400, 'X-Forwarded-Host: "a b"')
