"""Packages of npm that tests need, in the user's cache: each lock file fills a folder of its own there, once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from conftest import require

_INSTALLED = ("package.json", "package-lock.json", ".npmrc")


def node_modules(project: Path, name: str) -> Path:
    """The ``node_modules`` of a project.

    Args:
        project: the folder with its ``package.json``, ``package-lock.json`` and ``.npmrc``.
        name: the beginning of the name of the folder in the cache.
    """
    npm = require("npm")
    version = hashlib.sha256(b"".join((project / each).read_bytes() for each in _INSTALLED)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pode-signals-tests"
    folder = cache / f"npm-{name}-{version}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        # Another run may fill the cache at the same time: each fills a folder of its own, and the first one stays.
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            new = Path(temporary, "project")
            new.mkdir()
            for each in _INSTALLED:
                (new / each).write_bytes((project / each).read_bytes())
            done = subprocess.run(
                [npm, "ci"], cwd=new, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL, check=False
            )
            assert done.returncode == 0, done.stderr
            if not folder.is_dir():
                new.rename(folder)
    return folder / "node_modules"
