"""websockets, with its own broadcast()."""

from __future__ import annotations

import asyncio

from operations import HOST, PORT, burst, dumps, loads
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

clients: set[ServerConnection] = set()


async def handle(client: ServerConnection) -> None:
    clients.add(client)
    try:
        async for text in client:
            operation = loads(text)
            if operation["op"] == "echo":
                await client.send(dumps(operation))
            elif operation["op"] == "all":
                broadcast(clients, dumps(operation))
            else:
                for each in burst(operation):
                    broadcast(clients, each)
    except ConnectionClosed:
        pass
    finally:
        clients.discard(client)


async def main() -> None:
    async with serve(handle, HOST, PORT, backlog=4096, compression=None) as server:
        await server.serve_forever()


asyncio.run(main())
