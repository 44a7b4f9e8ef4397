"""libfaketime, which shows a program another wall clock than the machine's. Nothing in here is a test."""

from __future__ import annotations

from pathlib import Path

__all__ = ["LIBRARY", "forget"]

# Not by the command ``faketime``, which fails where a process with its number has left files in shared memory.
LIBRARY = next(iter(sorted(Path("/usr").glob("lib*/*/faketime/libfaketime.so.1"))), None)

_SHARED_MEMORY = Path("/dev/shm")


def forget(pid: int) -> None:
    """Delete the files that libfaketime leaves of a process that was ended by a signal."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        (_SHARED_MEMORY / name).unlink(missing_ok=True)
