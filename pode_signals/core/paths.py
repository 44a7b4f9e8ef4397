"""Paths of files, as text. No file is opened here."""

from __future__ import annotations

from pathlib import Path

__all__ = ["absolute_path"]


def absolute_path(path: str | Path) -> str:
    """An absolute path, which names the same file when the process changes its folder.

    Links are not followed, so that a link that is changed later counts at the next read.
    """
    return str(Path(path).absolute())
