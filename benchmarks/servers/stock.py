"""Klein and Autobahn as their documentation combines them: WebSocketResource in a route, sendMessage per client."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from klein import Klein
from operations import HOST, PORT, burst, dumps, loads
from twisted.internet import reactor
from twisted.web.server import Site

clients: set[WebSocketServerProtocol] = set()


class Protocol(WebSocketServerProtocol):
    def onOpen(self) -> None:
        clients.add(self)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        clients.discard(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        operation = loads(payload)
        if operation["op"] == "echo":
            self.sendMessage(dumps(operation).encode())
        elif operation["op"] == "all":
            broadcast(dumps(operation))
        else:
            for text in burst(operation):
                broadcast(text)


def broadcast(text: str) -> None:
    payload = text.encode()
    for client in clients:
        client.sendMessage(payload)


app = Klein()
factory = WebSocketServerFactory()
factory.protocol = Protocol
resource = WebSocketResource(factory)


@app.route("/ws")
def ws(request: Any) -> WebSocketResource:
    return resource


factory.startFactory()
reactor.listenTCP(PORT, Site(app.resource()), backlog=4096, interface=HOST)
reactor.run()
