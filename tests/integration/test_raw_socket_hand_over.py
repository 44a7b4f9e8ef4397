"""The hand-over on real sockets, TLS and UNIX ones too: what was pipelined, local routes, routes that are cancelled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from integration.plugs import LIMIT_SECONDS, Plug, Server, connected_to, each_kind, serving, until
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from web_fakes import CLOSE, TEXT, Frame, close_frame, head, message, plain


@each_kind
@pytest.mark.parametrize("path", ["/msg", "/late"])
@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
async def test_pipelined_frames(kind: str, path: str, leaves: bool) -> None:
    """S2.6: 100 kB behind the handshake arrive in order, whenever the route converts, also of one who leaves."""
    sent = [[number, "x" * 1_000] for number in range(100)]

    def client(server: Server) -> None:
        plug = server.plug()
        plug.send(head(path) + b"".join(map(message, sent)))
        assert plug.answer().status == 101
        if not leaves:
            assert plug.is_well()
        plug.close()

    async with serving(kind) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == sent
        assert server.ends == [(1006, "client")]


@each_kind
async def test_a_local_route(kind: str) -> None:
    """S3.2: a local connection gets what its route sends, before and after an await, and a clean end with 1000."""

    def client(server: Server) -> None:
        plug = server.plug().upgrade("/local")
        assert [plug.frame().payload for _ in range(3)] == [b"one", b"two", b"three"]
        closing = plug.frame()
        assert (closing.opcode, closing.code) == (CLOSE, 1000)
        plug.send(close_frame(1000))
        assert plug.end() == "closed"

    # Nobody waits for the end that a close frame without an answer would have.
    async with serving(kind, close_timeout_seconds=10 * LIMIT_SECONDS) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.ends == [(1000, "server")]


async def test_a_route_is_cancelled() -> None:
    """S2.5: a client that goes away cancels a route that still runs."""
    cancelled: list[Deferred[None]] = []

    async with serving() as server:

        @server.app.route("/long")
        def long(request: Any) -> Deferred[None]:
            server.signals.convert(request, "Msg")
            return Deferred(cancelled.append)

        await deferToThread(lambda: server.plug().upgrade("/long").reset())
        await until(lambda: cancelled)


ASYNCIO_PROGRAM = """
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
import asyncio
loop = asyncio.new_event_loop()
reactor = AsyncioSelectorReactor(loop)
from twisted.internet.main import installReactor
installReactor(reactor)
from klein import Klein
from twisted.web.server import Site
from pode_signals import Scope, SendMode, Signals
from pode_signals.hub.context import current_route

app, signals = Klein(), Signals()

@app.route("/local")
def local(request):
    signals.convert(request, "Msg", scope=Scope.LOCAL)
    signals.send("to the route's own", name="Other")

@app.route("/msg")
def everybody(request):
    signals.convert(request, "Msg")

@app.route("/page")
def page(request):
    return b"leaked" if current_route.get().link is not None else b"clean"

@signals.route("/msg")
def got(event):
    event.send("leaked" if current_route.get() is not None else "clean", mode=SendMode.DIRECT)

port = reactor.listenTCP(0, Site(signals.resource(app.resource())), interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.callLater(30, reactor.stop)
reactor.run()
"""


def test_the_asyncio_reactor(tmp_path: Path) -> None:
    """S3.2: with asyncio's reactor, whose callbacks carry contexts along, no route leaks into others either."""
    program = tmp_path / "program.py"
    program.write_text(ASYNCIO_PROGRAM)
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        keep_alive = Plug(connected_to("tcp", port))
        for _ in range(2):
            local = Plug(connected_to("tcp", port)).upgrade("/local")
            assert local.frame() == Frame(TEXT, b"to the route's own")
            assert local.frame().code == 1000
            local.send(close_frame())
            assert local.end() == "closed"
            local.close()
            assert keep_alive.ask(plain("/page")).body == b"clean"
        socket_of_all = keep_alive.upgrade("/msg")
        socket_of_all.send(message("x"))
        assert socket_of_all.frame() == Frame(TEXT, b"clean")
        socket_of_all.close()
    finally:
        process.terminate()
        process.wait(LIMIT_SECONDS)
        process.stdout.close()
