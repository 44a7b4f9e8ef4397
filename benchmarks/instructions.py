"""Instructions and memory per delivery, which a busy machine changes little: a guard against getting slower.

It runs ``instructions_script.py`` under valgrind's callgrind. The difference of a longer and a shorter run leaves out
what a start costs. Figures are kept with the versions that they hold for, in ``instructions.json``.

usage: python benchmarks/instructions.py [--check]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["KEPT", "current_versions", "kept_for", "worse"]

FOLDER = Path(__file__).parent
KEPT = FOLDER / "instructions.json"
SCRIPT = FOLDER / "instructions_script.py"

_TOLERANCE = 1.15
_NOISE = 0.5  # blocks and bytes near 0 differ by nothing that matters
_SECONDS = 600
_CLIENTS = 200
_LENGTHS = {
    "fan-out": (5, 25, _CLIENTS),
    "signals": (5, 25, _CLIENTS),
    "history": (5, 25, _CLIENTS),
    "echo": (200, 1000, 1),
    "frames": (200, 1000, 1),
}
"""For each mode the counts of the two runs, and the deliveries of each."""
_PACKAGES = ("Twisted", "autobahn", "attrs", "orjson")


def main() -> int:
    """Count, and keep or compare; 1 where something got worse, or nothing can be counted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with what is kept, and keep nothing")
    check = parser.parse_args().check
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: nothing was counted")
        return 1
    versions = current_versions()
    figures = {**instructions(), **allocations()}
    records: list[dict[str, Any]] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else []
    kept = kept_for(records, versions)
    for name, value in figures.items():
        before = "" if kept is None or name not in kept else f" (kept: {kept[name]:,.2f})"
        print(f"{name}: {value:,.2f}{before}")
    if not check:
        others = [each for each in records if each["versions"] != versions]
        text = json.dumps([*others, {"versions": versions, "figures": figures}], indent=2)
        KEPT.write_text(text + "\n", encoding="utf-8")
        return 0
    if kept is None:
        print("no figures are kept for these versions: nothing to compare with")
        return 0
    complaints = worse(figures, kept)
    print("\n".join(complaints) or "nothing got worse")
    return 1 if complaints else 0


def instructions() -> dict[str, float]:
    """Instructions per delivery, by mode."""
    found = {}
    for mode, (short, long, deliveries) in _LENGTHS.items():
        counted = [_instructions(mode, count) for count in (short, long)]
        found[f"instructions: {mode}"] = round((counted[1] - counted[0]) / ((long - short) * deliveries), 1)
    return found


def allocations() -> dict[str, float]:
    """Memory per delivery and per connection, of the hub alone."""
    done = _run([sys.executable, str(SCRIPT), "allocations", "50"])
    return {name.replace("_", " "): round(value, 2) for name, value in json.loads(done.stdout).items()}


def current_versions() -> dict[str, str]:
    """All that figures depend on beside this package."""
    found = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
        "machine": f"{platform.machine()}, {' '.join(platform.libc_ver())}",
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def kept_for(records: list[dict[str, Any]], versions: Mapping[str, str]) -> dict[str, float] | None:
    """The figures that are kept for the same versions; None where there are none."""
    return next((each["figures"] for each in records if each["versions"] == versions), None)


def worse(figures: Mapping[str, float], kept: Mapping[str, float]) -> list[str]:
    """What is more than 15 % above what is kept, a line for each."""
    return [
        f"{name}: {figures[name]:,.2f}, over {kept[name]:,.2f} by more than 15 %"
        for name in kept
        if name in figures and figures[name] > kept[name] * _TOLERANCE + _NOISE
    ]


def _instructions(mode: str, count: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, str(SCRIPT)]
    done = _run([*command, mode, str(count)])
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"valgrind counted nothing: {done.stderr[-500:]}")
    return int(found[1])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(FOLDER.parent)}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
