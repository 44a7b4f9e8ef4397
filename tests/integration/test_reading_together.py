"""Reading for many sockets at once, on a real reactor: what clients send comes in order, and pauses hold."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from fakes import link_of
from integration.reading_clients import (
    READS_TOGETHER,
    choose_reading,
    reading_by_itself,
    serving,
    shared_readers,
    turn,
    until,
)
from twisted.internet.defer import Deferred
from web_fakes import CLOSE, close_frame, frame, head, message

from pode_signals.fast.reading import SharedReader


@pytest.fixture(params=["shared", "twisted"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether sockets are read together, by the fast protocol: the plain one has to come to the same."""
    return choose_reading(request.param == "shared", monkeypatch)


async def test_many_at_once(shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S16.8: what many have sent is read for one event of the reactor, and each is answered."""
    reads = [0]
    original = SharedReader.doRead

    def counting(reader: SharedReader) -> None:
        reads[0] += 1
        original(reader)

    # It only looks on: how often the reactor calls a reader shows nowhere else.
    monkeypatch.setattr(SharedReader, "doRead", counting)
    async with serving() as server:
        clients = [await server.open() for _ in range(30)]
        assert [reading_by_itself(each) for each in clients] == [[] if shared else [each.transport] for each in clients]
        assert len(shared_readers()) == shared
        reads[0] = 0
        for number, client in enumerate(clients):
            client.send(message(f"from {number}"))
        await until(lambda: len(server.messages) == 30)
        assert reads[0] == shared
        await until(lambda: all(client.texts() for client in clients))
        assert [client.texts() for client in clients] == [[f"from {number}"] for number in range(30)]


async def test_frames_in_pieces(shared: bool) -> None:
    """S5.1: frames that come byte by byte, or many at once, are the same frames."""
    async with serving() as server:
        client = await server.open()
        for byte in message("slowly"):
            client.send(bytes((byte,)))
            await turn(1)
        client.send(b"".join(message(number) for number in range(100)))
        await until(lambda: len(server.messages) == 101)
        assert server.got == ["slowly", *range(100)]


async def test_pausing(shared: bool) -> None:
    """S5.6: past the limit a client's socket is not read until functions have ended; others are; the order holds."""
    waiting: list[Deferred[None]] = []
    async with serving(max_pending_messages=4) as server:
        slow, quick = await server.open(), await server.open()

        def wait(event: Any) -> Deferred[None] | None:
            if event.connection is quick.connection:
                return None
            waiting.append(Deferred())
            return waiting[-1]

        server.on_message = wait
        for number in range(20):
            slow.send(message(number))
            await turn(1)
        quick.send(message("quick"))
        await until(lambda: "quick" in server.got)
        link = link_of(slow.connection)
        assert link.reading_paused
        assert server.got == [0, "quick"]
        assert link.inbox is not None
        assert len(link.inbox) == 4
        for ended in range(20):
            await until(lambda ended=ended: len(waiting) > ended)
            waiting[ended].callback(None)
        assert [each for each in server.got if each != "quick"] == [*range(20)]
        assert reading_by_itself(slow) == ([] if shared else [slow.transport])
        assert not link.reading_paused
        slow.send(message("reads on"))
        await until(lambda: "reads on" in server.got)


async def test_a_client_that_stalls(shared: bool) -> None:
    """S4.6: sends, replies and a close come in their order to a client that asks on, stalls, and then reads all."""
    async with serving(send_queue_bytes=64 << 20) as server:
        client = await server.open()
        expected: list[str] = []

        def reply(event: Any) -> None:
            send(f"reply {event.data.message}")

        def send(text: str) -> None:
            client.connection.send(text)
            expected.append(text)

        server.on_message = reply
        for number in range(300):
            send(f"{number} " + "x" * 9_000)
            if number % 30 == 0:
                client.send(message(number))
                await until(lambda number=number: number in server.got)
        client.connection.close(4000, "done")
        await until(lambda: client.received.endswith(frame(b"\x0f\xa0done", CLOSE, masked=False)))
        assert client.texts() == expected
        client.send(close_frame(4000))
        await until(lambda: client.received and client.end)
        assert (client.end, server.ends) == ("closed", [(4000, "server")])


async def test_numbers_are_used_again(shared: bool) -> None:
    """S2.4: descriptors come and go, and each connection gets what its own client sends."""
    async with serving() as server:
        staying = await server.open()
        for number in range(20):
            client = await server.open()
            client.send(message(f"{number} before"))
            client.connected.close()
            staying.send(message(f"{number} stays"))
            new = await server.open()
            new.send(message(f"{number} after"))
            await until(lambda number=number: f"{number} after" in server.got)
            new.reset()
            await until(lambda: len(server.signals.open_connections()) == 1)
        assert len(server.got) == 60
        assert {who for who, data in server.messages if str(data).endswith("stays")} == {staying.connection}
        assert [data for who, data in server.messages if who is staying.connection] == [
            f"{number} stays" for number in range(20)
        ]


async def test_while_the_route_runs() -> None:
    """S2.5: as long as its route runs HTTP learns of a client's end, so its transport reads by itself."""
    if not READS_TOGETHER:
        pytest.skip("nothing is read together here")
    ended: Deferred[None] = Deferred()
    async with serving() as server:

        @server.app.route("/held")
        async def held(request: Any) -> None:
            server.signals.convert(request, "Msg")
            await ended

        server.signals.add_route("/held", lambda event: server.messages.append((event.connection, event.data.message)))
        client = server.connect()
        client.send(head("/held"))
        await until(lambda: client.answered)
        client.send(message(1))
        await until(lambda: server.got == [1])
        assert reading_by_itself(client)
        ended.callback(None)
        await turn()
        client.send(message(2))
        await until(lambda: server.got == [1, 2])
        assert not reading_by_itself(client)


@pytest.mark.parametrize("path", ["/msg", "/late"])
async def test_paused_by_what_was_pipelined(shared: bool, path: str) -> None:
    """S5.6: a client that pipelines more messages than may wait is not read until functions have ended."""
    waiting: list[Deferred[None]] = []
    async with serving(max_pending_messages=2) as server:

        def wait(_event: Any) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        server.on_message = wait
        client = server.connect()
        await until(lambda: reading_by_itself(client))
        (transport,) = reading_by_itself(client)
        client.send(head(path) + b"".join(message(number) for number in range(5)))
        await until(lambda: waiting)
        (connection,) = server.signals.open_connections()
        assert link_of(connection).reading_paused
        client.send(message(5))
        await turn(10)
        assert transport.socket.recv(1_000, socket.MSG_PEEK) == message(5)
        for ended in range(6):
            await until(lambda ended=ended: len(waiting) > ended)
            waiting[ended].callback(None)
        assert server.got == [*range(6)]
