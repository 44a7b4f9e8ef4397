from __future__ import annotations

import os
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pode_signals.core.tokens import RANDOM_BYTES, SCOPES, NewToken, Tokens, new_token
from pode_signals.operations.guard import FAILURE_SECONDS, FAILURES, Asking, Guard
from pode_signals.operations.problems import Problem

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
SCRAPER = new_token(bytes(RANDOM_BYTES), label="scraper", scopes=["metrics"])
OLD = new_token(b"\1" * RANDOM_BYTES, label="old", scopes=["all"], expires=NOW)
UNKNOWN = new_token(b"\2" * RANDOM_BYTES, label="nobody", scopes=["all"])
ELSEWHERE = "192.0.2.7"


def stored(new: NewToken) -> dict[str, Any]:
    """What a file of tokens has of a new one."""
    return tomllib.loads(new.block)


@pytest.fixture
def guard() -> Guard:
    guard = Guard()
    guard.tokens = Tokens.read({**stored(SCRAPER), **stored(OLD)})
    return guard


def asking(*headers: tuple[str, str], address: str = "127.0.0.1", target: str = "/metrics", **more: Any) -> Asking:
    """A request that reads, over loopback, with a loopback Host, unless told otherwise."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in (
        *(() if any(name == "host" for name, _ in headers) else (("host", "localhost:8092"),)),
        *headers,
    ):
        found.setdefault(name.encode(), []).append(value.encode("latin-1"))
    return Asking(more.pop("method", b"GET"), target.encode(), found, address, **more)


def bearer(text: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {text}")


def judged(guard: Guard, request: Asking, *, seconds: float = 0, needs_operator: bool = True) -> str:
    """The label of the operator with the scopes, or the code of the problem."""
    try:
        operator = guard.judge(request, now=NOW, seconds=seconds, needs_operator=needs_operator)
    except Problem as problem:
        return problem.code
    return "anybody" if operator is None else f"{operator.label}: {' '.join(sorted(operator.scopes))}"


READER = "loopback: metrics read"


def test_a_reader_on_this_machine(guard: Guard) -> None:
    """O3.1: who reads over loopback, with a Host of loopback, needs no token."""
    for host in ("localhost", "localhost:8092", "127.0.0.1:8092", "[::1]:8092", "LOCALHOST."):
        assert judged(guard, asking(("host", host))) == READER
    assert judged(guard, asking(address="::1")) == READER
    assert judged(guard, asking(method=b"HEAD")) == READER


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"get"])
def test_loopback_never_writes(guard: Guard, method: bytes) -> None:
    """O3.2: loopback alone reads, and does nothing else."""
    assert judged(guard, asking(method=method)) == "token-missing"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "192.0.2.1", "localhost:x", "a" * 300],
)
def test_a_rebound_name(guard: Guard, host: str) -> None:
    """O3.1: a page whose name was rebound to loopback has another Host, and reads nothing."""
    assert judged(guard, asking(("host", host))) == "token-missing"


def test_two_hosts(guard: Guard) -> None:
    """O3.1: of two Hosts none counts, and a request without a Host reads nothing."""
    assert judged(guard, asking(("host", "localhost"), ("host", "localhost"))) == "token-missing"
    assert judged(guard, Asking(b"GET", b"/metrics", {}, "127.0.0.1")) == "token-missing"


FORWARDING = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-anything", "x-real-ip", "via"]


@pytest.mark.parametrize("name", FORWARDING)
def test_a_proxy_on_this_machine(guard: Guard, name: str) -> None:
    """O3.1: what a proxy passes on comes from elsewhere: neither loopback nor a UNIX socket says who asks."""
    assert judged(guard, asking((name, "x"))) == "token-missing"
    assert judged(guard, asking((name, "x"), address="", user_id=os.geteuid())) == "token-missing"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_page_of_another_site(guard: Guard, site: str) -> None:
    """O3.1: a browser says that a page of another site asks: that page reads nothing."""
    assert judged(guard, asking(("sec-fetch-site", site))) == "token-missing"


def test_a_page_of_its_own(guard: Guard) -> None:
    """O3.1: a page of the operations themselves, and an address that was typed, may read."""
    assert judged(guard, asking(("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8092"))) == READER
    assert judged(guard, asking(("sec-fetch-site", "none"))) == READER


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:9999", "null", ""])
def test_an_origin_of_another_page(guard: Guard, origin: str) -> None:
    """O3.1: a browser that knows no Sec-Fetch-Site sends an Origin, which has to be the own one."""
    assert judged(guard, asking(("origin", origin))) == "token-missing"


def test_from_elsewhere(guard: Guard) -> None:
    """O3.1: who comes from another machine needs a token, whatever its Host says."""
    assert judged(guard, asking(address=ELSEWHERE)) == "token-missing"
    assert judged(guard, asking(address=ELSEWHERE), needs_operator=False) == "anybody"


def test_the_same_user(guard: Guard) -> None:
    """O3.1: the process's own user, and root, may do all by a UNIX socket; another user nothing."""
    everything = f"local: {' '.join(sorted(SCOPES))}"
    for user_id in (os.geteuid(), 0):
        assert judged(guard, asking(address="", user_id=user_id, method=b"POST")) == everything
    assert judged(guard, asking(address="", user_id=os.geteuid() + 1)) == "token-missing"


def test_a_socket_that_does_not_tell(guard: Guard) -> None:
    """O3.1: where the system does not tell who is at the other end, a token is needed."""
    assert judged(guard, asking(address="", user_id=None)) == "token-missing"


def test_ports_of_the_application(guard: Guard) -> None:
    """O3.3: on a port of the application a proxy may be on this machine: loopback and UNIX sockets say nothing."""
    assert judged(guard, asking(is_from_application=True)) == "token-missing"
    assert judged(guard, asking(address="", user_id=0, is_from_application=True)) == "token-missing"
    assert judged(guard, asking(bearer(SCRAPER.text), is_from_application=True)) == "scraper: metrics"


def test_a_good_token(guard: Guard) -> None:
    """O3.1: a good token says who asks, from wherever it comes."""
    for address in (ELSEWHERE, "127.0.0.1", ""):
        assert judged(guard, asking(bearer(SCRAPER.text), address=address)) == "scraper: metrics"
    assert judged(guard, asking(("authorization", f"bearer  {SCRAPER.text} "), address=ELSEWHERE)) == "scraper: metrics"


def test_a_token_stands_for_its_operator(guard: Guard) -> None:
    """O3.1: who shows a token is judged by it, on loopback and a UNIX socket too: it may allow less than these."""
    assert judged(guard, asking(bearer(SCRAPER.text), address="", user_id=os.geteuid())) == "scraper: metrics"
    assert judged(guard, asking(bearer(UNKNOWN.text))) == "token-unknown"


def test_wrong_tokens(guard: Guard) -> None:
    """O3.5: an unknown token and one whose time is over are refused, and the two look the same."""
    assert judged(guard, asking(bearer(UNKNOWN.text))) == "token-unknown"
    assert judged(guard, asking(bearer(OLD.text))) == "token-expired"
    documents = [Problem(code).document("id") for code in ("token-unknown", "token-expired")]
    assert documents[0]["detail"] == documents[1]["detail"]
    assert {each["status"] for each in documents} == {401}
    with pytest.raises(Problem) as caught:
        guard.judge(asking(bearer("x")), now=NOW, seconds=0)
    assert caught.value.headers == {b"WWW-Authenticate": b"Bearer"}


def test_other_schemes(guard: Guard) -> None:
    """O3.1: no other scheme than Bearer is a token; of two headers none counts."""
    assert judged(guard, asking(("authorization", "Basic YTpi"), address=ELSEWHERE)) == "token-missing"
    two = asking(bearer(SCRAPER.text), bearer(SCRAPER.text), address=ELSEWHERE)
    assert judged(guard, two) == "token-unknown"


def test_cookies_are_no_tokens(guard: Guard) -> None:
    """O3.4: a cookie says nothing."""
    assert judged(guard, asking(("cookie", f"token={SCRAPER.text}"), address=ELSEWHERE)) == "token-missing"


@pytest.mark.parametrize(
    "target",
    [
        f"/metrics?access_token={SCRAPER.text}",
        f"/metrics?x={SCRAPER.text}",
        f"/metrics?a=b&x={UNKNOWN.text}",
        f"/{SCRAPER.text}",
        f"/metrics?x={SCRAPER.text.replace('_', '%5F')}",
        "/metrics?token=",
        "/metrics?Access_Token=x",
    ],
)
def test_a_token_in_a_url(guard: Guard, target: str) -> None:
    """O3.4: a token in a URL is refused whether it is good or not, and with a good one in the header as well."""
    assert judged(guard, asking(target=target)) == "token-in-url"
    assert judged(guard, asking(bearer(SCRAPER.text), target=target), needs_operator=False) == "token-in-url"


def test_too_many_failures(guard: Guard) -> None:
    """O3.5: after ten failures in a minute an address is told to wait for a minute, and a good token still passes."""
    wrong, good = asking(bearer(UNKNOWN.text), address=ELSEWHERE), asking(bearer(SCRAPER.text), address=ELSEWHERE)
    for second in range(FAILURES):
        assert judged(guard, wrong, seconds=second) == "token-unknown"
    assert judged(guard, wrong, seconds=10) == "rate-limited"
    assert judged(guard, asking(address=ELSEWHERE), seconds=10) == "rate-limited"
    assert judged(guard, good, seconds=10) == "scraper: metrics"
    # Others are others.
    assert judged(guard, asking(bearer(UNKNOWN.text), address="192.0.2.8"), seconds=10) == "token-unknown"
    with pytest.raises(Problem) as caught:
        guard.judge(wrong, now=NOW, seconds=10)
    assert caught.value.headers == {b"Retry-After": b"59"}
    assert judged(guard, wrong, seconds=FAILURES - 1 + FAILURE_SECONDS) == "token-unknown"


def test_few_failures(guard: Guard) -> None:
    """O3.5: failures that are far apart are no reason to wait."""
    for second in range(0, 700, 7):
        assert judged(guard, asking(bearer(UNKNOWN.text)), seconds=second) == "token-unknown"


def test_addresses_of_one_subscriber(guard: Guard) -> None:
    """O3.5: all addresses of one network of 64 bits are one, as elsewhere."""
    for number in range(FAILURES):
        assert judged(guard, asking(bearer("x"), address=f"2001:db8::{number + 1:x}")) == "token-unknown"
    assert judged(guard, asking(bearer("x"), address="2001:db8::ffff")) == "rate-limited"


def test_a_crowd_of_addresses(guard: Guard) -> None:
    """O3.5: what is kept of addresses is bounded: those that failed longest ago are forgotten."""
    for number in range(3_000):
        judged(guard, asking(bearer("x"), address=f"10.{number // 250}.{number % 250}.1"))
    assert len(guard._failures) == 1_000
