"""The ends of connections on real sockets, TLS and UNIX ones too: each is clean, and told once."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from threading import Event

import pytest
from integration.plugs import LIMIT_SECONDS, Server, each_kind, serving, until
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from web_fakes import CLOSE, TEXT, Frame, close_frame, frame, head, message


@each_kind
@pytest.mark.parametrize("code", [1000, 3001, None])
async def test_the_client_closes(kind: str, code: int | None) -> None:
    """S9.3: a client's close frame is answered in kind, the socket closed without a reset, Disconnect fired once."""

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        plug.send(message("last"), close_frame(code, "bye" if code else ""))
        closing = plug.frame()
        assert (closing.opcode, closing.code) == (CLOSE, code)
        assert plug.end() == "closed"

    async with serving(kind) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == ["last"]
        assert server.ends == [(code or 1005, "client")]


@each_kind
async def test_the_server_closes(kind: str) -> None:
    """S9.3: a client that answers sees a clean end; it leaves the registry with our close frame, before Disconnect."""
    counts: list[int] = []

    def close(server: Server) -> None:
        server.signals.send("last", name="Msg")
        server.signals.close("Msg", code=4000, reason="enough")
        counts.append(server.signals.count())
        counts.append(len(server.ends))

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        reactor.callFromThread(close, server)
        assert plug.frame() == Frame(TEXT, b"last")
        closing = plug.frame()
        assert (closing.code, closing.reason) == (4000, "enough")
        plug.send(message("late"), close_frame(4000))
        assert plug.end() == "closed"

    async with serving(kind) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert counts == [0, 0]
        assert server.messages == []
        assert server.ends == [(4000, "server")]


@each_kind
async def test_the_client_does_not_answer(kind: str) -> None:
    """S9.3: after close_timeout_seconds a client that does not answer is cut off, and Disconnect fires."""

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        reactor.callFromThread(server.signals.close, "Msg")
        assert plug.frame().code == 1000
        plug.send(message("late"))
        with suppress(ssl.SSLError):  # TLS that ends without a good-bye
            assert plug.end() in ("closed", "reset")

    async with serving(kind, close_timeout_seconds=0.2) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == []
        assert server.ends == [(1000, "server")]


@each_kind
async def test_the_client_closes_while_it_does_not_read(kind: str) -> None:
    """S9.3: a slow client that closes still gets all that was sent, our close frame, and a clean end."""
    size = 8_000_000
    filled = Event()

    def fill(server: Server) -> None:
        for _ in range(size // 500_000):
            server.signals.send("x" * 500_000, name="Msg")
        filled.set()

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        reactor.callFromThread(fill, server)
        assert filled.wait(LIMIT_SECONDS)
        plug.send(close_frame(1000))
        got = 0
        while (each := plug.frame()).opcode == TEXT:
            got += len(each.payload)
        assert (got, each.code) == (size, 1000)
        assert plug.end() == "closed"

    async with serving(kind, send_queue_bytes=2 * size) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.ends == [(1000, "client")]


@each_kind
@pytest.mark.parametrize("how", ["close", "reset", "half"])
async def test_the_client_vanishes(kind: str, how: str) -> None:
    """S9.3: FIN, RST or half a FIN without a close frame: one Disconnect with 1006, and nothing is left."""

    def client(server: Server) -> None:
        plug = server.plug().upgrade()
        plug.send(message("last"))
        assert plug.is_well()
        if how == "half":
            plug.socket.shutdown(socket.SHUT_WR)
            assert plug.end() == "closed"
        elif how == "reset" and kind == "tcp":
            plug.reset()
        else:
            plug.close()

    async with serving(kind) as server:
        await deferToThread(client, server)
        await until(lambda: server.ends)
        assert server.messages == ["last"]
        assert server.ends == [(1006, "client")]
        assert server.signals.count() == 0


async def test_a_storm() -> None:
    """S9.3: whatever a hundred clients do at once, each has one Connect and one Disconnect, in this order."""

    def client(server: Server, number: int) -> None:
        plug = server.plug()
        if number % 5 == 0:
            plug.send(head() + message(number)).reset()
            return
        plug.send(head() + message(number))
        assert plug.answer().status == 101
        if number % 5 == 1:
            plug.close()
        elif number % 5 == 2:
            plug.send(close_frame()).frame()
        elif number % 5 == 3:
            plug.send(frame(b"\xff")).frame()
            plug.reset()
        else:
            plug.reset()

    async with serving() as server:
        for started in [deferToThread(client, server, number) for number in range(100)]:
            await started
        await until(lambda: not server.signals.open_connections())
        await until(lambda: len(server.ends) == server.signals.counters.connections_opened)
        assert len(server.ends) >= 80
        for event in server.events:
            if event[0] == "disconnect":
                assert server.events.index(("connect", event[1])) < server.events.index(event)
        assert len(set(map(str, server.messages))) == len(server.messages)
