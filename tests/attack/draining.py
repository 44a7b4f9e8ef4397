"""Clients that stall and read on later: what they get then, and in which order."""

from __future__ import annotations

import asyncio
from typing import Any

from attack.slow import SMALL_WINDOW_BYTES, THE_END, begin_of, read_all
from attack.target import MIB, Outcome, Target
from attack.wire import Wire
from web_fakes import TEXT, message

CLIENTS = 3
MESSAGES = 400
MESSAGE_BYTES = 20_000
MESSAGES_PER_SECOND = 1_000
REPLIES = 40
QUEUE_BYTES = 64 * MIB
SHORT_QUEUE_BYTES = 200_000
LIMIT_SECONDS = 30.0
LONG_QUEUE = f"--send-queue-bytes={QUEUE_BYTES}"
_LAST = "the end."


def short_queue(slow_client: str) -> tuple[str, ...]:
    """The settings for :func:`full_queue`."""
    return (f"--slow-client={slow_client}", f"--send-queue-bytes={SHORT_QUEUE_BYTES}")


async def stalled(target: Target) -> Outcome:
    """Broadcasts, with direct replies among them and a close at the end, to clients that read when all was sent."""
    outcome = Outcome("stalled, then drained, TLS" if target.tls else "stalled, then drained")
    wires = [await target.upgraded("/news", receive_bytes=SMALL_WINDOW_BYTES) for _ in range(CLIENTS)]
    try:
        await target.begin_news(count=MESSAGES, size=MESSAGE_BYTES, rate=MESSAGES_PER_SECOND, note=1)
        for number in range(REPLIES):
            for wire in wires:
                await wire.send(message(f"r{number:07d}"))
            await asyncio.sleep(MESSAGES / MESSAGES_PER_SECOND / REPLIES / 2)
        inside = await _sent(target, wires)
        await target.end_news(THE_END)
        async with asyncio.timeout(LIMIT_SECONDS):
            read = await asyncio.gather(*map(read_all, wires))
    finally:
        for wire in wires:
            wire.close()
    for wire, (texts, code) in zip(wires, read, strict=True):
        outcome.expect(texts == inside["sent"][wire.client_id], f"{len(texts)} messages are not what was sent")
        outcome.expect(len(texts) == MESSAGES + REPLIES, f"{len(texts)} messages")
        outcome.expect((code, wire.ended) == (THE_END, "closed"), f"it ended with {code} and was {wire.ended}")
    waiting = inside["queued_bytes"]
    outcome.expect(waiting > 0, "the clients never stalled")
    outcome.figures = {"messages for each": str(len(read[0][0])), "had waited MiB": f"{waiting / MIB:.1f}"}
    return outcome


async def full_queue(target: Target, *, key: str | None = None) -> list[str]:
    """The beginnings of what a client gets that read nothing while the news were sent, and then all.

    The last is an answer to it, sent when it had read what waited.
    """
    wire = await target.upgraded("/news", receive_bytes=SMALL_WINDOW_BYTES)
    try:
        said = {} if key is None else {"key": key}
        await target.begin_news(count=MESSAGES, size=MESSAGE_BYTES, rate=MESSAGES_PER_SECOND, note=1, **said)
        await _sent(target, [wire])
        async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as group:
            asking = group.create_task(_ask_when_drained(target, wire))
            texts = []
            async for each in wire.frames():
                if each.opcode == TEXT:
                    texts.append(begin_of(each))
                    if texts[-1] == _LAST:
                        break
            await asking
        return texts
    finally:
        wire.close()


def in_order(texts: list[str]) -> list[int]:
    """The numbers of the news that a client got in :func:`full_queue`, which are in order, with the answer behind."""
    assert texts[-1] == _LAST, texts[-3:]
    assert texts[:-1] == sorted(set(texts[:-1])), "out of order"
    return [int(each[1:]) for each in texts[:-1]]


async def _sent(target: Target, wires: list[Wire]) -> dict[str, Any]:
    """What the server says, once all news were sent."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            inside = await target.inside()
            sent = inside["sent"]
            if all(f"n{MESSAGES - 1:07d}" in sent.get(wire.client_id, ()) for wire in wires):
                return inside
            await asyncio.sleep(0.05)


async def _ask_when_drained(target: Target, wire: Wire) -> None:
    while (await target.inside())["queued_bytes"]:
        await asyncio.sleep(0.05)
    await wire.send(message(_LAST))
