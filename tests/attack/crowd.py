"""Many good clients in a process of their own, which can be stopped or cut off. They answer pings, and nothing else.

``python crowd.py HOST PORT COUNT`` prints a line when all are connected, and goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from attack.wire import Wire
from web_fakes import PING, PONG, frame  # its folder had to be named first


async def main(host: str, port: str, count: str) -> None:
    """Connect, one after the other, and answer."""
    async with asyncio.TaskGroup() as group:
        for _ in range(int(count)):
            wire = await Wire.upgraded(int(port), "/sink", host=host)
            group.create_task(_answer(wire))
        sys.stdout.write("begun\n")
        sys.stdout.flush()


async def _answer(wire: Wire) -> None:
    try:
        async for each in wire.frames():
            if each.opcode == PING:
                await wire.send(frame(each.payload, PONG))
    finally:
        wire.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
