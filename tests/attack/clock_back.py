"""The clock of the machine is set back while a server has nothing to do; it still has to notice who is gone.

libfaketime is between the server and the clock, and reads from a file what time it is. The monotonic clock goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attack.target import Outcome, Target, target
from attack.wire import Wire
from faked_clock import LIBRARY, forget
from web_fakes import TEXT, frame

STEP_SECONDS = -3_600
TIMEOUT_SECONDS = 1
# An hour is what a server waits that goes by the wall clock; a machine may stand still for a while.
SLACK_SECONDS = 10.0
_SETTINGS = ("ping-interval", "pong-timeout", "handshake-timeout", "message-timeout", "close-timeout")
OPTIONS = tuple(f"--{each}-seconds={TIMEOUT_SECONDS}" for each in _SETTINGS)
MOST_SECONDS = 3 * TIMEOUT_SECONDS + SLACK_SECONDS


@contextmanager
def target_with_clock(tmp_path: Path) -> Iterator[tuple[Target, Callable[[int], None]]]:
    """A server, and what sets its clock."""
    now = tmp_path / "now"

    def set_clock(seconds: int) -> None:
        new = tmp_path / "new"
        new.write_text(f"{seconds:+d}\n", encoding="ascii")
        new.replace(now)

    set_clock(0)
    environment = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(now),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with target(tmp_path, *OPTIONS, environment=environment) as server:
        yield server, set_clock
    forget(server.process_id)


async def stepped_back(server: Target, set_clock: Callable[[int], None]) -> Outcome:
    """Clients of which nothing more comes, before the clock is set back and after it; nobody else is there."""
    outcome = Outcome("the clock is set back by an hour")
    wires = {f"{what}, before": await come(server) for what, come in _DEAD.items()}
    await asyncio.sleep(TIMEOUT_SECONDS / 4)
    set_clock(STEP_SECONDS)
    before = time.monotonic()
    ends = {what: asyncio.create_task(_seconds_until_end(wire, before)) for what, wire in wires.items()}
    await asyncio.gather(*ends.values())
    after = {f"{what}, after": await come(server) for what, come in _DEAD.items()}
    later = time.monotonic()
    ends |= {what: asyncio.create_task(_seconds_until_end(wire, later)) for what, wire in after.items()}
    await asyncio.gather(*ends.values())
    for what, end in ends.items():
        seconds = end.result()
        outcome.figures[f"{what}: gone after s"] = "never" if seconds is None else f"{seconds:.1f}"
        outcome.expect(seconds is not None, f"{what}: still there after {MOST_SECONDS} s")
    set_clock(0)
    return outcome


async def _no_pongs(server: Target) -> Wire:
    return await server.upgraded("/sink")


async def _half_a_message(server: Target) -> Wire:
    wire = await server.upgraded("/sink")
    await wire.send(frame(b"{", TEXT, fin=False))
    return wire


async def _half_a_head(server: Target) -> Wire:
    wire = await Wire.connect(server.port)
    await wire.send(b"GET / HT")
    return wire


_DEAD = {"no pongs": _no_pongs, "half a message": _half_a_message, "half a head": _half_a_head}


async def _seconds_until_end(wire: Wire, began: float) -> float | None:
    try:
        async with asyncio.timeout(MOST_SECONDS):
            while await wire.skip():
                pass
        return time.monotonic() - began
    except TimeoutError:
        return None
    finally:
        wire.close()
