"""What is left of connections that came and went, and what becomes of a server that has no file descriptor left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import cycle

from attack.target import MIB, Outcome, Target
from attack.wire import Refused, Wire
from web_fakes import TEXT, Frame, close_frame, message

AT_ONCE = 20
MOST_GROWTH_BYTES = 5 * MIB
WAIT_SECONDS = 20.0
STILL_WAITING = 3  # clients in a row that did not come in
ANSWER_SECONDS = 1.0
MOST_IDLE_LOAD = 0.5
_SOURCES = cycle(f"127.0.0.{number}" for number in range(2, 10))  # a client's ports are not free again at once


async def cycles(target: Target, count: int, *, warm_up: int, most_growth_bytes: int | None) -> Outcome:
    """Connect and leave, in each way that there is.

    Args:
        target: the server.
        count: how often, after ``warm_up`` times that do not count.
        most_growth_bytes: how much memory may be left; None is not asked.
    """
    outcome = Outcome(f"{count:,} connections come and go")
    await _come_and_go(target, warm_up)
    before, memory, descriptors = await _left(target), target.memory_bytes(), await _descriptors(target, 0)
    began = time.monotonic()
    await _come_and_go(target, count)
    seconds = time.monotonic() - began
    after, growth = await _left(target), target.memory_bytes() - memory
    left = await _descriptors(target, descriptors) - descriptors
    outcome.expect(after == before, f"objects are left: {before} before, {after} after")
    outcome.expect(left == 0, f"{left} descriptors are left")
    if most_growth_bytes is not None:
        outcome.expect(growth <= most_growth_bytes, f"{growth / MIB:.1f} MiB are left")
    outcome.figures = {
        "growth MiB": f"{growth / MIB:.1f}",
        "descriptors": f"{left:+}",
        "objects": "as before" if after == before else "left",
        "a second": f"{count / seconds:.0f}",
    }
    return outcome


async def no_descriptors(target: Target, crowd: int) -> Outcome:
    """More clients than the server, ``server.starved``, has file descriptors: unfinished requests, then connections."""
    outcome = Outcome("no file descriptors")
    for name, come in (("half handshakes", _half), ("connections", _whole)):
        wires = await _crowd(target, come, crowd)
        processor, began = target.processor_seconds(), time.monotonic()
        await asyncio.sleep(1)
        load = (target.processor_seconds() - processor) / (time.monotonic() - began)
        for wire in wires:
            wire.close()
        seconds = await _seconds_until_it_answers(target)
        outcome.figures[f"{name}: server CPU"] = f"{load:.0%}"
        outcome.figures[f"{name}: answers again after s"] = f"{seconds:.1f}"
        outcome.expect(load <= MOST_IDLE_LOAD, f"{name}: with nothing to do it took {load:.0%} of a processor")
        outcome.expect(seconds < WAIT_SECONDS, f"{name}: it does not answer again")
    outcome.expect("no client is accepted" in target.program.text(), "the server had descriptors left")
    return outcome


async def _crowd(target: Target, come: Callable[[Target], Awaitable[Wire | None]], size: int) -> list[Wire]:
    """So many clients, until some have not come in: others would only wait as these."""
    wires: list[Wire] = []
    waiting = 0
    while len(wires) < size and waiting < STILL_WAITING:
        wire = await come(target)
        if wire is None:
            waiting += 1
        else:
            wires.append(wire)
    return wires


async def _come_and_go(target: Target, count: int) -> None:
    ways = cycle((_in_order, _without_close_frame, _by_reset, _after_an_echo, _in_the_head, _refused))
    turns = iter(range(count))

    async def come_and_go() -> None:
        for _ in turns:  # each turn goes to one of them
            await next(ways)(target)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(come_and_go())


async def _in_order(target: Target) -> None:
    wire = await target.upgraded("/sink", source=next(_SOURCES))
    await wire.send(close_frame(1000))
    frames = [each async for each in wire.frames()]
    assert [each.code for each in frames] == [1000], frames
    wire.close()


async def _without_close_frame(target: Target) -> None:
    wire = await target.upgraded("/sink", source=next(_SOURCES))
    wire.close()


async def _by_reset(target: Target) -> None:
    wire = await target.upgraded("/sink", source=next(_SOURCES))
    await wire.send(message("half a message")[:10])
    wire.reset()


async def _after_an_echo(target: Target) -> None:
    wire = await target.upgraded("/echo", source=next(_SOURCES))
    await wire.send(message("hello"))
    found = await wire.frame()
    assert found == Frame(TEXT, b"hello"), found
    wire.reset()


async def _in_the_head(target: Target) -> None:
    wire = await Wire.connect(target.port, source=next(_SOURCES))
    await wire.send(b"GET /sink HTTP/1.1\r\nHost: local")
    wire.close()


async def _refused(target: Target) -> None:
    try:
        await target.upgraded("/sink", ("Origin", "http://elsewhere.example"), source=next(_SOURCES))
    except Refused:
        return
    raise AssertionError("it was not refused")


async def _left(target: Target) -> dict[str, int]:
    """The objects that are left once all connections are gone."""
    end = time.monotonic() + WAIT_SECONDS
    while (await target.inside())["open"] and time.monotonic() < end:
        await asyncio.sleep(0.05)
    objects: dict[str, int] = (await target.inside(objects=True))["objects"]
    return objects


async def _descriptors(target: Target, wanted: int) -> int:
    """The descriptors that are open, once they are as few as wanted or were looked at for a second."""
    # Looks are counted, not seconds: a machine that stands still takes one of them.
    for _ in range(20):
        if (now := target.descriptors()) <= wanted:
            break
        await asyncio.sleep(0.05)
    return now


async def _half(target: Target) -> Wire | None:
    wire = await Wire.connect(target.port)
    with suppress(OSError):
        await wire.send(b"GET /sink HTTP/1.1\r\n")
    return wire


async def _whole(target: Target) -> Wire | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await target.upgraded("/sink")
    except (Refused, OSError):  # nobody accepts it, which a TimeoutError says
        return None


async def _seconds_until_it_answers(target: Target) -> float:
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < WAIT_SECONDS:
        wire = await _whole(target)
        if wire is None:
            await asyncio.sleep(0.05)
            continue
        wire.close()
        return seconds
    return seconds
