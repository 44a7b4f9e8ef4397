from __future__ import annotations

import pytest
from attrs.exceptions import FrozenInstanceError
from heads import head_in
from web_fakes import head, plain

from pode_signals.core.addresses import UNIX_PEER
from pode_signals.core.signing import Caller

PROXIES = ("10.0.0.0/8", "unix")


def test_what_a_head_tells() -> None:
    """S5.3: a head has the request line and the lines of each header, by its name in any case."""
    it = head_in(head("/msg?token=secret", ("X-Any", "1"), ("x-any", "2")), is_secure=True)
    assert (it.method, it.target, it.path, it.version) == (b"GET", b"/msg?token=secret", b"/msg", b"HTTP/1.1")
    assert (it.lines(b"x-any"), it.first(b"x-any")) == ([b"1", b"2"], b"1")
    assert (list(it.lines(b"x-other")), it.first(b"x-other")) == ([], None)
    assert (it.host, it.is_secure) == ("example.com", True)
    assert head_in(head(without=("Host",))).host is None
    with pytest.raises(FrozenInstanceError):
        it.method = b"POST"  # type: ignore[misc]


def test_no_value_of_a_header_is_in_the_repr() -> None:
    """P53: a repr has neither the query nor the headers, which may be tokens."""
    it = head_in(
        head("/msg?token=secret", ("Sec-WebSocket-Protocol", "pode.resume.-.-.secret"), ("Cookie", "a=secret"))
    )
    assert repr(it) == "<RequestHead GET '/msg' from 203.0.113.7>"


@pytest.mark.parametrize(
    ("peer", "lines", "address", "trusted", "host"),
    [
        ("192.0.2.1", [], "192.0.2.1", False, None),
        ("192.0.2.1", [("X-Forwarded-For", "203.0.113.5"), ("X-Forwarded-Host", "a")], "192.0.2.1", False, None),
        ("10.0.0.1", [("X-Forwarded-For", "203.0.113.5"), ("X-Forwarded-Host", "a")], "203.0.113.5", True, "a"),
        ("10.0.0.1", [("X-Forwarded-For", "203.0.113.5")], "203.0.113.5", True, None),
        ("10.0.0.1", [("X-Forwarded-Host", "a, b")], "10.0.0.1", True, "a"),
        ("10.0.0.1", [("X-Forwarded-For", "203.0.113.5"), ("X-Forwarded-Host", "a, b")], "203.0.113.5", True, "b"),
        (
            "10.0.0.1",
            [("X-Forwarded-For", "203.0.113.5, 10.0.0.2"), ("X-Forwarded-Host", "a, b, c")],
            "203.0.113.5",
            True,
            "c",
        ),
        (
            "10.0.0.1",
            [("X-Forwarded-For", "203.0.113.5, 10.0.0.3, 10.0.0.2"), ("X-Forwarded-Host", "a, b, c")],
            "203.0.113.5",
            True,
            "b",
        ),
        (UNIX_PEER, [("X-Forwarded-For", "203.0.113.5"), ("X-Forwarded-Host", "a")], "203.0.113.5", True, "a"),
        ("", [("X-Forwarded-Host", "a")], "", False, None),
    ],
)
def test_behind_proxies(peer: str, lines: list[tuple[str, str]], address: str, trusted: bool, host: str | None) -> None:
    """S16.6: address and Host are those that trusted proxies report, and nobody else's word counts."""
    it = head_in(head("/msg", *lines), peer=peer, trusted_proxies=PROXIES)
    assert (it.address, it.is_from_trusted_proxy, it.forwarded_host) == (address, trusted, host)


@pytest.mark.parametrize(
    ("agents", "text"),
    [([], ""), (["one"], "one"), (["one", "two"], "one, two"), ([b"f\xfcr"], "für"), ([b"\xc3\xbc\xa0"], "Ã¼\xa0")],
)
def test_the_caller(agents: list[str | bytes], text: str) -> None:
    """S8.2: strict signing sees the same client in the head of a request and in the record of its conversion."""
    it = head_in(plain("/msg", *(("User-Agent", agent) for agent in agents)), peer="192.0.2.1")
    assert it.caller == Caller(user_agent=text, address="192.0.2.1")
    assert (it.record().header("user-agent") or "", it.record().address) == (text, "192.0.2.1")


def test_the_record() -> None:
    """S5.3: what a connection keeps of it has no header of the hop, and the path that the HTTP side chose."""
    it = head_in(head("/r%61um?a=1", ("Cookie", "a=b"), ("X-Any", "1")), is_secure=True)
    record = it.record()
    assert (record.method, record.uri, record.path, record.is_secure) == ("GET", "/r%61um?a=1", "/raum", True)
    assert dict(record.headers) == {"host": "example.com", "cookie": "a=b", "x-any": "1"}
    assert (record.address, record.http_route) == ("203.0.113.7", None)
    assert it.record("/r%61um").path == "/r%61um"
