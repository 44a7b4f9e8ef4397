"""What a message costs Redis with more and more nodes that hear of it: ``python benchmarks/subscribers.py``.

It publishes, as nodes do, to a Redis that it starts, with plain sockets in place of nodes. It uses loopback alone.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time

from processes import free_port

_SIZE = 330
"""A message of 200 bytes in its envelope."""
_CHANNEL = b"channel"


async def subscribed(port: int) -> asyncio.Task[None]:
    """A subscriber, which reads whatever comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"SUBSCRIBE " + _CHANNEL + b"\r\n")
    await reader.readuntil(b":1\r\n")

    async def read() -> None:
        while await reader.read(1 << 20):
            pass
        writer.close()

    return asyncio.create_task(read())


async def publish(port: int, messages: int) -> None:
    """Publish, 64 at a time under way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    one = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(_CHANNEL), _CHANNEL, _SIZE, b"x" * _SIZE)
    for _ in range(messages // 64):
        writer.write(one * 64)
        for _ in range(64):
            await reader.readline()
    writer.close()


async def measure(port: int, clock: int, counts: list[int], rounds: int, messages: int) -> None:
    """Print the CPU time of Redis for a message, for each number of subscribers."""
    tasks: list[asyncio.Task[None]] = []
    for count in counts:
        while len(tasks) < count:
            tasks.append(await subscribed(port))
        found = []
        # The first round warms up.
        for _ in range(rounds + 1):
            before = time.clock_gettime_ns(clock)
            await publish(port, messages)
            found.append((time.clock_gettime_ns(clock) - before) / 1_000 / (messages // 64 * 64))
        us = found[1:]
        print(
            f"{count} subscribers: {statistics.median(us):.2f} us ({min(us):.2f}-{max(us):.2f}) a message", flush=True
        )
    for task in tasks:
        task.cancel()


def main() -> None:
    """Start Redis, measure, and end Redis."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--subscribers", default="1,2,10,40")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=10_000)
    given = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pode_signals-redis-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        redis = subprocess.Popen([*command, "--logfile", f"{folder}/log"])
        try:
            time.sleep(1)
            counts = sorted(map(int, given.subscribers.split(",")))
            asyncio.run(measure(port, ~redis.pid << 3 | 2, counts, given.rounds, given.messages))
        finally:
            redis.terminate()
            redis.wait(10)


if __name__ == "__main__":
    main()
