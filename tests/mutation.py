"""Makes mistakes on purpose in the modules that setup.cfg names for mutmut, and counts those that fail a unit test.

A program: ``tox -e mutation``. It shows what no test noticed, and fails where that leaves a module under 85 %.

Some of it no test could notice, for it means the same: ``rpartition`` for ``partition`` (what has ``://`` twice, or
never, is no origin either way), a bucket that is filled where no time has passed or where it is full, and ``None``
looked up among names.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEAST_PERCENT = 85
NOTICED = ("killed", "timeout")


def mutmut(*arguments: str) -> str:
    """Run mutmut and give what it prints; if it fails, that is the end."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout)
    return done.stdout


def outcomes() -> dict[str, str]:
    """What became of each mistake, by the name that mutmut gives it."""
    pairs = (line.strip().rpartition(": ") for line in mutmut("results", "--all", "true").splitlines())
    return {name: outcome for name, _, outcome in pairs if name}


def main() -> int:
    """Run all and print the score, for each module and in all."""
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    mutmut("run")
    modules: dict[str, Counter[str]] = {}
    for name, outcome in outcomes().items():
        modules.setdefault(name.rpartition(".")[0], Counter())[outcome] += 1
        if outcome not in NOTICED:
            sys.stdout.write(mutmut("show", name) + "\n")
    modules["in all"] = sum(modules.values(), Counter())
    percents = []
    for module, counts in modules.items():
        percents.append(100 * sum(counts[outcome] for outcome in NOTICED) / max(counts.total(), 1))
        sys.stdout.write(f"{module}: {percents[-1]:.1f} % of {counts.total()}: {dict(counts)}\n")
    return int(min(percents) < LEAST_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
