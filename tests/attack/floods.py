"""Floods: whoever sends as much as it can, of one kind each. Who is dropped comes back at once."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from attack.target import HERE, MIB, Outcome, Target, program
from attack.wire import Refused, Wire
from web_fakes import CONTINUATION, PING, TEXT, frame, message

GOOD_CLIENT = HERE / "good_client.py"
GOOD_CLIENT_SECONDS = 60
ATTACKER = "127.0.0.2"
FLOODERS = 10
HALF_HANDSHAKES = 2_000
BOMB_BYTES = 64 * MIB
MOST_GROWTH_BYTES = 32 * MIB
AIMED_ECHO_MS = 50
AIMED_HANDSHAKE_MS = 1_000
_DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate")


@dataclass(frozen=True)
class Flood:
    """One kind.

    Attributes:
        name: what is sent.
        attack: one attacker's life, over and over.
        attackers: how many of them there are.
        options: settings of the server.
    """

    name: str
    attack: Callable[[Target], Awaitable[None]]
    attackers: int = FLOODERS
    options: tuple[str, ...] = ()


async def run(target: Target, flood: Flood, seconds: float) -> Outcome:
    """Attack a server for so long, with a good client beside it."""
    outcome = Outcome(f"flood: {flood.name}")
    async with program(GOOD_CLIENT, target.port, seconds) as good:
        target.forget_peak()
        memory, processor = target.memory_bytes(), target.processor_seconds()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for _ in range(flood.attackers):
                    group.create_task(_for_ever(target, flood))
        processor = target.processor_seconds() - processor
        async with asyncio.timeout(GOOD_CLIENT_SECONDS):
            assert good.stdout is not None
            figures = json.loads(await good.stdout.read())
    growth = target.memory_bytes("VmHWM") - memory
    inside = await target.inside()
    _fill(outcome, figures, growth, processor / seconds, inside)
    return outcome


def _fill(outcome: Outcome, good: dict[str, Any], growth: int, load: float, inside: dict[str, Any]) -> None:
    outcome.figures = {
        "echo p50 ms": f"{good['echo_p50_ms']:.1f}",
        "echo p99 ms": f"{good['echo_p99_ms']:.1f}",
        "handshake p50 ms": f"{good['handshake_p50_ms']:.1f}",
        "handshake max ms": f"{good['handshake_max_ms']:.1f}",
        "growth MiB": f"{growth / MIB:.1f}",
        "server CPU": f"{load:.0%}",
        "limits that acted": ", ".join(f"{name} {count}" for name, count in sorted(inside["limits_hit"].items())),
    }
    outcome.expect(growth <= MOST_GROWTH_BYTES, f"the server grew by {growth / MIB:.1f} MiB")
    outcome.expect(inside["callbacks_failed"] == 0, "a protocol callback raised")


async def _for_ever(target: Target, flood: Flood) -> None:
    while True:
        with suppress(OSError, Refused):
            await flood.attack(target)
        await asyncio.sleep(0)


def _sends(data: bytes, path: str = "/sink", *headers: tuple[str, str]) -> Callable[[Target], Awaitable[None]]:
    """Sends the same over and over, and never reads."""

    async def attack(target: Target) -> None:
        wire = await target.upgraded(path, *headers, source=ATTACKER)
        try:
            while True:
                await wire.send(data)
        finally:
            wire.close()

    return attack


async def _half_handshake(target: Target) -> None:
    """Sends a head a few bytes a second, without an end."""
    wire = await Wire.connect(target.port, source=ATTACKER)
    try:
        await wire.send(b"GET /sink HTTP/1.1\r\nHost: localhost\r\n")
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.5, 1.5)):  # not all at once
                    await wire.receive()
                    return
            await wire.send(b"X: y\r\n")
    finally:
        wire.close()


def bomb() -> bytes:
    """A small frame that is a large message."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packing.compress(b'"' + b" " * BOMB_BYTES + b'"') + packing.flush(zlib.Z_SYNC_FLUSH)
    return frame(packed.removesuffix(b"\x00\x00\xff\xff"), TEXT, rsv=4)


def floods() -> tuple[Flood, ...]:
    """All kinds."""
    empty = frame(b"", TEXT, fin=False) + frame(b"", CONTINUATION, fin=False) * 10_000
    return (
        Flood("messages", _sends(message("x") * 5_000)),
        Flood("pings, pongs unread", _sends(frame(b"x" * 125, PING) * 1_000)),
        Flood("empty fragments", _sends(empty)),
        Flood("half handshakes", _half_handshake, attackers=HALF_HANDSHAKES),
        Flood("zip bombs", _sends(bomb(), "/sink", _DEFLATE), options=("--compression=yes",)),
    )
