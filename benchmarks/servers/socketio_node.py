"""python-socketio on uvicorn as one of several nodes, with its Redis manager; WebSockets alone, one room of all."""

from __future__ import annotations

import os
from typing import Any

import socketio
import uvicorn
from operations import HOST, PORT

io = socketio.AsyncServer(
    async_mode="asgi", transports=["websocket"], client_manager=socketio.AsyncRedisManager(os.environ["REDIS"])
)


@io.event
async def connect(client: str, environ: dict[str, Any]) -> None:
    await io.enter_room(client, "all")


@io.event
async def m(client: str, operation: dict[str, Any]) -> None:
    if operation["op"] == "echo":
        await io.emit("m", operation, to=client)
    else:
        await io.emit("m", operation, room="all")


uvicorn.run(
    socketio.ASGIApp(io),
    host=HOST,
    port=PORT,
    ws="websockets-sansio",
    log_level="error",
    access_log=False,
    backlog=4096,
    ws_per_message_deflate=False,
)
