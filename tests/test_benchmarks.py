"""The benchmarks' own arithmetic, tables and pictures. Nothing here measures anything."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from conftest import require
from pages import DOCS, ROOT

FOLDER = ROOT / "benchmarks"
NAMES = ("peers", "report", "plot", "environment", "processes", "measure", "run", "node_report", "instructions")


@pytest.fixture(scope="module")
def benchmarks() -> Iterator[dict[str, ModuleType]]:
    """The modules of the folder, imported as the command does, and forgotten afterwards."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(FOLDER))
        for name in NAMES:
            sys.modules.pop(name, None)


def row(label: str, number: int, cpu_us: float, **more: object) -> dict[str, object]:
    """A row as measure.py keeps it."""
    place = {"plan": "fan-out", "phase": "all", "clients": 1000}
    return {**place, "label": label, "round": number, "cpu_us": cpu_us, **more}


def test_ratios_are_of_the_same_round(benchmarks: dict[str, ModuleType]) -> None:
    """The median of the ratios within rounds, not the ratio of medians; a round that lacks one of both is left out."""
    report = benchmarks["report"]
    ours = [row("pode", number, cpu_us) for number, cpu_us in enumerate((10.0, 40.0, 36.0, 7.0))]
    limit = [row("limit", number, cpu_us) for number, cpu_us in enumerate((5.0, 40.0, 12.0))]
    place = report.Place("fan-out", "all", "pode")
    figures = report.Figures([*ours, *limit])
    assert figures.ratio(place, place._replace(label="limit")) == (2.0, 1.0, 3.0)
    assert figures.spread(place) == (23.0, 7.0, 40.0)
    assert figures.spread(place._replace(clients=100)) is None
    assert figures.ratio(place, place._replace(label="ws")) is None


def test_memory_is_a_difference(benchmarks: dict[str, ModuleType]) -> None:
    """Memory of a connection is what was added, over the connections that were counted."""
    report = benchmarks["report"]
    opening = {"rss_before_kb": 1_000, "rss_kb": 3_000, "counted": 400}
    figures = report.Figures([row("pode", 0, 1.0, **opening)])
    assert figures.spread(report.Place("fan-out", "all", "pode", value="kb")) == (5.0, 5.0, 5.0)


@pytest.mark.parametrize(
    ("cpu_us", "expected"),
    [
        (11.0, "| ≤ 1.4 | yes | ≤ 1.2 | yes |"),
        (13.0, "| ≤ 1.4 | yes | ≤ 1.2 | no |"),
        (15.0, "| ≤ 1.4 | no | ≤ 1.2 | no |"),
    ],
)
def test_goals_are_judged(benchmarks: dict[str, ModuleType], cpu_us: float, expected: str) -> None:
    """A bound is reached or not; a quick run and what was not measured are not judged."""
    report = benchmarks["report"]
    rows = [row("limit", 0, 10.0), row("pode", 0, cpu_us)]
    lines = report.judged(report.Figures(rows), is_quick=False).split("\n")
    assert lines[2].endswith(expected)
    assert all("not measured" in line for line in lines[3:])
    quick = report.judged(report.Figures(rows), is_quick=True).split("\n")[2]
    assert "quick run" in quick
    assert "yes" not in quick


def test_more_can_be_better(benchmarks: dict[str, ModuleType]) -> None:
    """How many times cheaper than a peer is a lower bound."""
    report = benchmarks["report"]
    (goal,) = (each for each in report.GOALS if "node ws" in each.title)
    assert (goal.reached(1.2, goal.must), goal.reached(1.2, goal.aim), goal.reached(1, None)) == ("yes", "no", "–")


def test_tables_have_who_was_measured(benchmarks: dict[str, ModuleType]) -> None:
    """The cheapest first; without rows there are no tables."""
    report = benchmarks["report"]
    rows = [row("pode", 0, 9.0), row("limit", 0, 7.5), row("ws", 0, 12.0)]
    ((heading, table),) = report.tables(report.Figures(rows), {"ws": "node ws", "pode": "ours", "limit": "C"}).items()
    assert "1,000 clients" in heading
    titles = [line.split(" | ")[0].strip("| ") for line in table.split("\n")[2:]]
    assert titles == ["C", "ours", "node ws"]
    assert "| 1.20 (1.20–1.20) |" in table
    assert report.tables(report.Figures([]), {}) == {}


def test_results_replace_results(benchmarks: dict[str, ModuleType]) -> None:
    """Results stand between two marks of the page, and nothing else of it changes."""
    with_results = benchmarks["report"].with_results
    page = "before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n"
    once = with_results(page, "new \\1\n")
    assert once == "before\n<!-- results -->\n\nnew \\1\n\n<!-- end of results -->\nafter\n"
    assert with_results(once, "new \\1\n") == once
    assert (DOCS / "performance.md").read_text(encoding="utf-8").count("<!-- end of results -->") == 1


@pytest.mark.parametrize("bars", [[], [("C", 7.5), ("a < b & c", 330.0)], [("C", 10.0)]])
@pytest.mark.parametrize("points", [[], [(100, 9.0)], [(100, 9.0), (10_000, 11.0)]])
def test_pictures_are_xml(
    benchmarks: dict[str, ModuleType], bars: list[tuple[str, float]], points: list[tuple[int, float]]
) -> None:
    """The picture is well-formed, whatever there is to draw, and has a bar for each server."""
    drawn = benchmarks["plot"].picture(bars, {"C": points}, ours="ours", limit="C", caption="5 rounds & more")
    root = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 1 + len(bars)
    assert len(root.findall(f"{space}circle")) == len(points)
    assert {title for title, _ in bars} <= {each.text for each in root.iter(f"{space}text")}


def test_the_picture_of_the_page_is_xml() -> None:
    """What the page shows can be read."""
    assert ElementTree.parse(DOCS / "pictures" / "performance.svg").getroot().tag.endswith("svg")


def test_adapters_and_versions_exist(benchmarks: dict[str, ModuleType]) -> None:
    """Each server has its adapter, each package that it names a pinned version, and no adapter is left over."""
    peers = benchmarks["peers"]
    servers = [*peers.SERVERS.values(), *peers.NODES.values()]
    assert [server.adapter for server in servers if not server.file.is_file()] == []
    pins = benchmarks["environment"].versions()
    assert {package for server in servers for package in server.packages} <= pins.keys()
    assert all(version[0].isdigit() for version in pins.values())
    adapters = {path.name for path in (FOLDER / "servers").iterdir() if path.is_file()} - {"operations.py"}
    assert adapters == {server.adapter for server in servers} - {"limit.c"}


def test_commands(benchmarks: dict[str, ModuleType], tmp_path: Path) -> None:
    """Servers in Python run in the installed environment, the others by node or compiled."""
    servers = benchmarks["peers"].SERVERS
    assert servers["pode"].command(9000, tmp_path)[0] == str(tmp_path / "venv" / "bin" / "python")
    assert servers["ws"].command(9000, tmp_path) == ["node", str(FOLDER / "servers" / "ws.js")]
    assert servers["limit"].command(9000, tmp_path) == [str(tmp_path / "limit"), "9000"]


def test_getting_worse_is_found(benchmarks: dict[str, ModuleType]) -> None:
    """Over 15 % is worse; less, noise near 0 and figures without a predecessor are not; other versions don't count."""
    instructions = benchmarks["instructions"]
    kept = {"a": 100.0, "b": 100.0, "c": 0.0}
    (complaint,) = instructions.worse({"a": 116.0, "b": 115.0, "c": 0.4, "d": 9.0}, kept)
    assert complaint.startswith("a: 116.00")
    records = [{"versions": {"python": "1"}, "figures": kept}]
    assert instructions.kept_for(records, {"python": "1"}) == kept
    assert instructions.kept_for(records, {"python": "2"}) is None


def test_two_nodes_beside_peers(benchmarks: dict[str, ModuleType]) -> None:
    """Ours is divided by a peer's figure of the same round, and a log is compared with a log."""
    report, node_report = benchmarks["report"], benchmarks["node_report"]
    place = {"plan": "nodes", "clients": 16}
    values = {"p50_us": 1.0, "sender_cpu_us": 1.0, "receiver_cpu_us": 1.0}
    found = [("pode-live", 2.0), ("pode-logged", 6.0), ("socketio-pubsub", 4.0), ("socketio-streams", 3.0)]
    rows = [
        {**place, **values, "label": label, "phase": phase, "round": 0, "p99_us": figure, "per_second": 100 / figure}
        | {"node_cpu_us": figure, "redis_cpu_us": figure}
        for label, figure in found
        for phase in ("rate", "flow")
    ]
    titles = node_report.titled_nodes(benchmarks["environment"].versions())
    _, flow, _, rate, _, compared = node_report.two_node_tables(report.Figures(rows), titles)
    first = [table.split("\n")[2].partition(" | ")[0] for table in (flow, rate)]
    assert first == ["| pode_signals, live"] * 2
    assert len(flow.split("\n")) == 6
    pubsub, streams = compared.split("\n")[2:]
    assert pubsub.startswith("| pode_signals, live, × socket.io")
    assert pubsub.endswith("| 0.50 (0.50–0.50) | 2.00 (2.00–2.00) | 0.50 (0.50–0.50) | 0.50 (0.50–0.50) |")
    assert streams.startswith("| pode_signals, logged, × socket.io")
    assert "| 2.00 (2.00–2.00) | 0.50 (0.50–0.50) |" in streams
    assert node_report.two_node_tables(report.Figures([]), titles) == []


def test_two_nodes(tmp_path: Path) -> None:
    """The benchmark of two nodes runs, with a live name, and says what it measured."""
    require("redis")
    require("cc")
    command = [sys.executable, str(FOLDER / "nodes.py"), "--here", "--quick", "--only", "pode-live", "--parts", "nodes"]
    options = ["--work", str(tmp_path / "work"), "--output", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "nodes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["phase"] for row in rows} == {"rate", "flow"}
    assert all(row["label"] == "pode-live" and row["redis_cpu_us"] > 0 and row["units"] % 8 == 0 for row in rows)
    assert [row for row in rows if row.get("missing")] == []
    assert (tmp_path / "nodes.md").read_text(encoding="utf-8").count("| pode_signals, live | ") == 2
