"""A disk that is as slow as a test says, for a program that the test starts. Nothing in here is a test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from conftest import require

__all__ = ["SlowDisk"]

_SOURCE = Path(__file__).with_suffix(".c")


class SlowDisk:
    """Makes the calls that write to the disk wait.

    Args:
        folder: where the library is built.
    """

    def __init__(self, folder: Path) -> None:
        self._library = folder / "slow_disk.so"
        self._says = folder / "slow_disk"
        command = [require("cc"), "-shared", "-fPIC", "-O1", "-o", str(self._library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True, timeout=60)

    @contextmanager
    def of_what_starts(self) -> Iterator[None]:
        """Programs that start meanwhile have this disk."""
        with patch.dict(os.environ, {"LD_PRELOAD": str(self._library), "SLOW_DISK": str(self._says)}):
            yield

    def takes(self, seconds: float) -> None:
        """From now on each write takes so long."""
        new = self._says.with_suffix(".new")
        new.write_text(f"{seconds * 1_000:.0f}\n", encoding="ascii")
        new.replace(self._says)

    def is_fast(self) -> None:
        """Writes take no time."""
        self._says.unlink()
