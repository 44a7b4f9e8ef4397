"""The documents that come with the metrics: rules for Prometheus, and a board for Grafana."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from conftest import require

from pode_signals.operations.metric_table import METRICS, Type

SHIPPED = files("pode_signals.operations")
OF_THE_PROCESS = {
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
}
NAME = re.compile(r"\b(?:pode_signals|process|python)_\w+")


def names() -> set[str]:
    """Every name that an expression may have."""
    buckets = {f"{name}_bucket" for name, each in METRICS.items() if each.type is Type.HISTOGRAM}
    return {*METRICS, *buckets, *OF_THE_PROCESS}


def board() -> dict[str, Any]:
    """The board."""
    found: dict[str, Any] = json.loads((SHIPPED / "grafana.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("document", ["alerts.yaml", "grafana.json"])
def test_metrics_of_the_table(document: str) -> None:
    """O1.14: the rules and the board name metrics of the table, and those of the process."""
    named = set(NAME.findall((SHIPPED / document).read_text(encoding="utf-8")))
    assert named <= names()
    assert len(named) > 12


def test_the_board() -> None:
    """O1.14: the board has its rows in order, its variables, and a query in each panel that goes by all of these."""
    found = board()
    rows = [each["title"] for each in found["panels"] if each["type"] == "row"]
    assert rows == [
        *("Overview", "Deliveries", "Slow clients", "Handshakes and limits"),
        *("Functions", "Jobs", "Backplane", "Process"),
    ]
    assert [each["name"] for each in found["templating"]["list"]] == ["datasource", "job", "instance", "quantile"]
    assert len({each["id"] for each in found["panels"]}) == len(found["panels"])
    for panel in found["panels"]:
        if panel["type"] != "row":
            assert panel["targets"], panel["title"]
            for target in panel["targets"]:
                assert '{job=~"$job", instance=~"$instance"}' in target["expr"]


def test_expressions_of_the_board(tmp_path: Path) -> None:
    """O1.14: Prometheus can read each expression of the board."""
    program = require("promtool")
    expressions = [target["expr"] for panel in board()["panels"] for target in panel.get("targets", ())]
    rules = [
        {"record": f"panel:{number}", "expr": each.replace("$quantile", "0.99").replace("$__rate_interval", "1m")}
        for number, each in enumerate(expressions)
    ]
    # JSON is YAML.
    written = tmp_path / "board.yaml"
    written.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    done = subprocess.run([program, "check", "rules", written], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(expressions)} rules found" in done.stdout


def test_alerts(tmp_path: Path) -> None:
    """O1.14: each alert comes where its trouble is there, and none does where a service is well."""
    program = require("promtool")
    rules, tests = tmp_path / "alerts.yaml", tmp_path / "alerts_test.yaml"
    rules.write_text((SHIPPED / "alerts.yaml").read_text(encoding="utf-8"))
    shutil.copy(Path(__file__).with_name("alerts_test.yaml"), tests)
    for command in (("check", "rules", rules), ("test", "rules", tests)):
        done = subprocess.run([program, *command], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    alerts = re.findall(r"- alert: (\w+)", rules.read_text())
    well, trouble = tests.read_text().split("a service in trouble")
    assert alerts == re.findall(r"alertname: (\w+)", well)
    assert alerts == re.findall(r'alertname="(\w+)"', trouble)
