"""Attacks on a server under twistd, over real sockets. ``python tests/attack/report.py`` has the same at length.

What is asserted is what became of the server and of good clients; how long that took only where it has to be bounded.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attack import clock_back, draining, floods, frame_floods, leaks, request_floods, slow, stands_still, vanished
from attack.floods import Flood
from attack.stalls import charged_seconds
from attack.target import Outcome, Target, target
from faked_clock import LIBRARY

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc"),
    pytest.mark.own_event_loop,
    pytest.mark.skipif("PODE_SIGNALS_ATTACKS" not in os.environ, reason="takes 100 s: tox -e attacks"),
]

FLOOD_SECONDS = 2
BAD = GOOD = 12
READER_SECONDS = 4
MESSAGES_PER_SECOND = 90
VANISHING = 20
CYCLES = 2_000
TLS_CYCLES = 300
WARM_UP = 100
CROWD = 400

BOTH = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


def attack(server: Target, how: Callable[..., Any], *arguments: Any, **options: Any) -> Outcome:
    """Attack, and look for complaints."""
    outcome: Outcome = asyncio.run(how(server, *arguments, **options))
    assert outcome.complaints == [], outcome
    assert outcome.figures
    return outcome


@pytest.mark.parametrize("flood", [*frame_floods.floods(), *request_floods.floods()], ids=lambda flood: flood.name)
def test_a_flood(tmp_path: Path, flood: Flood) -> None:
    """S16.3, S16.4, S16.8: whoever sends as much as it can costs little memory, and a good client goes on."""
    with target(tmp_path, *flood.options, **flood.how) as server:
        attack(server, floods.run, flood, FLOOD_SECONDS)


def test_a_machine_that_stands_still(tmp_path: Path) -> None:
    """S16.8: a time in which the good client could not run either is not taken for the server's."""
    with target(tmp_path) as server:
        outcome = attack(server, stands_still.machine)
    assert float(outcome.figures["stalled_ms"]) > 0.9 * 1000 * stands_still.STALLED_SECONDS


def test_what_is_left_out_of_a_time() -> None:
    """S16.8: stalls are left out of the time that an echo took, each moment once."""
    spans = [(5.0, 6.0), (1.0, 2.0), (1.5, 3.0), (9.0, 20.0)]
    assert charged_seconds(spans, 0.0, 10.0) == 10 - 2 - 1 - 1
    assert charged_seconds(spans, 1.2, 2.5) == 0
    assert charged_seconds([], 1.0, 2.5) == 1.5


def test_a_server_that_stands_still(tmp_path: Path) -> None:
    """S16.8: a server that a function blocks for 300 ms is complained of, while its good client runs."""
    with target(tmp_path) as server:
        outcome = asyncio.run(stands_still.server(server))
    assert len(outcome.complaints) == 1
    assert outcome.complaints[0].startswith("an echo took ")


@pytest.mark.skipif(LIBRARY is None, reason="there is no libfaketime")
def test_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """S16.1: a clock that is set back stops no timeout, whether or not anything else wakes the server."""
    with clock_back.target_with_clock(tmp_path) as (server, set_clock):
        attack(server, clock_back.stepped_back, set_clock)


@BOTH
def test_clients_that_never_read(tmp_path: Path, tls: bool) -> None:
    """S16.2: who never reads is closed with 4008 and soon gone, whatever it sends; the others get every message."""
    with target(tmp_path, tls=tls) as server:
        attack(
            server,
            slow.never_read,
            bad=BAD,
            good=GOOD,
            seconds=READER_SECONDS,
            per_second=MESSAGES_PER_SECOND,
        )


@BOTH
def test_much_at_once(tmp_path: Path, tls: bool) -> None:
    """S16.2: what one turn collects is offered to the system first, and only what that does not take counts."""
    with target(tmp_path, tls=tls) as server:
        attack(server, slow.much_at_once)


@BOTH
def test_a_reader_that_stalls(tmp_path: Path, tls: bool) -> None:
    """S5.6, S16.2: who stalls and reads on gets everything in order: broadcasts, direct replies, the close frame."""
    with target(tmp_path, draining.LONG_QUEUE, tls=tls) as server:
        attack(server, draining.stalled)


@pytest.mark.parametrize(
    ("policy", "key", "gets_the_last", "gets_the_one_before"),
    [("drop_oldest", None, True, True), ("drop_newest", None, False, False), ("latest", "price", True, False)],
)
def test_a_full_queue(
    tmp_path: Path, policy: str, key: str | None, gets_the_last: bool, gets_the_one_before: bool
) -> None:
    """S16.2: a full queue drops the oldest messages, the newest ones, or those that a newer one replaces."""
    with target(tmp_path, *draining.short_queue(policy)) as server:
        numbers = draining.in_order(asyncio.run(draining.full_queue(server, key=key)))
    assert numbers[0] == 0
    assert len(numbers) < draining.MESSAGES
    assert (draining.MESSAGES - 1 in numbers) is gets_the_last
    assert (draining.MESSAGES - 2 in numbers) is gets_the_one_before


def test_a_process_that_stops(tmp_path: Path) -> None:
    """S16.1, S9.3: clients whose process is stopped are noticed in time, with one Disconnect each."""
    with target(tmp_path, *vanished.OPTIONS) as server:
        attack(server, vanished.stopped, VANISHING)


@BOTH
def test_nothing_is_left(tmp_path: Path, tls: bool) -> None:
    """S10.3, S16.8: of connections that come and go in every way no object and no file descriptor is left."""
    with target(tmp_path, tls=tls) as server:
        attack(server, leaks.cycles, TLS_CYCLES if tls else CYCLES, warm_up=WARM_UP, most_growth_bytes=None)


def test_no_descriptors(tmp_path: Path) -> None:
    """S16.4, S16.5: without a file descriptor left the server does not spin, and goes on when clients leave."""
    with target(tmp_path, app="starved") as server:
        attack(server, leaks.no_descriptors, CROWD)
