"""The arguments and cookies of a request: a signal route reads what the HTTP route has read."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.web.http import Request
from twisted.web.test.requesthelper import DummyChannel
from web_fakes import World

from pode_signals.core.request_record import RequestRecord

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
TABLES = 5_000 if NIGHTLY else 300


def twisted_request(target: bytes, cookie_lines: list[bytes]) -> Any:
    """A request as Twisted reads it."""
    request: Any = Request(DummyChannel(), False)
    for line in cookie_lines:
        request.requestHeaders.addRawHeader(b"Cookie", line.strip(b" \t"))
    request.parseCookies()
    request.gotLength(0)
    request.process = lambda: None
    request.requestReceived(b"GET", target, b"HTTP/1.1")
    return request


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


PIECES = st.sampled_from(
    [
        b"a",
        b"b",
        b"=",
        b"&",
        b";",
        b"+",
        b"%3D",
        b"%26",
        b"%3B",
        b"%61",
        b"%",
        b"%zz",
        b"?",
        b" ",
        b'"',
        b"\\",
        b",",
        b"\x0b",
    ]
)


@given(st.lists(PIECES, max_size=12).map(b"".join))
@settings(max_examples=TABLES, deadline=None)
def test_arguments_are_those_of_the_request(query: bytes) -> None:
    """S5.3: the arguments of the record are those that the route had in request.args."""
    expected = twisted_request(b"/msg?" + query, []).args
    record = RequestRecord(b"GET", b"/msg?" + query, [], "", False)
    assert record.args == {text(name): [text(each) for each in values] for name, values in expected.items()}


@given(st.lists(st.lists(PIECES, max_size=10).map(b"".join), max_size=3))
@settings(max_examples=TABLES, deadline=None)
def test_cookies_are_those_of_the_request(lines: list[bytes]) -> None:
    """S5.3: the cookies of the record are those that the route had from request.getCookie."""
    expected = twisted_request(b"/msg", lines).received_cookies
    record = RequestRecord(b"GET", b"/msg", [(b"Cookie", line) for line in lines], "", False)
    assert record.cookies == {text(name): text(value) for name, value in expected.items()}


def test_a_session_of_the_route_is_that_of_the_signal_route() -> None:
    """S5.3: of two cookies with one name, and two arguments, the signal route has what the route let in."""
    world = World()
    seen: list[Any] = []

    @world.app.route("/msg")
    def route(request: Any) -> None:
        connection = world.signals.convert(request, "Msg")
        record = connection.request
        seen.append(request.getCookie(b"user").decode() == record.cookies["user"] == "bob")
        seen.append(
            {key.decode(): [each.decode() for each in values] for key, values in request.args.items()} == record.args
        )
        seen.append(request.getHeader("x-user") == record.header("x-user") == "\xa0bob")

    world.client().open("/msg?user=bob;user=eve&x", ("Cookie", "user=eve; user=bob"), ("X-User", "\xa0bob"))
    assert seen == [True] * 3
