"""What the good client makes of a machine that stands still, and of a server that does. No client attacks here."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from attack.floods import GOOD_CLIENT, GOOD_CLIENT_SECONDS, judge_good_client
from attack.target import Outcome, Target, program
from web_fakes import message

SECONDS = 1.5
BEGUN_SECONDS = 0.5
STALLED_SECONDS = 0.7


async def machine(target: Target) -> Outcome:
    """The server and its good client stand still together."""
    async with _good_client(target, outcome := Outcome("the machine stands still")) as good:
        both = (target.program.process, good)
        for each in both:
            each.send_signal(signal.SIGSTOP)
        await asyncio.sleep(STALLED_SECONDS)
        for each in both:
            each.send_signal(signal.SIGCONT)
    return outcome


async def server(target: Target) -> Outcome:
    """A function of the server blocks; its good client runs."""
    async with _good_client(target, outcome := Outcome("the server stands still")):
        wire = await target.upgraded("/bait/blocks")
        await wire.send(message(1))
        wire.close()
    return outcome


@asynccontextmanager
async def _good_client(target: Target, outcome: Outcome) -> AsyncIterator[asyncio.subprocess.Process]:
    """A good client that has begun; at the end it is judged."""
    async with program(GOOD_CLIENT, target.port, SECONDS, target.process_id) as good:
        await asyncio.sleep(BEGUN_SECONDS)
        yield good
        async with asyncio.timeout(GOOD_CLIENT_SECONDS):
            assert good.stdout is not None
            figures: dict[str, Any] = json.loads(await good.stdout.read())
    judge_good_client(outcome, figures)
    outcome.figures = {name: f"{value:.1f}" for name, value in figures.items()}
