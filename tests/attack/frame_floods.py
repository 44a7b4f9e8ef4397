"""Floods of frames and messages, on connections that the server takes for good ones at first."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from attack.floods import MOST_GROWTH_BYTES, Attack, Flood
from attack.target import MIB, Target
from attack.wire import Wire
from web_fakes import CONTINUATION, PING, TEXT, frame, message

ATTACKER = "127.0.0.2"
HALF_HANDSHAKES = 2_000
BOMB_BYTES = 64 * MIB
INBOX_BYTES = 64 * MIB  # the default of total_inbox_bytes
LARGE, INBOXES = 65_000, 200
AT_ONCE = 200  # frames in one packet
NAMES, GROUPS = 2_000, 100
_DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate")
_HOLD_SECONDS = 2.0


def _sends(data: bytes, path: str = "/sink", *headers: tuple[str, str]) -> Attack:
    """Sends the same over and over, and never reads."""

    async def attack(target: Target) -> None:
        wire = await target.upgraded(path, *headers, source=ATTACKER)
        try:
            while True:
                await wire.send(data)
        finally:
            wire.close()

    return attack


def _sends_once(*packets: bytes, path: str, deflate: bool = False, seconds: float = _HOLD_SECONDS) -> Attack:
    """Sends some packets, and stays for a while."""

    async def attack(target: Target) -> None:
        wire = await target.upgraded(path, *([_DEFLATE] if deflate else []), source=ATTACKER)
        try:
            async with asyncio.timeout(seconds):
                for packet in packets:
                    await wire.send(packet)
                while await wire.skip():
                    pass
        finally:
            wire.close()

    return attack


async def _half_handshake(target: Target) -> None:
    """Sends a head a few bytes a second, without an end."""
    wire = await Wire.connect(target.port, source=ATTACKER)
    try:
        await wire.send(b"GET /sink HTTP/1.1\r\nHost: localhost\r\n")
        while True:
            try:
                async with asyncio.timeout(random.uniform(0.5, 1.5)):  # not all at once
                    await wire.receive()
                    return
            except TimeoutError:
                await wire.send(b"X: y\r\n")
    finally:
        wire.close()


@asynccontextmanager
async def _names(target: Target) -> AsyncIterator[None]:
    """Many names, with a connection each."""
    async with AsyncExitStack() as stack:
        for number in range(NAMES):
            wire = await target.upgraded(f"/room/r{number}")
            stack.callback(wire.close)
        yield


def _packed(text: bytes) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packing.compress(text) + packing.flush(zlib.Z_SYNC_FLUSH)
    return frame(packed.removesuffix(b"\x00\x00\xff\xff"), TEXT, rsv=4)


def bomb() -> bytes:
    """A small frame that is a large message."""
    return _packed(b'"' + b" " * BOMB_BYTES + b'"')


def floods() -> tuple[Flood, ...]:
    """All of them."""
    empty = frame(b"", TEXT, fin=False) + frame(b"", CONTINUATION, fin=False) * 10_000
    whole, halves = message(1), frame('{"message":', fin=False) + frame("1}", CONTINUATION)
    groups, ids = ([f"{letter}{number}" for number in range(GROUPS)] for letter in "gc")
    large, small = message("x" * LARGE), _packed(b'{"message":"%s"}' % (b"x" * LARGE))
    return (
        Flood("messages", {"": _sends(message("x") * 5_000)}, most_echo_ms=None),
        Flood("pings, pongs unread", {"": _sends(frame(b"x" * 125, PING) * 1_000)}, most_echo_ms=None),
        Flood("empty fragments", {"": _sends(empty)}, most_echo_ms=None),
        Flood("half handshakes", {"": _half_handshake}, attackers=HALF_HANDSHAKES, most_echo_ms=None),
        Flood("zip bombs", {"": _sends(bomb(), "/sink", _DEFLATE)}, options=("--compression=yes",), most_echo_ms=None),
        Flood(
            "groups × names",
            {
                "100 groups": _sends(message(1, group=groups) * 100, "/bait/none"),
                "100 groups, 100 ids": _sends(message(1, group=groups, clientId=ids) * 100, "/bait/none"),
                "100 ids": _sends(message(1, clientId=ids) * 100, "/bait/none"),
            },
            attackers=3,
            before=_names,
        ),
        Flood(
            f"{AT_ONCE} frames in a packet, to a route of 5 ms",
            {
                "whole": _sends_once(whole * AT_ONCE, path="/bait/busy"),
                "in fragments": _sends_once(halves * AT_ONCE, path="/bait/busy"),
                "behind a rate wait": _sends_once(whole * (2 * AT_ONCE), path="/bait/busy"),
            },
            attackers=3,
        ),
        Flood(
            "inboxes of a function that waits",
            {
                "compressed": _sends_once(small * 66, path="/bait/slow", deflate=True, seconds=60),
                "plain": _sends_once(large * 66, path="/bait/slow", seconds=60),
            },
            attackers=INBOXES,
            begin_seconds=2.0,
            options=("--compression=yes",),
            most_growth_bytes=INBOX_BYTES + MOST_GROWTH_BYTES,
        ),
    )
