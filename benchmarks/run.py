"""One command that measures this package beside its peers and the limit of the kernel: ``python benchmarks/run.py``.

It installs what it needs into a folder outside of the repository, and uses loopback alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

from environment import prepare, versions
from measure import FULL, QUICK, Run
from peers import OURS, PEERS, SERVERS, Server
from plot import picture
from report import Figures, Place, judged, tables, with_results

REPOSITORY = Path(__file__).parent.parent
PAGE = REPOSITORY / "docs" / "performance.md"
PICTURE = REPOSITORY / "docs" / "pictures" / "performance.svg"


def main() -> int:
    """Measure and write; 0 where this package was measured, whatever the figures are."""
    options = read_options()
    load = os.getloadavg()[0]
    missing = prepare(options.work)
    labels = [label for label in ("limit", *OURS, *options.peers) if label not in missing]
    rounds = options.rounds or (1 if options.quick else 5)
    run = Run(labels, rounds, QUICK if options.quick else FULL, options.work, say)
    run.failures += [(label, reason) for label, reason in missing.items() if label in (*OURS, *options.peers)]
    run.all()
    figures = Figures(run.rows)
    about = f"{datetime.now(UTC):%Y-%m-%d}, {rounds} {'round' if rounds == 1 else 'rounds'}, {machine()}"
    about += f", load {load:.1f} before the run"
    if options.quick:
        about = f"Quick run, too small to judge by: {about}"
    options.output.mkdir(parents=True, exist_ok=True)
    rows = "".join(json.dumps(row) + "\n" for row in run.rows)
    (options.output / "results.jsonl").write_text(rows, encoding="utf-8")
    results = results_page(figures, about, run.failures, is_quick=options.quick)
    (options.output / "results.md").write_text(results, encoding="utf-8")
    drawn = drawing(figures, about)
    (options.output / "performance.svg").write_text(drawn, encoding="utf-8")
    if options.document:
        PAGE.write_text(with_results(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
        PICTURE.write_text(drawn, encoding="utf-8")
    print(results)
    return 0 if figures.spread(Place("fan-out", "all", "pode")) else 1


def read_options() -> argparse.Namespace:
    """The options of the command."""
    temporary = Path(tempfile.gettempdir())
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, help="repetitions of each phase (5; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="few clients: tells that all works, and no more")
    parser.add_argument("--peers", default=",".join(PEERS), help="whom to compare with (%(default)s)")
    parser.add_argument("--work", type=Path, default=temporary / "pode_signals-benchmarks", help="what it installs")
    parser.add_argument("--output", type=Path, default=temporary / "pode_signals-results", help="results")
    parser.add_argument("--document", action="store_true", help="put the results into docs/performance.md as well")
    options = parser.parse_args()
    options.peers = [label for label in options.peers.split(",") if label]
    options.work, options.output = options.work.resolve(), options.output.resolve()
    unknown = sorted(set(options.peers) - set(PEERS))
    if unknown:
        parser.error(f"--peers: there is no {', '.join(unknown)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: 1 or more")
    return options


def say(line: str) -> None:
    """Tell what is being done."""
    print(line, file=sys.stderr, flush=True)


def machine() -> str:
    """What it ran on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    model = next((line.partition(": ")[2] for line in info if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def titled(server: Server, pins: dict[str, str]) -> str:
    """The title of a server with the versions of its packages, each behind the part that names it."""
    versioned = zip_longest(server.title.split(", "), (pins[name] for name in server.packages))
    return ", ".join(" ".join(filter(None, pair)) for pair in versioned)


def results_page(figures: Figures, about: str, failures: list[tuple[str, str]], *, is_quick: bool) -> str:
    """The results as Markdown, without a heading of their own."""
    pins = versions()
    titles = {label: titled(server, pins) for label, server in SERVERS.items()}
    parts = [f"{about}. Medians over the rounds, with the least and the most.", judged(figures, is_quick=is_quick)]
    for heading, table in tables(figures, titles).items():
        parts += [f"### {heading}", table]
    if failures:
        parts.append("Left out: " + "; ".join(f"{named(label)} ({reason})" for label, reason in failures) + ".")
    return "\n\n".join(parts) + "\n"


def named(label: str) -> str:
    """The title of a server; a label that is none stays."""
    return SERVERS[label].title if label in SERVERS else label


def drawing(figures: Figures, about: str) -> str:
    """The picture of the results."""
    found = [(figures.spread(Place("fan-out", "all", label)), server.title) for label, server in SERVERS.items()]
    bars = [(title, spread.median) for spread, title in sorted(each for each in found if each[0]) if spread]
    lines = {}
    for label in ("limit", "pode"):
        places = [Place("growth", "all", label, clients) for clients in figures.clients("growth")]
        spreads = [(place.clients, figures.spread(place)) for place in places]
        lines[SERVERS[label].title] = [
            (clients, spread.median) for clients, spread in spreads if spread is not None and clients is not None
        ]
    return picture(bars, lines, ours=SERVERS["pode"].title, limit=SERVERS["limit"].title, caption=about)


if __name__ == "__main__":
    sys.exit(main())
