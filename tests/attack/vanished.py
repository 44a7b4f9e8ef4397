"""Clients that are there and suddenly are not: stopped, or cut off without a packet more."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attack.stalls import Stalls
from attack.target import HERE, Outcome, Target, program
from programs import free_port, start

CROWD = HERE / "crowd.py"
PING_SECONDS = 1
PONG_SECONDS = 1
SWEEP_SECONDS = 1
OPTIONS = (f"--ping-interval-seconds={PING_SECONDS}", f"--pong-timeout-seconds={PONG_SECONDS}")
ALIVE_SECONDS = 3.5  # longer than a client without pongs would be kept
SLACK_SECONDS = 3.0
NO_CLOSE_FRAME = 1006
_ADDRESS, _PEER = "198.18.213.1", "198.18.213.2"  # of the range for benchmarks (RFC 2544)

Process = asyncio.subprocess.Process


async def stopped(target: Target, count: int) -> Outcome:
    """The process of the clients is stopped: the system still acknowledges, nobody answers."""

    def stop(process: Process) -> None:
        process.send_signal(signal.SIGSTOP)

    return await _vanish(target, count, "clients whose process stops", stop)


async def cut_off(target: Target, count: int) -> Outcome:
    """The clients' cable is pulled; the target has to be one of :func:`target_with_cable`."""
    namespace = _namespace()

    def pull(_process: Process) -> None:
        _ip("-n", namespace, "link", "set", f"{namespace}b", "down")

    before = ("ip", "netns", "exec", namespace)
    return await _vanish(target, count, "clients that are cut off", pull, host=_ADDRESS, before=before)


def may_have_cable() -> bool:
    """Whether this machine lets us have a network of our own."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    probe = f"{_namespace()}p"
    if subprocess.run(["ip", "netns", "add", probe], check=False, capture_output=True).returncode != 0:
        return False
    _ip("netns", "delete", probe)
    return True


@contextmanager
def target_with_cable(tmp_path: Path, *options: str) -> Iterator[Target]:
    """A server with a second address, at the other end of whose cable is a namespace of its own."""
    namespace, port = _namespace(), free_port()
    near, far = f"{namespace}a", f"{namespace}b"
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", namespace)
        _ip("addr", "add", f"{_ADDRESS}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", namespace, "addr", "add", f"{_PEER}/30", "dev", far)
        _ip("-n", namespace, "link", "set", far, "up")
        endpoints = [
            f"--endpoint={protocol}://{address}:{port}"
            for address in ("localhost", _ADDRESS)
            for protocol in ("http", "ws")
        ]
        arguments = ["pode-signals", "--app", "server:attacked", *endpoints, *options]
        running = start(arguments, port, tmp_path / "twistd.log", cwd=HERE)
        try:
            yield Target(running, None)
        finally:
            running.stop()
    finally:
        _ip("netns", "delete", namespace)  # and the cable with it


async def _vanish(
    target: Target,
    count: int,
    attack: str,
    vanish: Callable[[Process], None],
    *,
    host: str = "127.0.0.1",
    before: Sequence[str] = (),
) -> Outcome:
    outcome = Outcome(attack)
    bound = PING_SECONDS + PONG_SECONDS + SWEEP_SECONDS + SLACK_SECONDS
    stalls = Stalls(target.process_id)
    async with program(CROWD, host, target.port, count, before=before) as crowd:
        await asyncio.sleep(ALIVE_SECONDS)
        inside = await target.inside()
        outcome.expect(inside["disconnects"] == [], f"{len(inside['disconnects'])} left that answered pings")
        with stalls:
            vanish(crowd)
            began = time.monotonic()
            while (inside := await target.inside())["open"] and time.monotonic() < began + 2 * bound:
                await asyncio.sleep(0.1)
        crowd.kill()
    ends = (await target.inside())["disconnects"]
    took = [stalls.charged_seconds(began, each["at_seconds"]) for each in ends]
    _judge(outcome, ends, count, max(took, default=0.0), bound)
    return outcome


def _judge(outcome: Outcome, ends: list[dict[str, Any]], count: int, longest: float, bound: float) -> None:
    noticed = Counter(each["client_id"] for each in ends)
    how = Counter((each["code"], each["by"]) for each in ends)
    outcome.expect(len(noticed) == count, f"of {count} clients {len(noticed)} were noticed")
    outcome.expect(set(noticed.values()) <= {1}, "a client had more than one Disconnect")
    outcome.expect(set(how) <= {(NO_CLOSE_FRAME, "timeout")}, f"they ended as {dict(how)}")
    outcome.expect(longest <= bound, f"one was noticed only after {longest:.1f} s")
    outcome.figures = {
        "noticed": f"{len(noticed)} of {count}",
        "at most s": f"{longest:.1f}",
        "ping + pong + sweep s": str(PING_SECONDS + PONG_SECONDS + SWEEP_SECONDS),
    }


def _namespace() -> str:
    return f"atk{os.getpid()}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
