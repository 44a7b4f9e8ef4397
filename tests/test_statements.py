"""The statement check: every statement that docs/statements.md calls held is named by a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TABLE = TESTS.parent / "docs" / "statements.md"

# S1.2 is a statement of the package, O1.2 one of its operations, P3 one of the signals protocol.
STATEMENT = re.compile(r"\b(?:[SO]\d+\.\d+|P\d+)\b")
ROW = re.compile(rf"^\| ({STATEMENT.pattern}) \| .+ \| (\w+) \|$")
STATES = ("held", "planned")


def states(table: str) -> dict[str, str]:
    """The statements of the table with their states."""
    return {row[1]: row[2] for line in table.splitlines() if (row := ROW.match(line))}


# Those of the client for browsers. Their names are what docstrings are elsewhere.
TEST_IN_TYPESCRIPT = re.compile(r"""^\s*test\(\s*["`](.+)["`],""", re.MULTILINE)


def named(tests: Path) -> dict[str, list[str]]:
    """The statements that docstrings of tests name, with the tests that do."""
    found: dict[str, list[str]] = {}
    for path in sorted(tests.rglob("*.test.ts")):
        for name in TEST_IN_TYPESCRIPT.findall(path.read_text(encoding="utf-8")):
            for match in STATEMENT.finditer(name):
                found.setdefault(match[0], []).append(f"{path.relative_to(tests)}::{name}")
    for path in sorted(tests.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
                for match in STATEMENT.finditer(ast.get_docstring(node) or ""):
                    found.setdefault(match[0], []).append(f"{path.relative_to(tests)}::{node.name}")
    return found


def complaints(table: str, tests: Path) -> list[str]:
    """What keeps the table and the tests from agreeing."""
    table_states, tests_named = states(table), named(tests)
    if not table_states:
        return ["the table is empty"]
    return [
        *(
            f"{key}: the state {state!r} is none of {STATES}"
            for key, state in table_states.items()
            if state not in STATES
        ),
        *(
            f"{key} is held by no test"
            for key, state in table_states.items()
            if state == "held" and key not in tests_named
        ),
        *(
            f"{key} is not in the table, named by {', '.join(where)}"
            for key, where in tests_named.items()
            if key not in table_states
        ),
    ]


def test_every_held_statement_has_a_test() -> None:
    """The table in the documentation and the docstrings of the tests agree."""
    assert complaints(TABLE.read_text(encoding="utf-8"), TESTS) == []


def test_the_table_lists_each_statement_once() -> None:
    """A statement has one row, and those of the signals protocol have no gap."""
    keys = [row[1] for line in TABLE.read_text(encoding="utf-8").splitlines() if (row := ROW.match(line))]
    assert len(keys) == len(set(keys))
    assert [key for key in keys if key.startswith("P")] == [f"P{number}" for number in range(1, 93)]


@pytest.mark.parametrize(
    ("table", "docstring", "expected"),
    [
        ("| S1.1 | a thing | held |", "S1.1: the thing happens.", []),
        ("| S1.1 | a thing | planned |", "It happens.", []),
        ("| S1.1 | a thing | planned |", "S1.1: the thing happens.", []),
        ("| S1.1 | a thing | held |", "It happens.", ["S1.1 is held by no test"]),
        ("| S1.1 | a thing | held |", "S1.10: another.", ["S1.1 is held by no test", "S1.10 is not in the table"]),
        ("| S1.1 | a thing | hold |", "S1.1: the thing happens.", ["S1.1: the state 'hold' is none of"]),
        ("| O1.1 | a thing | held |", "O1.1: the thing happens.", []),
        ("| O1.1 | a thing | held |", "O1.10: another.", ["O1.1 is held by no test", "O1.10 is not in the table"]),
        ("| P1 | a thing | held |", "P1: the thing happens.", []),
        ("| P1 | a thing | held |", "P10: another.", ["P1 is held by no test", "P10 is not in the table"]),
        ("| P1 | a thing | hold |", "P1, S1.1: two.", ["P1: the state 'hold' is none of", "S1.1 is not in the table"]),
        ("| P1 | a thing | held |", "UTP1 and P1x are no statements.", ["P1 is held by no test"]),
        ("nothing that is a row", "S1.1: the thing happens.", ["the table is empty"]),
    ],
)
def test_the_check_can_fail(tmp_path: Path, table: str, docstring: str, expected: list[str]) -> None:
    """A held statement without a test, an unknown statement, an unknown state and an empty table are found."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "test_thing.py").write_text(
        f'class TestThing:\n    def test_it(self):\n        """{docstring}"""\n'
    )
    found = complaints(table, tmp_path)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


def test_tests_in_typescript_count(tmp_path: Path) -> None:
    """The name of a test in TypeScript holds a statement as a docstring does."""
    (tmp_path / "thing.test.ts").write_text(
        "test('P9: no name', () => {});\ntest(\"P1: a name\", () => {});\n  test(`P2: ${one}`, async () => {});\n"
    )
    assert complaints("| P1 | a thing | held |\n| P2 | a thing | held |", tmp_path) == []
    assert complaints("| P1 | a thing | held |", tmp_path) == [
        "P2 is not in the table, named by thing.test.ts::P2: ${one}"
    ]


def test_only_tests_count(tmp_path: Path) -> None:
    """The docstring of something that is no test holds no statement."""
    (tmp_path / "test_thing.py").write_text('"""S1.1"""\n\ndef given():\n    """S1.1: a helper."""\n')
    assert complaints("| S1.1 | a thing | held |", tmp_path) == ["S1.1 is held by no test"]
