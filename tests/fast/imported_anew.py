"""A module as it comes out when it is imported now, with libraries that a test changed. Nothing in here is a test."""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec
from typing import Any

__all__ = ["imported_anew"]


def imported_anew(name: str) -> Any:
    """Another copy of a module of the package, which nobody else gets to see."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
