"""What a fan-out to signals clients takes, with a history and without, beside one to plain clients.

Three names of one server have as many clients each: plain ones, clients of ``pode.signals.v1``, and such clients of a
name that keeps a history. Rounds take turns, and each round compares the server's CPU time. All sockets are on this
machine. It fails where a client misses a message.

usage: python benchmarks/forms.py [--clients 1000] [--rounds 15] [--messages 30]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from typing import cast

from storm import AT_ONCE, HEAD, ask, serving

SERVER = """
import json, sys, time
from klein import Klein
from pode_signals import Signals, SignalsService, Endpoint
from twisted.internet import reactor

app, signals = Klein(), Signals(ping_interval_seconds=1_000, max_connections=100_000, pending_handshakes=20_000)
signals.keep_history("history", messages=1_000)

@app.route("/room/<name>")
def room(request, name):
    signals.convert(request, name=name)

@app.route("/send/<name>/<int:count>")
async def send(request, name, count):
    before = time.process_time()
    for number in range(count):
        # Until it is written: the next one goes out in a turn of its own.
        await signals.send({"number": number, "text": "x" * 60, "mark": "|"}, name=name)
    return json.dumps([time.process_time() - before])

port = int(sys.argv[1])
SignalsService(signals, app.resource(), [Endpoint("http", port=port), Endpoint("ws", port=port)]).startService()
reactor.run()
"""
KINDS = {"plain": "", "signals": "pode.signals.v1", "history": "pode.signals.v1"}
"""The names, with the subprotocol of their clients."""


class Reader(asyncio.Protocol):
    """A client that counts its messages.

    Attributes:
        opened: whether the handshake was answered.
        messages: how many messages have come.
    """

    def __init__(self, port: int, kind: str) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.messages = 0
        line = f"Sec-WebSocket-Protocol: {KINDS[kind]}\r\n" if KINDS[kind] else ""
        self._head = HEAD.format(port=port, offer=line).replace("/room", f"/room/{kind}").encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        cast(asyncio.Transport, transport).write(self._head)

    def data_received(self, data: bytes) -> None:
        """Each message has one bar, and no other byte of a frame is one."""
        if not self.opened.done():
            assert data.startswith(b"HTTP/1.1 101"), data
            self.opened.set_result(None)
            return
        self.messages += data.count(b"|")


async def connected(port: int, kind: str, count: int) -> list[Reader]:
    """So many clients of a kind."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Reader:
        async with gate:
            _, reader = await asyncio.get_running_loop().create_connection(
                lambda: Reader(port, kind), "127.0.0.1", port
            )
            await reader.opened
            return reader

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def all_have(readers: list[Reader], messages: int) -> None:
    """Wait, bounded, until each client has had so many messages."""
    for _ in range(600):
        if all(each.messages == messages for each in readers):
            return
        await asyncio.sleep(0.01)
    raise RuntimeError("a client misses a message, or has one twice")


async def measure(port: int, clients: int, rounds: int, messages: int) -> None:
    """Print the figures of each round, and their medians."""
    readers = {kind: await connected(port, kind, clients) for kind in KINDS}
    kinds, found = list(KINDS), []
    # The first round warms up.
    for number in range(rounds + 1):
        us = {}
        for kind in kinds:
            us[kind] = (await ask(port, f"/send/{kind}/{messages}"))[0] / messages / clients * 1e6
            await all_have(readers[kind], messages * (number + 1))
        kinds.append(kinds.pop(0))
        if number:
            found.append(us)
            shown = ", ".join(f"{kind} {us[kind]:.2f} us ({us[kind] / us['plain']:.2f})" for kind in KINDS)
            print(f"round {number}: {shown}", flush=True)
    for kind in ("signals", "history"):
        ratios = sorted(us[kind] / us["plain"] for us in found)
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        print(f"{kind}: {statistics.median(ratios):.3f} times plain, half of the rounds from {low:.3f} to {high:.3f}")


def main() -> None:
    """Start the server, measure, and end the server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--messages", type=int, default=30)
    given = parser.parse_args()
    with serving(SERVER) as port:
        asyncio.run(measure(port, given.clients, given.rounds, given.messages))


if __name__ == "__main__":
    main()
