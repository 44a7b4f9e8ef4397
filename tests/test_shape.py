"""The shape of the package: no module imports itself by way of others, and none is too long to be read at a sitting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pode_signals

PACKAGE = Path(pode_signals.__file__).parent
MODULES = {
    ".".join(("pode_signals", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
MOST_LINES = {"pode_signals.signals": 560}
"""Signals has one method for each thing that it offers, and what they do lies elsewhere; all others have 400."""


def imported_by(name: str) -> Iterator[str]:
    """The modules of the package that a module imports when it is imported itself, or for its annotations."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        # What a function imports when it runs is no circle.
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = package.split(".")
            base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            yield from (each for each in (base, *(f"{base}.{each.name}" for each in node.names)) if each in MODULES)


def test_no_module_imports_itself() -> None:
    """S0.1: following imports from module to module, those for annotations too, never leads back."""
    # The package itself hands out names of all others, and is imported by none of them.
    left = {name: set(imported_by(name)) for name in MODULES if name != "pode_signals"}
    while free := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert left == {}


@pytest.mark.parametrize("name", MODULES)
def test_no_module_is_too_long(name: str) -> None:
    """S0.1: a module has at most 400 lines, not counting the documentation in it; Signals has a few more."""
    text = MODULES[name].read_text(encoding="utf-8")
    said: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text and isinstance(node.value.value, str):  # type: ignore[attr-defined]
            said.update(range(node.lineno, (node.end_lineno or 0) + 1))  # type: ignore[attr-defined]
    lines = [line for number, line in enumerate(text.splitlines(), 1) if line.strip() and number not in said]
    assert len(lines) <= MOST_LINES.get(name, 400)
