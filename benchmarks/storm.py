"""A storm: all clients of a server are cut off at once, and come back to resume. It fails where one lost anything.

The server's CPU time for each resume is compared with that for each handshake of a plain client. Some hundred of each
kind take turns: the speed of a machine changes from second to second, and a comparison over a longer time would measure
that. All sockets are on this machine.

usage: python benchmarks/storm.py [--clients 5000] [--rounds 3] [--missed 5]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

SERVER = """
import json, sys, time
from klein import Klein
from pode_signals import Signals, SignalsService, Endpoint
from twisted.internet import reactor

app, signals = Klein(), Signals(ping_interval_seconds=1_000, max_connections=100_000, pending_handshakes=20_000)
signals.keep_history("Room", messages=1_000)

@app.route("/room")
def room(request):
    signals.convert(request, name="Room")

@app.route("/cpu")
def cpu(request):
    return json.dumps([time.process_time(), signals.count("Room"), signals.counters.callbacks_failed]).encode()

@app.route("/send/<int:count>")
def send(request, count):
    for number in range(count):
        signals.send({"number": number, "text": "x" * 60}, name="Room")
    return b"[]"

port = int(sys.argv[1])
SignalsService(signals, app.resource(), [Endpoint("http", port=port), Endpoint("ws", port=port)]).startService()
reactor.run()
"""
TURN = 250
"""How many plain clients, and how many that resume, come before the others have their turn."""
AT_ONCE = 200
"""How many clients wait for their handshake at a time: a listening socket has a bound on those who wait."""
HEAD = (
    "GET /room HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
)


class Connected(NamedTuple):
    """A client's socket, whose handshake is done."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def frames(self, until: str) -> list[dict[str, Any]]:
        """The frames of the server, up to the first one of a type."""
        found = [await frame_of(self.reader)]
        while found[-1]["type"] != until:
            found.append(await frame_of(self.reader))
        return found

    def cut(self) -> None:
        """Break the connection, without a close frame."""
        self.writer.transport.abort()


async def frame_of(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next text frame of the server."""
    _, size = await reader.readexactly(2)
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    found: dict[str, Any] = json.loads(await reader.readexactly(size))
    return found


async def connect(port: int, gate: asyncio.Semaphore, offer: str) -> Connected:
    """Shake hands. Frames are read later: clients that are busy would have the server wake up for each handshake."""
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        line = f"Sec-WebSocket-Protocol: {offer}\r\n" if offer else ""
        writer.write(HEAD.format(port=port, offer=line).encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        return Connected(reader, writer)


async def ask(port: int, path: str) -> list[float]:
    """The answer of one of the server's pages."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost:{port}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    found: list[float] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


async def nobody_is_left(port: int) -> None:
    """Wait, bounded, until the server has seen that its clients are gone."""
    for _ in range(600):
        if not (await ask(port, "/cpu"))[1]:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("clients are left")


async def all_connect(port: int, offers: list[str]) -> tuple[list[Connected], float]:
    """Connect a client for each offer; gives the server's microseconds for each."""
    gate = asyncio.Semaphore(AT_ONCE)
    before = (await ask(port, "/cpu"))[0]
    clients = await asyncio.gather(*(connect(port, gate, offer) for offer in offers))
    return clients, ((await ask(port, "/cpu"))[0] - before) / len(offers) * 1e6


async def one_round(port: int, count: int, missed: int) -> list[tuple[float, float]]:
    """The server's microseconds for a plain handshake and for a resume, of each turn."""
    first, _ = await all_connect(port, ["pode.signals.v1"] * count)
    hellos = [(await each.frames("hello"))[0] for each in first]
    for each in first:
        each.cut()
    await nobody_is_left(port)
    await ask(port, f"/send/{missed}")
    offers = [f"pode.signals.v1, pode.resume.{each['epoch']}.{each['offset']}.{each['resumeToken']}" for each in hellos]
    plain, back, found = [], [], []
    for start in range(0, count, TURN):
        offered = offers[start : start + TURN]
        plain_clients, plain_us = await all_connect(port, [""] * len(offered))
        resumed_clients, resume_us = await all_connect(port, offered)
        plain += plain_clients
        back += resumed_clients
        found.append((plain_us, resume_us))
    for each, hello in zip(back, hellos, strict=True):
        again, *signals, _ = await each.frames("beat")
        assert again["recovered"] is True, again
        assert again["clientId"] == hello["clientId"]
        assert [signal["data"]["number"] for signal in signals] == list(range(missed))
    for each in plain + back:
        each.cut()
    await nobody_is_left(port)
    return found


async def measure(port: int, clients: int, rounds: int, missed: int) -> None:
    """Print the medians of each round and of all of them, with half of the turns in brackets."""
    turns = []
    for number in range(rounds):
        found = await one_round(port, clients, missed)
        print(f"round {number + 1}: {clients:,} clients, all recovered; {summary(found)}", flush=True)
        turns += found
    faults = (await ask(port, "/cpu"))[2]
    print(f"a resume with {missed} missed messages beside a plain handshake: {summary(turns)}; {faults} faults")


def summary(turns: list[tuple[float, float]]) -> str:
    """What some turns come to, as a text."""
    plain, resume = (statistics.median(each) for each in zip(*turns, strict=True))
    ratios = [resume_us / plain_us for plain_us, resume_us in turns]
    lower, middle, upper = statistics.quantiles(ratios, n=4)
    return f"server's CPU {resume:.0f} us against {plain:.0f} us, {middle:.2f} times [{lower:.2f} to {upper:.2f}]"


@contextmanager
def serving(program: str) -> Iterator[int]:
    """Run a server, whose program gets a port as its argument; gives the port."""
    # Soft limits are often 1,024.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", program, str(port)])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(10)


def main() -> None:
    """Start the server, let the storm come, and end the server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--missed", type=int, default=5)
    given = parser.parse_args()
    with serving(SERVER) as port:
        asyncio.run(measure(port, given.clients, given.rounds, given.missed))


if __name__ == "__main__":
    main()
