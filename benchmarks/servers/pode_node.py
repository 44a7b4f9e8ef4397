"""pode_signals as one of several nodes: SignalsService, Klein, a signal route, RedisBackplane.

REDIS is its URL. HISTORY=1 keeps a history of the name.
REUSE_PORT=1 has several nodes of one machine listen at one port, among which the kernel shares the connections.
"""

from __future__ import annotations

import gc
import os
import socket
from typing import Any

from klein import Klein
from operations import HOST, PORT
from twisted.internet import reactor
from twisted.internet.endpoints import AdoptedStreamServerEndpoint

from pode_signals import Endpoint, RedisBackplane, SignalEvent, Signals, SignalsService

app = Klein()
backplane = RedisBackplane(os.environ["REDIS"], key="the key that the nodes of a benchmark have in common")
signals = Signals(backplane=backplane, messages_per_second=1e9, message_burst=1_000_000_000)
if os.environ.get("HISTORY"):
    signals.keep_history("Bench", messages=1_000)


@app.route("/ws")
def ws(request: Any) -> None:
    signals.convert(request, name="Bench")


@signals.route("/ws")
def operation(event: SignalEvent) -> None:
    message = event.data.message
    if message["op"] == "echo":
        event.connection.send(message)
    else:
        signals.send(message, name="Bench")


def endpoints() -> list[Endpoint]:
    if not os.environ.get("REUSE_PORT"):
        return [Endpoint(protocol, HOST, PORT) for protocol in ("http", "ws")]
    with socket.socket() as shared:
        shared.setblocking(False)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((HOST, PORT))
        shared.listen(4096)
        # It takes a duplicate of the descriptor at once.
        adopted = AdoptedStreamServerEndpoint(reactor, os.dup(shared.fileno()), socket.AF_INET)
    return [Endpoint(protocol, listen=adopted) for protocol in ("http", "ws")]


def leave_to_itself() -> None:
    gc.collect()
    gc.freeze()


SignalsService(signals, app.resource(), endpoints()).startService()
# As the command does, and as the documentation tells those who have a server of their own.
reactor.callWhenRunning(leave_to_itself)
reactor.run()
