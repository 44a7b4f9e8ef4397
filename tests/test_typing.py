from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SNIPPETS = sorted((Path(__file__).parent / "typing").glob("*.py"))


def test_programs_of_users_without_the_plugin(tmp_path: Path) -> None:
    """S0.1: programs of users, and each mistake in them that is marked, pass mypy's strict mode without mypy-zope."""
    # No file of configuration, and a folder that has no package of ours.
    command = [sys.executable, "-m", "mypy", "--config-file=", "--strict", f"--cache-dir={tmp_path / 'cache'}"]
    done = subprocess.run([*command, *map(str, SNIPPETS)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"Success: no issues found in {len(SNIPPETS)} source files\n", 0)
