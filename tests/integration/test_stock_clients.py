"""Clients that nobody here wrote talk with the chat example under twistd."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest
import websocket
import websockets
from programs import Program, running

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The chat example, once for all tests of this module."""
    with running("chat:service", tmp_path_factory.mktemp("chat")) as program:
        yield program


def check_date(text: str) -> None:
    """The answer to [date] is a date."""
    assert datetime.fromisoformat(json.loads(text)["message"]).year >= 2026


@pytest.mark.own_event_loop
def test_websockets(chat: Program) -> None:
    """S2.1, S5.2: two clients of the `websockets` package hear each other, and [date] is answered to both."""

    async def conversation() -> None:
        url = f"ws://localhost:{chat.port}/msg"
        async with websockets.connect(url) as one, websockets.connect(url) as other:
            assert one.response is not None
            assert one.response.headers["X-PODE-SIGNAL-NAME"] == "Msg"
            await one.send(json.dumps({"message": "hello"}))
            for client in (one, other):
                assert await asyncio.wait_for(client.recv(), 10) == '{"message":"hello"}'
            await other.send(json.dumps({"message": "[DATE]"}))
            for client in (one, other):
                check_date(str(await asyncio.wait_for(client.recv(), 10)))
            await one.close(4000, "bye")
            assert one.close_code == 4000

    asyncio.run(conversation())


@pytest.mark.own_event_loop
def test_aiohttp(chat: Program) -> None:
    """S2.3, S5.2: aiohttp's client connects by name and address, talks, pings and closes."""

    async def conversation() -> None:
        url = f"http://127.0.0.1:{chat.port}/msg"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as client:
            await client.send_json({"message": "héllo ✓"})
            assert await client.receive_json(timeout=10) == {"message": "héllo ✓"}
            await client.ping(b"are you there")
            await client.send_json({"message": "[date]"})
            check_date(await client.receive_str(timeout=10))
            await client.close()
            assert client.close_code == 1000

    asyncio.run(conversation())


def test_websocket_client(chat: Program) -> None:
    """S5.2: the blocking client of the `websocket-client` package talks and gets its close answered."""
    client = websocket.create_connection(f"ws://localhost:{chat.port}/msg", timeout=10)
    assert client.getheaders()["x-pode-signal-name"] == "Msg"
    client.send(json.dumps({"message": {"nested": [1, 2.5, None]}}))
    assert json.loads(client.recv()) == {"message": {"nested": [1, 2.5, None]}}
    client.send(json.dumps({"message": "[date]"}))
    check_date(client.recv())
    client.send_close(1000)
    opcode, payload = client.recv_data()
    assert (opcode, payload[:2]) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe8")
    client.shutdown()


def test_node_ws(chat: Program, node: str, node_path: str) -> None:
    """S5.2: Node's `ws` talks and closes cleanly."""
    command = [node, HERE / "node_client" / "conversation.js", f"ws://localhost:{chat.port}/msg"]
    environment = {**os.environ, "NODE_PATH": node_path}
    done = subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True, text=True)
    name, hello, date, closed = done.stdout.splitlines()
    assert (name, hello, closed) == ("Msg", '{"message":"hello from ws"}', "closed 1000 done")
    check_date(date)


@pytest.mark.own_event_loop
def test_healthy_neighbour(chat: Program) -> None:
    """S2.2: a client that is refused leaves the others alone: each gets an answer that says why."""

    async def conversation() -> None:
        async with websockets.connect(f"ws://localhost:{chat.port}/msg") as neighbour:
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(f"ws://localhost:{chat.port}/msg", origin="https://evil.example")  # type: ignore[arg-type]
            assert refused.value.response.status_code == 403
            with pytest.raises(websockets.InvalidStatus) as lost:
                await websockets.connect(f"ws://localhost:{chat.port}/nowhere")
            assert lost.value.response.status_code == 404
            await neighbour.send('{"message":"still here"}')
            assert await asyncio.wait_for(neighbour.recv(), 10) == '{"message":"still here"}'

    asyncio.run(conversation())
