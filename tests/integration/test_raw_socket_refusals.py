"""Refusals on real sockets: what a client of nothing but bytes gets, and that its socket and others go on."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote

import pytest
from integration.plugs import LIMIT_SECONDS, Server, serving
from refused_requests import ROWS
from twisted.internet.threads import deferToThread
from web_fakes import close_frame, head, plain


async def test_refusals() -> None:
    """S2.2: row by row: the answer, keep-alive, no traceback; the process and a neighbour's connection go on."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        for row in ROWS:
            plug = server.plug()
            answer = plug.ask(row.request)
            assert (answer.status, row.what) == (row.status, row.what)
            assert [(name, answer.value(name)) for name, _ in row.headers] == list(row.headers), row.what
            assert answer.value("Content-Type") == "text/plain; charset=utf-8", row.what
            assert b"Traceback" not in answer.body
            assert b"Error" not in answer.body
            assert plug.ask(plain("/ok")).body == b"fine", row.what
            assert plug.ask(head()).status == 101, row.what
            plug.close()
            assert neighbour.is_well(), row.what

    async with serving() as server:
        await deferToThread(client, server)
        counters = server.signals.counters
        assert counters.requests_refused == {426: 1}  # the one row that is no upgrade
        assert sum(counters.upgrades_refused.values()) == len(ROWS) - 1


@pytest.mark.parametrize("bad", [b"a\x00b", b"a\rb", b"a\nb"])
@pytest.mark.parametrize("name", [b"X-Name", b"Origin", b"Sec-WebSocket-Protocol"])
async def test_bytes_that_no_header_may_have(name: bytes, bad: bytes) -> None:
    """S2.2: CR, LF and NUL in a header get 400, from Twisted itself, which ends the socket."""

    def client(server: Server) -> None:
        neighbour = server.plug().upgrade()
        plug = server.plug()
        assert plug.ask(head("/msg", (name, bad))).status == 400
        assert plug.end() == "closed"
        assert neighbour.is_well()

    async with serving() as server:
        await deferToThread(client, server)
        assert len(server.numbered) == 1


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"max_connections": 2}, 503),
        ({"max_connections_per_address": 2}, 429),
        ({"max_names": 1}, 503),
    ],
)
async def test_limits(settings: dict[str, Any], status: int) -> None:
    """S2.2: over a limit the newcomer gets 503 or 429 with Retry-After, and gets in when there is room."""

    def client(server: Server) -> None:
        plugs = [server.plug().upgrade() for _ in range(2)]
        last = server.plug()
        answer = last.ask(head("/other" if "max_names" in settings else "/msg"))
        assert answer.status == status
        assert (answer.value("Retry-After") or "").isdigit()
        assert all(plug.is_well() for plug in plugs)
        assert last.ask(plain("/ok")).status == 200
        plugs.pop().send(close_frame()).frame()
        end = time.monotonic() + LIMIT_SECONDS
        while last.ask(head()).status != 101:
            assert time.monotonic() < end

    async with serving(**settings) as server:
        server.app.route("/other")(lambda request: server.signals.convert(request, "Other") and None)
        await deferToThread(client, server)


async def test_names_and_ids() -> None:
    """S2.2: a name that is none gets 400, a client id in use 409 where that is refused; the socket goes on."""

    def client(server: Server) -> None:
        first = server.plug().upgrade("/one")
        plug = server.plug()
        for path, status in (("/one", 409), ("/named", 400), ("/named?" + "x" * 129, 400), ("/named?%0a", 400)):
            answer = plug.ask(head(path))
            assert (answer.status, answer.value("Content-Type")) == (status, "text/plain; charset=utf-8")
            assert plug.ask(plain("/ok")).body == b"fine"
        assert first.is_well()
        plug.upgrade("/named?" + "x" * 128)

    async with serving(duplicate_client_id="refuse") as server:

        @server.app.route("/one")
        def one(request: Any) -> None:
            server.signals.convert(request, "Msg", client_id="one")

        @server.app.route("/named")
        def named(request: Any) -> None:
            server.signals.convert(request, unquote(request.uri.partition(b"?")[2].decode()))

        await deferToThread(client, server)


async def test_http_1_0() -> None:
    """S2.2: an upgrade by HTTP/1.0 gets 505, and its socket ends as it would."""

    def client(server: Server) -> None:
        plug = server.plug()
        assert plug.ask(head(version=b"HTTP/1.0")).status == 505
        assert plug.end() == "closed"

    async with serving() as server:
        await deferToThread(client, server)
