"""Floods: whoever sends as much as it can, of one kind each, or of several. Who is dropped comes back at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

from attack.log_lines import kinds, most_lines
from attack.target import HERE, MIB, Outcome, Target, program
from attack.wire import Refused

GOOD_CLIENT = HERE / "good_client.py"
GOOD_CLIENT_SECONDS = 90
FLOODERS = 10
GONE_WITHIN_LOOKS, LOOK_SECONDS = 50, 0.1
MOST_GROWTH_BYTES = 32 * MIB
MOST_ECHO_MS = 100
AIMED_ECHO_MS = 50
AIMED_HANDSHAKE_MS = 1_000

Attack = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True)
class Flood:
    """One kind.

    Attributes:
        name: what is sent.
        attacks: what an attacker does, by what makes it another attack; it goes on with the next one.
        attackers: how many attackers there are.
        begin_seconds: within so long they begin, one after the other.
        options: settings of the server.
        how: further arguments of ``target``.
        most_growth_bytes: how much it may grow.
        most_echo_ms: how long an echo of the good client may take; None is only aimed at.
        newcomers: whether each newcomer has to get in.
        most_descriptors: how many it may have open in the end; None is any number.
        before: what is there when the attack begins.
    """

    name: str
    attacks: Mapping[str, Attack]
    attackers: int = FLOODERS
    begin_seconds: float = 0.0
    options: tuple[str, ...] = ()
    how: Mapping[str, Any] = field(default_factory=dict)
    most_growth_bytes: int = MOST_GROWTH_BYTES
    most_echo_ms: float | None = MOST_ECHO_MS
    newcomers: bool = True
    most_descriptors: int | None = None
    before: Callable[[Target], AbstractAsyncContextManager[Any]] = lambda _: nullcontext()

    def alone(self) -> Iterator[Flood]:
        """Each of its attacks alone, by as many."""
        for what, attack in self.attacks.items():
            yield replace(self, name=f"{self.name}: {what}" if what else self.name, attacks={what: attack})


async def run(target: Target, flood: Flood, seconds: float) -> Outcome:
    """Attack a server for so long, with a good client beside it."""
    outcome = Outcome(f"flood: {flood.name}")
    async with flood.before(target), program(GOOD_CLIENT, target.port, seconds, target.process_id) as good:
        written = len(target.program.text())
        target.forget_peak()
        memory, processor = target.memory_bytes(), target.processor_seconds()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                attacks = cycle(flood.attacks.values())
                for number in range(flood.attackers):
                    wait_seconds = flood.begin_seconds * number / flood.attackers
                    group.create_task(_for_ever(target, attacks, wait_seconds))
        processor = target.processor_seconds() - processor
        async with asyncio.timeout(GOOD_CLIENT_SECONDS):
            assert good.stdout is not None
            figures = json.loads(await good.stdout.read())
    growth = target.memory_bytes("VmHWM") - memory
    descriptors = await _descriptors(target, flood.most_descriptors)
    inside = await target.inside()
    _fill(outcome, figures, growth, processor / seconds, inside)
    _judge(outcome, flood, figures, growth, descriptors)
    _judge_log(outcome, target.program.text()[written:], seconds)
    outcome.expect(inside["callbacks_failed"] == 0, "a protocol callback raised")
    return outcome


def judge_good_client(
    outcome: Outcome, good: dict[str, Any], *, most_echo_ms: float | None = MOST_ECHO_MS, newcomers: bool = True
) -> None:
    """Complain of how a good client fared; the arguments are those of :class:`Flood`."""
    if most_echo_ms is not None:
        longest = good["echo_max_ms"]
        outcome.expect(longest <= most_echo_ms, f"an echo took {longest:.0f} ms")
    if newcomers:
        outcome.expect(good["handshakes_failed"] == 0, f"{good['handshakes_failed']} newcomers did not get in")


async def _descriptors(target: Target, wanted: int | None) -> int:
    """How many are open, once they are as few as wanted or were looked at for some time."""
    # Looks are counted, not seconds: a machine that stands still takes one of them.
    for _ in range(GONE_WITHIN_LOOKS):
        if wanted is None or target.descriptors() <= wanted:
            break
        await asyncio.sleep(LOOK_SECONDS)
    return target.descriptors()


def _fill(outcome: Outcome, good: dict[str, Any], growth: int, load: float, inside: dict[str, Any]) -> None:
    outcome.figures = {
        "echo p50 ms": f"{good['echo_p50_ms']:.1f}",
        "echo p99 ms": f"{good['echo_p99_ms']:.1f}",
        "echo max ms": f"{good['echo_max_ms']:.1f}",
        "handshake p50 ms": f"{good['handshake_p50_ms']:.1f}",
        "handshake max ms": f"{good['handshake_max_ms']:.1f}",
        "newcomers in": f"{good['handshakes']} of {good['handshakes'] + good['handshakes_failed']}",
        "could not run ms": f"{good['stalled_ms']:.0f}",
        "growth MiB": f"{growth / MIB:.1f}",
        "server CPU": f"{load:.0%}",
        "limits that acted": ", ".join(f"{name} {count}" for name, count in sorted(inside["limits_hit"].items())),
    }


def _judge(outcome: Outcome, flood: Flood, good: dict[str, Any], growth: int, descriptors: int) -> None:
    outcome.expect(growth <= flood.most_growth_bytes, f"the server grew by {growth / MIB:.1f} MiB")
    judge_good_client(outcome, good, most_echo_ms=flood.most_echo_ms, newcomers=flood.newcomers)
    if flood.most_descriptors is not None:
        outcome.figures["descriptors"] = str(descriptors)
        outcome.expect(descriptors <= flood.most_descriptors, f"{descriptors} descriptors are open")


def _judge_log(outcome: Outcome, text: str, seconds: float) -> None:
    kind, most = max(kinds(text).items(), key=lambda each: each[1], default=("", 0))
    outcome.figures["log lines of a kind"] = f"{most}"
    outcome.expect(most <= most_lines(seconds), f"{most} lines of the kind {kind!r}")


async def _for_ever(target: Target, attacks: Iterator[Attack], wait_seconds: float) -> None:
    await asyncio.sleep(wait_seconds)
    while True:
        with suppress(OSError, Refused):
            await next(attacks)(target)
        await asyncio.sleep(0)
