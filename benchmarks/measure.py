"""What is measured: servers in parallel, phases in turn and in random order, so that what the machine does hits all.

It judges nothing; rows go to ``report.py``.
"""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import SERVERS
from processes import Failed, Pair

__all__ = ["FULL", "QUICK", "Run", "Sizes"]

_MEMORY_ROUNDS = 3
_SPARE_FILES = 500


@dataclass(frozen=True)
class Sizes:
    """How much a run does.

    Attributes:
        fan_out_clients: clients of each server in the fan-out.
        echo_clients: the same in echo and handshakes.
        memory_clients: the same where memory is looked at; the first half of them counts for nothing.
        growth_clients: the numbers of clients that are compared.
        deliveries: about how many deliveries one fan-out has.
        burst_messages: messages in one turn.
        echo_seconds: how long echoes go on.
        handshakes: how many clients connect.
        rate_seconds: how long 20 messages a second go on.
    """

    fan_out_clients: int
    echo_clients: int
    memory_clients: int
    growth_clients: tuple[int, int, int]
    deliveries: int
    burst_messages: int
    echo_seconds: float
    handshakes: int
    rate_seconds: float


FULL = Sizes(1000, 50, 10_000, (100, 1000, 10_000), 25_000, 10, 1.0, 300, 6.0)
QUICK = Sizes(50, 50, 4000, (50, 100, 200), 1_000, 5, 0.2, 50, 0.5)


class Run:
    """One run.

    Args:
        labels: the servers to measure, of ``SERVERS``.
        rounds: how often each phase is repeated.
        sizes: how much it does.
        work: the folder of what was installed and compiled.
        say: gets a line for each step.

    Attributes:
        rows: a dict for each phase: the load generator's answer with ``plan``, ``label`` and ``round``.
        failures: what could not be measured: a label and the reason.
    """

    def __init__(
        self, labels: Sequence[str], rounds: int, sizes: Sizes, work: Path, say: Callable[[str], None]
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self.failures: list[tuple[str, str]] = []
        self._labels = labels
        self._rounds = rounds
        self._sizes = sizes
        self._work = work
        self._say = say
        self._random = random.Random()

    def all(self) -> None:
        """Everything."""
        self.fan_out()
        self.echo()
        self.growth()
        self.memory()

    def fan_out(self) -> None:
        """One message to all, several within one turn, and 20 a second with the time that each delivery takes."""
        sizes = self._sizes

        def phases(label: str, clients: int) -> list[str]:
            messages = sizes.deliveries // clients
            if SERVERS[label].is_slow:
                return [f"all:{max(1, messages // 10)}:128", "burst:2:128"]
            return [
                f"all:{messages}:128",
                f"burst:{sizes.burst_messages}:128",
                f"rate:20:{sizes.rate_seconds}:128",
            ]

        labels = [label for label in self._labels if label not in _VARIANTS]
        self._paired("fan-out", [(label, sizes.fan_out_clients) for label in labels], phases)

    def echo(self) -> None:
        """Answers to clients that have one message each under way, and handshakes."""
        sizes = self._sizes
        phases = [f"echo:{sizes.echo_clients}:{sizes.echo_seconds}:64", f"connect:{sizes.handshakes}"]
        pairs = [(label, sizes.echo_clients) for label in self._labels]
        self._paired("echo", pairs, lambda _label, _clients: phases)

    def growth(self) -> None:
        """Fan-out, a group of 10 and one client id, with more and more clients in one name."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE_FILES
        fitting = [clients for clients in self._sizes.growth_clients if clients <= most]
        if len(fitting) < len(self._sizes.growth_clients):
            self.failures.append(("growth", f"the limit on open files leaves {most} clients"))

        def phases(_label: str, clients: int) -> list[str]:
            return [f"all:{max(5, self._sizes.deliveries // clients)}:128", "group:200:128", "one:500:128"]

        labels = [label for label in ("limit", "pode") if label in self._labels]
        self._paired("growth", [(label, clients) for clients in fitting for label in labels], phases)

    def memory(self) -> None:
        """What each idle connection takes, in fresh processes, one server at a time."""
        labels = [label for label in self._labels if label != "limit" and label not in _VARIANTS]
        for number in range(min(self._rounds, _MEMORY_ROUNDS)):
            for label in labels:
                pair = self._started("memory", label, self._sizes.memory_clients)
                if pair is not None:
                    self._keep("memory", label, number, pair.opening)
                    pair.stop()

    def _paired(self, plan: str, wanted: Iterable[tuple[str, int]], phases: Callable[[str, int], list[str]]) -> None:
        """Start all, then run each phase of each in random order, once a round. Who fails is left out from there on."""
        running: dict[tuple[str, int], Pair] = {}
        try:
            for label, clients in wanted:
                pair = self._started(plan, label, clients)
                if pair is not None:
                    running[label, clients] = pair
            for number in range(self._rounds):
                self._say(f"{plan}: round {number + 1} of {self._rounds}")
                steps = [(key, phase) for key in running for phase in phases(*key)]
                self._random.shuffle(steps)
                for kind in _PHASES:  # one phase of all, then the next
                    for key, phase in steps:
                        if phase.startswith(f"{kind}:") and key in running:
                            self._step(plan, number, running, key, phase)
        finally:
            for pair in running.values():
                pair.stop()

    def _step(
        self, plan: str, number: int, running: dict[tuple[str, int], Pair], key: tuple[str, int], phase: str
    ) -> None:
        pair, (label, clients) = running[key], key
        kind = phase.partition(":")[0]
        try:
            pair.phase(_WARM_UP.get(kind, _WARM_UP_OF_OTHERS))
            self._keep(plan, label, number, pair.phase(phase))
        except Failed as failed:
            self._failed(label, f"{plan} with {clients} clients: {failed}")
            del running[key]
            pair.stop()

    def _started(self, plan: str, label: str, clients: int) -> Pair | None:
        self._say(f"{plan}: {clients} clients of {SERVERS[label].title}")
        try:
            return Pair(SERVERS[label], clients, self._work)
        except Failed as failed:
            self._failed(label, f"{plan} with {clients} clients: {failed}")
            return None

    def _failed(self, label: str, reason: str) -> None:
        self._say(f"{SERVERS[label].title} is left out: {reason}")
        self.failures.append((label, reason))

    def _keep(self, plan: str, label: str, number: int, answer: dict[str, Any]) -> None:
        phase = answer["phase"].partition(":")[0]
        self.rows.append({**answer, "plan": plan, "label": label, "round": number, "phase": phase})


_VARIANTS = ("pode-stdlib",)  # which differ from pode in echoes alone
_PHASES = ("all", "group", "one", "burst", "rate", "echo", "connect")
_WARM_UP = {"echo": "echo:50:0.05:64", "connect": "connect:20"}
_WARM_UP_OF_OTHERS = "all:2:128"
