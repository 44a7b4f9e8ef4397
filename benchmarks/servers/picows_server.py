"""picows (Cython); send per client. LOOP=uvloop runs it on uvloop."""

from __future__ import annotations

import asyncio
import os

from operations import HOST, PORT, burst, dumps, loads
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

clients: set[WSTransport] = set()


def broadcast(text: str) -> None:
    payload = text.encode()
    for client in clients:
        client.send(WSMsgType.TEXT, payload)


class Listener(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        clients.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        clients.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        if frame.msg_type != WSMsgType.TEXT:
            return
        operation = loads(frame.get_payload_as_utf8_text())
        if operation["op"] == "echo":
            transport.send(WSMsgType.TEXT, dumps(operation).encode())
        elif operation["op"] == "all":
            broadcast(dumps(operation))
        else:
            for text in burst(operation):
                broadcast(text)


async def main() -> None:
    server = await ws_create_server(lambda _request: Listener(), HOST, PORT, backlog=4096)
    await server.serve_forever()


if os.environ.get("LOOP") == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
