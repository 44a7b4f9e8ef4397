"""Two nodes over Redis beside others that share one, and two processes at one port: ``python benchmarks/nodes.py``.

All nodes are up at the same time; phases come in random order, one at a time, and figures of one round are compared.
Each kind of node has a Redis of its own, which the benchmark starts. It uses loopback alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from clusters import OnePort, TwoNodes
from environment import prepare, versions
from node_report import titled_nodes, two_node_tables, two_process_table
from peers import NODES
from processes import Failed
from report import Figures, with_results
from run import PAGE, machine, say

__all__ = ["FULL", "QUICK", "Measurement", "Sizes"]

_PORT_LABEL = "pode-live"
_WARM_UP = "flow:64:0.5:200"


@dataclass(frozen=True)
class Sizes:
    """How much a run does.

    Attributes:
        rounds: how often each phase is repeated.
        room: how many clients each node has in the room.
        per_second: how many messages a second are sent where the time of each is measured.
        seconds: how long a phase takes.
        window: how many messages are under way where they go as fast as they can.
        members: clients where memory is looked at; of the node's, the first half counts for nothing.
        port_clients: clients of the processes at one port.
    """

    rounds: int
    room: int
    per_second: int
    seconds: float
    window: int
    members: int
    port_clients: int


FULL = Sizes(9, 8, 1_000, 3.0, 256, 4_000, 1_000)
QUICK = Sizes(1, 8, 200, 0.3, 16, 100, 20)


@dataclass
class Measurement:
    """One run.

    Args:
        labels: whom to measure, of ``NODES``.
        sizes: how much it does.
        work: the folder of what was installed and compiled.

    Attributes:
        rows: a dict for each phase, as ``report.Figures`` takes them.
        failures: what could not be measured: a label and the reason.
    """

    labels: list[str]
    sizes: Sizes
    work: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def two_nodes(self) -> None:
        """A message from the client of one node to that of another, at a rate and as fast as it goes."""
        sizes = self.sizes
        phases = [f"rate:{sizes.per_second}:{sizes.seconds}:200", f"flow:{sizes.window}:{sizes.seconds}:200"]
        running: dict[str, TwoNodes] = {}
        try:
            for label in self.labels:
                self._start(running, label, partial(TwoNodes, NODES[label], sizes.room, sizes.room, self.work))
            for number in range(sizes.rounds):
                say(f"two nodes: round {number + 1} of {sizes.rounds}")
                steps = [(label, phase) for label in running for phase in phases]
                random.shuffle(steps)
                for label, phase in steps:
                    self._step(running, label, phase, "nodes", number)
        finally:
            for each in running.values():
                each.stop()

    def memory(self) -> None:
        """What a client takes on its node and in Redis; one kind of node after the other."""
        for label in self.labels:
            if label == "pode-disk":
                continue
            running: dict[str, TwoNodes] = {}
            self._start(running, label, partial(TwoNodes, NODES[label], 1, self.sizes.members, self.work))
            for nodes in running.values():
                row = {**nodes.opening, "redis_bytes": nodes.redis_bytes}
                self.rows.append({**row, "plan": "members", "label": label, "round": 0, "phase": "open"})
                nodes.stop()

    def one_port(self) -> None:
        """One process and two at the same port: answers to clients, and one message to all clients."""
        sizes = self.sizes
        phases = [f"echo:{sizes.port_clients // 5}:{sizes.seconds}:64", f"flow:4:{sizes.seconds}:200"]
        running: dict[str, OnePort] = {}
        try:
            for label, count in (("1", 1), ("2", 2)):
                self._start(running, label, partial(OnePort, NODES[_PORT_LABEL], count, sizes.port_clients, self.work))
            for number in range(sizes.rounds):
                say(f"one port: round {number + 1} of {sizes.rounds}")
                steps = [(label, phase) for label in running for phase in phases]
                random.shuffle(steps)
                for label, phase in steps:
                    self._step(running, label, phase, "port", number)
        finally:
            for each in running.values():
                each.stop()

    def _start(self, running: dict[str, Any], label: str, start: Any) -> None:
        say(f"starting {label}")
        try:
            running[label] = start()
        except Failed as failed:
            self._failed(label, str(failed))

    def _step(self, running: Mapping[str, TwoNodes], label: str, phase: str, plan: str, number: int) -> None:
        nodes = running[label]
        try:
            nodes.phase(_WARM_UP if plan == "nodes" else "flow:2:0.3:200")
            answer = nodes.phase(phase)
        except Failed as failed:
            # It goes on with other phases: who can't hold a rate may still be the fastest otherwise.
            self._failed(label, str(failed))
            return
        self.rows.append({**answer, "plan": plan, "label": label, "round": number, "phase": phase.partition(":")[0]})

    def _failed(self, label: str, reason: str) -> None:
        if (label, reason) not in self.failures:
            say(f"{label}: {reason}")
            self.failures.append((label, reason))


def main() -> int:
    """Measure and write; 0 where all that was asked for was measured of this package."""
    options = read_options()
    load = os.getloadavg()[0]
    wanted = {label: NODES[label] for label in options.only}
    work = options.work / "here" if options.here else options.work
    missing = prepare(work, wanted, installs=not options.here)
    sizes = QUICK if options.quick else FULL
    rounds = options.rounds or sizes.rounds
    labels = [label for label in options.only if label not in missing]
    run = Measurement(labels, replace(sizes, rounds=rounds, room=options.room), work)
    run.failures += missing.items()
    about = f"{datetime.now(UTC):%Y-%m-%d}, {rounds} {'round' if rounds == 1 else 'rounds'}, {machine()}"
    about += f", load {load:.1f} before the run"
    if options.quick:
        about = f"Quick run, too small to judge by: {about}"
    for part in options.parts:
        {"nodes": run.two_nodes, "memory": run.memory, "port": run.one_port}[part]()
        # After each part, since a run takes a while.
        results = written(run, about, options)
    print(results)
    return 1 if any(label.startswith("pode") or label in "12" for label, _ in run.failures) else 0


def written(run: Measurement, about: str, options: argparse.Namespace) -> str:
    """Write what has been measured up to now, and give the results as Markdown."""
    results = page(Figures(run.rows), about, run.failures)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = "".join(json.dumps(row) + "\n" for row in run.rows)
    (options.output / "nodes.jsonl").write_text(rows, encoding="utf-8")
    (options.output / "nodes.md").write_text(results, encoding="utf-8")
    if options.document:
        PAGE.write_text(with_results(PAGE.read_text(encoding="utf-8"), results, "nodes"), encoding="utf-8")
    return results


def read_options() -> argparse.Namespace:
    """The options of the command."""
    temporary = Path(tempfile.gettempdir())
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, help="repetitions of each phase (9; 1 with --quick)")
    parser.add_argument("--room", type=int, default=FULL.room, help="clients of the room at each node (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="few messages: tells that all works, and no more")
    parser.add_argument("--only", default=",".join(NODES), help="whom to measure (%(default)s)")
    parser.add_argument("--parts", default="nodes,memory,port", help="what to measure (%(default)s)")
    parser.add_argument("--here", action="store_true", help="install nothing, and measure this package alone")
    parser.add_argument("--work", type=Path, default=temporary / "pode_signals-benchmarks", help="what it installs")
    parser.add_argument("--output", type=Path, default=temporary / "pode_signals-results", help="results")
    parser.add_argument("--document", action="store_true", help="put the results into docs/performance.md as well")
    options = parser.parse_args()
    options.work, options.output = options.work.resolve(), options.output.resolve()
    for name, known in (("only", tuple(NODES)), ("parts", ("nodes", "memory", "port"))):
        given = [each for each in getattr(options, name).split(",") if each]
        setattr(options, name, given)
        if unknown := sorted(set(given) - set(known)):
            parser.error(f"--{name}: there is no {', '.join(unknown)}")
    if not (options.only and options.parts):
        parser.error("--only, --parts: one or more")
    if (options.rounds is not None and options.rounds < 1) or options.room < 1:
        parser.error("--rounds, --room: 1 or more")
    return options


def page(figures: Figures, about: str, failures: list[tuple[str, str]]) -> str:
    """The results as Markdown, without a heading of their own."""
    titles = titled_nodes(versions())
    parts = [f"{about}. Medians over the rounds, with the least and the most."]
    parts += two_node_tables(figures, titles)
    parts += two_process_table(figures)
    if failures:
        said = "; ".join(f"{titles.get(label, label)} ({reason})" for label, reason in failures)
        parts.append(f"Not measured: {said}.")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
