"""aiohttp on uvloop; send_str per client."""

from __future__ import annotations

import uvloop
from aiohttp import WSMsgType, web
from operations import HOST, PORT, burst, dumps, loads

clients: set[web.WebSocketResponse] = set()


async def broadcast(text: str) -> None:
    for client in tuple(clients):
        await client.send_str(text)


async def handle(request: web.Request) -> web.WebSocketResponse:
    client = web.WebSocketResponse(compress=False)
    await client.prepare(request)
    clients.add(client)
    try:
        async for message in client:
            if message.type is not WSMsgType.TEXT:
                break
            operation = loads(message.data)
            if operation["op"] == "echo":
                await client.send_str(dumps(operation))
            elif operation["op"] == "all":
                await broadcast(dumps(operation))
            else:
                for text in burst(operation):
                    await broadcast(text)
    finally:
        clients.discard(client)
    return client


app = web.Application()
app.router.add_get("/ws", handle)
web.run_app(app, host=HOST, port=PORT, backlog=4096, access_log=None, print=None, loop=uvloop.new_event_loop())
