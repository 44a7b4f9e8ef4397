"""The ends of connections that are read together, on a real reactor: each is told once, and nothing is left."""

from __future__ import annotations

import os
import select
import socket
from typing import Any

import pytest
from fakes import link_of
from integration.reading_clients import READS_TOGETHER, choose_reading, serving, shared_readers, until
from twisted.internet import reactor
from twisted.internet.error import ConnectionLost
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from web_fakes import CLOSE, close_frame, failures_in, frame, head, message

from pode_signals.hub.turns import Turns

IS_ASYNCIO = type(reactor).__name__ == "AsyncioSelectorReactor"


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(params=["shared", "twisted"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether sockets are read together, by the fast protocol: the plain one has to come to the same."""
    return choose_reading(request.param == "shared", monkeypatch)


@pytest.mark.parametrize("data", [b"", message("last words"), message(1) + close_frame(1000)])
@pytest.mark.parametrize("by", ["close", "shutdown"])
async def test_a_client_that_leaves(shared: bool, by: str, data: bytes) -> None:
    """S9.3: the end of a client's socket is seen, behind what came with it; there is one Disconnect."""
    async with serving() as server:
        server.on_message = lambda _: None
        client, other = await server.open(), await server.open()
        if data:
            client.send(data)
        if by == "close":
            client.connected.close()
        else:
            client.connected.shutdown(socket.SHUT_WR)
        await until(lambda: server.ends)
        assert len(server.messages) == bool(data)
        assert server.ends == [(1000 if data.endswith(close_frame(1000)) else 1006, "client")]
        if by == "shutdown":
            await until(lambda: client.received and client.end)
        other.send(message("goes on"))
        await until(lambda: "goes on" in server.got)


async def test_a_reset(shared: bool) -> None:
    """S9.3: a reset is an end, with one Disconnect."""
    async with serving() as server:
        client, other = await server.open(), await server.open()
        client.reset()
        await until(lambda: server.ends)
        assert server.ends == [(1006, "client")]
        other.send(message("goes on"))
        await until(lambda: server.got == ["goes on"])


@pytest.mark.parametrize("aborts", [True, False])
async def test_the_server_ends_it(shared: bool, aborts: bool) -> None:
    """S9.3: closing and aborting end a connection; nothing that comes afterwards is handled."""
    async with serving() as server:
        client = await server.open()
        client.send(message(1))
        if aborts:
            link_of(client.connection).abort()
            # At once, as its transport reads no more.
            assert shared_readers() == []
        else:
            client.connection.close(4000)
            client.send(message(2) + close_frame(4000))
        await until(lambda: client.received and client.end)
        await until(lambda: server.ends)
        assert server.got == []
        assert server.ends == [(1006, "server") if aborts else (4000, "server")]
        assert client.end == ("reset" if aborts else "closed")


@pytest.mark.parametrize("way", ["leaves", "aborts another", "closes another"])
async def test_an_end_within_a_batch(shared: bool, way: str) -> None:
    """S4.5: who ends while the messages of many are handled ends alone; all others are answered."""
    async with serving() as server:
        clients = [await server.open() for _ in range(10)]
        victim = clients[5]

        def answer(event: Any) -> None:
            event.connection.send(event.data.message)
            if event.connection is clients[0].connection:
                if way == "leaves":
                    victim.reset()
                elif way == "aborts another":
                    link_of(victim.connection).abort()
                else:
                    victim.connection.close(4000)

        server.on_message = answer
        for number, client in enumerate(clients):
            client.send(message(str(number)))
        others = [each for each in clients if each is not victim]
        await until(lambda: all(each.texts() for each in others))
        if way == "closes another":
            await until(lambda: victim.received.endswith(frame(b"\x0f\xa0", CLOSE, masked=False)))
            victim.send(close_frame(4000))
        await until(lambda: server.ends)
        assert server.ends == [(4000 if way == "closes another" else 1006, "client" if way == "leaves" else "server")]
        if way != "leaves":
            assert "5" not in server.got
        for number, client in enumerate(clients):
            if client is not victim:
                assert client.texts() == [str(number)]
                client.send(message("again"))
        await until(lambda: server.got.count("again") == 9)


async def test_nobody_is_left(shared: bool) -> None:
    """S10.3: with the last client all descriptors are closed and the reactor knows none; the next one is served."""
    async with serving() as server:
        for _ in range(3):
            before = descriptors()
            clients = [await server.open() for _ in range(5)]
            assert len(shared_readers()) == shared
            for client in clients:
                client.connected.close()
            await until(lambda: not server.signals.open_connections())
            assert shared_readers() == []
            assert descriptors() == before


@pytest.mark.parametrize("ends", ["leaves", "closes", "aborts", "breaks"])
async def test_a_child_process_holds_the_socket(ends: str) -> None:
    """S16.8: a socket that a child process still holds, when it is closed here, makes nobody read for ever."""
    if not READS_TOGETHER:
        pytest.skip("nothing is read together here")
    async with serving() as server:
        client, _staying = await server.open(), await server.open()
        # As a child that was forked does.
        held = os.dup(client.transport.fileno())
        try:
            if ends == "leaves":
                client.connected.shutdown(socket.SHUT_WR)
            elif ends == "closes":
                client.send(close_frame(1000))
            elif ends == "aborts":
                link_of(client.connection).abort()
            else:
                # As where a write fails.
                client.transport.connectionLost(Failure(ConnectionLost()))
            await until(lambda: server.ends)
            client.connected.close()
            (reader,) = shared_readers()
            # An epoll is readable where one of the sockets in it is.
            assert select.select([reader.fileno()], [], [], 0) == ([], [], [])
        finally:
            os.close(held)


async def test_a_transport_that_has_no_producer() -> None:
    """S10.3: a transport that does not tell its producer of the end is read no more all the same."""
    if not READS_TOGETHER:
        pytest.skip("nothing is read together here")
    async with serving() as server:
        client = await server.open()
        client.transport.unregisterProducer()
        client.transport.connectionLost(Failure(ConnectionLost()))
        await until(lambda: server.ends)
        assert shared_readers() == []


async def test_leaving_right_behind_the_handshake(shared: bool) -> None:
    """S2.6: a client that leaves in the turn in which its route converts and ends leaves nothing behind."""
    async with serving() as server:
        client = server.connect()
        server.on_convert = client.connected.close
        server.on_message = lambda _: None
        client.send(head("/late") + message("pipelined"))
        await until(lambda: server.ends)
        assert server.got == ["pipelined"]
        assert server.signals.open_connections() == ()


@pytest.mark.skipif(IS_ASYNCIO, reason="asyncio lets these end the program, whoever raises them")
async def test_what_no_fence_keeps(shared: bool) -> None:
    """S4.5: what ends a program, raised by one client's function, ends its connection alone, and is logged."""
    # SystemExit is kept by the fence: tests/hub/test_fence.py.
    error = KeyboardInterrupt
    async with serving() as server:
        clients = [await server.open() for _ in range(3)]

        def answer(event: Any) -> None:
            if event.connection is clients[1].connection:
                raise error
            event.connection.send(event.data.message)

        server.on_message = answer
        with capturedLogs() as logged:
            for client in clients:
                client.send(message("x"))
            await until(lambda: server.ends)
            await until(lambda: clients[0].texts() and clients[2].texts())
        assert server.ends == [(1006, "client")]
        await until(lambda: clients[1].received and clients[1].end)
        failures = [each["failure"] for each in logged if each.get("isError")] + failures_in(logged)
        assert {each.type for each in failures} == {error}


@pytest.mark.skipif(IS_ASYNCIO, reason="asyncio lets these end the program, whoever raises them")
@pytest.mark.parametrize("waits", ["for a turn", "for its bytes", "for a function"])
async def test_what_no_fence_keeps_in_a_later_turn(shared: bool, waits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S4.5: it is the same where the message waits for another turn, or for the function of the message before it."""
    async with serving() as server:
        clients = [await server.open() for _ in range(2)]

        def answer(event: Any) -> Any:
            if event.data.message == "end":
                raise KeyboardInterrupt
            event.connection.send(event.data.message)
            return deferLater(reactor, 0.01) if waits == "for a function" else None

        server.on_message = answer
        if waits == "for its bytes":
            monkeypatch.setattr(Turns, "share_ends", lambda _: 0.0)
        with capturedLogs() as logged:
            clients[0].send(message("first") + message("end"))
            clients[1].send(message("x"))
            await until(lambda: server.ends)
            await until(clients[1].texts)
        assert server.ends == [(1006, "error" if waits == "for a function" else "client")]
        await until(lambda: clients[0].received and clients[0].end)
        failures = [each["failure"] for each in logged if each.get("isError")] + failures_in(logged)
        assert {each.type for each in failures} == {KeyboardInterrupt}
