"""Paths of files, as text. No file is opened here."""

from __future__ import annotations

from pathlib import Path

__all__ = ["absolute_path"]


def absolute_path(path: str | Path) -> str:
    """A path that means the same file whatever folder the process goes to; links stay links, which may be changed."""
    return str(Path(path).absolute())
