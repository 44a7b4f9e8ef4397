"""Clients that read slowly or never, among others that read: who is closed, who gets what, what it costs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from attack.stalls import Stalls
from attack.target import HERE, MIB, Outcome, Target, program
from attack.wire import Wire
from web_fakes import CLOSE, PING, PONG, TEXT, Frame, close_frame, frame, message

GOOD_READERS = HERE / "good_readers.py"
MESSAGE_BYTES = 20_000
SMALL_WINDOW_BYTES = 4_096
TOO_SLOW = 4008
THE_END = 4000
AT_ONCE = 120
GONE_WITHIN_SECONDS = 5.0
GONE_WITHIN_LOOKS, LOOK_SECONDS = 50, 0.1
MOST_GROWTH_BYTES = int(1.25 * MIB)
LIMIT_SECONDS = 60


async def never_read(target: Target, *, bad: int, good: int, seconds: float, per_second: int) -> Outcome:
    """Send so many messages to clients of which some never read, and half of those keep sending."""
    outcome = Outcome("slow readers, TLS" if target.tls else "slow readers")
    count = int(seconds * per_second)
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(_client(target, SMALL_WINDOW_BYTES)) for _ in range(bad)]
        readers = await stack.enter_async_context(program(GOOD_READERS, target.port, good, target.tls is not None))
        target.forget_peak()
        memory, processor = target.memory_bytes(), target.processor_seconds()
        senders = [asyncio.create_task(_send_for_ever(wire)) for wire in slow[::2]]
        await target.begin_news(count=count, size=MESSAGE_BYTES, rate=per_second)
        with Stalls(target.process_id) as stalls:
            async with asyncio.timeout(seconds + LIMIT_SECONDS):
                while (await target.inside())["news_left"]:
                    await asyncio.sleep(LOOK_SECONDS)
                await _until_gone(target, {wire.client_id for wire in slow})
                await target.end_news(THE_END)
                assert readers.stdout is not None
                read = json.loads(await readers.stdout.read())
        growth = target.memory_bytes("VmHWM") - memory
        processor = target.processor_seconds() - processor
        inside = await target.inside()
        for each in senders:
            each.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
    _judge_slow(outcome, {wire.client_id for wire in slow}, inside, stalls)
    _judge_fast(outcome, read, count)
    outcome.figures |= {
        "bad / good": f"{bad} / {good}",
        "MB/s": f"{MESSAGE_BYTES * per_second / 1e6:.1f}",
        "growth MiB a bad one": f"{growth / MIB / bad:.2f}",
        "server CPU": f"{processor / seconds:.0%}",
    }
    outcome.expect(growth <= MOST_GROWTH_BYTES * bad, f"the server grew by {growth / MIB:.1f} MiB")
    return outcome


async def read_all(wire: Wire) -> tuple[list[str], int | None]:
    """Read to the end: the beginnings of all messages, and the code of the close frame."""
    texts, code = [], None
    async for each in wire.frames():
        if each.opcode == TEXT:
            texts.append(begin_of(each))
        elif each.opcode == PING:
            await wire.send(frame(each.payload, PONG))
        elif each.opcode == CLOSE:
            code = each.code
            await wire.send(close_frame(code))
    return texts, code


def begin_of(found: Frame) -> str:
    """The beginning of a message, all of which is looked at."""
    text = found.payload.decode("ascii")
    assert text[8:].strip(".") == "", f"another message within {text[:8]}"
    return text[:8]


def numbered(count: int) -> list[str]:
    """The beginnings of so many messages of the news."""
    return [f"n{number:07d}" for number in range(count)]


@asynccontextmanager
async def _client(target: Target, receive_bytes: int | None = None) -> AsyncIterator[Wire]:
    wire = await target.upgraded("/news", receive_bytes=receive_bytes)
    try:
        yield wire
    finally:
        wire.close()


async def _send_for_ever(wire: Wire) -> None:
    with suppress(OSError):
        while True:
            await wire.send(message("") * 100)
            await asyncio.sleep(0)  # the good ones are of the same process


async def _until_gone(target: Target, client_ids: set[str]) -> None:
    """Wait until these clients are gone, or were looked for often enough; who is left is told at the end."""
    # Looks are counted, not seconds: a machine that stands still takes one of them.
    for _ in range(GONE_WITHIN_LOOKS):
        if client_ids <= {each["client_id"] for each in (await target.inside())["disconnects"]}:
            break
        await asyncio.sleep(LOOK_SECONDS)


def _judge_slow(outcome: Outcome, client_ids: set[str], inside: dict[str, Any], stalls: Stalls) -> None:
    ends = [each for each in inside["disconnects"] if each["client_id"] in client_ids]
    codes = Counter(each["code"] for each in ends)
    outcome.expect(codes == {TOO_SLOW: len(client_ids)}, f"of {len(client_ids)} bad ones the server closed {codes}")
    took = [stalls.charged_seconds(each["closing_at_seconds"], each["at_seconds"]) for each in ends]
    longest = max(took, default=0.0)
    outcome.expect(longest <= GONE_WITHIN_SECONDS, f"a bad one was gone only {longest:.1f} s after its queue was full")
    outcome.figures["gone s after the queue was full"] = f"{longest:.1f}"


def _judge_fast(outcome: Outcome, read: Sequence[tuple[int, int | None]], count: int) -> None:
    """Judge by how many messages each got in order, and the code of the close frame."""
    short = sum(in_order != count for in_order, _ in read)
    codes = Counter(code for _, code in read)
    outcome.expect(short == 0, f"{short} good ones did not get each message in order; they were closed {codes}")
    outcome.expect(codes == {THE_END: len(read)}, f"the good ones were closed with {codes}")
    outcome.figures["messages for each good one"] = str(count)


async def much_at_once(target: Target) -> Outcome:
    """Send three times what may wait for a client in one turn, to clients that read."""
    outcome = Outcome("much at once, TLS" if target.tls else "much at once")
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(_client(target)) for _ in range(3)]
        readers = [asyncio.create_task(read_all(wire)) for wire in wires]
        await target.begin_news(count=AT_ONCE, size=MESSAGE_BYTES, rate=AT_ONCE * 1_000)
        await target.end_news(THE_END)
        async with asyncio.timeout(LIMIT_SECONDS):
            read = await asyncio.gather(*readers)
    in_order = [(len(texts) if texts == numbered(len(texts)) else -1, code) for texts, code in read]
    _judge_fast(outcome, in_order, AT_ONCE)
    return outcome
