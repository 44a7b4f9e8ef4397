"""Starlette on uvicorn, with the loop that it takes by itself and its newer protocol; send_text per client."""

from __future__ import annotations

import uvicorn
from operations import HOST, PORT, burst, dumps, loads
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

clients: set[WebSocket] = set()


async def broadcast(text: str) -> None:
    for client in tuple(clients):
        await client.send_text(text)


async def handle(client: WebSocket) -> None:
    await client.accept()
    clients.add(client)
    try:
        while True:
            operation = loads(await client.receive_text())
            if operation["op"] == "echo":
                await client.send_text(dumps(operation))
            elif operation["op"] == "all":
                await broadcast(dumps(operation))
            else:
                for text in burst(operation):
                    await broadcast(text)
    except WebSocketDisconnect:
        pass
    finally:
        clients.discard(client)


uvicorn.run(
    Starlette(routes=[WebSocketRoute("/ws", handle)]),
    host=HOST,
    port=PORT,
    ws="websockets-sansio",
    log_level="error",
    access_log=False,
    backlog=4096,
    ws_per_message_deflate=False,
)
